//! Attention by matrix products, one head after the other.
//!
//! Forward:  `S = Q K^T`, `P = e^(S/sqrt(D) - most)` where seen, `out = P V / sum P`; kept: `most + ln(sum P)`.
//! Backward: P again from that logarithm; `dV += P^T dO`, `dS = P (dO V^T - dO.out) / sqrt(D)`, `dQ += dS K`, `dK += dS^T Q`.
//!
//! Nothing of size T x T exists: S is 8 queries on the way there, 32 on the way back, and only the keys that one of 8
//! sees are computed. Keys and values of the head are first copied together (and transposed, where a product wants it
//! so), once for all queries of all heads that share them. A few queries (decoding) read them where they are.
#![expect(unsafe_code, reason = "reads behind one check for the whole segment")]

use super::bend::{bend, bend_body, capped};
use super::tile::{GROUP, Product};
use super::{Inputs, Place, Segment, Variant};
use crate::math;
use crate::matmul::{self, Line, View, product};
use crate::vector::{Vector, fold};
use std::cell::Cell;
use std::ops::Range;

/// Queries at a time on the way back.
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

/// A row length that is whole cache lines but no power of two, whose rows would share cache sets.
fn padded(n: usize) -> usize {
    (n.div_ceil(16) | 1) * 16
}

/// A row of a head in whole registers.
fn whole(d: usize) -> usize {
    d.next_multiple_of(16)
}

/// The segment without the keys that none of its queries sees.
fn in_sight(variant: &Variant<'_>, s: Segment) -> Segment {
    let unseen = variant.first(s.past);
    Segment { kv_start: s.kv_start + unseen, past: s.past - unseen, ..s }
}

/// The first key that queries need whose first one's own key is `own`, or some before it: where a cache line begins.
#[inline(always)]
fn oldest(variant: &Variant<'_>, own: usize) -> usize {
    variant.first(own) & !15
}

pub(super) fn forward(out: &mut [f32], saved: &mut [f32], x: &Inputs<'_>, s: Segment) {
    let (s, group) = (in_sight(&x.variant, s), x.variant.group);
    let (d, keys) = (x.head_size, s.keys());
    let stride = padded(keys);
    if s.q_len <= FEW {
        return with_room([s.q_len * stride], |[scores]| few(out, saved, x, s, scores, stride));
    }
    with_room([GROUP * stride, d * stride, keys * whole(d)], |[scores, k_columns, v_copy]| {
        for h in 0..x.heads {
            if h.is_multiple_of(group) {
                let c = h / group * d;
                matmul::transpose(k_columns, stride, &x.k.row(s.kv_start)[c..], x.k.stride, keys, d);
                copy_rows(v_copy, whole(d), &x.v.row(s.kv_start)[c..], x.v.stride, keys, d);
            }
            head_forward(out, saved, x, s, h, [&mut *scores, &mut *k_columns, &mut *v_copy], stride);
        }
    });
}

/// A few queries against keys and values where they are.
fn few(out: &mut [f32], saved: &mut [f32], x: &Inputs<'_>, s: Segment, scores: &mut [f32], stride: usize) {
    let (d, width, keys) = (x.head_size, x.heads * x.head_size, s.keys());
    for h in 0..x.heads {
        let (c, kv) = (h * d, h / x.variant.group * d);
        let (k, v) = (&x.k.row(s.kv_start)[kv..], &x.v.row(s.kv_start)[kv..]);
        for p in 0..s.q_len {
            let seen = &mut scores[p * stride..][..s.past + p + 1];
            matmul::row(seen, &x.q.row(s.q_start + p)[c..][..d], k, x.k.stride, false);
        }
        let (mut scale, window) = (1.0 / (d as f32).sqrt(), x.variant.window);
        if let Some(how) = x.variant.bend(h) {
            bend(scores, stride, s.q_len, s.past, scale, how);
            scale = 1.0;
        }
        weigh(scores, stride, s.q_len, s.past, window, scale, &mut saved[h..], x.heads);
        let out = &mut out[s.q_start * width + c..];
        let (a, b) =
            (View { at: scores.as_ptr(), rs: stride, cs: 1 }, View { at: v.as_ptr(), rs: x.v.stride, cs: 1 });
        // SAFETY: `check` saw that these rows lie in their slices, and `out` ends behind the last query's row.
        unsafe { product(s.q_len, d, keys, a, b, out.as_mut_ptr(), width, false) }
    }
}

