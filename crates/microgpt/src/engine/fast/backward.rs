//! What has a kernel, backwards; the rest is in `primitives`. Gradients are where `slopes` puts them.

use super::forward::kernel_of;
use super::{Place, Stored, Tape};
use crate::tensor::{Id, Op};
use microgpt_kernels::layer::embed;
use microgpt_kernels::{activation, attention, formula, matmul, norm, slices};

impl Tape {
    pub(super) fn backward(&mut self, loss: Id) {
        self.backward_past(loss, |_, _| ());
    }

    /// The same; `past` hears of each tensor when it is done, from last to first.
    pub(super) fn backward_past(&mut self, loss: Id, mut past: impl FnMut(&mut Tape, usize)) {
        let stored = self.get(loss);
        assert_eq!(stored.shape.len(), 1, "backward: expected one number, found {}", stored.shape);
        self.clock.skip();
        self.touch(loss);
        let slope = self.get(loss).slope;
        self.slopes[slope] = 1.0;
        for i in (0..=loss.0 as usize).rev() {
            // What nothing was computed from, or only what the loss does not depend on, has no gradient.
            if self.tensors[i].touched {
                let y = self.tensors[i];
                self.hand_on(y);
                self.let_go(&y);
                self.clock.ended(self.tensors[i].op, 1);
            }
            past(self, i);
        }
    }

    /// Is there something in the gradients of these to add to, or are they to be replaced? They are where they make up
    /// the whole of one tensor to which nothing was handed yet; else what was not touched becomes 0.
    fn touch_all<const N: usize>(&mut self, parts: [Id; N]) -> bool {
        let owner = self.owner(parts[0]);
        let all = self.get(owner);
        let mut columns = parts.map(|id| (self.get(id).start, self.get(id).shape.cols));
        columns.sort_unstable();
        let end =
            columns.iter().fold(all.start, |end, &(start, cols)| if start == end { end + cols } else { 0 });
        let whole = end == all.start + all.shape.cols && parts.iter().all(|&id| self.owner(id) == owner);
        if whole && !self.touch(owner) {
            parts.into_iter().for_each(|id| _ = self.touch(id));
            return false;
        }
        parts.into_iter().for_each(|id| self.ready(id));
        true
    }

    /// dx (+)= dy.
    fn pass(&mut self, x: Id, y: &Stored) {
        let to = self.get(x);
        if to.place == Place::Params {
            return slices::add_into(self.param_grads.at(to.all()), &self.slopes[y.slopes()]);
        }
        let add = self.touch(x);
        let [dx, dy] = self.slopes.each([self.get(x).slopes(), y.slopes()]);
        if add { slices::add_into(dx, dy) } else { dx.copy_from_slice(dy) }
    }

    pub(super) fn linear_back(&mut self, y: &Stored, x: Id, w: Id) {
        let (w, input) = (self.get(w), self.get(x));
        assert_eq!(w.place, Place::Params, "linear: weights are parameters");
        assert_eq!(input.place, Place::Step, "linear: the input is a tensor of this step");
        let (t, i, o) = (y.shape.rows, input.shape.cols, y.shape.cols);
        let (dw, add) = self.param_grads.first(w.all());
        matmul::linear_dw(dw, &self.slopes[y.slopes()], &self.values[input.all()], t, i, o, add);
        let add = self.touch(x);
        let [dx, dy] = self.slopes.each([self.get(x).slopes(), y.slopes()]);
        matmul::linear_dx(dx, dy, &self.params[w.all()], t, i, o, add);
    }

