//! A whole layer of a small model: a row (or half of one) is one register, so nothing between the matrices has to be
//! a pass of its own.
//!
//! ```text
//! mid = x + attention(norm(x) wqkv^T) wo^T          out = mid + f(norm(mid) fc1^T) fc2^T
//! ```
//!
//! The rows go through in groups of whole documents that fit the nearest cache, forward and back. The forward pass
//! wants the matrices transposed ([`pack`]); the way back takes them as they are.

mod backward;
pub mod decode;
pub mod embed;
mod forward;
pub mod head;
mod tile;

/// The definition, from the definitions of its parts.
pub mod naive;

use crate::activation::Activation;
use crate::attention::{self, Place, Rows, Segment};
use crate::level;
use std::ops::Range;

/// Which layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// C: channels.
    pub channels: usize,
    /// H; divides C.
    pub heads: usize,
    /// Numbers inside the MLP.
    pub hidden: usize,
    /// f.
    pub activation: Activation,
}

impl Layer {
    fn head_size(&self) -> usize {
        self.channels / self.heads
    }

    /// Whether the kernel serves: rows of one or two registers, whole heads in each, at most 16 tokens a document.
    pub fn fits(&self, segments: &[Segment]) -> bool {
        let (level, d) = (level::current(), self.head_size());
        let lanes = level.lanes();
        level.fuses()
            && [lanes, 2 * lanes].contains(&self.channels)
            && self.hidden > 0
            && self.hidden.is_multiple_of(2 * lanes)
            && self.heads * d == self.channels
            && segments.iter().all(|&s| attention::is_small(s, self.heads, d))
    }

    /// Where the matrices stand in the slice of weights, one after the other.
    fn matrices(&self) -> [Range<usize>; 4] {
        let (c, h) = (self.channels, self.hidden);
        let ends = [3 * c * c, 4 * c * c, 4 * c * c + c * h, 4 * c * c + 2 * c * h];
        [0..ends[0], ends[0]..ends[1], ends[1]..ends[2], ends[2]..ends[3]]
    }

    /// How many weights: wq, wk, wv, wo `[C, C]`, fc1 `[hidden, C]`, fc2 `[C, hidden]`, one after the other.
    pub fn weights_len(&self) -> usize {
        self.matrices()[3].end
    }

    /// What [`forward`] keeps for [`backward`], for that many rows.
    fn kept(&self, rows: usize, segments: &[Segment]) -> Kept {
        let (c, h) = (self.channels, self.hidden);
        let mut end = 0;
        let mut next = |width: usize| {
            end += width * rows;
            end - width * rows
        };
        let [norm1, qkv, found, norm2, hidden, active] = [c, 3 * c, c, c, h, h].map(&mut next);
        let [scale1, scale2] = [1, 1].map(next);
        let weights = end.next_multiple_of(16);
        let len = weights + attention::saved_len(segments, self.heads, self.head_size());
        Kept { norm1, qkv, found, norm2, hidden, active, scale1, scale2, weights, len }
    }

    /// How many numbers that is.
    pub fn kept_len(&self, rows: usize, segments: &[Segment]) -> usize {
        self.kept(rows, segments).len
    }

    /// How many numbers [`backward`] wants to write notes in.
    pub fn scratch_len(&self) -> usize {
        MOST_ROWS * (self.hidden + 5 * self.channels)
    }
}

/// Places in the slice that is kept: tables of the rows' numbers, then the weights of attention.
struct Kept {
    norm1: usize,
    qkv: usize,
    found: usize,
    norm2: usize,
    hidden: usize,
    active: usize,
    /// 1 / rms of each row.
    scale1: usize,
    scale2: usize,
    weights: usize,
    len: usize,
}

/// A group is complete with so many rows,
const ENOUGH_ROWS: usize = 16;
/// and then has at most so many.
const MOST_ROWS: usize = 32;

/// The next group of documents: how many, and their rows. They stand one after the other.
fn group(segments: &[Segment]) -> (usize, Range<usize>) {
    let start = segments[0].q_start;
    let (mut count, mut end) = (0, start);
    while count < segments.len() && end - start < ENOUGH_ROWS {
        end += segments[count].q_len;
        count += 1;
    }
    (count, start..end)
}

/// Where decoding remembers keys and values: a slice, and the places of its two tables.
#[derive(Debug)]
pub struct Memory<'a> {
    /// The slice.
    pub data: &'a mut [f32],
    /// Keys.
    pub k: Place,
    /// Values.
    pub v: Place,
}

