//! 8 numbers a register: x86-64 with AVX2 and FMA.
#![expect(unsafe_code, reason = "thin wrappers of the instructions")]
// `simd!` is the only door to this type (see the module above), and it opens after detection:
// `with!` states that reason once for all the one-line wrappers.

use super::Vector;
use std::arch::x86_64::*;
use std::ops::{Add, Div, Mul, Sub};

/// 8 numbers.
#[derive(Clone, Copy)]
pub(crate) struct F32x8(__m256);

/// An instruction of the register's own level.
macro_rules! with {
    ($e:expr) => {
        // SAFETY: values of this type exist only inside functions that `simd!` entered after
        // it found the machine to have the instruction.
        unsafe { $e }
    };
}

macro_rules! operators {
    ($($trait:ident, $name:ident, $instruction:ident;)*) => {$(
        impl $trait for F32x8 {
            type Output = Self;
            #[inline(always)]
            fn $name(self, b: Self) -> Self {
                F32x8(with!($instruction(self.0, b.0)))
            }
        }
    )*};
}
operators!(Add, add, _mm256_add_ps; Sub, sub, _mm256_sub_ps; Mul, mul, _mm256_mul_ps; Div, div, _mm256_div_ps;);

/// The lanes of a 256-bit mask: all ones in the first `n <= 8`.
#[inline(always)]
fn first(n: usize) -> __m256i {
    with!(_mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)))
}

