//! Linear attention: the weights are products of positive numbers, `a[t, s] = q[t] . k[s]`, without a power of e, so that
//! sums over keys can be carried along instead of done again for every query. Its cost grows with T, not T^2.
//!
//! ```text
//! S[t] = sum_{s <= t} k[s] v[s]^T     z[t] = sum_{s <= t} k[s]     out[t] = S[t]^T q[t] / (z[t] . q[t])
//! ```
//!
//! 32 queries at a time: those keys among them by products of all pairs, what came before by S and z. On the way back a
//! first pass carries S and z again (for dq), and a second one, from the end, carries what later queries want of a key
//! (for dk and dv): `R[s] = sum_{t > s} q[t] g[t]^T`, g the gradient of out before the division.
//!
//! Katharopoulos et al., "Transformers are RNNs" (2020).
#![expect(unsafe_code, reason = "reads behind one check for the whole segment")]

use super::tiled::{FEW, with_room};
use super::{Inputs, Place, Segment, check, clear};
use crate::matmul::{self, View, product};
use crate::slices;

/// Queries at a time.
const BLOCK: usize = 32;

/// The definition, in plain loops.
pub mod naive {
    use super::{Inputs, Place};

    /// See [`forward`](super::forward).
    pub fn forward(out: &mut [f32], x: &Inputs<'_>) {
        let (d, width) = (x.head_size, x.heads * x.head_size);
        for s in x.segments {
            for (p, h) in (0..s.q_len).flat_map(|p| (0..x.heads).map(move |h| (p, h))) {
                let (row, kv, keys) = (s.q_start + p, h / x.variant.group * d, 0..s.past + p + 1);
                let q = &x.q.row(row)[h * d..];
                let weight =
                    |j: usize| -> f32 { (0..d).map(|c| q[c] * x.k.row(s.kv_start + j)[kv + c]).sum() };
                let total: f32 = keys.clone().map(weight).sum();
                for c in 0..d {
                    let sum: f32 = keys.clone().map(|j| weight(j) * x.v.row(s.kv_start + j)[kv + c]).sum();
                    out[row * width + h * d + c] = sum / total;
                }
            }
        }
    }

    /// See [`backward`](super::backward).
    pub fn backward(grads: &mut [f32], [dq, dk, dv]: [Place; 3], dout: &[f32], out: &[f32], x: &Inputs<'_>) {
        let (d, width) = (x.head_size, x.heads * x.head_size);
        for s in x.segments {
            for (p, h) in (0..s.q_len).flat_map(|p| (0..x.heads).map(move |h| (p, h))) {
                let (row, kv, keys) = (s.q_start + p, h / x.variant.group * d, 0..s.past + p + 1);
                let q = &x.q.row(row)[h * d..];
                let weight =
                    |j: usize| -> f32 { (0..d).map(|c| q[c] * x.k.row(s.kv_start + j)[kv + c]).sum() };
                let total: f32 = keys.clone().map(weight).sum();
                let (dout, out) = (&dout[row * width + h * d..][..d], &out[row * width + h * d..][..d]);
                let mean: f32 = (0..d).map(|c| dout[c] * out[c]).sum();
                for j in keys {
                    let kv_row = s.kv_start + j;
                    let gain: f32 = (0..d).map(|c| dout[c] * x.v.row(kv_row)[kv + c]).sum();
                    let (dweight, share) = ((gain - mean) / total, weight(j) / total);
                    for c in 0..d {
                        grads[dq.at(row) + h * d + c] += dweight * x.k.row(kv_row)[kv + c];
                        grads[dk.at(kv_row) + kv + c] += dweight * q[c];
                        grads[dv.at(kv_row) + kv + c] += share * dout[c];
                    }
                }
            }
        }
    }
}

