//! Norms with a gain for each channel: RMSNorm, and LayerNorm, which also takes off the mean and adds a bias.

use crate::math;
use crate::norm::EPS;
use crate::vector::{Vector, fold, zip1, zip2};

/// The definitions, in plain loops.
pub mod naive {
    use super::EPS;

    /// Of each row: its mean, or 0 where it is not taken off, and 1 / sqrt(mean((x - mean)^2) + 1e-5).
    fn stats(row: &[f32], centred: bool) -> (f32, f32) {
        let c = row.len() as f32;
        let mean = if centred { row.iter().sum::<f32>() / c } else { 0.0 };
        (mean, 1.0 / (row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / c + EPS).sqrt())
    }

    /// See [`layernorm`](super::layernorm), and [`rmsnorm`](super::rmsnorm) (not centred, a bias of zeros).
    pub fn forward(y: &mut [f32], x: &[f32], gain: &[f32], bias: &[f32], centred: bool) {
        let c = gain.len();
        for (y, x) in y.chunks_mut(c).zip(x.chunks(c)) {
            let (mean, k) = stats(x, centred);
            for i in 0..c {
                y[i] = gain[i] * ((x[i] - mean) * k) + bias[i];
            }
        }
    }

    /// See [`layernorm_backward`](super::layernorm_backward) and [`rmsnorm_backward`](super::rmsnorm_backward).
    pub fn backward(
        dx: &mut [f32],
        dgain: &mut [f32],
        dbias: &mut [f32],
        dy: &[f32],
        x: &[f32],
        gain: &[f32],
        centred: bool,
    ) {
        let c = gain.len();
        for r in 0..x.len() / c {
            let (x, dy) = (&x[r * c..][..c], &dy[r * c..][..c]);
            let (mean, k) = stats(x, centred);
            let normed = |i: usize| (x[i] - mean) * k;
            let along = (0..c).map(|i| dy[i] * gain[i] * normed(i)).sum::<f32>() / c as f32;
            let middle = if centred { (0..c).map(|i| dy[i] * gain[i]).sum::<f32>() / c as f32 } else { 0.0 };
            for i in 0..c {
                dx[r * c + i] += k * (dy[i] * gain[i] - middle - normed(i) * along);
                dgain[i] += dy[i] * normed(i);
                dbias[i] += dy[i];
            }
        }
    }
}

/// `y = gain (x - mean) / sqrt(mean((x - mean)^2) + 1e-5) + bias` of each row; keeps the mean and the factor of each.
///
/// Shapes: y, x `[T, C]`; stats `[T, 2]`; gain, bias `[C]`.
///
/// # Panics
/// If a slice is not of its shape.
pub fn layernorm(y: &mut [f32], stats: &mut [f32], x: &[f32], gain: &[f32], bias: &[f32]) {
    let c = gain.len();
    let found = (y.len(), c * stats.len(), bias.len());
    assert!(found == (x.len(), 2 * x.len(), c), "layernorm of {} in rows of {c}: {found:?}", x.len());
    layer_forward(y, stats, x, gain, bias)
}

/// The gradients of [`layernorm`], added to dx, dgain and dbias.
///
/// With n = (x - mean) k and h = dy gain: `dx += k (h - mean(h) - n mean(h n))`, `dgain += dy n`, `dbias += dy`.
///
/// # Panics
/// If a slice is not of its shape.
pub fn layernorm_backward(
    dx: &mut [f32],
    dgain: &mut [f32],
    dbias: &mut [f32],
    dy: &[f32],
    x: &[f32],
    stats: &[f32],
    gain: &[f32],
) {
    let c = gain.len();
    let found = (dx.len(), dy.len(), c * stats.len(), dgain.len(), dbias.len());
    let wanted = (x.len(), x.len(), 2 * x.len(), c, c);
    assert!(found == wanted, "layernorm_backward of {} in rows of {c}: {found:?}", x.len());
    layer_backward(dx, dgain, dbias, dy, x, stats, gain)
}

/// `y = gain x / sqrt(mean(x^2) + 1e-5)` of each row; keeps the factor of each.
///
/// Shapes: y, x `[T, C]`; inverse `[T]`; gain `[C]`.
///
/// # Panics
/// If a slice is not of its shape.
pub fn rmsnorm(y: &mut [f32], inverse: &mut [f32], x: &[f32], gain: &[f32]) {
    let c = gain.len();
    let found = (y.len(), c * inverse.len());
    assert!(found == (x.len(), x.len()), "rmsnorm of {} in rows of {c}: {found:?}", x.len());
    rms_forward(y, inverse, x, gain)
}

