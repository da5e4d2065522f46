//! Products of any size from panels: what is copied when, so that it is read from the nearest cache.
//!
//! for each block of rows, of k: copy A, if that pays;  for each panel of B (three registers wide): copy it, if that
//! pays, into the first cache;  for each tile of rows: A comes from the second cache, and C.
#![expect(unsafe_code, reason = "reads behind one check for the whole matrix")]

use super::tile::{self, GROUP, Panel};
use crate::level;
use crate::vector::Vector;
use std::cell::Cell;

/// Most steps of k per block: a panel of B is KC * 48 * 4 bytes = 36 KiB, in the first cache.
const KC: usize = 192;
/// Most rows of A per block: 768 KiB with KC, in the second cache.
const MC: usize = 1024;
/// A block of C stays in the second cache while k goes on: 1 MiB.
const C_BLOCK: usize = 1 << 18;
const WIDEST: usize = 48;

thread_local! {
    /// Room for one panel of B and one block of A, kept by the thread so that no call allocates once warm.
    static ROOM: Cell<(Vec<Line>, Vec<Line>)> = const { Cell::new((Vec::new(), Vec::new())) };
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
    let mb = if k > 4 * KC { (C_BLOCK / n.max(1)).clamp(128, MC) & !(GROUP - 1) } else { MC };
    for r0 in (0..m).step_by(mb) {
        let mc = mb.min(m - r0);
        for p0 in (0..k).step_by(kb) {
            let kc = kb.min(k - p0);
            let (rows, columns) = (a.offset(r0, p0), b.offset(p0, 0));
            let strips = room.readable(rows, mc, kc, n);
            // Few rows, or near enough: B is read where it is.
            let direct = b.cs == 1 && (m < 24 || kc * b.rs <= 8192);
            let mut j0 = 0;
            while j0 < n {
                let wide = width(n - j0, lanes);
                let stride = wide.next_multiple_of(lanes);
                let (b, b_stride) = match direct {
                    true => (columns.offset(0, j0).at, b.rs),
                    false => (room.pack(columns.offset(0, j0), kc, wide, lanes), stride),
                };
                let panel = Panel {
                    m: mc,
                    k: kc,
                    a: strips.at,
                    a_stride: strips.stride,
                    a_group: strips.group,
                    b,
                    b_stride,
                    b_packed: !direct,
                    c: c.wrapping_add(r0 * c_rs + j0),
                    c_stride: c_rs,
                    n: wide,
                    accumulate: accumulate || p0 > 0,
                };
                // SAFETY: the caller vouches for the matrices, `Room` for its copies.
                unsafe { tile::run(panel, lanes, strips.columns) };
                j0 += wide;
            }
        }
    }
    room.give_back();
}

/// Rows of A as the tiles read them; the strides are those of [`Panel`].
struct Strips {
    at: *const f32,
    stride: usize,
    group: usize,
    columns: bool,
}

/// The next panel's columns: three registers, but four left are 2 + 2.
fn width(left: usize, lanes: usize) -> usize {
    let registers = left.div_ceil(lanes);
    left.min(lanes * if registers == 4 || registers < 3 { 2 } else { 3 })
}

/// The thread's scratch, taken for one call: a strip of A and what there is of B.
pub(super) struct Room {
    b: Vec<Line>,
    a: Vec<Line>,
}

impl Room {
    fn take() -> Room {
        let (b, a) = ROOM.take();
        Room { b, a }
    }

    fn give_back(self) {
        ROOM.set((self.b, self.a));
    }

    /// Room for `n` numbers of B.
    fn get(&mut self, n: usize) -> *mut f32 {
        if self.b.len() < n.div_ceil(16) {
            self.b.resize(n.div_ceil(16), Line([0.0; 16]));
        }
        self.b.as_mut_ptr().cast()
    }

    /// A in a form the tiles can read: by rows or by columns as it is, else (or where it pays: columns far apart, and
    /// panels enough that read them) copied by columns, 16 rows at a time.
    fn readable(&mut self, a: View, m: usize, k: usize, n: usize) -> Strips {
        if a.cs == 1 {
            return Strips { at: a.at, stride: a.rs, group: 0, columns: false };
        }
        if a.rs == 1 && !(m >= 32 && n > WIDEST && k >= 32 && a.cs >= 256) {
            return Strips { at: a.at, stride: a.cs, group: GROUP, columns: true };
        }
        let lines = m.div_ceil(GROUP) * k;
        if self.a.len() < lines {
            self.a.resize(lines, Line([0.0; 16]));
        }
        let at: *mut f32 = self.a.as_mut_ptr().cast();
        // Some columns at a time: they are read from one end to the other, and written a few lines at a place.
        for p in (0..k).step_by(8) {
            for r in (0..m).step_by(GROUP) {
                let from = a.offset(r, p);
                let from = View { at: from.at, rs: a.cs, cs: a.rs };
                pack(from, 8.min(k - p), GROUP.min(m - r), at.wrapping_add(r * k + p * GROUP), GROUP);
            }
        }
        Strips { at, stride: GROUP, group: k * GROUP, columns: true }
    }

    /// `b[0..k, 0..n]` in rows of whole registers.
    fn pack(&mut self, b: View, k: usize, n: usize, lanes: usize) -> *const f32 {
        assert!(k <= KC && n <= WIDEST, "a panel of {k} x {n}");
        let to = self.get(KC * WIDEST);
        pack(b, k, n, to, n.next_multiple_of(lanes));
        to
    }

    /// All of `b[0..k, 0..n]` by rows, whose length is no power of two (such rows would share cache sets).
    #[cfg(feature = "gemm")]
    pub(super) fn transposed(&mut self, b: View, k: usize, n: usize) -> View {
        let stride = n.next_multiple_of(16) + 16;
        let to = self.get(k * stride);
        pack(b, k, n, to, stride);
        View { at: to, rs: stride, cs: 1 }
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
                    let row = if j + V::LANES <= n { V::load(from) } else { V::load_part(from, n - j) };
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
