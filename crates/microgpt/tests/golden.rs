//! The scalar engine against recorded runs of microgpt.py: every number, to the last bit where the C library is the same.
//!
//! The bits of exp, ln, sin, cos and pow are the C library's, and the recordings are glibc's on a processor with FMA.
//! Whether it is that one here, a few thousand of its results tell. If not, numbers are compared to 9 digits; samples
//! and tokens must be the same to the letter all the same.

#![expect(clippy::disallowed_methods, reason = "a test reads its recordings")]

use microgpt::batch::Batch;
use microgpt::corpus::Corpus;
use microgpt::documents::Documents;
use microgpt::layout::Layout;
use microgpt::rng::Rng;
use microgpt::sample::Sampler;
use microgpt::token::Tokenizer;
use microgpt::train::Trainer;
use microgpt::{Config, activation::Named, schedule::Schedule};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Python's float.hex.
fn from_hex(text: &Value) -> f64 {
    let text = text.as_str().unwrap();
    let (sign, text) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
    let (mantissa, exponent) = text.strip_prefix("0x").unwrap().split_once('p').unwrap();
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let fraction = u64::from_str_radix(&format!("{fraction:0<13}"), 16).unwrap() as f64 / (1u64 << 52) as f64;
    sign * (whole.parse::<f64>().unwrap() + fraction) * 2f64.powi(exponent.parse().unwrap())
}