pub(super) fn backward(
    grads: &mut [f32],
    places: [Place; 3],
    dout: &[f32],
    out: &[f32],
    saved: &[f32],
    x: &Inputs<'_>,
    s: Segment,
    add: bool,
) {
    let (d, keys) = (x.head_size, s.keys());
    let stride = padded(keys);
    let (block, columns, rows) = (BLOCK * stride, d * stride, BLOCK * whole(d));
    with_room([block, block, columns, columns, keys * whole(d), rows, rows], |mut room| {
        for h in 0..x.heads {
            if h.is_multiple_of(x.variant.group) {
                let kv = h / x.variant.group * d;
                let (k, v) = (&x.k.row(s.kv_start)[kv..], &x.v.row(s.kv_start)[kv..]);
                matmul::transpose(room[2], stride, k, x.k.stride, keys, d);
                matmul::transpose(room[3], stride, v, x.v.stride, keys, d);
                copy_rows(room[4], whole(d), k, x.k.stride, keys, d);
            }
            head_backward(grads, places, dout, out, saved, x, s, h, &mut room, stride, add);
        }
    });
}

simd! {
    /// `to[j] = from[j]` for `n` rows of `d`, and zeros to the end of the last register.
    fn copy_rows(to: &mut [f32], to_stride: usize, from: &[f32], from_stride: usize, n: usize, d: usize) = copy_rows_body;
}

#[inline(always)]
fn copy_rows_body<V: Vector>(
    to: &mut [f32],
    to_stride: usize,
    from: &[f32],
    from_stride: usize,
    n: usize,
    d: usize,
) {
    for j in 0..n {
        let (to, from) = (&mut to[j * to_stride..][..to_stride], &from[j * from_stride..][..d]);
        for (to, from) in to.chunks_exact_mut(V::LANES).zip(from.chunks(V::LANES)) {
            V::read(from).write(to);
        }
    }
}

simd! {
    /// One head: `room` holds the scores of a group of queries, K by columns, V by whole rows.
    fn head_forward(
        out: &mut [f32], saved: &mut [f32], x: &Inputs<'_>, s: Segment, h: usize, room: [&mut [f32]; 3], stride: usize,
    ) = head_forward_body;
}

#[inline(always)]
fn head_forward_body<V: Vector>(
    out: &mut [f32],
    saved: &mut [f32],
    x: &Inputs<'_>,
    s: Segment,
    h: usize,
    [scores, k_columns, v_copy]: [&mut [f32]; 3],
    stride: usize,
) {
    let (d, width, c) = (x.head_size, x.heads * x.head_size, h * x.head_size);
    let bent = x.variant.bend(h);
    let root = 1.0 / (d as f32).sqrt();
    let scale = if bent.is_some() { 1.0 } else { root };
    for first in (0..s.q_len).step_by(GROUP) {
        let queries = GROUP.min(s.q_len - first);
        let oldest = oldest(&x.variant, s.past + first);
        let (past, seen) = (s.past + first - oldest, s.past + first + queries - oldest);
        let q = &x.q.row(s.q_start + first)[c..];
        let to = &mut out[(s.q_start + first) * width + c..];
        // SAFETY: `check` saw that rows of q and out lie in their slices; `room` holds `GROUP` rows of `stride` scores,
        // and `keys >= seen` columns of K and rows of V, both to the end of a register.
        unsafe {
            let score = Product {
                m: queries,
                n: seen.next_multiple_of(V::LANES),
                k: d,
                a: q.as_ptr(),
                a_rs: x.q.stride,
                a_cs: 1,
                b: k_columns[oldest..].as_ptr(),
                b_rs: stride,
                c: scores.as_mut_ptr(),
                c_rs: stride,
                add: false,
            };
            score.run::<V>();
            if let Some(how) = bent {
                bend_body::<V>(scores, stride, queries, past, root, how);
            }
            weigh_body::<V>(
                scores,
                stride,
                queries,
                past,
                x.variant.window,
                scale,
                &mut saved[first * x.heads + h..],
                x.heads,
            );
            let mix = Product {
                m: queries,
                n: d,
                k: seen,
                a: scores.as_ptr(),
                a_rs: stride,
                a_cs: 1,
                b: v_copy[oldest * whole(d)..].as_ptr(),
                b_rs: whole(d),
                c: to.as_mut_ptr(),
                c_rs: width,
                add: false,
            };
            mix.run::<V>();
        }
    }
}

