//! Dropout: numbers that fall out by chance, the same at every level and in every precision.
//!
//! Chance is a hash of a row's key and the channel, so a mask is nowhere kept, and no generator has a state.

use crate::vector::Vector;

/// The definitions, in plain loops.
pub mod naive {
    use super::stays;

    /// See [`forward`](super::forward).
    pub fn forward(y: &mut [f32], x: &[f32], key: u32, rate: f64) {
        for c in 0..x.len() {
            y[c] = if stays(key, c, rate) { x[c] * (1.0 / (1.0 - rate)) as f32 } else { 0.0 };
        }
    }

    /// See [`backward`](super::backward).
    pub fn backward(dx: &mut [f32], dy: &[f32], key: u32, rate: f64) {
        for c in 0..dy.len() {
            dx[c] += if stays(key, c, rate) { dy[c] * (1.0 / (1.0 - rate)) as f32 } else { 0.0 };
        }
    }
}

/// Does number `c` of the row of this key stay? Of many, the part `rate` does not.
#[inline]
pub fn stays(key: u32, c: usize, rate: f64) -> bool {
    hash(key, c as u32) >= threshold(rate)
}

/// Below it a number falls out.
#[inline(always)]
fn threshold(rate: f64) -> u32 {
    (rate * 4_294_967_296.0) as u32
}

/// 32 bits that depend on all bits of both: the mixer `lowbias32` of C. Wellons' "Prospecting for hash functions" (2018).
#[inline(always)]
fn hash(key: u32, c: u32) -> u32 {
    let x = key ^ c.wrapping_mul(0x9e37_79b9);
    let x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    let x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// `y[c] = x[c] / (1 - rate)` where number c stays, else 0; for one row.
///
/// # Panics
/// If the lengths differ.
pub fn forward(y: &mut [f32], x: &[f32], key: u32, rate: f64) {
    assert!(y.len() == x.len(), "dropout: y has {} numbers, x {}", y.len(), x.len());
    forward_simd(y, x, key, threshold(rate), (1.0 / (1.0 - rate)) as f32)
}

/// `dx[c] += dy[c] / (1 - rate)` where number c stayed.
///
/// # Panics
/// If the lengths differ.
pub fn backward(dx: &mut [f32], dy: &[f32], key: u32, rate: f64) {
    assert!(dx.len() == dy.len(), "dropout: dx has {} numbers, dy {}", dx.len(), dy.len());
    backward_simd(dx, dy, key, threshold(rate), (1.0 / (1.0 - rate)) as f32)
}

// Whole numbers have no `Vector`: plain loops, which the compiler makes wide with the instructions of the level.
simd! { fn forward_simd(y: &mut [f32], x: &[f32], key: u32, threshold: u32, scale: f32) = forward_body; }

#[inline(always)]
fn forward_body<V: Vector>(y: &mut [f32], x: &[f32], key: u32, threshold: u32, scale: f32) {
    for (c, (y, x)) in y.iter_mut().zip(x).enumerate() {
        *y = if hash(key, c as u32) >= threshold { x * scale } else { 0.0 };
    }
}

simd! { fn backward_simd(dx: &mut [f32], dy: &[f32], key: u32, threshold: u32, scale: f32) = backward_body; }

#[inline(always)]
fn backward_body<V: Vector>(dx: &mut [f32], dy: &[f32], key: u32, threshold: u32, scale: f32) {
    for (c, (dx, dy)) in dx.iter_mut().zip(dy).enumerate() {
        *dx += if hash(key, c as u32) >= threshold { dy * scale } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::at_each;
    use crate::test::{assert_close, numbers};

    #[test]
    fn dropout_is_its_definition() {
        at_each(|level| {
            for (n, rate) in [(0, 0.1), (1, 0.5), (7, 0.9), (16, 0.0), (33, 0.3), (200, 0.1)] {
                let (x, what) = (numbers(n, 1), format!("{level:?} {n} {rate}"));
                let (mut y, mut y2) = (vec![7.0; n], vec![0.0; n]);
                forward(&mut y, &x, 77, rate);
                naive::forward(&mut y2, &x, 77, rate);
                assert_eq!(y, y2, "{what}");
                let (mut dx, mut dx2) = (numbers(n, 2), numbers(n, 2));
                backward(&mut dx, &x, 77, rate);
                naive::backward(&mut dx2, &x, 77, rate);
                assert_close(&dx, &dx2, 1e-6, &what);
            }
        });
    }

    #[test]
    fn so_many_fall_out_and_they_have_nothing_to_do_with_each_other() {
        let n = 1000;
        let stay = |key: u32, c: usize| usize::from(stays(key, c, 0.25));
        let all: usize = (0..n).flat_map(|key| (0..n).map(move |c| stay(key as u32, c))).sum();
        assert!((748_000..752_000).contains(&all), "{all} of a million stay");
        // Neighbours in a row and in a column both stay as often as two that are independent: 0.75^2.
        let rows: usize =
            (0..n).map(|i| (0..n).map(|c| stay(i as u32, c) * stay(i as u32, c + 1)).sum::<usize>()).sum();
        let cols: usize =
            (0..n).map(|i| (0..n).map(|c| stay(i as u32, c) * stay(i as u32 + 1, c)).sum::<usize>()).sum();
        assert!((560_000..565_000).contains(&rows) && (560_000..565_000).contains(&cols), "{rows} {cols}");
    }
}
