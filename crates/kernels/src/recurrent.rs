//! Recurrent cells over several documents at once, position by position: then U h of all documents is one product.
//!
//! ```text
//! rnn   h' = tanh(x + a)
//! gru   r = sigmoid(x_r + a_r), z = sigmoid(x_z + a_z), n = tanh(x_n + r a_n), h' = (1 - z) n + z h
//! ```
//!
//! where a = U h + c, h is the state of the row before (0 at first), and a GRU's gates stand side by side: r, z, n.
//!
//! What is kept for the way back stands in the order in which it is computed: the first rows of all documents, then the
//! second rows of those that have one, and so on.

use crate::attention::{Rows, Segment};
use crate::vector::Vector;
use crate::{math, matmul, slices};

/// How a state follows from the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Elman, 1990.
    Rnn,
    /// Cho et al., 2014, in PyTorch's form.
    Gru,
}

impl Cell {
    /// G: how many numbers come in for each of the state.
    pub fn gates(self) -> usize {
        match self {
            Cell::Rnn => 1,
            Cell::Gru => 3,
        }
    }
}

/// A cell and the documents that it goes through. In training `past` of each is 0.
#[derive(Clone, Copy, Debug)]
pub struct Recurrence<'a> {
    /// Which cell.
    pub cell: Cell,
    /// U, `[G C, C]`.
    pub u: &'a [f32],
    /// C: numbers of a state.
    pub channels: usize,
    /// Rows `q_start .. q_start + q_len` are a document.
    pub segments: &'a [Segment],
}

/// The definitions, in plain loops.
pub mod naive {
    use super::{Cell, Recurrence};

    fn sigmoid(x: f32) -> f32 {
        1.0 / (1.0 + (-x).exp())
    }

    /// What channel `o` of all gates' hears of the state `h`: c + U h.
    fn heard(this: &Recurrence<'_>, bias: &[f32], h: &[f32], o: usize) -> f32 {
        bias[o] + (0..this.channels).map(|i| this.u[o * this.channels + i] * h[i]).sum::<f32>()
    }

    /// See [`forward`](super::forward); `begin` has a state for each document.
    pub fn forward(this: &Recurrence<'_>, y: &mut [f32], x: &[f32], bias: &[f32], begin: &[f32]) {
        let (c, g) = (this.channels, this.cell.gates());
        for (i, s) in this.segments.iter().enumerate() {
            let mut h = begin[i * c..(i + 1) * c].to_vec();
            for row in s.q_start..s.q_start + s.q_len {
                let x = &x[row * g * c..(row + 1) * g * c];
                let a: Vec<f32> = (0..g * c).map(|o| heard(this, bias, &h, o)).collect();
                h = (0..c)
                    .map(|j| match this.cell {
                        Cell::Rnn => (x[j] + a[j]).tanh(),
                        Cell::Gru => {
                            let (r, z) = (sigmoid(x[j] + a[j]), sigmoid(x[c + j] + a[c + j]));
                            let n = (x[2 * c + j] + r * a[2 * c + j]).tanh();
                            (1.0 - z) * n + z * h[j]
                        }
                    })
                    .collect();
                y[row * c..(row + 1) * c].copy_from_slice(&h);
            }
        }
    }

