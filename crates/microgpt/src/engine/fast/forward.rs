//! What has a kernel, forwards; the rest is in `primitives`.

use super::{Place, Stored, Tape};
use crate::activation::{Activation, Named};
use crate::tensor::{Id, Index, Op};
use microgpt_kernels::layer::embed;
use microgpt_kernels::{activation, attention, cross_entropy, formula, matmul, norm, slices};

/// What an operation may read: everything that stands before its own numbers.
pub(super) struct Before<'a> {
    params: &'a [f32],
    memory: &'a [f32],
    step: &'a [f32],
    tensors: &'a [Stored],
}

impl<'a> Before<'a> {
    pub(super) fn get(&self, id: Id) -> Stored {
        self.tensors[id.0 as usize]
    }

    fn numbers(&self, place: Place) -> &'a [f32] {
        match place {
            Place::Params => self.params,
            Place::Memory => self.memory,
            Place::Step => self.step,
        }
    }

    /// All numbers of a tensor without gaps.
    pub(super) fn all(&self, id: Id) -> &'a [f32] {
        let stored = self.get(id);
        &self.numbers(stored.place)[stored.all()]
    }

    /// A row of a tensor.
    pub(super) fn row(&self, id: Id, row: usize) -> &'a [f32] {
        let stored = self.get(id);
        &self.numbers(stored.place)[stored.row(row)]
    }

    /// Rows as the attention kernels take them.
    pub(super) fn rows(&self, id: Id) -> attention::Rows<'a> {
        let stored = self.get(id);
        attention::Rows { data: self.numbers(stored.place), offset: stored.start, stride: stored.stride }
    }
}

/// The kernel of its own that a function has, if it has one.
pub(super) fn kernel_of(f: Activation) -> Option<activation::Activation> {
    let Activation::Named(named) = f else { return None };
    match named {
        Named::SquaredRelu => Some(activation::Activation::SquaredRelu),
        Named::Relu => Some(activation::Activation::Relu),
        Named::GeluTanh => Some(activation::Activation::Gelu),
        Named::Silu => Some(activation::Activation::Silu),
        Named::Tanh => Some(activation::Activation::Tanh),
        _ => None,
    }
}

impl Tape {
    /// What `y` may read, and where its numbers go: those of the tensor, then what is kept for the way back.
    pub(super) fn split(&mut self, y: &Stored) -> (Before<'_>, &mut [f32], &mut [f32]) {
        let (step, rest) = self.values[..self.used].split_at_mut(y.start);
        let (out, kept) = rest.split_at_mut(y.kept - y.start);
        let before = Before { params: &self.params, memory: &self.memory, step, tensors: &self.tensors };
        (before, &mut out[..y.shape.len()], kept)
    }

