//! Attention of one query, four keys at a time: lane 4h + i of a register is about head h and key i of the four.
#![expect(unsafe_code, reason = "reads behind one check for all rows")]

use super::HEAD;
use crate::layer::tile::Table;
use crate::math;
use crate::vector::Vector;

/// Added to the scores of four keys, of which so many are seen: the powers of the others become 0.
static SEEN: [[f32; 16]; 5] = {
    let mut seen = [[0.0; 16]; 5];
    let mut i = 0;
    while i < 5 * 16 {
        if i % 4 >= i / 16 {
            seen[i / 16][i % 16] = f32::MIN / 4.0;
        }
        i += 1;
    }
    seen
};

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
        let (found, good) = match past / 4 {
            0 => quads::<V, NC, 1, false>(q, k, v, past),
            1 => quads::<V, NC, 2, false>(q, k, v, past),
            2 => quads::<V, NC, 3, false>(q, k, v, past),
            _ => quads::<V, NC, 4, false>(q, k, v, past),
        };
        if good { found } else { quads::<V, NC, 4, true>(q, k, v, past).0 }
    }
}

/// [`look_around`] in Q times four keys, of which the last four may be fewer. False if the powers of the scores were too
/// large, because the largest score is not taken off; where TAKEN, it is.
///
/// # Safety
/// As [`look_around`].
#[inline(always)]
unsafe fn quads<V: Vector, const NC: usize, const Q: usize, const TAKEN: bool>(
    q: [V; NC],
    k: Table,
    v: Table,
    past: usize,
) -> ([V; NC], bool) {
    let (mut out, mut good) = ([V::zero(); NC], true);
    // A key behind the last is read as the last, and forgotten.
    let mut rows = [[0; 4]; Q];
    for i in 0..Q {
        for t in 0..4 {
            rows[i][t] = if i + 1 < Q && !TAKEN { 4 * i + t } else { (4 * i + t).min(past) };
        }
    }
    for n in 0..NC {
        let mut scores = [V::zero(); Q];
        // SAFETY: as the caller vouches.
        unsafe {
            for i in 0..Q {
                let mut products = [V::zero(); 4];
                for t in 0..4 {
                    products[t] = q[n] * V::load(k.at.add(rows[i][t] * k.stride + n * V::LANES));
                }
                scores[i] = V::quads(products);
                if i + 1 == Q || TAKEN {
                    let seen = (past + 1).saturating_sub(4 * i).min(4);
                    scores[i] = scores[i] + V::load(SEEN[seen].as_ptr());
                }
            }
            if !TAKEN {
                // The first key's score is at hand, and most often near enough to the largest.
                let first = scores[0].quad_lane::<0>();
                for i in 0..Q {
                    scores[i] = scores[i] - first;
                }
            } else {
                let mut most = scores[0];
                for i in 1..Q {
                    most = scores[i].max(most);
                }
                let pairs = most.quad_lane::<0>().max(most.quad_lane::<1>());
                most = pairs.max(most.quad_lane::<2>().max(most.quad_lane::<3>()));
                for i in 0..Q {
                    scores[i] = scores[i] - most;
                }
            }
            let (mut total, mut sums) = (V::zero(), [V::zero(); 4]);
            for i in 0..Q {
                let weight = math::power2_finite(scores[i]);
                total = total + weight;
                let each = [
                    weight.quad_lane::<0>(),
                    weight.quad_lane::<1>(),
                    weight.quad_lane::<2>(),
                    weight.quad_lane::<3>(),
                ];
                for t in 0..4 {
                    let value = V::load(v.at.add(rows[i][t] * v.stride + n * V::LANES));
                    sums[t] = each[t].fma(value, sums[t]);
                }
            }
            total = total.group_sum::<HEAD>();
            // One of the powers is 1: the sum cannot be too small.
            good &= V::gt_bits(V::splat(1e25), total).count_ones() as usize == V::LANES;
            out[n] = ((sums[0] + sums[1]) + (sums[2] + sums[3])) * math::recip(total);
        }
    }
    (out, good)
}
