//! The one loop that all products come down to: a tile of C held in registers,
//!
//! `C[MR, NV registers] (+)= A[MR, k] B[k, NV registers]`
//!
//! For each step of k: load NV registers of a row of B, and for each row of A spread one number over a
//! register and multiply-add it NV times. C is touched once, at the end. Two spellings of A:
//! by rows (`A[r, p]` at `a[r * stride + p]`) and by columns (`a[p * stride + r]`, a transposed matrix).
#![expect(unsafe_code, reason = "reads behind one check for the whole matrix")]

use super::soon::Soon;
use crate::vector::Vector;

/// Rows of A that stand together by columns: a cache line.
pub(super) const GROUP: usize = 16;

/// A panel of C = A B that is at most three registers wide, and all of its rows.
#[derive(Clone, Copy)]
pub(super) struct Panel {
    pub m: usize,
    pub k: usize,
    pub a: *const f32,
    /// Between rows of A, or between its columns.
    pub a_stride: usize,
    /// By columns: between groups of 16 rows.
    pub a_group: usize,
    pub b: *const f32,
    pub b_stride: usize,
    /// Whether rows of B are whole registers, one behind the other.
    pub b_packed: bool,
    /// Where the first tile leaves rows of B like that for the others; or null, and all read B where it is.
    pub keep: *mut f32,
    pub c: *mut f32,
    pub c_stride: usize,
    /// Columns: more than `NV - 1` registers, at most `NV`.
    pub n: usize,
    /// What is added to, in rows like those of C: C itself, another matrix, or null for nothing.
    pub base: *const f32,
}

/// How a tile finds B.
pub(super) const PACKED: u8 = 0;
/// Where it is.
const STRIDED: u8 = 1;
/// Where it is, and keeps it packed for the tiles below: what comes from afar, and the copy, hide behind multiply-adds.
const KEEPING: u8 = 2;
/// So many rows ahead are asked for then.
const AHEAD: usize = 12;

/// `$body` for each row `$i` of the tile, written out: a loop of that length the compiler may leave a loop, and keep
/// the sums in memory.
macro_rules! rows {
    ($i:ident => $body:block) => { rows!($i, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15) };
    ($i:ident, $body:block, $($at:literal)*) => {
        $(
            if const { $at < MR } {
                let $i: usize = $at;
                $body
            }
        )*
    };
}

/// The tile at the beginning of a panel: MR of its rows, as wide as it is.
///
/// # Safety
/// As [`run`]; the panel has so many rows, and columns as [`Panel::n`] says.
#[inline(always)]
pub(super) unsafe fn tile<V: Vector, const MR: usize, const NV: usize, const COLUMNS: bool, const B: u8>(
    p: &Panel,
) {
    let last = p.n - (NV - 1) * V::LANES;
    let (a_stride, c_stride) = (p.a_stride, p.c_stride);
    // A stride that is known leaves no arithmetic between the multiply-adds.
    let b_stride = if B == PACKED { NV * V::LANES } else { p.b_stride };
    let a_step = if COLUMNS { a_stride } else { 1 };
    let mut sums = [[V::zero(); NV]; MR];
    if p.k >= 64 {
        // C comes from afar while the sums are made.
        for i in 0..MR {
            for j in 0..NV {
                let at = i * c_stride + j * V::LANES;
                V::prefetch(p.c.wrapping_add(at));
                // (An address that is nowhere would be looked for all the same.)
                if p.base != p.c && !p.base.is_null() {
                    V::prefetch(p.base.wrapping_add(at));
                }
            }
        }
    }
    // SAFETY: `panel`'s caller vouches for the three matrices; this tile is a part of them.
    unsafe {
        let (mut a, mut b, mut keep) = (p.a, p.b, p.keep);
        macro_rules! step {
            ($u:expr) => {
                let mut row = [V::zero(); NV];
                for j in 0..NV {
                    let at = b.add($u * b_stride + j * V::LANES);
                    row[j] = if B != PACKED && j == NV - 1 { V::load_part(at, last) } else { V::load(at) };
                    if B == KEEPING {
                        V::prefetch(b.wrapping_add(($u + AHEAD) * b_stride + j * V::LANES));
                        row[j].store(keep.add(($u * NV + j) * V::LANES));
                    }
                }
                rows!(i => {
                    let x = V::splat(*a.add(if COLUMNS { $u * a_stride + i } else { i * a_stride + $u }));
                    for j in 0..NV {
                        sums[i][j] = x.fma(row[j], sums[i][j]);
                    }
                });
            };
        }
        for _ in 0..p.k / 2 {
            step!(0);
            step!(1);
            a = a.add(2 * a_step);
            b = b.add(2 * b_stride);
            keep = keep.wrapping_add(2 * NV * V::LANES);
        }
        if p.k % 2 == 1 {
            step!(0);
        }
        rows!(i => {
            for j in 0..NV {
                let at = i * c_stride + j * V::LANES;
                let (base, to) = (p.base.wrapping_add(at), p.c.add(at));
                if j < NV - 1 || last == V::LANES {
                    let sum = if p.base.is_null() { sums[i][j] } else { V::load(base) + sums[i][j] };
                    sum.store(to);
                } else {
                    let sum =
                        if p.base.is_null() { sums[i][j] } else { V::load_part(base, last) + sums[i][j] };
                    sum.store_part(to, last);
                }
            }
        });
    }
}

