//! 16 numbers a register: x86-64 with AVX-512.
#![expect(unsafe_code, reason = "thin wrappers of the instructions")]
// `simd!` is the only door to this type (see the module above), and it opens after detection:
// `with!` states that reason once for all the one-line wrappers.

use super::Vector;
use std::arch::x86_64::*;
use std::ops::{Add, Div, Mul, Sub};

/// 16 numbers.
#[derive(Clone, Copy)]
pub(crate) struct F32x16(__m512);

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
        impl $trait for F32x16 {
            type Output = Self;
            #[inline(always)]
            fn $name(self, b: Self) -> Self {
                F32x16(with!($instruction(self.0, b.0)))
            }
        }
    )*};
}
operators!(Add, add, _mm512_add_ps; Sub, sub, _mm512_sub_ps; Mul, mul, _mm512_mul_ps; Div, div, _mm512_div_ps;);

/// A mask of the first `n <= 16` lanes.
#[inline(always)]
fn first(n: usize) -> __mmask16 {
    ((1u32 << n) - 1) as __mmask16
}

impl Vector for F32x16 {
    const LANES: usize = 16;
    const REGISTERS: usize = 32;
    const NEWTON: usize = 1;
    const SCALES_ALL: bool = true;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        F32x16(with!(_mm512_set1_ps(x)))
    }
    #[inline(always)]
    fn iota() -> Self {
        let numbers =
            [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0f32];
        F32x16(with!(_mm512_loadu_ps(numbers.as_ptr())))
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        F32x16(with!(_mm512_loadu_ps(p)))
    }
    #[inline(always)]
    unsafe fn load_part(p: *const f32, n: usize) -> Self {
        F32x16(with!(_mm512_maskz_loadu_ps(first(n), p)))
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        with!(_mm512_storeu_ps(p, self.0))
    }
    #[inline(always)]
    unsafe fn store_part(self, p: *mut f32, n: usize) {
        with!(_mm512_mask_storeu_ps(p, first(n), self.0))
    }
    #[inline(always)]
    fn fma(self, b: Self, c: Self) -> Self {
        F32x16(with!(_mm512_fmadd_ps(self.0, b.0, c.0)))
    }
    #[inline(always)]
    fn fnma(self, b: Self, c: Self) -> Self {
        F32x16(with!(_mm512_fnmadd_ps(self.0, b.0, c.0)))
    }
    #[inline(always)]
    fn max(self, b: Self) -> Self {
        F32x16(with!(_mm512_max_ps(self.0, b.0)))
    }
    #[inline(always)]
    fn min(self, b: Self) -> Self {
        F32x16(with!(_mm512_min_ps(self.0, b.0)))
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        F32x16(with!(_mm512_sqrt_ps(self.0)))
    }
    #[inline(always)]
    fn rsqrt_estimate(self) -> Self {
        F32x16(with!(_mm512_rsqrt14_ps(self.0)))
    }
    #[inline(always)]
    fn recip_estimate(self) -> Self {
        F32x16(with!(_mm512_rcp14_ps(self.0)))
    }
    #[inline(always)]
    fn round(self) -> Self {
        F32x16(with!(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0)))
    }
    #[inline(always)]
    fn scale(self, n: Self) -> Self {
        F32x16(with!(_mm512_scalef_ps(self.0, n.0)))
    }
    #[inline(always)]
    fn split(self) -> (Self, Self) {
        let m = with!(_mm512_getmant_ps::<_MM_MANT_NORM_1_2, _MM_MANT_SIGN_ZERO>(self.0));
        (F32x16(m), F32x16(with!(_mm512_getexp_ps(self.0))))
    }
    #[inline(always)]
    fn if_gt(a: Self, b: Self, yes: Self, no: Self) -> Self {
        F32x16(with!(_mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a.0, b.0), no.0, yes.0)))
    }
    #[inline(always)]
    fn if_nan(self, yes: Self, no: Self) -> Self {
        F32x16(with!(_mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, self.0), no.0, yes.0)))
    }
    #[inline(always)]
    fn abs(self) -> Self {
        F32x16(with!(_mm512_abs_ps(self.0)))
    }
    #[inline(always)]
    fn with_sign_of(self, sign: Self) -> Self {
        let bit = Self::splat(-0.0).0;
        F32x16(with!(_mm512_or_ps(_mm512_andnot_ps(bit, self.0), _mm512_and_ps(bit, sign.0))))
    }
    #[inline(always)]
    fn group_sum<const G: usize>(self) -> Self {
        let mut x = self.0;
        if G >= 2 {
            x = with!(_mm512_add_ps(x, _mm512_permute_ps::<0b10_11_00_01>(x)));
        }
        if G >= 4 {
            x = with!(_mm512_add_ps(x, _mm512_permute_ps::<0b01_00_11_10>(x)));
        }
        if G >= 8 {
            x = with!(_mm512_add_ps(x, _mm512_shuffle_f32x4::<0b10_11_00_01>(x, x)));
        }
        if G >= 16 {
            x = with!(_mm512_add_ps(x, _mm512_shuffle_f32x4::<0b01_00_11_10>(x, x)));
        }
        F32x16(x)
    }
    #[inline(always)]
    fn total(self) -> Self {
        self.group_sum::<16>()
    }
    #[inline(always)]
    fn quads(v: [Self; 4]) -> Self {
        macro_rules! pair {
            ($a:expr) => {
                with!(_mm512_castps_pd(_mm512_add_ps(
                    _mm512_unpacklo_ps(v[$a].0, v[$a + 1].0),
                    _mm512_unpackhi_ps(v[$a].0, v[$a + 1].0)
                )))
            };
        }
        let (x, y) = (pair!(0), pair!(2));
        let (low, high) = with!((_mm512_unpacklo_pd(x, y), _mm512_unpackhi_pd(x, y)));
        F32x16(with!(_mm512_add_ps(_mm512_castpd_ps(low), _mm512_castpd_ps(high))))
    }
    #[inline(always)]
    fn quad_lane<const I: usize>(self) -> Self {
        F32x16(with!(match I {
            0 => _mm512_permute_ps::<0b00_00_00_00>(self.0),
            1 => _mm512_permute_ps::<0b01_01_01_01>(self.0),
            2 => _mm512_permute_ps::<0b10_10_10_10>(self.0),
            _ => _mm512_permute_ps::<0b11_11_11_11>(self.0),
        }))
    }
    #[inline(always)]
    fn running_sum(self) -> Self {
        // Each step adds what stands 1, 2, 4, 8 lanes before.
        macro_rules! step {
            ($x:expr, $rest:literal) => {{
                let x = $x;
                let moved =
                    with!(_mm512_alignr_epi32::<$rest>(_mm512_castps_si512(x), _mm512_setzero_si512()));
                with!(_mm512_add_ps(x, _mm512_castsi512_ps(moved)))
            }};
        }
        F32x16(step!(step!(step!(step!(self.0, 15), 14), 12), 8))
    }
    #[inline(always)]
    fn last(self) -> Self {
        F32x16(with!(_mm512_permutexvar_ps(_mm512_set1_epi32(15), self.0)))
    }
    #[inline(always)]
    fn gt_bits(a: Self, b: Self) -> u32 {
        u32::from(with!(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a.0, b.0)))
    }
    #[inline(always)]
    fn first(self) -> f32 {
        with!(_mm512_cvtss_f32(self.0))
    }
    #[inline(always)]
    fn max_lane(self) -> f32 {
        with!(_mm512_reduce_max_ps(self.0))
    }
    #[inline(always)]
    unsafe fn transpose(src: *const f32, src_rs: usize, dst: *mut f32, dst_rs: usize) {
        // SAFETY: the caller vouches for 16 x 16 numbers on both sides.
        unsafe {
            for c in 0..4 {
                // Four rows that are 4 apart, side by side; loads that place a quarter are cheaper than shuffles.
                // (Macros, not closures: a closure does not have this function's instructions.)
                macro_rules! quarter {
                    ($r:expr) => {
                        _mm_loadu_ps(src.add($r * src_rs + 4 * c))
                    };
                }
                macro_rules! rows {
                    ($r:expr) => {{
                        let x = _mm512_castps128_ps512(quarter!($r));
                        let x = _mm512_insertf32x4::<1>(x, quarter!($r + 4));
                        let x = _mm512_insertf32x4::<2>(x, quarter!($r + 8));
                        _mm512_insertf32x4::<3>(x, quarter!($r + 12))
                    }};
                }
                macro_rules! store {
                    ($r:expr, $x:expr) => {
                        _mm512_storeu_ps(dst.add((4 * c + $r) * dst_rs), _mm512_castpd_ps($x))
                    };
                }
                let (a, b, c_, d) = (rows!(0), rows!(1), rows!(2), rows!(3));
                let (ab0, ab1) = (_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
                let (cd0, cd1) = (_mm512_unpacklo_ps(c_, d), _mm512_unpackhi_ps(c_, d));
                let (x0, y0) = (_mm512_castps_pd(ab0), _mm512_castps_pd(cd0));
                let (x1, y1) = (_mm512_castps_pd(ab1), _mm512_castps_pd(cd1));
                store!(0, _mm512_unpacklo_pd(x0, y0));
                store!(1, _mm512_unpackhi_pd(x0, y0));
                store!(2, _mm512_unpacklo_pd(x1, y1));
                store!(3, _mm512_unpackhi_pd(x1, y1));
            }
        }
    }
    #[inline(always)]
    fn sums(v: [Self; 16]) -> Self {
        // Four rows at a time, then halves of neighbours: 16 registers, 4, 2, 1.
        macro_rules! fold {
            ($a:expr, $b:expr) => {{
                let (a, b) = ($a, $b);
                let even = with!(_mm512_shuffle_f32x4::<0b10_00_10_00>(a, b));
                with!(_mm512_add_ps(even, _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b)))
            }};
        }
        macro_rules! quads {
            ($a:expr) => {
                Self::quads([v[$a], v[$a + 1], v[$a + 2], v[$a + 3]]).0
            };
        }
        let (low, high) = (fold!(quads!(0), quads!(4)), fold!(quads!(8), quads!(12)));
        F32x16(fold!(low, high))
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
