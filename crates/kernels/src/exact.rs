//! f64 with the very bits of the C library's `pow`, at several times its speed.
//!
//! microgpt.py squares with `x ** 2` and takes roots with `x ** 0.5`: two calls of `pow`, which is not
//! correctly rounded, so `x * x` differs from it now and then. The idea here:
//!
//! 1. `y = x * x` is correctly rounded, and what rounding took away, `e = x*x - y`, is a number that can be computed exactly.
//! 2. `pow` errs before its own rounding by less than 1/64 ulp (`MARGIN`). If `y + e` lies farther than that
//!    from a midpoint between two numbers, `pow` cannot but round to `y` too.
//! 3. For the others (one in 32), and for numbers so large or small that the bound is weaker, ask `pow`.

use crate::level::{self, Level};
use std::hint::black_box;

/// How far, in ulp, `pow`'s unrounded result may be from the true one when that is within 2^±96.
/// glibc and musl share an algorithm whose stated error is 0.011 (its `exp`) + 4.6e-5 |y ln x| <= 0.0141 ulp.
/// Of other C libraries we know nothing and always call `pow`.
const MARGIN: f64 = if cfg!(any(target_env = "gnu", target_env = "musl")) { 1.0 / 64.0 } else { 0.5 };

/// The largest rounding error, relative to the power of two below the result, that is safe.
const SAFE: f64 = (0.5 - MARGIN) * f64::EPSILON;
const EXPONENT: u64 = 0x7ff << 52;
const LARGEST: f64 = (1u128 << 96) as f64;
const SMALLEST: f64 = 1.0 / LARGEST;

/// `pow(x, 2)` to the bit: the definition of [`square`].
pub fn naive_square(x: f64) -> f64 {
    x.powf(black_box(2.0)) // A literal exponent would let the compiler write x * x.
}

/// `pow(x, 1/2)` to the bit: the definition of [`sqrt`].
pub fn naive_sqrt(x: f64) -> f64 {
    x.powf(black_box(0.5))
}

/// The bits of the C library's `pow(x, 2.0)`.
///
/// ```
/// use microgpt_kernels::exact;
/// assert_eq!(exact::square(0.1).to_bits(), exact::naive_square(0.1).to_bits());
/// ```
#[inline]
pub fn square(x: f64) -> f64 {
    let (y, safe) = try_square::<false>(x);
    if safe { y } else { naive_square(x) }
}

/// The bits of the C library's `pow(x, 0.5)`.
#[inline]
pub fn sqrt(x: f64) -> f64 {
    let (y, safe) = try_sqrt::<false>(x);
    if safe { y } else { naive_sqrt(x) }
}

/// What the rounding of `y = x * x` took away, exactly: by a fused multiply-add where `FMA`,
/// else by Dekker's product of halves.
#[inline(always)]
fn rounding_of_square<const FMA: bool>(x: f64, y: f64) -> f64 {
    if FMA {
        return x.mul_add(x, -y);
    }
    let scaled = 134_217_729.0 * x; // 2^27 + 1
    let high = scaled - (scaled - x);
    let low = x - high;
    ((high * high - y) + 2.0 * (high * low)) + low * low
}

/// The power of two at or below the neighbour of `y` that is nearer 0; not in range for 0, infinities and NaN.
#[inline(always)]
fn binade(y: f64) -> f64 {
    f64::from_bits(y.to_bits().wrapping_sub(1) & EXPONENT)
}

#[inline(always)]
fn in_range(binade: f64) -> bool {
    (binade > SMALLEST) & (binade < LARGEST)
}

/// `x * x`, and whether `pow` is known to say the same.
#[inline(always)]
fn try_square<const FMA: bool>(x: f64) -> (f64, bool) {
    let y = x * x;
    let unit = binade(y);
    let error = rounding_of_square::<FMA>(x, y);
    (y, (in_range(unit) & (error.abs() < unit * SAFE)) | (x == 0.0))
}

/// `sqrt(x)`, and whether `pow` is known to say the same.
#[inline(always)]
fn try_sqrt<const FMA: bool>(x: f64) -> (f64, bool) {
    let y = x.sqrt();
    let unit = binade(y);
    // x - y*y, exactly; the root's error is that over 2y.
    let square = y * y;
    let residue = (x - square) - rounding_of_square::<FMA>(y, square);
    (y, (in_range(unit) & (residue.abs() < 2.0 * y * unit * SAFE)) | (x.to_bits() == 0))
}

