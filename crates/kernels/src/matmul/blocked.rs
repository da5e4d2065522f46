//! Products of any size from panels: which part of B is copied when, so that it is read from the nearest cache.
//!
//! for each block of k, of rows:  for each panel of B (three registers wide):  copy it, if that pays;  all tiles of the panel.
//!
//! A panel of B (at most KC x 48 numbers) stays in the first cache while the rows of A stream past it.
#![expect(unsafe_code, reason = "reads behind one check for the whole matrix")]

use super::tile::{self, Panel};
use crate::level;
use crate::vector::Vector;
use std::cell::Cell;

/// Most steps of k per block: a panel of B is KC * 48 * 4 bytes = 48 KiB.
const KC: usize = 256;
/// Most rows per block: MC * KC numbers of A = 512 KiB.
const MC: usize = 512;
/// A block of C stays in the second cache while k goes on: 1 MiB.
const C_BLOCK: usize = 1 << 18;
const WIDEST: usize = 48;

thread_local! {
    /// Room for one panel of B and one block of A, kept by the thread so that no call allocates once warm.
    static ROOM: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

/// A cache line: a register that straddles two costs two loads.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [f32; 16]);

/// A matrix to read: element (r, c) at `at[r * rs + c * cs]`.
#[derive(Clone, Copy)]
pub(crate) struct View {
    pub at: *const f32,
    pub rs: usize,
    pub cs: usize,
}

impl View {
    fn offset(self, r: usize, c: usize) -> View {
        View { at: self.at.wrapping_add(r * self.rs + c * self.cs), ..self }
    }
}

/// `C[m, n] (+)= A[m, k] B[k, n]`; C has rows of `c_rs` numbers, columns next to each other.
///
/// # Safety
/// The three matrices can be read, and C written, over their whole extent; C overlaps neither A nor B.
pub(crate) unsafe fn product(
    m: usize,
    n: usize,
    k: usize,
    a: View,
    b: View,
    c: *mut f32,
    c_rs: usize,
    accumulate: bool,
) {
    if k == 0 && !accumulate {
        for r in 0..m {
            // SAFETY: the caller vouches for C.
            unsafe { std::slice::from_raw_parts_mut(c.add(r * c_rs), n).fill(0.0) }
        }
    }
    let lanes = level::current().lanes();
    let mut room = Room::take();
    #[cfg(feature = "gemm")]
    if super::wide::takes(m, n, k, a, b) {
        // SAFETY: this function's own contract.
        unsafe { super::wide::product((m, n, k), a, b, c, c_rs, accumulate, &mut room) };
        return room.give_back();
    }
    let kb = k.div_ceil(k.div_ceil(KC).max(1)).max(1);
    let mb = (C_BLOCK / n.max(1)).clamp(128, MC) & !15;
    for r0 in (0..m).step_by(mb) {
        let mc = mb.min(m - r0);
        for p0 in (0..k).step_by(kb) {
            let kc = kb.min(k - p0);
            let (a, a_stride, a_group, columns) = readable(a.offset(r0, p0), mc, kc, n, &mut room);
            let mut j0 = 0;
            while j0 < n {
                let wide = width(n - j0, lanes);
                let here = b.offset(p0, j0);
                let direct = b.cs == 1 && (mc < 24 || kc * b.rs <= 8192);
                let (b, b_stride) = if direct {
                    (here.at, b.rs)
                } else {
                    (room.pack(here, kc, wide, lanes), wide.next_multiple_of(lanes))
                };
                let panel = Panel {
                    m: mc,
                    k: kc,
                    a,
                    a_stride,
                    a_group,
                    b,
                    b_stride,
                    b_padded: !direct,
                    c: c.wrapping_add(r0 * c_rs + j0),
                    c_stride: c_rs,
                    n: wide,
                    accumulate: accumulate || p0 > 0,
                };
                // SAFETY: the caller vouches for the matrices, `Room` for its copies.
                unsafe { tile::run(panel, lanes, columns) };
                j0 += wide;
            }
        }
    }
    room.give_back();
}

/// The next panel's columns: three registers, but four left are 2 + 2.
fn width(left: usize, lanes: usize) -> usize {
    let registers = left.div_ceil(lanes);
    left.min(lanes * if registers == 4 || registers < 3 { 2 } else { 3 })
}

/// A in a form the tiles can read: by rows or by columns as it is, else (or where panels enough will read it to pay
/// for that) copied by columns, 16 rows at a time, so that a tile reads on and on. Returns also the strides of
/// [`Panel`], and whether it is by columns.
fn readable(
    a: View,
    m: usize,
    k: usize,
    n: usize,
    room: &mut Room,
) -> (*const f32, usize, usize, bool) {
    let copy = m >= 32 && n > 6 * WIDEST && k >= 32;
    if a.cs == 1 && !copy {
        (a.at, a.rs, 0, false)
    } else if a.rs == 1 && !copy {
        (a.at, a.cs, 16, true)
    } else {
        (room.copy(a, m, k), 16, 16 * k, true)
    }
}

/// The thread's scratch, taken for one call.
pub(super) struct Room(Vec<Line>);

impl Room {
    const PANEL: usize = KC * WIDEST;
    const BLOCK: usize = KC * MC;

    fn take() -> Room {
        Room(ROOM.take())
    }

    fn give_back(self) {
        ROOM.set(self.0);
    }

    /// `n` numbers behind the first `skip`.
    fn get(&mut self, skip: usize, n: usize) -> *mut f32 {
        let lines = (skip + n).div_ceil(16);
        if self.0.len() < lines {
            self.0.resize(lines, Line([0.0; 16]));
        }
        self.0.as_mut_ptr().cast::<f32>().wrapping_add(skip)
    }

    /// `b[0..k, 0..n]` in rows of whole registers.
    fn pack(&mut self, b: View, k: usize, n: usize, lanes: usize) -> *const f32 {
        assert!(k * n.next_multiple_of(lanes) <= Room::PANEL, "a panel of {k} x {n}");
        let to = self.get(0, Room::PANEL);
        pack(b, k, n, to, n.next_multiple_of(lanes));
        to
    }

    /// All of `b[0..k, 0..n]` by rows, whose length is no power of two (such rows would share cache sets).
    #[cfg(feature = "gemm")]
    pub(super) fn transposed(&mut self, b: View, k: usize, n: usize) -> View {
        let stride = n.next_multiple_of(16) + 16;
        let to = self.get(0, k * stride);
        pack(b, k, n, to, stride);
        View { at: to, rs: stride, cs: 1 }
    }

    /// `a[0..m, 0..k]` by columns, in groups of 16 rows, behind the panel.
    fn copy(&mut self, a: View, m: usize, k: usize) -> *const f32 {
        let to = self.get(Room::PANEL, Room::BLOCK);
        for r in (0..m).step_by(16) {
            let group = View { at: a.offset(r, 0).at, rs: a.cs, cs: a.rs };
            pack(group, k, 16.min(m - r), to.wrapping_add(r * k), 16);
        }
        to
    }
}

/// `to[c, r] = from[r, c]` for `rows` rows of `columns`; rows of `to` begin `to_stride` apart, at least `rows` rounded
/// up to 16, and what is behind `rows` in them becomes 0.
pub(crate) fn transpose(
    to: &mut [f32],
    to_stride: usize,
    from: &[f32],
    stride: usize,
    rows: usize,
    columns: usize,
) {
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(to_stride >= rows.next_multiple_of(16) && to.len() >= columns * to_stride);
    assert!(from.len() >= (rows - 1) * stride + columns);
    pack(View { at: from.as_ptr(), rs: 1, cs: stride }, columns, rows, to.as_mut_ptr(), to_stride);
}

simd! {
    /// `to[p, j] = b[p, j]` in rows of whole registers, `stride` apart, zeros behind the last column.
    fn pack(b: View, k: usize, n: usize, to: *mut f32, stride: usize) = pack_body;
}

#[inline(always)]
fn pack_body<V: Vector>(b: View, k: usize, n: usize, to: *mut f32, stride: usize) {
    // SAFETY: `product`'s caller vouches for B, `Room` for k rows of `stride` numbers at `to`.
    unsafe {
        if b.cs == 1 {
            for p in 0..k {
                for j in (0..n).step_by(V::LANES) {
                    let from = b.at.add(p * b.rs + j);
                    let row =
                        if j + V::LANES <= n { V::load(from) } else { V::load_part(from, n - j) };
                    row.store(to.add(p * stride + j));
                }
            }
            return;
        }
        for j in (0..n).step_by(V::LANES) {
            let (whole, mut p) = (b.rs == 1 && j + V::LANES <= n, 0);
            while whole && p + V::LANES <= k {
                V::transpose(b.at.add(j * b.cs + p), b.cs, to.add(p * stride + j), stride);
                p += V::LANES;
            }
            for p in p..k {
                for lane in 0..V::LANES {
                    let inside = j + lane < n;
                    *to.add(p * stride + j + lane) =
                        if inside { *b.at.add(p * b.rs + (j + lane) * b.cs) } else { 0.0 };
                }
            }
        }
    }
}
