//! Products of any size from panels: what is copied when, so that it is read from the nearest cache.
//!
//! for each block of rows, of k: copy A, if that pays;  for each panel of B, three registers wide: for each tile of rows:
//! A and C come from the second cache, B from the first.
//!
//! B by columns is turned before, some panels at a time, of which the next are asked for meanwhile. B by rows is read
//! where it is by a panel's first tile, which leaves the copy that the others read.
#![expect(unsafe_code, reason = "reads behind one check for the whole matrix")]

use super::soon::Soon;
use super::tile::{self, GROUP, Panel};
use crate::level;
use crate::vector::Vector;
use std::cell::Cell;

/// Most steps of k per block: a panel of B is KC * 48 * 4 bytes = 36 KiB, in the first cache.
const KC: usize = 192;
/// Most columns of B that are turned at once, 144 KiB with KC.
const NC: usize = 192;
/// Most rows of A per block: 768 KiB with KC, in the second cache.
const MC: usize = 1024;
/// A block of C stays in the second cache while k goes on: 1 MiB.
const C_BLOCK: usize = 1 << 18;
const WIDEST: usize = 48;
/// Fewer tiles of a panel would each have to ask for many lines of what is turned next.
const TILES: usize = 16;

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
    pub(super) fn offset(self, r: usize, c: usize) -> View {
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
    // SAFETY: this function's own contract.
    unsafe { product_onto(m, n, k, a, b, c, c_rs, if accumulate { c } else { std::ptr::null() }) }
}

/// `C[m, n] = base[m, n] + A[m, k] B[k, n]`, as [`product`]; base has rows like those of C, or is null, which is 0.
///
/// # Safety
/// As [`product`]; base is C, or overlaps it nowhere.
pub(crate) unsafe fn product_onto(
    m: usize,
    n: usize,
    k: usize,
    a: View,
    b: View,
    c: *mut f32,
    c_rs: usize,
    base: *const f32,
) {
    if k == 0 {
        // SAFETY: the caller vouches for both.
        unsafe { start(m, n, c, c_rs, base) }
    }
    let lanes = level::current().lanes();
    if super::small::takes(lanes, n, k, a, b) {
        return super::small::product(m, n, k, a, b, c, c_rs, base);
    }
    let mut room = Room::take();
    #[cfg(feature = "gemm")]
    if super::wide::takes(m, n, k, a, b) {
        // SAFETY: this function's own contract.
        unsafe {
            if !base.is_null() {
                start(m, n, c, c_rs, base);
            }
            super::wide::product((m, n, k), a, b, c, c_rs, !base.is_null(), &mut room);
        }
        return room.give_back();
    }
    // Whole cache lines of A and of B by columns.
    let kb = k.div_ceil(k.div_ceil(KC).max(1)).next_multiple_of(GROUP).max(1);
    let mb = if k > 4 * KC { (C_BLOCK / n.max(1)).clamp(128, MC) & !(GROUP - 1) } else { MC };
    for r0 in (0..m).step_by(mb) {
        let mc = mb.min(m - r0);
        for p0 in (0..k).step_by(kb) {
            let kc = kb.min(k - p0);
            let (rows, columns) = (a.offset(r0, p0), b.offset(p0, 0));
            let strips = room.readable(rows, mc, kc, n);
            // By rows, B is read where it is, and where that is far away, kept by the first tile of each panel for the others.
            let by_rows = b.cs == 1;
            let tiles = mc.div_ceil(8); // of a panel
            let keep = by_rows && m >= 24 && kc * b.rs > 8192;
            let keep = if keep { room.get(KC * WIDEST) } else { std::ptr::null_mut() };
            let block =
                if by_rows { n } else { n.div_ceil(n.div_ceil(NC).max(1)).next_multiple_of(WIDEST) }.max(1);
            for n0 in (0..n).step_by(block) {
                let nc = block.min(n - n0);
                let columns = columns.offset(0, n0);
                let from = if by_rows { columns.at } else { room.pack(columns, kc, nc) };
                let mut soon = if !by_rows && b.rs == 1 && tiles >= TILES {
                    Soon::turned(b, [p0, kc, k], [n0, nc, n], tiles * nc.div_ceil(WIDEST))
                } else {
                    Soon::nothing()
                };
                let mut j0 = 0;
                while j0 < nc {
                    let wide = width(nc - j0, lanes);
                    let at = r0 * c_rs + n0 + j0;
                    let base = if p0 > 0 { c } else { base };
                    let panel = Panel {
                        m: mc,
                        k: kc,
                        a: strips.at,
                        a_stride: strips.stride,
                        a_group: strips.group,
                        b: from.wrapping_add(if by_rows { j0 } else { j0 * kc }),
                        b_stride: if by_rows { b.rs } else { wide.next_multiple_of(lanes) },
                        b_packed: !by_rows,
                        keep,
                        c: c.wrapping_add(at),
                        c_stride: c_rs,
                        n: wide,
                        base: if base.is_null() { base } else { base.wrapping_add(at) },
                    };
                    // SAFETY: the caller vouches for the matrices, `Room` for its copies.
                    unsafe { tile::run(panel, lanes, strips.columns, &mut soon) };
                    j0 += wide;
                }
            }
        }
    }
    room.give_back();
}