simd! {
    /// Scores to weights that sum to 1, row by row; row p sees the last `window` of `past + p + 1` keys, and the weights
    /// before and behind them are 0 up to the last that any row sees. The logarithm of each row's sum goes to
    /// `logs[p * log_stride]`.
    fn weigh(
        scores: &mut [f32], stride: usize, queries: usize, past: usize, window: usize, scale: f32, logs: &mut [f32],
        log_stride: usize,
    ) = weigh_body;
}

#[inline(always)]
fn weigh_body<V: Vector>(
    scores: &mut [f32],
    stride: usize,
    queries: usize,
    past: usize,
    window: usize,
    scale: f32,
    logs: &mut [f32],
    log_stride: usize,
) {
    let (factor, lanes, none) = (V::splat(scale), V::iota(), V::splat(f32::NEG_INFINITY));
    // What is done once a row, of its sum, is done for as many rows at once as there are lanes.
    for start in (0..queries).step_by(V::LANES) {
        let rows = start..queries.min(start + V::LANES);
        let (mut sums, mut shifts) = ([V::zero(); 16], [0.0; 16]);
        for p in rows.clone() {
            let row = &mut scores[p * stride..][..stride];
            let visible = past + p + 1;
            let (row, hidden) = row.split_at_mut(visible.next_multiple_of(V::LANES));
            // So do those before the first; whole registers of them are not looked at again.
            let first = visible.saturating_sub(window);
            let (gone, row) = row.split_at_mut(first / V::LANES * V::LANES);
            if first > 0 {
                gone.fill(0.0);
                let before = V::splat((first - gone.len()) as f32);
                V::if_gt(before, lanes, none, V::read(row)).write(row);
            }
            let visible = visible - gone.len();
            let end = row.len() - V::LANES;
            // Lanes behind the last key that is seen count for nothing.
            let tail = &mut row[end..];
            let seen = V::splat((visible - end) as f32);
            V::if_gt(seen, lanes, V::read(tail), none).write(tail);
            let mut most = none;
            for x in row.chunks_exact(V::LANES) {
                most = most.max(V::read(x));
            }
            let shift = -most.max_lane() * scale;
            let mut sum = V::zero();
            for x in row.chunks_exact_mut(V::LANES) {
                let power = math::weight(factor.fma(V::read(x), V::splat(shift)));
                sum = sum + power;
                power.write(x);
            }
            (sums[p - start], shifts[p - start]) = (sum, shift);
            let behind = (past + queries).saturating_sub(gone.len() + row.len()).next_multiple_of(V::LANES);
            for x in hidden[..behind].chunks_exact_mut(V::LANES) {
                V::zero().write(x);
            }
        }
        let sums = V::sums(sums);
        let mut shares = [0.0; 16];
        (V::splat(1.0) / sums).write(&mut shares);
        (math::ln(sums) - V::read(&shifts)).write(&mut shifts);
        for p in rows {
            let visible = past + p + 1;
            let range =
                visible.saturating_sub(window) / V::LANES * V::LANES..visible.next_multiple_of(V::LANES);
            let share = V::splat(shares[p - start]);
            for x in scores[p * stride..][range].chunks_exact_mut(V::LANES) {
                (V::read(x) * share).write(x);
            }
            logs[p * log_stride] = shifts[p - start];
        }
    }
}

