//! Activations: each formula and its derivative in one place, and both passes over slices.

use crate::math;
use crate::vector::Vector;

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// `max(x, 0)`; its derivative at 0 is 0.
    Relu,
    /// `max(x, 0)^2`.
    SquaredRelu,
    /// `x Phi(x)` by its tanh form: `x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`.
    Gelu,
    /// `x / (1 + e^-x)`.
    Silu,
    /// `tanh x`.
    Tanh,
}

/// The definitions, in plain loops.
pub mod naive {
    use super::Activation;

    /// `(f(x), f'(x))`.
    pub fn value(activation: Activation, x: f32) -> (f32, f32) {
        match activation {
            Activation::Relu => (x.max(0.0), if x > 0.0 { 1.0 } else { 0.0 }),
            Activation::SquaredRelu => (x.max(0.0).powi(2), 2.0 * x.max(0.0)),
            Activation::Gelu => {
                let k = (2.0 / std::f32::consts::PI).sqrt();
                let t = (k * (x + 0.044715 * x * x * x)).tanh();
                let slope = k * (1.0 + 3.0 * 0.044715 * x * x);
                (0.5 * x * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * slope)
            }
            Activation::Silu => {
                let s = 1.0 / (1.0 + (-x).exp());
                (x * s, s * (1.0 + x * (1.0 - s)))
            }
            Activation::Tanh => (x.tanh(), 1.0 - x.tanh().powi(2)),
        }
    }

    /// See [`forward`](super::forward).
    pub fn forward(activation: Activation, y: &mut [f32], x: &[f32]) {
        for i in 0..x.len() {
            y[i] = value(activation, x[i]).0;
        }
    }

    /// See [`backward`](super::backward).
    pub fn backward(activation: Activation, dx: &mut [f32], dy: &[f32], x: &[f32]) {
        for i in 0..x.len() {
            dx[i] += dy[i] * value(activation, x[i]).1;
        }
    }
}

/// A formula and its derivative, of a register.
trait Formula {
    fn f<V: Vector>(x: V) -> V;
    fn df<V: Vector>(x: V) -> V;
}

struct Relu;
impl Formula for Relu {
    #[inline(always)]
    fn f<V: Vector>(x: V) -> V {
        V::zero().max(x) // in this order NaN stays
    }
    #[inline(always)]
    fn df<V: Vector>(x: V) -> V {
        V::if_gt(x, V::zero(), V::splat(1.0), V::zero())
    }
}

struct SquaredRelu;
impl Formula for SquaredRelu {
    #[inline(always)]
    fn f<V: Vector>(x: V) -> V {
        let positive = Relu::f(x);
        positive * positive
    }
    #[inline(always)]
    fn df<V: Vector>(x: V) -> V {
        let positive = Relu::f(x);
        positive + positive
    }
}

struct Gelu;
impl Gelu {
    const K: f32 = 0.797_884_6; // sqrt(2/pi)
    const CUBE: f32 = 0.044_715;
}
impl Formula for Gelu {
    #[inline(always)]
    fn f<V: Vector>(x: V) -> V {
        let inner = x * (x * x).fma(V::splat(Self::K * Self::CUBE), V::splat(Self::K));
        let half = x * V::splat(0.5);
        half.fma(math::tanh(inner), half)
    }
    #[inline(always)]
    fn df<V: Vector>(x: V) -> V {
        let square = x * x;
        let t = math::tanh(x * square.fma(V::splat(Self::K * Self::CUBE), V::splat(Self::K)));
        let slope = square.fma(V::splat(3.0 * Self::K * Self::CUBE), V::splat(Self::K));
        let one = V::splat(1.0);
        V::splat(0.5) * (x * slope).fma(one - t * t, one + t)
    }
}

struct Silu;
impl Formula for Silu {
    #[inline(always)]
    fn f<V: Vector>(x: V) -> V {
        x * math::sigmoid(x)
    }
    #[inline(always)]
    fn df<V: Vector>(x: V) -> V {
        let s = math::sigmoid(x);
        let one = V::splat(1.0);
        s * x.fma(one - s, one)
    }
}

struct Tanh;
impl Formula for Tanh {
    #[inline(always)]
    fn f<V: Vector>(x: V) -> V {
        math::tanh(x)
    }
    #[inline(always)]
    fn df<V: Vector>(x: V) -> V {
        let t = math::tanh(x);
        V::splat(1.0) - t * t
    }
}

/// f of a register.
#[inline(always)]
pub(crate) fn f<V: Vector>(activation: Activation, x: V) -> V {
    match activation {
        Activation::Relu => Relu::f(x),
        Activation::SquaredRelu => SquaredRelu::f(x),
        Activation::Gelu => Gelu::f(x),
        Activation::Silu => Silu::f(x),
        Activation::Tanh => Tanh::f(x),
    }
}

/// f' of a register.
#[inline(always)]
pub(crate) fn df<V: Vector>(activation: Activation, x: V) -> V {
    match activation {
        Activation::Relu => Relu::df(x),
        Activation::SquaredRelu => SquaredRelu::df(x),
        Activation::Gelu => Gelu::df(x),
        Activation::Silu => Silu::df(x),
        Activation::Tanh => Tanh::df(x),
    }
}

