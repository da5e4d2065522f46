//! The nearest orthogonal matrix, roughly: what Muon makes of a matrix of gradients.
//!
//! With the singular values X = U S V^T, it is U V^T. Newton and Schulz's iteration comes near it by products alone:
//!
//! ```text
//! X = X / |X|                                    so that no singular value is above 1
//! five times: A = X X^T,  X = a X + (b A + c A A) X
//! ```
//!
//! That is the polynomial a s + b s^3 + c s^5 on each singular value s. Jordan ("Muon: An optimizer for hidden layers in
//! neural networks", 2024) chose a, b, c to raise small values quickly: after five rounds all but the smallest lie between
//! some 0.7 and 1.2, which is near enough. A tall matrix is turned on its side first, so that A is small.

use crate::float::Float;
use crate::{matmul, slices};

/// The coefficients a, b, c.
pub const COEFFICIENTS: (f64, f64, f64) = (3.4445, -4.775, 2.0315);
/// How often.
pub const ROUNDS: usize = 5;
/// A matrix smaller than this is not made larger: 0 stays 0.
pub const EPS: f64 = 1e-7;

/// How many numbers of spare memory [`orthogonalize`] needs for a matrix of this shape.
pub fn spare_len(rows: usize, cols: usize) -> usize {
    let (short, long) = (rows.min(cols), rows.max(cols));
    2 * short * long + 2 * short * short
}

/// The definition of [`orthogonalize`], in plain loops.
pub fn naive<F: Float>(x: &mut [F], rows: usize, cols: usize) {
    let (a, b, c) = (F::of(COEFFICIENTS.0), F::of(COEFFICIENTS.1), F::of(COEFFICIENTS.2));
    let (short, long) = (rows.min(cols), rows.max(cols));
    // Element (i, j) of the wide matrix.
    let place = |i: usize, j: usize| if rows > cols { j * cols + i } else { i * cols + j };
    let square = x.iter().fold(F::ZERO, |sum, &x| sum + x * x);
    let norm = if square.sqrt() < F::of(EPS) { F::of(EPS) } else { square.sqrt() };
    x.iter_mut().for_each(|x| *x = *x * norm.recip());
    let sum = |n: usize, f: &dyn Fn(usize) -> F| (0..n).fold(F::ZERO, |sum, i| sum + f(i));
    for _ in 0..ROUNDS {
        let (mut gram, mut mix) = (vec![F::ZERO; short * short], vec![F::ZERO; short * short]);
        for i in 0..short {
            for j in 0..short {
                gram[i * short + j] = sum(long, &|k| x[place(i, k)] * x[place(j, k)]);
            }
        }
        for i in 0..short {
            for j in 0..short {
                let square = sum(short, &|k| gram[i * short + k] * gram[k * short + j]);
                mix[i * short + j] = b * gram[i * short + j] + c * square;
            }
        }
        let before = x.to_vec();
        for i in 0..short {
            for j in 0..long {
                let mixed = sum(short, &|k| mix[i * short + k] * before[place(k, j)]);
                x[place(i, j)] = a * before[place(i, j)] + mixed;
            }
        }
    }
}