/// The matrices as [`forward`] wants them: each transposed.
///
/// # Panics
/// If a slice does not have [`Layer::weights_len`] numbers.
pub fn pack(layer: &Layer, packed: &mut [f32], weights: &[f32]) {
    let len = layer.weights_len();
    assert!(packed.len() == len && weights.len() == len, "layer: {len} weights");
    let (c, h) = (layer.channels, layer.hidden);
    let lanes = level::current().lanes();
    assert!(c.is_multiple_of(lanes) && h.is_multiple_of(lanes), "layer: {layer:?} is not for this kernel");
    for (range, (o, i)) in layer.matrices().into_iter().zip([(3 * c, c), (c, c), (h, c), (c, h)]) {
        forward::transpose(&mut packed[range.clone()], &weights[range], o, i);
    }
}

/// The layer's output for each row of x. In training keeps what [`backward`] needs; in decoding, keys and values are
/// written to and read from `memory`.
///
/// Shapes: out, x `[T, C]`; kept: [`Layer::kept_len`]; packed: from [`pack`]. Segments in order, without gaps.
///
/// # Panics
/// If the layer does not fit ([`Layer::fits`]), or a slice is not of its shape.
pub fn forward(
    layer: &Layer,
    out: &mut [f32],
    kept: &mut [f32],
    x: &[f32],
    packed: &[f32],
    segments: &[Segment],
    memory: Option<Memory<'_>>,
) {
    let rows = check(layer, x.len(), segments);
    assert!(out.len() == x.len(), "layer: x has {} numbers, out {}", x.len(), out.len());
    assert!(kept.len() == layer.kept_len(rows, segments), "layer: {} numbers kept", kept.len());
    assert!(packed.len() == layer.weights_len(), "layer: {} weights", packed.len());
    if let Some(memory) = &memory {
        for segment in segments {
            let last = segment.kv_start + segment.past + segment.q_len;
            let ends = [memory.k, memory.v].map(|table| table.at(last.max(1) - 1) + layer.channels);
            assert!(ends.iter().all(|&end| end <= memory.data.len()), "layer: memory of {segment:?}");
        }
    } else {
        assert!(segments.iter().all(|s| s.past == 0 && s.kv_start == s.q_start), "layer: no memory");
    }
    forward::run(layer, out, kept, x, packed, segments, memory)
}

/// Adds the gradients of the weights, and makes (or adds to, where `accumulate`) that of x.
///
/// Shapes: dx, dout `[T, C]`; dweights and weights as they stand in the model; kept as [`forward`] left it at the same
/// level; scratch: [`Layer::scratch_len`].
///
/// # Panics
/// As [`forward`].
pub fn backward(
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
    let rows = check(layer, dout.len(), segments);
    assert!(
        segments.iter().all(|s| s.past == 0 && s.kv_start == s.q_start),
        "layer: decoding has no gradient"
    );
    assert!(dx.len() == dout.len(), "layer: dout has {} numbers, dx {}", dout.len(), dx.len());
    assert!(kept.len() == layer.kept_len(rows, segments), "layer: {} numbers kept", kept.len());
    let found = (weights.len(), dweights.len(), scratch.len());
    let wanted = (layer.weights_len(), layer.weights_len(), layer.scratch_len());
    assert!(found == wanted, "layer: weights, dweights, scratch have {found:?} numbers, not {wanted:?}");
    backward::run(layer, dx, accumulate, dweights, dout, weights, kept, segments, scratch)
}

/// What both passes rely on; how many rows there are.
fn check(layer: &Layer, len: usize, segments: &[Segment]) -> usize {
    assert!(layer.fits(segments), "layer: {layer:?} is not for this kernel");
    let rows = len / layer.channels;
    let end = segments.iter().fold(0, |end, s| {
        assert!(s.q_start == end, "layer: {s:?} should begin at row {end}");
        end + s.q_len
    });
    assert!(rows * layer.channels == len && end == rows, "layer: {len} numbers in {end} rows");
    rows
}

/// Columns of a table of the kept numbers, from row `first` on.
fn columns(data: &[f32], at: usize, stride: usize, first: usize) -> Rows<'_> {
    Rows { data, offset: at + first * stride, stride }
}

#[cfg(test)]
mod tests;
