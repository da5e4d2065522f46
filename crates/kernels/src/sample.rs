//! Logits -> a token, by chance.

use crate::level;
use crate::math;
use crate::vector::Vector;
use std::f32::consts::LOG2_E;

/// The definition of [`draw`], in plain loops.
pub fn naive(logits: &[f32], scale: f32, u: f32) -> Option<usize> {
    let most = logits.iter().fold(f32::NEG_INFINITY, |most, &z| most.max(z * scale));
    let powers: Vec<f32> = logits.iter().map(|z| (z * scale - most).exp()).collect();
    let total: f32 = powers.iter().sum();
    if !total.is_finite() {
        return None;
    }
    let mut sum = 0.0;
    for (i, power) in powers.iter().enumerate() {
        sum += power;
        if u * total < sum {
            return Some(i);
        }
    }
    powers.iter().rposition(|&power| power > 0.0)
}

/// For each row that is named: the place that its `u`, of 0 to 1, falls on, where each is as wide as its part of
/// softmax(row * scale). False if the logits of one are no numbers. A place whose part is 0 is never drawn.
///
/// Shapes: logits `[_, columns]`; rows, us, places of one length.
///
/// # Panics
/// If the lengths differ, there is no such row, or a row has 2^32 numbers.
pub fn draw(
    logits: &[f32],
    columns: usize,
    rows: &[usize],
    scale: f32,
    us: &[f64],
    places: &mut [u32],
) -> bool {
    let lengths = (us.len(), places.len());
    assert!(lengths == (rows.len(), rows.len()), "draw from {} rows: us, places are {lengths:?}", rows.len());
    assert!(u32::try_from(columns).is_ok(), "draw: rows of {columns}");
    draw_simd(logits, columns, rows, scale, us, places)
}

simd! {
    fn draw_simd(
        logits: &[f32], columns: usize, rows: &[usize], scale: f32, us: &[f64], places: &mut [u32],
    ) -> bool = draw_body;
}

/// The most columns that [`draw_turned`] serves.
pub const MOST_TURNED: usize = 64;

/// From here on the next number is one more, and its bits are, too.
const COUNT: f32 = 8_388_608.0;

/// [`draw`] from each of a register of rows after another, all [turned around](crate::layer::decode::turned).
///
/// Shapes: logits `[_, columns, lanes]`; us and places of as many rows.
///
/// # Panics
/// If the lengths differ, or there are more than [`MOST_TURNED`] columns.
pub fn draw_turned(logits: &[f32], columns: usize, scale: f32, us: &[f64], places: &mut [u32]) -> bool {
    let (rows, lanes) = (us.len(), level::current().lanes());
    assert!(columns <= MOST_TURNED, "draw: {columns} columns");
    assert!(
        logits.len() == columns * rows && places.len() == rows && rows.is_multiple_of(lanes),
        "draw: {} logits for {rows} rows, {} places",
        logits.len(),
        places.len()
    );
    turned_simd(logits, columns, scale, us, places)
}

simd! {
    fn turned_simd(logits: &[f32], columns: usize, scale: f32, us: &[f64], places: &mut [u32]) -> bool = turned_body;
}

#[inline(always)]
fn turned_body<V: Vector>(
    logits: &[f32],
    columns: usize,
    scale: f32,
    us: &[f64],
    places: &mut [u32],
) -> bool {
    let mut sums = [V::zero(); MOST_TURNED];
    let groups = us.chunks_exact(V::LANES).zip(places.chunks_exact_mut(V::LANES));
    for (z, (us, places)) in logits.chunks_exact(columns * V::LANES).zip(groups) {
        let (mut total, unit) = (V::zero(), V::splat(scale * LOG2_E));
        for (z, sum) in z.chunks_exact(V::LANES).zip(&mut sums) {
            total = total + math::power2_finite(V::read(z) * unit);
            *sum = total;
        }
        let (mut shares, mut found) = ([0.0; 16], [0.0; 16]);
        shares.iter_mut().zip(us).for_each(|(share, &u)| *share = u as f32);
        // The sums rise: as many as are not above it stand before the place.
        let (wanted, mut before) = (V::read(&shares) * total, V::splat(COUNT));
        for &sum in &sums[..columns] {
            before = before + V::if_gt(sum, wanted, V::zero(), V::splat(1.0));
        }
        before.write(&mut found);
        for (place, found) in places.iter_mut().zip(found) {
            *place = f32::to_bits(found) - COUNT.to_bits();
        }
        let good = V::gt_bits(total, V::splat(1e-25)) & V::gt_bits(V::splat(f32::INFINITY), total);
        let good = good & V::gt_bits(V::splat(COUNT + columns as f32), before);
        if good.count_ones() as usize != V::LANES {
            for r in (0..V::LANES).filter(|r| good >> r & 1 == 0) {
                let mut row = [0.0; MOST_TURNED];
                row.iter_mut().zip(z[r..].iter().step_by(V::LANES)).for_each(|(to, &z)| *to = z);
                match second_look(&row[..columns], scale, us[r] as f32) {
                    Some(place) => places[r] = place as u32,
                    None => return false,
                }
            }
        }
    }
    true
}

