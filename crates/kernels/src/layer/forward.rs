//! The layer, forwards.
#![expect(unsafe_code, reason = "reads behind one check for the whole layer")]

use super::tile::{Finish, Table, each_register, each_row};
use super::{Kept, Layer, Memory, columns, group};
use crate::activation::{self, Activation};
use crate::attention::{Inputs, Place, Rows, Segment, Variant, small};
use crate::math;
use crate::vector::Vector;
use std::ops::Range;

simd! {
    pub(super) fn run(
        layer: &Layer, out: &mut [f32], kept: &mut [f32], x: &[f32], packed: &[f32], segments: &[Segment],
        memory: Option<Memory<'_>>,
    ) = widths, fused;
}

simd! {
    /// `to[i, o] = from[o, i]`, both whole multiples of a register.
    pub(super) fn transpose(to: &mut [f32], from: &[f32], o: usize, i: usize) = transpose_body;
}

#[inline(always)]
fn transpose_body<V: Vector>(to: &mut [f32], from: &[f32], o: usize, i: usize) {
    assert!(to.len() == o * i && from.len() == o * i);
    for r in (0..o).step_by(V::LANES) {
        for c in (0..i).step_by(V::LANES) {
            // SAFETY: the block lies in both, as o and i are multiples of its size.
            unsafe { V::transpose(from.as_ptr().add(r * i + c), i, to.as_mut_ptr().add(c * o + r), o) }
        }
    }
}

#[inline(always)]
fn widths<V: Vector>(
    layer: &Layer,
    out: &mut [f32],
    kept: &mut [f32],
    x: &[f32],
    packed: &[f32],
    segments: &[Segment],
    memory: Option<Memory<'_>>,
) {
    if layer.channels == V::LANES {
        body::<V, 1>(layer, out, kept, x, packed, segments, memory)
    } else {
        body::<V, 2>(layer, out, kept, x, packed, segments, memory)
    }
}

/// A row from registers, and into them.
///
/// # Safety
/// NC registers can be read (written) at the place.
#[inline(always)]
pub(super) unsafe fn load<V: Vector, const NC: usize>(at: *const f32) -> [V; NC] {
    let mut row = [V::zero(); NC];
    for j in 0..NC {
        // SAFETY: the caller vouches for NC registers.
        row[j] = unsafe { V::load(at.add(j * V::LANES)) };
    }
    row
}

/// See [`load`].
///
/// # Safety
/// As [`load`].
#[inline(always)]
pub(super) unsafe fn store<V: Vector, const NC: usize>(row: [V; NC], at: *mut f32) {
    for j in 0..NC {
        // SAFETY: the caller vouches for NC registers.
        unsafe { row[j].store(at.add(j * V::LANES)) }
    }
}

/// a + b.
#[inline(always)]
pub(super) fn add<V: Vector, const NC: usize>(mut a: [V; NC], b: [V; NC]) -> [V; NC] {
    for j in 0..NC {
        a[j] = a[j] + b[j];
    }
    a
}

/// The sum of a row's products, in every lane.
#[inline(always)]
pub(super) fn dot<V: Vector, const NC: usize>(a: [V; NC], b: [V; NC]) -> V {
    let mut sum = a[0] * b[0];
    for j in 1..NC {
        sum = a[j].fma(b[j], sum);
    }
    if V::LANES == 16 { sum.group_sum::<16>() } else { sum.group_sum::<8>() }
}

/// The normed row, stored with its scale.
///
/// # Safety
/// A row can be written at `norm`, a number at `scale`.
#[inline(always)]
pub(super) unsafe fn rmsnorm<V: Vector, const NC: usize>(mut row: [V; NC], norm: *mut f32, scale: *mut f32) {
    let mean = V::splat(1.0 / (NC * V::LANES) as f32);
    let k = math::rsqrt(dot(row, row).fma(mean, V::splat(crate::norm::EPS)));
    for j in 0..NC {
        row[j] = row[j] * k;
    }
    // SAFETY: the caller vouches for both places.
    unsafe {
        store(row, norm);
        k.store_part(scale, 1);
    }
}

/// Rows to be written, `stride` apart.
pub(super) struct Write {
    pub(super) to: *mut f32,
    pub(super) stride: usize,
}

impl<V: Vector> Finish<V> for Write {
    #[inline(always)]
    unsafe fn finish<const NV: usize>(&self, r: usize, j: usize, sums: [V; NV]) {
        // SAFETY: as the caller vouches.
        unsafe { store(sums, self.to.add(r * self.stride + j * V::LANES)) }
    }
}

/// mid = x + what was found, and its norm. `mid` is written where the output will stand.
struct Middle {
    x: *const f32,
    out: *mut f32,
    norm: *mut f32,
    scale: *mut f32,
}

impl<V: Vector> Finish<V> for Middle {
    #[inline(always)]
    unsafe fn finish<const NV: usize>(&self, r: usize, _: usize, sums: [V; NV]) {
        let at = r * NV * V::LANES;
        // SAFETY: as the caller vouches.
        unsafe {
            let mid = add(load(self.x.add(at)), sums);
            store(mid, self.out.add(at));
            rmsnorm(mid, self.norm.add(at), self.scale.add(r));
        }
    }
}

