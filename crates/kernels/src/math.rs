//! exp, ln, tanh, sigmoid and 1/sqrt of a register, and of slices in place.
//!
//! Error bounds are in ulp of the true value, over all finite arguments; the tests below hold them.

use crate::vector::Vector;
use std::f32::consts::{FRAC_2_SQRT_PI, LN_2};

const LN2_HIGH: f32 = 0.693_359_4; // 9 bits: n * LN2_HIGH is exact for the n of exp
const LN2_LOW: f32 = -2.121_944_4e-4;

/// `x = n ln 2 + r`, n whole, |r| <= ln(2)/2; and e^r - 1.
#[inline(always)]
fn reduced<V: Vector>(x: V) -> (V, V) {
    let n = (x * V::splat(std::f32::consts::LOG2_E)).round();
    let r = n.fma(V::splat(-LN2_HIGH), x);
    let r = n.fma(V::splat(-LN2_LOW), r);
    // (e^r - 1 - r) / r^2 by interpolation in Chebyshev points: 1e-8 of e^r.
    let q = r.fma(V::splat(0.001_392_625), V::splat(0.008_363_233));
    let q = r.fma(q, V::splat(0.041_666_554));
    let q = r.fma(q, V::splat(0.166_665_77));
    let q = r.fma(q, V::splat(0.5));
    (n, (r * r).fma(q, r))
}

/// e^x, within 2 ulp. 0 for -inf, inf above 88.72, gradual below -87.3; NaN stays NaN.
#[inline(always)]
pub(crate) fn exp<V: Vector>(x: V) -> V {
    // The constant first: `max` and `min` give their second operand where one is NaN.
    let (n, e) = reduced(V::splat(-105.0).max(V::splat(90.0).min(x)));
    (V::splat(1.0) + e).scale(n)
}

/// e^x of a number that is not above 0, within 2 ulp; 0 below -40. For parts of a sum to which 1 belongs: there it
/// changes no digit, and the products of such parts would soon be subnormal, which costs a hundred times as much.
#[inline(always)]
pub(crate) fn weight<V: Vector>(x: V) -> V {
    let least = V::splat(-40.0);
    let (n, e) = reduced(least.max(x));
    V::if_gt(least, x, V::zero(), (V::splat(1.0) + e).scale(n))
}

/// 2^x, within 2 ulp; 0 below -100, where the products of such powers would soon be subnormal; inf from 128 on, NaN
/// stays NaN.
#[inline(always)]
pub(crate) fn power2<V: Vector>(x: V) -> V {
    let least = V::splat(-100.0);
    V::if_gt(least, x, V::zero(), power2_near(least.max(V::splat(130.0).min(x))))
}

/// [`power2`] without its care, where the instructions allow: it may be NaN for infinite numbers, and more than 0 below
/// -100.
#[inline(always)]
pub(crate) fn power2_finite<V: Vector>(x: V) -> V {
    if V::SCALES_ALL { power2_near(x) } else { power2(x) }
}

/// 2^x of what [`Vector::scale`] serves for.
#[inline(always)]
fn power2_near<V: Vector>(x: V) -> V {
    let n = x.round();
    let r = x - n;
    // The polynomial of `reduced`, in r ln 2.
    let q = r.fma(V::splat(0.000_154_449_66), V::splat(0.001_338_139_9));
    let q = r.fma(q, V::splat(0.009_618_103_1));
    let q = r.fma(q, V::splat(0.055_503_81));
    let q = r.fma(q, V::splat(0.240_226_5));
    (r * r).fma(q, r.fma(V::splat(LN_2), V::splat(1.0))).scale(n)
}

