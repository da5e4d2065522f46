//! The scalar engine against `microgpt.rs`: other shapes, other texts, every loss and sample to the last bit.
//!
//! Here both use the same C library, so the bits must agree on every platform.

#![expect(clippy::disallowed_methods, reason = "a test compiles and runs the oracle")]

use microgpt::activation::Named;
use microgpt::batch::Batch;
use microgpt::corpus::Corpus;
use microgpt::rng::Rng;
use microgpt::sample::Sampler;
use microgpt::train::Trainer;
use microgpt::{Config, documents::Documents};
use std::path::Path;
use std::process::Command;

/// What `microgpt.rs` prints with these settings: each loss in full, and the samples.
fn oracle(name: &str, config: &Config, text: &str) -> (Vec<f64>, Vec<String>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut source = std::fs::read_to_string(root.join("microgpt.rs")).unwrap();
    let mut replace = |from: &str, to: String| {
        assert!(source.contains(from), "microgpt.rs has no {from:?}");
        source = source.replace(from, &to);
    };
    replace("N_LAYER: usize = 1", format!("N_LAYER: usize = {}", config.n_layer));
    replace("N_EMBD: usize = 16", format!("N_EMBD: usize = {}", config.n_embd));
    replace("N_HEAD: usize = 4", format!("N_HEAD: usize = {}", config.n_head));
    replace("BLOCK_SIZE: usize = 8", format!("BLOCK_SIZE: usize = {}", config.block_size));
    replace("STEPS: usize = 500", format!("STEPS: usize = {}", config.steps));
    replace("include_str!(\"data/names.txt\")", "\"\"".into());
    replace("loss {:.4}", "loss {:?}".into());
    if config.activation == Named::Relu.into() {
        replace(".relu().pow(2.0)", ".relu()".into());
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("oracle-{name}"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("oracle.rs"), source).unwrap();
    std::fs::write(folder.join("input.txt"), text).unwrap();
    let program = folder.join("oracle").with_extension(std::env::consts::EXE_EXTENSION);
    let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let built = Command::new(rustc)
        .current_dir(&folder)
        .args(["-O", "oracle.rs", "-o"])
        .arg(&program)
        .status()
        .unwrap();
    assert!(built.success(), "rustc -O microgpt.rs");
    let output = Command::new(&program).current_dir(&folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = String::from_utf8(output.stdout).unwrap();
    let losses =
        output.lines().filter_map(|line| Some(line.split_once("| loss ")?.1.parse().unwrap())).collect();
    let samples =
        output.lines().filter(|line| line.starts_with("sample ")).map(|line| line[11..].to_string());
    (losses, samples.collect())
}

/// The same of the library.
fn library(config: &Config, text: &str) -> (Vec<f64>, Vec<String>) {
    let mut rng = Rng::new(config.seed);
    let mut documents = Documents::from_lines(text.into()).unwrap();
    documents.shuffle(&mut rng);
    let mut corpus = Corpus::new(documents);
    let mut trainer = Trainer::<f64>::new(config.clone(), corpus.tokenizer.vocab_size(), &mut rng).unwrap();
    let mut batch = Batch::default();
    let losses = (0..config.steps).map(|step| {
        corpus.fill(&mut batch, step, 1, config.block_size).unwrap();
        trainer.step(&batch).unwrap().loss
    });
    let losses = losses.collect();
    let mut sampler = Sampler::new(&mut *trainer.engine, &trainer.model);
    let samples = (0..config.samples).map(|_| {
        let (engine, model) = (&mut *trainer.engine, &trainer.model);
        let tokens =
            sampler.sample(engine, model, &corpus.tokenizer, &[], config.temperature, &mut rng).unwrap();
        corpus.tokenizer.decode(&tokens)
    });
    (losses, samples.collect())
}

fn compare(name: &str, config: Config, text: &str) {
    assert_eq!(library(&config, text), oracle(name, &config, text), "{name}: {config:?}");
}

const NAMES: &str = include_str!("../../../data/names.txt");

fn shape(n_layer: usize, n_head: usize, n_embd: usize, block_size: usize) -> Config {
    Config { n_layer, n_head, n_embd, block_size, steps: 40, ..Config::default() }
}

#[test]
fn four_layers() {
    compare("four-layers", shape(4, 2, 8, 8), NAMES);
}

#[test]
fn heads_of_a_size_that_is_no_power_of_two() {
    compare("odd-heads", Config { activation: Named::Relu.into(), ..shape(2, 3, 21, 12) }, NAMES);
}

#[test]
fn one_head_over_all_channels() {
    compare("one-head", shape(1, 1, 10, 16), NAMES);
}

#[test]
fn a_head_for_every_channel() {
    compare("many-heads", shape(3, 6, 6, 5), NAMES);
}

#[test]
fn a_context_of_one() {
    compare("context-of-one", shape(1, 4, 16, 1), NAMES);
}

#[test]
fn one_document_longer_than_the_context() {
    compare("one-document", shape(1, 2, 12, 6), "one single document, much longer than the context\n");
}

#[test]
fn a_text_of_one_letter() {
    compare("one-letter", shape(2, 2, 4, 4), "a\n\n a \n");
}

#[test]
fn many_scripts() {
    compare("many-scripts", shape(2, 4, 16, 9), include_str!("../../../tests/golden/utf8.txt"));
}