/// The next logits, scaled; -inf behind the end.
#[inline(always)]
fn read<V: Vector>(z: &[f32], scale: V) -> V {
    if z.len() >= V::LANES {
        return V::read(z) * scale;
    }
    V::if_gt(V::splat(z.len() as f32), V::iota(), V::read(z) * scale, V::splat(f32::NEG_INFINITY))
}

#[inline(always)]
fn draw_body<V: Vector>(
    logits: &[f32],
    columns: usize,
    rows: &[usize],
    scale: f32,
    us: &[f64],
    places: &mut [u32],
) -> bool {
    let draws = rows.iter().zip(us).zip(places);
    let registers = columns.div_ceil(V::LANES);
    for ((&row, &u), place) in draws {
        let (z, u) = (&logits[row * columns..(row + 1) * columns], u as f32);
        let found = match registers {
            1 => few::<V, 1>(z, scale, u),
            2 => few::<V, 2>(z, scale, u),
            3 => few::<V, 3>(z, scale, u),
            4 => few::<V, 4>(z, scale, u),
            _ => None,
        };
        match found.or_else(|| second_look(z, scale, u)) {
            Some(found) => *place = found as u32,
            None => return false,
        }
    }
    true
}

simd! { fn second_look(logits: &[f32], scale: f32, u: f32) -> Option<usize> = many; }

/// So few that registers hold them, without a branch that chance decides. `None` in all cases that need a second look:
/// among them powers that are too large or too small, because the largest logit is not taken off.
#[inline(always)]
fn few<V: Vector, const N: usize>(logits: &[f32], scale: f32, u: f32) -> Option<usize> {
    let (mut powers, mut sums, mut total) = ([V::zero(); N], [V::zero(); N], V::zero());
    for i in 0..N {
        powers[i] = math::power2(read::<V>(&logits[i * V::LANES..], V::splat(scale * LOG2_E)));
        let here = powers[i].running_sum();
        sums[i] = here + total;
        total = here.last() + total;
    }
    let (wanted, mut places) = (V::splat(u) * total, 0);
    for i in 0..N {
        let places_here = V::gt_bits(sums[i], wanted) & V::gt_bits(powers[i], V::zero());
        places |= u64::from(places_here) << (i * V::LANES);
    }
    (places != 0 && total.first() > 1e-25).then(|| places.trailing_zeros() as usize)
}

