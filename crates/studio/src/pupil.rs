//! A training, whatever its precision: what the studio asks of it.

use crate::weights::{Kept, Weights};
use microgpt::batch::Batch;
use microgpt::checkpoint::{Checkpoint, slice_of};
use microgpt::corpus::Corpus;
use microgpt::documents::DataMode;
use microgpt::engine::Precision;
use microgpt::evaluate;
use microgpt::inspect;
use microgpt::measures::{Measures, Meter};
use microgpt::op::Shape;
use microgpt::rng::{Rng, RngState, mix};
use microgpt::sample::Sampler;
use microgpt::train::{Step, Trainer};
use microgpt::write::Writing;
use microgpt::{Config, Error};
use microgpt_runs::Run;
use microgpt_runs::state::Best;
use microgpt_runs::weights::Stored;

/// What the optimiser remembers, by name.
pub type Memory = Vec<(&'static str, Weights)>;

/// A training that is one call a step.
pub trait Training: Send {
    /// The next step; measured, if that is asked for.
    fn step(&mut self, measured: bool) -> Result<(Step, Option<Measures>), Error>;
    /// How many tokens the last step learnt from.
    fn tokens(&self) -> usize;
    /// How many steps have been made.
    fn steps_done(&self) -> usize;
    /// From now on the course is one of so many steps.
    fn set_steps(&mut self, steps: usize);
    /// The parameters.
    fn weights(&self) -> Weights;
    /// What the optimiser remembers.
    fn memory(&mut self) -> Result<Memory, Error>;
    /// The loss on what is held back, and of a task the part that is right; if it is time for it.
    fn validation(&mut self) -> Result<Option<(f64, Option<f64>)>, Error>;
    /// Has it been looked at often enough without a better loss on what is held back (`patience`)?
    fn gives_up(&self) -> bool;
    /// Some samples; the same for the same step.
    fn samples(&self, count: usize) -> Result<Vec<String>, Error>;
    /// The numbers of a matrix after the step, or of a tensor that it computed; or their gradients.
    fn tensor(&mut self, name: &str, grad: bool) -> Option<(Shape, Vec<f64>)>;
    /// Writes a checkpoint.
    fn save(&mut self, run: &Run, data_sha256: &str) -> Result<(), Error>;
    /// Sends the workers away who share its steps: until the next step it is one thread's.
    ///
    /// # Errors
    /// A worker was gone, and what it remembered with it.
    fn rest(&mut self) -> Result<(), Error>;
    /// Goes back, or on, to where this was true.
    fn restore(&mut self, step: usize, weights: &Weights, memory: &Memory) -> Result<(), Error>;
    /// Another training from the very beginning.
    fn restart(&self) -> Result<Box<dyn Training>, Error>;
    /// The batch that step `step` (from 0) learns from.
    fn batch_of(&mut self, step: usize) -> Result<Batch, Error>;
}

/// A trainer with its text.
pub struct Pupil<R: Precision> {
    corpus: Corpus,
    batch: Batch,
    trainer: Trainer<R>,
    meter: Meter<R>,
    /// Do workers share its steps, as many as `microgpt train` would take?
    shared: bool,
    /// Chance before the first weights were drawn.
    before: Rng,
    /// Chance as it is saved.
    chance: RngState,
    /// The best loss so far on what is held back.
    best: Option<Best>,
}

impl<R: Precision + Kept + Stored> Pupil<R> {
    /// A training from the beginning; `before` is chance as the text left it.
    ///
    /// # Errors
    /// Settings that cannot be.
    pub fn new(config: Config, mut corpus: Corpus, before: Rng) -> Result<Pupil<R>, Error> {
        let mut rng = before.clone();
        let mut trainer = Trainer::new(config, corpus.tokenizer.vocab_size(), &mut rng)?;
        let meter = Meter::new(&mut trainer, &mut corpus, 1)?;
        let (batch, chance) = (Batch::default(), rng.state());
        Ok(Pupil { corpus, batch, trainer, meter, shared: false, before, chance, best: None })
    }

    /// One that was saved.
    ///
    /// # Errors
    /// A checkpoint that does not fit together.
    pub fn saved(
        checkpoint: Checkpoint<R>,
        best: Option<Best>,
        mut corpus: Corpus,
        before: Rng,
    ) -> Result<Pupil<R>, Error> {
        let chance = checkpoint.rng.clone();
        let mut trainer = Trainer::resume(checkpoint)?;
        let meter = Meter::new(&mut trainer, &mut corpus, 1)?;
        let batch = Batch::default();
        Ok(Pupil { corpus, batch, trainer, meter, shared: false, before, chance, best })
    }
}

impl<R: Precision + Kept + Stored> Training for Pupil<R> {
    fn step(&mut self, measured: bool) -> Result<(Step, Option<Measures>), Error> {
        let Pupil { corpus, batch, trainer, meter, shared, .. } = self;
        if !std::mem::replace(shared, true) {
            let workers = microgpt_workers::choose(trainer, 0);
            microgpt_workers::share(trainer, workers)?;
        }
        let (batch_size, block_size) = (trainer.config.batch_size, trainer.config.block_size);
        corpus.fill(batch, trainer.steps_done() * batch_size, batch_size, block_size)?;
        if !measured {
            return Ok((trainer.step(batch)?, None));
        }
        let (step, measures) = meter.step(trainer, batch, &corpus.tokenizer)?;
        Ok((step, measures.cloned()))
    }

    fn tokens(&self) -> usize {
        self.batch.rows()
    }

    fn steps_done(&self) -> usize {
        self.trainer.steps_done()
    }

    fn set_steps(&mut self, steps: usize) {
        self.trainer.config.steps = steps;
        // Those who share it are to hear of it.
        self.shared = false;
    }

    fn weights(&self) -> Weights {
        R::keep(&self.trainer.params())
    }

    fn memory(&mut self) -> Result<Memory, Error> {
        self.trainer.gather()?;
        Ok(self.trainer.remembered().into_iter().map(|(name, slice)| (name, R::keep(slice))).collect())
    }

    fn validation(&mut self) -> Result<Option<(f64, Option<f64>)>, Error> {
        let Pupil { corpus, batch, trainer, .. } = self;
        if !evaluate::is_due(&trainer.config, trainer.steps_done()) {
            return Ok(None);
        }
        let loss = evaluate::validation_loss(trainer, corpus, batch)?;
        let right = evaluate::accuracy(trainer, corpus, batch)?;
        self.best = Some(Best::after(self.best, self.trainer.steps_done(), loss));
        Ok(Some((loss, right)))
    }

    fn gives_up(&self) -> bool {
        let patience = self.trainer.config.patience;
        patience > 0 && self.best.is_some_and(|best| best.looks_since >= patience)
    }

    fn samples(&self, count: usize) -> Result<Vec<String>, Error> {
        let Trainer { model, config, .. } = &self.trainer;
        let tokenizer = &self.corpus.tokenizer;
        let mut engine = R::engine(self.trainer.params().to_vec());
        let mut sampler = Sampler::new(engine.as_mut(), model);
        let mut rng = Rng::new(mix(config.seed, self.steps_done() as u64));
        let start = [tokenizer.stream_start()];
        let prompt = if config.data_mode == DataMode::Stream { &start[..] } else { &[] };
        let config = Config { max_new_tokens: config.max_new_tokens.min(160), ..config.clone() };
        let writing = Writing { config: &config, model, tokenizer, prompt, stop: "" };
        (0..count).map(|_| writing.write(&mut sampler, engine.as_mut(), &mut rng, &mut |_, _| {})).collect()
    }

    fn tensor(&mut self, name: &str, grad: bool) -> Option<(Shape, Vec<f64>)> {
        let Trainer { model, engine, .. } = &mut self.trainer;
        if let Some(matrix) = model.layout.find(name) {
            let (params, grads) = engine.slices();
            let numbers = slice_of(matrix, if grad { grads } else { params });
            return Some((matrix.shape, numbers.iter().map(|x| x.to_f64()).collect()));
        }
        let node = inspect::find(&**engine, name)?;
        Some((node.shape, if grad { engine.grads(node.id) } else { engine.values(node.id) }))
    }

    fn save(&mut self, run: &Run, data_sha256: &str) -> Result<(), Error> {
        run.save_training(&mut self.trainer, &Rng::restore(&self.chance)?, data_sha256, self.best)
    }

    fn rest(&mut self) -> Result<(), Error> {
        if std::mem::replace(&mut self.shared, false) {
            microgpt_workers::share(&mut self.trainer, 1)?;
        }
        Ok(())
    }

    fn restore(&mut self, step: usize, weights: &Weights, memory: &Memory) -> Result<(), Error> {
        let trainer = Trainer::resume(Checkpoint {
            config: self.trainer.config.clone(),
            tokenizer: self.corpus.tokenizer.clone(),
            step,
            rng: self.chance.clone(),
            params: R::take(weights).to_vec(),
            memory: memory.iter().map(|(name, weights)| (*name, R::take(weights).to_vec())).collect(),
        })?;
        self.trainer = trainer;
        self.trainer.measure_gradients(1);
        self.shared = false;
        Ok(())
    }

    fn restart(&self) -> Result<Box<dyn Training>, Error> {
        let (config, corpus) = (self.trainer.config.clone(), self.corpus.clone());
        Ok(Box::new(Pupil::<R>::new(config, corpus, self.before.clone())?))
    }

    fn batch_of(&mut self, step: usize) -> Result<Batch, Error> {
        let Config { batch_size, block_size, .. } = self.trainer.config;
        let mut batch = Batch::default();
        self.corpus.fill(&mut batch, step * batch_size, batch_size, block_size)?;
        Ok(batch)
    }
}
