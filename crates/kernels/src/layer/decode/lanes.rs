//! As many rows as a register has lanes, turned around: lane i is about row i, and a register about one number of all of
//! them. A product is of registers with single weights, a norm needs no sum across lanes.
#![expect(unsafe_code, reason = "reads behind one check for all rows")]

use super::GROUP;
use super::forward::{Activate, Pass, inverse};
use crate::activation::{self, Activation};
use crate::layer::tile::{Finish, Table, sums};
use crate::vector::Vector;

/// `then(0, o.., sum_i w[i, o..] x[i])` for n outputs o.
///
/// # Safety
/// k rows of n weights can be read, and k registers at x.
#[inline(always)]
unsafe fn each_output<V: Vector>(n: usize, k: usize, w: Table, x: *const f32, then: &impl Finish<V>) {
    let (x, mut o) = (Table { at: x, stride: V::LANES }, 0);
    macro_rules! tiles {
        ($($mr:literal)*) => {$(
            while n - o >= $mr {
                // SAFETY: the caller vouches for all outputs; these are some of them.
                unsafe {
                    let mut at = [w.at; $mr];
                    for r in 0..$mr {
                        at[r] = w.at.add(o + r);
                    }
                    let sums = sums::<V, $mr, 1>(at, w.stride, x, k);
                    let mut row = [V::zero(); $mr];
                    for r in 0..$mr {
                        row[r] = sums[r][0];
                    }
                    then.finish(0, o, row);
                }
                o += $mr;
            }
        )*};
    }
    if V::REGISTERS >= 32 {
        tiles!(16);
    }
    tiles!(8 4 2 1);
}

/// Numbers to be written, times what norms their rows where there is such.
struct Write<V> {
    to: *mut f32,
    scale: V,
}

impl<V: Vector> Finish<V> for Write<V> {
    #[inline(always)]
    unsafe fn finish<const NV: usize>(&self, _: usize, o: usize, sums: [V; NV]) {
        for i in 0..NV {
            // SAFETY: as the caller vouches.
            unsafe { (sums[i] * self.scale).store(self.to.add((o + i) * V::LANES)) }
        }
    }
}

/// The stream, to which numbers times `scale` are added.
struct Onto<V> {
    stream: *mut f32,
    scale: V,
}

impl<V: Vector> Finish<V> for Onto<V> {
    #[inline(always)]
    unsafe fn finish<const NV: usize>(&self, _: usize, o: usize, sums: [V; NV]) {
        for i in 0..NV {
            // SAFETY: as the caller vouches.
            unsafe {
                let to = self.stream.add((o + i) * V::LANES);
                sums[i].fma(self.scale, V::load(to)).store(to);
            }
        }
    }
}

/// max(x, 0), of rows that are not normed yet: s max(x, 0) = max(s x, 0).
struct Relu(*mut f32);

impl<V: Vector> Finish<V> for Relu {
    #[inline(always)]
    unsafe fn finish<const NV: usize>(&self, _: usize, o: usize, sums: [V; NV]) {
        for i in 0..NV {
            // SAFETY: as the caller vouches.
            unsafe { activation::f(Activation::Relu, sums[i]).store(self.0.add((o + i) * V::LANES)) }
        }
    }
}

/// What norms each row.
///
/// # Safety
/// The stream has that many channels.
#[inline(always)]
unsafe fn norm<V: Vector>(stream: *const f32, channels: usize) -> V {
    let mut sums = [V::zero(); 4];
    for i in (0..channels).step_by(4) {
        for j in 0..4 {
            // SAFETY: the caller vouches for all channels.
            let x = unsafe { V::load(stream.add((i + j) * V::LANES)) };
            sums[j] = x.fma(x, sums[j]);
        }
    }
    inverse(((sums[0] + sums[1]) + (sums[2] + sums[3])) * V::splat(1.0 / channels as f32))
}

/// `to[i, o] = from[o, i]`, both whole multiples of a register.
///
/// # Safety
/// There are that many numbers.
#[inline(always)]
unsafe fn turn<V: Vector>(
    to: *mut f32,
    to_stride: usize,
    from: *const f32,
    from_stride: usize,
    o: usize,
    i: usize,
) {
    for r in (0..o).step_by(V::LANES) {
        for c in (0..i).step_by(V::LANES) {
            // SAFETY: the caller vouches for the whole.
            unsafe {
                V::transpose(from.add(r * from_stride + c), from_stride, to.add(c * to_stride + r), to_stride)
            }
        }
    }
}

simd! {
    /// As many rows as lanes.
    pub(super) fn many(pass: &Pass<'_>, logits: &mut [f32], notes: &mut [f32]) = widths, fused;
}

#[inline(always)]
fn widths<V: Vector>(pass: &Pass<'_>, logits: &mut [f32], notes: &mut [f32]) {
    if pass.plan.model.layer.channels == V::LANES {
        body::<V, 1>(pass, logits, notes)
    } else {
        body::<V, 2>(pass, logits, notes)
    }
}

#[inline(always)]
fn body<V: Vector, const NC: usize>(pass: &Pass<'_>, logits: &mut [f32], notes: &mut [f32]) {
    // A copy, which nothing that is written can change.
    let (pass, plan, c) = (*pass, pass.plan, NC * V::LANES);
    let (h, notes) = (plan.model.layer.hidden, notes.as_mut_ptr());
    // SAFETY: `super::forward` saw that every row, place and matrix is there, and room for the notes of a group.
    unsafe {
        let [stream, q, row, found, wide] = [0, 1, 2, 3, 4].map(|i| notes.add(i * GROUP * c));
        let scales = wide.add(GROUP * plan.wide);
        for l in 0..plan.model.layers {
            let ([wqkv, wo, fc1, fc2], qkv) = (pass.matrices(l, c), pass.qkv(l, q, scales, c));
            let one = V::splat(1.0);
            if l > 0 {
                let scale = norm::<V>(stream, c);
                each_output::<V>(3 * c, c, wqkv, stream, &Write { to: wide, scale });
                let rows = wide.add(3 * c * GROUP);
                turn::<V>(rows, 3 * c, wide, V::LANES, 3 * c, V::LANES);
                for r in 0..V::LANES {
                    for j in 0..3 * NC {
                        qkv.put(r, j, V::load(rows.add(r * 3 * c + j * V::LANES)));
                    }
                }
            }
            // The stream's rows, of the first layer, stand where its MLP works later.
            pass.look_each::<V, NC>(l, wide, &qkv, row);
            if l == 0 {
                turn::<V>(stream, V::LANES, wide, c, V::LANES, c);
            }
            turn::<V>(found, V::LANES, row, c, V::LANES, c);
            each_output::<V>(c, c, wo, found, &Onto { stream, scale: one });
            let mut scale = norm::<V>(stream, c);
            if plan.model.layer.activation == Activation::Relu {
                each_output::<V>(h, c, fc1, stream, &Relu(wide));
            } else {
                scale.store(scales);
                let activate = Activate { scales, active: wide, stride: 0, f: plan.model.layer.activation };
                each_output::<V>(h, c, fc1, stream, &activate);
                scale = one;
            }
            each_output::<V>(c, h, fc2, wide, &Onto { stream, scale });
        }
        let write = Write { to: logits.as_mut_ptr(), scale: V::splat(1.0) };
        each_output::<V>(plan.model.outputs, c, pass.head(), stream, &write);
    }
}
