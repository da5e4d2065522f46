//! Attention for names: at most 16 keys, heads of 1 to 16 numbers.
//!
//! A register of 16 channels holds 16 / D heads. The score of a pair (p, j) is the product of the two registers summed
//! within each head, and left in every lane of that head: so exp, sums and gradients need no rearrangement at all.
//! The weights are kept in that form for the backward pass: pairs * C numbers.
#![expect(unsafe_code, reason = "reads behind one check for the whole segment")]

use super::{Inputs, Place, Segment};
use crate::math;
use crate::vector::Vector;

/// More, and scores once per head and pair (`tiled`) are cheaper than once per lane.
pub(crate) const MOST_KEYS: usize = 16;

simd! {
    pub(crate) fn forward(out: &mut [f32], saved: &mut [f32], x: &Inputs<'_>, s: Segment) = forward_sizes;
}

#[inline(always)]
fn forward_sizes<V: Vector>(out: &mut [f32], saved: &mut [f32], x: &Inputs<'_>, s: Segment) {
    match x.head_size {
        1 => forward_body::<V, 1>(out, saved, x, s),
        2 => forward_body::<V, 2>(out, saved, x, s),
        4 => forward_body::<V, 4>(out, saved, x, s),
        8 => forward_body::<V, 8>(out, saved, x, s),
        _ => forward_body::<V, 16>(out, saved, x, s),
    }
}

#[inline(always)]
fn forward_body<V: Vector, const D: usize>(out: &mut [f32], saved: &mut [f32], x: &Inputs<'_>, s: Segment) {
    let width = x.heads * D;
    let scale = V::splat(1.0 / (D as f32).sqrt());
    let mut weights = saved.as_mut_ptr();
    for c in (0..width).step_by(V::LANES) {
        // SAFETY: `check` saw that all rows of the segment lie in their slices, and that `saved` holds every pair.
        unsafe {
            let q = x.q.data.as_ptr().add(x.q.offset + s.q_start * x.q.stride + c);
            let k = x.k.data.as_ptr().add(x.k.offset + s.kv_start * x.k.stride + c);
            let v = x.v.data.as_ptr().add(x.v.offset + s.kv_start * x.v.stride + c);
            let out = out.as_mut_ptr().add(s.q_start * width + c);
            for p in 0..s.q_len {
                let seen = s.past + p + 1;
                let query = V::load(q.add(p * x.q.stride)) * scale;
                let mut most = V::splat(f32::NEG_INFINITY);
                for j in 0..seen {
                    let score = (query * V::load(k.add(j * x.k.stride))).group_sum::<D>();
                    most = most.max(score);
                    score.store(weights.add(j * V::LANES));
                }
                let (mut total, mut sum) = (V::zero(), V::zero());
                for j in 0..seen {
                    let weight = math::weight(V::load(weights.add(j * V::LANES)) - most);
                    total = total + weight;
                    sum = weight.fma(V::load(v.add(j * x.v.stride)), sum);
                    weight.store(weights.add(j * V::LANES));
                }
                let share = V::splat(1.0) / total;
                (sum * share).store(out.add(p * width));
                for j in 0..seen {
                    (V::load(weights.add(j * V::LANES)) * share).store(weights.add(j * V::LANES));
                }
                weights = weights.add(seen * V::LANES);
            }
        }
    }
}

simd! {
    pub(crate) fn backward(
        grads: &mut [f32], places: [Place; 3], dout: &[f32], out: &[f32], saved: &[f32], x: &Inputs<'_>, s: Segment,
    ) = backward_sizes;
}

#[inline(always)]
fn backward_sizes<V: Vector>(
    grads: &mut [f32],
    places: [Place; 3],
    dout: &[f32],
    out: &[f32],
    saved: &[f32],
    x: &Inputs<'_>,
    s: Segment,
) {
    match x.head_size {
        1 => backward_body::<V, 1>(grads, places, dout, out, saved, x, s),
        2 => backward_body::<V, 2>(grads, places, dout, out, saved, x, s),
        4 => backward_body::<V, 4>(grads, places, dout, out, saved, x, s),
        8 => backward_body::<V, 8>(grads, places, dout, out, saved, x, s),
        _ => backward_body::<V, 16>(grads, places, dout, out, saved, x, s),
    }
}

#[inline(always)]
fn backward_body<V: Vector, const D: usize>(
    grads: &mut [f32],
    [dq, dk, dv]: [Place; 3],
    dout: &[f32],
    out: &[f32],
    saved: &[f32],
    x: &Inputs<'_>,
    s: Segment,
) {
    let width = x.heads * D;
    let scale = V::splat(1.0 / (D as f32).sqrt());
    let mut weights = saved.as_ptr();
    for c in (0..width).step_by(V::LANES) {
        // SAFETY: `check` and `backward` saw that all rows of the segment lie in their slices.
        unsafe {
            let q = x.q.data.as_ptr().add(x.q.offset + s.q_start * x.q.stride + c);
            let k = x.k.data.as_ptr().add(x.k.offset + s.kv_start * x.k.stride + c);
            let v = x.v.data.as_ptr().add(x.v.offset + s.kv_start * x.v.stride + c);
            let grads = grads.as_mut_ptr();
            let dq_rows = grads.add(dq.at(s.q_start) + c);
            let (dk_rows, dv_rows) = (grads.add(dk.at(s.kv_start) + c), grads.add(dv.at(s.kv_start) + c));
            for p in 0..s.q_len {
                let seen = s.past + p + 1;
                let row = (s.q_start + p) * width + c;
                let slope = V::load(dout.as_ptr().add(row));
                // What softmax takes off: sum_j weight_j gain_j, which is dout . out.
                let mean = (slope * V::load(out.as_ptr().add(row))).group_sum::<D>();
                let query = V::load(q.add(p * x.q.stride));
                let mut dquery = V::load(dq_rows.add(p * dq.stride));
                for j in 0..seen {
                    let weight = V::load(weights.add(j * V::LANES));
                    let gain = (slope * V::load(v.add(j * x.v.stride))).group_sum::<D>();
                    let dscore = weight * scale * (gain - mean);
                    dquery = dscore.fma(V::load(k.add(j * x.k.stride)), dquery);
                    let (dkey, dvalue) = (dk_rows.add(j * dk.stride), dv_rows.add(j * dv.stride));
                    dscore.fma(query, V::load(dkey)).store(dkey);
                    weight.fma(slope, V::load(dvalue)).store(dvalue);
                }
                dquery.store(dq_rows.add(p * dq.stride));
                weights = weights.add(seen * V::LANES);
            }
        }
    }
}