simd! {
    /// One head: `room` holds two tables of the scores of a block, K and V by columns, K by whole rows, and room for the
    /// block's queries and slopes.
    fn head_backward(
        grads: &mut [f32], places: [Place; 3], dout: &[f32], out: &[f32], saved: &[f32], x: &Inputs<'_>, s: Segment,
        h: usize, room: &mut [&mut [f32]; 7], stride: usize, add: bool,
    ) = head_backward_body;
}

#[inline(always)]
fn head_backward_body<V: Vector>(
    grads: &mut [f32],
    [dq, dk, dv]: [Place; 3],
    dout: &[f32],
    out: &[f32],
    saved: &[f32],
    x: &Inputs<'_>,
    s: Segment,
    h: usize,
    [weights, dscores, k_columns, v_columns, k_copy, q_copy, slope_copy]: &mut [&mut [f32]; 7],
    stride: usize,
    add: bool,
) {
    let (d, width, c) = (x.head_size, x.heads * x.head_size, h * x.head_size);
    let (Variant { group: share, window, .. }, bent) = (x.variant, x.variant.bend(h));
    // What other heads have left for the keys and values that they share is added to.
    let (kv, add_kv) = (h / share * d, add || !h.is_multiple_of(share));
    let scale = 1.0 / (d as f32).sqrt();
    let wide = whole(d);
    for first in (0..s.q_len).step_by(BLOCK) {
        let queries = BLOCK.min(s.q_len - first);
        let before = s.past + first;
        let seen = before + queries;
        // The first block sees to all keys that came before it, be they in sight or not.
        let oldest_of = |own| if first == 0 { 0 } else { oldest(&x.variant, own) };
        let oldest = oldest_of(before);
        let at = (s.q_start + first) * width + c;
        let (slope, out) = (&dout[at..], &out[at..]);
        copy_rows_body::<V>(q_copy, wide, &x.q.row(s.q_start + first)[c..], x.q.stride, queries, d);
        copy_rows_body::<V>(slope_copy, wide, slope, width, queries, d);
        for group in (0..queries).step_by(GROUP) {
            let m = GROUP.min(queries - group);
            let (far, near) = (oldest_of(before + group), before + group + m);
            let score = |a: &[f32], b: &[f32], to: &mut [f32]| Product {
                m,
                n: (near - far).next_multiple_of(V::LANES),
                k: d,
                a: a[group * wide..].as_ptr(),
                a_rs: wide,
                a_cs: 1,
                b: b[far..].as_ptr(),
                b_rs: stride,
                c: to[group * stride + far..].as_mut_ptr(),
                c_rs: stride,
                add: false,
            };
            let (p_scores, g_scores) =
                (score(q_copy, k_columns, weights), score(slope_copy, v_columns, dscores));
            // SAFETY: the scratch has the sizes of `backward`: `near` keys, to the end of a register, are in it.
            unsafe {
                p_scores.run::<V>();
                g_scores.run::<V>();
            }
            for p in group..group + m {
                let (slope, out) = (&slope[p * width..][..d], &out[p * width..][..d]);
                let mean = fold::<V>(slope, out, |x, y, sum| x.fma(y, sum));
                let log = saved[(first + p) * x.heads + h];
                let row =
                    p * stride + oldest..p * stride + oldest + (seen - oldest).next_multiple_of(V::LANES);
                let (weights, dscores) = (&mut weights[row.clone()], &mut dscores[row]);
                let visible = x.variant.first(before + p).max(oldest) - oldest..before + p + 1 - oldest;
                match bent {
                    None => slopes::<V, false>(weights, dscores, visible, scale, log, mean, (0.0, 0.0)),
                    Some(how) => slopes::<V, true>(weights, dscores, visible, scale, log, mean, how),
                }
            }
            let to = grads[dq.at(s.q_start + first + group) + c..].as_mut_ptr();
            let a = dscores[group * stride + far..].as_ptr();
            let dq = Product {
                m,
                n: d,
                k: near - far,
                a,
                a_rs: stride,
                a_cs: 1,
                b: k_copy[far * wide..].as_ptr(),
                b_rs: wide,
                c: to,
                c_rs: dq.stride,
                add,
            };
            // SAFETY: `backward` above saw that these rows of the gradient lie in its slice.
            unsafe { dq.run::<V>() }
        }
        // Keys that earlier blocks have seen, then those that this one is the first to see.
        let old = if first == 0 { 0 } else { before };
        for (keys, add) in [(oldest..old, true), (old..seen, add_kv)] {
            for j in keys.clone().step_by(GROUP) {
                // Queries before the first of these keys do not see it, nor do those a window behind the last.
                let from = j.saturating_sub(before);
                let until =
                    queries.min((j + GROUP - 1).saturating_add(window).saturating_sub(before)).max(from);
                let sum = |a: &[f32], b: &[f32], to: &mut [f32], c_rs: usize| Product {
                    m: GROUP.min(keys.end - j),
                    n: d,
                    k: until - from,
                    a: a[from * stride + j..].as_ptr(),
                    a_rs: 1,
                    a_cs: stride,
                    b: b[from * wide..].as_ptr(),
                    b_rs: wide,
                    c: to.as_mut_ptr(),
                    c_rs,
                    add,
                };
                let dk_sum = sum(dscores, q_copy, &mut grads[dk.at(s.kv_start + j) + kv..], dk.stride);
                let dv_sum = sum(weights, slope_copy, &mut grads[dv.at(s.kv_start + j) + kv..], dv.stride);
                // SAFETY: as above.
                unsafe {
                    dk_sum.run::<V>();
                    dv_sum.run::<V>();
                }
            }
        }
    }
}

