//! Products whose B is a few registers wide and fits the first cache whole: nothing to be cut into blocks, no memory to
//! be asked for, and no division on the way to the first tile.
#![expect(unsafe_code, reason = "reads behind one check for the whole matrix")]

use super::blocked::{Line, View};
use super::tile::{PACKED, Panel, tile};
use crate::vector::Vector;
use std::mem::MaybeUninit;

/// Most numbers of B: 16 KiB.
const MOST: usize = 4096;

/// Whether this is such a product, which [`product`] computes: B in rows of 1, 2 or 4 registers without gaps, or such
/// rows when it is turned around.
#[inline]
pub(super) fn takes(lanes: usize, n: usize, k: usize, a: View, b: View) -> bool {
    let wide = n == lanes || n == 2 * lanes || n == 4 * lanes;
    let turned = b.rs == 1 && b.cs >= k && k.is_multiple_of(lanes);
    let whole = (b.cs == 1 && b.rs == n) || turned;
    wide && k > 0 && n * k <= MOST && whole && (a.cs == 1 || a.rs == 1)
}

simd! {
    /// `C[m, n] = base[m, n] + A[m, k] B[k, n]`, see [`product_onto`](super::blocked::product_onto), whose contract this is.
    pub(super) fn product(
        m: usize, n: usize, k: usize, a: View, b: View, c: *mut f32, c_rs: usize, base: *const f32,
    ) = body;
}

#[inline(always)]
fn body<V: Vector>(
    m: usize,
    n: usize,
    k: usize,
    a: View,
    b: View,
    c: *mut f32,
    c_rs: usize,
    base: *const f32,
) {
    let mut room = MaybeUninit::<[Line; MOST / 16]>::uninit();
    let mut at = b.at;
    if b.cs != 1 || b.rs != n {
        let to = room.as_mut_ptr().cast::<f32>();
        for j in (0..n).step_by(V::LANES) {
            for p in (0..k).step_by(V::LANES) {
                // SAFETY: the caller vouches for B, whose sides are whole registers; there is room for as many numbers.
                unsafe { V::transpose(b.at.add(j * b.cs + p), b.cs, to.add(p * n + j), n) }
            }
        }
        at = to;
    }
    let columns = a.cs != 1;
    let a_stride = if columns { a.cs } else { a.rs };
    let p = Panel {
        m,
        k,
        a: a.at,
        a_stride,
        a_group: 0,
        b: at,
        b_stride: n,
        b_packed: true,
        keep: std::ptr::null_mut(),
        c,
        c_stride: c_rs,
        n,
        base,
    };
    match (n / V::LANES, columns) {
        (1, false) => panel::<V, 1, 8, false>(p),
        (2, false) => panel::<V, 2, 8, false>(p),
        (_, false) => panel::<V, 4, 4, false>(p),
        (1, true) => panel::<V, 1, 16, true>(p),
        (2, true) => panel::<V, 2, 8, true>(p),
        (_, true) => panel::<V, 4, 4, true>(p),
    }
}

/// All rows, MR at a time where there are so many registers, then what is left in ever lower tiles.
#[inline(always)]
fn panel<V: Vector, const NV: usize, const MR: usize, const COLUMNS: bool>(mut p: Panel) {
    let end = p.m;
    let mut done = 0;
    macro_rules! tiles {
        ($($mr:literal)*) => {$(
            while const { $mr <= MR && $mr * NV <= V::REGISTERS / 2 } && end - done >= $mr {
                // SAFETY: the caller vouches for all rows; these are some of them.
                unsafe { tile::<V, $mr, NV, COLUMNS, PACKED>(&p) };
                done += $mr;
                p.a = p.a.wrapping_add(if COLUMNS { $mr } else { $mr * p.a_stride });
                p.c = p.c.wrapping_add($mr * p.c_stride);
                if !p.base.is_null() {
                    p.base = p.base.wrapping_add($mr * p.c_stride);
                }
            }
        )*};
    }
    tiles!(16 8 4 2 1);
}
