//! How each operation hands its gradient on: for every number, the local derivative times the gradient, added to
//! that of each operand. Numbers go from last to first, as microgpt.py's walk does.

use super::recurrent::Recur;
use super::{Fault, Stored, Tape};
use crate::position::pairs;
use crate::real::pow;
use crate::tensor::{Id, Op, Order};

impl Tape {
    pub(super) fn backward(&mut self, id: Id) {
        self.begin_backward(id);
        // What was computed after the loss has no part in it.
        for i in (0..=id.0 as usize).rev() {
            self.hand_on_unless_held(self.tensors[i]);
            self.clock.ended(self.tensors[i].op, 1);
        }
    }

    pub(super) fn begin_backward(&mut self, id: Id) {
        let loss = self.get(id);
        assert_eq!(loss.shape.len(), 1, "backward: expected one number, found {}", loss.shape);
        // The parameters keep what they have; all that comes after them starts from 0.
        self.graded = true;
        self.grads.truncate(self.num_params);
        self.grads.resize(self.values.len(), 0.0);
        self.grads[loss.start] = 1.0;
        self.clock.skip();
    }

    pub(super) fn hand_on(&mut self, y: Stored) {
        let fault = self.fault;
        match y.op {
            // The numbers are another tensor's, and so is their gradient.
            Op::Param { .. } | Op::Columns { .. } => {}
            Op::Remember { .. } => panic!("backward: decoding keeps no gradient"),
            Op::Gather { w, by } => {
                let w = self.get(w);
                for r in (0..y.shape.rows).rev() {
                    let to = w.at(by.of(&self.batch)[r] as usize, 0);
                    for c in 0..y.shape.cols {
                        self.grads[to + c] += self.grads[y.at(r, c)];
                    }
                }
            }
            Op::Pick { x, by } => {
                let x = self.get(x);
                for r in (0..y.shape.rows).rev() {
                    self.grads[x.at(r, by.of(&self.batch)[r] as usize)] += self.grads[y.at(r, 0)];
                }
            }
            Op::Add(a, b) => {
                let (a, b) = (self.get(a), self.get(b));
                self.each_back(y, |_, grads, r, c, g| {
                    grads[a.at(r, c)] += g;
                    grads[b.spread(r, c)] += g;
                });
            }
            Op::Mul(a, b) => {
                let (a, b) = (self.get(a), self.get(b));
                self.each_back(y, |values, grads, r, c, g| {
                    let (a, b) = (a.at(r, c), b.spread(r, c));
                    grads[a] += values[b] * g;
                    grads[b] += values[a] * g;
                });
            }
            Op::Div(a, b) => {
                let (a, b) = (self.get(a), self.get(b));
                for r in (0..y.shape.rows).rev() {
                    let local = |x: f64| (pow(x, -1.0), -pow(x, -2.0));
                    let (mut inverse, mut slope) = local(self.values[b.at(r, 0)]);
                    for c in (0..y.shape.cols).rev() {
                        let to = b.at(r, if b.shape.cols > 1 { c } else { 0 });
                        if b.shape.cols > 1 {
                            (inverse, slope) = local(self.values[to]);
                        }
                        let g = self.grads[y.at(r, c)];
                        self.grads[a.at(r, c)] += inverse * g;
                        self.grads[to] += slope * (self.values[a.at(r, c)] * g);
                    }
                }
            }
            Op::Affine { x, scale, .. } => {
                let x = self.get(x);
                self.each_back(y, |_, grads, r, c, g| grads[x.at(r, c)] += scale * g);
            }
            Op::Pow { exponent: -0.5, .. } if fault == Some(Fault::NormOffTape) => {}
            Op::Pow { x, exponent } => {
                let x = self.get(x);
                self.each_back(y, |values, grads, r, c, g| {
                    grads[x.at(r, c)] += (exponent * pow(values[x.at(r, c)], exponent - 1.0)) * g;
                });
            }
            Op::Exp(x) => {
                let x = self.get(x);
                self.each_back(y, |values, grads, r, c, g| grads[x.at(r, c)] += values[y.at(r, c)] * g);
            }
            Op::Ln(x) => {
                let x = self.get(x);
                self.each_back(y, |values, grads, r, c, g| {
                    grads[x.at(r, c)] += (1.0 / values[x.at(r, c)]) * g
                });
            }
            Op::Tanh(x) => {
                let x = self.get(x);
                self.each_back(y, |values, grads, r, c, g| {
                    grads[x.at(r, c)] += (1.0 - values[y.at(r, c)] * values[y.at(r, c)]) * g;
                });
            }
            Op::Reshape(x) => {
                let x = self.get(x);
                let cols = x.shape.cols;
                for i in (0..y.shape.len()).rev() {
                    self.grads[x.at(i / cols, i % cols)] += self.grads[y.start + i];
                }
            }
            Op::Dropout { x, rate, place } => {
                let x = self.get(x);
                let factors = self.dropped(y, rate, place);
                self.each_back(y, |_, grads, r, c, g| {
                    grads[x.at(r, c)] += factors[r * y.shape.cols + c] * g;
                });
            }
            Op::Activate { x, f } => {
                let x = self.get(x);
                let part = if fault == Some(Fault::Derivative) { 0.5 } else { 1.0 };
                self.each_back(y, |values, grads, r, c, g| {
                    grads[x.at(r, c)] += part * f.derivative(values[x.at(r, c)]) * g;
                });
            }
            Op::Gate { x, g: gate, f } => {
                let (x, gate, f) = (self.get(x), self.get(gate), f.formula());
                let part = if fault == Some(Fault::Derivative) { 0.5 } else { 1.0 };
                self.each_back(y, |values, grads, r, c, g| {
                    let (to_x, to_gate) = (x.at(r, c), gate.at(r, c));
                    let (x, gate) = (values[to_x], values[to_gate]);
                    grads[to_x] += part * f.slope(x, gate) * g;
                    grads[to_gate] += part * f.gate_slope(x, gate) * g;
                });
            }
            Op::OffMax(x) => {
                let x = self.get(x);
                self.each_back(y, |_, grads, r, c, g| grads[x.at(r, c)] += g);
            }
            Op::Sum(x) => {
                let x = self.get(x);
                for r in (0..y.shape.rows).rev() {
                    let g = self.grads[y.at(r, 0)];
                    self.grads[x.row(r)].iter_mut().for_each(|dx| *dx += g);
                }
            }
            Op::Total(x) => {
                let x = self.get(x);
                let g = self.grads[y.start];
                for r in (0..x.shape.rows).rev() {
                    self.grads[x.row(r)].iter_mut().for_each(|dx| *dx += g);
                }
            }
            Op::Dot(a, b) => {
                let (a, b) = (self.get(a), self.get(b));
                for r in (0..y.shape.rows).rev() {
                    let g = self.grads[y.at(r, 0)];
                    for c in (0..a.shape.cols).rev() {
                        self.grads[a.at(r, c)] += self.values[b.at(r, c)] * g;
                        self.grads[b.at(r, c)] += self.values[a.at(r, c)] * g;
                    }
                }
            }
            Op::Linear { x, w } => self.linear_back(y, self.get(x), self.get(w)),
            Op::Feature(x) => {
                let x = self.get(x);
                self.each_back(y, |values, grads, r, c, g| {
                    // 1 above 0, e^x below.
                    grads[x.at(r, c)] += values[y.at(r, c)].min(1.0) * g;
                });
            }
            Op::Sinusoids => {}
            Op::Rotate { x, heads, base } => {
                let x = self.get(x);
                for (r, pair) in
                    (0..y.shape.rows).flat_map(|r| pairs(y.shape.cols, heads).map(move |p| (r, p)))
                {
                    let (sin, cos) = pair.angle(self.batch.positions[r], base).sin_cos();
                    let (a, b) = (self.grads[y.at(r, pair.a)], self.grads[y.at(r, pair.b)]);
                    self.grads[x.at(r, pair.a)] += a * cos + b * sin;
                    self.grads[x.at(r, pair.b)] += b * cos - a * sin;
                }
            }
            Op::Scores { q, k, sight, .. } => {
                let (q, k, heads) = (self.get(q), self.get(k), sight.heads());
                let d = q.shape.cols / heads;
                for segment in self.batch.segments.iter().rev() {
                    for p in (0..segment.len).rev() {
                        let (first, seen) = self.context(segment, p, sight);
                        for (h, s) in (0..heads).flat_map(|h| seen.clone().rev().map(move |s| (h, s))) {
                            let g = self.grads[y.at((segment.start + p) * heads + h, s)];
                            let kv = h / sight.group() * d;
                            let (q, k) = (q.at(segment.start + p, h * d), k.at(first + s, kv));
                            let heard = fault != Some(Fault::StaleKv) || s == segment.past + p;
                            for j in 0..d {
                                self.grads[q + j] += self.values[k + j] * g;
                                if heard {
                                    self.grads[k + j] += self.values[q + j] * g;
                                }
                            }
                        }
                    }
                }
            }
            Op::Recede { x, sight } => {
                let (x, heads) = (self.get(x), sight.heads());
                for segment in self.batch.segments.iter().rev() {
                    for p in (0..segment.len).rev() {
                        let (_, seen) = self.context(segment, p, sight);
                        for (h, s) in (0..heads).flat_map(|h| seen.clone().map(move |s| (h, s))) {
                            let row = (segment.start + p) * heads + h;
                            self.grads[x.at(row, s)] += self.grads[y.at(row, s)];
                        }
                    }
                }
            }
            Op::Mix { a, v, sight } => {
                let (a, v, heads) = (self.get(a), self.get(v), sight.heads());
                let d = y.shape.cols / heads;
                for segment in self.batch.segments.iter().rev() {
                    for p in (0..segment.len).rev() {
                        let (first, seen) = self.context(segment, p, sight);
                        let row = segment.start + p;
                        for c in (0..y.shape.cols).rev() {
                            let g = self.grads[y.at(row, c)];
                            let (h, kv) = (c / d, c / d / sight.group() * d + c % d);
                            let weights = a.at(row * heads + h, 0);
                            for s in seen.clone() {
                                let v = v.at(first + s, kv);
                                self.grads[weights + s] += self.values[v] * g;
                                if fault != Some(Fault::StaleKv) || s == segment.past + p {
                                    self.grads[v] += self.values[weights + s] * g;
                                }
                            }
                        }
                    }
                }
            }
            Op::Window { x, width } => self.window_back(y, x, width),
            Op::Recur { x, u, c, cell, slot } => self.recur_back(y, Recur { x, u, c, cell, slot }),
            Op::Embed { .. }
            | Op::LinearOnto { .. }
            | Op::LinearBias { .. }
            | Op::RmsNorm(_)
            | Op::RmsNormGain { .. }
            | Op::LayerNorm { .. }
            | Op::DynamicTanh { .. }
            | Op::Attention { .. }
            | Op::LinearAttention { .. }
            | Op::CrossEntropy(_)
            | Op::Layer { .. }
            | Op::Model { .. } => {
                unreachable!("the scalar engine has no shortcuts")
            }
        }
    }

