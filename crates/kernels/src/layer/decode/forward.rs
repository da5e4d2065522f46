//! The pass itself, for groups of documents; and the tables that it begins with.
#![expect(unsafe_code, reason = "reads behind one check for all rows")]

use super::lanes;
use super::look::look_around;
use super::{GROUP, HEAD, Plan};
use crate::activation::{self, Activation};
use crate::attention::Segment;
use crate::layer::Memory;
use crate::layer::forward::{Write, add, dot, load, store};
use crate::layer::tile::{Finish, Table, each_register, each_row};
use crate::math;
use crate::vector::Vector;
use std::f32::consts::LOG2_E;

simd! { pub(super) fn tables(packed: &mut [f32], plan: &Plan, what: &[f32], place: &[f32]) = tables_widths, fused; }

#[inline(always)]
fn tables_widths<V: Vector>(packed: &mut [f32], plan: &Plan, what: &[f32], place: &[f32]) {
    if plan.model.layer.channels == V::LANES {
        tables_body::<V, 1>(packed, plan, what, place)
    } else {
        tables_body::<V, 2>(packed, plan, what, place)
    }
}

#[inline(always)]
fn tables_body<V: Vector, const NC: usize>(packed: &mut [f32], plan: &Plan, what: &[f32], place: &[f32]) {
    let (c, to) = (NC * V::LANES, packed.as_mut_ptr());
    // SAFETY: `pack` saw that the tables are whole, and that there is room for each of their rows. The first layer's
    // wqkv stands at the beginning.
    unsafe {
        for (table, to) in [(what, to.add(plan.tokens)), (place, to.add(plan.places))] {
            let (x, w) =
                (Table { at: table.as_ptr(), stride: c }, Table { at: packed.as_ptr(), stride: 3 * c });
            each_register::<V>(&(0..table.len() / c), c, 3 * c, x, w, &Write { to, stride: 3 * c });
        }
        let mut norms = to.add(plan.norms);
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
pub(super) fn inverse<V: Vector>(mean_square: V) -> V {
    math::rsqrt(mean_square + V::splat(crate::norm::EPS))
}

/// Queries, keys and values, of rows that are normed only now: the last two go where they are remembered.
pub(super) struct Qkv<'a> {
    scales: *const f32,
    q: *mut f32,
    k: *mut f32,
    v: *mut f32,
    segments: &'a [Segment],
    channels: usize,
}

/// What a query is multiplied by: log2(e) / sqrt(D), as scores become powers of two.
const UNIT: f32 = LOG2_E / 2.0;
const _: () = assert!(HEAD == 4, "UNIT is for this");

impl Qkv<'_> {
    /// Where row r is remembered.
    ///
    /// # Safety
    /// There is such a row.
    #[inline(always)]
    unsafe fn row(&self, r: usize) -> usize {
        // SAFETY: the caller vouches for it.
        let s = unsafe { self.segments.get_unchecked(r) };
        (s.kv_start + s.past) * self.channels
    }

    /// Register j of row r.
    ///
    /// # Safety
    /// A row of q and of both tables can be written.
    #[inline(always)]
    pub(super) unsafe fn put<V: Vector>(&self, r: usize, j: usize, y: V) {
        let (c, column) = (self.channels, j * V::LANES);
        // SAFETY: the caller vouches for it.
        unsafe {
            let (to, y) = match column / c {
                0 => (self.q.add(r * c), y * V::splat(UNIT)),
                1 => (self.k.add(self.row(r)), y),
                _ => (self.v.add(self.row(r)), y),
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
pub(super) struct Activate {
    pub scales: *const f32,
    pub active: *mut f32,
    pub stride: usize,
    pub f: Activation,
}

impl<V: Vector> Finish<V> for Activate {
    #[inline(always)]
    unsafe fn finish<const NV: usize>(&self, r: usize, j: usize, sums: [V; NV]) {
        // SAFETY: as the caller vouches.
        unsafe {
            let scale = V::load(self.scales.add(r * V::LANES));
            let to = self.active.add(r * self.stride + j * V::LANES);
            // A name in the code, where it is known: no choice for each register, and all of them stay in registers.
            if self.f == Activation::Relu {
                for i in 0..NV {
                    activation::f(Activation::Relu, sums[i] * scale).store(to.add(i * V::LANES));
                }
            } else {
                for i in 0..NV {
                    activation::f(self.f, sums[i] * scale).store(to.add(i * V::LANES));
                }
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

/// What documents are computed from, and where their keys and values are.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub plan: &'a Plan,
    what: *const f32,
    place: *const f32,
    packed: *const f32,
    /// See [`Plan`].
    from_tokens: *const f32,
    from_places: *const f32,
    norms: *const f32,
    tokens: &'a [u32],
    places: &'a [u32],
    segments: &'a [Segment],
    memory: *mut f32,
    /// Where the first layer's keys and values are.
    k: usize,
    v: usize,
}

/// See [`forward`](super::forward), which saw that all of it is there.
pub(super) fn run(
    plan: &Plan,
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
    let [what, place, packed] = [what, place, packed].map(|s| s.as_ptr());
    let (k, v, memory) = (memory.k.offset, memory.v.offset, memory.data.as_mut_ptr());
    let [from_tokens, from_places, norms] =
        [plan.tokens, plan.places, plan.norms].map(|at| packed.wrapping_add(at));
    let pass = Pass {
        plan,
        what,
        place,
        packed,
        from_tokens,
        from_places,
        norms,
        tokens,
        places,
        segments,
        memory,
        k,
        v,
    };
    if segments.len() == 1 {
        return one(&pass, logits, scratch);
    }
    let (lanes, mut first) = (plan.level.lanes(), 0);
    while first < segments.len() {
        let (count, logits) =
            ((segments.len() - first).min(GROUP), &mut logits[first * plan.model.outputs..]);
        if count >= lanes {
            lanes::many(&pass.group(first, lanes), logits, scratch);
            first += lanes;
        } else {
            some(&pass.group(first, count), logits, scratch);
            first += count;
        }
    }
}

impl<'a> Pass<'a> {
    /// The `count` documents from `first` on.
    fn group(&self, first: usize, count: usize) -> Pass<'a> {
        let group = first..first + count;
        Pass {
            tokens: &self.tokens[group.clone()],
            places: &self.places[group.clone()],
            segments: &self.segments[group],
            ..*self
        }
    }

    /// wqkv, wo, fc1 and fc2 of a layer: a row for each input.
    ///
    /// # Safety
    /// There is such a layer, of so many channels.
    #[inline(always)]
    pub(super) unsafe fn matrices(&self, layer: usize, c: usize) -> [Table; 4] {
        let h = self.plan.model.layer.hidden;
        // SAFETY: the caller vouches for the layer, and `forward` saw that its matrices are there.
        unsafe {
            let wqkv = self.packed.add(layer * (4 * c + 2 * h) * c);
            let (wo, fc1) = (wqkv.add(3 * c * c), wqkv.add(4 * c * c));
            [(wqkv, 3 * c), (wo, c), (fc1, h), (fc1.add(h * c), c)].map(|(at, stride)| Table { at, stride })
        }
    }

    #[inline(always)]
    pub(super) fn head(&self) -> Table {
        Table { at: self.packed.wrapping_add(self.plan.head), stride: self.plan.head_columns }
    }

    /// Where a layer's queries go, and its keys and values.
    #[inline(always)]
    pub(super) fn qkv(&self, layer: usize, q: *mut f32, scales: *const f32, channels: usize) -> Qkv<'a> {
        let further = 2 * layer * (self.v - self.k);
        let [k, v] = [self.k, self.v].map(|at| self.memory.wrapping_add(at + further));
        Qkv { scales, q, k, v, segments: self.segments, channels }
    }

    /// The beginning of row r: its stream, and the first layer's query (which is given back), key and value.
    ///
    /// # Safety
    /// There is room for the row; the plan reaches so far.
    #[inline(always)]
    unsafe fn begin<V: Vector, const NC: usize>(
        &self,
        r: usize,
        stream: *mut f32,
        reach: usize,
        qkv: &Qkv<'_>,
    ) -> [V; NC] {
        let c = NC * V::LANES;
        // SAFETY: `forward` saw that there are such tokens and places, and the tables are whole.
        unsafe {
            let (token, p) = (*self.tokens.get_unchecked(r) as usize, *self.places.get_unchecked(r) as usize);
            let norms = self.norms.add(2 * (token * reach + p));
            let (once, twice) = (V::splat(*norms), V::splat(*norms.add(1)));
            let x = add(load(self.what.add(token * c)), load(self.place.add(p * c)));
            store(times::<V, NC>(x, once), stream.add(r * c));
            let (a, b) = (self.from_tokens.add(token * 3 * c), self.from_places.add(p * 3 * c));
            let mut qkv_row = [[V::zero(); NC]; 3];
            for i in 0..3 {
                qkv_row[i] = times(add(load(a.add(i * c)), load(b.add(i * c))), twice);
            }
            let [q, k, v] = qkv_row;
            let to = qkv.row(r);
            store(k, qkv.k.add(to));
            store(v, qkv.v.add(to));
            times(q, V::splat(UNIT))
        }
    }

    /// What row r finds in its document.
    ///
    /// # Safety
    /// As [`Pass::begin`].
    #[inline(always)]
    unsafe fn look<V: Vector, const NC: usize>(&self, r: usize, q: [V; NC], qkv: &Qkv<'_>, found: *mut f32) {
        let c = NC * V::LANES;
        // SAFETY: `forward` saw that the memory reaches behind each row.
        unsafe {
            let s = self.segments.get_unchecked(r);
            let [k, v] = [qkv.k, qkv.v].map(|at| Table { at: at.add(s.kv_start * c), stride: c });
            store(look_around::<V, NC>(q, k, v, s.past), found.add(r * c));
        }
    }

    /// What each row finds by the queries that are there; those of the first layer are made here.
    ///
    /// # Safety
    /// As [`Pass::begin`].
    #[inline(always)]
    pub(super) unsafe fn look_each<V: Vector, const NC: usize>(
        &self,
        layer: usize,
        stream: *mut f32,
        qkv: &Qkv<'_>,
        found: *mut f32,
    ) {
        // Rows of about the same past follow one another: a change of path costs more than the sorting. A bit for each.
        let (mut rows, reach) = (0_u64, self.plan.reach);
        for (r, s) in self.segments.iter().enumerate() {
            rows |= 1 << (s.past / 4 * GROUP + r);
        }
        if layer == 0 {
            // All begin before one looks: a key that was just stored would be waited for.
            for r in 0..self.segments.len() {
                // SAFETY: as the caller vouches.
                unsafe {
                    let q = self.begin::<V, NC>(r, stream, reach, qkv);
                    store(q, qkv.q.add(r * NC * V::LANES));
                }
            }
        }
        while rows != 0 {
            let r = rows.trailing_zeros() as usize % GROUP;
            rows &= rows - 1;
            // SAFETY: as the caller vouches.
            unsafe {
                self.look::<V, NC>(r, load(qkv.q.add(r * NC * V::LANES)), qkv, found);
            }
        }
    }
}

simd! { fn one(pass: &Pass<'_>, logits: &mut [f32], notes: &mut [f32]) = one_widths, fused; }
simd! { fn some(pass: &Pass<'_>, logits: &mut [f32], notes: &mut [f32]) = some_widths, fused; }

#[inline(always)]
fn one_widths<V: Vector>(pass: &Pass<'_>, logits: &mut [f32], notes: &mut [f32]) {
    if pass.plan.model.layer.channels == V::LANES {
        rows::<V, 1, true>(pass, logits, notes)
    } else {
        rows::<V, 2, true>(pass, logits, notes)
    }
}

#[inline(always)]
fn some_widths<V: Vector>(pass: &Pass<'_>, logits: &mut [f32], notes: &mut [f32]) {
    if pass.plan.model.layer.channels == V::LANES {
        rows::<V, 1, false>(pass, logits, notes)
    } else {
        rows::<V, 2, false>(pass, logits, notes)
    }
}

/// A few rows, or just ONE.
#[inline(always)]
fn rows<V: Vector, const NC: usize, const ONE: bool>(pass: &Pass<'_>, logits: &mut [f32], notes: &mut [f32]) {
    let (model, c, h) = (&pass.plan.model, NC * V::LANES, pass.plan.model.layer.hidden);
    let (rows, notes) = (0..if ONE { 1 } else { pass.segments.len() }, notes.as_mut_ptr());
    // SAFETY: `super::forward` saw that every row, place and matrix is there, and room for the notes of a group.
    unsafe {
        let [stream, q, found, active] = [0, 1, 2, 3].map(|i| notes.add(i * GROUP * c));
        let scales = active.add(GROUP * h);
        for l in 0..model.layers {
            let ([wqkv, wo, fc1, fc2], qkv) = (pass.matrices(l, c), pass.qkv(l, q, scales, c));
            let x = Table { at: stream, stride: c };
            if l > 0 {
                each_register::<V>(&rows, c, 3 * c, x, wqkv, &qkv);
            }
            if !ONE {
                pass.look_each::<V, NC>(l, stream, &qkv, found);
            } else if l == 0 {
                let q = pass.begin::<V, NC>(0, stream, pass.plan.reach, &qkv);
                pass.look::<V, NC>(0, q, &qkv, found);
            } else {
                pass.look::<V, NC>(0, load(q), &qkv, found);
            }
            let onto = Onto { stream, scales };
            each_row::<V, NC>(&rows, c, Table { at: found, stride: c }, wo, &onto);
            let activate = Activate { scales, active, stride: h, f: model.layer.activation };
            each_register::<V>(&rows, c, h, x, fc1, &activate);
            each_row::<V, NC>(&rows, h, Table { at: active, stride: h }, fc2, &onto);
        }
        let head = pass.head();
        let to =
            Logits { to: logits.as_mut_ptr(), columns: model.outputs, rows: rows.len(), room: logits.len() };
        each_register::<V>(&rows, c, head.stride, Table { at: stream, stride: c }, head, &to);
    }
}
