//! The primitives that only definitions use: plain loops. A composite with a kernel never comes here.

use super::{Place, Stored, Tape};
use crate::tensor::{Id, Op};
use microgpt_kernels::math;

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
        for r in 0..y.shape.rows {
            for c in 0..y.shape.cols {
                let (i, j, g) = (a.at(r, c), b.spread(r, c), self.slopes[y.slope().at(r, c)]);
                let (da, db) = local(self.values[i], others[j]);
                self.slopes[a.slope().at(r, c)] += da * g;
                if of_params {
                    sums[j - b.start] += db * g;
                } else {
                    self.slopes[b.slope().spread(r, c)] += db * g;
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
                let (before, out) = self.values.split_at_mut(y.start);
                let out = &mut out[..y.shape.len()];
                for (r, out) in out.chunks_exact_mut(y.shape.cols).enumerate() {
                    out.copy_from_slice(&before[x.row(r)]);
                }
                math::ln_in_place(out);
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
        for r in 0..y.shape.rows {
            for c in 0..y.shape.cols {
                let g = self.slopes[y.slope().at(r, c)];
                f(&self.values, &mut self.slopes, r, c, g);
            }
        }
    }

    pub(super) fn primitive_back(&mut self, y: Stored) {
        match y.op {
            Op::Pick { x, by } => {
                self.ready(x);
                let x = self.step(x);
                for r in 0..y.shape.rows {
                    let g = self.slopes[y.slope + r];
                    self.slopes[x.slope().at(r, by.of(&self.batch)[r] as usize)] += g;
                }
            }
            Op::Add(a, b) => self.spread_back(y, a, b, |_, _| (1.0, 1.0)),
            Op::Mul(a, b) => self.spread_back(y, a, b, |a, b| (b, a)),
            Op::Div(a, b) => {
                [a, b].into_iter().for_each(|id| self.ready(id));
                let (a, b) = (self.step(a), self.step(b));
                let wide = b.shape.cols > 1;
                self.each_back(y, |values, slopes, r, c, g| {
                    let place = |a: Stored, b: Stored| (a.at(r, c), b.at(r, if wide { c } else { 0 }));
                    let ((i, j), (di, dj)) = (place(a, b), place(a.slope(), b.slope()));
                    slopes[di] += g / values[j];
                    slopes[dj] -= g * values[i] / (values[j] * values[j]);
                });
            }
            Op::Pow { x, exponent } => {
                self.ready(x);
                let (x, exponent) = (self.step(x), exponent as f32);
                self.each_back(y, |values, slopes, r, c, g| {
                    slopes[x.slope().at(r, c)] += exponent * values[x.at(r, c)].powf(exponent - 1.0) * g;
                });
            }
            Op::Exp(x) => {
                self.ready(x);
                let x = self.step(x);
                self.each_back(y, |values, slopes, r, c, g| {
                    slopes[x.slope().at(r, c)] += values[y.at(r, c)] * g
                });
            }
            Op::Ln(x) => {
                self.ready(x);
                let x = self.step(x);
                self.each_back(y, |values, slopes, r, c, g| {
                    slopes[x.slope().at(r, c)] += g / values[x.at(r, c)]
                });
            }
            Op::Tanh(x) => {
                self.ready(x);
                let x = self.step(x);
                self.each_back(y, |values, slopes, r, c, g| {
                    slopes[x.slope().at(r, c)] += (1.0 - values[y.at(r, c)] * values[y.at(r, c)]) * g;
                });
            }
            Op::OffMax(x) => {
                self.ready(x);
                let x = self.step(x);
                self.each_back(y, |_, slopes, r, c, g| slopes[x.slope().at(r, c)] += g);
            }
            Op::Sum(x) => {
                self.ready(x);
                let x = self.step(x);
                for r in 0..y.shape.rows {
                    let g = self.slopes[y.slope + r];
                    self.slopes[x.slope().row(r)].iter_mut().for_each(|dx| *dx += g);
                }
            }
            Op::Total(x) => {
                self.ready(x);
                let x = self.step(x);
                let g = self.slopes[y.slope];
                for r in 0..x.shape.rows {
                    self.slopes[x.slope().row(r)].iter_mut().for_each(|dx| *dx += g);
                }
            }
            Op::Dot(a, b) => {
                [a, b].into_iter().for_each(|id| self.ready(id));
                let (a, b) = (self.step(a), self.step(b));
                for r in 0..y.shape.rows {
                    let g = self.slopes[y.slope + r];
                    for c in 0..a.shape.cols {
                        self.slopes[a.slope().at(r, c)] += self.values[b.at(r, c)] * g;
                        self.slopes[b.slope().at(r, c)] += self.values[a.at(r, c)] * g;
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
                            let g = self.slopes[y.slope().at(row * heads + h, s)];
                            let place = |q: Stored, k: Stored| {
                                (q.at(row, h * d), k.at(first + s, h / sight.group() * d))
                            };
                            let ((qs, ks), (dq, dk)) = (place(q, k), place(q.slope(), k.slope()));
                            for j in 0..d {
                                self.slopes[dq + j] += self.values[ks + j] * g;
                                self.slopes[dk + j] += self.values[qs + j] * g;
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
                            let g = self.slopes[y.slope().at(row, s)];
                            self.slopes[x.slope().at(row, s)] += g;
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
                            let g = self.slopes[y.slope().at(row, c)];
                            let (h, kv) = (c / d, c / d / sight.group() * d + c % d);
                            let place =
                                |a: Stored, v: Stored| (a.at(row * heads + h, s), v.at(first + s, kv));
                            let ((i, j), (di, dj)) = (place(a, v), place(a.slope(), v.slope()));
                            self.slopes[di] += self.values[j] * g;
                            self.slopes[dj] += self.values[i] * g;
                        }
                    }
                }
            }
            op => unreachable!("{op:?} has a kernel"),
        }
    }
}
