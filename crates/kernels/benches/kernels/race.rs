//! Taking turns: the same work by several contenders, in rounds.

use std::hint::black_box;
use std::time::Instant;

/// Times of one contender.
pub(crate) struct Lap {
    /// Nanoseconds per call in the fastest round.
    pub(crate) best: f64,
    rounds: Vec<f64>,
}

impl Lap {
    /// The median over rounds of the other's time over mine: above 1, mine is faster.
    pub(crate) fn faster_than(&self, other: &Lap) -> f64 {
        let mut ratios: Vec<f64> =
            self.rounds.iter().zip(&other.rounds).map(|(mine, other)| other / mine).collect();
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    }
}

/// Runs the contenders in turn, some 20 ms each in all.
pub(crate) fn race(contenders: &mut [&mut dyn FnMut()]) -> Vec<Lap> {
    let rounds = 15;
    let repeats: Vec<u32> = contenders
        .iter_mut()
        .map(|run| {
            run();
            let start = Instant::now();
            run();
            (1.5e6 / start.elapsed().as_nanos().max(1) as f64).clamp(1.0, 1e5) as u32
        })
        .collect();
    let mut laps: Vec<Vec<f64>> = vec![vec![]; contenders.len()];
    for _ in 0..rounds {
        for (run, (lap, &repeats)) in contenders.iter_mut().zip(laps.iter_mut().zip(&repeats)) {
            let start = Instant::now();
            for _ in 0..repeats {
                run();
            }
            lap.push(start.elapsed().as_nanos() as f64 / repeats as f64);
        }
    }
    laps.into_iter()
        .map(|rounds| Lap { best: rounds.iter().copied().fold(f64::INFINITY, f64::min), rounds })
        .collect()
}

/// The most multiply-adds this machine does, in GFLOP/s: one product that never leaves the first cache and whose
/// tiles are long, which our best kernel runs at nearly the hardware's rate.
pub(crate) fn peak() -> f64 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        #[target_feature(enable = "avx512f")]
        fn spin() -> f32 {
            use std::arch::x86_64::*;
            let (a, b) = (_mm512_set1_ps(black_box(0.999)), _mm512_set1_ps(black_box(0.001)));
            let mut sums = [b; 16];
            for _ in 0..1000 {
                for sum in &mut sums {
                    *sum = _mm512_fmadd_ps(*sum, a, b);
                }
            }
            let mut all = sums[0];
            for sum in &sums[1..] {
                all = _mm512_add_ps(all, *sum);
            }
            _mm512_reduce_add_ps(all)
        }
        let lap = race(&mut [&mut || {
            // SAFETY: the feature was detected above.
            black_box(unsafe { spin() });
        }]);
        return 1000.0 * 16.0 * 32.0 / lap[0].best;
    }
    let (x, w, mut y) = (vec![0.5; 48 * 96], vec![0.5; 48 * 96], vec![0.0; 48 * 48]);
    let lap = race(&mut [&mut || microgpt_kernels::matmul::linear_dw(&mut y, &x, &w, 96, 48, 48, true)]);
    2.0 * 48.0 * 48.0 * 96.0 / lap[0].best
}

/// `n` numbers in -1..1 at the start of a cache line, as an engine's arena has them.
pub(crate) fn numbers(n: usize) -> &'static mut [f32] {
    let room: &'static mut [f32] = vec![0.0; n + 16].leak();
    let skip = room.as_ptr().align_offset(64);
    let numbers = &mut room[skip..skip + n];
    numbers.iter_mut().enumerate().for_each(|(i, x)| *x = (i * 7919 % 1000) as f32 / 500.0 - 1.0);
    numbers
}
