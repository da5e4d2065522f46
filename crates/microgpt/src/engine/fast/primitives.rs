//! The primitives that only definitions use: plain loops. A composite with a kernel never comes here.

use super::{Place, Stored, Tape};
use crate::tensor::{Id, Op};

impl Tape {
    /// Computes `y` number by number.
    fn each(&mut self, y: Stored, f: impl Fn(&[f32], usize, usize) -> f32) {
        let (before, out) = self.values.split_at_mut(y.start);
        for r in 0..y.shape.rows {
            for c in 0..y.shape.cols {
                out[r * y.stride + c] = f(before, r, c);
            }
        }
    }

    /// f(a, b), where b may be one row or column, of this step or of the parameters.
    fn spread(&mut self, y: Stored, a: Id, b: Id, f: impl Fn(f32, f32) -> f32) {
        let (a, b) = (self.step(a), self.get(b));
        let (before, out) = self.values.split_at_mut(y.start);
        let others = if b.place == Place::Params { &*self.params } else { &*before };
        for r in 0..y.shape.rows {
            for c in 0..y.shape.cols {
                out[r * y.stride + c] = f(before[a.at(r, c)], others[b.spread(r, c)]);
            }
        }
    }

    /// The way back of `spread`; `local` is how fast f changes with a and with b.
    fn spread_back(&mut self, y: Stored, a: Id, b: Id, local: impl Fn(f32, f32) -> (f32, f32)) {
        self.ready(a);
        let (a, of_params) = (self.step(a), self.get(b).place == Place::Params);
        if !of_params {
            self.ready(b);
        }
        let b = self.get(b);
        let others = if of_params { &*self.params } else { &*self.values };
        let sums = if of_params { self.param_grads.at(b.all()) } else { &mut [] };
        let (before, after) = self.grads.split_at_mut(y.start);
        for r in 0..y.shape.rows {
            for c in 0..y.shape.cols {
                let (i, j, g) = (a.at(r, c), b.spread(r, c), after[r * y.stride + c]);
                let (da, db) = local(self.values[i], others[j]);
                before[i] += da * g;
                if of_params {
                    sums[j - b.start] += db * g;
                } else {
                    before[j] += db * g;
                }
            }
        }
    }

    /// The place of a tensor of this step.
    fn step(&self, id: Id) -> Stored {
        let stored = self.get(id);
        assert_eq!(stored.place, Place::Step, "{:?}: a tensor of this step", stored.op);
        stored
    }

