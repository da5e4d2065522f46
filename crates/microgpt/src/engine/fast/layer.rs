//! What is as large as a whole layer, and which composites have a kernel at which shape.

use super::forward::kernel_of;
use super::{Place, Stored, Tape};
use crate::tensor::{Id, Op, Shape};
use microgpt_kernels::buffer::Buffer;
use microgpt_kernels::layer::head;
use microgpt_kernels::{attention, layer};

/// The kernel's name for the layer that `op` is (or has), over rows of `channels`, if its activation has one.
pub(super) fn kernel(op: Op, channels: usize) -> Option<layer::Layer> {
    match op {
        Op::Layer { hidden, heads, f, .. } | Op::Model { hidden, heads, f, .. } => {
            let (heads, hidden) = (heads as usize, hidden as usize);
            kernel_of(f).map(|activation| layer::Layer { channels, heads, hidden, activation })
        }
        _ => unreachable!("{op:?} is no layer"),
    }
}

/// Matrices as their kernels want them, each made anew after the weights have changed. Few: found by looking.
#[derive(Debug, Default)]
pub(super) struct Packed {
    /// The place of each in the flat slice; is it of the present weights?; its numbers.
    all: Vec<(usize, bool, Buffer)>,
}

impl Packed {
    /// The weights are about to change.
    pub(super) fn forget(&mut self) {
        self.all.iter_mut().for_each(|(_, fresh, _)| *fresh = false);
    }

    /// `len` numbers for the weights at `offset`, as `pack` makes them.
    pub(super) fn get(&mut self, offset: usize, len: usize, pack: impl FnOnce(&mut [f32])) -> &[f32] {
        let found =
            self.all.iter().position(|&(place, _, ref numbers)| place == offset && numbers.len() == len);
        let i = found.unwrap_or_else(|| {
            self.all.push((offset, false, Buffer::zeros(len)));
            self.all.len() - 1
        });
        let (_, fresh, numbers) = &mut self.all[i];
        if !std::mem::replace(fresh, true) {
            pack(numbers);
        }
        numbers
    }
}

impl Tape {
    /// The kernel for a linear map from a narrow row, if this is one.
    fn head(&self, x: Id, y: &Stored) -> Option<head::Head> {
        let x = self.get(x);
        let head = head::Head { channels: x.shape.cols, outputs: y.shape.cols };
        (self.fuse && x.place == Place::Step && x.stride == x.shape.cols && head.fits()).then_some(head)
    }

    /// Computes a linear map by that kernel; false if there is none.
    pub(super) fn narrow_linear(&mut self, y: &Stored, x: Id, w: Id) -> bool {
        let Some(head) = self.head(x, y) else { return false };
        let (x, w) = (self.get(x), self.get(w));
        let packed = self.packed.get(w.start, head.packed_len(), |packed| {
            head::pack(&head, packed, &self.params[w.all()]);
        });
        let (before, out) = self.values.split_at_mut(y.start);
        head::forward(&head, &mut out[..y.shape.len()], &before[x.all()], packed);
        true
    }

    /// The way back of [`Tape::narrow_linear`].
    pub(super) fn narrow_linear_back(&mut self, y: &Stored, x: Id, w: Id) -> bool {
        let Some(head) = self.head(x, y) else { return false };
        let add = self.touch(x);
        let (x, w) = (self.get(x), self.get(w));
        let [dx, dy] = self.slopes.each([x.slopes(), y.slopes()]);
        head::backward(
            &head,
            dx,
            add,
            self.param_grads.at(w.all()),
            dy,
            &self.values[x.all()],
            &self.params[w.all()],
        );
        true
    }

    pub(super) fn fuses(&mut self, op: Op) -> bool {
        self.fuse
            && match op {
                Op::Layer { x, .. } => {
                    kernel(op, self.get(x).shape.cols).is_some_and(|layer| layer.fits(&self.segments))
                }
                Op::Embed { tokens, .. } => layer::embed::fits(self.get(tokens).shape.cols),
                Op::Model { .. } => {
                    self.batch.decoding
                        && self.plan(op).is_some()
                        && self.plan.as_ref().is_some_and(|(_, plan)| plan.fits(&self.segments))
                }
                _ => true,
            }
    }

    pub(super) fn layer_kept_len(&self, op: Op, shape: Shape) -> usize {
        let layer = kernel(op, shape.cols).expect("a layer with a kernel");
        // The way back writes its notes behind the gradient of y.
        layer.kept_len(shape.rows, &self.segments).max(layer.scratch_len())
    }

    pub(super) fn layer(&mut self, y: &Stored) {
        let Op::Layer { x, offset, slot, .. } = y.op else { unreachable!("{:?}", y.op) };
        let layer = kernel(y.op, y.shape.cols).expect("a layer with a kernel");
        let (x, offset, slot) = (self.get(x), offset as usize, slot as usize);
        assert_eq!(x.place, Place::Step, "layer: a tensor of this step");
        let weights = offset..offset + layer.weights_len();
        let packed = self.packed.get(offset, weights.len(), |packed| {
            layer::pack(&layer, packed, &self.params[weights.clone()]);
        });
        let cols = self.memory_cols;
        let table = |slot| attention::Place { offset: slot * self.memory_rows * cols, stride: cols };
        let (k, v) = (table(slot), table(slot + 1));
        let memory = self.batch.decoding.then(|| layer::Memory { data: &mut self.memory, k, v });
        let (before, rest) = self.values.split_at_mut(y.start);
        let (out, kept) = rest.split_at_mut(y.kept - y.start);
        let kept_len = layer.kept_len(y.shape.rows, &self.segments);
        layer::forward(
            &layer,
            &mut out[..y.shape.len()],
            &mut kept[..kept_len],
            &before[x.all()],
            packed,
            &self.segments,
            memory,
        );
    }

    pub(super) fn layer_back(&mut self, y: Stored) {
        let Op::Layer { x, offset, .. } = y.op else { unreachable!("{:?}", y.op) };
        let layer = kernel(y.op, y.shape.cols).expect("a layer with a kernel");
        let weights = offset as usize..offset as usize + layer.weights_len();
        let add = self.touch(x);
        let x = self.get(x);
        let notes = y.slope + (y.kept - y.start);
        let notes = notes..notes + layer.scratch_len();
        let [dx, dout, scratch] = self.slopes.each([x.slopes(), y.slopes(), notes]);
        let kept_len = layer.kept_len(y.shape.rows, &self.segments);
        layer::backward(
            &layer,
            dx,
            add,
            self.param_grads.at(weights.clone()),
            dout,
            &self.params[weights],
            &self.values[y.kept..y.kept + kept_len],
            &self.segments,
            scratch,
        );
    }
}
