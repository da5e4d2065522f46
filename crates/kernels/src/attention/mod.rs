//! Causal attention of several heads over ragged documents, forward and backward.
//!
//! For every head: `out[p] = sum_j softmax_j(q[p] . k[j] / sqrt(D)) v[j]`, j running over the keys that row p sees.
//! A [`Variant`] says what may differ: heads that share keys and values, how far a row sees, what is done to the scores.
//!
//! Two kernels: `small` for documents of up to 16 tokens and small heads (a register holds several heads at once; only
//! the default variant), `tiled` for all others (matrix products over a block of queries). `linear` is another attention.

mod bend;
pub mod linear;
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

/// Which attention. By default each head has its own keys and values, all that came before is in sight, and the
/// scores are left as they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Variant<'a> {
    /// How many heads of queries, one after the other, share one head of keys and values; divides H.
    pub group: usize,
    /// How many keys a row sees at most, its own the last of them; at least 1.
    pub window: usize,
    /// A score z, once divided by sqrt(D), becomes `cap tanh(z / cap)`; infinity leaves it.
    pub cap: f32,
    /// For each head, what a score loses for each step from the row back to the key; empty: nothing.
    pub slopes: &'a [f32],
}

impl Default for Variant<'_> {
    fn default() -> Self {
        Variant { group: 1, window: usize::MAX, cap: f32::INFINITY, slopes: &[] }
    }
}

impl Variant<'_> {
    /// The first key that is seen by the row whose own key is number `own`.
    #[inline(always)]
    fn first(&self, own: usize) -> usize {
        (own + 1).saturating_sub(self.window)
    }

    /// Are scores changed, in head `h`? Then: the cap, and the slope.
    fn bend(&self, h: usize) -> Option<(f32, f32)> {
        let slope = self.slopes.get(h).copied().unwrap_or(0.0);
        (self.cap < f32::INFINITY || slope != 0.0).then_some((self.cap, slope))
    }
}

/// What attention reads.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Queries `[T, C]`.
    pub q: Rows<'a>,
    /// Keys `[T, C / group]`.
    pub k: Rows<'a>,
    /// Values `[T, C / group]`.
    pub v: Rows<'a>,
    /// Who sees whom.
    pub segments: &'a [Segment],
    /// H.
    pub heads: usize,
    /// D; C = H D.
    pub head_size: usize,
    /// Which attention.
    pub variant: Variant<'a>,
}

impl Inputs<'_> {
    /// Numbers of a row of q, k, v.
    fn widths(&self) -> [usize; 3] {
        let width = self.heads * self.head_size;
        [width, width / self.variant.group, width / self.variant.group]
    }

    /// Does the small kernel serve this segment?
    fn is_small(&self, segment: Segment) -> bool {
        self.variant == Variant::default() && is_small(segment, self.heads, self.head_size)
    }
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
        if x.is_small(segment) {
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
    check_back(grads, places, dout, out, saved, x);
    let mut saved = saved;
    for &segment in x.segments {
        let (mine, others) = saved.split_at(segment.saved(x.heads, x.head_size));
        saved = others;
        if x.is_small(segment) {
            if !accumulate {
                clear(grads, places, x, segment);
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

/// Sets the gradients of a segment to 0.
fn clear(grads: &mut [f32], places: [Place; 3], x: &Inputs<'_>, s: Segment) {
    let rows = [(s.q_start, s.q_len), (s.kv_start, s.keys()), (s.kv_start, s.keys())];
    for ((place, (first, count)), width) in places.into_iter().zip(rows).zip(x.widths()) {
        (first..first + count).for_each(|r| grads[place.at(r)..][..width].fill(0.0));
    }
}

/// All that the kernels rely on when they read through pointers.
fn check(out: usize, saved: usize, x: &Inputs<'_>) {
    let (widths, wanted) = (x.widths(), saved_len(x.segments, x.heads, x.head_size));
    let (width, Variant { group, window, slopes, .. }) = (widths[0], x.variant);
    assert!(width > 0, "attention: {} heads of {}", x.heads, x.head_size);
    assert!(x.heads.is_multiple_of(group), "attention: {} heads in groups of {group}", x.heads);
    assert!(window > 0, "attention: a window of 0 keys");
    let some = slopes.len();
    assert!(some == 0 || some == x.heads, "attention: {some} slopes for {} heads", x.heads);
    assert!(saved == wanted, "attention: saved has {saved} numbers, should have {wanted}");
    for segment in x.segments {
        let queries = segment.q_start + segment.q_len;
        let keys = segment.kv_start + segment.keys();
        assert!(
            queries * width <= out,
            "attention: {segment:?} ends behind out ({out} numbers, rows of {width})"
        );
        let tables = [("q", x.q, queries), ("k", x.k, keys), ("v", x.v, keys)];
        for ((name, rows, most), width) in tables.into_iter().zip(widths) {
            let end = if most == 0 { 0 } else { rows.offset + (most - 1) * rows.stride + width };
            let len = rows.data.len();
            assert!(end <= len, "attention: {segment:?} ends at {end} of {name}, which has {len} numbers");
        }
    }
}

/// The same for the way back.
fn check_back(grads: &[f32], places: [Place; 3], dout: &[f32], out: &[f32], saved: &[f32], x: &Inputs<'_>) {
    check(out.len(), saved.len(), x);
    assert!(dout.len() == out.len(), "attention: out has {} numbers, dout {}", out.len(), dout.len());
    let widths = x.widths();
    for segment in x.segments {
        let queries = segment.q_start + segment.q_len;
        let keys = segment.kv_start + segment.keys();
        for ((place, rows), width) in places.iter().zip([queries, keys, keys]).zip(widths) {
            let end = if rows == 0 { 0 } else { place.at(rows - 1) + width };
            assert!(
                end <= grads.len(),
                "attention: {place:?} of {segment:?} ends at {end} of {} grads",
                grads.len()
            );
        }
    }
}

#[cfg(test)]
mod tests;
