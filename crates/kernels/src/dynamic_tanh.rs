//! Dynamic tanh: `gain tanh(alpha x) + bias`, number by number.

use crate::math;
use crate::vector::{Vector, zip1, zip2};

/// The definitions, in plain loops.
pub mod naive {
    /// See [`forward`](super::forward).
    pub fn forward(y: &mut [f32], tanh: &mut [f32], x: &[f32], alpha: f32, gain: &[f32], bias: &[f32]) {
        let c = gain.len();
        for i in 0..x.len() {
            tanh[i] = (alpha * x[i]).tanh();
            y[i] = gain[i % c] * tanh[i] + bias[i % c];
        }
    }

    /// See [`backward`](super::backward).
    pub fn backward(
        dx: &mut [f32],
        [dalpha, dgain, dbias]: [&mut [f32]; 3],
        dy: &[f32],
        x: &[f32],
        tanh: &[f32],
        alpha: f32,
        gain: &[f32],
    ) {
        let c = gain.len();
        for i in 0..x.len() {
            let slope = dy[i] * gain[i % c] * (1.0 - tanh[i] * tanh[i]);
            dx[i] += alpha * slope;
            dalpha[0] += x[i] * slope;
            dgain[i % c] += dy[i] * tanh[i];
            dbias[i % c] += dy[i];
        }
    }
}

/// `y = gain tanh(alpha x) + bias`; keeps the tanh.
///
/// Shapes: y, tanh, x `[T, C]`; gain, bias `[C]`.
///
/// # Panics
/// If a slice is not of its shape.
pub fn forward(y: &mut [f32], tanh: &mut [f32], x: &[f32], alpha: f32, gain: &[f32], bias: &[f32]) {
    let (n, c) = (x.len(), gain.len());
    let found = (y.len(), tanh.len(), bias.len());
    assert!(found == (n, n, c) && n.is_multiple_of(c), "dynamic_tanh of {n} in rows of {c}: {found:?}");
    forward_simd(y, tanh, x, alpha, gain, bias)
}

/// The gradients of [`forward`], added to dx, dalpha `[1]`, dgain and dbias.
///
/// # Panics
/// If a slice is not of its shape.
pub fn backward(
    dx: &mut [f32],
    dparams: [&mut [f32]; 3],
    dy: &[f32],
    x: &[f32],
    tanh: &[f32],
    alpha: f32,
    gain: &[f32],
) {
    let (n, c) = (x.len(), gain.len());
    let found = (dx.len(), dy.len(), tanh.len(), dparams[0].len(), dparams[1].len(), dparams[2].len());
    let fits = found == (n, n, n, 1, c, c) && n.is_multiple_of(c);
    assert!(fits, "dynamic_tanh of {n} in rows of {c}: {found:?}");
    let [dalpha, dgain, dbias] = dparams;
    dalpha[0] += backward_simd(dx, dgain, dbias, dy, x, tanh, alpha, gain);
}

simd! {
    fn forward_simd(y: &mut [f32], tanh: &mut [f32], x: &[f32], alpha: f32, gain: &[f32], bias: &[f32]) = forward_body;
}

#[inline(always)]
fn forward_body<V: Vector>(
    y: &mut [f32],
    tanh: &mut [f32],
    x: &[f32],
    alpha: f32,
    gain: &[f32],
    bias: &[f32],
) {
    let (c, alpha) = (gain.len(), V::splat(alpha));
    zip1::<V>(tanh, x, |_, x| math::tanh(alpha * x));
    for (y, tanh) in y.chunks_exact_mut(c).zip(tanh.chunks_exact(c)) {
        zip2::<V>(y, tanh, gain, |_, tanh, gain| tanh * gain);
        zip1::<V>(y, bias, |y, bias| y + bias);
    }
}

simd! {
    fn backward_simd(
        dx: &mut [f32],
        dgain: &mut [f32],
        dbias: &mut [f32],
        dy: &[f32],
        x: &[f32],
        tanh: &[f32],
        alpha: f32,
        gain: &[f32],
    ) -> f32 = backward_body;
}

/// Returns what is to be added to dalpha.
#[inline(always)]
fn backward_body<V: Vector>(
    dx: &mut [f32],
    dgain: &mut [f32],
    dbias: &mut [f32],
    dy: &[f32],
    x: &[f32],
    tanh: &[f32],
    alpha: f32,
    gain: &[f32],
) -> f32 {
    let (c, alpha, one) = (gain.len(), V::splat(alpha), V::splat(1.0));
    let mut dalpha = V::zero();
    let rows = dy.chunks_exact(c).zip(x.chunks_exact(c)).zip(tanh.chunks_exact(c));
    for (dx, ((dy, x), tanh)) in dx.chunks_exact_mut(c).zip(rows) {
        for i in (0..c).step_by(V::LANES) {
            // Behind the end of a row dy is 0, and so is all that it is a factor of.
            let (dy, t) = (V::read(&dy[i..]), V::read(&tanh[i..]));
            let slope = dy * V::read(&gain[i..]) * t.fnma(t, one);
            alpha.fma(slope, V::read(&dx[i..])).write(&mut dx[i..]);
            dalpha = V::read(&x[i..]).fma(slope, dalpha);
            dy.fma(t, V::read(&dgain[i..])).write(&mut dgain[i..]);
            (dy + V::read(&dbias[i..])).write(&mut dbias[i..]);
        }
    }
    dalpha.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::at_each;
    use crate::test::{assert_close, numbers};

    #[test]
    fn dynamic_tanh_is_its_definition() {
        at_each(|level| {
            for (t, c) in [(0, 3), (1, 1), (2, 7), (3, 8), (7, 16), (5, 17), (4, 65), (9, 128)] {
                let what = format!("{level:?} [{t}, {c}]");
                let x: Vec<f32> = numbers(t * c, 1).iter().map(|x| 4.0 * x).collect();
                let (dy, gain, bias) = (numbers(t * c, 2), numbers(c, 3), numbers(c, 4));
                let mut found = [vec![7.0; t * c], vec![7.0; t * c]];
                let mut wanted = found.clone();
                let ([y, tanh], [y2, tanh2]) = (&mut found, &mut wanted);
                forward(y, tanh, &x, 0.7, &gain, &bias);
                naive::forward(y2, tanh2, &x, 0.7, &gain, &bias);
                assert_close(y, y2, 1e-6, &what);
                assert_close(tanh, tanh2, 1e-6, &what);
                let mut found = [numbers(t * c, 5), numbers(1, 6), numbers(c, 7), numbers(c, 8)];
                let mut wanted = found.clone();
                let [dx, a, g, b] = &mut found;
                backward(dx, [a, g, b], &dy, &x, tanh2, 0.7, &gain);
                let [dx, a, g, b] = &mut wanted;
                naive::backward(dx, [a, g, b], &dy, &x, tanh2, 0.7, &gain);
                for (found, wanted) in found.iter().zip(&wanted) {
                    assert_close(found, wanted, 1e-5, &format!("backward {what}"));
                }
            }
        });
    }
}