    /// See [`backward`](super::backward); every document begins with a state of 0.
    pub fn backward(
        this: &Recurrence<'_>,
        dx: &mut [f32],
        [du, dc]: [&mut [f32]; 2],
        dy: &mut [f32],
        x: &[f32],
        y: &[f32],
        bias: &[f32],
    ) {
        let (c, g) = (this.channels, this.cell.gates());
        for s in this.segments {
            for row in (s.q_start..s.q_start + s.q_len).rev() {
                let first = row == s.q_start;
                let h = if first { vec![0.0; c] } else { y[(row - 1) * c..row * c].to_vec() };
                let x = &x[row * g * c..(row + 1) * g * c];
                let mut da = vec![0.0; g * c];
                let mut dh = vec![0.0; c];
                for j in 0..c {
                    let dy = dy[row * c + j];
                    match this.cell {
                        Cell::Rnn => {
                            da[j] = dy * (1.0 - y[row * c + j] * y[row * c + j]);
                            dx[row * c + j] += da[j];
                        }
                        Cell::Gru => {
                            let a = |gate: usize| heard(this, bias, &h, gate * c + j);
                            let (r, z) = (sigmoid(x[j] + a(0)), sigmoid(x[c + j] + a(1)));
                            let n = (x[2 * c + j] + r * a(2)).tanh();
                            let dn = dy * (1.0 - z) * (1.0 - n * n);
                            da[j] = dn * a(2) * r * (1.0 - r);
                            da[c + j] = dy * (h[j] - n) * z * (1.0 - z);
                            da[2 * c + j] = dn * r;
                            dh[j] = dy * z;
                            for (gate, d) in [da[j], da[c + j], dn].into_iter().enumerate() {
                                dx[row * g * c + gate * c + j] += d;
                            }
                        }
                    }
                }
                for o in 0..g * c {
                    dc[o] += da[o];
                    for i in 0..c {
                        du[o * c + i] += da[o] * h[i];
                        dh[i] += da[o] * this.u[o * c + i];
                    }
                }
                if !first {
                    (0..c).for_each(|i| dy[(row - 1) * c + i] += dh[i]);
                }
            }
        }
    }
}

impl Recurrence<'_> {
    /// How many numbers [`forward`] keeps for the way back, over `rows` rows: states before, gates, and a GRU's n.
    pub fn kept_len(&self, rows: usize) -> usize {
        rows * self.channels * (1 + self.cell.gates() + usize::from(self.cell == Cell::Gru))
    }

    /// How many numbers [`backward`] makes its notes in; never more than are kept.
    pub fn scratch_len(&self, rows: usize) -> usize {
        rows * self.channels * (1 + self.cell.gates())
    }

    fn longest(&self) -> usize {
        self.segments.iter().map(|s| s.q_len).max().unwrap_or(0)
    }

    /// Where the row of each document that has so many stands, position `p`.
    fn at(&self, p: usize) -> impl Iterator<Item = usize> + '_ {
        self.segments.iter().filter(move |s| s.q_len > p).map(move |s| s.q_start + p)
    }

    fn check(&self, x: usize, c: usize, y: usize) -> usize {
        let rows: usize = self.segments.iter().map(|s| s.q_len).sum();
        let wide = self.channels * self.cell.gates();
        let found = (self.u.len(), x, c, y);
        let expected = (wide * self.channels, rows * wide, wide, rows * self.channels);
        assert!(found == expected, "recurrent: expected u, x, c, y of {expected:?}, found {found:?}");
        rows
    }
}

/// The state of each row. `memory` has those of earlier rows, which documents with a past go on from.
///
/// Shapes: y `[T, C]`, x `[T, G C]`, bias `[G C]`, kept `kept_len(T)`.
///
/// # Panics
/// If a slice is not of its shape, or the documents do not cover the rows.
pub fn forward(
    this: &Recurrence<'_>,
    y: &mut [f32],
    kept: &mut [f32],
    x: &[f32],
    bias: &[f32],
    memory: Option<Rows<'_>>,
) {
    let (c, wide) = (this.channels, this.channels * this.cell.gates());
    let rows = this.check(x.len(), bias.len(), y.len());
    assert_eq!(kept.len(), this.kept_len(rows), "recurrent: what is kept of {rows} rows");
    let (states, rest) = kept.split_at_mut(rows * c);
    let (gates, news) = rest.split_at_mut(rows * wide);
    let mut first = 0;
    for p in 0..this.longest() {
        let mut end = first;
        for s in this.segments.iter().filter(|s| s.q_len > p) {
            let h = &mut states[end * c..(end + 1) * c];
            match &memory {
                _ if p > 0 => h.copy_from_slice(&y[(s.q_start + p - 1) * c..(s.q_start + p) * c]),
                Some(memory) if s.past > 0 => h.copy_from_slice(&memory.row(s.kv_start + s.past - 1)[..c]),
                _ => h.fill(0.0),
            }
            end += 1;
        }
        let (h, gates) = (&states[first * c..end * c], &mut gates[first * wide..end * wide]);
        slices::fill_rows(gates, bias);
        matmul::linear(gates, h, this.u, end - first, c, wide, true);
        match this.cell {
            Cell::Rnn => rnn_simd(this, p, y, gates, x),
            Cell::Gru => gru_simd(this, p, y, gates, &mut news[first * c..end * c], h, x),
        }
        first = end;
    }
}

