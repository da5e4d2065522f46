//! Stochastic gradient descent with momentum: one pass over the flat slices.

use crate::float::Float;
use crate::vector::Vector;

/// The numbers of one step.
#[derive(Clone, Copy, Debug)]
pub struct Sgd<F> {
    /// Learning rate of this step.
    pub lr: F,
    /// How much of the last step's direction is kept.
    pub momentum: F,
    /// Look ahead: step as if the momentum had been applied once more.
    pub nesterov: bool,
}

/// The definition of [`sgd`], in a plain loop: `m = momentum m + g`, `p -= lr m`, or `p -= lr (g + momentum m)` by Nesterov.
pub fn naive<F: Float>(params: &mut [F], m: &mut [F], grads: &[F], sgd: Sgd<F>) {
    let Sgd { lr, momentum, nesterov } = sgd;
    for i in 0..params.len() {
        m[i] = (momentum * m[i] + grads[i]).faded();
        let direction = if nesterov { grads[i] + momentum * m[i] } else { m[i] };
        params[i] = params[i] - lr * direction;
    }
}

/// One step of SGD in f32; see [`naive`] for the formula.
///
/// Shapes: all slices one length.
///
/// # Panics
/// If the lengths differ.
pub fn sgd(params: &mut [f32], m: &mut [f32], grads: &[f32], sgd: Sgd<f32>) {
    let n = params.len();
    let lengths = (m.len(), grads.len());
    assert!(lengths == (n, n), "sgd: {n} params, but (m, grads) have {lengths:?}");
    sgd_simd(params, m, grads, sgd)
}

simd! { fn sgd_simd(params: &mut [f32], m: &mut [f32], grads: &[f32], sgd: Sgd<f32>) = sgd_body; }

#[inline(always)]
fn sgd_body<V: Vector>(params: &mut [f32], m: &mut [f32], grads: &[f32], sgd: Sgd<f32>) {
    let (lr, momentum) = (V::splat(sgd.lr), V::splat(sgd.momentum));
    let (tiny, zero) = (V::splat(f32::TINY), V::splat(0.0));
    let chunks = params.chunks_mut(V::LANES).zip(m.chunks_mut(V::LANES)).zip(grads.chunks(V::LANES));
    for ((p, m), g) in chunks {
        let grad = V::read(g);
        let mean = momentum.fma(V::read(m), grad);
        let mean = V::if_gt(tiny, mean.abs(), zero, mean);
        mean.write(m);
        let direction = if sgd.nesterov { momentum.fma(mean, grad) } else { mean };
        lr.fnma(direction, V::read(p)).write(p);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::at_each;
    use crate::test::{assert_close, numbers};

    #[test]
    fn sgd_is_its_definition() {
        at_each(|level| {
            for n in [0, 1, 7, 8, 9, 15, 16, 17, 100, 4192] {
                for (momentum, nesterov) in [(0.0, false), (0.9, false), (0.9, true)] {
                    let sgd = Sgd { lr: 0.1, momentum, nesterov };
                    let (mut p, mut m) = (numbers(n, 1), vec![0.0; n]);
                    let (mut p2, mut m2) = (p.clone(), m.clone());
                    for step in 1..6 {
                        let g = numbers(n, 10 + step);
                        super::sgd(&mut p, &mut m, &g, sgd);
                        naive(&mut p2, &mut m2, &g, sgd);
                    }
                    assert_close(&p, &p2, 1e-6, &format!("{level:?} {n}"));
                    assert_close(&m, &m2, 1e-6, &format!("{level:?} {n}"));
                }
            }
        });
    }

    #[test]
    fn what_is_remembered_never_becomes_subnormal_and_nan_stays() {
        at_each(|level| {
            let sgd = Sgd { lr: 0.1, momentum: 0.9, nesterov: true };
            let (mut p, mut m) = ([1.0; 20], [1e-20; 20]);
            for _ in 0..1000 {
                super::sgd(&mut p, &mut m, &[0.0; 20], sgd);
                assert!(m.iter().all(|m| *m == 0.0 || m.is_normal()), "{level:?}: {m:?}");
            }
            assert_eq!(m, [0.0; 20], "{level:?}");
            super::sgd(&mut p, &mut m, &[f32::NAN; 20], sgd);
            assert!(p.iter().chain(&m).all(|x| x.is_nan()), "{level:?}");
        });
    }
}