#[inline(always)]
fn many<V: Vector>(logits: &[f32], scale: f32, u: f32) -> Option<usize> {
    let (below, scale) = (V::splat(f32::NEG_INFINITY), V::splat(scale));
    let mut most = below;
    for z in logits.chunks(V::LANES) {
        most = read::<V>(z, scale).max(most);
    }
    let most = V::splat(most.max_lane());
    // Powers are found twice, rather than kept: once for the sum, then until the place is reached.
    let mut total = V::zero();
    for z in logits.chunks(V::LANES) {
        total = total + math::weight(read::<V>(z, scale) - most);
    }
    let total = total.sum();
    if !total.is_finite() {
        return None;
    }
    let (wanted, mut sum, mut last) = (u * total, 0.0, None);
    for (chunk, z) in logits.chunks(V::LANES).enumerate() {
        let mut powers = [0.0; 16];
        let power = math::weight(read::<V>(z, scale) - most);
        let here = power.sum();
        if wanted >= sum + here && (chunk + 1) * V::LANES < logits.len() {
            sum += here;
            if here > 0.0 {
                last = Some((chunk, z));
            }
            continue;
        }
        power.write(&mut powers[..V::LANES]);
        for (i, power) in powers[..z.len()].iter().enumerate() {
            sum += power;
            if wanted < sum {
                return Some(chunk * V::LANES + i);
            }
        }
        if let Some(i) = powers.iter().rposition(|&power| power > 0.0) {
            return Some(chunk * V::LANES + i);
        }
    }
    // Rounding has carried `wanted` behind the last place that has a part.
    let (chunk, z) = last?;
    let mut powers = [0.0; 16];
    math::weight(read::<V>(z, scale) - most).write(&mut powers[..V::LANES]);
    powers.iter().rposition(|&power| power > 0.0).map(|i| chunk * V::LANES + i)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::at_each;
    use crate::test::numbers;

    fn one(logits: &[f32], scale: f32, u: f32) -> Option<usize> {
        let mut place = [u32::MAX];
        draw(logits, logits.len(), &[0], scale, &[f64::from(u)], &mut place).then_some(place[0] as usize)
    }

    /// Rows in any order, each with its own chance.
    #[test]
    fn rows_are_drawn_from_as_if_alone() {
        at_each(|level| {
            for v in [3, 16, 27, 70] {
                let logits = numbers(5 * v, 1);
                let (rows, us) = ([4, 0, 1, 1, 3], [0.5, 0.1, 0.9, 0.3, 0.7]);
                let mut places = [0; 5];
                assert!(draw(&logits, v, &rows, 3.0, &us, &mut places));
                for i in 0..5 {
                    let wanted = one(&logits[rows[i] * v..][..v], 3.0, us[i] as f32).unwrap();
                    assert_eq!(places[i] as usize, wanted, "{level:?} {v}");
                }
            }
        });
    }

    /// Also where a row needs a second look, and where one holds no numbers.
    #[test]
    fn rows_that_are_turned_are_drawn_from_as_if_they_were_not() {
        at_each(|level| {
            let (lanes, none) = (level.lanes(), f32::NEG_INFINITY);
            for v in [1, 3, 27, MOST_TURNED] {
                let rows = 3 * lanes;
                let mut logits: Vec<f32> = numbers(rows * v, 1).iter().map(|x| 5.0 * x).collect();
                for (r, z) in [(0, 200.0), (lanes + 3, -200.0)] {
                    logits[r * v..(r + 1) * v].iter_mut().for_each(|x| *x += z);
                }
                logits[(rows - 1) * v..][..v - 1].fill(none);
                let us: Vec<f64> =
                    (0..rows).map(|r| if r % 7 == 3 { 1.0 } else { r as f64 / rows as f64 }).collect();
                let turn = |logits: &[f32]| -> Vec<f32> {
                    let place = |i| (i / (v * lanes) * lanes + i % lanes) * v + i / lanes % v;
                    (0..logits.len()).map(|i| logits[place(i)]).collect()
                };
                let (mut places, mut wanted) = (vec![0; rows], vec![0; rows]);
                assert!(draw_turned(&turn(&logits), v, 0.9, &us, &mut places));
                let all: Vec<usize> = (0..rows).collect();
                assert!(draw(&logits, v, &all, 0.9, &us, &mut wanted));
                assert_eq!(places, wanted, "{level:?} {v}");
                logits[(rows - 2) * v] = f32::NAN;
                assert!(!draw_turned(&turn(&logits), v, 0.9, &us, &mut places), "{level:?} {v}");
            }
        });
    }

    #[test]
    fn a_draw_is_its_definition() {
        at_each(|level| {
            for v in [1, 2, 7, 8, 9, 15, 16, 17, 27, 33, 65, 300] {
                let logits: Vec<f32> = numbers(v, 1).iter().map(|x| 5.0 * x).collect();
                let (mut differ, n) = (0, 2000);
                for i in 0..n {
                    let u = i as f32 / n as f32;
                    let (found, wanted) = (one(&logits, 2.0, u).unwrap(), naive(&logits, 2.0, u).unwrap());
                    differ += usize::from(found != wanted); // u on a border, where rounding decides
                }
                assert!(differ <= 2, "{level:?} {v}: {differ} of {n} draws differ");
                assert!(one(&logits, 2.0, 1.0).unwrap() < v);
            }
        });
    }

    #[test]
    fn what_has_no_part_is_never_drawn_and_nan_is_told() {
        at_each(|level| {
            let none = f32::NEG_INFINITY;
            let mut logits = vec![none; 50];
            logits[3] = 1.0;
            for u in [0.0, 0.5, 1.0] {
                assert_eq!(one(&logits, 1.0, u), Some(3), "{level:?}");
            }
            // Too large, or too small, to be taken to the power as they are.
            for z in [200.0, -200.0] {
                let logits = [z - 1.0, z, z - 500.0];
                for (u, wanted) in [(0.0, 0), (0.26, 0), (0.28, 1), (1.0, 1)] {
                    assert_eq!(one(&logits, 1.0, u), Some(wanted), "{level:?} {z} {u}");
                }
            }
            assert_eq!(one(&[0.0, f32::NAN, 0.0], 1.0, 0.5), None, "{level:?}");
            assert_eq!(one(&[none, none], 1.0, 0.5), None, "{level:?}");
            assert_eq!(one(&[], 1.0, 0.5), None, "{level:?}");
        });
    }
}