/// `out[p] = sum_j (q[p] . k[j]) v[j] / sum_j q[p] . k[j]` for every head, over the keys up to row p's own.
///
/// Shapes: as [`attention::forward`](super::forward); of the variant only the group counts. The numbers of q and k are
/// positive. Saved: [`saved_len`](super::saved_len).
///
/// # Panics
/// If a segment reaches behind the end of a slice, or saved has another length.
pub fn forward(out: &mut [f32], saved: &mut [f32], x: &Inputs<'_>) {
    check(out.len(), saved.len(), x);
    let mut saved = saved;
    for &segment in x.segments {
        let (mine, others) = saved.split_at_mut(segment.saved(x.heads, x.head_size));
        saved = others;
        if segment.q_len <= FEW { few(out, mine, x, segment) } else { blocks(out, mine, x, segment) }
    }
}

/// Keys and values of kv head `g`, from row `j` of the segment on: slices, and views.
fn keys<'a>(x: &Inputs<'a>, s: Segment, g: usize, j: usize) -> (&'a [f32], &'a [f32], View, View) {
    let (k, v) = (&x.k.row(s.kv_start + j)[g * x.head_size..], &x.v.row(s.kv_start + j)[g * x.head_size..]);
    (k, v, rows(k, x.k.stride), rows(v, x.v.stride))
}

/// A few queries: over all their keys.
fn few(out: &mut [f32], saved: &mut [f32], x: &Inputs<'_>, s: Segment) {
    let (d, width, group) = (x.head_size, x.heads * x.head_size, x.variant.group);
    with_room([s.keys()], |[weights]| {
        for (p, h) in (0..s.q_len).flat_map(|p| (0..x.heads).map(move |h| (p, h))) {
            let (k, _, _, v_rows) = keys(x, s, h / group, 0);
            let weights = &mut weights[..s.past + p + 1];
            matmul::row(weights, &x.q.row(s.q_start + p)[h * d..][..d], k, x.k.stride, false);
            let total: f32 = weights.iter().sum();
            let out = &mut out[(s.q_start + p) * width + h * d..][..d];
            // SAFETY: `check` saw that the segment's rows lie in their slices.
            unsafe { product(1, d, weights.len(), rows(weights, 0), v_rows, out.as_mut_ptr(), width, false) }
            slices::scale(out, 1.0 / total);
            saved[p * x.heads + h] = total;
        }
    })
}

fn blocks(out: &mut [f32], saved: &mut [f32], x: &Inputs<'_>, s: Segment) {
    let (d, width, group) = (x.head_size, x.heads * x.head_size, x.variant.group);
    with_room([BLOCK * BLOCK, d * d, d], |[pairs, state, sum]| {
        for g in 0..x.heads / group {
            state.fill(0.0);
            sum.fill(0.0);
            carry(state, sum, x, s, g, 0..s.past);
            for first in (0..s.q_len).step_by(BLOCK) {
                let n = BLOCK.min(s.q_len - first);
                let (_, _, k_rows, v_rows) = keys(x, s, g, s.past + first);
                for h in g * group..(g + 1) * group {
                    let q = &x.q.row(s.q_start + first)[h * d..];
                    let out = &mut out[(s.q_start + first) * width + h * d..];
                    // SAFETY: `check` saw that the segment's rows lie in their slices; the scratch is as long as it says.
                    unsafe {
                        all_pairs(pairs, n, d, rows(q, x.q.stride), k_rows);
                        product(n, d, n, rows(pairs, BLOCK), v_rows, out.as_mut_ptr(), width, false);
                        product(n, d, d, rows(q, x.q.stride), rows(state, d), out.as_mut_ptr(), width, true);
                    }
                    for p in 0..n {
                        let before = slices::dot(&q[p * x.q.stride..][..d], sum);
                        let total = before + pairs[p * BLOCK..][..p + 1].iter().sum::<f32>();
                        slices::scale(&mut out[p * width..][..d], 1.0 / total);
                        saved[(first + p) * x.heads + h] = total;
                    }
                }
                carry(state, sum, x, s, g, s.past + first..s.past + first + n);
            }
        }
    });
}

