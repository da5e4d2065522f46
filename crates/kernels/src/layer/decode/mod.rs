//! A whole small model in one go: a token of each of several documents, from its row to the logits of the next.
//!
//! A product begins before its row is normed, because norm(x) w^T = (x w^T) / rms(x): nothing waits for the root. The
//! first product, of a token's row and its position's, is the sum of theirs, which are made once for all ([`pack`]).
//! Nothing is kept for a way back.

mod forward;
mod lanes;
mod look;

use super::head::{self, Head};
use super::{Layer, Memory};
use crate::attention::{Segment, small};
use crate::level;

/// The definition, from those of its parts.
pub mod naive {
    use super::Model;
    use crate::attention::Segment;
    use crate::layer::{self, embed};
    use crate::matmul;

    /// The logits after each token of a document, `[T, V]`: what [`forward`](super::forward) gives token by token.
    /// Weights as they stand in the model: the layers', one after the other, and the head's.
    pub fn forward(
        model: &Model,
        what: &[f32],
        place: &[f32],
        layers: &[f32],
        head: &[f32],
        tokens: &[u32],
    ) -> Vec<f32> {
        let (t, c) = (tokens.len(), model.layer.channels);
        let places: Vec<u32> = (0..t as u32).collect();
        let (mut x, mut inverse) = (vec![0.0; t * c], vec![0.0; t]);
        embed::naive::forward(&mut x, &mut inverse, what, place, tokens, &places);
        for weights in layers.chunks(model.layer.weights_len()) {
            let document = Segment { q_start: 0, q_len: t, kv_start: 0, past: 0 };
            x = layer::naive::forward(&model.layer, &x, weights, &[document]).out;
        }
        let mut logits = vec![0.0; t * model.outputs];
        matmul::naive::linear(&mut logits, &x, head, t, c, model.outputs, false);
        logits
    }
}

/// Which model: so many layers of a kind, and how large its tables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// Each of its layers.
    pub layer: Layer,
    /// How many.
    pub layers: usize,
    /// V: how many tokens there are.
    pub outputs: usize,
    /// How many positions there are.
    pub positions: usize,
}

/// So many documents go through together.
const GROUP: usize = 16;
/// Channels of a head, D.
const HEAD: usize = 4;

impl Model {
    fn head(&self) -> Head {
        Head { channels: self.layer.channels, outputs: self.outputs }
    }

    /// Whether the kernel serves: layers and a head that have one, heads of 4 channels, one token of each document.
    pub fn fits(&self, segments: &[Segment]) -> bool {
        self.layer.head_size() == HEAD
            && self.layer.fits(&[])
            && self.head().fits()
            && segments.iter().all(|s| s.q_len == 1 && s.past < self.reach())
    }

    /// How many positions the kernel goes to.
    fn reach(&self) -> usize {
        self.positions.min(small::MOST_KEYS)
    }

    /// Where [`pack`] puts what.
    fn packed(&self) -> Packed {
        let (v, s, row) = (self.outputs, self.reach(), 3 * self.layer.channels);
        let head = self.layers * self.layer.weights_len();
        let tokens = head + self.head().packed_len();
        let places = tokens + v * row;
        let norms = places + s * row;
        Packed { head, tokens, places, norms, len: norms + 2 * v * s }
    }

    /// How many numbers [`pack`] makes.
    pub fn packed_len(&self) -> usize {
        self.packed().len
    }

    /// How many numbers [`forward`] wants to write notes in.
    pub fn scratch_len(&self) -> usize {
        GROUP * (4 * self.layer.channels + self.wide() + 16)
    }

    /// The most numbers that there are of a row at a time.
    fn wide(&self) -> usize {
        self.layer.hidden.max(6 * self.layer.channels).max(self.outputs)
    }
}

/// Places in what is packed, behind the layers' matrices.
struct Packed {
    head: usize,
    /// Each token's row times the first wq, wk, wv.
    tokens: usize,
    /// The same for each position.
    places: usize,
    /// For each token at each position: what norms the sum of their rows, and what norms it twice.
    norms: usize,
    len: usize,
}

