//! Causal attention of several heads over ragged documents, forward and backward.
//!
//! For every head: `out[p] = sum_j softmax_j(q[p] . k[j] / sqrt(D)) v[j]`, j running over the keys that row p sees.
//!
//! Two kernels: `small` for documents of up to 16 tokens and small heads (a register holds several heads at once),
//! `tiled` for all others (matrix products over a block of queries).

pub mod naive;
pub(crate) mod small;
mod tile;
mod tiled;

use crate::level;

/// Rows of C numbers somewhere in a larger slice: row r is `data[offset + r * stride..][..C]`.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The slice.
    pub data: &'a [f32],
    /// Where row 0 begins.
    pub offset: usize,
    /// From the beginning of one row to that of the next.
    pub stride: usize,
}

impl<'a> Rows<'a> {
    /// From the beginning of row `r` to the end of the slice.
    pub fn row(&self, r: usize) -> &'a [f32] {
        &self.data[self.offset + r * self.stride..]
    }
}

/// Where rows begin in a slice that is not held: `offset + r * stride`.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Where row 0 begins.
    pub offset: usize,
    /// From the beginning of one row to that of the next.
    pub stride: usize,
}

impl Place {
    /// Where row `r` begins.
    pub fn at(&self, r: usize) -> usize {
        self.offset + r * self.stride
    }
}

/// One document (or a part of one): query row `q_start + p` sees keys `kv_start ..= kv_start + past + p`.
///
/// In training `past` is 0 and `kv_start` is `q_start`; in decoding the keys are those of a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First query row.
    pub q_start: usize,
    /// Query rows.
    pub q_len: usize,
    /// First key and value row.
    pub kv_start: usize,
    /// Keys that the first query sees besides its own.
    pub past: usize,
}

impl Segment {
    fn keys(&self) -> usize {
        self.past + self.q_len
    }

    fn is_small(&self) -> bool {
        self.keys() <= small::MOST_KEYS
    }

    /// Numbers of `saved` for a segment.
    pub(crate) fn saved(&self, heads: usize, head_size: usize) -> usize {
        if self.is_small() {
            let pairs = self.q_len * self.past + self.q_len * (self.q_len + 1) / 2;
            pairs * heads * head_size
        } else {
            self.q_len * heads
        }
    }
}

/// What attention reads.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Queries `[T, C]`.
    pub q: Rows<'a>,
    /// Keys `[T, C]`.
    pub k: Rows<'a>,
    /// Values `[T, C]`.
    pub v: Rows<'a>,
    /// Who sees whom.
    pub segments: &'a [Segment],
    /// H.
    pub heads: usize,
    /// D; C = H D.
    pub head_size: usize,
}

/// How many numbers [`forward`] keeps for [`backward`]: the weights of small documents, one logarithm per row and
/// head of others.
pub fn saved_len(segments: &[Segment], heads: usize, head_size: usize) -> usize {
    segments.iter().map(|s| s.saved(heads, head_size)).sum()
}

/// `out[p] = sum_j softmax_j(q[p] . k[j] / sqrt(D)) v[j]` for every head, over the keys that row p sees.
///
/// Shapes: out `[T, C]` (rows outside all segments are not touched); saved: [`saved_len`] numbers for [`backward`],
/// at the same level.
///
/// # Panics
/// If a segment reaches behind the end of a slice, or saved has another length.
pub fn forward(out: &mut [f32], saved: &mut [f32], x: &Inputs<'_>) {
    check(out.len(), saved.len(), x);
    let mut saved = saved;
    for &segment in x.segments {
        let (mine, others) = saved.split_at_mut(segment.saved(x.heads, x.head_size));
        saved = others;
        if is_small(segment, x.heads, x.head_size) {
            small::forward(out, mine, x, segment);
        } else {
            tiled::forward(out, mine, x, segment);
        }
    }
}

/// The gradients of [`forward`] for q, k and v, given that of out. Adds to what is there where `accumulate`, else
/// replaces it; rows outside all segments are not touched.
///
/// Shapes: grads holds dq, dk, dv at `places`, in rows like those of q, k, v; dout, out `[T, C]`; saved and out as
/// [`forward`] left them.
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
    check(out.len(), saved.len(), x);
    assert!(dout.len() == out.len(), "attention: out has {} numbers, dout {}", out.len(), dout.len());
    let width = x.heads * x.head_size;
    let mut saved = saved;
    for &segment in x.segments {
        let queries = segment.q_start + segment.q_len;
        let keys = segment.kv_start + segment.keys();
        for (place, rows) in places.iter().zip([queries, keys, keys]) {
            let end = if rows == 0 { 0 } else { place.at(rows - 1) + width };
            assert!(
                end <= grads.len(),
                "attention: {place:?} of {segment:?} ends at {end} of {} grads",
                grads.len()
            );
        }
        let (mine, others) = saved.split_at(segment.saved(x.heads, x.head_size));
        saved = others;
        if is_small(segment, x.heads, x.head_size) {
            if !accumulate {
                for (place, first, rows) in [
                    (places[0], segment.q_start, segment.q_len),
                    (places[1], segment.kv_start, segment.keys()),
                    (places[2], segment.kv_start, segment.keys()),
                ] {
                    (first..first + rows).for_each(|r| grads[place.at(r)..][..width].fill(0.0));
                }
            }
            small::backward(grads, places, dout, out, mine, x, segment);
        } else {
            tiled::backward(grads, places, dout, out, mine, x, segment, accumulate);
        }
    }
}

/// Whether the small kernel serves: few keys, and registers that are filled by whole heads.
#[inline]
pub(crate) fn is_small(segment: Segment, heads: usize, head_size: usize) -> bool {
    let lanes = level::current().lanes();
    let fits = [1, 2, 4, 8, lanes].contains(&head_size) && (heads * head_size).is_multiple_of(lanes);
    fits && segment.is_small()
}

/// All that the kernels rely on when they read through pointers.
fn check(out: usize, saved: usize, x: &Inputs<'_>) {
    let (width, wanted) = (x.heads * x.head_size, saved_len(x.segments, x.heads, x.head_size));
    assert!(width > 0, "attention: {} heads of {}", x.heads, x.head_size);
    assert!(saved == wanted, "attention: saved has {saved} numbers, should have {wanted}");
    for segment in x.segments {
        let queries = segment.q_start + segment.q_len;
        let keys = segment.kv_start + segment.keys();
        assert!(
            queries * width <= out,
            "attention: {segment:?} ends behind out ({out} numbers, rows of {width})"
        );
        for (name, rows, most) in [("q", x.q, queries), ("k", x.k, keys), ("v", x.v, keys)] {
            let end = if most == 0 { 0 } else { rows.offset + (most - 1) * rows.stride + width };
            let len = rows.data.len();
            assert!(end <= len, "attention: {segment:?} ends at {end} of {name}, which has {len} numbers");
        }
    }
}

#[cfg(test)]
mod tests;