/// S and z with some more keys.
fn carry(
    state: &mut [f32],
    sum: &mut [f32],
    x: &Inputs<'_>,
    s: Segment,
    g: usize,
    more: std::ops::Range<usize>,
) {
    if more.is_empty() {
        return;
    }
    let (d, (k, _, k_rows, v_rows)) = (x.head_size, keys(x, s, g, more.start));
    // SAFETY: `check` saw that the segment's rows lie in their slices; S is `[D, D]`.
    unsafe { product(d, d, more.len(), turned(k_rows), v_rows, state.as_mut_ptr(), d, true) }
    (0..more.len()).for_each(|j| slices::add_into(sum, &k[j * x.k.stride..][..d]));
}

fn rows(s: &[f32], stride: usize) -> View {
    View { at: s.as_ptr(), rs: stride, cs: 1 }
}

fn columns(s: &[f32], stride: usize) -> View {
    View { at: s.as_ptr(), rs: 1, cs: stride }
}

/// The transpose.
fn turned(view: View) -> View {
    View { at: view.at, rs: view.cs, cs: view.rs }
}

/// `pairs[p, j] = a[p] . b[j]` for j up to p, else 0.
///
/// # Safety
/// Both can be read over `[n, d]`.
unsafe fn all_pairs(pairs: &mut [f32], n: usize, d: usize, a: View, b: View) {
    assert!(pairs.len() == BLOCK * BLOCK && n <= BLOCK);
    // SAFETY: the caller vouches for both; `pairs` was looked at.
    unsafe { product(n, n, d, a, turned(b), pairs.as_mut_ptr(), BLOCK, false) }
    (0..n).for_each(|p| pairs[p * BLOCK + p + 1..p * BLOCK + n].fill(0.0));
}

/// Adds the gradients of [`forward`] for q, k and v, given that of out, or replaces what is there by them.
///
/// Shapes: as [`attention::backward`](super::backward).
///
/// # Panics
/// If a segment reaches behind the end of a slice, or saved has another length.
pub fn backward(
    grads: &mut [f32],
    places: [Place; 3],
    dout: &[f32],
    out: &[f32],
    saved: &[f32],
    x: &Inputs<'_>,
    accumulate: bool,
) {
    super::check_back(grads, places, dout, out, saved, x);
    let mut saved = saved;
    for &segment in x.segments {
        let (mine, others) = saved.split_at(segment.saved(x.heads, x.head_size));
        saved = others;
        if !accumulate {
            clear(grads, places, x, segment);
        }
        for g in 0..x.heads / x.variant.group {
            Back { x, s: segment, dout, out, saved: mine }.head(grads, places, g);
        }
    }
}

/// What the way back of a segment reads.
struct Back<'a> {
    x: &'a Inputs<'a>,
    s: Segment,
    dout: &'a [f32],
    out: &'a [f32],
    saved: &'a [f32],
}