    fn hand_on(&mut self, y: Stored) {
        let (t, c) = (y.shape.rows, y.shape.cols);
        match y.op {
            // The numbers are another tensor's, and so is their gradient.
            Op::Param { .. } | Op::Columns { .. } => {}
            Op::CrossEntropy(logits) => {
                // The logits were given theirs together with the loss, as if this were all there is to it.
                let g = self.slopes[y.slope];
                if g != 1.0 {
                    let logits = self.get(logits).slopes();
                    slices::scale(&mut self.slopes[logits], g);
                }
            }
            Op::Remember { .. } | Op::Model { .. } => panic!("backward: decoding keeps no gradient"),
            Op::Gather { w, by } => {
                let w = self.get(w);
                assert_eq!(w.place, Place::Params, "gather: a table of parameters");
                for (r, &row) in by.of(&self.batch).iter().enumerate() {
                    slices::add_into(
                        self.param_grads.at(w.row(row as usize)),
                        &self.slopes[y.slope().row(r)],
                    );
                }
            }
            Op::Embed { tokens, places } => {
                let (what, place) = (self.get(tokens), self.get(places));
                embed::backward(
                    self.param_grads.with([what.all(), place.all()]),
                    [what.all(), place.all()],
                    &self.slopes[y.slopes()],
                    &self.values[y.all()],
                    &self.values[y.kept..y.kept + t],
                    &self.batch.tokens,
                    &self.batch.positions,
                );
            }
            Op::Window { x, width } => self.window_back(&y, x, width),
            Op::Recur { .. } => self.recur_back(&y),
            Op::Layer { .. } => self.layer_back(y),
            Op::Add(a, b) if self.get(b).shape == y.shape => {
                self.pass(a, &y);
                self.pass(b, &y);
            }
            Op::Activate { x, f } => {
                let add = self.touch_all([x]);
                let x = self.get(x);
                let [dx, dy] = self.slopes.each([x.slopes(), y.slopes()]);
                let x = x.all();
                match kernel_of(f) {
                    Some(kernel) => activation::backward(kernel, dx, dy, &self.values[x], add),
                    None => {
                        if !add {
                            dx.fill(0.0);
                        }
                        formula::backward(&f.formula().slopes, dx, &mut [], dy, &self.values[x], &[]);
                    }
                }
            }
            Op::Gate { x, g, f } => {
                self.ready(x);
                self.ready(g);
                let (x, g) = (self.get(x), self.get(g));
                let [dx, dg, dy] = self.slopes.each([x.slopes(), g.slopes(), y.slopes()]);
                let (x, g) = (&self.values[x.all()], &self.values[g.all()]);
                formula::backward(&f.formula().slopes, dx, dg, dy, x, g);
            }
            Op::Linear { x, w } if self.narrow_linear_back(&y, x, w) => {}
            Op::Linear { x, w } => self.linear_back(&y, x, w),
            Op::LinearOnto { x, w, onto } => {
                self.linear_back(&y, x, w);
                self.pass(onto, &y);
            }
            Op::LinearBias { .. }
            | Op::RmsNormGain { .. }
            | Op::LayerNorm { .. }
            | Op::DynamicTanh { .. } => {
                self.with_rows_back(&y);
            }
            Op::Dropout { x, rate, place } => self.dropout_back(&y, x, rate, place),
            Op::Affine { x, scale, .. } => {
                self.ready(x);
                let [dx, dy] = self.slopes.each([self.get(x).slopes(), y.slopes()]);
                slices::axpy(dx, scale as f32, dy);
            }
            Op::Reshape(x) => {
                self.ready(x);
                let (around, x) = self.slopes_around(x);
                let [dx, dy] = self.slopes.each([around, y.slopes()]);
                for (r, dy) in dy.chunks_exact(x.shape.cols).enumerate() {
                    slices::add_into(&mut dx[x.row(r)], dy);
                }
            }
            Op::RmsNorm(x) => {
                let add = self.touch_all([x]);
                let x = self.get(x);
                let [dx, dy] = self.slopes.each([x.slopes(), y.slopes()]);
                let inverse = &self.values[y.kept..y.kept + t];
                norm::rmsnorm_backward(dx, dy, &self.values[x.all()], inverse, t, c, add);
            }
            Op::Sinusoids => {}
            Op::Rotate { .. } => self.rotate_back(&y),
            Op::Feature(x) => self.feature_back(&y, x),
            Op::Attention { q, k, v, sight } | Op::LinearAttention { q, k, v, sight } => {
                let add = self.touch_all([q, k, v]);
                let tables = [q, k, v].map(|id| self.get(id));
                let all = [q, k, v].map(|id| self.get(self.owner(id)).slopes());
                let rows =
                    |s: Stored| attention::Rows { data: &self.values, offset: s.start, stride: s.stride };
                let [q_rows, k_rows, v_rows] = tables.map(rows);
                let (heads, head_size) = (sight.heads(), c / sight.heads());
                let (segments, variant) = (&self.segments, self.tables.variant(sight));
                let inputs = attention::Inputs {
                    q: q_rows,
                    k: k_rows,
                    v: v_rows,
                    segments,
                    heads,
                    head_size,
                    variant,
                };
                let saved = attention::saved_len(segments, heads, head_size);
                let (out, saved) = (&self.values[y.all()], &self.values[y.kept..y.kept + saved]);
                // One slice holds all three gradients. If y's lies among them, as it may if they are of different
                // tensors, it is read from a copy.
                let start = all.iter().map(|all| all.start).min().unwrap_or_default();
                let end = all.iter().map(|all| all.end).max().unwrap_or_default();
                let place = |s: Stored| attention::Place { offset: s.slope - start, stride: s.stride };
                let (grads, dout) = if y.slope < end && start < y.slopes().end {
                    self.among.grow(y.shape.len());
                    self.among[..y.shape.len()].copy_from_slice(&self.slopes[y.slopes()]);
                    (&mut self.slopes[start..end], &self.among[..y.shape.len()])
                } else {
                    let [grads, dout] = self.slopes.each([start..end, y.slopes()]);
                    (grads, &*dout)
                };
                let places = tables.map(place);
                match y.op {
                    Op::Attention { .. } => {
                        attention::backward(grads, places, dout, out, saved, &inputs, add)
                    }
                    _ => attention::linear::backward(grads, places, dout, out, saved, &inputs, add),
                }
            }
            _ => self.primitive_back(y),
        }
    }
}