/// ln x, within 3 ulp. -inf for 0, NaN for negatives and NaN.
#[inline(always)]
pub(crate) fn ln<V: Vector>(x: V) -> V {
    let tiny = V::splat(f32::MIN_POSITIVE);
    let normal = V::if_gt(tiny, x, x * V::splat(33_554_432.0), x); // subnormals times 2^25
    let (m, e) = normal.split();
    let e = V::if_gt(tiny, x, e - V::splat(25.0), e);
    // m to within [1/sqrt 2, sqrt 2], where ln m = 2 artanh s, s = (m-1)/(m+1).
    let root2 = V::splat(std::f32::consts::SQRT_2);
    let e = V::if_gt(m, root2, e + V::splat(1.0), e);
    let f = V::if_gt(m, root2, m * V::splat(0.5), m) - V::splat(1.0);
    let s = f / (f + V::splat(2.0));
    let z = s * s;
    let p = z.fma(V::splat(2.0 / 9.0), V::splat(2.0 / 7.0));
    let p = z.fma(p, V::splat(2.0 / 5.0));
    let p = z.fma(p, V::splat(2.0 / 3.0));
    // 2s = f - s f, so ln m = f - s (f - z p): the large part of the sum is exact.
    let tail = s * (f - z * p);
    let y = e.fma(V::splat(LN2_HIGH), f + e.fma(V::splat(LN2_LOW), V::zero() - tail));
    let y = V::if_gt(V::splat(f32::INFINITY), x, y, x); // inf (and NaN) stay
    let y = V::if_gt(x, V::zero(), y, V::splat(f32::NAN));
    let y = V::if_gt(V::zero() - x.abs(), V::splat(-f32::from_bits(1)), V::splat(f32::NEG_INFINITY), y);
    x.if_nan(x, y)
}

/// tanh x, within 4 ulp, odd to the bit; NaN stays NaN.
#[inline(always)]
pub(crate) fn tanh<V: Vector>(x: V) -> V {
    // e = e^{2|x|} - 1 without cancellation near 0; tanh = e / (e + 2). From 10 on it is 1.
    let (n, e) = reduced(V::splat(20.0).min((x + x).abs()));
    let power = V::splat(1.0).scale(n);
    let e = power.fma(e, power - V::splat(1.0));
    (e / (e + V::splat(2.0))).with_sign_of(x)
}

/// 1 / (1 + e^-x), within 4 ulp down to -87, below that within 1e-38; NaN stays NaN.
#[inline(always)]
pub(crate) fn sigmoid<V: Vector>(x: V) -> V {
    V::splat(1.0) / (V::splat(1.0) + exp(V::zero() - x))
}

/// ln(1 + e^x), within 2e-7 of the larger of 1 and it; NaN stays NaN.
#[inline(always)]
pub(crate) fn softplus<V: Vector>(x: V) -> V {
    V::zero().max(x) + ln(V::splat(1.0) + exp(V::zero() - x.abs()))
}

/// The error function, within 2e-7, odd to the bit; NaN stays NaN.
#[inline(always)]
pub(crate) fn erf<V: Vector>(x: V) -> V {
    // Up to 1 as x times a polynomial of x^2; from there on as 1 - e^(-x^2) times one of t = 1 / (1 + x/2). Both by
    // interpolation in Chebyshev points, to 7e-9. From 4 on it is 1.
    let a = V::splat(4.0).min(x.abs());
    let square = a * a;
    let mut near = V::splat(7.882_497e-5);
    for c in [-0.000_801_885_5, 0.005_189_312, -0.026_854_329, 0.112_835_97, -0.376_126_26, FRAC_2_SQRT_PI] {
        near = near.fma(square, V::splat(c));
    }
    let t = V::splat(1.0) / a.fma(V::splat(0.5), V::splat(1.0));
    let mut far = V::splat(-0.053_540_617);
    for c in [-0.057_338_737, 0.403_838_37, 0.101_268_25, 0.330_840_68, 0.273_618_16, 0.000_606_408_75] {
        far = far.fma(t, V::splat(c));
    }
    let far = V::splat(1.0) - exp(V::zero() - square) * far;
    let y = V::if_gt(V::splat(1.0), a, a * near, far).with_sign_of(x);
    x.if_nan(x, y)
}

/// 1/sqrt x, within 4 ulp for normal positive x; NaN for 0 (where [`rsqrt_exact`] says inf).
#[inline(always)]
pub(crate) fn rsqrt<V: Vector>(x: V) -> V {
    let mut y = x.rsqrt_estimate();
    for _ in 0..V::NEWTON {
        // y + y (1 - x y y) / 2
        let error = (x * y).fnma(y, V::splat(1.0));
        y = (y * V::splat(0.5)).fma(error, y);
    }
    y
}

