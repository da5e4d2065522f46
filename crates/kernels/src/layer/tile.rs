//! Products whose sizes are a few registers: everything stays in registers until a row is finished, and what is to
//! be done with that row is done there and then.
#![expect(unsafe_code, reason = "reads behind one check for the whole layer")]

use crate::vector::Vector;
use std::ops::Range;

/// A table to read: row r begins at `at + r * stride`.
#[derive(Clone, Copy)]
pub(super) struct Table {
    pub at: *const f32,
    pub stride: usize,
}

/// `sums[r][j] = sum_p a[r][p * a_step] b[p, register j]`.
///
/// A multiply-add takes four beats and two begin in each: fewer than eight running sums would wait for themselves, so
/// then even and odd p (or every fourth, or eighth) are summed apart.
///
/// # Safety
/// All of that can be read.
#[inline(always)]
pub(super) unsafe fn sums<V: Vector, const MR: usize, const NV: usize>(
    a: [*const f32; MR],
    a_step: usize,
    b: Table,
    k: usize,
) -> [[V; NV]; MR] {
    let apart = if MR * NV >= 8 {
        1
    } else if MR * NV >= 4 {
        2
    } else if MR * NV >= 2 {
        4
    } else {
        8
    };
    let mut sums = [[[V::zero(); NV]; MR]; 8];
    // SAFETY: the caller vouches for every number read here.
    unsafe {
        let mut p = 0;
        while p + apart <= k {
            for u in 0..apart {
                let mut row = [V::zero(); NV];
                for j in 0..NV {
                    row[j] = V::load(b.at.add((p + u) * b.stride + j * V::LANES));
                }
                for r in 0..MR {
                    let x = V::splat(*a[r].add((p + u) * a_step));
                    for j in 0..NV {
                        sums[u][r][j] = x.fma(row[j], sums[u][r][j]);
                    }
                }
            }
            p += apart;
        }
        while p < k {
            for r in 0..MR {
                let x = V::splat(*a[r].add(p * a_step));
                for j in 0..NV {
                    sums[0][r][j] = x.fma(V::load(b.at.add(p * b.stride + j * V::LANES)), sums[0][r][j]);
                }
            }
            p += 1;
        }
    }
    let mut half = apart / 2;
    while half > 0 {
        for u in 0..half {
            for r in 0..MR {
                for j in 0..NV {
                    sums[u][r][j] = sums[u][r][j] + sums[u + half][r][j];
                }
            }
        }
        half /= 2;
    }
    sums[0]
}

/// What is to be done with a product, a few registers of a row at a time, as soon as they are there.
///
/// A trait and not a closure: a closure does not have the instructions of the function that it is used in.
pub(super) trait Finish<V: Vector> {
    /// Registers `j..j + NV` of row `r`.
    ///
    /// # Safety
    /// Row and registers are those of the product, and the places that are written are there.
    unsafe fn finish<const NV: usize>(&self, r: usize, j: usize, sums: [V; NV]);
}

/// `finish(r, j, registers j.. of A[r, 0..k] B[0..k, NV registers])` for each row.
///
/// # Safety
/// The rows of A, and k rows of B, can be read.
#[inline(always)]
unsafe fn panel<V: Vector, const NV: usize>(
    rows: &Range<usize>,
    k: usize,
    a: Table,
    b: Table,
    j: usize,
    then: &impl Finish<V>,
) {
    let b = Table { at: b.at.wrapping_add(j * V::LANES), ..b };
    let mut first = rows.start;
    // Eight rows of one register share what is read of B; wider rows are enough by fours.
    while NV == 1 && V::REGISTERS >= 32 && rows.end - first >= 8 {
        // SAFETY: the caller vouches for the rows.
        unsafe {
            let mut at = [a.at; 8];
            for r in 0..8 {
                at[r] = a.at.add((first + r) * a.stride);
            }
            let sums = sums::<V, 8, NV>(at, 1, b, k);
            for r in 0..8 {
                then.finish(first + r, j, sums[r]);
            }
        }
        first += 8;
    }
    while first < rows.end {
        // SAFETY: rows behind the last are read as the last, and forgotten.
        unsafe {
            if rows.end - first == 1 {
                let [sums] = sums::<V, 1, NV>([a.at.add(first * a.stride)], 1, b, k);
                then.finish(first, j, sums);
            } else {
                let mut at = [a.at; 4];
                for r in 0..4 {
                    at[r] = a.at.add((first + r).min(rows.end - 1) * a.stride);
                }
                let sums = sums::<V, 4, NV>(at, 1, b, k);
                for r in 0..4 {
                    if first + r < rows.end {
                        then.finish(first + r, j, sums[r]);
                    }
                }
            }
        }
        first += 4;
    }
}