/// All weights as [`forward`] wants them, given as they stand in the model: the tables `[V, C]` and `[positions, C]`,
/// the layers', one after the other, and the head's.
///
/// # Panics
/// If the model is not for this kernel, or a slice is not of its shape.
pub fn pack(model: &Model, packed: &mut [f32], [what, place]: [&[f32]; 2], layers: &[f32], head: &[f32]) {
    assert!(model.fits(&[]), "decode: {model:?} is not for this kernel");
    let (c, each, places) = (model.layer.channels, model.layer.weights_len(), model.packed());
    let found = (packed.len(), layers.len(), what.len(), place.len());
    let wanted = (places.len, model.layers * each, model.outputs * c, model.positions * c);
    assert!(found == wanted, "decode: packed, layers, tables have {found:?} numbers, not {wanted:?}");
    for (to, from) in packed.chunks_mut(each).zip(layers.chunks(each)) {
        super::pack(&model.layer, to, from);
    }
    head::pack(&model.head(), &mut packed[places.head..places.tokens], head);
    forward::tables(packed, &places, what, &place[..model.reach() * c], c)
}

/// How many rows of logits [`forward`] leaves turned around: register of lanes by register of lanes of them, each
/// as `[V, lanes]` instead of `[lanes, V]`. It is all that [`sample::draw`](crate::sample::draw) needs.
pub fn turned(rows: usize) -> usize {
    rows - rows % level::current().lanes()
}

/// The logits as `[T, V]`, from what [`forward`] has left of them.
///
/// # Panics
/// If the slices are not those of the forward pass.
pub fn settle(model: &Model, logits: &mut [f32], rows: usize, scratch: &mut [f32]) {
    let (lanes, each) = (level::current().lanes(), level::current().lanes() * model.outputs);
    for group in logits[..turned(rows) * model.outputs].chunks_exact_mut(each) {
        let from = &mut scratch[..each];
        from.copy_from_slice(group);
        for (r, row) in group.chunks_exact_mut(model.outputs).enumerate() {
            row.iter_mut().enumerate().for_each(|(o, z)| *z = from[o * lanes + r]);
        }
    }
}

/// The logits of what follows each token, `[T, V]`, of which some are [`turned`]; what stands in `logits` behind them is
/// overwritten.
///
/// Shapes: what `[V, C]`, place `[positions, C]`; packed: from [`pack`]; tokens, places: one for each segment; scratch:
/// [`Model::scratch_len`]. `memory` is where the first layer's keys and values are; those of each next layer stand twice
/// `v.offset - k.offset` further.
///
/// # Panics
/// If the model is not for this kernel ([`Model::fits`]), a slice is not of its shape, or there is no such row.
pub fn forward(
    model: &Model,
    logits: &mut [f32],
    [what, place]: [&[f32]; 2],
    packed: &[f32],
    [tokens, places]: [&[u32]; 2],
    segments: &[Segment],
    memory: Memory<'_>,
    scratch: &mut [f32],
) {
    let (c, t) = (model.layer.channels, segments.len());
    assert!(model.fits(segments), "decode: {model:?} is not for this kernel");
    let found = (tokens.len(), places.len(), packed.len(), scratch.len());
    let wanted = (t, t, model.packed_len(), model.scratch_len());
    assert!(
        found == wanted,
        "decode: tokens, places, packed, scratch have {found:?} numbers, not {wanted:?}"
    );
    assert!(logits.len() >= t * model.outputs, "decode: {} logits for {t} tokens", logits.len());
    let found = (what.len(), place.len());
    assert!(found == (model.outputs * c, model.positions * c), "decode: tables of {found:?} numbers");
    for (&token, &place) in tokens.iter().zip(places) {
        let inside = (token as usize) < model.outputs && (place as usize) < model.reach();
        assert!(inside, "decode: token {token} at {place} in {model:?}");
    }
    assert!(memory.v.offset >= memory.k.offset, "decode: values stand behind keys");
    let further = 2 * (memory.v.offset - memory.k.offset) * model.layers.saturating_sub(1);
    for s in segments {
        let end = memory.v.at(s.kv_start + s.past).max(memory.k.at(s.kv_start + s.past)) + further + c;
        assert!(end <= memory.data.len(), "decode: memory of {s:?}");
    }
    forward::run(model, logits, what, place, packed, tokens, places, segments, memory, scratch)
}
