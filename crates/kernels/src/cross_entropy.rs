//! Softmax, and the loss that belongs to it.

use crate::math;
use crate::vector::Vector;

/// The definitions, in plain loops.
pub mod naive {
    /// See [`softmax`](super::softmax).
    pub fn softmax(y: &mut [f32], x: &[f32], t: usize, v: usize) {
        for r in 0..t {
            let row = &x[r * v..][..v];
            let most = row.iter().fold(f32::NEG_INFINITY, |most, &x| most.max(x));
            let sum: f32 = row.iter().map(|x| (x - most).exp()).sum();
            for i in 0..v {
                y[r * v + i] = (row[i] - most).exp() / sum;
            }
        }
    }

    /// See [`cross_entropy`](super::cross_entropy).
    pub fn cross_entropy(
        losses: &mut [f32],
        dlogits: &mut [f32],
        logits: &[f32],
        targets: &[u32],
        v: usize,
        scale: f32,
    ) -> f64 {
        softmax(dlogits, logits, targets.len(), v);
        for (r, &target) in targets.iter().enumerate() {
            losses[r] = -dlogits[r * v + target as usize].ln();
            for i in 0..v {
                let wanted = if i == target as usize { 1.0 } else { 0.0 };
                dlogits[r * v + i] = (dlogits[r * v + i] - wanted) * scale;
            }
        }
        losses.iter().map(|&loss| loss as f64).sum()
    }
}

/// `y[t, i] = e^x[t, i] / sum_j e^x[t, j]`, stable for large numbers.
///
/// Shapes: y, x `[T, V]`.
///
/// # Panics
/// If a slice is not of its shape.
pub fn softmax(y: &mut [f32], x: &[f32], t: usize, v: usize) {
    let found = (y.len(), x.len());
    assert!(found == (t * v, t * v), "softmax of [{t}, {v}]: y, x have {found:?} numbers");
    if v > 0 {
        softmax_simd(y, x, v)
    }
}

/// The loss of each row, `ln(sum_j e^x[t, j]) - x[t, target]` in nats, and its gradient. Returns the sum of losses.
///
/// `dlogits = (softmax(logits) - onehot(target)) scale`; `scale` is 1/T for a mean.
///
/// Shapes: losses, targets `[T]`; logits `[T, V]`; dlogits `[T, V]`, or empty if only losses are wanted.
///
/// # Panics
/// If a slice is not of its shape, or a target is not below V.
pub fn cross_entropy(
    losses: &mut [f32],
    dlogits: &mut [f32],
    logits: &[f32],
    targets: &[u32],
    v: usize,
    scale: f32,
) -> f64 {
    let t = targets.len();
    let found = (losses.len(), logits.len());
    assert!(found == (t, t * v), "cross_entropy of [{t}, {v}]: losses, logits have {found:?} numbers");
    let room = dlogits.len();
    assert!(room == t * v || room == 0, "cross_entropy: dlogits is [{t}, {v}], but has {room} numbers");
    if let Some(target) = targets.iter().find(|&&target| target as usize >= v) {
        panic!("cross_entropy: target {target} is not below V = {v}");
    }
    if t > 0 {
        losses_simd(losses, dlogits, logits, targets, v, scale);
    }
    losses.iter().map(|&loss| loss as f64).sum()
}

/// As [`Vector::read`], with `fill` behind the end.
#[inline(always)]
fn read_or<V: Vector>(s: &[f32], fill: f32) -> V {
    if s.len() >= V::LANES {
        V::read(s)
    } else {
        V::if_gt(V::splat(s.len() as f32), V::iota(), V::read(s), V::splat(fill))
    }
}

/// The largest of a row, and the sum of `e^(x - largest)`; these powers go to `y`, if there is room.
#[inline(always)]
fn powers<V: Vector>(y: &mut [f32], x: &[f32]) -> (f32, f32) {
    let below = f32::NEG_INFINITY;
    let mut most = V::splat(below);
    for x in x.chunks(V::LANES) {
        most = read_or::<V>(x, below).max(most);
    }
    let largest = most.max_lane();
    let (most, mut sum) = (V::splat(largest), V::zero());
    for (at, x) in x.chunks(V::LANES).enumerate() {
        let power = math::weight(read_or::<V>(x, below) - most);
        sum = sum + power;
        let at = at * V::LANES;
        if let Some(y) = y.get_mut(at..at + x.len()) {
            power.write(y);
        }
    }
    (largest, sum.sum())
}

simd! { fn softmax_simd(y: &mut [f32], x: &[f32], v: usize) = softmax_body; }

#[inline(always)]
fn softmax_body<V: Vector>(y: &mut [f32], x: &[f32], v: usize) {
    for (y, x) in y.chunks_exact_mut(v).zip(x.chunks_exact(v)) {
        let (_, sum) = powers::<V>(y, x);
        let share = V::splat(1.0 / sum);
        for y in y.chunks_mut(V::LANES) {
            (V::read(y) * share).write(y);
        }
    }
}

simd! {
    fn losses_simd(losses: &mut [f32], dlogits: &mut [f32], logits: &[f32], targets: &[u32], v: usize, scale: f32) = losses_body;
}

