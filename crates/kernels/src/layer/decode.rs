//! A whole small model in one go: a token of each of several documents, from its row to the logits of the next.
//!
//! A product begins before its row is normed, because norm(x) w^T = (x w^T) / rms(x): nothing waits for the root. The
//! first product, of a token's row and its position's, is the sum of theirs, which are made once for all ([`pack`]).
//! Nothing is kept for a way back.
#![expect(unsafe_code, reason = "reads behind one check for all rows")]

use super::forward::{Write, add, dot, load, store};
use super::head::{self, Head};
use super::tile::{Finish, Table, each_register, each_row};
use super::{Layer, Memory};
use crate::activation::{self, Activation};
use crate::attention::{Place, Segment, small};
use crate::math;
use crate::vector::Vector;
use std::ops::Range;

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
        GROUP * (3 * self.layer.channels + self.layer.hidden + 16)
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
    tables(packed, &places, what, &place[..model.reach() * c], c)
}

simd! { fn tables(packed: &mut [f32], at: &Packed, what: &[f32], place: &[f32], c: usize) = tables_widths; }

#[inline(always)]
fn tables_widths<V: Vector>(packed: &mut [f32], at: &Packed, what: &[f32], place: &[f32], c: usize) {
    if c == V::LANES {
        tables_body::<V, 1>(packed, at, what, place)
    } else {
        tables_body::<V, 2>(packed, at, what, place)
    }
}

#[inline(always)]
fn tables_body<V: Vector, const NC: usize>(packed: &mut [f32], at: &Packed, what: &[f32], place: &[f32]) {
    let (c, to) = (NC * V::LANES, packed.as_mut_ptr());
    // SAFETY: `pack` saw that the tables are whole, and that there is room for each of their rows. The first layer's
    // wqkv stands at the beginning.
    unsafe {
        for (table, to) in [(what, to.add(at.tokens)), (place, to.add(at.places))] {
            let (x, w) =
                (Table { at: table.as_ptr(), stride: c }, Table { at: packed.as_ptr(), stride: 3 * c });
            each_register::<V>(&(0..table.len() / c), c, 3 * c, x, w, &Write { to, stride: 3 * c });
        }
        let mut norms = to.add(at.norms);
        for what in what.chunks_exact(c) {
            for place in place.chunks_exact(c) {
                // What is normed is normed again: the mean of its squares follows from that of x.
                let square = mean_square::<V, NC>(add(load(what.as_ptr()), load(place.as_ptr())));
                let k = inverse(square);
                k.store_part(norms, 1);
                (k * inverse(square * k * k)).store_part(norms.add(1), 1);
                norms = norms.add(2);
            }
        }
    }
}

/// The logits of what follows each token, `[T, V]`; what stands in `logits` behind them is overwritten.
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
    run(model, logits, what, place, packed, tokens, places, segments, memory, scratch)
}

simd! {
    fn run(
        model: &Model, logits: &mut [f32], what: &[f32], place: &[f32], packed: &[f32], tokens: &[u32], places: &[u32],
        segments: &[Segment], memory: Memory<'_>, scratch: &mut [f32],
    ) = widths;
}

#[inline(always)]
fn widths<V: Vector>(
    model: &Model,
    logits: &mut [f32],
    what: &[f32],
    place: &[f32],
    packed: &[f32],
    tokens: &[u32],
    places: &[u32],
    segments: &[Segment],
    memory: Memory<'_>,
    scratch: &mut [f32],
) {
    if model.layer.channels == V::LANES {
        body::<V, 1>(model, logits, what, place, packed, tokens, places, segments, memory, scratch)
    } else {
        body::<V, 2>(model, logits, what, place, packed, tokens, places, segments, memory, scratch)
    }
}

/// x times a number.
#[inline(always)]
fn times<V: Vector, const NC: usize>(mut x: [V; NC], k: V) -> [V; NC] {
    for j in 0..NC {
        x[j] = x[j] * k;
    }
    x
}

/// The mean of the squares, in every lane.
#[inline(always)]
fn mean_square<V: Vector, const NC: usize>(x: [V; NC]) -> V {
    dot(x, x) * V::splat(1.0 / (NC * V::LANES) as f32)
}

/// 1 / rms.
#[inline(always)]
fn inverse<V: Vector>(mean_square: V) -> V {
    math::rsqrt(mean_square + V::splat(crate::norm::EPS))
}

/// Queries, keys and values, of rows that are normed only now: the last two go where they are remembered.
struct Qkv<'a> {
    scales: *const f32,
    q: *mut f32,
    memory: *mut f32,
    tables: [Place; 2],
    segments: &'a [Segment],
    channels: usize,
}

impl Qkv<'_> {
    /// Register j of row r.
    ///
    /// # Safety
    /// A row of q and of both tables can be written.
    #[inline(always)]
    unsafe fn put<V: Vector>(&self, r: usize, j: usize, y: V) {
        let (s, c, column) = (&self.segments[r], self.channels, j * V::LANES);
        // SAFETY: the caller vouches for it.
        unsafe {
            let (to, y) = match column / c {
                0 => (self.q.add(r * c), y * V::splat(1.0 / (HEAD as f32).sqrt())),
                n => (self.memory.add(self.tables[n - 1].at(s.kv_start + s.past)), y),
            };
            y.store(to.add(column % c));
        }
    }
}

