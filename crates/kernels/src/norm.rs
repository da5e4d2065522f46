//! RMSNorm without gain: every row divided by its root mean square.

use crate::math;
use crate::vector::{Vector, fold, zip1, zip2};

/// Keeps a row of zeros finite; microgpt.py's constant.
pub const EPS: f32 = 1e-5;

/// The definitions, in plain loops.
pub mod naive {
    use super::EPS;

    /// See [`rmsnorm`](super::rmsnorm).
    pub fn rmsnorm(y: &mut [f32], inverse: &mut [f32], x: &[f32], t: usize, c: usize) {
        for r in 0..t {
            let row = &x[r * c..][..c];
            inverse[r] = 1.0 / (row.iter().map(|x| x * x).sum::<f32>() / c as f32 + EPS).sqrt();
            for i in 0..c {
                y[r * c + i] = row[i] * inverse[r];
            }
        }
    }

    /// See [`rmsnorm_backward`](super::rmsnorm_backward).
    pub fn rmsnorm_backward(dx: &mut [f32], dy: &[f32], x: &[f32], inverse: &[f32], t: usize, c: usize) {
        for r in 0..t {
            let dot: f32 = (0..c).map(|i| dy[r * c + i] * x[r * c + i]).sum();
            let k = inverse[r];
            for i in 0..c {
                dx[r * c + i] += k * dy[r * c + i] - k * k * k * dot / c as f32 * x[r * c + i];
            }
        }
    }
}

/// `y = x / rms`, `rms = sqrt(mean(x^2) + 1e-5)` of each row; keeps `1 / rms`.
///
/// Shapes: y, x `[T, C]`; inverse `[T]`.
///
/// # Panics
/// If a slice is not of its shape.
pub fn rmsnorm(y: &mut [f32], inverse: &mut [f32], x: &[f32], t: usize, c: usize) {
    let found = (y.len(), inverse.len(), x.len());
    assert!(found == (t * c, t, t * c), "rmsnorm of [{t}, {c}]: y, inverse, x have {found:?} numbers");
    if c > 0 {
        forward(y, inverse, x, c)
    }
}

/// `dx (+)= dy / rms - x mean(dy x) / rms^3`: the gradient of [`rmsnorm`]. Adds to dx where `accumulate`, else
/// replaces it.
///
/// Shapes: dx, dy, x `[T, C]`; inverse `[T]`, as [`rmsnorm`] left it.
///
/// # Panics
/// If a slice is not of its shape.
pub fn rmsnorm_backward(
    dx: &mut [f32],
    dy: &[f32],
    x: &[f32],
    inverse: &[f32],
    t: usize,
    c: usize,
    accumulate: bool,
) {
    let found = (dx.len(), dy.len(), x.len(), inverse.len());
    assert!(
        found == (t * c, t * c, t * c, t),
        "rmsnorm_backward of [{t}, {c}]: dx, dy, x, inverse have {found:?} numbers"
    );
    if c > 0 {
        backward(dx, dy, x, inverse, c, accumulate)
    }
}

simd! { fn forward(y: &mut [f32], inverse: &mut [f32], x: &[f32], c: usize) = forward_body; }

#[inline(always)]
fn forward_body<V: Vector>(y: &mut [f32], inverse: &mut [f32], x: &[f32], c: usize) {
    let (mean, eps) = (V::splat(1.0 / c as f32), V::splat(EPS));
    if c == V::LANES {
        // A row in a register: its sum appears in every lane at once.
        for ((y, x), inverse) in y.chunks_exact_mut(V::LANES).zip(x.chunks_exact(V::LANES)).zip(inverse) {
            let x = V::read(x);
            let k = math::rsqrt((x * x).total().fma(mean, eps));
            (x * k).write(y);
            *inverse = k.first();
        }
        return;
    }
    for ((y, x), inverse) in y.chunks_exact_mut(c).zip(x.chunks_exact(c)).zip(inverse) {
        let squares = V::splat(fold::<V>(x, x, |x, y, sum| x.fma(y, sum)));
        let k = math::rsqrt(squares.fma(mean, eps));
        zip1::<V>(y, x, |_, x| x * k);
        *inverse = k.first();
    }
}