/// The gradients of [`rmsnorm`], added to dx and dgain: those of [`layernorm_backward`] without a mean.
///
/// # Panics
/// If a slice is not of its shape.
pub fn rmsnorm_backward(
    dx: &mut [f32],
    dgain: &mut [f32],
    dy: &[f32],
    x: &[f32],
    inverse: &[f32],
    gain: &[f32],
) {
    let c = gain.len();
    let found = (dx.len(), dy.len(), c * inverse.len(), dgain.len());
    assert!(
        found == (x.len(), x.len(), x.len(), c),
        "rmsnorm_backward of {} in rows of {c}: {found:?}",
        x.len()
    );
    rms_backward(dx, dgain, dy, x, inverse, gain)
}

simd! { fn layer_forward(y: &mut [f32], stats: &mut [f32], x: &[f32], gain: &[f32], bias: &[f32]) = layer_body; }

#[inline(always)]
fn layer_body<V: Vector>(y: &mut [f32], stats: &mut [f32], x: &[f32], gain: &[f32], bias: &[f32]) {
    let c = gain.len();
    let (part, eps) = (1.0 / c as f32, V::splat(EPS));
    for ((y, x), stats) in y.chunks_exact_mut(c).zip(x.chunks_exact(c)).zip(stats.chunks_exact_mut(2)) {
        let mean = V::splat(fold::<V>(x, x, |x, _, sum| sum + x) * part);
        // What is taken off stands in y for the moment.
        zip1::<V>(y, x, |_, x| x - mean);
        let squares = V::splat(fold::<V>(y, y, |y, z, sum| y.fma(z, sum)));
        let k = math::rsqrt(squares.fma(V::splat(part), eps));
        zip2::<V>(y, gain, bias, |y, gain, bias| (y * k).fma(gain, bias));
        (stats[0], stats[1]) = (mean.first(), k.first());
    }
}

simd! { fn rms_forward(y: &mut [f32], inverse: &mut [f32], x: &[f32], gain: &[f32]) = rms_body; }

#[inline(always)]
fn rms_body<V: Vector>(y: &mut [f32], inverse: &mut [f32], x: &[f32], gain: &[f32]) {
    let c = gain.len();
    let (part, eps) = (V::splat(1.0 / c as f32), V::splat(EPS));
    for ((y, x), inverse) in y.chunks_exact_mut(c).zip(x.chunks_exact(c)).zip(inverse) {
        let squares = V::splat(fold::<V>(x, x, |x, z, sum| x.fma(z, sum)));
        let k = math::rsqrt(squares.fma(part, eps));
        zip2::<V>(y, x, gain, |_, x, gain| (x * k) * gain);
        *inverse = k.first();
    }
}

simd! {
    fn layer_backward(
        dx: &mut [f32],
        dgain: &mut [f32],
        dbias: &mut [f32],
        dy: &[f32],
        x: &[f32],
        stats: &[f32],
        gain: &[f32],
    ) = layer_backward_body;
}

#[inline(always)]
fn layer_backward_body<V: Vector>(
    dx: &mut [f32],
    dgain: &mut [f32],
    dbias: &mut [f32],
    dy: &[f32],
    x: &[f32],
    stats: &[f32],
    gain: &[f32],
) {
    let c = gain.len();
    let part = 1.0 / c as f32;
    let rows = dy.chunks_exact(c).zip(x.chunks_exact(c)).zip(stats.chunks_exact(2));
    for (dx, ((dy, x), stats)) in dx.chunks_exact_mut(c).zip(rows) {
        let (mean, k) = (V::splat(stats[0]), V::splat(stats[1]));
        let (mut middle, mut along) = (V::zero(), V::zero());
        for i in (0..c).step_by(V::LANES) {
            // Behind the end of a row dy is 0, and so is all that it is a factor of.
            let (dy, n) = (V::read(&dy[i..]), (V::read(&x[i..]) - mean) * k);
            let h = dy * V::read(&gain[i..]);
            middle = middle + h;
            along = h.fma(n, along);
            dy.fma(n, V::read(&dgain[i..])).write(&mut dgain[i..]);
            (dy + V::read(&dbias[i..])).write(&mut dbias[i..]);
        }
        let (middle, along) = (V::splat(middle.sum() * part), V::splat(along.sum() * part));
        for i in (0..c).step_by(V::LANES) {
            let n = (V::read(&x[i..]) - mean) * k;
            let h = V::read(&dy[i..]) * V::read(&gain[i..]);
            k.fma(n.fnma(along, h - middle), V::read(&dx[i..])).write(&mut dx[i..]);
        }
    }
}

