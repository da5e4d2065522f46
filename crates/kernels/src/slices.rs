//! Whole slices: sums, scaled sums, dot products.

use crate::vector::{Vector, fold, zip1};

/// The definitions, in plain loops.
pub mod naive {
    /// See [`axpy`](super::axpy).
    pub fn axpy(y: &mut [f32], a: f32, x: &[f32]) {
        for i in 0..y.len() {
            y[i] += a * x[i];
        }
    }

    /// See [`mix`](super::mix).
    pub fn mix(y: &mut [f32], keep: f32, x: &[f32]) {
        for i in 0..y.len() {
            y[i] += (1.0 - keep) * (x[i] - y[i]);
        }
    }

    /// See [`affine`](super::affine).
    pub fn affine(y: &mut [f32], x: &[f32], scale: f32, shift: f32) {
        for i in 0..y.len() {
            y[i] = x[i] * scale + shift;
        }
    }

    /// See [`fill_rows`](super::fill_rows).
    pub fn fill_rows(y: &mut [f32], row: &[f32]) {
        for i in 0..y.len() {
            y[i] = row[i % row.len()];
        }
    }

    /// See [`sum_rows`](super::sum_rows).
    pub fn sum_rows(sum: &mut [f32], x: &[f32]) {
        for i in 0..x.len() {
            sum[i % sum.len()] += x[i];
        }
    }

    /// See [`dot`](super::dot).
    pub fn dot(x: &[f32], y: &[f32]) -> f32 {
        (0..x.len()).map(|i| x[i] * y[i]).sum()
    }
}

simd! { fn add_into_simd(y: &mut [f32], x: &[f32]) = add_into_body; }
#[inline(always)]
fn add_into_body<V: Vector>(y: &mut [f32], x: &[f32]) {
    zip1::<V>(y, x, |y, x| y + x)
}

simd! { fn axpy_simd(y: &mut [f32], a: f32, x: &[f32]) = axpy_body; }
#[inline(always)]
fn axpy_body<V: Vector>(y: &mut [f32], a: f32, x: &[f32]) {
    let a = V::splat(a);
    zip1::<V>(y, x, |y, x| a.fma(x, y))
}

simd! { fn mix_simd(y: &mut [f32], keep: f32, x: &[f32]) = mix_body; }
#[inline(always)]
fn mix_body<V: Vector>(y: &mut [f32], keep: f32, x: &[f32]) {
    let part = V::splat(1.0 - keep);
    zip1::<V>(y, x, |y, x| part.fma(x - y, y))
}

simd! { fn affine_simd(y: &mut [f32], x: &[f32], scale: f32, shift: f32) = affine_body; }
#[inline(always)]
fn affine_body<V: Vector>(y: &mut [f32], x: &[f32], scale: f32, shift: f32) {
    let (scale, shift) = (V::splat(scale), V::splat(shift));
    zip1::<V>(y, x, |_, x| x.fma(scale, shift))
}

simd! { fn sum_rows_simd(sum: &mut [f32], x: &[f32]) = sum_rows_body; }
#[inline(always)]
fn sum_rows_body<V: Vector>(sum: &mut [f32], x: &[f32]) {
    for row in x.chunks_exact(sum.len()) {
        zip1::<V>(sum, row, |sum, x| sum + x);
    }
}

simd! {
    /// `y[i] *= a`.
    pub fn scale(y: &mut [f32], a: f32) = scale_body;
}
#[inline(always)]
fn scale_body<V: Vector>(y: &mut [f32], a: f32) {
    let a = V::splat(a);
    let mut chunks = y.chunks_exact_mut(V::LANES);
    for y in &mut chunks {
        (V::read(y) * a).write(y);
    }
    let tail = chunks.into_remainder();
    (V::read(tail) * a).write(tail);
}

simd! { fn dot_simd(x: &[f32], y: &[f32]) -> f32 = dot_body; }
#[inline(always)]
fn dot_body<V: Vector>(x: &[f32], y: &[f32]) -> f32 {
    fold::<V>(x, y, |x, y, sum| x.fma(y, sum))
}

/// `y[i] += x[i]`.
///
/// # Panics
/// If the lengths differ.
#[inline]
pub fn add_into(y: &mut [f32], x: &[f32]) {
    assert!(x.len() == y.len(), "add_into: y has {} numbers, x {}", y.len(), x.len());
    add_into_simd(y, x)
}