    /// Hands on the gradient `g` of each number of `y`, from last to first.
    fn each_back(&mut self, y: Stored, f: impl Fn(&[f64], &mut [f64], usize, usize, f64)) {
        let (before, after) = self.grads.split_at_mut(y.start);
        for r in (0..y.shape.rows).rev() {
            for c in (0..y.shape.cols).rev() {
                f(&self.values, before, r, c, after[r * y.stride + c]);
            }
        }
    }

    /// For each output: dw += x g, dx += w g. The order of the outputs matters for dx alone.
    fn linear_back(&mut self, y: Stored, x: Stored, w: Stored) {
        let outputs = y.shape.cols;
        for r in (0..y.shape.rows).rev() {
            let mut output = |o: usize| {
                let g = self.grads[y.at(r, o)];
                let (w_row, x_row) = (w.row(o), x.row(r));
                // Parameters stand before all tensors, which lets the two gradients be changed together.
                let (dw, dx) = self.grads.split_at_mut(x_row.start);
                let (dw, dx) = (&mut dw[w_row.clone()], &mut dx[..w_row.len()]);
                let (w, x) = (&self.values[w_row], &self.values[x_row]);
                for i in 0..w.len() {
                    dw[i] += x[i] * g;
                    dx[i] += w[i] * g;
                }
            };
            match y.order {
                None => (0..outputs).rev().for_each(output),
                Some(Order::Heads(d)) => {
                    // Columns: queries of all heads, then keys, then values. A head meets its own q, k, v.
                    let part = outputs / 3;
                    for first in (0..part).step_by(d).rev() {
                        for start in [2 * part + first, part + first, first] {
                            (start..start + d).rev().for_each(&mut output);
                        }
                    }
                }
                Some(Order::TargetFirst) => {
                    let target = self.batch.targets[r] as usize;
                    (0..outputs).rev().filter(|&o| o != target).for_each(&mut output);
                    output(target);
                }
            }
        }
    }
}