/// Five rounds of the iteration above, in f32, by the products of [`matmul`].
///
/// Shapes: x `[rows, cols]`; spare [`spare_len`] numbers, whatever they are.
///
/// # Panics
/// If a slice is not of its length.
pub fn orthogonalize(x: &mut [f32], rows: usize, cols: usize, spare: &mut [f32]) {
    assert!(x.len() == rows * cols, "orthogonalize: [{rows}, {cols}] of {} numbers", x.len());
    let (wanted, found) = (spare_len(rows, cols), spare.len());
    assert!(found == wanted, "orthogonalize: expected {wanted} numbers to spare, found {found}");
    let [a, b, c] = [COEFFICIENTS.0, COEFFICIENTS.1, COEFFICIENTS.2].map(|x| x as f32);
    let (short, long) = (rows.min(cols), rows.max(cols));
    let (mut now, spare) = spare.split_at_mut(short * long);
    let (mut next, spare) = spare.split_at_mut(short * long);
    let (gram, mix) = spare.split_at_mut(short * short);
    if rows > cols {
        transpose(now, x, rows, cols);
    } else {
        now.copy_from_slice(x);
    }
    let norm = now.chunks(1024).map(|part| f64::from(slices::sum_squares(part))).sum::<f64>().sqrt();
    slices::scale(now, (1.0 / norm.max(EPS)) as f32);
    for _ in 0..ROUNDS {
        matmul::linear(gram, now, now, short, long, short, false);
        // A is its own transpose.
        matmul::linear(mix, gram, gram, short, short, short, false);
        slices::scale(mix, c);
        slices::axpy(mix, b, gram);
        next.copy_from_slice(now);
        slices::scale(next, a);
        matmul::linear_dx(next, mix, now, short, long, short, true);
        std::mem::swap(&mut now, &mut next);
    }
    if rows > cols {
        transpose(x, now, cols, rows);
    } else {
        x.copy_from_slice(now);
    }
}

/// `to[c, r] = from[r, c]`, in blocks that stay in the first cache.
fn transpose(to: &mut [f32], from: &[f32], rows: usize, cols: usize) {
    const BLOCK: usize = 32;
    for r0 in (0..rows).step_by(BLOCK) {
        for c0 in (0..cols).step_by(BLOCK) {
            for c in c0..(c0 + BLOCK).min(cols) {
                for r in r0..(r0 + BLOCK).min(rows) {
                    to[c * rows + r] = from[r * cols + c];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::at_each;
    use crate::test::{assert_close, numbers};

    const SHAPES: [(usize, usize); 9] =
        [(1, 1), (1, 9), (9, 1), (4, 4), (16, 16), (64, 16), (16, 64), (33, 47), (70, 35)];

    #[test]
    fn orthogonalize_is_its_definition() {
        at_each(|level| {
            for (rows, cols) in SHAPES {
                let mut x: Vec<f32> = numbers(rows * cols, 1).iter().map(|x| x * 1e-3).collect();
                let mut exact: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
                orthogonalize(&mut x, rows, cols, &mut vec![f32::NAN; spare_len(rows, cols)]);
                naive(&mut exact, rows, cols);
                let exact: Vec<f32> = exact.iter().map(|&x| x as f32).collect();
                assert_close(&x, &exact, 2e-5, &format!("{level:?} {rows} {cols}"));
            }
        });
    }

    /// Nearly orthogonal: every row (or column, if those are fewer) is about 1 long, and nearly at right angles to the others.
    #[test]
    fn what_comes_out_is_nearly_orthogonal() {
        for (rows, cols) in SHAPES.into_iter().filter(|(rows, cols)| rows != cols) {
            let mut x: Vec<f64> = numbers(rows * cols, 2).iter().map(|&x| f64::from(x)).collect();
            naive(&mut x, rows, cols);
            let (short, long) = (rows.min(cols), rows.max(cols));
            let at = |i: usize, k: usize| if rows > cols { x[k * cols + i] } else { x[i * cols + k] };
            for i in 0..short {
                for j in 0..short {
                    let product: f64 = (0..long).map(|k| at(i, k) * at(j, k)).sum();
                    let wanted = f64::from(u8::from(i == j));
                    assert!((product - wanted).abs() < 0.55, "{rows} {cols}: {i} {j} {product}");
                }
            }
        }
    }

    #[test]
    fn nothing_stays_nothing() {
        let mut x = [0.0; 12];
        orthogonalize(&mut x, 3, 4, &mut vec![0.0; spare_len(3, 4)]);
        assert_eq!(x, [0.0; 12]);
        let mut x = [0.0f64; 12];
        naive(&mut x, 4, 3);
        assert_eq!(x, [0.0; 12]);
    }
}