impl<V: Vector> Finish<V> for Qkv<'_> {
    #[inline(always)]
    unsafe fn finish<const NV: usize>(&self, r: usize, j: usize, sums: [V; NV]) {
        // SAFETY: as the caller vouches.
        unsafe {
            let scale = V::load(self.scales.add(r * V::LANES));
            for i in 0..NV {
                self.put(r, j + i, sums[i] * scale);
            }
        }
    }
}

/// Rows of the stream, to be added to; and what norms them.
struct Onto {
    stream: *mut f32,
    scales: *mut f32,
}

impl<V: Vector> Finish<V> for Onto {
    #[inline(always)]
    unsafe fn finish<const NV: usize>(&self, r: usize, _: usize, sums: [V; NV]) {
        // SAFETY: as the caller vouches.
        unsafe {
            let to = self.stream.add(r * NV * V::LANES);
            let x = add(load(to), sums);
            store(x, to);
            inverse(mean_square(x)).store(self.scales.add(r * V::LANES));
        }
    }
}

/// What the MLP computes of rows that are normed only now.
struct Activate {
    scales: *const f32,
    active: *mut f32,
    stride: usize,
    f: Activation,
}

impl<V: Vector> Finish<V> for Activate {
    #[inline(always)]
    unsafe fn finish<const NV: usize>(&self, r: usize, j: usize, sums: [V; NV]) {
        // SAFETY: as the caller vouches.
        unsafe {
            let scale = V::load(self.scales.add(r * V::LANES));
            let to = self.active.add(r * self.stride + j * V::LANES);
            for i in 0..NV {
                activation::f(self.f, sums[i] * scale).store(to.add(i * V::LANES));
            }
        }
    }
}

/// Logits. A last register that is not whole is stored as one all the same where what it covers is written later: to
/// read soon what was stored in part takes long.
struct Logits {
    to: *mut f32,
    columns: usize,
    /// How many rows, and how many numbers there is room for.
    rows: usize,
    room: usize,
}

impl<V: Vector> Finish<V> for Logits {
    #[inline(always)]
    unsafe fn finish<const NV: usize>(&self, r: usize, j: usize, sums: [V; NV]) {
        for i in 0..NV {
            let column = (j + i) * V::LANES;
            let at = r * self.columns + column;
            let later = (j == 0 || r + 1 == self.rows) && at + V::LANES <= self.room;
            // SAFETY: as the caller vouches; nothing is written behind the room.
            unsafe {
                if column + V::LANES <= self.columns || later {
                    sums[i].store(self.to.add(at));
                } else {
                    sums[i].store_part(self.to.add(at), self.columns - column);
                }
            }
        }
    }
}

#[inline(always)]
fn body<V: Vector, const NC: usize>(
    model: &Model,
    logits: &mut [f32],
    what: &[f32],
    place: &[f32],
    packed: &[f32],
    tokens: &[u32],
    places: &[u32],
    segments: &[Segment],
    memory: Memory<'_>,
    scratch: &mut [f32],
) {
    let (layer, c, h, at) = (&model.layer, NC * V::LANES, model.layer.hidden, model.packed());
    let (between, memory_at) = (memory.v.offset - memory.k.offset, memory.data.as_mut_ptr());
    let (logits_at, room) = (logits.as_mut_ptr(), logits.len());
    let (notes, packed) = (scratch.as_mut_ptr(), packed.as_ptr());
    // SAFETY: `forward` saw that every row, place and matrix is there, and room for the notes of a group.
    unsafe {
        let [stream, q, found, active] = [0, 1, 2, 3].map(|i| notes.add(i * GROUP * c));
        let scales = active.add(GROUP * h);
        let mut first = 0;
        while first < segments.len() {
            let now = &segments[first..(first + GROUP).min(segments.len())];
            let rows = 0..now.len();
            for l in 0..model.layers {
                let weights = packed.add(l * layer.weights_len());
                let matrix =
                    |range: &Range<usize>, stride| Table { at: weights.wrapping_add(range.start), stride };
                let [wqkv, wo, fc1, fc2] = &layer.matrices();
                let tables = [memory.k, memory.v]
                    .map(|p| Place { offset: p.offset + 2 * l * between, stride: p.stride });
                let qkv = Qkv { scales, q, memory: memory_at, tables, segments: now, channels: c };
                if l == 0 {
                    for r in rows.clone() {
                        let (token, p) = (tokens[first + r] as usize, places[first + r] as usize);
                        let norms = packed.add(at.norms + 2 * (token * model.reach() + p));
                        let (once, twice) = (V::splat(*norms), V::splat(*norms.add(1)));
                        let x = add(load(what.as_ptr().add(token * c)), load(place.as_ptr().add(p * c)));
                        store(times::<V, NC>(x, once), stream.add(r * c));
                        let a = packed.add(at.tokens + token * 3 * c);
                        let b = packed.add(at.places + p * 3 * c);
                        for j in 0..3 * NC {
                            let y = V::load(a.add(j * V::LANES)) + V::load(b.add(j * V::LANES));
                            qkv.put(r, j, y * twice);
                        }
                    }
                } else {
                    let x = Table { at: stream, stride: c };
                    each_register::<V>(&rows, c, 3 * c, x, matrix(wqkv, 3 * c), &qkv);
                }
                for (r, s) in now.iter().enumerate() {
                    let [k, v] =
                        tables.map(|p| Table { at: memory_at.add(p.at(s.kv_start)), stride: p.stride });
                    store(look_around::<V, NC>(load(q.add(r * c)), k, v, s.past), found.add(r * c));
                }
                let onto = Onto { stream, scales };
                each_row::<V, NC>(&rows, c, Table { at: found, stride: c }, matrix(wo, c), &onto);
                let activate = Activate { scales, active, stride: h, f: layer.activation };
                each_register::<V>(&rows, c, h, Table { at: stream, stride: c }, matrix(fc1, h), &activate);
                each_row::<V, NC>(&rows, h, Table { at: active, stride: h }, matrix(fc2, c), &onto);
            }
            let columns = model.outputs.next_multiple_of(V::LANES);
            let head = Table { at: packed.add(at.head), stride: columns };
            let start = first * model.outputs;
            let to = Logits {
                to: logits_at.add(start),
                columns: model.outputs,
                rows: now.len(),
                room: room - start,
            };
            each_register::<V>(&rows, c, columns, Table { at: stream, stride: c }, head, &to);
            first += GROUP;
        }
    }
}

