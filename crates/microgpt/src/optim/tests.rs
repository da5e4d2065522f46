//! Every rule, however the update is cut; what is spared by weight decay; averages.

use super::*;
use crate::choices::Choice;
use crate::norm::Norm;
use crate::rng::Rng;

fn numbers<R: Real>(n: usize, seed: u64) -> Vec<R> {
    let mut rng = Rng::new(seed);
    (0..n).map(|_| R::from_f64(rng.gauss(0.1))).collect()
}

fn config(optimizer: OptimizerKind) -> Config {
    Config { optimizer, n_layer: 2, n_embd: 12, n_head: 3, weight_decay: 0.1, ema: 0.9, ..Config::default() }
}

/// The parameters after some steps, each cut for so many workers.
fn run<R: Real>(config: &Config, workers: usize) -> (Vec<R>, Vec<R>) {
    let layout = Layout::new(config, 11);
    let mut params = numbers(layout.len(), 1);
    let mut optimizer = Optimizer::new(config, &layout, &params);
    for step in 0..5 {
        let grads: Vec<R> = numbers(layout.len(), 10 + step as u64);
        for worker in 0..workers {
            let range = optimizer.range(worker, workers);
            optimizer.step(&mut params, &mut grads.clone(), range, step, 0.01);
        }
    }
    (params, optimizer.average)
}

#[test]
fn no_bit_depends_on_how_an_update_is_cut() {
    fn check<R: Real>(config: &Config) {
        let whole = run::<R>(config, 1);
        for workers in [2, 3, 4, 16] {
            assert!(run::<R>(config, workers) == whole, "{} by {workers}", config.optimizer);
        }
    }
    for &optimizer in OptimizerKind::ALL {
        for momentum in [0.0, 0.9] {
            check::<f32>(&Config { momentum, ..config(optimizer) });
            check::<f64>(&Config { momentum, ..config(optimizer) });
        }
    }
}

#[test]
fn the_ranges_of_workers_are_everything_once() {
    for &optimizer in OptimizerKind::ALL {
        let config = config(optimizer);
        let layout = Layout::new(&config, 11);
        let optimizer = Optimizer::<f32>::new(&config, &layout, &numbers(layout.len(), 1));
        for workers in 1..20 {
            let ranges: Vec<_> = (0..workers).map(|worker| optimizer.range(worker, workers)).collect();
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert_eq!((ranges[0].start, ranges[workers - 1].end), (0, layout.len()));
        }
        // Two workers have about the same to do.
        let half = optimizer.range(0, 2).len() as f64 / layout.len() as f64;
        assert!((0.35..0.65).contains(&half), "{half}");
    }
}

#[test]
fn the_fast_rules_are_the_exact_ones() {
    for &optimizer in OptimizerKind::ALL {
        for nesterov in [false, true] {
            let config = Config { nesterov, ..config(optimizer) };
            let (exact, fast) = (run::<f64>(&config, 1), run::<f32>(&config, 1));
            let square = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
            let far: Vec<f64> = exact.0.iter().zip(&fast.0).map(|(a, b)| a - f64::from(*b)).collect();
            assert!(square(&far) < 1e-5 * square(&exact.0), "{optimizer}: {:e}", square(&far));
        }
    }
}

/// Without gradients, weights shrink by what the formula says, and gains and biases do not.
#[test]
fn what_decays_and_what_does_not() {
    for optimizer in [OptimizerKind::AdamW, OptimizerKind::Lion, OptimizerKind::Muon] {
        let config = Config { norm: Norm::LayerNorm, bias: true, ..config(optimizer) };
        let layout = Layout::new(&config, 11);
        let before: Vec<f64> = numbers(layout.len(), 1);
        let mut params = before.clone();
        let mut optimizer = Optimizer::new(&config, &layout, &params);
        optimizer.step(&mut params, &mut vec![0.0; layout.len()], 0..layout.len(), 0, 0.5);
        for matrix in layout.matrices() {
            let spared = ["_gain", "_bias"].iter().any(|end| matrix.name.ends_with(end));
            for i in matrix.range() {
                let kept = if spared { 1.0 } else { 0.95 };
                assert!((params[i] - kept * before[i]).abs() < 1e-15, "{} {i}", matrix.name);
            }
        }
    }
}

#[test]
fn muon_takes_the_matrices_of_the_layers_alone() {
    let layout = Layout::new(&config(OptimizerKind::Muon), 11);
    let taken: Vec<bool> = layout.matrices().iter().map(muon::takes).collect();
    assert_eq!(taken, [[false; 3].as_slice(), &[true; 12]].concat());
    let more = Config { norm: Norm::LayerNorm, bias: true, qk_norm: true, ..config(OptimizerKind::Muon) };
    let layout_of_more = Layout::new(&more, 11);
    assert_eq!(layout_of_more.matrices().iter().filter(|matrix| muon::takes(matrix)).count(), 12);
    // v is AdamW's: nothing of it for the matrices that Muon takes.
    let mut optimizer =
        Optimizer::<f64>::new(&config(OptimizerKind::Muon), &layout, &numbers(layout.len(), 1));
    let mut params = numbers(layout.len(), 1);
    optimizer.step(&mut params, &mut numbers(layout.len(), 2), 0..layout.len(), 0, 0.1);
    let first = layout.matrices()[3].offset;
    assert!(optimizer.square[..first].iter().all(|&v| v > 0.0));
    assert!(optimizer.square[first..].iter().all(|&v| v == 0.0));
}

#[test]
fn an_average_begins_with_the_first_step_and_can_be_looked_at() {
    let config = Config { ema: 0.75, optimizer: OptimizerKind::Sgd, ..Config::default() };
    let layout = Layout::new(&config, 5);
    let mut params: Vec<f64> = numbers(layout.len(), 1);
    let mut optimizer = Optimizer::new(&config, &layout, &params);
    let mut expected = Vec::new();
    for step in 0..4 {
        let mut grads = numbers(layout.len(), 20 + step as u64);
        optimizer.step(&mut params, &mut grads, 0..layout.len(), step, 0.1);
        expected = match step {
            0 => params.clone(),
            _ => expected.iter().zip(&params).map(|(a, w)| 0.75 * a + 0.25 * w).collect(),
        };
    }
    let now = params.clone();
    optimizer.swap_average(&mut params);
    assert!(params.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-15));
    assert!(params != now);
    optimizer.swap_average(&mut params);
    assert!(params == now);
}

#[test]
fn long_gradients_are_shortened_and_short_ones_are_not() {
    let grads = [3.0f64, -4.0];
    assert_eq!(clip::norm(&grads), 5.0);
    assert_eq!(clip::factor(&grads, 6.0).unwrap(), 1.0);
    assert!((clip::factor(&grads, 1.0).unwrap() - 0.2).abs() < 1e-6);
    let error = clip::factor(&[f32::MAX, 1.0], 1.0).unwrap_err().to_string();
    assert!(error.contains("a finite length, found inf"), "{error}");
}
