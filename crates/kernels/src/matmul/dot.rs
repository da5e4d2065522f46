//! One row times a matrix, as decoding does: `y[o] = sum_i x[i] w[o, i]`, without moving `w` at all.
//!
//! A register's worth of rows of `w` at a time: one running sum (a register) per row, and at the end
//! a tree of shuffles adds the lanes of all of them at once.

use crate::vector::Vector;

simd! {
    /// `y[o] (+)= sum_i x[i] w[o, i]`; O and I are the lengths of y and x, and rows of w begin `stride` apart.
    pub(crate) fn row(y: &mut [f32], x: &[f32], w: &[f32], stride: usize, accumulate: bool) = row_body;
}

#[inline(always)]
fn row_body<V: Vector>(y: &mut [f32], x: &[f32], w: &[f32], stride: usize, accumulate: bool) {
    for (y, w) in y.chunks_mut(V::LANES).zip(w.chunks(V::LANES * stride)) {
        let mut sums = [V::zero(); 16];
        if y.len() == V::LANES {
            for (at, x) in x.chunks(V::LANES).enumerate() {
                let (at, xs) = (at * V::LANES, V::read(x));
                for r in 0..V::LANES {
                    sums[r] = xs.fma(V::read(&w[r * stride + at..][..x.len()]), sums[r]);
                }
            }
        } else {
            for r in 0..y.len() {
                for (x, w) in x.chunks(V::LANES).zip(w[r * stride..][..x.len()].chunks(V::LANES)) {
                    sums[r] = V::read(x).fma(V::read(w), sums[r]);
                }
            }
        }
        let sums = V::sums(sums);
        if accumulate { V::read(y) + sums } else { sums }.write(y);
    }
}
