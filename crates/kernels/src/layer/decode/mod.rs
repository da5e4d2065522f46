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
use crate::level::{self, Level};

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

    /// How the kernel goes about this model, if it serves: layers and a head that have one, heads of 4 channels.
    pub fn plan(&self) -> Option<Plan> {
        let fits = self.layer.head_size() == HEAD && self.layer.fits(&[]) && self.head().fits();
        fits.then(|| Plan::new(*self))
    }
}

/// What is known of a model before there is a token, found out once.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    model: Model,
    level: Level,
    /// How many positions the kernel goes to.
    reach: usize,
    /// Where [`pack`] puts what, behind the layers' matrices.
    head: usize,
    /// Numbers in a row of the head.
    head_columns: usize,
    /// Each token's row times the first wq, wk, wv.
    tokens: usize,
    /// The same for each position.
    places: usize,
    /// For each token at each position: what norms the sum of their rows, and what norms it twice.
    norms: usize,
    packed_len: usize,
    /// The most numbers that there are of a row at a time.
    wide: usize,
}

impl Plan {
    fn new(model: Model) -> Plan {
        let Model { layer: Layer { channels: c, hidden, .. }, outputs, .. } = model;
        let (row, reach) = (3 * c, model.positions.min(small::MOST_KEYS));
        let head = model.layers * model.layer.weights_len();
        let tokens = head + model.head().packed_len();
        let places = tokens + outputs * row;
        let norms = places + reach * row;
        Plan {
            model,
            level: level::current(),
            reach,
            head,
            head_columns: model.head().packed_len() / c,
            tokens,
            places,
            norms,
            packed_len: norms + 2 * outputs * reach,
            wide: hidden.max(6 * c).max(outputs),
        }
    }

    /// Which model it is for.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Whether it serves at the present level.
    pub fn holds(&self) -> bool {
        self.level == level::current()
    }

    /// Whether the kernel serves for these: one token of each document, at the present level.
    pub fn fits(&self, segments: &[Segment]) -> bool {
        self.holds() && segments.iter().all(|s| s.q_len == 1 && s.past < self.reach)
    }

    /// How many numbers [`pack`] makes.
    pub fn packed_len(&self) -> usize {
        self.packed_len
    }

    /// How many numbers [`forward`] wants to write notes in.
    pub fn scratch_len(&self) -> usize {
        GROUP * (4 * self.model.layer.channels + self.wide + 16)
    }
}

/// All weights as [`forward`] wants them, given as they stand in the model: the tables `[V, C]` and `[positions, C]`,
/// the layers', one after the other, and the head's.
///
/// # Panics
/// If the level is not that of the plan, or a slice is not of its shape.
pub fn pack(plan: &Plan, packed: &mut [f32], [what, place]: [&[f32]; 2], layers: &[f32], head: &[f32]) {
    assert!(plan.holds(), "decode: a plan for {:?}", plan.level);
    let model = &plan.model;
    let (c, each) = (model.layer.channels, model.layer.weights_len());
    let found = (packed.len(), layers.len(), what.len(), place.len());
    let wanted = (plan.packed_len, model.layers * each, model.outputs * c, model.positions * c);
    assert!(found == wanted, "decode: packed, layers, tables have {found:?} numbers, not {wanted:?}");
    for (to, from) in packed.chunks_mut(each).zip(layers.chunks(each)) {
        super::pack(&model.layer, to, from);
    }
    head::pack(&model.head(), &mut packed[plan.head..plan.tokens], head);
    forward::tables(packed, plan, what, &place[..plan.reach * c])
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
pub fn settle(plan: &Plan, logits: &mut [f32], rows: usize, scratch: &mut [f32]) {
    let (lanes, columns) = (plan.level.lanes(), plan.model.outputs);
    for group in logits[..turned(rows) * columns].chunks_exact_mut(lanes * columns) {
        let from = &mut scratch[..lanes * columns];
        from.copy_from_slice(group);
        for (r, row) in group.chunks_exact_mut(columns).enumerate() {
            row.iter_mut().enumerate().for_each(|(o, z)| *z = from[o * lanes + r]);
        }
    }
}

/// The logits of what follows each token, `[T, V]`, of which some are [`turned`]; what stands in `logits` behind them is
/// overwritten.
///
/// Shapes: what `[V, C]`, place `[positions, C]`; packed: from [`pack`]; tokens, places: one for each segment; scratch:
/// [`Plan::scratch_len`]. `memory` is where the first layer's keys and values are; those of each next layer stand twice
/// `v.offset - k.offset` further.
///
/// # Panics
/// If the kernel does not serve ([`Plan::fits`]), a slice is not of its shape, or there is no such row.
pub fn forward(
    plan: &Plan,
    logits: &mut [f32],
    [what, place]: [&[f32]; 2],
    packed: &[f32],
    [tokens, places]: [&[u32]; 2],
    segments: &[Segment],
    memory: Memory<'_>,
    scratch: &mut [f32],
) {
    let (model, c, t) = (&plan.model, plan.model.layer.channels, segments.len());
    let found = (tokens.len(), places.len(), packed.len(), scratch.len());
    let wanted = (t, t, plan.packed_len, plan.scratch_len());
    assert!(
        found == wanted,
        "decode: tokens, places, packed, scratch have {found:?} numbers, not {wanted:?}"
    );
    assert!(logits.len() >= t * model.outputs, "decode: {} logits for {t} tokens", logits.len());
    let found = (what.len(), place.len());
    assert!(found == (model.outputs * c, model.positions * c), "decode: tables of {found:?} numbers");
    let most = |numbers: &[u32]| numbers.iter().fold(0, |most, &n| most.max(n)) as usize;
    let mut fits = plan.holds() && most(tokens) < model.outputs && most(places) < plan.reach;
    let mut last = 0;
    for s in segments {
        fits &= s.q_len == 1 && s.past < plan.reach;
        last = s.kv_start.saturating_add(s.past).max(last);
    }
    assert!(fits, "decode: tokens {tokens:?} at {places:?}, {segments:?}, of {plan:?}");
    assert!(memory.v.offset >= memory.k.offset, "decode: values stand behind keys");
    let further = 2 * (memory.v.offset - memory.k.offset) * model.layers.saturating_sub(1);
    let room = memory.data.len().saturating_sub(memory.v.offset + further);
    assert!(memory.k.stride == c && memory.v.stride == c, "decode: memories of rows of the model");
    // A copy is told: what a message borrows stays in memory all the while.
    assert!(t == 0 || last < room / c, "decode: memory of row {}", { last });
    forward::run(plan, logits, what, place, packed, tokens, places, segments, memory, scratch)
}