/// The numbers that Adam uses for one step, all f64.
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    /// Learning rate of this step.
    pub lr: f64,
    /// Decay of the mean of gradients.
    pub b1: f64,
    /// Decay of the mean of squared gradients.
    pub b2: f64,
    /// `1 - b1^(step+1)`.
    pub c1: f64,
    /// `1 - b2^(step+1)`.
    pub c2: f64,
    /// Added to the root.
    pub eps: f64,
}

/// One step of Adam, as microgpt.py writes it: the definition of [`adam_f64`].
///
/// `m = b1 m + (1-b1) g; v = b2 v + (1-b2) g**2; w -= lr (m/c1) / ((v/c2)**0.5 + eps)`
pub fn naive_adam_f64(params: &mut [f64], m: &mut [f64], v: &mut [f64], grads: &[f64], adam: Adam) {
    let Adam { lr, b1, b2, c1, c2, eps } = adam;
    for i in 0..params.len() {
        m[i] = b1 * m[i] + (1.0 - b1) * grads[i];
        v[i] = b2 * v[i] + (1.0 - b2) * naive_square(grads[i]);
        let m_hat = m[i] / c1;
        let v_hat = v[i] / c2;
        params[i] -= lr * m_hat / (naive_sqrt(v_hat) + eps);
    }
}

/// One step of Adam in f64, with the same bits as [`naive_adam_f64`] at every level.
///
/// Shapes: all slices one length.
///
/// # Panics
/// If the lengths differ.
pub fn adam_f64(params: &mut [f64], m: &mut [f64], v: &mut [f64], grads: &[f64], adam: Adam) {
    let n = params.len();
    let lengths = (m.len(), v.len(), grads.len());
    assert!(lengths == (n, n, n), "adam_f64: {n} params, but (m, v, grads) have {lengths:?}");

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
    fn avx512(params: &mut [f64], m: &mut [f64], v: &mut [f64], grads: &[f64], adam: Adam) {
        adam_body::<true>(params, m, v, grads, adam)
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn avx2(params: &mut [f64], m: &mut [f64], v: &mut [f64], grads: &[f64], adam: Adam) {
        adam_body::<true>(params, m, v, grads, adam)
    }
    match level::current() {
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "enters a function with more instructions")]
        // SAFETY: `level` only ever holds a level that this machine was found to have.
        Level::Avx512 => unsafe { avx512(params, m, v, grads, adam) },
        #[cfg(target_arch = "x86_64")]
        #[expect(unsafe_code, reason = "enters a function with more instructions")]
        // SAFETY: as above.
        Level::Avx2 => unsafe { avx2(params, m, v, grads, adam) },
        _ => adam_body::<false>(params, m, v, grads, adam),
    }
}

const WIDTH: usize = 8;

/// Eight at a time in loops that vectorise; the rare lanes that need `pow` are mended between them.
#[inline(always)]
fn adam_body<const FMA: bool>(params: &mut [f64], m: &mut [f64], v: &mut [f64], grads: &[f64], adam: Adam) {
    let Adam { lr, b1, b2, c1, c2, eps } = adam;
    let (a1, a2) = (1.0 - b1, 1.0 - b2);
    let (params, params_tail) = params.as_chunks_mut::<WIDTH>();
    let (m, m_tail) = m.as_chunks_mut::<WIDTH>();
    let (v, v_tail) = v.as_chunks_mut::<WIDTH>();
    let (grads, grads_tail) = grads.as_chunks::<WIDTH>();
    for (((p, m), v), g) in params.iter_mut().zip(m).zip(v).zip(grads) {
        let squares = all(g, try_square::<FMA>, naive_square);
        let mut v_hat = [0.0; WIDTH];
        for i in 0..WIDTH {
            m[i] = b1 * m[i] + a1 * g[i];
            v[i] = b2 * v[i] + a2 * squares[i];
            v_hat[i] = v[i] / c2;
        }
        let roots = all(&v_hat, try_sqrt::<FMA>, naive_sqrt);
        for i in 0..WIDTH {
            p[i] -= lr * (m[i] / c1) / (roots[i] + eps);
        }
    }
    naive_adam_f64(params_tail, m_tail, v_tail, grads_tail, adam);
}

