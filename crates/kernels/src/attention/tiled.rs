//! Attention by matrix products, 32 queries at a time, one head after the other.
//!
//! Forward:  `S = Q K^T`, `P = e^(S/sqrt(D) - most)` where seen, `out = P V / sum P`; kept: `most + ln(sum P)`.
//! Backward: P again from that logarithm; `dV += P^T dO`, `dS = P (dO V^T - dO.out) / sqrt(D)`, `dQ += dS K`, `dK += dS^T Q`.
//!
//! Nothing of size T x T exists: S is 32 rows. Keys and values of the head are first copied together (and transposed,
//! where a product wants it so), once for all queries of all heads that share them. A few queries (decoding) read them
//! where they are. Of a window, only the keys that one of the 32 queries sees are touched.
#![expect(unsafe_code, reason = "reads behind one check for the whole segment")]

use super::{Inputs, Place, Segment, Variant};
use crate::math;
use crate::matmul::{self, Line, View, product};
use crate::slices;
use crate::vector::Vector;
use std::cell::Cell;

/// Queries at a time.
const BLOCK: usize = 32;
/// Up to so many queries, copying keys costs more than it saves.
pub(super) const FEW: usize = 3;

thread_local! {
    static ROOM: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

/// `parts` slices of the thread's scratch, each at the start of a cache line; their numbers are arbitrary.
pub(super) fn with_room<const N: usize>(parts: [usize; N], work: impl FnOnce([&mut [f32]; N])) {
    let mut room = ROOM.take();
    let lines: usize = parts.iter().map(|n| n.div_ceil(16)).sum();
    if room.len() < lines {
        room.resize(lines, Line([0.0; 16]));
    }
    let mut rest = &mut room[..];
    work(parts.map(|n| {
        let (mine, others) = std::mem::take(&mut rest).split_at_mut(n.div_ceil(16));
        rest = others;
        &mut mine.as_flattened_lines()[..n]
    }));
    ROOM.set(room);
}

trait Flatten {
    fn as_flattened_lines(&mut self) -> &mut [f32];
}

impl Flatten for [Line] {
    fn as_flattened_lines(&mut self) -> &mut [f32] {
        // SAFETY: a `Line` is 16 numbers and nothing else (64 bytes, aligned to 64).
        unsafe { std::slice::from_raw_parts_mut(self.as_mut_ptr().cast(), self.len() * 16) }
    }
}

pub(super) fn rows(s: &[f32], stride: usize) -> View {
    View { at: s.as_ptr(), rs: stride, cs: 1 }
}

pub(super) fn columns(s: &[f32], stride: usize) -> View {
    View { at: s.as_ptr(), rs: 1, cs: stride }
}

/// A row length that is whole cache lines but no power of two, whose rows would share cache sets.
fn padded(n: usize) -> usize {
    (n.div_ceil(16) | 1) * 16
}

/// The segment without the keys that none of its queries sees.
fn in_sight(variant: &Variant<'_>, s: Segment) -> Segment {
    let unseen = variant.first(s.past);
    Segment { kv_start: s.kv_start + unseen, past: s.past - unseen, ..s }
}

/// The first key that a block of queries needs whose first query's own key is `own`: some before it are seen by none,
/// so that the copies are read from the beginning of a cache line.
fn oldest(variant: &Variant<'_>, own: usize) -> usize {
    variant.first(own) & !15
}

pub(super) fn forward(out: &mut [f32], saved: &mut [f32], x: &Inputs<'_>, s: Segment) {
    let (s, group) = (in_sight(&x.variant, s), x.variant.group);
    let (d, width, keys) = (x.head_size, x.heads * x.head_size, s.keys());
    let scale = 1.0 / (d as f32).sqrt();
    let stride = padded(keys);
    let copy = if s.q_len > FEW { keys } else { 0 };
    let sizes = [BLOCK.min(s.q_len) * stride, if copy > 0 { d * stride } else { 0 }, copy * d];
    with_room(sizes, |[scores, k_columns, v_copy]| {
        for h in 0..x.heads {
            let (c, kv) = (h * d, h / group * d);
            let (k, v) = (&x.k.row(s.kv_start)[kv..], &x.v.row(s.kv_start)[kv..]);
            if copy > 0 && h.is_multiple_of(group) {
                matmul::transpose(k_columns, stride, k, x.k.stride, keys, d);
                copy_rows(v_copy, d, v, x.v.stride, keys, d);
            }
            for first in (0..s.q_len).step_by(BLOCK) {
                let queries = BLOCK.min(s.q_len - first);
                let oldest = oldest(&x.variant, s.past + first);
                let (past, seen) = (s.past + first - oldest, s.past + first + queries - oldest);
                let q = &x.q.row(s.q_start + first)[c..];
                let v_view = match copy {
                    0 => rows(&v[oldest * x.v.stride..], x.v.stride),
                    _ => rows(&v_copy[oldest * d..], d),
                };
                if copy == 0 {
                    for p in 0..queries {
                        let (scores, k) = (&mut scores[p * stride..][..seen], &k[oldest * x.k.stride..]);
                        matmul::row(scores, &q[p * x.q.stride..][..d], k, x.k.stride, false);
                    }
                } else {
                    // SAFETY: `check` saw that these rows lie in their slices; `scores` has room for `queries` rows.
                    unsafe {
                        product(
                            queries,
                            seen,
                            d,
                            rows(q, x.q.stride),
                            rows(&k_columns[oldest..], stride),
                            scores.as_mut_ptr(),
                            stride,
                            false,
                        )
                    }
                }
                let logs = &mut saved[first * x.heads..];
                let mut scale = scale;
                if let Some((cap, slope)) = x.variant.bend(h) {
                    bend(scores, stride, queries, past, seen, scale, cap, slope);
                    scale = 1.0;
                }
                let window = x.variant.window;
                weigh(scores, stride, queries, past, seen, window, scale, &mut logs[h..], x.heads);
                let out = &mut out[(s.q_start + first) * width + c..];
                // SAFETY: as above, and `out` ends behind the last query's row.
                unsafe {
                    product(queries, d, seen, rows(scores, stride), v_view, out.as_mut_ptr(), width, false)
                }
            }
        }
    });
}

pub(super) fn backward(
    grads: &mut [f32],
    [dq, dk, dv]: [Place; 3],
    dout: &[f32],
    out: &[f32],
    saved: &[f32],
    x: &Inputs<'_>,
    s: Segment,
) {
    let (s, group) = (in_sight(&x.variant, s), x.variant.group);
    let (d, width, keys) = (x.head_size, x.heads * x.head_size, s.keys());
    let scale = 1.0 / (d as f32).sqrt();
    let stride = padded(keys);
    let block = BLOCK.min(s.q_len) * stride;
    let sizes = [block, block, d * stride, d * stride, keys * d, keys * d, keys * d];
    with_room(sizes, |[weights, dscores, k_columns, v_columns, k_copy, dk_sum, dv_sum]| {
        for h in 0..x.heads {
            let (c, kv) = (h * d, h / group * d);
            if h.is_multiple_of(group) {
                let (k, v) = (&x.k.row(s.kv_start)[kv..], &x.v.row(s.kv_start)[kv..]);
                matmul::transpose(k_columns, stride, k, x.k.stride, keys, d);
                matmul::transpose(v_columns, stride, v, x.v.stride, keys, d);
                copy_rows(k_copy, d, k, x.k.stride, keys, d);
                dk_sum.fill(0.0);
                dv_sum.fill(0.0);
            }
            for first in (0..s.q_len).step_by(BLOCK) {
                let queries = BLOCK.min(s.q_len - first);
                let oldest = oldest(&x.variant, s.past + first);
                let (past, seen) = (s.past + first - oldest, s.past + first + queries - oldest);
                let q = &x.q.row(s.q_start + first)[c..];
                let at = (s.q_start + first) * width + c;
                let (slope, out) = (&dout[at..], &out[at..]);
                // SAFETY: `check` and `backward` above saw that all rows of the segment lie in their slices; the scratch
                // has the sizes of `sizes`, and rows of `dq` are no part of it.
                unsafe {
                    let q_rows = rows(q, x.q.stride);
                    let slope_rows = rows(slope, width);
                    product(
                        queries,
                        seen,
                        d,
                        q_rows,
                        rows(&k_columns[oldest..], stride),
                        weights.as_mut_ptr(),
                        stride,
                        false,
                    );
                    product(
                        queries,
                        seen,
                        d,
                        slope_rows,
                        rows(&v_columns[oldest..], stride),
                        dscores.as_mut_ptr(),
                        stride,
                        false,
                    );
                    for p in 0..queries {
                        let own = past + p;
                        let visible = x.variant.first(own)..own + 1;
                        let mean = slices::dot(&slope[p * width..][..d], &out[p * width..][..d]);
                        let log = saved[(first + p) * x.heads + h];
                        let (weights, dscores) = (&mut weights[p * stride..], &mut dscores[p * stride..]);
                        let seen_by_it = (&mut weights[visible.clone()], &mut dscores[visible.clone()]);
                        match x.variant.bend(h) {
                            None => slopes(seen_by_it.0, seen_by_it.1, scale, log, mean),
                            Some(bend) => bent_slopes(seen_by_it.0, seen_by_it.1, scale, log, mean, bend),
                        }
                        for hidden in [0..visible.start, visible.end..seen] {
                            weights[hidden.clone()].fill(0.0);
                            dscores[hidden].fill(0.0);
                        }
                    }
                    let to = grads.as_mut_ptr().add(dq.at(s.q_start + first) + c);
                    product(
                        queries,
                        d,
                        seen,
                        rows(dscores, stride),
                        rows(&k_copy[oldest * d..], d),
                        to,
                        dq.stride,
                        true,
                    );
                    product(
                        seen,
                        d,
                        queries,
                        columns(dscores, stride),
                        q_rows,
                        dk_sum[oldest * d..].as_mut_ptr(),
                        d,
                        true,
                    );
                    product(
                        seen,
                        d,
                        queries,
                        columns(weights, stride),
                        slope_rows,
                        dv_sum[oldest * d..].as_mut_ptr(),
                        d,
                        true,
                    );
                }
            }
            if (h + 1).is_multiple_of(group) {
                for j in 0..keys {
                    slices::add_into(&mut grads[dk.at(s.kv_start + j) + kv..][..d], &dk_sum[j * d..][..d]);
                    slices::add_into(&mut grads[dv.at(s.kv_start + j) + kv..][..d], &dv_sum[j * d..][..d]);
                }
            }
        }
    });
}

fn copy_rows(to: &mut [f32], to_stride: usize, from: &[f32], from_stride: usize, n: usize, d: usize) {
    for j in 0..n {
        to[j * to_stride..][..d].copy_from_slice(&from[j * from_stride..][..d]);
    }
}

simd! {
    /// Scores to weights that sum to 1, row by row; row p sees the last `window` of `past + p + 1` keys, and the weights
    /// of others are 0. The logarithm of each row's sum goes to `logs[p * log_stride]`.
    fn weigh(
        scores: &mut [f32], stride: usize, queries: usize, past: usize, seen: usize, window: usize,
        scale: f32, logs: &mut [f32], log_stride: usize,
    ) = weigh_body;
}

#[inline(always)]
fn weigh_body<V: Vector>(
    scores: &mut [f32],
    stride: usize,
    queries: usize,
    past: usize,
    seen: usize,
    window: usize,
    scale: f32,
    logs: &mut [f32],
    log_stride: usize,
) {
    let factor = V::splat(scale);
    for p in 0..queries {
        let row = &mut scores[p * stride..][..seen];
        let (row, hidden) = row.split_at_mut(past + p + 1);
        let (gone, row) = row.split_at_mut((past + p + 1).saturating_sub(window));
        gone.fill(0.0);
        let (whole, tail) = row.split_at(row.len() / V::LANES * V::LANES);
        let mut most = V::splat(f32::NEG_INFINITY);
        for x in whole.chunks_exact(V::LANES) {
            most = most.max(V::read(x));
        }
        let largest = tail.iter().fold(most.max_lane(), |most, &x| if x > most { x } else { most });
        let shift = V::splat(-largest * scale);
        let mut sum = V::zero();
        let (whole, tail) = row.split_at_mut(row.len() / V::LANES * V::LANES);
        for x in whole.chunks_exact_mut(V::LANES) {
            let power = math::weight(factor.fma(V::read(x), shift));
            sum = sum + power;
            power.write(x);
        }
        math::weight(factor.fma(V::read(tail), shift)).write(tail);
        let sum = sum.sum() + tail.iter().sum::<f32>();
        let share = V::splat(1.0 / sum);
        for x in row.chunks_mut(V::LANES) {
            (V::read(x) * share).write(x);
        }
        hidden.fill(0.0);
        let log = math::ln(V::splat(sum)) - shift;
        log.write(&mut logs[p * log_stride..][..1]);
    }
}

simd! {
    /// In place: scores to weights, `e^(score scale - log)`, and gains to `weight (gain - mean) scale`.
    fn slopes(scores: &mut [f32], gains: &mut [f32], scale: f32, log: f32, mean: f32) = slopes_body;
}

#[inline(always)]
fn slopes_body<V: Vector>(scores: &mut [f32], gains: &mut [f32], scale: f32, log: f32, mean: f32) {
    let (scale, log, mean) = (V::splat(scale), V::splat(-log), V::splat(mean));
    for (x, g) in scores.chunks_mut(V::LANES).zip(gains.chunks_mut(V::LANES)) {
        let weight = math::weight(scale.fma(V::read(x), log));
        (weight * scale * (V::read(g) - mean)).write(g);
        weight.write(x);
    }
}

simd! {
    /// Products of query and key, row by row, to scores: `cap tanh(x scale / cap) - slope (past + p - j)`.
    fn bend(
        scores: &mut [f32], stride: usize, queries: usize, past: usize, seen: usize, scale: f32, cap: f32, slope: f32,
    ) = bend_body;
}

#[inline(always)]
fn bend_body<V: Vector>(
    scores: &mut [f32],
    stride: usize,
    queries: usize,
    past: usize,
    seen: usize,
    scale: f32,
    cap: f32,
    slope: f32,
) {
    for p in 0..queries {
        for (i, x) in scores[p * stride..][..seen].chunks_mut(V::LANES).enumerate() {
            let distance = V::splat((past + p) as f32 - (i * V::LANES) as f32) - V::iota();
            let score = capped(V::read(x) * V::splat(scale), cap).0;
            distance.fnma(V::splat(slope), score).write(x);
        }
    }
}

/// `cap tanh(x / cap)`, and how fast it changes with x.
#[inline(always)]
fn capped<V: Vector>(x: V, cap: f32) -> (V, V) {
    if cap == f32::INFINITY {
        return (x, V::splat(1.0));
    }
    let tanh = math::tanh(x * V::splat(1.0 / cap));
    (V::splat(cap) * tanh, tanh.fnma(tanh, V::splat(1.0)))
}

simd! {
    /// As [`slopes`], for scores that are [`bend`]ed; the last key is the row's own.
    fn bent_slopes(
        scores: &mut [f32], gains: &mut [f32], scale: f32, log: f32, mean: f32, bend: (f32, f32),
    ) = bent_slopes_body;
}

#[inline(always)]
fn bent_slopes_body<V: Vector>(
    scores: &mut [f32],
    gains: &mut [f32],
    scale: f32,
    log: f32,
    mean: f32,
    (cap, slope): (f32, f32),
) {
    let own = scores.len() as f32 - 1.0;
    for (i, (x, g)) in scores.chunks_mut(V::LANES).zip(gains.chunks_mut(V::LANES)).enumerate() {
        let distance = V::splat(own - (i * V::LANES) as f32) - V::iota();
        let (score, rate) = capped(V::read(x) * V::splat(scale), cap);
        let weight = math::weight(distance.fnma(V::splat(slope), score - V::splat(log)));
        (weight * (rate * V::splat(scale)) * (V::read(g) - V::splat(mean))).write(g);
        weight.write(x);
    }
}