/// `y[i] = f(x[i])`.
///
/// # Panics
/// If the lengths differ.
pub fn forward(activation: Activation, y: &mut [f32], x: &[f32]) {
    assert!(y.len() == x.len(), "activation: y has {} numbers, x {}", y.len(), x.len());
    forward_simd(activation, y, x)
}

/// `dx[i] (+)= dy[i] f'(x[i])`. Adds to dx where `accumulate`, else replaces it.
///
/// # Panics
/// If the lengths differ.
pub fn backward(activation: Activation, dx: &mut [f32], dy: &[f32], x: &[f32], accumulate: bool) {
    let found = (dy.len(), x.len());
    assert!(found == (dx.len(), dx.len()), "activation: dx has {} numbers, (dy, x) {found:?}", dx.len());
    if accumulate {
        return backward_simd(activation, dx, dy, x);
    }
    // So few at a time that the zeros are still in the first cache.
    for ((dx, dy), x) in dx.chunks_mut(CHUNK).zip(dy.chunks(CHUNK)).zip(x.chunks(CHUNK)) {
        dx.fill(0.0);
        backward_simd(activation, dx, dy, x);
    }
}

const CHUNK: usize = 1024;

simd! { fn forward_simd(activation: Activation, y: &mut [f32], x: &[f32]) = forward_body; }

#[inline(always)]
fn forward_body<V: Vector>(activation: Activation, y: &mut [f32], x: &[f32]) {
    match activation {
        Activation::Relu => apply::<V, Relu>(y, x),
        Activation::SquaredRelu => apply::<V, SquaredRelu>(y, x),
        Activation::Gelu => apply::<V, Gelu>(y, x),
        Activation::Silu => apply::<V, Silu>(y, x),
        Activation::Tanh => apply::<V, Tanh>(y, x),
    }
}

// No closures here: a long one is not inlined, and loses the instructions of its level.
#[inline(always)]
fn apply<V: Vector, F: Formula>(y: &mut [f32], x: &[f32]) {
    let (mut ys, xs) = (y.chunks_exact_mut(V::LANES), x.chunks_exact(V::LANES));
    let tail = xs.remainder();
    for (y, x) in (&mut ys).zip(xs) {
        F::f(V::read(x)).write(y);
    }
    F::f(V::read(tail)).write(ys.into_remainder());
}

simd! { fn backward_simd(activation: Activation, dx: &mut [f32], dy: &[f32], x: &[f32]) = backward_body; }

#[inline(always)]
fn backward_body<V: Vector>(activation: Activation, dx: &mut [f32], dy: &[f32], x: &[f32]) {
    match activation {
        Activation::Relu => apply_slope::<V, Relu>(dx, dy, x),
        Activation::SquaredRelu => apply_slope::<V, SquaredRelu>(dx, dy, x),
        Activation::Gelu => apply_slope::<V, Gelu>(dx, dy, x),
        Activation::Silu => apply_slope::<V, Silu>(dx, dy, x),
        Activation::Tanh => apply_slope::<V, Tanh>(dx, dy, x),
    }
}

#[inline(always)]
fn apply_slope<V: Vector, F: Formula>(dx: &mut [f32], dy: &[f32], x: &[f32]) {
    let (mut dxs, dys, xs) =
        (dx.chunks_exact_mut(V::LANES), dy.chunks_exact(V::LANES), x.chunks_exact(V::LANES));
    let (dy_tail, x_tail) = (dys.remainder(), xs.remainder());
    for ((dx, dy), x) in (&mut dxs).zip(dys).zip(xs) {
        V::read(dy).fma(F::df(V::read(x)), V::read(dx)).write(dx);
    }
    let dx = dxs.into_remainder();
    V::read(dy_tail).fma(F::df(V::read(x_tail)), V::read(dx)).write(dx);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::at_each;
    use crate::test::{assert_close, numbers};

    #[test]
    fn activations_are_their_definitions() {
        use Activation::*;
        at_each(|level| {
            for activation in [Relu, SquaredRelu, Gelu, Silu, Tanh] {
                for n in [0, 1, 7, 8, 9, 15, 16, 17, 100, 1025] {
                    let (mut x, dy) = (numbers(n, 1), numbers(n, 2));
                    x.iter_mut().enumerate().for_each(|(i, x)| *x = if i % 9 == 4 { 0.0 } else { 5.0 * *x });
                    let what = format!("{activation:?} {level:?} {n}");
                    let (mut y, mut y2) = (vec![7.0; n], vec![0.0; n]);
                    forward(activation, &mut y, &x);
                    naive::forward(activation, &mut y2, &x);
                    assert_close(&y, &y2, 1e-6, &what);
                    let (mut dx, mut dx2) = (numbers(n, 3), numbers(n, 3));
                    backward(activation, &mut dx, &dy, &x, true);
                    naive::backward(activation, &mut dx2, &dy, &x);
                    assert_close(&dx, &dx2, 2e-6, &what);
                    let (mut dx, mut dx2) = (vec![f32::NAN; n], vec![0.0; n]);
                    backward(activation, &mut dx, &dy, &x, false);
                    naive::backward(activation, &mut dx2, &dy, &x);
                    assert_close(&dx, &dx2, 2e-6, &what);
                }
                let mut y = [0.0];
                forward(activation, &mut y, &[f32::NAN]);
                assert!(y[0].is_nan(), "{activation:?} {level:?} hides NaN");
            }
        });
    }
}
