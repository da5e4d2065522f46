//! Is what is computed right? Not believed: every gradient against finite differences, the fast
//! engine against the scalar one, and what must hold besides.
//!
//! The weights are drawn anew and larger than a model begins with, so that nothing hides behind a zero (a matrix that
//! begins with zeros keeps the gradients before it at zero, and a wrong one looks right).

use crate::batch::Batch;
use crate::config::Config;
use crate::corpus::Corpus;
use crate::engine::Precision;
use crate::engine::scalar::{Fault, Scalar};
use crate::error::Error;
use crate::layout::Begin;
use crate::model::gpt::Gpt;
use crate::real::EngineKind;
use crate::rng::Rng;
use crate::tensor::{Engine, Learner};
use crate::train::Trainer;

mod engines;
pub mod variants;

/// What falls out by chance stays the same while it is differentiated.
const CHANCE: u64 = 20_201;

/// The largest relative error that a right gradient may show: what the differences themselves are uncertain by.
pub const TOLERANCE: f64 = 1e-5;

/// One thing that was to be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// What: `gradient of layer0.attn_wq`.
    pub name: String,
    /// How many numbers were compared.
    pub compared: usize,
    /// The worst disagreement: relative for gradients, else absolute.
    pub worst: f64,
    /// Where it is, in words.
    pub place: String,
    /// Does it hold?
    pub passed: bool,
}

/// All that was shown, or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// In the order in which it was done.
    pub checks: Vec<Check>,
}

impl Report {
    /// Does everything hold?
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.passed)
    }
}

/// What is being proved, and on what.
struct Proof<'a> {
    config: &'a Config,
    model: Gpt,
    batch: Batch,
    params: Vec<f64>,
    fault: Option<Fault>,
}