simd! {
    fn backward(dx: &mut [f32], dy: &[f32], x: &[f32], inverse: &[f32], c: usize, add: bool) = backward_body;
}

#[inline(always)]
fn backward_body<V: Vector>(dx: &mut [f32], dy: &[f32], x: &[f32], inverse: &[f32], c: usize, add: bool) {
    if c == V::LANES {
        let rows = dy.chunks_exact(V::LANES).zip(x.chunks_exact(V::LANES));
        for ((dx, (dy, x)), &k) in dx.chunks_exact_mut(V::LANES).zip(rows).zip(inverse) {
            let (dy, x, k) = (V::read(dy), V::read(x), V::splat(k));
            let along = (dy * x).total() * (k * k) * V::splat(-1.0 / V::LANES as f32);
            let before = if add { V::read(dx) } else { V::zero() };
            k.fma(along.fma(x, dy), before).write(dx);
        }
        return;
    }
    let rows = dy.chunks_exact(c).zip(x.chunks_exact(c));
    for ((dx, (dy, x)), &k) in dx.chunks_exact_mut(c).zip(rows).zip(inverse) {
        let dot = fold::<V>(dy, x, |dy, x, sum| dy.fma(x, sum));
        let (along, k) = (V::splat(-(k * k * k) * dot / c as f32), V::splat(k));
        if add {
            zip2::<V>(dx, dy, x, |dx, dy, x| k.fma(dy, along.fma(x, dx)));
        } else {
            zip2::<V>(dx, dy, x, |_, dy, x| k.fma(dy, along * x));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::at_each;
    use crate::test::{assert_close, numbers};

    #[test]
    fn rmsnorm_is_its_definition() {
        at_each(|level| {
            for t in [0, 1, 2, 7] {
                for c in [1, 7, 8, 9, 15, 16, 17, 64, 65, 128, 200] {
                    let (x, dy) = (numbers(t * c, 1), numbers(t * c, 2));
                    let (mut y, mut k) = (vec![0.0; t * c], vec![0.0; t]);
                    let (mut y2, mut k2) = (y.clone(), k.clone());
                    rmsnorm(&mut y, &mut k, &x, t, c);
                    naive::rmsnorm(&mut y2, &mut k2, &x, t, c);
                    assert_close(&y, &y2, 1e-6, &format!("{level:?} [{t}, {c}]"));
                    assert_close(&k, &k2, 1e-6, &format!("{level:?} [{t}, {c}]"));
                    let (mut dx, mut dx2) = (numbers(t * c, 3), numbers(t * c, 3));
                    rmsnorm_backward(&mut dx, &dy, &x, &k2, t, c, true);
                    naive::rmsnorm_backward(&mut dx2, &dy, &x, &k2, t, c);
                    assert_close(&dx, &dx2, 2e-6, &format!("backward {level:?} [{t}, {c}]"));
                    let (mut dx, mut dx2) = (vec![f32::NAN; t * c], vec![0.0; t * c]);
                    rmsnorm_backward(&mut dx, &dy, &x, &k2, t, c, false);
                    naive::rmsnorm_backward(&mut dx2, &dy, &x, &k2, t, c);
                    assert_close(&dx, &dx2, 2e-6, &format!("replacing {level:?} [{t}, {c}]"));
                }
            }
        });
    }

    #[test]
    fn a_row_of_zeros_stays_finite() {
        let (mut y, mut k) = ([1.0; 16], [0.0]);
        rmsnorm(&mut y, &mut k, &[0.0; 16], 1, 16);
        assert_eq!(y, [0.0; 16]);
        assert!((k[0] - 316.227_77).abs() < 1e-3);
    }
}