fn sha256(numbers: &[f64]) -> String {
    let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
    Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bits of 20,000 results of each function, folded together: the C library's fingerprint.
fn c_library() -> u64 {
    let (mut print, mut state) = (0u64, 1u64);
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    for _ in 0..20_000 {
        let x = next();
        // Seen as a constant, the exponent would not be the C library's business.
        let pow = |exponent: f64| (10.0 * x).powf(std::hint::black_box(exponent));
        let angle = x * std::f64::consts::TAU;
        let results = [(-20.0 * x).exp(), x.ln(), angle.sin(), angle.cos(), pow(2.0), pow(-0.5), pow(-1.0)];
        for result in results {
            print = (print ^ result.to_bits()).wrapping_mul(0x100000001b3).rotate_left(23);
        }
    }
    print
}

/// That of the recordings: glibc 2.36 on x86-64 with FMA.
const RECORDED_WITH: u64 = 0x8660_6d6f_9785_2dee;

/// How to compare: to the last bit, or to 9 digits.
#[derive(Clone, Copy)]
struct Exact(bool);

impl Exact {
    fn number(self, found: f64, expected: f64, what: &str) {
        if self.0 {
            assert_eq!(found.to_bits(), expected.to_bits(), "{what}: expected {expected:e}, found {found:e}");
        } else {
            assert!(
                (found - expected).abs() <= 1e-9 * expected.abs().max(1e-3),
                "{what}: {expected:e}, {found:e}"
            );
        }
    }

    /// A recorded slice: how many, the first three, their sum, and the SHA-256 of all.
    fn slice(self, found: &[f64], golden: &Value, what: &str) {
        assert_eq!(found.len() as u64, golden["n"].as_u64().unwrap(), "{what}");
        for (i, expected) in golden["first3"].as_array().unwrap().iter().enumerate() {
            self.number(found[i], from_hex(expected), &format!("{what}[{i}]"));
        }
        self.number(
            found.iter().fold(0.0, |sum, x| sum + x),
            from_hex(&golden["sum"]),
            &format!("{what}: sum"),
        );
        if self.0 {
            assert_eq!(sha256(found), golden["sha256_le"].as_str().unwrap(), "{what}");
        }
    }

    fn matrices(self, found: &[f64], layout: &Layout, golden: &Value, what: &str) {
        for matrix in layout.matrices() {
            self.slice(&found[matrix.range()], &golden[&matrix.name], &format!("{what} {}", matrix.name));
        }
    }
}

fn config_of(golden: &Value) -> Config {
    let mut config = Config::default();
    if golden["meta"]["name"].as_str().unwrap().starts_with("final") {
        let (activation, schedule) = (Named::Relu.into(), Schedule::Linear);
        let (init_std, zero_init, beta1, beta2) = (0.08, false, 0.85, 0.99);
        config = Config { activation, schedule, init_std, zero_init, beta1, beta2, ..config };
    }
    for name in ["n_layer", "n_embd", "n_head", "block_size"] {
        config.set(name, &golden["config"][name].to_string()).unwrap();
    }
    config.steps = golden["losses"].as_array().unwrap().len();
    config
}

fn check(name: &str, input: &Path) {
    let read = |path: &Path| std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let golden: Value =
        serde_json::from_slice(&read(&root().join(format!("tests/golden/{name}.json")))).unwrap();
    let config = config_of(&golden);

    let mut rng = Rng::new(config.seed);
    let mut documents = Documents::from_utf8(read(input)).unwrap();
    documents.shuffle(&mut rng);
    let mut corpus = Corpus::new(documents);
    let documents = corpus.documents().unwrap();
    assert_eq!(documents.len() as u64, golden["num_docs"].as_u64().unwrap());
    let Tokenizer::Chars(alphabet) = &corpus.tokenizer else { panic!("of characters") };
    assert_eq!(alphabet.chars().iter().collect::<String>(), golden["vocab"].as_str().unwrap());
    for (i, document) in golden["docs_first5"].as_array().unwrap().iter().enumerate() {
        assert_eq!(documents.get(i), document.as_str().unwrap());
    }

    let mut trainer = Trainer::new(config.clone(), corpus.tokenizer.vocab_size(), &mut rng).unwrap();
    let layout = trainer.model.layout.clone();
    assert_eq!(trainer.num_params() as u64, golden["num_params"].as_u64().unwrap());
    assert_eq!(rng.state().next as u64, golden["rng_after_init"]["index"].as_u64().unwrap());
    let exact = Exact(c_library() == RECORDED_WITH);
    if !exact.0 {
        let found = c_library();
        eprintln!(
            "{name}: another C library ({found:#x}) than the recordings'; numbers are compared to 9 digits"
        );
    }
    exact.matrices(&trainer.params(), &layout, &golden["init_params"], "init");

    let mut batch = Batch::default();
    for (step, expected) in golden["losses"].as_array().unwrap().iter().enumerate() {
        corpus.fill(&mut batch, step, 1, config.block_size).unwrap();
        let report = trainer.step(&batch).unwrap();
        exact.number(report.loss, from_hex(expected), &format!("{name}: loss of step {step}"));
        let grads = trainer.engine.slices().1.to_vec();
        match step {
            0 => {
                exact.matrices(&grads, &layout, &golden["step0"]["grads"], "step 0 gradient");
                exact.matrices(&trainer.params(), &layout, &golden["params_after_step0"], "after step 0");
            }
            1 => exact.matrices(&grads, &layout, &golden["step1_grads"], "step 1 gradient"),
            _ => {}
        }
    }
    exact.matrices(&trainer.params(), &layout, &golden["final_params"], "final");
    exact.slice(trainer.remembered()[0].1, &golden["final_adam_m"], "m");
    exact.slice(trainer.remembered()[1].1, &golden["final_adam_v"], "v");

    let (model, tokenizer, engine) = (&trainer.model, &corpus.tokenizer, &mut *trainer.engine);
    let mut sampler = Sampler::new(engine, model);
    let first = sampler.next(engine, model, &[tokenizer.bos()], 0, config.temperature);
    for (i, (found, expected)) in
        first.iter().zip(golden["sample0_pos0_probs"].as_array().unwrap()).enumerate()
    {
        exact.number(*found, from_hex(expected), &format!("probability of token {i}"));
    }
    let samples =
        golden["samples"].as_array().unwrap().iter().zip(golden["sample_tokens"].as_array().unwrap());
    for (text, tokens) in samples {
        let found = sampler.sample(engine, model, tokenizer, &[], config.temperature, &mut rng).unwrap();
        let expected: Vec<u32> =
            tokens.as_array().unwrap().iter().map(|t| t.as_u64().unwrap() as u32).collect();
        assert_eq!(found, expected);
        assert_eq!(tokenizer.decode(&found), text.as_str().unwrap());
    }
}

#[test]
fn article_on_our_names() {
    check("article_ssa", &root().join("data/names.txt"));
}

#[test]
fn final_on_our_names() {
    check("final_ssa", &root().join("data/names.txt"));
}

#[test]
fn article_on_many_scripts() {
    check("article_utf8", &root().join("tests/golden/utf8.txt"));
}

/// makemore's names.txt is not ours to hand on: `MAKEMORE_NAMES` says where it is.
#[test]
fn all_on_makemores_names() {
    let Some(input) = std::env::var_os("MAKEMORE_NAMES") else {
        eprintln!("skipped: set MAKEMORE_NAMES to the path of makemore's names.txt");
        return;
    };
    for name in ["article", "final", "article_L2E8H2B8"] {
        check(name, Path::new(&input));
    }
}