impl Vector for F32x8 {
    const LANES: usize = 8;
    const REGISTERS: usize = 16;
    const NEWTON: usize = 1;
    const SCALES_ALL: bool = false;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        F32x8(with!(_mm256_set1_ps(x)))
    }
    #[inline(always)]
    fn iota() -> Self {
        F32x8(with!(_mm256_setr_ps(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)))
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        F32x8(with!(_mm256_loadu_ps(p)))
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> Self {
        F32x8(with!(_mm256_maskload_ps(p, first(n))))
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        with!(_mm256_storeu_ps(p, self.0))
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize) {
        with!(_mm256_maskstore_ps(p, first(n), self.0))
    }
    #[inline(always)]
    fn fma(self, b: Self, c: Self) -> Self {
        F32x8(with!(_mm256_fmadd_ps(self.0, b.0, c.0)))
    }
    #[inline(always)]
    fn fnma(self, b: Self, c: Self) -> Self {
        F32x8(with!(_mm256_fnmadd_ps(self.0, b.0, c.0)))
    }
    #[inline(always)]
    fn max(self, b: Self) -> Self {
        F32x8(with!(_mm256_max_ps(self.0, b.0)))
    }
    #[inline(always)]
    fn min(self, b: Self) -> Self {
        F32x8(with!(_mm256_min_ps(self.0, b.0)))
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        F32x8(with!(_mm256_sqrt_ps(self.0)))
    }
    #[inline(always)]
    fn rsqrt_estimate(self) -> Self {
        F32x8(with!(_mm256_rsqrt_ps(self.0)))
    }
    #[inline(always)]
    fn recip_estimate(self) -> Self {
        F32x8(with!(_mm256_rcp_ps(self.0)))
    }
    #[inline(always)]
    fn round(self) -> Self {
        F32x8(with!(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0)))
    }
    #[inline(always)]
    fn scale(self, n: Self) -> Self {
        // 2^n may not be a number where self * 2^n is: so in three exact powers; only the last
        // product can round, because numbers here are near 1.
        let limit = |n: Self| n.max(Self::splat(-100.0)).min(Self::splat(100.0));
        let power = |n: Self| {
            let biased = with!(_mm256_add_epi32(_mm256_cvtps_epi32(n.0), _mm256_set1_epi32(127)));
            F32x8(with!(_mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))))
        };
        let first = limit(n);
        let second = limit(n - first);
        self * power(first) * power(second) * power(n - first - second)
    }
    #[inline(always)]
    fn split(self) -> (Self, Self) {
        let bits = with!(_mm256_castps_si256(self.0));
        let fraction = with!(_mm256_and_si256(bits, _mm256_set1_epi32(0x007f_ffff)));
        let m = with!(_mm256_castsi256_ps(_mm256_or_si256(fraction, _mm256_set1_epi32(0x3f80_0000))));
        let e = with!(_mm256_sub_epi32(_mm256_srli_epi32::<23>(bits), _mm256_set1_epi32(127)));
        (F32x8(m), F32x8(with!(_mm256_cvtepi32_ps(e))))
    }
    #[inline(always)]
    fn if_gt(a: Self, b: Self, yes: Self, no: Self) -> Self {
        F32x8(with!(_mm256_blendv_ps(no.0, yes.0, _mm256_cmp_ps::<_CMP_GT_OQ>(a.0, b.0))))
    }
    #[inline(always)]
    fn if_nan(self, yes: Self, no: Self) -> Self {
        F32x8(with!(_mm256_blendv_ps(no.0, yes.0, _mm256_cmp_ps::<_CMP_UNORD_Q>(self.0, self.0))))
    }
    #[inline(always)]
    fn abs(self) -> Self {
        F32x8(with!(_mm256_andnot_ps(Self::splat(-0.0).0, self.0)))
    }
    #[inline(always)]
    fn with_sign_of(self, sign: Self) -> Self {
        let bit = Self::splat(-0.0).0;
        F32x8(with!(_mm256_or_ps(_mm256_andnot_ps(bit, self.0), _mm256_and_ps(bit, sign.0))))
    }
    #[inline(always)]
    fn group_sum<const G: usize>(self) -> Self {
        let mut x = self.0;
        if G >= 2 {
            x = with!(_mm256_add_ps(x, _mm256_permute_ps::<0b10_11_00_01>(x)));
        }
        if G >= 4 {
            x = with!(_mm256_add_ps(x, _mm256_permute_ps::<0b01_00_11_10>(x)));
        }
        if G >= 8 {
            x = with!(_mm256_add_ps(x, _mm256_permute2f128_ps::<1>(x, x)));
        }
        F32x8(x)
    }
    #[inline(always)]
    fn total(self) -> Self {
        self.group_sum::<8>()
    }
    #[inline(always)]
    fn quads(v: [Self; 4]) -> Self {
        F32x8(with!(_mm256_hadd_ps(_mm256_hadd_ps(v[0].0, v[1].0), _mm256_hadd_ps(v[2].0, v[3].0))))
    }
    #[inline(always)]
    fn quad_lane<const I: usize>(self) -> Self {
        F32x8(with!(match I {
            0 => _mm256_permute_ps::<0b00_00_00_00>(self.0),
            1 => _mm256_permute_ps::<0b01_01_01_01>(self.0),
            2 => _mm256_permute_ps::<0b10_10_10_10>(self.0),
            _ => _mm256_permute_ps::<0b11_11_11_11>(self.0),
        }))
    }
    #[inline(always)]
    fn running_sum(self) -> Self {
        // Within each half what stands 1, then 2 lanes before; then the sum of the lower half to the upper.
        macro_rules! step {
            ($x:expr, $bytes:literal) => {{
                let x = $x;
                let moved = with!(_mm256_slli_si256::<$bytes>(_mm256_castps_si256(x)));
                with!(_mm256_add_ps(x, _mm256_castsi256_ps(moved)))
            }};
        }
        let halves = step!(step!(self.0, 4), 8);
        let lower = with!(_mm256_permute2f128_ps::<0x08>(halves, halves));
        F32x8(with!(_mm256_add_ps(halves, _mm256_permute_ps::<0b11_11_11_11>(lower))))
    }
    #[inline(always)]
    fn last(self) -> Self {
        let upper = with!(_mm256_permute2f128_ps::<0x11>(self.0, self.0));
        F32x8(with!(_mm256_permute_ps::<0b11_11_11_11>(upper)))
    }
    #[inline(always)]
    fn gt_bits(a: Self, b: Self) -> u32 {
        with!(_mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(a.0, b.0))) as u32
    }
    #[inline(always)]
    fn first(self) -> f32 {
        with!(_mm256_cvtss_f32(self.0))
    }
    #[inline(always)]
    fn max_lane(self) -> f32 {
        let x = self.0;
        let x = with!(_mm256_max_ps(x, _mm256_permute2f128_ps::<1>(x, x)));
        let x = with!(_mm256_max_ps(x, _mm256_permute_ps::<0b01_00_11_10>(x)));
        with!(_mm256_cvtss_f32(_mm256_max_ps(x, _mm256_permute_ps::<0b10_11_00_01>(x))))
    }
    #[inline(always)]
    unsafe fn transpose(src: *const f32, src_rs: usize, dst: *mut f32, dst_rs: usize) {
        // SAFETY: the caller vouches for 8 x 8 numbers on both sides.
        unsafe {
            for c in 0..2 {
                // Macros, not closures: a closure does not have this function's instructions.
                macro_rules! half {
                    ($r:expr) => {
                        _mm_loadu_ps(src.add($r * src_rs + 4 * c))
                    };
                }
                macro_rules! rows {
                    ($r:expr) => {
                        _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(half!($r)), half!($r + 4))
                    };
                }
                macro_rules! store {
                    ($r:expr, $x:expr) => {
                        _mm256_storeu_ps(dst.add((4 * c + $r) * dst_rs), $x)
                    };
                }
                let (a, b, c_, d) = (rows!(0), rows!(1), rows!(2), rows!(3));
                let (ab0, ab1) = (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
                let (cd0, cd1) = (_mm256_unpacklo_ps(c_, d), _mm256_unpackhi_ps(c_, d));
                store!(0, _mm256_shuffle_ps::<0b01_00_01_00>(ab0, cd0));
                store!(1, _mm256_shuffle_ps::<0b11_10_11_10>(ab0, cd0));
                store!(2, _mm256_shuffle_ps::<0b01_00_01_00>(ab1, cd1));
                store!(3, _mm256_shuffle_ps::<0b11_10_11_10>(ab1, cd1));
            }
        }
    }
    #[inline(always)]
    fn sums(v: [Self; 16]) -> Self {
        let quads = [Self::quads([v[0], v[1], v[2], v[3]]).0, Self::quads([v[4], v[5], v[6], v[7]]).0];
        let low = with!(_mm256_permute2f128_ps::<0x20>(quads[0], quads[1]));
        F32x8(with!(_mm256_add_ps(low, _mm256_permute2f128_ps::<0x31>(quads[0], quads[1]))))
    }
    #[inline(always)]
    fn prefetch(p: *const f32) {
        with!(_mm_prefetch::<_MM_HINT_T0>(p.cast()))
    }
    #[inline(always)]
    fn prefetch_far(p: *const f32) {
        with!(_mm_prefetch::<_MM_HINT_T1>(p.cast()))
    }
}