simd! { fn rnn_simd(this: &Recurrence<'_>, p: usize, y: &mut [f32], gates: &[f32], x: &[f32]) = rnn_body; }

#[inline(always)]
fn rnn_body<V: Vector>(this: &Recurrence<'_>, p: usize, y: &mut [f32], gates: &[f32], x: &[f32]) {
    let c = this.channels;
    for (row, a) in this.at(p).zip(gates.chunks_exact(c)) {
        let (y, x) = (&mut y[row * c..(row + 1) * c], &x[row * c..(row + 1) * c]);
        for i in (0..c).step_by(V::LANES) {
            math::tanh(V::read(&x[i..]) + V::read(&a[i..])).write(&mut y[i..]);
        }
    }
}

simd! {
    fn gru_simd(
        this: &Recurrence<'_>,
        p: usize,
        y: &mut [f32],
        gates: &mut [f32],
        news: &mut [f32],
        h: &[f32],
        x: &[f32],
    ) = gru_body;
}

/// Leaves r and z where their sums were, and n in `news`.
#[inline(always)]
fn gru_body<V: Vector>(
    this: &Recurrence<'_>,
    p: usize,
    y: &mut [f32],
    gates: &mut [f32],
    news: &mut [f32],
    h: &[f32],
    x: &[f32],
) {
    let c = this.channels;
    let rows = gates.chunks_exact_mut(3 * c).zip(news.chunks_exact_mut(c)).zip(h.chunks_exact(c));
    for (row, ((gates, n), h)) in this.at(p).zip(rows) {
        let (y, x) = (&mut y[row * c..(row + 1) * c], &x[row * 3 * c..(row + 1) * 3 * c]);
        let (gate_r, rest) = gates.split_at_mut(c);
        let (gate_z, a) = rest.split_at_mut(c);
        let (x_r, x_z, x_n) = (&x[..c], &x[c..2 * c], &x[2 * c..]);
        for i in (0..c).step_by(V::LANES) {
            let r = math::sigmoid(V::read(&x_r[i..]) + V::read(&gate_r[i..]));
            let z = math::sigmoid(V::read(&x_z[i..]) + V::read(&gate_z[i..]));
            let new = math::tanh(r.fma(V::read(&a[i..]), V::read(&x_n[i..])));
            r.write(&mut gate_r[i..]);
            z.write(&mut gate_z[i..]);
            new.write(&mut n[i..]);
            z.fma(V::read(&h[i..]) - new, new).write(&mut y[i..]);
        }
    }
}

/// The gradients of [`forward`], added to dx, du and dc, from the last position to the first. dy, that of each state,
/// becomes the whole: what comes of it directly, and by way of the states after it.
///
/// `kept` is what forward kept; `scratch` has `scratch_len(T)` numbers.
///
/// # Panics
/// If a slice is not of its shape.
pub fn backward(
    this: &Recurrence<'_>,
    dx: &mut [f32],
    [du, dc]: [&mut [f32]; 2],
    dy: &mut [f32],
    y: &[f32],
    kept: &[f32],
    scratch: &mut [f32],
) {
    let (c, wide) = (this.channels, this.channels * this.cell.gates());
    let rows = this.check(dx.len(), dc.len(), dy.len());
    let found = (y.len(), kept.len(), scratch.len());
    assert_eq!(found, (rows * c, this.kept_len(rows), this.scratch_len(rows)), "recurrent: {rows} rows");
    let (states, rest) = kept.split_at(rows * c);
    let (gates, news) = rest.split_at(rows * wide);
    let (da, dh) = scratch.split_at_mut(rows * wide);
    let mut end = rows;
    for p in (0..this.longest()).rev() {
        let count = this.at(p).count();
        let first = end - count;
        let da = &mut da[first * wide..end * wide];
        match this.cell {
            Cell::Rnn => rnn_back_simd(this, p, da, dx, dy, y),
            Cell::Gru => {
                let (h, gates) = (&states[first * c..end * c], &gates[first * wide..end * wide]);
                gru_back_simd(this, p, da, dx, dy, gates, &news[first * c..end * c], h);
            }
        }
        if p > 0 {
            let dh = &mut dh[..count * c];
            matmul::linear_dx(dh, da, this.u, count, c, wide, false);
            for (row, dh) in this.at(p).zip(dh.chunks_exact(c)) {
                slices::add_into(&mut dy[(row - 1) * c..row * c], dh);
            }
        }
        end = first;
    }
    matmul::linear_dw(du, da, states, rows, c, wide, true);
    slices::sum_rows(dc, da);
}

simd! {
    fn rnn_back_simd(this: &Recurrence<'_>, p: usize, da: &mut [f32], dx: &mut [f32], dy: &[f32], y: &[f32])
        = rnn_back_body;
}

#[inline(always)]
fn rnn_back_body<V: Vector>(
    this: &Recurrence<'_>,
    p: usize,
    da: &mut [f32],
    dx: &mut [f32],
    dy: &[f32],
    y: &[f32],
) {
    let c = this.channels;
    for (row, da) in this.at(p).zip(da.chunks_exact_mut(c)) {
        let here = row * c..(row + 1) * c;
        let (dx, dy, y) = (&mut dx[here.clone()], &dy[here.clone()], &y[here]);
        for i in (0..c).step_by(V::LANES) {
            let y = V::read(&y[i..]);
            let d = V::read(&dy[i..]) * y.fnma(y, V::splat(1.0));
            d.write(&mut da[i..]);
            (V::read(&dx[i..]) + d).write(&mut dx[i..]);
        }
    }
}

simd! {
    fn gru_back_simd(
        this: &Recurrence<'_>,
        p: usize,
        da: &mut [f32],
        dx: &mut [f32],
        dy: &mut [f32],
        gates: &[f32],
        news: &[f32],
        h: &[f32],
    ) = gru_back_body;
}

/// Hands on, too, what the state before gets past the gates: z dy.
#[inline(always)]
fn gru_back_body<V: Vector>(
    this: &Recurrence<'_>,
    p: usize,
    da: &mut [f32],
    dx: &mut [f32],
    dy: &mut [f32],
    gates: &[f32],
    news: &[f32],
    h: &[f32],
) {
    let (c, one) = (this.channels, V::splat(1.0));
    let kept = gates.chunks_exact(3 * c).zip(news.chunks_exact(c)).zip(h.chunks_exact(c));
    for ((row, da), ((gates, n), h)) in this.at(p).zip(da.chunks_exact_mut(3 * c)).zip(kept) {
        let (earlier, dy) = dy.split_at_mut(row * c);
        let (dy, mut before) = (&dy[..c], if p > 0 { Some(&mut earlier[(row - 1) * c..]) } else { None });
        let (da_r, rest) = da.split_at_mut(c);
        let (da_z, da_n) = rest.split_at_mut(c);
        let (dx_r, rest) = dx[row * 3 * c..(row + 1) * 3 * c].split_at_mut(c);
        let (dx_z, dx_n) = rest.split_at_mut(c);
        let (gate_r, gate_z, a) = (&gates[..c], &gates[c..2 * c], &gates[2 * c..]);
        for i in (0..c).step_by(V::LANES) {
            let (r, z) = (V::read(&gate_r[i..c]), V::read(&gate_z[i..c]));
            let (n, dy) = (V::read(&n[i..]), V::read(&dy[i..]));
            let dn = dy * (one - z) * n.fnma(n, one);
            let dr = dn * V::read(&a[i..]) * r * (one - r);
            let dz = dy * (V::read(&h[i..]) - n) * z * (one - z);
            for (da, dx, heard, came) in [
                (&mut *da_r, &mut *dx_r, dr, dr),
                (&mut *da_z, &mut *dx_z, dz, dz),
                (&mut *da_n, &mut *dx_n, dn * r, dn),
            ] {
                heard.write(&mut da[i..]);
                (V::read(&dx[i..]) + came).write(&mut dx[i..]);
            }
            if let Some(before) = &mut before {
                z.fma(dy, V::read(&before[i..c])).write(&mut before[i..c]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::at_each;
    use crate::test::{assert_close, numbers};

    fn segments(lengths: &[usize]) -> Vec<Segment> {
        let mut q_start = 0;
        let segment = |&q_len: &usize| {
            q_start += q_len;
            Segment { q_start: q_start - q_len, q_len, kv_start: q_start - q_len, past: 0 }
        };
        lengths.iter().map(segment).collect()
    }

    const SHAPES: [(&[usize], usize); 7] = [
        (&[1], 1),
        (&[3], 5),
        (&[2, 4], 16),
        (&[5, 0, 1, 3], 7),
        (&[4, 4], 33),
        (&[1, 9, 2, 6], 20),
        (&[7], 64),
    ];

    #[test]
    fn states_and_gradients_are_their_definitions() {
        at_each(|level| {
            for (cell, (lengths, c)) in
                [Cell::Rnn, Cell::Gru].into_iter().flat_map(|cell| SHAPES.map(|s| (cell, s)))
            {
                let what = format!("{level:?} {cell:?} {lengths:?} of {c}");
                let (segments, wide) = (segments(lengths), c * cell.gates());
                let t: usize = lengths.iter().sum();
                let u: Vec<f32> = numbers(wide * c, 1).iter().map(|u| u / (c as f32).sqrt()).collect();
                let (x, bias) = (numbers(t * wide, 2), numbers(wide, 3));
                let this = Recurrence { cell, u: &u, channels: c, segments: &segments };
                let (mut y, mut kept) = (vec![7.0; t * c], vec![7.0; this.kept_len(t)]);
                let mut wanted = y.clone();
                forward(&this, &mut y, &mut kept, &x, &bias, None);
                naive::forward(&this, &mut wanted, &x, &bias, &vec![0.0; lengths.len() * c]);
                assert_close(&y, &wanted, 1e-6, &what);

                let dy = numbers(t * c, 4);
                let mut found = [numbers(t * wide, 5), numbers(wide * c, 6), numbers(wide, 7), dy];
                let mut wanted = found.clone();
                let mut scratch = vec![7.0; this.scratch_len(t)];
                let [dx, du, dc, dy] = &mut found;
                backward(&this, dx, [du, dc], dy, &y, &kept, &mut scratch);
                let [dx, du, dc, dy] = &mut wanted;
                naive::backward(&this, dx, [du, dc], dy, &x, &y, &bias);
                for (i, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
                    assert_close(found, wanted, 1e-5, &format!("gradient {i}: {what}"));
                }
            }
        });
    }

    #[test]
    fn documents_go_on_from_what_is_remembered() {
        for (cell, c) in [(Cell::Rnn, 5), (Cell::Gru, 5), (Cell::Gru, 16)] {
            let wide = c * cell.gates();
            let (u, bias, memory) = (numbers(wide * c, 1), numbers(wide, 2), numbers(20 * c, 3));
            let segments = [
                Segment { q_start: 0, q_len: 2, kv_start: 4, past: 3 },
                Segment { q_start: 2, q_len: 1, kv_start: 12, past: 0 },
                Segment { q_start: 3, q_len: 3, kv_start: 15, past: 1 },
            ];
            let x = numbers(6 * wide, 4);
            let this = Recurrence { cell, u: &u, channels: c, segments: &segments };
            let (mut y, mut wanted, mut kept) =
                (vec![7.0; 6 * c], vec![7.0; 6 * c], vec![7.0; this.kept_len(6)]);
            let rows = Rows { data: &memory, offset: 2, stride: c };
            forward(&this, &mut y, &mut kept, &x, &bias, Some(rows));
            let begin = [&rows.row(6)[..c], &vec![0.0; c], &rows.row(15)[..c]].concat();
            naive::forward(&this, &mut wanted, &x, &bias, &begin);
            assert_close(&y, &wanted, 1e-6, &format!("{cell:?} of {c}"));
        }
    }
}
