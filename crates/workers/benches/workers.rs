//! Tokens per second of one worker and of two, on the same parts, taken in turns.
//!
//!     cargo bench -p microgpt-workers
//!
//! A machine that has other things to do shows the best quartile of the turns; `--quick` runs everything once.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use microgpt::rng::Rng;
use microgpt::train::Trainer;
use microgpt::{Config, batch::Batch};
use std::time::Instant;

/// A shape, and how many steps make a turn.
struct Shape {
    name: &'static str,
    config: Config,
    vocab_size: usize,
    steps: usize,
}

fn shapes() -> [Shape; 3] {
    let shape =
        |name, [n_layer, n_head, n_embd, block_size, batch_size, vocab_size, steps]: [usize; 7]| Shape {
            name,
            config: Config {
                n_layer,
                n_head,
                n_embd,
                block_size,
                batch_size,
                lr: 1e-3,
                steps: 1 << 40,
                ..Config::default()
            },
            vocab_size,
            steps,
        };
    [
        shape("tiny, batch 16", [1, 4, 16, 16, 16, 27, 2000]),
        shape("shakespeare-char", [4, 4, 128, 64, 12, 65, 10]),
        shape("6 x 384, block 256, batch 16", [6, 6, 384, 256, 16, 65, 1]),
    ]
}

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    println!(
        "{:30} {:>5} {:>12} {:>12} {:>9} {:>9} {:>6}",
        "shape", "parts", "1: tokens/s", "2: tokens/s", "1: ms", "2: ms", "ratio"
    );
    for shape in shapes() {
        measure(&shape, if quick { 1 } else { 40 });
    }
}

fn measure(shape: &Shape, turns: usize) {
    let mut rng = Rng::new(1);
    let mut batch = Batch::default();
    for _ in 0..shape.config.batch_size {
        let tokens: Vec<u32> =
            (0..=shape.config.block_size).map(|_| rng.below(shape.vocab_size) as u32).collect();
        batch.push_document(&tokens, shape.config.block_size);
    }
    let trainer =
        || Trainer::<f32>::new(shape.config.clone(), shape.vocab_size, &mut Rng::new(2)).expect("a model");
    let (mut one, mut two) = (trainer(), trainer());
    let workers = microgpt_workers::choose(&two, 2);
    microgpt_workers::share(&mut two, workers).expect("workers");
    let steps = if turns == 1 { 1 } else { shape.steps };
    let turn = |trainer: &mut Trainer<f32>| {
        let start = Instant::now();
        (0..steps).for_each(|_| assert!(trainer.step(&batch).is_ok()));
        start.elapsed().as_secs_f64() / steps as f64
    };
    for trainer in [&mut one, &mut two] {
        turn(trainer); // warm
    }
    let (mut ones, mut twos) = (Vec::new(), Vec::new());
    for _ in 0..turns {
        ones.push(turn(&mut one));
        twos.push(turn(&mut two));
    }
    let quartile = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 4]
    };
    let (one, two, rows) = (quartile(ones), quartile(twos), batch.rows() as f64);
    println!(
        "{:30} {:>5} {:>12.0} {:>12.0} {:>9.3} {:>9.3} {:>6.2}",
        shape.name,
        shape.config.parts(trainer().num_params()),
        rows / one,
        rows / two,
        one * 1e3,
        two * 1e3,
        one / two
    );
}
