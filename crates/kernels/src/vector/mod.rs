//! One register of f32 numbers. Kernels are written once over [`Vector`], and entered through
//! `simd!`, the only door: it opens an instantiation only after the machine was found to have
//! its instructions. That is the reason behind every `unsafe` in the implementations, whose
//! methods are safe to call: no value of `F32x16` lives outside a function that `simd!` made.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod lanes;

use std::ops::{Add, Div, Mul, Sub};

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::F32x8;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::F32x16;
pub(crate) use lanes::F32Lanes;

/// A register of [`LANES`](Vector::LANES) f32 numbers; every operation is lane by lane.
pub(crate) trait Vector:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// Numbers in a register: a multiple of 8.
    const LANES: usize;
    /// Architectural registers, which bounds the tiles of the matrix product.
    const REGISTERS: usize;
    /// Newton steps that bring an `*_estimate` to within 4 ulp.
    const NEWTON: usize;
    /// Whether [`Vector::scale`] takes any whole `n`.
    const SCALES_ALL: bool;

    fn splat(x: f32) -> Self;
    /// 0, 1, 2, ...
    fn iota() -> Self;

    /// # Safety
    /// `LANES` numbers can be read at `p`.
    #[expect(unsafe_code, reason = "the register tile reads behind one check for all")]
    unsafe fn load(p: *const f32) -> Self;
    /// The first `n <= LANES` lanes; the others are 0 and their memory is not touched.
    ///
    /// # Safety
    /// `n` numbers can be read at `p`.
    #[expect(unsafe_code, reason = "as `load`")]
    unsafe fn load_part(p: *const f32, n: usize) -> Self;
    /// # Safety
    /// `LANES` numbers can be written at `p`.
    #[expect(unsafe_code, reason = "as `load`")]
    unsafe fn store(self, p: *mut f32);
    /// # Safety
    /// `n <= LANES` numbers can be written at `p`; no others are.
    #[expect(unsafe_code, reason = "as `load`")]
    unsafe fn store_part(self, p: *mut f32, n: usize);

    /// `self * b + c`, in one rounding where the machine has it.
    fn fma(self, b: Self, c: Self) -> Self;
    /// `c - self * b`, likewise.
    fn fnma(self, b: Self, c: Self) -> Self;
    /// `b` where either is NaN.
    fn max(self, b: Self) -> Self;
    /// `b` where either is NaN.
    fn min(self, b: Self) -> Self;
    fn sqrt(self) -> Self;
    /// About `1/sqrt(self)`, for normal positive numbers.
    fn rsqrt_estimate(self) -> Self;
    /// About `1/self`, for normal numbers.
    fn recip_estimate(self) -> Self;
    /// The nearest whole number, ties to even.
    fn round(self) -> Self;
    /// `self * 2^n`, for whole `n` in -300..=300, with one rounding: underflows and overflows as it should.
    fn scale(self, n: Self) -> Self;
    /// `(m, e)` with `self = m * 2^e`, m in [1, 2), for normal positive numbers.
    fn split(self) -> (Self, Self);
    /// `yes` where `a > b`, else `no` (also where one is NaN).
    fn if_gt(a: Self, b: Self, yes: Self, no: Self) -> Self;
    /// `yes` where `self` is NaN, else `no`.
    fn if_nan(self, yes: Self, no: Self) -> Self;
    fn abs(self) -> Self;
    /// Magnitude of `self`, sign of `sign`.
    fn with_sign_of(self, sign: Self) -> Self;
    /// Each lane becomes the sum of its group of `G` neighbours; `G` is 1, 2, 4, 8 or `LANES`.
    fn group_sum<const G: usize>(self) -> Self;

    /// `dst[c, r] = src[r, c]` for a block of `LANES x LANES`; strides between rows.
    ///
    /// # Safety
    /// The block can be read at `src` and written at `dst`.
    #[expect(unsafe_code, reason = "as `load`")]
    unsafe fn transpose(src: *const f32, src_rs: usize, dst: *mut f32, dst_rs: usize);
    /// Lane `i` is the sum of the lanes of `v[i]`; what is behind `v[LANES]` is ignored.
    fn sums(v: [Self; 16]) -> Self;
    /// The sum of all lanes, in every lane.
    fn total(self) -> Self;
    /// Lane 4h + i is the sum of lanes 4h..4h + 4 of `v[i]`.
    fn quads(v: [Self; 4]) -> Self;
    /// Lanes 4h..4h + 4 all become lane 4h + I.
    fn quad_lane<const I: usize>(self) -> Self;
    /// Lane i is the sum of lanes 0..=i.
    fn running_sum(self) -> Self;
    /// The last lane, in every lane.
    fn last(self) -> Self;
    /// Bit i is set where lane i of `a` is above that of `b` (not where one is NaN).
    fn gt_bits(a: Self, b: Self) -> u32;
    /// Lane 0.
    fn first(self) -> f32;
    fn max_lane(self) -> f32;

    #[inline(always)]
    fn sum(self) -> f32 {
        self.total().first()
    }

    /// The first `LANES` numbers of `s`, or all of a shorter `s` and zeros.
    #[inline(always)]
    fn read(s: &[f32]) -> Self {
        #[expect(unsafe_code, reason = "a length check, then a load")]
        // SAFETY: both arms read no more than `s` holds.
        unsafe {
            if s.len() >= Self::LANES { Self::load(s.as_ptr()) } else { Self::load_part(s.as_ptr(), s.len()) }
        }
    }

    /// Into the first `LANES` places of `s`, or all of a shorter `s`.
    #[inline(always)]
    fn write(self, s: &mut [f32]) {
        #[expect(unsafe_code, reason = "a length check, then a store")]
        // SAFETY: both arms write no more than `s` holds.
        unsafe {
            if s.len() >= Self::LANES {
                self.store(s.as_mut_ptr())
            } else {
                self.store_part(s.as_mut_ptr(), s.len())
            }
        }
    }

    /// A hint that the cache line at `p` will be wanted; any `p` will do.
    #[inline(always)]
    fn prefetch(_p: *const f32) {}
    /// The same, into the second cache.
    #[inline(always)]
    fn prefetch_far(_p: *const f32) {}

    #[inline(always)]
    fn zero() -> Self {
        Self::splat(0.0)
    }
}

