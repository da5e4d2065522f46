//! Optimisers, clipping, averages: `tests/interop/optim.py`.

use crate::golden::{Golden, Table};
use microgpt::Config;
use microgpt::layout::Layout;
use microgpt::optim::{Optimizer, clip};
use microgpt::optimizer::OptimizerKind;
use microgpt::real::Real;

/// The parameters, and their average, after the recorded gradients.
fn run<R: Real>(config: &Config, golden: &Golden) -> [Vec<f64>; 2] {
    let narrow = |x: &[f64]| x.iter().map(|&x| R::from_f64(x)).collect::<Vec<R>>();
    let wide = |x: &[R]| x.iter().map(|x| x.to_f64()).collect();
    let [c, steps, vocab, block] = golden.get("sizes").numbers[..] else { panic!("four sizes") };
    let config = Config { n_embd: c as usize, n_head: 1, block_size: block as usize, ..config.clone() };
    let layout = Layout::new(&config, vocab as usize);
    let mut params = narrow(&golden.get("begin").numbers);
    let mut optimizer = Optimizer::new(&config, &layout, &params);
    let Table { cols, numbers, .. } = golden.get("grads");
    assert_eq!(*cols, layout.len());
    for (step, grads) in numbers.chunks(*cols).enumerate().take(steps as usize) {
        let mut grads = narrow(grads);
        if config.grad_clip > 0.0 {
            let factor = clip::factor(&grads, config.grad_clip).unwrap();
            R::scale(&mut grads, factor);
        }
        optimizer.step(&mut params, &mut grads, 0..layout.len(), step, config.lr);
    }
    let end = wide(&params);
    optimizer.swap_average(&mut params);
    [end, wide(&params)]
}

fn hold(name: &str, config: Config) {
    let golden = Golden::read("optim");
    for (engine, [params, average]) in
        [("scalar", run::<f64>(&config, &golden)), ("fast", run::<f32>(&config, &golden))]
    {
        golden.get(name).hold(&params, engine);
        if config.ema > 0.0 {
            golden.get("average").hold(&average, engine);
        }
    }
}

fn of(optimizer: OptimizerKind) -> Config {
    let lr = if optimizer == OptimizerKind::Sgd { 0.1 } else { 0.01 };
    Config { optimizer, lr, beta1: 0.9, beta2: 0.95, eps: 1e-8, ..Config::default() }
}

#[test]
fn sgd_is_pytorchs() {
    let sgd = Config { momentum: 0.9, ..of(OptimizerKind::Sgd) };
    hold("sgd", Config { weight_decay: 0.01, ..sgd.clone() });
    hold("sgd_plain", Config { momentum: 0.0, ..sgd.clone() });
    hold("sgd_nesterov", Config { nesterov: true, ..sgd });
}

#[test]
fn adam_is_pytorchs() {
    hold("adam", of(OptimizerKind::Adam));
    hold("adam_decay", Config { weight_decay: 0.1, ..of(OptimizerKind::Adam) });
    hold("adamw", Config { weight_decay: 0.1, ..of(OptimizerKind::AdamW) });
}

#[test]
fn lion_is_its_papers() {
    hold("lion", Config { beta2: 0.99, weight_decay: 0.1, ..of(OptimizerKind::Lion) });
}

#[test]
fn muon_is_pytorchs() {
    hold("muon", Config { momentum: 0.95, weight_decay: 0.1, ..of(OptimizerKind::Muon) });
}

#[test]
fn clipping_is_pytorchs() {
    hold("clipped", Config { momentum: 0.0, grad_clip: 0.7, ..of(OptimizerKind::Sgd) });
}

#[test]
fn the_average_is_pytorchs() {
    hold("averaged", Config { momentum: 0.0, ema: 0.8, ..of(OptimizerKind::Sgd) });
}
