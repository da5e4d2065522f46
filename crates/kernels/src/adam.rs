//! Adam in f32: one pass over the flat slices.

use crate::math;
use crate::vector::Vector;

/// The numbers of one step.
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    /// Learning rate of this step.
    pub lr: f32,
    /// Decay of the mean of gradients.
    pub b1: f32,
    /// Decay of the mean of squared gradients.
    pub b2: f32,
    /// `1 - b1^(step+1)`.
    pub c1: f32,
    /// `1 - b2^(step+1)`.
    pub c2: f32,
    /// Added to the root; positive.
    pub eps: f32,
    /// Decoupled weight decay (AdamW): the weights also shrink by `lr * decay` of themselves.
    pub decay: f32,
    /// Gradients are multiplied by this first: 1/batch, clipping.
    pub grad_scale: f32,
}

/// Added to both moments in every step. It is below what any update can show (a moment of 1e-28 against a gradient of
/// 1e-14), but keeps them from fading into subnormal numbers, on which arithmetic is many times slower.
pub const FLOOR: f32 = 1e-30;

/// The definition of [`adam`], in a plain loop.
pub fn naive(params: &mut [f32], m: &mut [f32], v: &mut [f32], grads: &[f32], adam: Adam) {
    let Adam { lr, b1, b2, c1, c2, eps, decay, grad_scale } = adam;
    for i in 0..params.len() {
        let g = grads[i] * grad_scale;
        m[i] = b1 * m[i] + (1.0 - b1) * g + FLOOR;
        v[i] = b2 * v[i] + (1.0 - b2) * g * g + FLOOR;
        params[i] -= lr * (m[i] / c1) / ((v[i] / c2).sqrt() + eps) + lr * decay * params[i];
    }
}

/// One step of Adam: `m = b1 m + (1-b1) g`, `v = b2 v + (1-b2) g^2`,
/// `p -= lr (m/c1) / (sqrt(v/c2) + eps) + lr decay p`, with `g = grads * grad_scale`.
///
/// Both moments also grow by [`FLOOR`]. The change of a parameter is within 16 ulp of [`naive`]'s.
///
/// Shapes: all slices one length.
///
/// # Panics
/// If the lengths differ.
pub fn adam(params: &mut [f32], m: &mut [f32], v: &mut [f32], grads: &[f32], adam: Adam) {
    let n = params.len();
    let lengths = (m.len(), v.len(), grads.len());
    assert!(lengths == (n, n, n), "adam: {n} params, but (m, v, grads) have {lengths:?}");
    adam_simd(params, m, v, grads, adam)
}

simd! { fn adam_simd(params: &mut [f32], m: &mut [f32], v: &mut [f32], grads: &[f32], adam: Adam) = adam_body; }

#[inline(always)]
fn adam_body<V: Vector>(params: &mut [f32], m: &mut [f32], v: &mut [f32], grads: &[f32], adam: Adam) {
    let rates = Rates::<V>::new(adam);
    if adam.decay == 0.0 {
        pass::<V, false>(params, m, v, grads, rates)
    } else {
        pass::<V, true>(params, m, v, grads, rates)
    }
}

#[inline(always)]
fn pass<V: Vector, const DECAY: bool>(
    params: &mut [f32],
    m: &mut [f32],
    v: &mut [f32],
    grads: &[f32],
    rates: Rates<V>,
) {
    let (mut ps, mut ms, mut vs) =
        (params.chunks_exact_mut(V::LANES), m.chunks_exact_mut(V::LANES), v.chunks_exact_mut(V::LANES));
    let gs = grads.chunks_exact(V::LANES);
    let g_tail = gs.remainder();
    for (((p, m), v), g) in (&mut ps).zip(&mut ms).zip(&mut vs).zip(gs) {
        rates.step::<DECAY>(p, m, v, g);
    }
    if !g_tail.is_empty() {
        rates.step::<DECAY>(ps.into_remainder(), ms.into_remainder(), vs.into_remainder(), g_tail);
    }
}

/// The numbers of a step, spread over registers. The update is rewritten so that as little as possible is left to do
/// for each parameter: `lr (m/c1) / (sqrt(v/c2) + eps) = rate m / (sqrt v + eps sqrt c2)`, `rate = lr sqrt(c2) / c1`.
struct Rates<V> {
    b1: V,
    /// (1 - b1) grad_scale.
    a1: V,
    b2: V,
    /// sqrt(1 - b2) grad_scale: squared with the gradient.
    a2: V,
    rate: V,
    eps: V,
    keep: V,
    floor: V,
}