/// Makes a function that runs `$body::<V>` for the vector `V` of the current level.
///
/// `$body` must be `#[inline(always)]`, so that it is compiled inside the function that has the feature. `, fused`
/// behind it: no such function where the level has none of that kind, see [`Level::fuses`](crate::level::Level::fuses).
macro_rules! simd {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident $(, $fused:ident)?;) => {
        $(#[$meta])*
        #[inline]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            fn avx512($($arg: $ty),*) $(-> $ret)? {
                $body::<$crate::vector::F32x16>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $ty),*) $(-> $ret)? {
                $body::<$crate::vector::F32x8>($($arg),*)
            }
            #[allow(unreachable_code, unused_variables, reason = "where the level has no such kernel")]
            fn plain($($arg: $ty),*) $(-> $ret)? {
                $(if const { !$crate::level::Level::Plain.fuses() } {
                    unreachable!("{}: this level is asked for no such kernel", stringify!($fused))
                })?
                $body::<$crate::vector::F32Lanes>($($arg),*)
            }
            match $crate::level::current() {
                #[cfg(target_arch = "x86_64")]
                #[expect(unsafe_code, reason = "enters a function with more instructions")]
                // SAFETY: `level` only ever holds a level that this machine was found to have.
                $crate::level::Level::Avx512 => unsafe { avx512($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                #[expect(unsafe_code, reason = "enters a function with more instructions")]
                // SAFETY: as above.
                $crate::level::Level::Avx2 => unsafe { avx2($($arg),*) },
                _ => plain($($arg),*),
            }
        }
    };
}

/// `y[i] = f(y[i], x[i])`, a register at a time.
#[inline(always)]
pub(crate) fn zip1<V: Vector>(y: &mut [f32], x: &[f32], f: impl Fn(V, V) -> V) {
    let (mut ys, xs) = (y.chunks_exact_mut(V::LANES), x.chunks_exact(V::LANES));
    let x_tail = xs.remainder();
    for (y, x) in (&mut ys).zip(xs) {
        f(V::read(y), V::read(x)).write(y);
    }
    let y_tail = ys.into_remainder();
    if !y_tail.is_empty() {
        f(V::read(y_tail), V::read(x_tail)).write(y_tail);
    }
}

/// `y[i] = f(y[i], a[i], b[i])`, a register at a time.
#[inline(always)]
pub(crate) fn zip2<V: Vector>(y: &mut [f32], a: &[f32], b: &[f32], f: impl Fn(V, V, V) -> V) {
    let (mut ys, xs, bs) = (y.chunks_exact_mut(V::LANES), a.chunks_exact(V::LANES), b.chunks_exact(V::LANES));
    let (a_tail, b_tail) = (xs.remainder(), bs.remainder());
    for ((y, a), b) in (&mut ys).zip(xs).zip(bs) {
        f(V::read(y), V::read(a), V::read(b)).write(y);
    }
    let y_tail = ys.into_remainder();
    if !y_tail.is_empty() {
        f(V::read(y_tail), V::read(a_tail), V::read(b_tail)).write(y_tail);
    }
}

/// `sum f(x[i], y[i])`. Four sums are kept apart so that additions need not wait for one another.
/// `f(0, 0)` must be 0: the lanes behind the end are.
#[inline(always)]
pub(crate) fn fold<V: Vector>(x: &[f32], y: &[f32], f: impl Fn(V, V, V) -> V) -> f32 {
    let mut sums = [V::zero(); 4];
    let (xs, ys) = (x.chunks_exact(4 * V::LANES), y.chunks_exact(4 * V::LANES));
    let (x_tail, y_tail) = (xs.remainder(), ys.remainder());
    for (x, y) in xs.zip(ys) {
        for j in 0..4 {
            sums[j] = f(V::read(&x[j * V::LANES..]), V::read(&y[j * V::LANES..]), sums[j]);
        }
    }
    for (x, y) in x_tail.chunks(V::LANES).zip(y_tail.chunks(V::LANES)) {
        sums[0] = f(V::read(x), V::read(y), sums[0]);
    }
    ((sums[0] + sums[1]) + (sums[2] + sums[3])).sum()
}
