//! The pass itself, for groups of documents; and the tables that it begins with.
#![expect(unsafe_code, reason = "reads behind one check for all rows")]

use super::look::look_around;
use super::{GROUP, HEAD, Model, Packed};
use crate::activation::{self, Activation};
use crate::attention::{Place, Segment};
use crate::layer::Memory;
use crate::layer::forward::{Write, add, dot, load, store};
use crate::layer::tile::{Finish, Table, each_register, each_row};
use crate::math;
use crate::vector::Vector;
use std::f32::consts::LOG2_E;
use std::ops::Range;

simd! { pub(super) fn tables(packed: &mut [f32], at: &Packed, what: &[f32], place: &[f32], c: usize) = tables_widths, fused; }

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

simd! {
    pub(super) fn run(
        model: &Model, logits: &mut [f32], what: &[f32], place: &[f32], packed: &[f32], tokens: &[u32], places: &[u32],
        segments: &[Segment], memory: Memory<'_>, scratch: &mut [f32],
    ) = widths, fused;
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
                0 => (self.q.add(r * c), y * V::splat(LOG2_E / (HEAD as f32).sqrt())),
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
            // Attention meets rows of about the same past together: a change of path costs more than the sorting.
            let (mut order, mut sorted) = ([0; GROUP + 1], 0);
            for fours in 0..4 {
                for (r, s) in now.iter().enumerate() {
                    order[sorted] = r;
                    sorted += usize::from(s.past / 4 == fours);
                }
            }
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
                for &r in &order[..now.len()] {
                    let s = &now[r];
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
