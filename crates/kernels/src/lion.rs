//! Lion: one pass over the flat slices.

use crate::float::Float;
use crate::vector::Vector;

/// The numbers of one step.
#[derive(Clone, Copy, Debug)]
pub struct Lion<F> {
    /// Learning rate of this step.
    pub lr: F,
    /// How much of what is remembered goes into the direction.
    pub b1: F,
    /// How slowly what is remembered changes.
    pub b2: F,
    /// Decoupled weight decay: the weights also shrink by `lr * decay` of themselves.
    pub decay: F,
}

/// The definition of [`lion`], in a plain loop: `p -= lr (sign(b1 m + (1-b1) g) + decay p)`, `m = b2 m + (1-b2) g`.
pub fn naive<F: Float>(params: &mut [F], m: &mut [F], grads: &[F], lion: Lion<F>) {
    let Lion { lr, b1, b2, decay } = lion;
    for i in 0..params.len() {
        let direction = b1 * m[i] + (F::ONE - b1) * grads[i];
        params[i] = params[i] - lr * (direction.sign() + decay * params[i]);
        m[i] = (b2 * m[i] + (F::ONE - b2) * grads[i]).faded();
    }
}

/// One step of Lion in f32; see [`naive`] for the formula.
///
/// A direction of 0 moves nothing, and a NaN shows in what is remembered.
///
/// Shapes: all slices one length.
///
/// # Panics
/// If the lengths differ.
pub fn lion(params: &mut [f32], m: &mut [f32], grads: &[f32], lion: Lion<f32>) {
    let n = params.len();
    let lengths = (m.len(), grads.len());
    assert!(lengths == (n, n), "lion: {n} params, but (m, grads) have {lengths:?}");
    lion_simd(params, m, grads, lion)
}

simd! { fn lion_simd(params: &mut [f32], m: &mut [f32], grads: &[f32], lion: Lion<f32>) = lion_body; }

#[inline(always)]
fn lion_body<V: Vector>(params: &mut [f32], m: &mut [f32], grads: &[f32], lion: Lion<f32>) {
    let Lion { lr, b1, b2, decay } = lion;
    let (keep, b1, a1) = (V::splat(1.0 - lr * decay), V::splat(b1), V::splat(1.0 - b1));
    let (b2, a2) = (V::splat(b2), V::splat(1.0 - b2));
    let (up, down) = (V::splat(lr), V::splat(-lr));
    let (tiny, zero) = (V::splat(f32::TINY), V::splat(0.0));
    let chunks = params.chunks_mut(V::LANES).zip(m.chunks_mut(V::LANES)).zip(grads.chunks(V::LANES));
    for ((p, m), g) in chunks {
        let (grad, mean) = (V::read(g), V::read(m));
        // The products are rounded before they are added, as in the definition: so near 0 the sign is the same.
        let direction = b1 * mean + a1 * grad;
        let change = V::if_gt(direction, zero, down, V::if_gt(zero, direction, up, zero));
        keep.fma(V::read(p), change).write(p);
        let mean = b2.fma(mean, a2 * grad);
        V::if_gt(tiny, mean.abs(), zero, mean).write(m);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::at_each;
    use crate::test::{assert_close, numbers};

    const LION: Lion<f32> = Lion { lr: 0.01, b1: 0.9, b2: 0.99, decay: 0.0 };

    #[test]
    fn lion_is_its_definition() {
        at_each(|level| {
            for n in [0, 1, 7, 8, 9, 15, 16, 17, 100, 4192] {
                for decay in [0.0, 0.1] {
                    let lion = Lion { decay, ..LION };
                    let (mut p, mut m) = (numbers(n, 1), vec![0.0; n]);
                    let (mut p2, mut m2) = (p.clone(), m.clone());
                    for step in 1..6 {
                        let mut g = numbers(n, 10 + step);
                        g.iter_mut().step_by(3).for_each(|g| *g = 0.0);
                        super::lion(&mut p, &mut m, &g, lion);
                        // The last bits of what is remembered decide about no sign, as both start from the same.
                        naive(&mut p2, &mut m2, &g, lion);
                        assert_close(&m, &m2, 1e-6, &format!("{level:?} {n}"));
                        m2.copy_from_slice(&m);
                    }
                    assert_close(&p, &p2, 1e-6, &format!("{level:?} {n}"));
                }
            }
        });
    }

    #[test]
    fn what_has_no_gradient_stays_and_nothing_becomes_subnormal() {
        at_each(|level| {
            let (mut p, mut m) = ([1.0; 20], [0.0; 20]);
            super::lion(&mut p, &mut m, &[0.0; 20], LION);
            assert_eq!((p, m), ([1.0; 20], [0.0; 20]), "{level:?}");
            m = [1e-20; 20];
            for _ in 0..3000 {
                super::lion(&mut p, &mut m, &[0.0; 20], LION);
                assert!(m.iter().all(|m| *m == 0.0 || m.is_normal()), "{level:?}: {m:?}");
            }
            assert_eq!(m, [0.0; 20], "{level:?}");
            super::lion(&mut p, &mut m, &[f32::NAN; 20], LION);
            assert!(m.iter().all(|x| x.is_nan()), "{level:?}");
        });
    }
}
