//! What linear attention makes of queries and keys: `elu(x) + 1`, which is `x + 1` above 0 and `e^x` below, always positive.
//!
//! Katharopoulos et al., "Transformers are RNNs" (2020).

use crate::attention::{Place, Rows};
use crate::math;
use crate::vector::{Vector, zip1, zip2};

/// The definition, in plain loops.
pub mod naive {
    /// `elu(x) + 1`.
    pub fn value(x: f32) -> f32 {
        if x > 0.0 { x + 1.0 } else { x.exp() }
    }
}

/// `y = elu(x) + 1`.
///
/// Shapes: y `[T, C]`; x: T rows of C numbers.
///
/// # Panics
/// If a row reaches behind the end of its slice, or y is not whole rows.
pub fn forward(y: &mut [f32], x: Rows<'_>, c: usize) {
    assert!(c > 0 && y.len().is_multiple_of(c), "feature: {} numbers in rows of {c}", y.len());
    (0..y.len() / c).for_each(|r| forward_row(&mut y[r * c..][..c], &x.row(r)[..c]));
}

/// `dx += dy f'(x)`, where f' is 1 above 0 and `e^x` below: the lesser of `y` and 1.
///
/// Shapes: dx: T rows of C numbers at `to`; dy, y `[T, C]`, y as [`forward`] left it.
///
/// # Panics
/// As [`forward`].
pub fn backward(dx: &mut [f32], to: Place, dy: &[f32], y: &[f32], c: usize) {
    assert!(c > 0 && y.len().is_multiple_of(c) && dy.len() == y.len(), "feature: rows of {c}");
    for r in 0..y.len() / c {
        backward_row(&mut dx[to.at(r)..][..c], &dy[r * c..][..c], &y[r * c..][..c]);
    }
}

simd! { fn forward_row(y: &mut [f32], x: &[f32]) = forward_body; }

#[inline(always)]
fn forward_body<V: Vector>(y: &mut [f32], x: &[f32]) {
    let (zero, one) = (V::zero(), V::splat(1.0));
    zip1::<V>(y, x, |_, x| V::if_gt(x, zero, x + one, math::exp(zero.min(x))))
}

simd! { fn backward_row(dx: &mut [f32], dy: &[f32], y: &[f32]) = backward_body; }

#[inline(always)]
fn backward_body<V: Vector>(dx: &mut [f32], dy: &[f32], y: &[f32]) {
    zip2::<V>(dx, dy, y, |dx, dy, y| dy.fma(y.min(V::splat(1.0)), dx))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::at_each;
    use crate::test::{assert_close, numbers};

    #[test]
    fn features_are_their_definition() {
        let (t, c, stride) = (3, 21, 24);
        let (x, dy, there) = (numbers(t * stride, 1), numbers(t * c, 2), numbers(t * stride, 3));
        let x: Vec<f32> = x.iter().map(|x| 3.0 * x).collect();
        let place = Place { offset: 2, stride };
        let at = |r: usize, i: usize| x[2 + r * stride + i];
        let each = |f: &dyn Fn(usize, usize) -> f32| -> Vec<f32> {
            (0..t).flat_map(|r| (0..c).map(move |i| (r, i))).map(|(r, i)| f(r, i)).collect()
        };
        let wanted = each(&|r, i| naive::value(at(r, i)));
        let mut slopes = there.clone();
        for (r, i) in (0..t).flat_map(|r| (0..c).map(move |i| (r, i))) {
            slopes[place.at(r) + i] += dy[r * c + i] * if at(r, i) > 0.0 { 1.0 } else { at(r, i).exp() };
        }
        at_each(|level| {
            let (mut y, mut dx) = (vec![0.0; t * c], there.clone());
            forward(&mut y, Rows { data: &x, offset: 2, stride }, c);
            assert_close(&y, &wanted, 1e-6, &format!("{level:?}"));
            backward(&mut dx, place, &dy, &y, c);
            assert_close(&dx, &slopes, 1e-6, &format!("back, {level:?}"));
        });
    }
}