    pub(super) fn primitive(&mut self, y: Stored) {
        match y.op {
            Op::Pick { x, by } => {
                let x = self.step(x);
                for r in 0..y.shape.rows {
                    self.values[y.start + r] = self.values[x.row(r)][by.of(&self.batch)[r] as usize];
                }
            }
            Op::Add(a, b) => self.spread(y, a, b, |a, b| a + b),
            Op::Mul(a, b) => self.spread(y, a, b, |a, b| a * b),
            Op::Div(a, b) => {
                let (a, b) = (self.step(a), self.step(b));
                let wide = b.shape.cols > 1;
                self.each(y, |x, r, c| x[a.at(r, c)] / x[b.at(r, if wide { c } else { 0 })]);
            }
            Op::Pow { x, exponent } => {
                let x = self.step(x);
                self.each(y, |values, r, c| values[x.at(r, c)].powf(exponent as f32));
            }
            Op::Exp(x) => {
                let x = self.step(x);
                self.each(y, |values, r, c| values[x.at(r, c)].exp());
            }
            Op::Ln(x) => {
                let x = self.step(x);
                self.each(y, |values, r, c| values[x.at(r, c)].ln());
            }
            Op::Tanh(x) => {
                let x = self.step(x);
                self.each(y, |values, r, c| values[x.at(r, c)].tanh());
            }
            Op::OffMax(x) => {
                let x = self.step(x);
                for r in 0..y.shape.rows {
                    let max = self.values[x.row(r)].iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    for c in 0..y.shape.cols {
                        self.values[y.at(r, c)] = self.values[x.at(r, c)] - max;
                    }
                }
            }
            Op::Sum(x) => {
                let x = self.step(x);
                self.each(y, |values, r, _| values[x.row(r)].iter().sum());
            }
            Op::Total(x) => {
                let x = self.step(x);
                self.values[y.start] = (0..x.shape.rows).flat_map(|r| &self.values[x.row(r)]).sum();
            }
            Op::Dot(a, b) => {
                let (a, b) = (self.step(a), self.step(b));
                self.each(y, |x, r, _| (0..a.shape.cols).map(|c| x[a.at(r, c)] * x[b.at(r, c)]).sum());
            }
            Op::Scores { q, k, sight, hidden } => {
                let (q, k, heads) = (self.step(q), self.get(k), sight.heads());
                let d = q.shape.cols / heads;
                self.values[y.all()].fill(hidden as f32);
                for segment in &self.batch.segments {
                    for p in 0..segment.len {
                        let (first, seen) = self.context(segment, p, sight);
                        let row = segment.start + p;
                        for (h, s) in (0..heads).flat_map(|h| seen.clone().map(move |s| (h, s))) {
                            let keys = if k.place == Place::Memory { &self.memory } else { &self.values };
                            let (q, k) = (q.at(row, h * d), k.at(first + s, h / sight.group() * d));
                            let products = (0..d).map(|j| self.values[q + j] * keys[k + j]);
                            self.values[y.at(row * heads + h, s)] = products.sum();
                        }
                    }
                }
            }
            Op::Recede { x, sight } => {
                let (x, heads) = (self.step(x), sight.heads());
                self.values[y.all()].fill(f32::NEG_INFINITY);
                for segment in &self.batch.segments {
                    for p in 0..segment.len {
                        let (_, seen) = self.context(segment, p, sight);
                        for (h, s) in (0..heads).flat_map(|h| seen.clone().map(move |s| (h, s))) {
                            let row = (segment.start + p) * heads + h;
                            let lost = self.slope(sight, h) * (segment.past + p - s) as f32;
                            self.values[y.at(row, s)] = self.values[x.at(row, s)] - lost;
                        }
                    }
                }
            }
            Op::Mix { a, v, sight } => {
                let (a, v, heads) = (self.step(a), self.get(v), sight.heads());
                let d = y.shape.cols / heads;
                for segment in &self.batch.segments {
                    for p in 0..segment.len {
                        let (first, seen) = self.context(segment, p, sight);
                        let row = segment.start + p;
                        for c in 0..y.shape.cols {
                            let numbers = if v.place == Place::Memory { &self.memory } else { &self.values };
                            let (h, kv) = (c / d, c / d / sight.group() * d + c % d);
                            let product =
                                |s| self.values[a.at(row * heads + h, s)] * numbers[v.at(first + s, kv)];
                            self.values[y.at(row, c)] = seen.clone().map(product).sum();
                        }
                    }
                }
            }
            op => unreachable!("{op:?} has a kernel"),
        }
    }

    /// Hands on the gradient `g` of each number of `y`.
    fn each_back(&mut self, y: Stored, f: impl Fn(&[f32], &mut [f32], usize, usize, f32)) {
        let (before, after) = self.grads.split_at_mut(y.start);
        for r in 0..y.shape.rows {
            for c in 0..y.shape.cols {
                f(&self.values, before, r, c, after[r * y.stride + c]);
            }
        }
    }

