//! Products of any size from panels: which part of B is copied when, so that it is read from the nearest cache.
//!
//! for each block of rows, of k, of columns:  copy B's panels (three registers wide), if that pays;
//! for each strip of A: copy it, if that pays;  for each panel:  its tiles.
#![expect(unsafe_code, reason = "reads behind one check for the whole matrix")]

use super::tile::{self, Panel};
use crate::level;
use crate::vector::Vector;
use std::cell::Cell;

/// Most steps of k per block: a panel of B is KC * 48 * 4 bytes = 48 KiB.
const KC: usize = 256;
/// Most columns of B copied at once: 1 MiB with KC, in the second cache.
const NC: usize = 1008;
/// Rows of A that pass over all panels of B, in the first cache: 16 KiB with KC.
const STRIP: usize = 16;
/// Most rows of C per block.
const MC: usize = 512;
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
    // Few rows, or one panel: B is read where it is, if that is near. Else all its panels are copied side by side, and
    // strips of A go over them, each strip in the first cache.
    let copied = m >= 32 && n > WIDEST;
    let strip = if copied { STRIP } else { m.max(1) };
    let kb = k.div_ceil(k.div_ceil(KC).max(1)).max(1);
    let nb = if copied { NC } else { n };
    let mb = if copied { (C_BLOCK / n).clamp(128, MC) & !15 } else { m.max(1) };
    for r0 in (0..m).step_by(mb) {
        for p0 in (0..k).step_by(kb) {
            let kc = kb.min(k - p0);
            for n0 in (0..n).step_by(nb.max(1)) {
                let block = Block { kc, n: nb.min(n - n0), lanes, b: b.offset(p0, n0), copied };
                let panels = block.copy(&mut room);
                for r in (r0..m.min(r0 + mb)).step_by(strip) {
                    let mc = strip.min(m.min(r0 + mb) - r);
                    let (a, a_stride, columns) = readable(a.offset(r, p0), mc, kc, n, &mut room);
                    let (mut j0, mut at) = (0, panels);
                    while j0 < block.n {
                        let (wide, direct) = (width(block.n - j0, lanes), block.direct(mc));
                        let stride = wide.next_multiple_of(lanes);
                        let (b, b_stride) = match direct {
                            true => (block.b.offset(0, j0).at, block.b.rs),
                            false if copied => (at, stride),
                            false => (room.pack(block.b.offset(0, j0), kc, wide, lanes), stride),
                        };
                        let c = c.wrapping_add(r * c_rs + n0 + j0);
                        let panel = Panel {
                            m: mc,
                            k: kc,
                            a,
                            a_stride,
                            b,
                            b_stride,
                            b_padded: !direct,
                            c,
                            c_stride: c_rs,
                            n: wide,
                            accumulate: accumulate || p0 > 0,
                        };
                        // SAFETY: the caller vouches for the matrices, `Room` for its copies.
                        unsafe { tile::run(panel, lanes, columns) };
                        j0 += wide;
                        at = at.wrapping_add(kc * stride);
                    }
                }
            }
        }
    }
    room.give_back();
}

/// A block of B: some steps of k, some columns.
struct Block {
    kc: usize,
    n: usize,
    lanes: usize,
    b: View,
    copied: bool,
}

impl Block {
    /// Whether tiles read B where it is: few rows, or near enough.
    fn direct(&self, m: usize) -> bool {
        self.b.cs == 1 && !self.copied && (m < 24 || self.kc * self.b.rs <= 8192)
    }

    /// All panels, one behind the other, if they are to be copied.
    fn copy(&self, room: &mut Room) -> *const f32 {
        let to = if self.copied { room.get(KC * NC) } else { std::ptr::null_mut() };
        let (mut j0, mut at) = (0, to);
        while self.copied && j0 < self.n {
            let wide = width(self.n - j0, self.lanes);
            let stride = wide.next_multiple_of(self.lanes);
            pack(self.b.offset(0, j0), self.kc, wide, at, stride);
            (j0, at) = (j0 + wide, at.wrapping_add(self.kc * stride));
        }
        to
    }
}

/// The next panel's columns: three registers, but four left are 2 + 2.
fn width(left: usize, lanes: usize) -> usize {
    let registers = left.div_ceil(lanes);
    left.min(lanes * if registers == 4 || registers < 3 { 2 } else { 3 })
}

/// A in a form the tiles can read: by rows or by columns as it is, else (or where it pays: columns on pages of their
/// own, rows that share cache sets, panels enough to read it) a strip of it copied by columns. Returns also the stride
/// of [`Panel`], and whether it is by columns.
fn readable(a: View, m: usize, k: usize, n: usize, room: &mut Room) -> (*const f32, usize, bool) {
    let many = m == STRIP && n > WIDEST && k >= 32;
    if a.cs == 1 && !(many && (n >= 256 || a.rs.is_multiple_of(512))) {
        (a.at, a.rs, false)
    } else if a.rs == 1 && !(many && a.cs >= 256) {
        (a.at, a.cs, true)
    } else {
        let to = room.strip(m);
        let stride = m.next_multiple_of(16);
        pack(View { at: a.at, rs: a.cs, cs: a.rs }, k, m, to, stride);
        (to, stride, true)
    }
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

    /// Room for a strip of A: KC steps of `m` rows.
    fn strip(&mut self, m: usize) -> *mut f32 {
        let lines = m.div_ceil(16) * KC;
        if self.a.len() < lines {
            self.a.resize(lines, Line([0.0; 16]));
        }
        self.a.as_mut_ptr().cast()
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
