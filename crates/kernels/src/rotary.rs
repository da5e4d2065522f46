//! Rotary positions: pairs of numbers of a head turned by an angle that grows with the position.
//!
//! `(a, b) -> (a cos - b sin, b cos + a sin)`; number j of a head is paired with number `j + D/2`.

use crate::attention::{Place, Rows};
use crate::vector::Vector;

/// The definition, in plain loops.
pub mod naive {
    use super::{Place, Rows};

    /// See [`turn`](super::turn).
    pub fn turn(
        y: &mut [f32],
        to: Place,
        x: Rows<'_>,
        turns: &[f32],
        positions: &[u32],
        heads: usize,
        d: usize,
    ) {
        for (r, &p) in positions.iter().enumerate() {
            for (h, j) in (0..heads).flat_map(|h| (0..d / 2).map(move |j| (h, j))) {
                let (cos, sin) = (turns[p as usize * d + j], turns[p as usize * d + d / 2 + j]);
                let (a, b) = (x.row(r)[h * d + j], x.row(r)[h * d + d / 2 + j]);
                y[to.at(r) + h * d + j] = a * cos - b * sin;
                y[to.at(r) + h * d + d / 2 + j] = b * cos + a * sin;
            }
        }
    }
}

/// Turns the pairs of each head of row r by the angles of position `positions[r]`.
///
/// Shapes: x, and y at `to`, `[T, heads D]`; turns `[positions, D]`: the cosines of the D/2 angles, then their sines.
///
/// # Panics
/// If D is odd, a row reaches behind the end of its slice, or `turns` lacks a position.
pub fn turn(y: &mut [f32], to: Place, x: Rows<'_>, turns: &[f32], positions: &[u32], heads: usize, d: usize) {
    check(d);
    forward(y, to, x, turns, positions, heads, d)
}

/// The gradient of [`turn`]: adds dy, turned back, to dx. The rows of dx are at `to`, those of dy at `from`.
///
/// # Panics
/// As [`turn`].
pub fn turn_back(
    dx: &mut [f32],
    to: Place,
    dy: Rows<'_>,
    turns: &[f32],
    positions: &[u32],
    heads: usize,
    d: usize,
) {
    check(d);
    backward(dx, to, dy, turns, positions, heads, d)
}

fn check(d: usize) {
    assert!(d.is_multiple_of(2), "rotary: pairs of a head of {d}");
}

simd! {
    fn forward(
        y: &mut [f32], to: Place, x: Rows<'_>, turns: &[f32], positions: &[u32], heads: usize, d: usize,
    ) = forward_body;
}

#[inline(always)]
fn forward_body<V: Vector>(
    y: &mut [f32],
    to: Place,
    x: Rows<'_>,
    turns: &[f32],
    positions: &[u32],
    heads: usize,
    d: usize,
) {
    each_pair::<V>(y, to, x, turns, positions, heads, d, |a, b, cos, sin, _| {
        (b.fnma(sin, a * cos), a.fma(sin, b * cos))
    })
}

simd! {
    fn backward(
        dx: &mut [f32], to: Place, dy: Rows<'_>, turns: &[f32], positions: &[u32], heads: usize, d: usize,
    ) = backward_body;
}

#[inline(always)]
fn backward_body<V: Vector>(
    dx: &mut [f32],
    to: Place,
    dy: Rows<'_>,
    turns: &[f32],
    positions: &[u32],
    heads: usize,
    d: usize,
) {
    each_pair::<V>(dx, to, dy, turns, positions, heads, d, |a, b, cos, sin, (da, db)| {
        (b.fma(sin, a.fma(cos, da)), a.fnma(sin, b.fma(cos, db)))
    })
}

/// `(y[a], y[b]) = f(x[a], x[b], cos, sin, (y[a], y[b]))` for every pair, a register of pairs at a time.
#[inline(always)]
fn each_pair<V: Vector>(
    y: &mut [f32],
    to: Place,
    x: Rows<'_>,
    turns: &[f32],
    positions: &[u32],
    heads: usize,
    d: usize,
    f: impl Fn(V, V, V, V, (V, V)) -> (V, V),
) {
    let half = d / 2;
    for (r, &p) in positions.iter().enumerate() {
        let (cos, sin) = turns[p as usize * d..][..d].split_at(half);
        let x = &x.row(r)[..heads * d];
        let y = &mut y[to.at(r)..][..heads * d];
        for (x, y) in x.chunks_exact(d.max(1)).zip(y.chunks_exact_mut(d.max(1))) {
            let ((xa, xb), (ya, yb)) = (x.split_at(half), y.split_at_mut(half));
            for j in (0..half).step_by(V::LANES) {
                let old = (V::read(&ya[j..]), V::read(&yb[j..]));
                let read = |s: &[f32]| V::read(&s[j..]);
                let (a, b) = f(read(xa), read(xb), read(cos), read(sin), old);
                a.write(&mut ya[j..]);
                b.write(&mut yb[j..]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::at_each;
    use crate::test::{assert_close, numbers};

    /// Backwards is forwards with the sines turned round, added to what is there.
    #[test]
    fn turning_is_its_definition() {
        for (heads, d) in [(1, 2), (4, 4), (3, 6), (2, 32), (2, 40), (1, 64)] {
            let (t, width) = (5, heads * d);
            let positions = [0, 3, 1, 8, 2];
            let (x, there) = (numbers(t * (width + 3), 1), numbers(t * (width + 1), 2));
            let turns: Vec<f32> = (0..9 * d).map(|i| (i as f32).sin()).collect();
            let back: Vec<f32> =
                turns.iter().enumerate().map(|(i, &x)| if i % d < d / 2 { x } else { -x }).collect();
            let rows = Rows { data: &x, offset: 3, stride: width + 3 };
            let to = Place { offset: 1, stride: width + 1 };
            let (mut wanted, mut turned_back) = (there.clone(), there.clone());
            naive::turn(&mut wanted, to, rows, &turns, &positions, heads, d);
            naive::turn(&mut turned_back, to, rows, &back, &positions, heads, d);
            for (r, c) in (0..t).flat_map(|r| (0..width).map(move |c| (r, c))) {
                turned_back[to.at(r) + c] += there[to.at(r) + c];
            }
            at_each(|level| {
                let (mut y, mut dx) = (there.clone(), there.clone());
                turn(&mut y, to, rows, &turns, &positions, heads, d);
                assert_close(&y, &wanted, 1e-6, &format!("{level:?} {heads} of {d}"));
                turn_back(&mut dx, to, rows, &turns, &positions, heads, d);
                assert_close(&dx, &turned_back, 1e-6, &format!("back, {level:?} {heads} of {d}"));
            });
        }
    }
}
