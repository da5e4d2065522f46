//! What each operation computes, number by number, in microgpt.py's order of summation.

use super::recurrent::Recur;
use super::{Stored, Tape};
use crate::position::{alibi_slope, pairs, sinusoid};
use crate::real::pow;
use crate::tensor::Op;

impl Tape {
    /// Computes the numbers of `y` from tensors that stand before it.
    pub(super) fn forward(&mut self, y: Stored) {
        match y.op {
            Op::Param { offset } => assert!(offset + y.shape.len() <= self.num_params, "no such parameters"),
            Op::Columns { .. } => {}
            Op::Gather { w, by } => {
                let w = self.get(w);
                for r in 0..y.shape.rows {
                    let row = by.of(&self.batch)[r] as usize;
                    assert!(row < w.shape.rows, "row {row} of {}", w.shape);
                    self.values.copy_within(w.row(row), y.at(r, 0));
                }
            }
            Op::Pick { x, by } => {
                let x = self.get(x);
                for r in 0..y.shape.rows {
                    self.values[y.at(r, 0)] = self.values[x.at(r, by.of(&self.batch)[r] as usize)];
                }
            }
            Op::Remember { x, .. } => {
                let x = self.get(x);
                for segment in &self.batch.segments {
                    for i in 0..segment.len {
                        let to = y.at(segment.memory + segment.past + i, 0);
                        self.values.copy_within(x.row(segment.start + i), to);
                    }
                }
            }
            Op::Add(a, b) => {
                let (a, b) = (self.get(a), self.get(b));
                self.each(y, |values, r, c| values[a.at(r, c)] + values[b.spread(r, c)]);
            }
            Op::Mul(a, b) => {
                let (a, b) = (self.get(a), self.get(b));
                self.each(y, |values, r, c| values[a.at(r, c)] * values[b.spread(r, c)]);
            }
            Op::Div(a, b) => {
                let (a, b) = (self.get(a), self.get(b));
                for r in 0..y.shape.rows {
                    let mut inverse = pow(self.values[b.at(r, 0)], -1.0);
                    for c in 0..y.shape.cols {
                        if c > 0 && b.shape.cols > 1 {
                            inverse = pow(self.values[b.at(r, c)], -1.0);
                        }
                        self.values[y.at(r, c)] = self.values[a.at(r, c)] * inverse;
                    }
                }
            }
            Op::Affine { x, scale, shift } => {
                let x = self.get(x);
                self.each(y, |values, r, c| values[x.at(r, c)] * scale + shift);
            }
            Op::Pow { x, exponent } => {
                let x = self.get(x);
                self.each(y, |values, r, c| pow(values[x.at(r, c)], exponent));
            }
            Op::Exp(x) => {
                let x = self.get(x);
                self.each(y, |values, r, c| values[x.at(r, c)].exp());
            }
            Op::Ln(x) => {
                let x = self.get(x);
                self.each(y, |values, r, c| values[x.at(r, c)].ln());
            }
            Op::Tanh(x) => {
                let x = self.get(x);
                self.each(y, |values, r, c| values[x.at(r, c)].tanh());
            }
            Op::Reshape(x) => {
                let x = self.get(x);
                for r in 0..x.shape.rows {
                    self.values.copy_within(x.row(r), y.start + r * x.shape.cols);
                }
            }
            Op::Dropout { x, rate, place } => {
                let x = self.get(x);
                let factors = self.dropped(y, rate, place);
                self.each(y, |values, r, c| values[x.at(r, c)] * factors[r * y.shape.cols + c]);
            }
            Op::Activate { x, f } => {
                let x = self.get(x);
                self.each(y, |values, r, c| f.f(values[x.at(r, c)]));
            }
            Op::Gate { x, g, f } => {
                let (x, g, f) = (self.get(x), self.get(g), f.formula());
                self.each(y, |values, r, c| f.value(values[x.at(r, c)], values[g.at(r, c)]));
            }
            Op::OffMax(x) => {
                let x = self.get(x);
                for r in 0..y.shape.rows {
                    let max = self.values[x.row(r)].iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    for c in 0..y.shape.cols {
                        self.values[y.at(r, c)] = self.values[x.at(r, c)] - max;
                    }
                }
            }
            Op::Sum(x) => {
                let x = self.get(x);
                self.each(y, |values, r, _| values[x.row(r)].iter().fold(0.0, |sum, v| sum + v));
            }
            Op::Total(x) => {
                let x = self.get(x);
                let rows = (0..x.shape.rows).flat_map(|r| &self.values[x.row(r)]);
                self.values[y.start] = rows.fold(0.0, |sum, v| sum + v);
            }
            Op::Dot(a, b) => {
                let (a, b) = (self.get(a), self.get(b));
                self.each(y, |values, r, _| dot(&values[a.row(r)], &values[b.row(r)]));
            }
            Op::Linear { x, w } => {
                let (x, w) = (self.get(x), self.get(w));
                let (before, out) = self.values.split_at_mut(y.start);
                for (r, out) in out.chunks_exact_mut(y.shape.cols).enumerate() {
                    let x = &before[x.row(r)];
                    for (o, out) in out.iter_mut().enumerate() {
                        *out = dot(&before[w.row(o)], x);
                    }
                }
            }
            Op::Feature(x) => {
                let x = self.get(x);
                self.each(y, |values, r, c| match values[x.at(r, c)] {
                    x if x > 0.0 => x + 1.0,
                    x => x.exp(),
                });
            }
            Op::Sinusoids => {
                for r in 0..y.shape.rows {
                    for c in 0..y.shape.cols {
                        self.values[y.at(r, c)] = sinusoid(self.batch.positions[r], c, y.shape.cols);
                    }
                }
            }
            Op::Rotate { x, heads, base } => {
                let x = self.get(x);
                for (r, pair) in
                    (0..y.shape.rows).flat_map(|r| pairs(y.shape.cols, heads).map(move |p| (r, p)))
                {
                    let (sin, cos) = pair.angle(self.batch.positions[r], base).sin_cos();
                    let (a, b) = (self.values[x.at(r, pair.a)], self.values[x.at(r, pair.b)]);
                    self.values[y.at(r, pair.a)] = a * cos - b * sin;
                    self.values[y.at(r, pair.b)] = b * cos + a * sin;
                }
            }
            Op::Scores { q, k, sight, hidden } => {
                let (q, k, heads) = (self.get(q), self.get(k), sight.heads());
                let d = q.shape.cols / heads;
                self.values[y.start..].fill(hidden);
                for segment in &self.batch.segments {
                    for p in 0..segment.len {
                        let (first, seen) = self.context(segment, p, sight);
                        for (h, s) in (0..heads).flat_map(|h| seen.clone().map(move |s| (h, s))) {
                            let kv = h / sight.group() * d;
                            let (q, k) = (q.at(segment.start + p, h * d), k.at(first + s, kv));
                            let score = dot(&self.values[q..q + d], &self.values[k..k + d]);
                            self.values[y.at((segment.start + p) * heads + h, s)] = score;
                        }
                    }
                }
            }
            Op::Recede { x, sight } => {
                let (x, heads) = (self.get(x), sight.heads());
                self.values[y.start..].fill(f64::NEG_INFINITY);
                for segment in &self.batch.segments {
                    for p in 0..segment.len {
                        let (_, seen) = self.context(segment, p, sight);
                        for (h, s) in (0..heads).flat_map(|h| seen.clone().map(move |s| (h, s))) {
                            let row = (segment.start + p) * heads + h;
                            let slope = if sight.alibi { alibi_slope(h, heads) } else { 0.0 };
                            let distance = (segment.past + p) as f64 - s as f64;
                            self.values[y.at(row, s)] = self.values[x.at(row, s)] - slope * distance;
                        }
                    }
                }
            }
            Op::Mix { a, v, sight } => {
                let (a, v, heads) = (self.get(a), self.get(v), sight.heads());
                let d = y.shape.cols / heads;
                for segment in &self.batch.segments {
                    for p in 0..segment.len {
                        let (first, seen) = self.context(segment, p, sight);
                        let row = segment.start + p;
                        for c in 0..y.shape.cols {
                            let (h, kv) = (c / d, c / d / sight.group() * d + c % d);
                            let weights = a.at(row * heads + h, 0);
                            let mut sum = 0.0;
                            for s in seen.clone() {
                                sum += self.values[weights + s] * self.values[v.at(first + s, kv)];
                            }
                            self.values[y.at(row, c)] = sum;
                        }
                    }
                }
            }
            Op::Window { x, width } => self.window(y, x, width),
            Op::Recur { x, u, c, cell, slot } => self.recur(y, Recur { x, u, c, cell, slot }),
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

    /// Computes `y` number by number, each from those that stand before.
    fn each(&mut self, y: Stored, f: impl Fn(&[f64], usize, usize) -> f64) {
        let (before, out) = self.values.split_at_mut(y.start);
        for r in 0..y.shape.rows {
            for c in 0..y.shape.cols {
                out[r * y.stride + c] = f(before, r, c);
            }
        }
    }
}

/// ((0 + a0 b0) + a1 b1) + ...
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sum = 0.0;
    for (a, b) in a.iter().zip(b) {
        sum += a * b;
    }
    sum
}