simd! {
    fn rms_backward(
        dx: &mut [f32],
        dgain: &mut [f32],
        dy: &[f32],
        x: &[f32],
        inverse: &[f32],
        gain: &[f32],
    ) = rms_backward_body;
}

#[inline(always)]
fn rms_backward_body<V: Vector>(
    dx: &mut [f32],
    dgain: &mut [f32],
    dy: &[f32],
    x: &[f32],
    inverse: &[f32],
    gain: &[f32],
) {
    let c = gain.len();
    let part = 1.0 / c as f32;
    let rows = dy.chunks_exact(c).zip(x.chunks_exact(c)).zip(inverse);
    for (dx, ((dy, x), &k)) in dx.chunks_exact_mut(c).zip(rows) {
        let k = V::splat(k);
        let mut along = V::zero();
        for i in (0..c).step_by(V::LANES) {
            let (dy, n) = (V::read(&dy[i..]), V::read(&x[i..]) * k);
            along = (dy * V::read(&gain[i..])).fma(n, along);
            dy.fma(n, V::read(&dgain[i..])).write(&mut dgain[i..]);
        }
        let along = V::splat(along.sum() * part) * k;
        for i in (0..c).step_by(V::LANES) {
            let h = V::read(&dy[i..]) * V::read(&gain[i..]);
            k.fma(V::read(&x[i..]).fnma(along, h), V::read(&dx[i..])).write(&mut dx[i..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::at_each;
    use crate::test::{assert_close, numbers};

    #[test]
    fn norms_with_a_gain_are_their_definitions() {
        at_each(|level| {
            for t in [0, 1, 2, 7] {
                for c in [1, 7, 8, 9, 15, 16, 17, 64, 65, 128, 200] {
                    let x: Vec<f32> = numbers(t * c, 1).iter().map(|x| 3.0 * x + 2.0).collect();
                    let (dy, gain, bias) = (numbers(t * c, 2), numbers(c, 3), numbers(c, 4));
                    for centred in [false, true] {
                        let what = format!("{level:?} [{t}, {c}] {centred}");
                        let (mut y, mut y2, mut kept) =
                            (vec![9.0; t * c], vec![0.0; t * c], vec![0.0; 2 * t]);
                        let bias = if centred { bias.clone() } else { vec![0.0; c] };
                        let mut found = [numbers(t * c, 5), numbers(c, 6), numbers(c, 7)];
                        let mut wanted = found.clone();
                        let [dx, dgain, dbias] = &mut found;
                        if centred {
                            layernorm(&mut y, &mut kept, &x, &gain, &bias);
                            layernorm_backward(dx, dgain, dbias, &dy, &x, &kept, &gain);
                        } else {
                            rmsnorm(&mut y, &mut kept[..t], &x, &gain);
                            rmsnorm_backward(dx, dgain, &dy, &x, &kept[..t], &gain);
                        }
                        naive::forward(&mut y2, &x, &gain, &bias, centred);
                        assert_close(&y, &y2, 1e-5, &what);
                        let [dx2, dgain2, dbias2] = &mut wanted;
                        naive::backward(dx2, dgain2, dbias2, &dy, &x, &gain, centred);
                        assert_close(dx, dx2, 1e-5, &format!("dx {what}"));
                        assert_close(dgain, dgain2, 1e-5, &format!("dgain {what}"));
                        if centred {
                            assert_close(dbias, dbias2, 1e-5, &format!("dbias {what}"));
                        }
                    }
                }
            }
        });
    }

    #[test]
    fn a_row_of_equal_numbers_stays_finite() {
        let (mut y, mut stats) = ([1.0; 16], [0.0; 2]);
        layernorm(&mut y, &mut stats, &[3.0; 16], &[2.0; 16], &[0.5; 16]);
        assert_eq!((y, stats[0]), ([0.5; 16], 3.0));
        assert!((stats[1] - 316.227_77).abs() < 1e-3);
    }
}