/// What the MLP computes, before and after f.
struct Activate {
    hidden: *mut f32,
    active: *mut f32,
    stride: usize,
    f: Activation,
}

impl<V: Vector> Finish<V> for Activate {
    #[inline(always)]
    unsafe fn finish<const NV: usize>(&self, r: usize, j: usize, sums: [V; NV]) {
        let at = r * self.stride + j * V::LANES;
        // SAFETY: as the caller vouches.
        unsafe {
            store(sums, self.hidden.add(at));
            for j in 0..NV {
                activation::f(self.f, sums[j]).store(self.active.add(at + j * V::LANES));
            }
        }
    }
}

/// Rows to be added to.
pub(super) struct Onto(pub(super) *mut f32);

impl<V: Vector> Finish<V> for Onto {
    #[inline(always)]
    unsafe fn finish<const NV: usize>(&self, r: usize, _: usize, sums: [V; NV]) {
        // SAFETY: as the caller vouches.
        unsafe {
            let to = self.0.add(r * NV * V::LANES);
            store(add(load(to), sums), to);
        }
    }
}

#[inline(always)]
fn body<V: Vector, const NC: usize>(
    layer: &Layer,
    out: &mut [f32],
    kept: &mut [f32],
    x: &[f32],
    packed: &[f32],
    mut segments: &[Segment],
    mut memory: Option<Memory<'_>>,
) {
    let c = NC * V::LANES;
    let (h, places) = (layer.hidden, layer.kept(x.len() / c, segments));
    let [wqkv, wo, fc1, fc2] = layer.matrices().map(|range| packed[range].as_ptr());
    let (x, out) = (x.as_ptr(), out.as_mut_ptr());
    let mut weights = places.weights;
    while !segments.is_empty() {
        let (count, rows) = group(segments);
        let (now, later) = segments.split_at(count);
        segments = later;
        let at = kept.as_mut_ptr();
        // SAFETY: `check` saw that all rows lie in x and out, all places in `kept`, all matrices in `packed`.
        unsafe {
            for r in rows.clone() {
                let (norm, scale) = (at.add(places.norm1 + r * c), at.add(places.scale1 + r));
                rmsnorm::<V, NC>(load(x.add(r * c)), norm, scale);
            }
            let (norm, w) =
                (Table { at: at.add(places.norm1), stride: c }, Table { at: wqkv, stride: 3 * c });
            let write = Write { to: at.add(places.qkv), stride: 3 * c };
            each_register::<V>(&rows, c, 3 * c, norm, w, &write);
        }
        weights = look_around(layer, kept, &places, weights, now, &rows, memory.as_mut());
        let at = kept.as_mut_ptr();
        // SAFETY: as above.
        unsafe {
            let (norm, scale) = (at.add(places.norm2), at.add(places.scale2));
            let (found, w) = (Table { at: at.add(places.found), stride: c }, Table { at: wo, stride: c });
            each_row::<V, NC>(&rows, c, found, w, &Middle { x, out, norm, scale });
            let (hidden, active) = (at.add(places.hidden), at.add(places.active));
            let (norm, w) = (Table { at: norm, stride: c }, Table { at: fc1, stride: h });
            let activate = Activate { hidden, active, stride: h, f: layer.activation };
            each_register::<V>(&rows, c, h, norm, w, &activate);
            let (active, w) = (Table { at: active, stride: h }, Table { at: fc2, stride: c });
            each_row::<V, NC>(&rows, h, active, w, &Onto(out));
        }
    }
}

/// Attention of a group of documents; where the weights of the next one go.
fn look_around(
    layer: &Layer,
    kept: &mut [f32],
    places: &Kept,
    weights: usize,
    segments: &[Segment],
    rows: &Range<usize>,
    memory: Option<&mut Memory<'_>>,
) -> usize {
    let (c, heads, head_size) = (layer.channels, layer.heads, layer.head_size());
    let (tables, saved) = kept.split_at_mut(weights);
    let (before, rest) = tables.split_at_mut(places.found);
    let found = &mut rest[rows.start * c..];
    let q = columns(before, places.qkv, 3 * c, rows.start);
    let (k, v) = (columns(before, places.qkv + c, 3 * c, 0), columns(before, places.qkv + 2 * c, 3 * c, 0));
    let (k, v) = match memory {
        None => (k, v),
        Some(memory) => {
            for s in segments {
                for p in 0..s.q_len {
                    for (from, to) in [(k, memory.k), (v, memory.v)] {
                        let to = to.at(s.kv_start + s.past + p);
                        memory.data[to..to + c].copy_from_slice(&from.row(s.q_start + p)[..c]);
                    }
                }
            }
            let table = |place: Place| Rows { data: memory.data, offset: place.offset, stride: place.stride };
            (table(memory.k), table(memory.v))
        }
    };
    let inputs = Inputs { q, k, v, segments, heads, head_size, variant: Variant::default() };
    let mut done = 0;
    for &s in segments {
        let len = s.saved(heads, head_size);
        let here = Segment { q_start: s.q_start - rows.start, ..s };
        small::forward(found, &mut saved[done..done + len], &inputs, here);
        done += len;
    }
    weights + done
}
