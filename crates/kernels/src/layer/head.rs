//! The last product: from a row of one or two registers to a number for each token.
#![expect(unsafe_code, reason = "reads behind one check for all rows")]

use super::forward::{Onto, Write};
use super::tile::{Finish, Table, each_register, each_row, outer_any};
use crate::level;
use crate::vector::Vector;

/// Its definition is that of [`linear`](crate::matmul::linear): `y[t, o] = sum_i x[t, i] w[o, i]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// C, the inputs.
    pub channels: usize,
    /// V, the outputs.
    pub outputs: usize,
}

impl Head {
    /// Whether the kernel serves: inputs of one or two registers, a small alphabet.
    pub fn fits(&self) -> bool {
        super::embed::fits(self.channels) && (1..=512).contains(&self.outputs)
    }

    /// Outputs in whole registers.
    fn columns(&self) -> usize {
        self.outputs.next_multiple_of(level::current().lanes())
    }

    /// How many numbers [`pack`] makes.
    pub fn packed_len(&self) -> usize {
        self.channels * self.columns()
    }
}

/// The weights as [`forward`] wants them: transposed, in whole registers.
///
/// # Panics
/// If the head does not fit, or a slice is not of its shape.
pub fn pack(head: &Head, packed: &mut [f32], weights: &[f32]) {
    assert!(head.fits(), "head: {head:?} is not for this kernel");
    let found = (packed.len(), weights.len());
    assert!(
        found == (head.packed_len(), head.channels * head.outputs),
        "head: packed, weights have {found:?}"
    );
    pack_simd(packed, weights, head.channels, head.columns())
}

simd! { fn pack_simd(packed: &mut [f32], weights: &[f32], c: usize, columns: usize) = pack_body, fused; }

#[inline(always)]
fn pack_body<V: Vector>(packed: &mut [f32], weights: &[f32], c: usize, columns: usize) {
    let mut rest = [0.0; 16 * 32];
    for (at, rows) in weights.chunks(V::LANES * c).enumerate() {
        let block = if rows.len() == V::LANES * c {
            rows
        } else {
            rest[..rows.len()].copy_from_slice(rows);
            &rest[..V::LANES * c]
        };
        for i in (0..c).step_by(V::LANES) {
            let to = packed[i * columns + at * V::LANES..].as_mut_ptr();
            // SAFETY: `block` has a register's lanes of rows, `packed` c rows of `columns`.
            unsafe { V::transpose(block.as_ptr().add(i), c, to, columns) }
        }
    }
}

/// `y = x w^T`. Shapes: y `[T, V]`, x `[T, C]`, packed from [`pack`].
///
/// # Panics
/// If the head does not fit, or a slice is not of its shape.
pub fn forward(head: &Head, y: &mut [f32], x: &[f32], packed: &[f32]) {
    check(head, y.len(), x.len());
    assert!(packed.len() == head.packed_len(), "head: {} numbers packed", packed.len());
    forward_simd(y, x, packed, head.channels, head.outputs)
}

/// `dx (+)= dy w`, `dw += dy^T x`. Shapes: dx, x `[T, C]`, dw, w `[V, C]`, dy `[T, V]`.
///
/// # Panics
/// As [`forward`].
pub fn backward(
    head: &Head,
    dx: &mut [f32],
    accumulate: bool,
    dw: &mut [f32],
    dy: &[f32],
    x: &[f32],
    w: &[f32],
) {
    check(head, dy.len(), x.len());
    let (len, found) = (head.channels * head.outputs, (dw.len(), w.len()));
    assert!(dx.len() == x.len() && found == (len, len), "head: dw, w have {found:?} numbers, not {len}");
    backward_simd(dx, accumulate, dw, dy, x, w, (head.channels, head.outputs))
}

fn check(head: &Head, y: usize, x: usize) {
    assert!(head.fits(), "head: {head:?} is not for this kernel");
    let rows = x / head.channels;
    let wanted = (rows * head.outputs, rows * head.channels);
    assert!((y, x) == wanted, "head: y, x have {:?} numbers, not {wanted:?}", (y, x));
}

/// Rows whose last register is not whole.
struct Part {
    to: *mut f32,
    columns: usize,
}

impl<V: Vector> Finish<V> for Part {
    #[inline(always)]
    unsafe fn finish<const NV: usize>(&self, r: usize, j: usize, sums: [V; NV]) {
        for i in 0..NV {
            let first = (j + i) * V::LANES;
            // SAFETY: as the caller vouches; what is behind the last column is not written.
            unsafe {
                let to = self.to.add(r * self.columns + first);
                if first + V::LANES <= self.columns {
                    sums[i].store(to);
                } else {
                    sums[i].store_part(to, self.columns - first);
                }
            }
        }
    }
}

simd! { fn forward_simd(y: &mut [f32], x: &[f32], packed: &[f32], c: usize, v: usize) = forward_body, fused; }

#[inline(always)]
fn forward_body<V: Vector>(y: &mut [f32], x: &[f32], packed: &[f32], c: usize, v: usize) {
    let columns = v.next_multiple_of(V::LANES);
    let (x, w) = (Table { at: x.as_ptr(), stride: c }, Table { at: packed.as_ptr(), stride: columns });
    let rows = 0..y.len() / v;
    // SAFETY: `forward` saw that all of it is there.
    unsafe { each_register::<V>(&rows, c, columns, x, w, &Part { to: y.as_mut_ptr(), columns: v }) }
}

simd! {
    fn backward_simd(
        dx: &mut [f32], accumulate: bool, dw: &mut [f32], dy: &[f32], x: &[f32], w: &[f32], sizes: (usize, usize),
    ) = backward_body, fused;
}

#[inline(always)]
fn backward_body<V: Vector>(
    dx: &mut [f32],
    accumulate: bool,
    dw: &mut [f32],
    dy: &[f32],
    x: &[f32],
    w: &[f32],
    (c, v): (usize, usize),
) {
    let rows = 0..dy.len() / v;
    let (dy, w) = (Table { at: dy.as_ptr(), stride: v }, Table { at: w.as_ptr(), stride: c });
    let (x, to) = (Table { at: x.as_ptr(), stride: c }, dx.as_mut_ptr());
    // SAFETY: `backward` saw that all of it is there.
    unsafe {
        outer_any::<V>(&rows, (v, c), dy, x, dw.as_mut_ptr());
        match (c == V::LANES, accumulate) {
            (true, false) => each_row::<V, 1>(&rows, v, dy, w, &Write { to, stride: c }),
            (true, true) => each_row::<V, 1>(&rows, v, dy, w, &Onto(to)),
            (false, false) => each_row::<V, 2>(&rows, v, dy, w, &Write { to, stride: c }),
            (false, true) => each_row::<V, 2>(&rows, v, dy, w, &Onto(to)),
        }
    }
}
