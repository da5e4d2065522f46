//! What each variant costs: a training step of the fast engine, beside that of the default.
//!
//!     cargo bench -p microgpt --bench variants
//!
//! Two layers of 128 channels, 8 documents of 64 tokens. Every setting is changed alone to each of its other values. The
//! default's step and the variant's are timed in turn, and the least of each is compared. `weights` is how many more
//! numbers stand in linear maps, which nearly all of the arithmetic is made of. `ONLY=norm` makes those that begin so.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use microgpt::Config;
use microgpt::batch::Batch;
use microgpt::layout::Kind;
use microgpt::prove::variants::singly;
use microgpt::rng::Rng;
use microgpt::train::Trainer;
use std::time::Instant;

const VOCAB_SIZE: usize = 65;
const LEN: usize = 64;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let only = std::env::var("ONLY").unwrap_or_default();
    let base = Config { n_layer: 2, n_embd: 128, block_size: LEN, steps: 1 << 30, ..Config::default() };
    let base = Config { zero_init: false, init_std: 0.05, lr: 1e-5, micro_batches: 1, ..base };
    let mut rng = Rng::new(1);
    let mut batch = Batch::default();
    for _ in 0..8 {
        let tokens: Vec<u32> = (0..=LEN).map(|_| rng.below(VOCAB_SIZE) as u32).collect();
        batch.push_document(&tokens, LEN);
    }
    let trainer =
        |config: &Config| Trainer::<f32>::new(config.clone(), VOCAB_SIZE, &mut Rng::new(1)).unwrap();
    let mut default = trainer(&base);
    println!("{:32} {:>9} {:>10} {:>8}", "unlike the default", "us a step", "x default", "weights");
    for variant in singly(&base).iter().filter(|variant| variant.changes.starts_with(&only)) {
        let mut other = trainer(&variant.config);
        let (mut least, mut ratio) = ([f64::INFINITY; 2], 1.0);
        for _ in 0..if quick { 1 } else { 12 } {
            for (trainer, least) in [&mut default, &mut other].into_iter().zip(&mut least) {
                let start = Instant::now();
                trainer.step(&batch).unwrap();
                *least = least.min(start.elapsed().as_secs_f64());
            }
            ratio = least[1] / least[0];
        }
        let weights = weights(&other) / weights(&default);
        println!("{:32} {:9.0} {ratio:10.3} {weights:8.3}", variant.changes, least[1] * 1e6);
    }
}

/// How many weights a token is multiplied by.
fn weights(trainer: &Trainer<f32>) -> f64 {
    let matrices = trainer.model.layout.matrices().iter();
    let linear = matrices.filter(|m| m.kind == Kind::Weight).map(|m| m.shape.len()).sum::<usize>();
    // The table of tokens is one of them where the logits come from it.
    (linear + if trainer.config.tied { VOCAB_SIZE * trainer.config.n_embd } else { 0 }) as f64
}