/// A product whose rows are NC registers: each is finished in one piece.
///
/// # Safety
/// As [`panel`].
#[inline(always)]
pub(super) unsafe fn each_row<V: Vector, const NC: usize>(
    rows: &Range<usize>,
    k: usize,
    a: Table,
    b: Table,
    then: &impl Finish<V>,
) {
    // SAFETY: as the caller vouches.
    unsafe { panel::<V, NC>(rows, k, a, b, 0, then) }
}

/// A product of n columns, a multiple of a register, finished in any pieces.
///
/// # Safety
/// As [`panel`].
#[inline(always)]
pub(super) unsafe fn each_register<V: Vector>(
    rows: &Range<usize>,
    k: usize,
    n: usize,
    a: Table,
    b: Table,
    then: &impl Finish<V>,
) {
    let (registers, widest) = (n / V::LANES, if V::REGISTERS >= 32 { 4 } else { 2 });
    let mut j = 0;
    while j < registers {
        let wide = (registers - j).min(widest);
        // SAFETY: the caller vouches for all registers; these are some of them.
        unsafe {
            match wide {
                4 if widest == 4 => panel::<V, 4>(rows, k, a, b, j, then),
                3 if widest == 4 => panel::<V, 3>(rows, k, a, b, j, then),
                2 => panel::<V, 2>(rows, k, a, b, j, then),
                _ => panel::<V, 1>(rows, k, a, b, j, then),
            }
        }
        j += wide;
    }
}

/// `dw[o, i] += sum_t dy[t, o] x[t, i]`, summed in registers over all rows: `dw` is `[o, i]` without gaps, both whole
/// multiples of a register (or, for o, of 8).
///
/// # Safety
/// `rows` of dy and x can be read, and dw written.
#[inline(always)]
pub(super) unsafe fn outer<V: Vector>(
    rows: &Range<usize>,
    (o, i): (usize, usize),
    dy: Table,
    x: Table,
    dw: *mut f32,
) {
    let registers = i / V::LANES;
    macro_rules! tiles {
        ($mr:literal, $nv:literal) => {
            for j in (0..registers).step_by($nv) {
                for o in (0..o).step_by($mr) {
                    // SAFETY: the caller vouches for the tables; this tile is a part of them.
                    unsafe {
                        let from = dy.at.add(rows.start * dy.stride + o);
                        let mut at = [from; $mr];
                        for r in 0..$mr {
                            at[r] = from.add(r);
                        }
                        let b = Table { at: x.at.add(rows.start * x.stride + j * V::LANES), ..x };
                        let sums = sums::<V, $mr, $nv>(at, dy.stride, b, rows.len());
                        for r in 0..$mr {
                            for n in 0..$nv {
                                let to = dw.add((o + r) * i + (j + n) * V::LANES);
                                (V::load(to) + sums[r][n]).store(to);
                            }
                        }
                    }
                }
            }
        };
    }
    match (V::REGISTERS >= 32, registers) {
        (true, 1) if o.is_multiple_of(16) => tiles!(16, 1),
        (true, n) if n.is_multiple_of(4) => tiles!(4, 4),
        (true, n) if n.is_multiple_of(2) => tiles!(8, 2),
        (false, n) if n.is_multiple_of(2) => tiles!(4, 2),
        _ => tiles!(8, 1),
    }
}

/// As [`outer`] for any o: what is left of it in ever lower tiles.
///
/// # Safety
/// As [`outer`].
#[inline(always)]
pub(super) unsafe fn outer_any<V: Vector>(
    rows: &Range<usize>,
    (o, i): (usize, usize),
    dy: Table,
    x: Table,
    dw: *mut f32,
) {
    let mut done = o / 16 * 16;
    // SAFETY: the caller vouches for the tables; each tile is a part of them.
    unsafe {
        outer::<V>(rows, (done, i), dy, x, dw);
        macro_rules! rest {
            ($($mr:literal)*) => {$(
                while o - done >= $mr {
                    for j in 0..i / V::LANES {
                        let from = dy.at.add(rows.start * dy.stride + done);
                        let mut at = [from; $mr];
                        for r in 0..$mr {
                            at[r] = from.add(r);
                        }
                        let b = Table { at: x.at.add(rows.start * x.stride + j * V::LANES), ..x };
                        let sums = sums::<V, $mr, 1>(at, dy.stride, b, rows.len());
                        for r in 0..$mr {
                            let to = dw.add((done + r) * i + j * V::LANES);
                            (V::load(to) + sums[r][0]).store(to);
                        }
                    }
                    done += $mr;
                }
            )*};
        }
        rest!(8 4 2 1);
    }
}