impl<V: Vector> Rates<V> {
    #[inline(always)]
    fn new(Adam { lr, b1, b2, c1, c2, eps, decay, grad_scale }: Adam) -> Self {
        let root = c2.sqrt();
        Rates {
            b1: V::splat(b1),
            a1: V::splat((1.0 - b1) * grad_scale),
            b2: V::splat(b2),
            a2: V::splat((1.0 - b2).sqrt() * grad_scale),
            rate: V::splat(-lr * root / c1),
            eps: V::splat(eps * root),
            keep: V::splat(1.0 - lr * decay),
            floor: V::splat(FLOOR),
        }
    }

    #[inline(always)]
    fn step<const DECAY: bool>(&self, p: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32]) {
        let g = V::read(g);
        let mean = self.b1.fma(V::read(m), self.a1.fma(g, self.floor));
        let size = self.a2 * g;
        let square = self.b2.fma(V::read(v), size.fma(size, self.floor));
        mean.write(m);
        square.write(v);
        let change = mean * math::recip(math::sqrt(square) + self.eps);
        let before = if DECAY { self.keep * V::read(p) } else { V::read(p) };
        self.rate.fma(change, before).write(p);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::at_each;
    use crate::test::{assert_close, numbers};

    const ADAM: Adam =
        Adam { lr: 0.01, b1: 0.85, b2: 0.99, c1: 0.15, c2: 0.01, eps: 1e-8, decay: 0.0, grad_scale: 1.0 };

    #[test]
    fn adam_is_its_definition() {
        at_each(|level| {
            for n in [0, 1, 7, 8, 9, 15, 16, 17, 100, 4192] {
                for (decay, grad_scale) in [(0.0, 1.0), (0.1, 0.125)] {
                    let (mut p, mut m, mut v) = (numbers(n, 1), vec![0.0; n], vec![0.0; n]);
                    let (mut p2, mut m2, mut v2) = (p.clone(), m.clone(), v.clone());
                    for step in 1..6 {
                        let (c1, c2) = (1.0 - ADAM.b1.powi(step), 1.0 - ADAM.b2.powi(step));
                        let now = Adam { c1, c2, decay, grad_scale, ..ADAM };
                        let mut g = numbers(n, step as u64);
                        g.iter_mut().enumerate().for_each(|(i, g)| *g *= [1.0, 0.0, 1e-4, 1e-8][i % 4]);
                        adam(&mut p, &mut m, &mut v, &g, now);
                        naive(&mut p2, &mut m2, &mut v2, &g, now);
                    }
                    assert_close(&p, &p2, 1e-6, &format!("{level:?} {n}"));
                    assert_close(&m, &m2, 1e-7, &format!("{level:?} {n}"));
                    assert_close(&v, &v2, 1e-7, &format!("{level:?} {n}"));
                }
            }
        });
    }

    #[test]
    fn a_change_is_right_to_a_few_ulp() {
        at_each(|level| {
            for exponent in -60..10 {
                let g: Vec<f32> = numbers(64, 9).iter().map(|x| x * 2f32.powi(exponent)).collect();
                let (mut p, mut p2) = (vec![0.0; 64], vec![0.0; 64]);
                adam(&mut p, &mut vec![0.0; 64], &mut vec![0.0; 64], &g, ADAM);
                naive(&mut p2, &mut vec![0.0; 64], &mut vec![0.0; 64], &g, ADAM);
                for (a, b) in p.iter().zip(&p2) {
                    assert!((a - b).abs() <= 16.0 * f32::EPSILON * b.abs(), "{level:?}: {a:e}, not {b:e}");
                }
            }
        });
    }

    #[test]
    fn moments_never_become_subnormal_and_nan_stays() {
        at_each(|level| {
            let (mut p, mut m, mut v) = ([1.0; 20], [1e-20; 20], [1e-20; 20]);
            for _ in 0..2000 {
                adam(&mut p, &mut m, &mut v, &[0.0; 20], ADAM);
                assert!(m.iter().chain(&v).all(|x| x.is_normal()), "{level:?}: {m:?} {v:?}");
            }
            assert!(p.iter().all(|p| (p - 1.0).abs() < 1e-6), "{level:?}: {p:?}");
            adam(&mut p, &mut m, &mut v, &[f32::NAN; 20], ADAM);
            assert!(p.iter().chain(&m).chain(&v).all(|x| x.is_nan()), "{level:?}");
        });
    }
}
