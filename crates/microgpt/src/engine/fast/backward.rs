//! What has a kernel, backwards; the rest is in `primitives`.

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
        self.room_for_grads();
        self.grads[stored.start] = 1.0;
        self.clock.skip();
        self.tensors[loss.0 as usize].touched = true;
        for i in (0..=loss.0 as usize).rev() {
            // What nothing was computed from, or only what the loss does not depend on, has no gradient.
            if self.tensors[i].touched {
                self.hand_on(self.tensors[i]);
                self.clock.ended(self.tensors[i].op, 1);
            }
            past(self, i);
        }
    }

    /// The tensor whose numbers these are: that of which `id` is some columns.
    pub(super) fn owner(&self, mut id: Id) -> Id {
        while let Op::Columns { x, .. } = self.get(id).op {
            id = x;
        }
        id
    }

    /// Is there something in the gradient of `id`, or of the tensor that all these columns are, to add to? After this
    /// there is.
    pub(super) fn touch(&mut self, id: Id) -> bool {
        let owner = self.owner(id);
        let before = std::mem::replace(&mut self.tensors[owner.0 as usize].touched, true);
        self.tensors[id.0 as usize].touched = true;
        before
    }

    /// Makes sure that the gradient of `id` can be added to: what was not touched is 0.
    pub(super) fn ready(&mut self, id: Id) {
        let owner = self.owner(id);
        let stored = self.get(owner);
        assert_eq!(
            stored.place,
            Place::Step,
            "{:?}: gradients of parameters come from gather, linear and +",
            stored.op
        );
        if !self.touch(owner) {
            self.grads[stored.all()].fill(0.0);
        }
        self.tensors[id.0 as usize].touched = true;
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
            return slices::add_into(self.param_grads.at(to.all()), &self.grads[y.all()]);
        }
        let add = self.touch(x);
        let (before, dy) = self.grads.split_at_mut(y.start);
        let (dx, dy) = (&mut before[to.all()], &dy[..y.shape.len()]);
        if add { slices::add_into(dx, dy) } else { dx.copy_from_slice(dy) }
    }

    pub(super) fn linear_back(&mut self, y: &Stored, x: Id, w: Id) {
        let (w, input) = (self.get(w), self.get(x));
        assert_eq!(w.place, Place::Params, "linear: weights are parameters");
        assert_eq!(input.place, Place::Step, "linear: the input is a tensor of this step");
        let (t, i, o) = (y.shape.rows, input.shape.cols, y.shape.cols);
        matmul::linear_dw(
            self.param_grads.at(w.all()),
            &self.grads[y.all()],
            &self.values[input.all()],
            t,
            i,
            o,
        );
        let add = self.touch(x);
        let (before, dy) = self.grads.split_at_mut(y.start);
        let (dx, dy) = (&mut before[input.all()], &dy[..y.shape.len()]);
        matmul::linear_dx(dx, dy, &self.params[w.all()], t, i, o, add);
    }

    fn hand_on(&mut self, y: Stored) {
        let (t, c) = (y.shape.rows, y.shape.cols);
        match y.op {
            // The numbers are another tensor's, and so is their gradient.
            Op::Param { .. } | Op::Columns { .. } => {}
            Op::CrossEntropy(logits) => {
                // The logits were given theirs together with the loss, as if this were all there is to it.
                let g = self.grads[y.start];
                if g != 1.0 {
                    let logits = self.get(logits).all();
                    slices::scale(&mut self.grads[logits], g);
                }
            }
            Op::Remember { .. } | Op::Model { .. } => panic!("backward: decoding keeps no gradient"),
            Op::Gather { w, by } => {
                let w = self.get(w);
                assert_eq!(w.place, Place::Params, "gather: a table of parameters");
                for (r, &row) in by.of(&self.batch).iter().enumerate() {
                    slices::add_into(self.param_grads.at(w.row(row as usize)), &self.grads[y.row(r)]);
                }
            }
            Op::Embed { tokens, places } => {
                let (what, place) = (self.get(tokens), self.get(places));
                embed::backward(
                    self.param_grads.with([what.all(), place.all()]),
                    [what.all(), place.all()],
                    &self.grads[y.all()],
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
                let x = self.get(x).all();
                let (before, dy) = self.grads.split_at_mut(y.start);
                let (dx, dy) = (&mut before[x.clone()], &dy[..y.shape.len()]);
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
                let (x, g) = (self.get(x).all(), self.get(g).all());
                let (before, dy) = self.grads.split_at_mut(y.start);
                let dy = &dy[..y.shape.len()];
                let [dx, dg] = before.get_disjoint_mut([x.clone(), g.clone()]).expect("two tensors");
                formula::backward(&f.formula().slopes, dx, dg, dy, &self.values[x], &self.values[g]);
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
                let x = self.get(x).all();
                let (before, dy) = self.grads.split_at_mut(y.start);
                slices::axpy(&mut before[x], scale as f32, &dy[..y.shape.len()]);
            }
            Op::Reshape(x) => {
                self.ready(x);
                let x = self.get(x);
                let (before, dy) = self.grads.split_at_mut(y.start);
                for (r, dy) in dy[..y.shape.len()].chunks_exact(x.shape.cols).enumerate() {
                    slices::add_into(&mut before[x.row(r)], dy);
                }
            }
            Op::RmsNorm(x) => {
                let add = self.touch_all([x]);
                let x = self.get(x).all();
                let (before, dy) = self.grads.split_at_mut(y.start);
                let (dx, dy) = (&mut before[x.clone()], &dy[..y.shape.len()]);
                let inverse = &self.values[y.kept..y.kept + t];
                norm::rmsnorm_backward(dx, dy, &self.values[x], inverse, t, c, add);
            }
            Op::Sinusoids => {}
            Op::Rotate { .. } => self.rotate_back(&y),
            Op::Feature(x) => self.feature_back(&y, x),
            Op::Attention { q, k, v, sight } | Op::LinearAttention { q, k, v, sight } => {
                let add = self.touch_all([q, k, v]);
                let tables = [q, k, v].map(|id| self.get(id));
                let rows =
                    |s: Stored| attention::Rows { data: &self.values, offset: s.start, stride: s.stride };
                let [q, k, v] = tables.map(rows);
                let places = tables.map(|s| attention::Place { offset: s.start, stride: s.stride });
                let (heads, head_size) = (sight.heads(), c / sight.heads());
                let (segments, variant) = (&self.segments, self.tables.variant(sight));
                let inputs = attention::Inputs { q, k, v, segments, heads, head_size, variant };
                let saved = attention::saved_len(segments, heads, head_size);
                let (grads, dout) = self.grads.split_at_mut(y.start);
                let dout = &dout[..y.shape.len()];
                let (out, saved) = (&self.values[y.all()], &self.values[y.kept..y.kept + saved]);
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