#[inline(always)]
fn losses_body<V: Vector>(
    losses: &mut [f32],
    dlogits: &mut [f32],
    logits: &[f32],
    targets: &[u32],
    v: usize,
    scale: f32,
) {
    for (r, (x, &target)) in logits.chunks_exact(v).zip(targets).enumerate() {
        let slope = dlogits.get_mut(r * v..(r + 1) * v).unwrap_or_default();
        losses[r] = match v.div_ceil(V::LANES) {
            1 => short::<V, 1>(slope, x, target, scale),
            2 => short::<V, 2>(slope, x, target, scale),
            3 => short::<V, 3>(slope, x, target, scale),
            4 => short::<V, 4>(slope, x, target, scale),
            _ => long::<V>(slope, x, target, scale),
        };
    }
}

/// A row that fits in N registers: read once, written once.
#[inline(always)]
fn short<V: Vector, const N: usize>(slope: &mut [f32], x: &[f32], target: u32, scale: f32) -> f32 {
    let below = f32::NEG_INFINITY;
    let mut powers = [V::splat(below); N];
    let mut most = V::splat(below);
    for j in 0..N {
        let x = &x[j * V::LANES..];
        powers[j] = if j < N - 1 { V::read(x) } else { read_or(x, below) };
        most = powers[j].max(most);
    }
    let largest = most.max_lane();
    let (most, mut sum) = (V::splat(largest), V::zero());
    for power in &mut powers {
        *power = math::weight(*power - most);
        sum = sum + *power;
    }
    let sum = sum.total();
    if !slope.is_empty() {
        let (share, full, half) = (V::splat(scale) / sum, V::splat(scale), V::splat(0.5));
        for j in 0..N {
            let away = (V::iota() - V::splat(target as f32 - (j * V::LANES) as f32)).abs();
            let wanted = V::if_gt(half, away, full, V::zero());
            (powers[j] * share - wanted).write(&mut slope[j * V::LANES..]);
        }
    }
    (math::ln(sum) + V::splat(largest - x[target as usize])).first()
}

/// A row of any length.
#[inline(always)]
fn long<V: Vector>(slope: &mut [f32], x: &[f32], target: u32, scale: f32) -> f32 {
    let (largest, sum) = powers::<V>(slope, x);
    if !slope.is_empty() {
        let share = V::splat(scale / sum);
        for y in slope.chunks_mut(V::LANES) {
            (V::read(y) * share).write(y);
        }
        slope[target as usize] -= scale;
    }
    (math::ln(V::splat(sum)) + V::splat(largest - x[target as usize])).first()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::at_each;
    use crate::test::{assert_close, numbers};

    #[test]
    fn cross_entropy_is_its_definition() {
        at_each(|level| {
            for t in [0, 1, 2, 7] {
                for v in [1, 2, 7, 8, 9, 15, 16, 17, 27, 32, 65, 300] {
                    let what = format!("{level:?} [{t}, {v}]");
                    let x: Vec<f32> = numbers(t * v, 1).iter().map(|x| 9.0 * x - 20.0).collect();
                    let targets: Vec<u32> = (0..t).map(|r| (r * 5 % v) as u32).collect();
                    let (mut l, mut d) = (vec![0.0; t], vec![0.0; t * v]);
                    let (mut l2, mut d2) = (l.clone(), d.clone());
                    let sum = cross_entropy(&mut l, &mut d, &x, &targets, v, 0.25);
                    let sum2 = naive::cross_entropy(&mut l2, &mut d2, &x, &targets, v, 0.25);
                    assert_close(&l, &l2, 1e-6, &what);
                    assert_close(&d, &d2, 1e-6, &what);
                    assert!((sum - sum2).abs() < 1e-4, "{what}: {sum}, not {sum2}");
                    let mut alone = vec![0.0; t];
                    cross_entropy(&mut alone, &mut [], &x, &targets, v, 0.25);
                    assert_eq!(alone, l);
                    let (mut y, mut y2) = (vec![0.0; t * v], vec![0.0; t * v]);
                    softmax(&mut y, &x, t, v);
                    naive::softmax(&mut y2, &x, t, v);
                    assert_close(&y, &y2, 1e-6, &what);
                }
            }
        });
    }

    #[test]
    fn large_logits_are_no_trouble_and_nan_is_told() {
        at_each(|level| {
            let (mut l, mut d) = ([0.0], [0.0; 3]);
            let sum = cross_entropy(&mut l, &mut d, &[1e4, -1e4, f32::NEG_INFINITY], &[0], 3, 1.0);
            assert_eq!((sum, d), (0.0, [0.0; 3]), "{level:?}");
            assert!(cross_entropy(&mut l, &mut d, &[1.0, f32::NAN, 2.0], &[0], 3, 1.0).is_nan(), "{level:?}");
        });
    }

    #[test]
    #[should_panic(expected = "target 3 is not below V = 3")]
    fn a_wrong_target_is_told() {
        cross_entropy(&mut [0.0], &mut [], &[0.0; 3], &[3], 3, 1.0);
    }
}
