//! The register of a machine we know nothing of: an array of 8, whose loops the compiler vectorises
//! (SSE2, NEON, simd128: whatever the build enables).

use super::Vector;
use std::array::from_fn;
use std::ops::{Add, Div, Mul, Sub};

#[derive(Clone, Copy)]
#[repr(align(32))]
pub(crate) struct F32Lanes([f32; 8]);

macro_rules! operator {
    ($trait:ident, $name:ident, $op:tt) => {
        impl $trait for F32Lanes {
            type Output = Self;
            #[inline(always)]
            fn $name(self, b: Self) -> Self {
                F32Lanes(from_fn(|i| self.0[i] $op b.0[i]))
            }
        }
    };
}
operator!(Add, add, +);
operator!(Sub, sub, -);
operator!(Mul, mul, *);
operator!(Div, div, /);

/// 2^n for whole n in the range of normal numbers.
#[inline(always)]
fn power_of_two(n: f32) -> f32 {
    f32::from_bits(((n as i32 + 127) as u32) << 23)
}

impl Vector for F32Lanes {
    const LANES: usize = 8;
    // Lower tiles where this is not the level that people use: the high ones take long to compile.
    const REGISTERS: usize = if cfg!(target_arch = "x86_64") { 8 } else { 16 };
    const NEWTON: usize = 0;
    const SCALES_ALL: bool = false;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        F32Lanes([x; 8])
    }

    #[inline(always)]
    fn iota() -> Self {
        F32Lanes(from_fn(|i| i as f32))
    }

    #[expect(unsafe_code, reason = "the contract of the trait")]
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller vouches for 8 numbers; an array of f32 needs no more alignment than one.
        F32Lanes(unsafe { *p.cast::<[f32; 8]>() })
    }
    #[expect(unsafe_code, reason = "the contract of the trait")]
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> Self {
        if n == 8 {
            // SAFETY: the caller vouches for all 8 numbers.
            return unsafe { Self::load(p) };
        }
        // SAFETY: the caller vouches for `n` numbers.
        F32Lanes(from_fn(|i| if i < n { unsafe { *p.add(i) } } else { 0.0 }))
    }
    #[expect(unsafe_code, reason = "the contract of the trait")]
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller vouches for 8 numbers.
        unsafe { *p.cast::<[f32; 8]>() = self.0 }
    }
    #[expect(unsafe_code, reason = "the contract of the trait")]
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize) {
        for i in 0..n.min(8) {
            // SAFETY: the caller vouches for `n` numbers.
            unsafe { *p.add(i) = self.0[i] }
        }
    }

    #[inline(always)]
    fn fma(self, b: Self, c: Self) -> Self {
        // Fused only where that is an instruction; elsewhere `mul_add` is a slow library call.
        if cfg!(target_arch = "aarch64") {
            F32Lanes(from_fn(|i| self.0[i].mul_add(b.0[i], c.0[i])))
        } else {
            self * b + c
        }
    }
    #[inline(always)]
    fn fnma(self, b: Self, c: Self) -> Self {
        F32Lanes(from_fn(|i| c.0[i] - self.0[i] * b.0[i]))
    }
    #[inline(always)]
    fn max(self, b: Self) -> Self {
        Self::if_gt(self, b, self, b)
    }
    #[inline(always)]
    fn min(self, b: Self) -> Self {
        Self::if_gt(b, self, self, b)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        F32Lanes(self.0.map(f32::sqrt))
    }
    #[inline(always)]
    fn rsqrt_estimate(self) -> Self {
        F32Lanes(self.0.map(|x| 1.0 / x.sqrt()))
    }
    #[inline(always)]
    fn recip_estimate(self) -> Self {
        F32Lanes(self.0.map(|x| 1.0 / x))
    }
    #[inline(always)]
    fn round(self) -> Self {
        // Adding 1.5 * 2^23 leaves no room for a fraction. Larger numbers never get here.
        let big = Self::splat(12_582_912.0);
        (self + big) - big
    }
    #[inline(always)]
    fn scale(self, n: Self) -> Self {
        // 2^n may not be a number where self * 2^n is: so in three exact powers; only the last product can round,
        // because numbers here are near 1.
        F32Lanes(from_fn(|i| {
            let first = n.0[i].clamp(-100.0, 100.0);
            let second = (n.0[i] - first).clamp(-100.0, 100.0);
            let third = n.0[i] - first - second;
            self.0[i] * power_of_two(first) * power_of_two(second) * power_of_two(third)
        }))
    }
    #[inline(always)]
    fn split(self) -> (Self, Self) {
        let bits = self.0.map(f32::to_bits);
        let m = bits.map(|b| f32::from_bits(b & 0x007f_ffff | 0x3f80_0000));
        let e = bits.map(|b| ((b >> 23) as i32 - 127) as f32);
        (F32Lanes(m), F32Lanes(e))
    }
    #[inline(always)]
    fn if_gt(a: Self, b: Self, yes: Self, no: Self) -> Self {
        F32Lanes(from_fn(|i| if a.0[i] > b.0[i] { yes.0[i] } else { no.0[i] }))
    }
    #[inline(always)]
    fn if_nan(self, yes: Self, no: Self) -> Self {
        F32Lanes(from_fn(|i| if self.0[i].is_nan() { yes.0[i] } else { no.0[i] }))
    }
    #[inline(always)]
    fn abs(self) -> Self {
        F32Lanes(self.0.map(f32::abs))
    }
    #[inline(always)]
    fn with_sign_of(self, sign: Self) -> Self {
        F32Lanes(from_fn(|i| self.0[i].copysign(sign.0[i])))
    }
    #[inline(always)]
    fn group_sum<const G: usize>(self) -> Self {
        let mut x = self.0;
        let mut step = 1;
        while step < G {
            x = from_fn(|i| x[i] + x[i ^ step]);
            step *= 2;
        }
        F32Lanes(x)
    }
    #[expect(unsafe_code, reason = "the contract of the trait")]
    #[inline(always)]
    unsafe fn transpose(src: *const f32, src_rs: usize, dst: *mut f32, dst_rs: usize) {
        for r in 0..8 {
            for c in 0..8 {
                // SAFETY: the caller vouches for 8 x 8 numbers on both sides.
                unsafe { *dst.add(c * dst_rs + r) = *src.add(r * src_rs + c) }
            }
        }
    }
    #[inline(always)]
    fn sums(v: [Self; 16]) -> Self {
        F32Lanes(from_fn(|i| v[i].sum()))
    }
    #[inline(always)]
    fn total(self) -> Self {
        self.group_sum::<8>()
    }
    #[inline(always)]
    fn quads(v: [Self; 4]) -> Self {
        let sums = v.map(|v| v.group_sum::<4>());
        F32Lanes(from_fn(|i| sums[i % 4].0[i]))
    }
    #[inline(always)]
    fn quad_lane<const I: usize>(self) -> Self {
        F32Lanes(from_fn(|i| self.0[i / 4 * 4 + I]))
    }
    #[inline(always)]
    fn running_sum(self) -> Self {
        let mut x = self.0;
        for i in 1..8 {
            x[i] += x[i - 1];
        }
        F32Lanes(x)
    }
    #[inline(always)]
    fn last(self) -> Self {
        F32Lanes([self.0[7]; 8])
    }
    #[inline(always)]
    fn gt_bits(a: Self, b: Self) -> u32 {
        (0..8).fold(0, |bits, i| bits | u32::from(a.0[i] > b.0[i]) << i)
    }
    #[inline(always)]
    fn first(self) -> f32 {
        self.0[0]
    }
    #[inline(always)]
    fn max_lane(self) -> f32 {
        self.0.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
}