    pub(super) fn primitive_back(&mut self, y: Stored) {
        match y.op {
            Op::Pick { x, by } => {
                self.ready(x);
                let x = self.step(x);
                for r in 0..y.shape.rows {
                    self.grads[x.at(r, by.of(&self.batch)[r] as usize)] += self.grads[y.start + r];
                }
            }
            Op::Add(a, b) => self.spread_back(y, a, b, |_, _| (1.0, 1.0)),
            Op::Mul(a, b) => self.spread_back(y, a, b, |a, b| (b, a)),
            Op::Div(a, b) => {
                [a, b].into_iter().for_each(|id| self.ready(id));
                let (a, b) = (self.step(a), self.step(b));
                let wide = b.shape.cols > 1;
                self.each_back(y, |values, grads, r, c, g| {
                    let (a, b) = (a.at(r, c), b.at(r, if wide { c } else { 0 }));
                    grads[a] += g / values[b];
                    grads[b] -= g * values[a] / (values[b] * values[b]);
                });
            }
            Op::Pow { x, exponent } => {
                self.ready(x);
                let (x, exponent) = (self.step(x), exponent as f32);
                self.each_back(y, |values, grads, r, c, g| {
                    grads[x.at(r, c)] += exponent * values[x.at(r, c)].powf(exponent - 1.0) * g;
                });
            }
            Op::Exp(x) => {
                self.ready(x);
                let x = self.step(x);
                self.each_back(y, |values, grads, r, c, g| grads[x.at(r, c)] += values[y.at(r, c)] * g);
            }
            Op::Ln(x) => {
                self.ready(x);
                let x = self.step(x);
                self.each_back(y, |values, grads, r, c, g| grads[x.at(r, c)] += g / values[x.at(r, c)]);
            }
            Op::Tanh(x) => {
                self.ready(x);
                let x = self.step(x);
                self.each_back(y, |values, grads, r, c, g| {
                    grads[x.at(r, c)] += (1.0 - values[y.at(r, c)] * values[y.at(r, c)]) * g;
                });
            }
            Op::OffMax(x) => {
                self.ready(x);
                let x = self.step(x);
                self.each_back(y, |_, grads, r, c, g| grads[x.at(r, c)] += g);
            }
            Op::Sum(x) => {
                self.ready(x);
                let x = self.step(x);
                for r in 0..y.shape.rows {
                    let g = self.grads[y.start + r];
                    self.grads[x.row(r)].iter_mut().for_each(|dx| *dx += g);
                }
            }
            Op::Total(x) => {
                self.ready(x);
                let x = self.step(x);
                let g = self.grads[y.start];
                for r in 0..x.shape.rows {
                    self.grads[x.row(r)].iter_mut().for_each(|dx| *dx += g);
                }
            }
            Op::Dot(a, b) => {
                [a, b].into_iter().for_each(|id| self.ready(id));
                let (a, b) = (self.step(a), self.step(b));
                for r in 0..y.shape.rows {
                    let g = self.grads[y.start + r];
                    for c in 0..a.shape.cols {
                        self.grads[a.at(r, c)] += self.values[b.at(r, c)] * g;
                        self.grads[b.at(r, c)] += self.values[a.at(r, c)] * g;
                    }
                }
            }
            Op::Scores { q, k, sight, .. } => {
                [q, k].into_iter().for_each(|id| self.ready(id));
                let (q, k, heads) = (self.step(q), self.step(k), sight.heads());
                let d = q.shape.cols / heads;
                for segment in &self.batch.segments {
                    for p in 0..segment.len {
                        let (first, seen) = self.context(segment, p, sight);
                        let row = segment.start + p;
                        for (h, s) in (0..heads).flat_map(|h| seen.clone().map(move |s| (h, s))) {
                            let g = self.grads[y.at(row * heads + h, s)];
                            let (q, k) = (q.at(row, h * d), k.at(first + s, h / sight.group() * d));
                            for j in 0..d {
                                self.grads[q + j] += self.values[k + j] * g;
                                self.grads[k + j] += self.values[q + j] * g;
                            }
                        }
                    }
                }
            }
            Op::Recede { x, sight } => {
                self.ready(x);
                let (x, heads) = (self.step(x), sight.heads());
                for segment in &self.batch.segments {
                    for p in 0..segment.len {
                        let (_, seen) = self.context(segment, p, sight);
                        for (h, s) in (0..heads).flat_map(|h| seen.clone().map(move |s| (h, s))) {
                            let row = (segment.start + p) * heads + h;
                            self.grads[x.at(row, s)] += self.grads[y.at(row, s)];
                        }
                    }
                }
            }
            Op::Mix { a, v, sight } => {
                [a, v].into_iter().for_each(|id| self.ready(id));
                let (a, v, heads) = (self.step(a), self.step(v), sight.heads());
                let d = y.shape.cols / heads;
                for segment in &self.batch.segments {
                    for p in 0..segment.len {
                        let (first, seen) = self.context(segment, p, sight);
                        let row = segment.start + p;
                        for (c, s) in (0..y.shape.cols).flat_map(|c| seen.clone().map(move |s| (c, s))) {
                            let g = self.grads[y.at(row, c)];
                            let (h, kv) = (c / d, c / d / sight.group() * d + c % d);
                            let (a, v) = (a.at(row * heads + h, s), v.at(first + s, kv));
                            self.grads[a] += self.values[v] * g;
                            self.grads[v] += self.values[a] * g;
                        }
                    }
                }
            }
            op => unreachable!("{op:?} has a kernel"),
        }
    }
}
