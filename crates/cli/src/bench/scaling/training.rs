//! A training to take the time of.

use super::model::Work;
use crate::bench::measure::{Effort, corpus_of};
use crate::bench::shapes::Shape;
use anyhow::Result;
use microgpt::batch::Batch;
use microgpt::corpus::Corpus;
use microgpt::optim::Optimizer;
use microgpt::real::Real;
use microgpt::rng::Rng;
use microgpt::train::Trainer;
use std::time::Instant;

/// On the fast engine.
pub(super) struct Training {
    corpus: Corpus,
    pub(super) trainer: Trainer<f32>,
    batch: Batch,
}

impl Training {
    /// Of a batch for so many ranks, each of whom has as many sequences, in as many parts, as one alone.
    pub(super) fn new(shape: &Shape, ranks: usize) -> Result<Training> {
        let mut config = shape.settings()?.config;
        let mut rng = Rng::new(config.seed);
        let corpus = corpus_of(&config, &mut rng)?;
        let vocab_size = corpus.tokenizer.vocab_size();
        let alone = Trainer::<f32>::new(config.clone(), vocab_size, &mut Rng::new(config.seed))?;
        config.micro_batches = ranks * config.parts(alone.num_params());
        config.batch_size *= ranks;
        let trainer = Trainer::new(config, vocab_size, &mut rng)?;
        Ok(Training { corpus, trainer, batch: Batch::default() })
    }

    fn step(&mut self) -> Result<()> {
        let Training { corpus, trainer, batch } = self;
        let (size, block_size) = (trainer.config.batch_size, trainer.config.block_size);
        corpus.fill(batch, trainer.steps_done() * size, size, block_size)?;
        trainer.step(batch)?;
        Ok(())
    }

    /// Seconds that each of so many steps takes; one before them is not counted.
    pub(super) fn times(&mut self, steps: usize) -> Result<Vec<f64>> {
        self.step()?;
        let one = |_| {
            let start = Instant::now();
            self.step().map(|()| start.elapsed().as_secs_f64())
        };
        (0..steps).map(one).collect()
    }

    /// The mean of these.
    pub(super) fn seconds(&mut self, steps: usize) -> Result<f64> {
        Ok(self.times(steps)?.iter().sum::<f64>() / steps as f64)
    }

    /// As many steps as a round has room for.
    pub(super) fn steps_of_a_round(&mut self, effort: &Effort) -> Result<usize> {
        self.seconds(1)?;
        Ok((effort.round.as_secs_f64() / self.seconds(1)?).clamp(2.0, 1e5) as usize)
    }

    /// All that the model of the scaling is told of a step that takes so long.
    pub(super) fn work(&self, step: f64, effort: &Effort) -> Work {
        let Trainer { config, model, .. } = &self.trainer;
        let params = self.trainer.params().to_vec();
        let mut optimiser = Optimizer::new(config, &model.layout, &params);
        let (mut updated, mut grads, mut sums) = (params.clone(), params.clone(), params.clone());
        let update = median((0..effort.rounds).map(|round| {
            let start = Instant::now();
            optimiser.step(&mut updated, &mut grads, 0..params.len(), round, config.rate(round));
            start.elapsed().as_secs_f64()
        }));
        let sum = median((0..effort.rounds).map(|_| {
            let start = Instant::now();
            f32::add_into(&mut sums, &grads);
            start.elapsed().as_secs_f64()
        }));
        Work {
            num_params: params.len(),
            sequences: config.batch_size,
            parts: config.parts(params.len()),
            tokens: self.batch.rows() as f64,
            // Tokens and targets.
            sequence_bytes: (2 * 4 * self.batch.rows()) as f64 / config.batch_size as f64,
            step,
            update,
            sum,
        }
    }
}

/// The middle one.
pub(super) fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = numbers.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
