//! Attention of one query, four keys at a time: lane 4h + i of a register is about head h and key i of the four.
#![expect(unsafe_code, reason = "reads behind one check for all rows")]

use super::HEAD;
use crate::layer::tile::Table;
use crate::math;
use crate::vector::Vector;

/// What a query (already times log2(e) / sqrt(D)) finds in the rows `0..=past` of keys and values.
///
/// # Safety
/// These rows can be read.
#[inline(always)]
pub(super) unsafe fn look_around<V: Vector, const NC: usize>(
    q: [V; NC],
    k: Table,
    v: Table,
    past: usize,
) -> [V; NC] {
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

/// [`look_around`] in Q times four keys, of which the last four may be fewer.
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
                let weight = math::power2(scores[i] - most);
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
