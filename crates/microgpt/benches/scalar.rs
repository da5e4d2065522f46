//! The time of a training step of `microgpt-final`: the scalar engine's, and `microgpt.rs`'s, taken in turns.
//!
//!     cargo bench -p microgpt --bench scalar

#![expect(clippy::print_stdout, reason = "a bench prints its table")]
#![expect(clippy::disallowed_methods, reason = "a bench reads the clock, and builds its rival")]

use microgpt::batch::Batch;
use microgpt::corpus::Corpus;
use microgpt::rng::Rng;
use microgpt::train::Trainer;
use microgpt::{Config, activation::Named, documents::Documents, schedule::Schedule};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

const STEPS: usize = 1000;
const ROUNDS: usize = 7;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let single = compile_single_file(&root);
    let (mut engine, mut file) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        engine.push(scalar_engine(&root));
        file.extend(single.as_ref().map(|program| single_file(program)));
    }
    let engine = median(engine);
    println!("scalar engine  {:8.1} us a step", engine * 1e6);
    if !file.is_empty() {
        let file = median(file);
        println!("microgpt.rs    {:8.1} us a step, {:.2} times the engine's", file * 1e6, file / engine);
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Seconds per step of the library.
fn scalar_engine(root: &Path) -> f64 {
    let (activation, schedule) = (Named::Relu.into(), Schedule::Linear);
    let (init_std, zero_init, beta1, beta2, block_size, steps) = (0.08, false, 0.85, 0.99, 16, STEPS);
    let config = Config {
        activation,
        schedule,
        init_std,
        zero_init,
        beta1,
        beta2,
        block_size,
        steps,
        ..Config::default()
    };
    let mut rng = Rng::new(config.seed);
    let text = std::fs::read(root.join("data/names.txt")).expect("data/names.txt");
    let mut documents = Documents::from_utf8(text).expect("names");
    documents.shuffle(&mut rng);
    let mut corpus = Corpus::new(documents);
    let mut trainer = Trainer::<f64>::new(config, corpus.tokenizer.vocab_size(), &mut rng).expect("a model");
    let mut batch = Batch::default();
    let start = Instant::now();
    for step in 0..STEPS {
        corpus.fill(&mut batch, step, 1, 16).unwrap();
        trainer.step(&batch).expect("a finite loss");
    }
    start.elapsed().as_secs_f64() / STEPS as f64
}

/// `microgpt.rs` with the settings of `microgpt-final`, built with `rustc -O`.
fn compile_single_file(root: &Path) -> Option<std::path::PathBuf> {
    let source = std::fs::read_to_string(root.join("microgpt.rs")).ok()?;
    let names = root.join("data/names.txt").canonicalize().ok()?;
    let source = source
        .replace("BLOCK_SIZE: usize = 8", "BLOCK_SIZE: usize = 16")
        .replace("STEPS: usize = 500", "STEPS: usize = 1000")
        .replace("0.02", "0.08")
        .replace("(C, C, 0.0)", "(C, C, 0.08)")
        .replace("(C, 4 * C, 0.0)", "(C, 4 * C, 0.08)")
        .replace(".relu().pow(2.0)", ".relu()")
        .replace("\"data/names.txt\"", &format!("{:?}", names.to_str()?));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(folder.join("single.rs"), source).ok()?;
    let program = folder.join("single").with_extension(std::env::consts::EXE_EXTENSION);
    let built =
        Command::new("rustc").current_dir(folder).args(["-O", "single.rs", "-o"]).arg(&program).status();
    built.ok()?.success().then_some(program)
}

/// Seconds per step of the whole program; its start and its 20 samples are little beside 1000 steps.
fn single_file(program: &Path) -> f64 {
    let start = Instant::now();
    Command::new(program).stdout(Stdio::null()).status().expect("microgpt.rs runs");
    start.elapsed().as_secs_f64() / STEPS as f64
}