impl Back<'_> {
    /// The gradients before the division: of the sum of values (`slope`, n rows of D) and of the sum of weights (`total`).
    fn undivided(&self, slope: &mut [f32], total: &mut [f32], first: usize, n: usize, h: usize) {
        let (d, heads) = (self.x.head_size, self.x.heads);
        for p in 0..n {
            let at = (self.s.q_start + first + p) * heads * d + h * d;
            let (slope, inverse) = (&mut slope[p * d..][..d], 1.0 / self.saved[(first + p) * heads + h]);
            slope.copy_from_slice(&self.dout[at..][..d]);
            slices::scale(slope, inverse);
            total[p] = -slices::dot(slope, &self.out[at..][..d]);
        }
    }

    /// The gradient of each pair's weight.
    ///
    /// # Safety
    /// `v` can be read over `[n, D]`.
    unsafe fn wanted(&self, pairs: &mut [f32], slope: &[f32], total: &[f32], n: usize, v: View) {
        let d = self.x.head_size;
        // SAFETY: the caller vouches for v; the slopes are n rows of D.
        unsafe { all_pairs(pairs, n, d, rows(slope, d), v) }
        (0..n).for_each(|p| pairs[p * BLOCK..][..p + 1].iter_mut().for_each(|g| *g += total[p]));
    }

    /// Of one head of keys and values, and the queries that share it.
    fn head(&self, grads: &mut [f32], [dq, dk, dv]: [Place; 3], g: usize) {
        let &Back { x, s, .. } = self;
        let (d, group, kv) = (x.head_size, x.variant.group, g * x.head_size);
        let sizes = [BLOCK * BLOCK, BLOCK * BLOCK, d * d, d, BLOCK * d, BLOCK];
        with_room(sizes, |[pairs, wanted, state, sum, slope, total]| {
            let starts = || (0..s.q_len).step_by(BLOCK).map(|first| (first, BLOCK.min(s.q_len - first)));
            state.fill(0.0);
            sum.fill(0.0);
            carry(state, sum, x, s, g, 0..s.past);
            for (first, n) in starts() {
                let (_, _, k_rows, v_rows) = keys(x, s, g, s.past + first);
                for h in g * group..(g + 1) * group {
                    self.undivided(slope, total, first, n, h);
                    let at = dq.at(s.q_start + first) + h * d;
                    // SAFETY: `check_back` saw that the segment's rows, and those of its gradients, lie in their slices.
                    unsafe {
                        self.wanted(wanted, slope, total, n, v_rows);
                        let to = grads[at..].as_mut_ptr();
                        product(n, d, n, rows(wanted, BLOCK), k_rows, to, dq.stride, true);
                        product(n, d, d, rows(slope, d), columns(state, d), to, dq.stride, true);
                    }
                    (0..n).for_each(|p| slices::axpy(&mut grads[at + p * dq.stride..][..d], total[p], sum));
                }
                carry(state, sum, x, s, g, s.past + first..s.past + first + n);
            }
            // From here on what the later queries want: R, and the sum of their own gradients of the weights.
            state.fill(0.0);
            sum.fill(0.0);
            for (first, n) in starts().rev() {
                let row = s.kv_start + s.past + first;
                let (_, _, k_rows, v_rows) = keys(x, s, g, s.past + first);
                let (to_k, to_v) = (dk.at(row) + kv, dv.at(row) + kv);
                // SAFETY: as above.
                unsafe {
                    product(n, d, d, v_rows, columns(state, d), grads[to_k..].as_mut_ptr(), dk.stride, true);
                    product(n, d, d, k_rows, rows(state, d), grads[to_v..].as_mut_ptr(), dv.stride, true);
                }
                (0..n).for_each(|j| slices::add_into(&mut grads[to_k + j * dk.stride..][..d], sum));
                for h in g * group..(g + 1) * group {
                    let q = &x.q.row(s.q_start + first)[h * d..];
                    let q_rows = rows(q, x.q.stride);
                    self.undivided(slope, total, first, n, h);
                    // SAFETY: as above.
                    unsafe {
                        self.wanted(wanted, slope, total, n, v_rows);
                        all_pairs(pairs, n, d, q_rows, k_rows);
                        let grads = grads.as_mut_ptr();
                        let (dk_at, dv_at) = (grads.add(to_k), grads.add(to_v));
                        product(n, d, n, columns(wanted, BLOCK), q_rows, dk_at, dk.stride, true);
                        product(n, d, n, columns(pairs, BLOCK), rows(slope, d), dv_at, dv.stride, true);
                        product(d, d, n, turned(q_rows), rows(slope, d), state.as_mut_ptr(), d, true);
                    }
                    (0..n).for_each(|p| slices::axpy(sum, total[p], &q[p * x.q.stride..][..d]));
                }
            }
        });
    }
}
