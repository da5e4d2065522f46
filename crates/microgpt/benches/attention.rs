//! What each position and attention costs: a training step of the fast engine beside the default's, taken in turns.
//!
//!     cargo bench -p microgpt --bench attention
//!
//! Two shapes: 16 windows of 64 tokens, and 4 of 256. `time` is the median over rounds of a variant's step over the
//! default's of the same round, `work` the ratio of their matrix products. `ROUNDS` is 15.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock")]

use microgpt::Config;
use microgpt::batch::Batch;
use microgpt::rng::Rng;
use microgpt::sight::AttentionKind;
use microgpt::train::Trainer;
use std::time::Instant;

/// What is changed, as flags would say it.
const VARIANTS: [&[(&str, &str)]; 12] = [
    &[],
    &[("position", "sinusoidal")],
    &[("position", "rotary")],
    &[("position", "alibi")],
    &[("position", "none")],
    &[("n_kv_head", "2")],
    &[("n_kv_head", "1")],
    &[("window", "16")],
    &[("softcap", "20.0")],
    &[("attention", "linear")],
    &[("position", "rotary"), ("n_kv_head", "2"), ("window", "16"), ("softcap", "20.0")],
    &[("position", "rotary"), ("n_kv_head", "2"), ("attention", "linear")],
];

const VOCAB: usize = 65;

fn main() {
    let rounds = std::env::var("ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(15);
    for (batch_size, block_size) in [(16, 64), (4, 256)] {
        println!("{batch_size} windows of {block_size} tokens, 4 layers, 4 heads, 128 channels");
        let base = Config { n_layer: 4, n_head: 4, n_embd: 128, batch_size, block_size, ..Config::default() };
        let mut batch = Batch::default();
        let mut rng = Rng::new(1);
        for _ in 0..batch_size {
            let tokens: Vec<u32> = (0..=block_size).map(|_| rng.below(VOCAB) as u32).collect();
            batch.push_document(&tokens, block_size);
        }
        let configs = VARIANTS.map(|changes| {
            let mut config = Config { micro_batches: 1, ..base.clone() };
            changes.iter().for_each(|(name, value)| config.set(name, value).unwrap());
            config
        });
        let mut trainers =
            configs.clone().map(|config| Trainer::<f32>::new(config, VOCAB, &mut Rng::new(1)).unwrap());
        trainers.iter_mut().for_each(|trainer| _ = trainer.step(&batch).unwrap());
        let mut times = vec![Vec::new(); trainers.len()];
        for _ in 0..rounds {
            for (trainer, times) in trainers.iter_mut().zip(&mut times) {
                let start = Instant::now();
                trainer.step(&batch).unwrap();
                times.push(start.elapsed().as_secs_f64());
            }
        }
        println!("{:58} {:>9} {:>6} {:>6}", "", "ms a step", "time", "work");
        for (i, changes) in VARIANTS.iter().enumerate() {
            let ratios = times[i].iter().zip(&times[0]).map(|(mine, default)| mine / default);
            let changes: Vec<String> =
                changes.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let what = if i == 0 { "the default".to_string() } else { changes.join(" ") };
            println!(
                "{what:58} {:9.2} {:6.2} {:6.2}",
                1e3 * median(times[i].clone()),
                median(ratios.collect()),
                work(&configs[i], &trainers[i]) / work(&configs[0], &trainers[0])
            );
        }
    }
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// Multiplications of the matrix products for a window's tokens, forwards.
fn work(config: &Config, trainer: &Trainer<f32>) -> f64 {
    let (t, c, d) = (config.block_size, config.n_embd, config.head_dim());
    let layout = &trainer.model.layout;
    let maps = layout.matrices().iter().filter(|m| !["wte", "wpe"].contains(&m.name.as_str()));
    let weights: usize = maps.map(|m| m.shape.len()).sum();
    let sight = config.sight();
    let attention = match config.attention {
        AttentionKind::Softmax => (0..t).map(|own| 2 * c * sight.keys(own).len()).sum::<usize>(),
        // A state of D x D numbers for each head of keys goes through, and out to each head of queries.
        AttentionKind::Linear => t * (c + c / sight.group()) * d,
    };
    (t * weights + config.n_layer * attention) as f64
}