/// sqrt x, within 4 ulp for normal positive x: the last step of [`rsqrt`] taken for x/sqrt x at once.
#[inline(always)]
pub(crate) fn sqrt<V: Vector>(x: V) -> V {
    let mut y = x.rsqrt_estimate();
    for _ in 1..V::NEWTON {
        let error = (x * y).fnma(y, V::splat(1.0));
        y = (y * V::splat(0.5)).fma(error, y);
    }
    let root = x * y;
    let error = root.fnma(y, V::splat(1.0));
    (root * V::splat(0.5)).fma(error, root)
}

/// 1/sqrt x in two correctly rounded operations.
#[inline(always)]
pub(crate) fn rsqrt_exact<V: Vector>(x: V) -> V {
    V::splat(1.0) / x.sqrt()
}

/// 1/x, within 3 ulp for normal x whose reciprocal is normal.
#[inline(always)]
pub(crate) fn recip<V: Vector>(x: V) -> V {
    let mut y = x.recip_estimate();
    for _ in 0..V::NEWTON {
        let error = x.fnma(y, V::splat(1.0));
        y = y.fma(error, y);
    }
    y
}

macro_rules! in_place {
    ($($(#[$meta:meta])* $name:ident, $body:ident, $of:expr;)*) => {$(
        #[inline(always)]
        fn $body<V: Vector>(x: &mut [f32]) {
            let mut chunks = x.chunks_exact_mut(V::LANES);
            for x in &mut chunks {
                $of(V::read(x)).write(x);
            }
            let tail = chunks.into_remainder();
            $of(V::read(tail)).write(tail);
        }
        simd! {
            $(#[$meta])*
            pub fn $name(x: &mut [f32]) = $body;
        }
    )*};
}

in_place! {
    /// `x[i] = e^x[i]`, within 2 ulp; 0 at -inf, inf on overflow, NaN stays.
    exp_in_place, exp_body, exp;
    /// `x[i] = e^x[i]` for numbers up to 0, within 2 ulp; 0 below -40.
    weight_in_place, weight_body, weight;
    /// `x[i] = 2^x[i]`, within 2 ulp; 0 below -100, inf from 128 on, NaN stays.
    power2_in_place, power2_body, power2;
    /// `x[i] = ln x[i]`, within 3 ulp; -inf at 0, NaN below.
    ln_in_place, ln_body, ln;
    /// `x[i] = tanh x[i]`, within 4 ulp; NaN stays.
    tanh_in_place, tanh_body, tanh;
    /// `x[i] = 1 / (1 + e^-x[i])`, within 4 ulp where the result is normal.
    sigmoid_in_place, sigmoid_body, sigmoid;
    /// `x[i] = 1/sqrt x[i]` for normal positive numbers, by estimate and Newton: within 4 ulp.
    rsqrt_in_place, rsqrt_body, rsqrt;
    /// `x[i] = 1/sqrt x[i]`, within 1.5 ulp everywhere, several times slower than [`rsqrt_in_place`].
    rsqrt_exact_in_place, rsqrt_exact_body, rsqrt_exact;
    /// `x[i] = sqrt x[i]` for normal positive numbers, within 4 ulp.
    sqrt_in_place, sqrt_body, sqrt;
    /// `x[i] = 1/x[i]` for normal numbers with normal reciprocals, within 3 ulp.
    recip_in_place, recip_body, recip;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::at_each;

    /// The distance in units of the last place of the true value.
    fn ulp(found: f32, truth: f64) -> f64 {
        let near = truth as f32;
        if found == near || (found.is_nan() && near.is_nan()) {
            return 0.0;
        }
        let unit = (near.abs().max(f32::MIN_POSITIVE)).log2().floor().exp2() as f64 * f32::EPSILON as f64;
        (found as f64 - truth).abs() / unit
    }

    fn check(name: &str, f: fn(&mut [f32]), truth: fn(f64) -> f64, low: f32, high: f32, bound: f64) {
        at_each(|level| {
            let n = 400_003;
            let x: Vec<f32> = (0..n).map(|i| low + (high - low) * (i as f32 / (n - 1) as f32)).collect();
            let mut y = x.clone();
            f(&mut y);
            let worst = x.iter().zip(&y).map(|(&x, &y)| (ulp(y, truth(x as f64)), x));
            let worst = worst.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
            assert!(worst.0 <= bound, "{name} at {level:?}: {worst:?} ulp, allowed {bound}");
            for n in 0..40 {
                let mut part = x[..n].to_vec();
                f(&mut part);
                assert!(
                    part.iter().zip(&y).all(|(a, b)| a.to_bits() == b.to_bits()),
                    "{name} {level:?} tail of {n}"
                );
            }
        });
    }

    /// All exponents, random-looking fractions.
    fn check_magnitudes(name: &str, f: fn(&mut [f32]), truth: fn(f64) -> f64, first: u32, bound: f64) {
        at_each(|level| {
            let x: Vec<f32> = (first..0x7f80_0000).step_by(4099).map(f32::from_bits).collect();
            let mut y = x.clone();
            f(&mut y);
            for (&x, &y) in x.iter().zip(&y) {
                assert!(ulp(y, truth(x as f64)) <= bound, "{name} at {level:?}: {name}({x:e}) = {y:e}");
            }
        });
    }

    #[test]
    fn exp_in_ulp() {
        check("exp", exp_in_place, f64::exp, -87.3, 88.7, 2.0);
        check("exp", exp_in_place, f64::exp, -1.0, 1.0, 2.0);
        check("exp", exp_in_place, f64::exp, -110.0, -87.0, 2.0);
        let truth = |x| if x < -40.0 { 0.0 } else { f64::exp(x) };
        check("weight", weight_in_place, truth, -100.0, 0.0, 2.0);
    }

    #[test]
    fn power2_in_ulp() {
        check("power2", power2_in_place, f64::exp2, -100.0, 127.9, 2.0);
        check("power2", power2_in_place, f64::exp2, -1.0, 1.0, 2.0);
    }

    #[test]
    fn tanh_sigmoid_in_ulp() {
        check("tanh", tanh_in_place, f64::tanh, -12.0, 12.0, 4.0);
        check("tanh", tanh_in_place, f64::tanh, -1e-3, 1e-3, 4.0);
        check("sigmoid", sigmoid_in_place, |x| 1.0 / (1.0 + (-x).exp()), -87.0, 40.0, 4.0);
    }

    #[test]
    fn ln_and_roots_in_ulp() {
        check("ln", ln_in_place, f64::ln, 0.5, 2.0, 3.0);
        check_magnitudes("ln", ln_in_place, f64::ln, 1, 3.0);
        check_magnitudes("rsqrt", rsqrt_in_place, |x| 1.0 / x.sqrt(), 0x80_0000, 4.0);
        check_magnitudes("sqrt", sqrt_in_place, f64::sqrt, 0x80_0000, 4.0);
        check_magnitudes("rsqrt_exact", rsqrt_exact_in_place, |x| 1.0 / x.sqrt(), 1, 1.5);
        check("recip", recip_in_place, |x| 1.0 / x, 1e-30, 1e-20, 3.0);
        check("recip", recip_in_place, |x| 1.0 / x, 0.1, 20.0, 3.0);
    }

    #[test]
    fn extremes() {
        at_each(|level| {
            let (inf, nan) = (f32::INFINITY, f32::NAN);
            for (name, f, cases) in [
                (
                    "exp",
                    exp_in_place as fn(&mut [f32]),
                    &[(-inf, 0.0), (inf, inf), (nan, nan), (89.0, inf), (0.0, 1.0)],
                ),
                (
                    "weight",
                    weight_in_place,
                    &[(-inf, 0.0), (nan, nan), (-40.1, 0.0), (-100.0, 0.0), (0.0, 1.0)],
                ),
                (
                    "power2",
                    power2_in_place,
                    &[(-inf, 0.0), (nan, nan), (-100.1, 0.0), (128.0, inf), (3.0, 8.0)],
                ),
                ("ln", ln_in_place, &[(0.0, -inf), (inf, inf), (nan, nan), (-1.0, nan), (1.0, 0.0)]),
                ("tanh", tanh_in_place, &[(-inf, -1.0), (inf, 1.0), (nan, nan), (0.0, 0.0), (50.0, 1.0)]),
                (
                    "sigmoid",
                    sigmoid_in_place,
                    &[(-inf, 0.0), (inf, 1.0), (nan, nan), (0.0, 0.5), (-200.0, 0.0)],
                ),
            ] {
                for &(x, want) in cases {
                    let mut y = [x];
                    f(&mut y);
                    assert!(
                        y[0] == want || (y[0].is_nan() && want.is_nan()),
                        "{level:?}: {name}({x}) = {}",
                        y[0]
                    );
                }
            }
        });
    }
}
