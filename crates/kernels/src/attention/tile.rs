//! Small matrix products inside one kernel: `C[m, n] (+)= A[m, k] B[k, n]`, without copies or questions asked on the way.
//!
//! The products of attention are too small for the panels of `matmul`: a head of 32 channels is over after 32 steps.
//! So their operands are laid out as the tiles want them, and everything stays inside one function for one level.
#![expect(unsafe_code, reason = "reads behind one check for the whole segment")]

use crate::vector::Vector;

/// Rows of A in a group: the most that a tile has.
pub(super) const GROUP: usize = 8;

/// A product. A is read number by number, at `a[r * a_rs + p * a_cs]`; B has rows of whole registers.
#[derive(Clone, Copy)]
pub(super) struct Product {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: *const f32,
    pub a_rs: usize,
    pub a_cs: usize,
    pub b: *const f32,
    pub b_rs: usize,
    pub c: *mut f32,
    pub c_rs: usize,
    /// Add to C, or replace it.
    pub add: bool,
}

impl Product {
    /// Computes it.
    ///
    /// # Safety
    /// A can be read, and C written, over their extent; B over k rows of n numbers rounded up to whole registers.
    #[inline(always)]
    pub(super) unsafe fn run<V: Vector>(self) {
        let mut j = 0;
        while j < self.n {
            let left = self.n - j;
            let at = Product { b: self.b.wrapping_add(j), c: self.c.wrapping_add(j), n: left, ..self };
            // SAFETY: a part of the matrices that the caller vouches for.
            unsafe { if left > V::LANES { at.columns::<V, 2>() } else { at.columns::<V, 1>() } }
            j += 2 * V::LANES;
        }
    }

    /// All rows of `NV` registers.
    ///
    /// # Safety
    /// As [`Product::run`].
    #[inline(always)]
    unsafe fn columns<V: Vector, const NV: usize>(self) {
        let most = if V::REGISTERS == 32 { GROUP } else { GROUP / 2 };
        let mut r = 0;
        while r < self.m {
            let left = self.m - r;
            let a = self.a.wrapping_add(r * self.a_rs);
            let at = Product { a, c: self.c.wrapping_add(r * self.c_rs), ..self };
            // SAFETY: each tile has no more rows than are left.
            r += unsafe {
                match left.min(most) {
                    8 => at.tile::<V, 8, NV>(),
                    4.. => at.tile::<V, 4, NV>(),
                    2.. => at.tile::<V, 2, NV>(),
                    _ => at.tile::<V, 1, NV>(),
                }
            };
        }
    }

    /// `MR` rows of `NV` registers, summed in registers. Returns `MR`.
    ///
    /// # Safety
    /// As [`Product::run`].
    #[inline(always)]
    unsafe fn tile<V: Vector, const MR: usize, const NV: usize>(self) -> usize {
        let mut sums = [[V::zero(); NV]; MR];
        let last = V::LANES.min(self.n - (NV - 1) * V::LANES);
        // SAFETY: the caller vouches for all of it.
        unsafe {
            let (mut a, mut b) = (self.a, self.b);
            for _ in 0..self.k {
                let mut row = [V::zero(); NV];
                for j in 0..NV {
                    row[j] = V::load(b.add(j * V::LANES));
                }
                for i in 0..MR {
                    let x = V::splat(*a.add(i * self.a_rs));
                    for j in 0..NV {
                        sums[i][j] = x.fma(row[j], sums[i][j]);
                    }
                }
                (a, b) = (a.wrapping_add(self.a_cs), b.wrapping_add(self.b_rs));
            }
            for i in 0..MR {
                for j in 0..NV {
                    let at = self.c.add(i * self.c_rs + j * V::LANES);
                    let n = if j + 1 < NV { V::LANES } else { last };
                    if n == V::LANES {
                        let before = if self.add { V::load(at) } else { V::zero() };
                        (before + sums[i][j]).store(at);
                    } else {
                        let before = if self.add { V::load_part(at, n) } else { V::zero() };
                        (before + sums[i][j]).store_part(at, n);
                    }
                }
            }
        }
        MR
    }
}