/// Rows of a tile: as many as leave registers for a row of B and one number of A.
#[inline(always)]
const fn tallest<V: Vector>(nv: usize, columns: bool) -> usize {
    match (V::REGISTERS, nv) {
        (32, 1) if columns => 16, // rows next to each other need one pointer; else each needs its own
        (32, _) | (16, 1) => 8,
        (16, 2) => 6,
        (16, _) | (8, 1) => 4,
        _ => 2,
    }
}

/// All tiles of a panel, of nearly equal heights: 9 rows are 5 + 4, not 8 + 1, which would wait for its own sums.
/// By columns, tiles keep within groups of 16 rows.
#[inline(always)]
fn panel<V: Vector, const NV: usize, const COLUMNS: bool>(mut p: Panel, soon: &mut Soon) {
    let most = tallest::<V>(NV, COLUMNS);
    let (start, m) = (p.a, p.m);
    for first in (0..m).step_by(if COLUMNS { GROUP } else { m.max(1) }) {
        let mut left = if COLUMNS { GROUP.min(m - first) } else { m };
        let mut tiles = left.div_ceil(most);
        if COLUMNS {
            p.a = start.wrapping_add(first / GROUP * p.a_group);
        }
        while left > 0 {
            let keeping = !p.b_packed && !p.keep.is_null();
            let height = if keeping { most } else { left.div_ceil(tiles) };
            soon.ask::<V>();
            macro_rules! heights {
                ($($mr:literal)*) => {
                    match height {
                        $(
                            // SAFETY: the caller vouches for all `m` rows; `height` are left.
                            $mr if const { $mr <= tallest::<V>(NV, COLUMNS) } => unsafe {
                                if const { $mr == tallest::<V>(NV, COLUMNS) } && keeping {
                                    tile::<V, $mr, NV, COLUMNS, KEEPING>(&p);
                                    (p.b, p.b_packed) = (p.keep, true);
                                } else if p.b_packed {
                                    tile::<V, $mr, NV, COLUMNS, PACKED>(&p)
                                } else {
                                    tile::<V, $mr, NV, COLUMNS, STRIDED>(&p)
                                }
                            },
                        )*
                        _ => unreachable!("a tile of {height} rows"),
                    }
                };
            }
            heights!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
            (left, tiles) = (left - height, tiles - 1);
            p.a = p.a.wrapping_add(if COLUMNS { height } else { height * p.a_stride });
            p.c = p.c.wrapping_add(height * p.c_stride);
            if !p.base.is_null() {
                p.base = p.base.wrapping_add(height * p.c_stride);
            }
        }
    }
}

macro_rules! panels {
    ($($name:ident, $body:ident, $nv:literal, $columns:literal;)*) => {$(
        #[inline(always)]
        fn $body<V: Vector>(p: Panel, soon: &mut Soon) {
            panel::<V, $nv, $columns>(p, soon)
        }
        simd! { fn $name(p: Panel, soon: &mut Soon) = $body; }
    )*};
}
panels! {
    rows1, rows1_body, 1, false;
    rows2, rows2_body, 2, false;
    rows3, rows3_body, 3, false;
    columns1, columns1_body, 1, true;
    columns2, columns2_body, 2, true;
    columns3, columns3_body, 3, true;
}

/// One panel, A by rows or by columns; each tile asks for some of what is needed `soon`.
///
/// # Safety
/// `a`, `b`, and `base` or null, can be read, and `c` written, over their whole extent: `[m, k]`, `[k, n]` (when padded: up
/// to whole registers) and `[m, n]`.
pub(super) unsafe fn run(p: Panel, lanes: usize, columns: bool, soon: &mut Soon) {
    match (p.n.div_ceil(lanes), columns) {
        (1, false) => rows1(p, soon),
        (2, false) => rows2(p, soon),
        (3, false) => rows3(p, soon),
        (1, true) => columns1(p, soon),
        (2, true) => columns2(p, soon),
        (3, true) => columns3(p, soon),
        (wide, _) => unreachable!("a panel of {wide} registers"),
    }
}
