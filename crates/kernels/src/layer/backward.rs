//! The layer, backwards.
#![expect(unsafe_code, reason = "reads behind one check for the whole layer")]

use super::forward::{Write, add, dot, load, store};
use super::tile::{Finish, Table, each_register, each_row, outer};
use super::{Layer, columns, group};
use crate::activation::{self, Activation};
use crate::attention::{Inputs, Place, Segment, Variant, small};
use crate::vector::Vector;

simd! {
    pub(super) fn run(
        layer: &Layer, dx: &mut [f32], accumulate: bool, dweights: &mut [f32], dout: &[f32], weights: &[f32],
        kept: &[f32], segments: &[Segment], scratch: &mut [f32],
    ) = widths, fused;
}

#[inline(always)]
fn widths<V: Vector>(
    layer: &Layer,
    dx: &mut [f32],
    accumulate: bool,
    dweights: &mut [f32],
    dout: &[f32],
    weights: &[f32],
    kept: &[f32],
    segments: &[Segment],
    scratch: &mut [f32],
) {
    if layer.channels == V::LANES {
        body::<V, 1>(layer, dx, accumulate, dweights, dout, weights, kept, segments, scratch)
    } else {
        body::<V, 2>(layer, dx, accumulate, dweights, dout, weights, kept, segments, scratch)
    }
}

/// The gradient of rmsnorm, `scale (dy - y mean(dy y))`, from its own output.
#[inline(always)]
pub(super) fn rmsnorm_back<V: Vector, const NC: usize>(dy: [V; NC], y: [V; NC], scale: V) -> [V; NC] {
    let along = V::zero() - dot(dy, y) * V::splat(1.0 / (NC * V::LANES) as f32);
    let mut dx = dy;
    for j in 0..NC {
        dx[j] = scale * along.fma(y[j], dy[j]);
    }
    dx
}

/// The gradient of what f was given, from that of what it gave.
struct Slope {
    hidden: *const f32,
    to: *mut f32,
    stride: usize,
    f: Activation,
}

impl<V: Vector> Finish<V> for Slope {
    #[inline(always)]
    unsafe fn finish<const NV: usize>(&self, r: usize, j: usize, sums: [V; NV]) {
        let at = r * self.stride + j * V::LANES;
        for j in 0..NV {
            // SAFETY: as the caller vouches.
            unsafe {
                let slope = activation::df(self.f, V::load(self.hidden.add(at + j * V::LANES)));
                (sums[j] * slope).store(self.to.add(at + j * V::LANES));
            }
        }
    }
}

/// Back through a norm, and onto what came past it.
struct Norm {
    /// What the norm gave, and the factor of each row.
    norm: *const f32,
    scale: *const f32,
    onto: *const f32,
    to: *mut f32,
    accumulate: bool,
}

impl<V: Vector> Finish<V> for Norm {
    #[inline(always)]
    unsafe fn finish<const NV: usize>(&self, r: usize, _: usize, sums: [V; NV]) {
        let at = r * NV * V::LANES;
        // SAFETY: as the caller vouches.
        unsafe {
            let back = rmsnorm_back(sums, load(self.norm.add(at)), V::splat(*self.scale.add(r)));
            let mut sum = add(load(self.onto.add(at)), back);
            if self.accumulate {
                sum = add(load(self.to.add(at)), sum);
            }
            store(sum, self.to.add(at));
        }
    }
}