    /// Computes the numbers of `y` from tensors that stand before it.
    pub(super) fn forward(&mut self, y: &Stored) {
        let (t, c) = (y.shape.rows, y.shape.cols);
        match y.op {
            Op::Param { .. } | Op::Columns { .. } => {}
            Op::Remember { x, .. } => {
                let x = self.get(x);
                for segment in &self.batch.segments {
                    for i in 0..segment.len {
                        let to = y.row(segment.memory + segment.past + i);
                        self.memory[to].copy_from_slice(&self.values[x.row(segment.start + i)]);
                    }
                }
            }
            Op::Gather { w, by } => {
                // The batch is taken out for the moment: it is read while the numbers are written.
                let batch = std::mem::take(&mut self.batch);
                let (before, out, _) = self.split(y);
                let rows = before.get(w).shape.rows;
                for (out, &row) in out.chunks_exact_mut(c).zip(by.of(&batch)) {
                    assert!((row as usize) < rows, "row {row} of a table of {rows}");
                    out.copy_from_slice(before.row(w, row as usize));
                }
                self.batch = batch;
            }
            Op::Add(a, b) if self.get(b).shape == y.shape => {
                let (before, out, _) = self.split(y);
                out.copy_from_slice(before.all(a));
                slices::add_into(out, before.all(b));
            }
            Op::Activate { x, f } => {
                let (before, out, _) = self.split(y);
                match kernel_of(f) {
                    Some(kernel) => activation::forward(kernel, out, before.all(x)),
                    None => formula::forward(&f.formula().program, out, before.all(x), &[]),
                }
            }
            Op::Gate { x, g, f } => {
                let (before, out, _) = self.split(y);
                formula::forward(&f.formula().program, out, before.all(x), before.all(g));
            }
            Op::Linear { x, w } if self.narrow_linear(y, x, w) => {}
            Op::Linear { x, w } => {
                let (before, out, _) = self.split(y);
                matmul::linear(out, before.all(x), before.all(w), t, before.get(x).shape.cols, c, false);
            }
            Op::LinearOnto { x, w, onto } => {
                let (before, out, _) = self.split(y);
                let (onto, inner) = (before.all(onto), before.get(x).shape.cols);
                matmul::linear_onto(out, onto, before.all(x), before.all(w), t, inner, c);
            }
            Op::LinearBias { .. }
            | Op::RmsNormGain { .. }
            | Op::LayerNorm { .. }
            | Op::DynamicTanh { .. } => {
                self.with_rows(y);
            }
            Op::Dropout { x, rate, place } => self.dropout(y, x, rate, place),
            Op::Affine { x, scale, shift } => {
                let (before, out, _) = self.split(y);
                slices::affine(out, before.all(x), scale as f32, shift as f32);
            }
            Op::Reshape(x) => {
                let (before, out, _) = self.split(y);
                let width = before.get(x).shape.cols;
                for (r, out) in out.chunks_exact_mut(width).enumerate() {
                    out.copy_from_slice(before.row(x, r));
                }
            }
            Op::RmsNorm(x) => {
                let (before, out, inverse) = self.split(y);
                norm::rmsnorm(out, &mut inverse[..t], before.all(x), t, c);
            }
            Op::Sinusoids => self.sinusoids(y),
            Op::Rotate { .. } => self.rotate(y),
            Op::Feature(x) => self.feature(y, x),
            Op::Attention { q, k, v, sight } | Op::LinearAttention { q, k, v, sight } => {
                let (segments, mut tables) =
                    (std::mem::take(&mut self.segments), std::mem::take(&mut self.tables));
                let (heads, head_size) = (sight.heads(), c / sight.heads());
                let saved = attention::saved_len(&segments, heads, head_size);
                let (before, out, kept) = self.split(y);
                let [q, k, v] = [q, k, v].map(|id| before.rows(id));
                let variant = tables.variant(sight);
                let inputs = attention::Inputs { q, k, v, segments: &segments, heads, head_size, variant };
                match y.op {
                    Op::Attention { .. } => attention::forward(out, &mut kept[..saved], &inputs),
                    _ => attention::linear::forward(out, &mut kept[..saved], &inputs),
                }
                (self.segments, self.tables) = (segments, tables);
            }
            Op::Embed { tokens, places } => {
                let (what, place) = (self.get(tokens), self.get(places));
                let (out, inverse) = self.values[y.start..].split_at_mut(y.kept - y.start);
                embed::forward(
                    &mut out[..t * c],
                    &mut inverse[..t],
                    &self.params[what.all()],
                    &self.params[place.all()],
                    &self.batch.tokens,
                    &self.batch.positions,
                );
            }
            Op::Window { x, width } => self.window(y, x, width),
            Op::Recur { .. } => self.recur(y),
            Op::Layer { .. } => self.layer(y),
            Op::Model { .. } => self.model(y),
            Op::CrossEntropy(logits) => {
                // The gradient is found together with the loss, and put where it belongs at once.
                let batch = std::mem::take(&mut self.batch);
                let x = self.get(logits);
                let scale = 1.0 / batch.loss_rows as f32;
                self.touch(logits);
                let place = self.get(logits).slopes();
                let mut slopes = std::mem::take(&mut self.slopes);
                let (before, out, losses) = self.split(y);
                let (losses, targets) = (&mut losses[..x.shape.rows], Index::Targets.of(&batch));
                let dlogits = &mut slopes[place];
                let sum = cross_entropy::cross_entropy(
                    losses,
                    dlogits,
                    before.all(logits),
                    targets,
                    x.shape.cols,
                    scale,
                );
                out[0] = (sum / batch.loss_rows as f64) as f32;
                (self.slopes, self.batch) = (slopes, batch);
            }
            _ => self.primitive(*y),
        }
    }
}
