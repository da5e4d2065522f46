//! What is done to scores before they are weighed: held below a cap, and less with the distance (see
//! [`Variant`](super::Variant)).

use crate::math;
use crate::vector::Vector;

simd! {
    /// Products of query and key, row by row, to scores: `cap tanh(x scale / cap) - slope (past + p - j)`, as many as one
    /// of the queries sees.
    pub(super) fn bend(
        scores: &mut [f32], stride: usize, queries: usize, past: usize, scale: f32, how: (f32, f32),
    ) = bend_body;
}

#[inline(always)]
pub(super) fn bend_body<V: Vector>(
    scores: &mut [f32],
    stride: usize,
    queries: usize,
    past: usize,
    scale: f32,
    (cap, slope): (f32, f32),
) {
    for p in 0..queries {
        for (i, x) in scores[p * stride..][..past + queries].chunks_mut(V::LANES).enumerate() {
            let distance = V::splat((past + p) as f32 - (i * V::LANES) as f32) - V::iota();
            let score = capped(V::read(x) * V::splat(scale), cap).0;
            distance.fnma(V::splat(slope), score).write(x);
        }
    }
}

/// `cap tanh(x / cap)`, and how fast it changes with x.
#[inline(always)]
pub(super) fn capped<V: Vector>(x: V, cap: f32) -> (V, V) {
    if cap == f32::INFINITY {
        return (x, V::splat(1.0));
    }
    let tanh = math::tanh(x * V::splat(1.0 / cap));
    (V::splat(cap) * tanh, tanh.fnma(tanh, V::splat(1.0)))
}