/// `y[i] += a x[i]`.
///
/// # Panics
/// If the lengths differ.
#[inline]
pub fn axpy(y: &mut [f32], a: f32, x: &[f32]) {
    assert!(x.len() == y.len(), "axpy: y has {} numbers, x {}", y.len(), x.len());
    axpy_simd(y, a, x)
}

/// `y[i] = keep y[i] + (1 - keep) x[i]`, such that equal numbers stay as they are.
///
/// # Panics
/// If the lengths differ.
#[inline]
pub fn mix(y: &mut [f32], keep: f32, x: &[f32]) {
    assert!(x.len() == y.len(), "mix: y has {} numbers, x {}", y.len(), x.len());
    mix_simd(y, keep, x)
}

/// `y[i] = x[i] scale + shift`.
///
/// # Panics
/// If the lengths differ.
#[inline]
pub fn affine(y: &mut [f32], x: &[f32], scale: f32, shift: f32) {
    assert!(x.len() == y.len(), "affine: y has {} numbers, x {}", y.len(), x.len());
    affine_simd(y, x, scale, shift)
}

/// Each row of `y` becomes `row`.
///
/// # Panics
/// If `y` does not consist of such rows.
pub fn fill_rows(y: &mut [f32], row: &[f32]) {
    assert!(y.len().is_multiple_of(row.len()), "fill_rows: {} numbers in rows of {}", y.len(), row.len());
    y.chunks_exact_mut(row.len()).for_each(|y| y.copy_from_slice(row));
}

/// Adds each row of `x` to `sum`.
///
/// # Panics
/// If `x` does not consist of such rows.
pub fn sum_rows(sum: &mut [f32], x: &[f32]) {
    assert!(x.len().is_multiple_of(sum.len()), "sum_rows: {} numbers in rows of {}", x.len(), sum.len());
    sum_rows_simd(sum, x)
}

/// `sum x[i] y[i]`.
///
/// # Panics
/// If the lengths differ.
#[inline]
pub fn dot(x: &[f32], y: &[f32]) -> f32 {
    assert!(x.len() == y.len(), "dot: x has {} numbers, y {}", x.len(), y.len());
    dot_simd(x, y)
}

/// `sum x[i]^2`.
#[inline]
pub fn sum_squares(x: &[f32]) -> f32 {
    dot_simd(x, x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::at_each;
    use crate::test::{assert_close, numbers};

    #[test]
    fn slices_are_their_definitions() {
        at_each(|level| {
            for n in (0..70).chain([127, 128, 129, 1000]) {
                let (x, y) = (numbers(n, 1), numbers(n, 2));
                let (mut a, mut b) = (y.clone(), y.clone());
                axpy(&mut a, 0.3, &x);
                naive::axpy(&mut b, 0.3, &x);
                assert_close(&a, &b, 1e-6, &format!("axpy {level:?} {n}"));
                add_into(&mut a, &x);
                naive::axpy(&mut b, 1.0, &x);
                assert_close(&a, &b, 1e-6, &format!("add_into {level:?} {n}"));
                mix(&mut a, 0.7, &x);
                naive::mix(&mut b, 0.7, &x);
                assert_close(&a, &b, 1e-6, &format!("mix {level:?} {n}"));
                scale(&mut a, 2.0);
                b.iter_mut().for_each(|b| *b *= 2.0);
                assert_close(&a, &b, 1e-6, &format!("scale {level:?} {n}"));
                affine(&mut a, &x, 1.5, -0.5);
                naive::affine(&mut b, &x, 1.5, -0.5);
                assert_close(&a, &b, 1e-6, &format!("affine {level:?} {n}"));
                let (rows, mut sum, mut sum2) = (numbers(3 * n, 3), y.clone(), y.clone());
                if n > 0 {
                    sum_rows(&mut sum, &rows);
                    naive::sum_rows(&mut sum2, &rows);
                    assert_close(&sum, &sum2, 1e-6, &format!("sum_rows {level:?} {n}"));
                    let (mut a, mut b) = (rows.clone(), rows);
                    fill_rows(&mut a, &x);
                    naive::fill_rows(&mut b, &x);
                    assert_eq!(a, b, "fill_rows {n}");
                }
                assert_close(&[dot(&x, &y)], &[naive::dot(&x, &y)], 1e-5, &format!("dot {level:?} {n}"));
                assert_close(&[sum_squares(&x)], &[naive::dot(&x, &x)], 1e-5, &format!("{level:?} {n}"));
            }
        });
    }
}