/// In place: scores to weights, `e^(score scale - log)`, and gains to `weight (gain - mean) scale`; 0 where no key is
/// visible. Where `BENT`, the scores are what [`bend`] makes of them, and the gains what follows from that.
#[inline(always)]
fn slopes<V: Vector, const BENT: bool>(
    scores: &mut [f32],
    gains: &mut [f32],
    visible: Range<usize>,
    scale: f32,
    log: f32,
    mean: f32,
    (cap, slope): (f32, f32),
) {
    let (scale, log, mean) = (V::splat(scale), V::splat(-log), V::splat(mean));
    let (lanes, none) = (V::iota(), V::splat(f32::NEG_INFINITY));
    for (i, (x, g)) in scores.chunks_exact_mut(V::LANES).zip(gains.chunks_exact_mut(V::LANES)).enumerate() {
        let start = i * V::LANES;
        if start >= visible.end || start + V::LANES <= visible.start {
            V::zero().write(x);
            V::zero().write(g);
            continue;
        }
        let seen = V::splat((visible.end - start) as f32);
        let mut score = V::if_gt(seen, lanes, V::read(x), none);
        if start < visible.start {
            score = V::if_gt(V::splat((visible.start - start) as f32), lanes, none, score);
        }
        let (weight, rate) = if BENT {
            let distance = seen - V::splat(1.0) - lanes;
            let (capped, rate) = capped(score * scale, cap);
            // What is out of sight stays so, though a cap would bring it back.
            let score = V::if_gt(score, none, distance.fnma(V::splat(slope), capped) + log, none);
            (math::weight(score), rate * scale)
        } else {
            (math::weight(scale.fma(score, log)), scale)
        };
        (weight * rate * (V::read(g) - mean)).write(g);
        weight.write(x);
    }
}