/// Proves the model of these settings on the first documents of the corpus, with a mistake planted where one is given.
///
/// `progress` hears how many parameters are done, and of how many.
///
/// # Errors
/// Settings that cannot be.
pub fn prove(
    config: &Config,
    corpus: &mut Corpus,
    fault: Option<Fault>,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Report, Error> {
    let proof = Proof::new(config, corpus, fault)?;
    let mut checks = proof.gradients(progress);
    checks.extend(proof.engines());
    checks.push(proof.causality());
    checks.push(proof.decoding());
    checks.push(proof.replay(corpus)?);
    Ok(Report { checks })
}

impl<'a> Proof<'a> {
    fn new(config: &'a Config, corpus: &mut Corpus, fault: Option<Fault>) -> Result<Proof<'a>, Error> {
        config.validate()?;
        let model = Gpt::new(config, corpus.tokenizer.vocab_size());
        let mut batch = Batch::default();
        corpus.fill(&mut batch, 0, 3, config.block_size)?;
        let mut rng = Rng::new(config.seed);
        let params = model.layout.matrices().iter().flat_map(|m| {
            // What begins with one number for all is moved off it as well: a gain of 1 hides behind what it multiplies.
            let (mean, std) = match m.begin {
                Begin::Normal(_) => (0.0, 1.0 / (m.shape.cols as f64).sqrt()),
                Begin::All(x) => (x, 0.3),
            };
            (0..m.shape.len()).map(|_| mean + rng.gauss(std)).collect::<Vec<f64>>()
        });
        let params = params.collect();
        Ok(Proof { config, model, batch, params, fault })
    }

    fn engine(&self) -> Scalar {
        let mut engine = Scalar::new(self.params.clone());
        if let Some(fault) = self.fault {
            engine.plant(fault);
        }
        engine
    }

    fn loss(&self, engine: &mut Scalar) -> f64 {
        engine.begin(&self.batch);
        engine.leave_to(CHANCE);
        let loss = self.model.forward(engine, &self.batch).cross_entropy().id();
        engine.number(loss, 0, 0)
    }

    fn logits(&self, engine: &mut Scalar, batch: &Batch) -> Vec<f64> {
        engine.begin(batch);
        let logits = self.model.forward(engine, batch).id();
        engine.values(logits)
    }

    /// (loss(w + h) - loss(w - h)) / 2h against the gradient, for every parameter.
    fn gradients(&self, progress: &mut dyn FnMut(usize, usize)) -> Vec<Check> {
        let mut engine = self.engine();
        engine.begin(&self.batch);
        engine.leave_to(CHANCE);
        let loss = self.model.forward(&engine, &self.batch).cross_entropy().id();
        engine.backward(loss);
        let grads = engine.slices().1.to_vec();
        let total = self.params.len();
        let mut checks = Vec::new();
        let largest_of = |grads: &[f64]| grads.iter().fold(0.0, |max: f64, g| max.max(g.abs()));
        let largest_of_all = largest_of(&grads);
        for matrix in self.model.layout.matrices() {
            // Very small gradients are held to the size of their matrix's, and those of a matrix that the loss does not
            // depend on (a bias of all keys) to the largest of all: a difference is no finer than the loss itself.
            let floor = (1e-2 * largest_of(&grads[matrix.range()])).max(1e-4 * largest_of_all).max(1e-7);
            let mut check = Check {
                name: format!("gradient of {}", matrix.name),
                compared: matrix.shape.len(),
                worst: 0.0,
                place: String::new(),
                passed: true,
            };
            for i in matrix.range() {
                // A difference may step over a kink (ReLU at 0): a shorter step then tells.
                let mut error = f64::INFINITY;
                let mut numeric = 0.0;
                for h in [1e-5, 1e-6, 1e-7] {
                    let mut at = |x: f64| {
                        engine.slices().0[i] = x;
                        self.loss(&mut engine)
                    };
                    let difference = (at(self.params[i] + h) - at(self.params[i] - h)) / (2.0 * h);
                    engine.slices().0[i] = self.params[i];
                    let size = grads[i].abs().max(difference.abs()).max(floor);
                    let now = (difference - grads[i]).abs() / size;
                    if now < error || now.is_nan() {
                        (error, numeric) = (now, difference);
                    }
                    if error <= TOLERANCE {
                        break;
                    }
                }
                if error > check.worst || error.is_nan() {
                    let (row, col) =
                        ((i - matrix.offset) / matrix.shape.cols, (i - matrix.offset) % matrix.shape.cols);
                    check.worst = error;
                    check.place = format!("[{row}, {col}]: {:+.6e}, difference {numeric:+.6e}", grads[i]);
                    check.passed = error <= TOLERANCE;
                }
                if i % 256 == 0 {
                    progress(i, total);
                }
            }
            checks.push(check);
        }
        progress(total, total);
        checks
    }

    /// Changes each token in turn: no logit before it, and none of another document, may change by a bit.
    fn causality(&self) -> Check {
        let mut engine = self.engine();
        let before = self.logits(&mut engine, &self.batch);
        let v = self.model.vocab_size();
        let mut check = named("no output sees a later token");
        for changed in 0..self.batch.rows() {
            let mut batch = self.batch.clone();
            batch.tokens[changed] = (batch.tokens[changed] + 1) % v as u32;
            let after = self.logits(&mut engine, &batch);
            for segment in &self.batch.segments {
                let rows = segment.start..segment.start + segment.len;
                let sees = |row: usize| rows.contains(&changed) && row >= changed;
                for row in rows.clone().filter(|&row| !sees(row)) {
                    for token in 0..v {
                        let (before, after) = (before[row * v + token], after[row * v + token]);
                        check.compare(before, after, || {
                            format!("row {row} changes with the token of row {changed}")
                        });
                    }
                }
            }
        }
        check
    }

    /// Token by token, with the keys and values remembered, gives the logits of all tokens at once.
    fn decoding(&self) -> Check {
        let mut engine = self.engine();
        let v = self.model.vocab_size();
        let whole = self.logits(&mut engine, &self.batch);
        engine.reserve_memory(self.model.memory_slots(), self.model.block_size(), self.model.memory_cols());
        let mut check = named("decoding equals the full pass");
        for segment in &self.batch.segments {
            for p in 0..segment.len {
                let mut one = Batch { decoding: true, ..Batch::default() };
                one.push_segment(&[self.batch.tokens[segment.start + p]], p, 0);
                let logits = self.logits(&mut engine, &one);
                let expected = &whole[(segment.start + p) * v..][..v];
                for (found, expected) in logits.iter().zip(expected) {
                    check.compare(*expected, *found, || format!("position {p}"));
                }
            }
        }
        check
    }

    /// The same seed gives the same weights after some steps, to the last bit, with a break between them or without.
    fn replay(&self, corpus: &mut Corpus) -> Result<Check, Error> {
        match self.config.engine {
            EngineKind::Scalar => self.replay_in::<f64>(corpus),
            EngineKind::Fast => self.replay_in::<f32>(corpus),
        }
    }

    fn replay_in<R: Precision>(&self, corpus: &mut Corpus) -> Result<Check, Error> {
        let steps = self.config.steps.min(3);
        let mut run = |pause: Option<usize>| -> Result<Vec<f64>, Error> {
            let mut rng = Rng::new(7);
            let mut trainer =
                Trainer::<R>::new(self.config.clone(), corpus.tokenizer.vocab_size(), &mut rng)?;
            let mut batch = Batch::default();
            for step in 0..steps {
                if pause == Some(step) {
                    trainer = Trainer::resume(trainer.checkpoint(&corpus.tokenizer, &rng))?;
                }
                corpus.fill(&mut batch, step, 2, self.config.block_size)?;
                trainer.step(&batch)?;
            }
            let params = trainer.params().iter().map(|p| p.to_f64()).collect();
            Ok(params)
        };
        let (first, second, paused) = (run(None)?, run(None)?, run(Some(steps - 1))?);
        let mut check = named("the same seed, the same bits");
        for (i, a) in first.iter().enumerate() {
            check.compare(*a, second[i], || format!("parameter {i}"));
            check.compare(*a, paused[i], || format!("parameter {i}, resumed"));
        }
        Ok(check)
    }
}

fn named(name: &str) -> Check {
    Check { name: name.into(), compared: 0, worst: 0.0, place: String::new(), passed: true }
}

impl Check {
    /// Two numbers that must have the same bits.
    fn compare(&mut self, expected: f64, found: f64, place: impl Fn() -> String) {
        self.compared += 1;
        if expected.to_bits() != found.to_bits() {
            let error = (expected - found).abs();
            if self.passed || error > self.worst {
                (self.worst, self.place) = (error, place());
            }
            self.passed = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::{Activation, Named};
    use crate::choices::Choice;
    use crate::documents::Documents;
    use crate::position::Position;
    use crate::sight::AttentionKind;

    fn corpus() -> Corpus {
        Corpus::new(Documents::from_lines("abacus\ncab\nb\nscuba".into()).unwrap())
    }

    fn small() -> Config {
        Config { n_embd: 8, n_head: 2, block_size: 5, ..Config::default() }
    }

    fn report(config: &Config, fault: Option<Fault>) -> Report {
        prove(config, &mut corpus(), fault, &mut |_, _| {}).unwrap()
    }

    #[test]
    fn every_variant_is_proved() {
        let listed = Named::ALL.iter().map(|&named| named.into());
        let typed =
            ["x * sigmoid(1.702*x)", "g * tanh(x) + x^2"].map(|text| Activation::parse(text).unwrap());
        for activation in listed.chain(typed) {
            let report = report(&Config { activation, n_layer: 2, ..small() }, None);
            assert!(report.passed(), "{activation}: {report:#?}");
        }
    }

    /// Every position with every attention, and what can be had together.
    #[test]
    fn every_position_and_attention_is_proved() {
        let base = Config { n_head: 4, n_layer: 2, ..small() };
        let all = Config { n_kv_head: 2, window: 2, softcap: 1.5, ..base.clone() };
        let (rotary, alibi) = (Position::Rotary, Position::Alibi);
        let mut configs = vec![
            Config { n_kv_head: 2, ..base.clone() },
            Config { n_kv_head: 1, ..base.clone() },
            Config { window: 1, ..base.clone() },
            Config { window: 3, ..base.clone() },
            Config { softcap: 0.5, ..base.clone() },
            Config { position: rotary, rope_base: 3.0, ..base.clone() },
            Config { position: alibi, n_head: 3, n_embd: 6, ..base.clone() },
            Config { position: rotary, ..all.clone() },
            Config { position: alibi, ..all.clone() },
            Config { position: Position::None, ..all },
            Config { attention: AttentionKind::Linear, position: rotary, n_kv_head: 2, ..base.clone() },
            Config { position: rotary, n_kv_head: 2, qk_norm: true, bias: true, tied: true, ..base.clone() },
        ];
        for (&position, &attention) in
            Position::ALL.iter().flat_map(|p| AttentionKind::ALL.iter().map(move |a| (p, a)))
        {
            configs.push(Config { position, attention, ..base.clone() });
        }
        for config in configs.into_iter().filter(|config| config.validate().is_ok()) {
            let report = report(&config, None);
            assert!(report.passed(), "{config:?}: {report:#?}");
        }
    }

    #[test]
    fn many_shapes_are_proved() {
        let relu: Activation = Named::Relu.into();
        for config in [
            small(),
            Config { activation: relu, ..small() },
            Config { n_layer: 3, ..small() },
            Config { n_layer: 2, n_head: 1, activation: relu, ..small() },
            Config { n_embd: 6, n_head: 2, ..small() },
            Config { n_embd: 7, n_head: 7, ..small() },
            Config { n_embd: 1, n_head: 1, ..small() },
            Config { block_size: 1, ..small() },
            Config { block_size: 2, n_embd: 5, n_head: 1, ..small() },
            Config { n_layer: 4, n_embd: 4, n_head: 4, block_size: 16, activation: relu, ..small() },
        ] {
            let report = report(&config, None);
            assert!(report.passed(), "{config:?}: {report:#?}");
        }
    }

    /// Each planted mistake must be found, and by the check that is there to find it.
    #[test]
    fn every_planted_mistake_is_found() {
        for &fault in Fault::ALL {
            for &activation in Named::ALL {
                let report =
                    report(&Config { activation: activation.into(), n_layer: 2, ..small() }, Some(fault));
                let failed: Vec<&str> = report
                    .checks
                    .iter()
                    .filter(|check| !check.passed)
                    .map(|check| check.name.as_str())
                    .collect();
                match fault {
                    Fault::Future => assert!(failed.contains(&"no output sees a later token"), "{failed:?}"),
                    _ => assert!(
                        failed.iter().any(|name| name.starts_with("gradient of layer0")),
                        "{fault}: {failed:?}"
                    ),
                }
            }
        }
    }
}
