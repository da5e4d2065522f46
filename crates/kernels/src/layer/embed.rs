//! The first thing that happens: a token's row and its position's, added and normed.
#![expect(unsafe_code, reason = "reads behind one check for all rows")]

use super::forward::{add, load, rmsnorm, store};
use crate::level;
use crate::vector::Vector;
use std::ops::Range;

/// The definitions, in plain loops.
pub mod naive {
    use crate::norm;

    /// See [`forward`](super::forward).
    pub fn forward(
        y: &mut [f32],
        inverse: &mut [f32],
        what: &[f32],
        place: &[f32],
        tokens: &[u32],
        places: &[u32],
    ) {
        let (t, c) = (tokens.len(), y.len() / tokens.len().max(1));
        let number =
            |i: usize| what[tokens[i / c] as usize * c + i % c] + place[places[i / c] as usize * c + i % c];
        let x: Vec<f32> = (0..t * c).map(number).collect();
        norm::naive::rmsnorm(y, inverse, &x, t, c);
    }

    /// See [`backward`](super::backward).
    pub fn backward(
        grads: &mut [f32],
        starts: [usize; 2],
        dy: &[f32],
        y: &[f32],
        inverse: &[f32],
        tokens: &[u32],
        places: &[u32],
    ) {
        let (t, c) = (tokens.len(), y.len() / tokens.len().max(1));
        let x: Vec<f32> = (0..t * c).map(|i| y[i] / inverse[i / c]).collect();
        let mut dx = vec![0.0; t * c];
        norm::naive::rmsnorm_backward(&mut dx, dy, &x, inverse, t, c);
        for (start, rows) in starts.into_iter().zip([tokens, places]) {
            for i in 0..t * c {
                grads[start + rows[i / c] as usize * c + i % c] += dx[i];
            }
        }
    }
}

/// Whether the kernel serves rows of `c` numbers: one or two registers.
pub fn fits(c: usize) -> bool {
    let (level, lanes) = (level::current(), level::current().lanes());
    level.fuses() && (c == lanes || c == 2 * lanes)
}

/// `y[t] = norm(what[tokens[t]] + place[places[t]])`; keeps 1 / rms.
///
/// Shapes: y `[T, C]`; inverse, tokens, places `[T]`; what, place `[_, C]`.
///
/// # Panics
/// If C is not for this kernel ([`fits`]), a slice is not of its shape, or there is no such row.
pub fn forward(
    y: &mut [f32],
    inverse: &mut [f32],
    what: &[f32],
    place: &[f32],
    tokens: &[u32],
    places: &[u32],
) {
    let t = tokens.len();
    let c = y.len() / t.max(1);
    let found = (y.len(), inverse.len(), places.len());
    assert!(t == 0 || fits(c), "embed: rows of {c}");
    assert!(found == (t * c, t, t), "embed of [{t}, {c}]: y, inverse, places have {found:?} numbers");
    inside(tokens, c, what.len());
    inside(places, c, place.len());
    forward_simd(y, inverse, what, place, tokens, places)
}

/// Is each a row of a table of `len` numbers?
fn inside(rows: &[u32], c: usize, len: usize) {
    let last = rows.iter().fold(0, |last, &row| last.max(row as usize));
    assert!(rows.is_empty() || (last + 1) * c <= len, "embed: row {last} of a table of {}", len / c);
}

simd! {
    fn forward_simd(
        y: &mut [f32], inverse: &mut [f32], what: &[f32], place: &[f32], tokens: &[u32], places: &[u32],
    ) = forward_widths, fused;
}

#[inline(always)]
fn forward_widths<V: Vector>(
    y: &mut [f32],
    inverse: &mut [f32],
    what: &[f32],
    place: &[f32],
    tokens: &[u32],
    places: &[u32],
) {
    if y.len() == V::LANES * tokens.len() {
        forward_body::<V, 1>(y, inverse, what, place, tokens, places)
    } else {
        forward_body::<V, 2>(y, inverse, what, place, tokens, places)
    }
}

#[inline(always)]
fn forward_body<V: Vector, const NC: usize>(
    y: &mut [f32],
    inverse: &mut [f32],
    what: &[f32],
    place: &[f32],
    tokens: &[u32],
    places: &[u32],
) {
    let c = NC * V::LANES;
    for (r, (&token, &position)) in tokens.iter().zip(places).enumerate() {
        // SAFETY: `forward` saw that y has all rows, and the tables every row that is named.
        unsafe {
            let a: [V; NC] = load(what.as_ptr().add(token as usize * c));
            let b: [V; NC] = load(place.as_ptr().add(position as usize * c));
            rmsnorm(add(a, b), y.as_mut_ptr().add(r * c), inverse.as_mut_ptr().add(r));
        }
    }
}

/// Adds the gradients of [`forward`] for both tables, which stand at `tables` in `grads`.
///
/// Shapes: dy, y `[T, C]`, inverse `[T]`, the last two as [`forward`] left them.
///
/// # Panics
/// As [`forward`].
pub fn backward(
    grads: &mut [f32],
    tables: [Range<usize>; 2],
    dy: &[f32],
    y: &[f32],
    inverse: &[f32],
    tokens: &[u32],
    places: &[u32],
) {
    let t = tokens.len();
    let c = y.len() / t.max(1);
    let found = (y.len(), dy.len(), inverse.len(), places.len());
    assert!(t == 0 || fits(c), "embed: rows of {c}");
    assert!(
        found == (t * c, t * c, t, t),
        "embed of [{t}, {c}]: y, dy, inverse, places have {found:?} numbers"
    );
    assert!(
        tables.iter().all(|table| table.end <= grads.len()),
        "embed: {tables:?} of {} grads",
        grads.len()
    );
    inside(tokens, c, tables[0].len());
    inside(places, c, tables[1].len());
    backward_simd(grads, tables.map(|table| table.start), dy, y, inverse, tokens, places)
}

simd! {
    fn backward_simd(
        grads: &mut [f32], starts: [usize; 2], dy: &[f32], y: &[f32], inverse: &[f32], tokens: &[u32], places: &[u32],
    ) = backward_widths, fused;
}

#[inline(always)]
fn backward_widths<V: Vector>(
    grads: &mut [f32],
    starts: [usize; 2],
    dy: &[f32],
    y: &[f32],
    inverse: &[f32],
    tokens: &[u32],
    places: &[u32],
) {
    if y.len() == V::LANES * tokens.len() {
        backward_body::<V, 1>(grads, starts, dy, y, inverse, tokens, places)
    } else {
        backward_body::<V, 2>(grads, starts, dy, y, inverse, tokens, places)
    }
}

#[inline(always)]
fn backward_body<V: Vector, const NC: usize>(
    grads: &mut [f32],
    starts: [usize; 2],
    dy: &[f32],
    y: &[f32],
    inverse: &[f32],
    tokens: &[u32],
    places: &[u32],
) {
    let c = NC * V::LANES;
    for (r, (&token, &position)) in tokens.iter().zip(places).enumerate() {
        // SAFETY: `backward` saw that y and dy have all rows, and the tables every row that is named.
        unsafe {
            let (dy, y) = (load(dy.as_ptr().add(r * c)), load(y.as_ptr().add(r * c)));
            let dx: [V; NC] = super::backward::rmsnorm_back(dy, y, V::splat(inverse[r]));
            for (start, row) in starts.into_iter().zip([token, position]) {
                let to = grads.as_mut_ptr().add(start + row as usize * c);
                let before: [V; NC] = load(to);
                store(add(before, dx), to);
            }
        }
    }
}