/// `quick` for all lanes, `sure` again for those where it was not safe.
#[inline(always)]
fn all(x: &[f64; WIDTH], quick: impl Fn(f64) -> (f64, bool), sure: impl Fn(f64) -> f64) -> [f64; WIDTH] {
    let mut y = [0.0; WIDTH];
    let mut unsafe_lanes = [0u64; WIDTH];
    for i in 0..WIDTH {
        let (value, safe) = quick(x[i]);
        y[i] = value;
        unsafe_lanes[i] = if safe { 0 } else { 1 << i };
    }
    let mut lanes = unsafe_lanes.iter().fold(0, |all, lane| all | lane);
    while lanes != 0 {
        let i = lanes.trailing_zeros() as usize % WIDTH;
        y[i] = sure(x[i]);
        lanes &= lanes - 1;
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of 64 random bits (splitmix64).
    fn random(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn same(x: f64) {
        let (a, b) = (square(x), naive_square(x));
        assert_eq!(a.to_bits(), b.to_bits(), "square({x:e}) = {a:e}, pow says {b:e}");
        let (a, b) = (sqrt(x), naive_sqrt(x));
        assert!(
            a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()),
            "sqrt({x:e}) = {a:e}, pow says {b:e}"
        );
    }

    #[test]
    fn pow_bits_everywhere() {
        let mut state = 1;
        for _ in 0..2_000_000 {
            let bits = random(&mut state);
            same(f64::from_bits(bits));
            // The magnitudes of gradients: 2^-52 to 2^12.
            let exponent = 1023 - 52 + (random(&mut state) >> 58);
            same(f64::from_bits(bits & !EXPONENT & !(1 << 63) | exponent << 52));
        }
    }

    #[test]
    fn pow_bits_at_the_edges() {
        for x in [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, f64::MAX, f64::MIN_POSITIVE] {
            same(x);
            same(-x);
            same(f64::from_bits(x.to_bits().wrapping_add(1)));
        }
        for e in -1074..1024 {
            let power = 2f64.powi(e);
            for bits in -3..=3 {
                same(f64::from_bits(power.to_bits().wrapping_add_signed(bits)));
            }
        }
        for n in 0..100_000u32 {
            same(n as f64);
            same(n as f64 * n as f64);
            same(f64::from_bits(n as u64)); // subnormal
            same(f64::from_bits(1f64.to_bits() + n as u64));
            same(f64::from_bits(1f64.to_bits() - n as u64));
        }
    }

    /// Where `pow` rounds the wrong way, the true value must be nearer a midpoint than half our margin claims
    /// leave room for: the stated bound, seen from outside.
    #[test]
    fn the_margin_is_real() {
        let mut state = 7;
        let mut worst = 0.0f64;
        for _ in 0..3_000_000 {
            let exponent = 1023 - 40 + random(&mut state) % 80;
            let x = f64::from_bits(random(&mut state) & !EXPONENT & !(1 << 63) | exponent << 52);
            let y = x * x;
            if naive_square(x) != y {
                let ulp = binade(y) * f64::EPSILON;
                worst = worst.max(0.5 - rounding_of_square::<false>(x, y).abs() / ulp);
            }
        }
        assert!(worst < MARGIN, "pow errs by {worst} ulp before rounding");
        assert!(worst > 0.0 || MARGIN == 0.5, "pow was always right: has this library changed?");
    }

    #[test]
    fn adam_is_the_naive_loop_to_the_bit() {
        level::at_each(|level| {
            let mut state = 3;
            let mut number = |scale: f64| (random(&mut state) as f64 / u64::MAX as f64 - 0.5) * scale;
            for n in [0, 1, 7, 8, 9, 4192, 20_001] {
                let mut p: Vec<f64> = (0..n).map(|_| number(0.2)).collect();
                let (mut m, mut v) = (vec![0.0; n], vec![0.0; n]);
                let (mut p2, mut m2, mut v2) = (p.clone(), m.clone(), v.clone());
                for step in 0..12 {
                    let scale = 10f64.powi(-2 * (step % 6));
                    let grads: Vec<f64> =
                        (0..n).map(|i| if i % 5 == 0 { 0.0 } else { number(scale) }).collect();
                    let (c1, c2) = (1.0 - 0.85f64.powi(step + 1), 1.0 - 0.99f64.powi(step + 1));
                    let adam = Adam { lr: 0.01, b1: 0.85, b2: 0.99, c1, c2, eps: 1e-8 };
                    adam_f64(&mut p, &mut m, &mut v, &grads, adam);
                    naive_adam_f64(&mut p2, &mut m2, &mut v2, &grads, adam);
                }
                let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
                assert!(
                    bits(&p) == bits(&p2) && bits(&m) == bits(&m2) && bits(&v) == bits(&v2),
                    "{level:?}, n = {n}"
                );
            }
        });
    }
}