#[inline(always)]
fn body<V: Vector, const NC: usize>(
    layer: &Layer,
    dx: &mut [f32],
    accumulate: bool,
    dweights: &mut [f32],
    dout: &[f32],
    weights: &[f32],
    kept: &[f32],
    all: &[Segment],
    scratch: &mut [f32],
) {
    let c = NC * V::LANES;
    let (h, places) = (layer.hidden, layer.kept(dout.len() / c, all));
    let [wqkv, wo, fc1, fc2] = layer.matrices().map(|range| weights[range].as_ptr());
    let [dwqkv, dwo, dfc1, dfc2] = layer.matrices().map(|range| dweights[range].as_mut_ptr());
    let (dout, dx) = (Table { at: dout.as_ptr(), stride: c }, dx.as_mut_ptr());
    let at = kept.as_ptr();
    let mut segments = all;
    let mut saved = places.weights;
    while !segments.is_empty() {
        let (count, rows) = group(segments);
        let (now, later) = segments.split_at(count);
        segments = later;
        let (first, rows) = (rows.start, 0..rows.len());
        // Notes of this group, row by row from its first: of the MLP, of attention.
        let (dhidden, notes) = scratch.split_at_mut(rows.len() * h);
        let (dmid, notes) = notes.split_at_mut(rows.len() * c);
        let (dfound, notes) = notes.split_at_mut(rows.len() * c);
        let dqkv = &mut notes[..rows.len() * 3 * c];
        dqkv.fill(0.0);
        let to = dhidden.as_mut_ptr();
        let (dhidden, to_mid, to_found) =
            (Table { at: to, stride: h }, dmid.as_mut_ptr(), dfound.as_mut_ptr());
        let dmid = Table { at: to_mid, stride: c };
        // SAFETY: `check` saw that all rows lie in dx and dout, all places in `kept`, all matrices in the weights and
        // their gradients, and a group in `scratch`.
        unsafe {
            let table = |place: usize, stride: usize| Table { at: at.add(place + first * stride), stride };
            let dout = Table { at: dout.at.add(first * c), stride: c };
            let (norm, hidden) = (table(places.norm2, c), at.add(places.hidden + first * h));
            let slope = Slope { hidden, to, stride: h, f: layer.activation };
            each_register::<V>(&rows, c, h, dout, Table { at: fc2, stride: h }, &slope);
            outer::<V>(&rows, (c, h), dout, table(places.active, h), dfc2);
            outer::<V>(&rows, (h, c), dhidden, norm, dfc1);
            let (norm, scale) = (norm.at, at.add(places.scale2 + first));
            let back = Norm { norm, scale, onto: dout.at, to: to_mid, accumulate: false };
            each_row::<V, NC>(&rows, h, dhidden, Table { at: fc1, stride: c }, &back);
            outer::<V>(&rows, (c, c), dmid, table(places.found, c), dwo);
            let write = Write { to: to_found, stride: c };
            each_row::<V, NC>(&rows, c, dmid, Table { at: wo, stride: c }, &write);
        }
        let table = |place| columns(kept, place, 3 * c, first);
        let inputs = Inputs {
            q: table(places.qkv),
            k: table(places.qkv + c),
            v: table(places.qkv + 2 * c),
            segments: now,
            heads: layer.heads,
            head_size: layer.head_size(),
            variant: Variant::default(),
        };
        let places_of = [0, c, 2 * c].map(|offset| Place { offset, stride: 3 * c });
        let found = &kept[places.found + first * c..][..rows.len() * c];
        for s in now {
            let len = s.saved(layer.heads, layer.head_size());
            let here =
                Segment { q_start: s.q_start - first, kv_start: s.q_start - first, q_len: s.q_len, past: 0 };
            small::backward(dqkv, places_of, dfound, found, &kept[saved..saved + len], &inputs, here);
            saved += len;
        }
        // SAFETY: as above.
        unsafe {
            let dqkv = Table { at: dqkv.as_ptr(), stride: 3 * c };
            let (norm, scale) = (at.add(places.norm1 + first * c), at.add(places.scale1 + first));
            outer::<V>(&rows, (3 * c, c), dqkv, Table { at: norm, stride: c }, dwqkv);
            let back = Norm { norm, scale, onto: to_mid, to: dx.add(first * c), accumulate };
            each_row::<V, NC>(&rows, 3 * c, dqkv, Table { at: wqkv, stride: c }, &back);
        }
    }
}
