//! The tiny shape (`microgpt-final` on names) on the fast engine: time per document in training, per token in decoding.
//!
//!     cargo bench -p microgpt --bench tiny
//!
//! On Linux it counts processor time, not the clock's, so that other programs disturb less. To race another program in
//! the same rounds, say how many documents (or tokens) one run of it makes, and how to run it; the ratios of medians
//! follow: `PEER_B16`, `PEER_B1`, `PEER_TOKENS='2000000 ./peer 2000000'`. `ROUNDS` is 9; `ONLY=2`
//! makes only the second row.

#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock, and runs its rival")]

use microgpt::batch::Batch;
use microgpt::corpus::Corpus;
use microgpt::rng::Rng;
use microgpt::sample::Sampler;
use microgpt::train::Trainer;
use microgpt::{Config, activation::Named, documents::Documents, schedule::Schedule};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

fn main() {
    let rounds = std::env::var("ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(9);
    // What a single round takes: some tenths of a second.
    let mut bench = Bench::new();
    let mut rows = [
        Row::new("train, batch 16, us a document", "PEER_B16"),
        Row::new("train, batch  1, us a document", "PEER_B1"),
        Row::new("decode,  1 sample, us a token", "PEER_TOKENS"),
        Row::new("decode, 64 samples, us a token", "PEER_TOKENS_64"),
    ];
    let only: Option<usize> = std::env::var("ONLY").ok().and_then(|n| n.parse().ok());
    for _ in 0..rounds {
        for (i, row) in rows.iter_mut().enumerate().filter(|(i, _)| only.is_none_or(|n| n == i + 1)) {
            row.ours.push(match i {
                0 => bench.train(16, 4000),
                1 => bench.train(1, 30_000),
                2 => bench.decode(1, 100_000),
                _ => bench.decode(64, 400_000),
            });
            row.peer.extend(peer(row.variable));
        }
    }
    for row in &mut rows {
        if row.ours.is_empty() {
            continue;
        }
        let ours = median(&mut row.ours);
        print!("{:32} {:8.3} (least {:.3})", row.what, ours * 1e6, row.ours[0] * 1e6);
        if !row.peer.is_empty() {
            let peer = median(&mut row.peer);
            print!("   peer {:8.3}   ratio {:.3}", peer * 1e6, ours / peer);
        }
        println!();
    }
}

struct Row {
    what: &'static str,
    variable: &'static str,
    ours: Vec<f64>,
    peer: Vec<f64>,
}

impl Row {
    fn new(what: &'static str, variable: &'static str) -> Row {
        Row { what, variable, ours: Vec::new(), peer: Vec::new() }
    }
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The seconds that this process has run on a processor; where that is not told, the clock.
fn seconds(start: &Instant) -> f64 {
    let told = std::fs::read_to_string("/proc/self/schedstat").ok();
    let spent = told.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    spent.map_or_else(|| start.elapsed().as_secs_f64(), |nanoseconds| nanoseconds * 1e-9)
}

/// The seconds that the children of this process have run on a processor.
fn children() -> Option<f64> {
    let told = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = told.rsplit(')').next()?.split_whitespace().collect();
    // User and system time of children, in hundredths of a second.
    Some((fields.get(13)?.parse::<f64>().ok()? + fields.get(14)?.parse::<f64>().ok()?) * 0.01)
}

/// Seconds per document (or token) of the program that `variable` names: `HOW_MANY COMMAND`.
fn peer(variable: &str) -> Option<f64> {
    let told = std::env::var(variable).ok()?;
    let (count, command) = told.split_once(' ').expect("HOW_MANY COMMAND");
    let (start, before) = (Instant::now(), children());
    let status = Command::new("sh").args(["-c", command]).stdout(Stdio::null()).status().expect("sh");
    assert!(status.success(), "{variable}: {command:?} failed");
    let taken = match (before, children()) {
        (Some(before), Some(after)) => after - before,
        _ => start.elapsed().as_secs_f64(),
    };
    Some(taken / count.parse::<f64>().expect("HOW_MANY COMMAND"))
}

struct Bench {
    start: Instant,
    corpus: Corpus,
    trainer: Trainer<f32>,
    /// The model as it was at first: decoding is to be of the same names in each round.
    decoder: Trainer<f32>,
    rng: Rng,
    place: usize,
}

impl Bench {
    /// A model that has learnt a little, so that its names are as long as names are.
    fn new() -> Bench {
        let config = Config {
            activation: Named::Relu.into(),
            schedule: Schedule::Linear,
            init_std: 0.08,
            zero_init: false,
            beta1: 0.85,
            beta2: 0.99,
            block_size: 16,
            steps: 10_000_000,
            ..Config::default()
        };
        let mut rng = Rng::new(config.seed);
        let names = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/names.txt");
        let mut documents =
            Documents::from_utf8(std::fs::read(names).expect("data/names.txt")).expect("names");
        documents.shuffle(&mut rng);
        let corpus = Corpus::new(documents);
        let trainer = Trainer::new(config, corpus.tokenizer.vocab_size(), &mut rng).expect("a model");
        let decoder = trainer.twin();
        let mut bench = Bench { start: Instant::now(), corpus, trainer, decoder, rng, place: 0 };
        bench.train(4, 1000);
        bench.decoder = bench.trainer.twin();
        bench
    }

    /// Seconds per document.
    fn train(&mut self, batch_size: usize, steps: usize) -> f64 {
        let mut batch = Batch::default();
        let start = seconds(&self.start);
        for _ in 0..steps {
            self.corpus.fill(&mut batch, self.place, batch_size, 16).unwrap();
            self.place += batch_size;
            self.trainer.step(&batch).expect("a finite loss");
        }
        (seconds(&self.start) - start) / (steps * batch_size) as f64
    }

    /// Seconds per token: of one sample after the other, or of several at once.
    fn decode(&mut self, at_once: usize, samples: usize) -> f64 {
        let (engine, model) = (&mut *self.decoder.engine, &self.decoder.model);
        let (tokenizer, rng) = (&self.corpus.tokenizer, &mut self.rng);
        let mut sampler = Sampler::with_lanes(engine, model, at_once);
        let mut drawn = 0;
        let start = seconds(&self.start);
        if at_once == 1 {
            for _ in 0..samples {
                drawn += sampler.sample(engine, model, tokenizer, &[], 0.5, rng).expect("a sample").len();
            }
        } else {
            let count = |_: usize, tokens: &[u32]| drawn += tokens.len();
            sampler.sample_many(engine, model, tokenizer, &[], 0.5, samples, rng, count).expect("samples");
        }
        (seconds(&self.start) - start) / drawn as f64
    }
}