/// `C[m, n] = base`, or 0 where base is null; nothing where it is C.
///
/// # Safety
/// As [`product_onto`].
unsafe fn start(m: usize, n: usize, c: *mut f32, c_rs: usize, base: *const f32) {
    for r in 0..if base == c { 0 } else { m } {
        // SAFETY: the caller vouches for both, which do not overlap.
        unsafe {
            match base.is_null() {
                true => c.add(r * c_rs).write_bytes(0, n),
                false => c.add(r * c_rs).copy_from_nonoverlapping(base.add(r * c_rs), n),
            }
        }
    }
}

/// Rows of A as the tiles read them; the strides are those of [`Panel`].
struct Strips {
    at: *const f32,
    stride: usize,
    group: usize,
    columns: bool,
}

/// The next panel's columns: three registers, but four left are 2 + 2.
#[inline(always)]
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
        pack_strips(View { at: a.at, rs: a.cs, cs: a.rs }, k, m, at);
        Strips { at, stride: GROUP, group: k * GROUP, columns: true }
    }

    /// `b[0..k, 0..n]` as panels, one behind the other, each in rows of whole registers.
    fn pack(&mut self, b: View, k: usize, n: usize) -> *const f32 {
        assert!(k <= KC && n <= NC, "a block of {k} x {n}");
        let to = self.get(KC * NC);
        pack_panels(b, k, n, to);
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
simd! {
    /// The same, panel behind panel.
    fn pack_panels(b: View, k: usize, n: usize, to: *mut f32) = pack_panels_body;
}

simd! {
    /// `to[r / 16][p][r % 16] = a[p, r]` for `k` rows p of `m` numbers r: strips of 16 columns, zeros behind the last.
    fn pack_strips(a: View, k: usize, m: usize, to: *mut f32) = pack_strips_body;
}

#[inline(always)]
fn pack_strips_body<V: Vector>(a: View, k: usize, m: usize, to: *mut f32) {
    // SAFETY: `product`'s caller vouches for A, `Room` for whole strips.
    unsafe {
        // Some rows at a time: they are read from one end to the other, and written a few lines at a place.
        for p in (0..k).step_by(8) {
            for r in (0..m).step_by(GROUP) {
                let (a, to) = (a.offset(p, r), to.add(r * k + p * GROUP));
                pack_body::<V>(a, 8.min(k - p), GROUP.min(m - r), to, GROUP);
            }
        }
    }
}

#[inline(always)]
fn pack_body<V: Vector>(b: View, k: usize, n: usize, to: *mut f32, stride: usize) {
    // SAFETY: `product`'s caller vouches for B, `Room` for k rows of `stride` numbers at `to`.
    unsafe {
        if b.cs == 1 {
            for p in 0..k {
                copy_row::<V>(b.at.add(p * b.rs), n, to.add(p * stride));
            }
            return;
        }
        for j in (0..n).step_by(V::LANES) {
            turn::<V>(b.offset(0, j), k, n - j, to.add(j), stride);
        }
    }
}

#[inline(always)]
fn pack_panels_body<V: Vector>(b: View, k: usize, n: usize, to: *mut f32) {
    // SAFETY: as above; the panels together have `n` columns, rounded up to a register.
    unsafe {
        let mut j = 0;
        while j < n {
            let wide = width(n - j, V::LANES);
            let stride = wide.next_multiple_of(V::LANES);
            for i in (0..wide).step_by(V::LANES) {
                turn::<V>(b.offset(0, j + i), k, n - j - i, to.add(j * k + i), stride);
            }
            j += wide;
        }
    }
}

/// `n` numbers, and zeros up to a whole register.
///
/// # Safety
/// They can be read, and whole registers written.
#[inline(always)]
unsafe fn copy_row<V: Vector>(from: *const f32, n: usize, to: *mut f32) {
    // SAFETY: this function's own contract.
    unsafe {
        for j in (0..n).step_by(V::LANES) {
            let row = if j + V::LANES <= n { V::load(from.add(j)) } else { V::load_part(from.add(j), n - j) };
            row.store(to.add(j));
        }
    }
}

/// A register of columns, of which `n` are there: `to[p * stride + j] = b[p, j]`, zeros behind the last.
///
/// # Safety
/// They can be read, and `k` registers written, `stride` apart.
#[inline(always)]
unsafe fn turn<V: Vector>(b: View, k: usize, n: usize, to: *mut f32, stride: usize) {
    // SAFETY: this function's own contract.
    unsafe {
        let mut p = 0;
        while b.rs == 1 && n >= V::LANES && p + V::LANES <= k {
            V::transpose(b.at.add(p), b.cs, to.add(p * stride), stride);
            p += V::LANES;
        }
        for p in p..k {
            for lane in 0..V::LANES {
                *to.add(p * stride + lane) = if lane < n { *b.at.add(p * b.rs + lane * b.cs) } else { 0.0 };
            }
        }
    }
}