/// What a query (already divided by sqrt(D)) finds in the rows `0..=past` of keys and values.
///
/// # Safety
/// These rows can be read.
#[inline(always)]
unsafe fn look_around<V: Vector, const NC: usize>(q: [V; NC], k: Table, v: Table, past: usize) -> [V; NC] {
    // SAFETY: as the caller vouches.
    unsafe {
        match past / 4 {
            0 => quads::<V, NC, 1>(q, k, v, past),
            1 => quads::<V, NC, 2>(q, k, v, past),
            2 => quads::<V, NC, 3>(q, k, v, past),
            _ => quads::<V, NC, 4>(q, k, v, past),
        }
    }
}

/// Lanes within a head.
static LANE: [f32; 16] = [0.0, 1.0, 2.0, 3.0, 0.0, 1.0, 2.0, 3.0, 0.0, 1.0, 2.0, 3.0, 0.0, 1.0, 2.0, 3.0];

/// [`look_around`], four keys at a time: lane 4h + i of a register is about head h and key i of the four.
///
/// # Safety
/// As [`look_around`].
#[inline(always)]
unsafe fn quads<V: Vector, const NC: usize, const Q: usize>(
    q: [V; NC],
    k: Table,
    v: Table,
    past: usize,
) -> [V; NC] {
    let mut out = [V::zero(); NC];
    for n in 0..NC {
        let (mut scores, mut most) = ([V::zero(); Q], V::splat(f32::NEG_INFINITY));
        // SAFETY: as the caller vouches. A key behind the last is read as the last, and forgotten.
        unsafe {
            for i in 0..Q {
                let mut products = [V::zero(); 4];
                for t in 0..4 {
                    let row = if i + 1 < Q { 4 * i + t } else { (4 * i + t).min(past) };
                    products[t] = q[n] * V::load(k.at.add(row * k.stride + n * V::LANES));
                }
                scores[i] = V::quads(products);
                if i + 1 == Q {
                    let behind = V::load(LANE.as_ptr()) + V::splat((4 * i) as f32);
                    let none = V::splat(f32::NEG_INFINITY);
                    scores[i] = V::if_gt(behind, V::splat(past as f32), none, scores[i]);
                }
                most = scores[i].max(most);
            }
            let pairs = most.quad_lane::<0>().max(most.quad_lane::<1>());
            most = pairs.max(most.quad_lane::<2>().max(most.quad_lane::<3>()));
            let (mut total, mut sums) = (V::zero(), [V::zero(); 4]);
            for i in 0..Q {
                let weight = math::weight(scores[i] - most);
                total = total + weight;
                let each = [
                    weight.quad_lane::<0>(),
                    weight.quad_lane::<1>(),
                    weight.quad_lane::<2>(),
                    weight.quad_lane::<3>(),
                ];
                for t in 0..4 {
                    let row = if i + 1 < Q { 4 * i + t } else { (4 * i + t).min(past) };
                    sums[t] = each[t].fma(V::load(v.at.add(row * v.stride + n * V::LANES)), sums[t]);
                }
            }
            let share = math::recip(total.group_sum::<HEAD>());
            out[n] = ((sums[0] + sums[1]) + (sums[2] + sums[3])) * share;
        }
    }
    out
}
