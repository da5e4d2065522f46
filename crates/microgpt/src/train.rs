//! One step, from batch to update.

use crate::batch::Batch;
use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::engine::Precision;
use crate::error::Error;
use crate::exchange::{Alone, Call, Exchange, Ready};
use crate::layout::Matrix;
use crate::model::Model;
use crate::optim::{Optimizer, clip};
use crate::real::Real;
use crate::rng::{Rng, mix};
use crate::tensor::Learner;
use crate::token::Tokenizer;

/// What there is to say of a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Its number, from 1.
    pub step: usize,
    /// The loss before the update, in nats per token.
    pub loss: f64,
    /// The learning rate of the update.
    pub lr: f64,
}

/// A model in training.
pub struct Trainer<R: Real> {
    /// The settings.
    pub config: Config,
    /// The model.
    pub model: Model,
    /// What computes, and holds the parameters.
    pub engine: Box<dyn Learner<R>>,
    optimiser: Optimizer<R>,
    exchange: Box<dyn Exchange<R>>,
    /// What belongs to the gradients that were put aside.
    losses: [f64; usize::BITS as usize],
    part: Batch,
    steps_done: usize,
    /// Does each worker remember only what belongs to the parameters that it updates?
    scattered: bool,
    /// Every how many steps gradients are measured; 0: never.
    measured: usize,
    grad_norms: Vec<f64>,
}

impl<R: Precision> Trainer<R> {
    /// A new model on this precision's engine, its weights drawn from `rng`.
    ///
    /// # Errors
    /// Settings that cannot be, or a model that does not fit into memory.
    pub fn new(config: Config, vocab_size: usize, rng: &mut Rng) -> Result<Trainer<R>, Error> {
        config.validate()?;
        let model = Model::new(&config, vocab_size);
        let params = model.layout.init(rng)?;
        Ok(Trainer::with_engine(config, model, R::engine(params)))
    }

    /// A model that was saved, to go on as if nothing had happened.
    ///
    /// # Errors
    /// A checkpoint that does not fit together.
    pub fn resume(checkpoint: Checkpoint<R>) -> Result<Trainer<R>, Error> {
        let model = checkpoint.model()?;
        let mut trainer = Trainer::with_engine(checkpoint.config, model, R::engine(checkpoint.params));
        for ((_, slice), (_, saved)) in trainer.optimiser.memory().zip(checkpoint.memory) {
            *slice = saved;
        }
        trainer.steps_done = checkpoint.step;
        Ok(trainer)
    }

    /// A trainer for the place where another one stands elsewhere: step `steps_done` of these settings. Its numbers are
    /// zeros, until [`Trainer::state`] is filled with those of the other.
    ///
    /// # Errors
    /// Settings that cannot be.
    pub fn at(config: Config, vocab_size: usize, steps_done: usize) -> Result<Trainer<R>, Error> {
        config.validate()?;
        let model = Model::new(&config, vocab_size);
        let zeros = vec![R::default(); model.layout.len()];
        let mut trainer = Trainer::with_engine(config, model, R::engine(zeros));
        trainer.steps_done = steps_done;
        Ok(trainer)
    }

    /// Another trainer at the same point: it makes the same steps.
    ///
    /// # Panics
    /// As [`Trainer::remembered`].
    pub fn twin(&self) -> Trainer<R> {
        self.remembered();
        let engine = R::engine(self.params().to_vec());
        let mut twin = Trainer::with_engine(self.config.clone(), self.model.clone(), engine);
        (twin.optimiser, twin.steps_done) = (self.optimiser.clone(), self.steps_done);
        twin.measured = self.measured;
        twin
    }
}

impl<R: Real> Trainer<R> {
    fn with_engine(config: Config, model: Model, mut engine: Box<dyn Learner<R>>) -> Trainer<R> {
        engine.spare_memory();
        let optimiser = Optimizer::new(&config, &model.layout, &engine.params());
        Trainer {
            config,
            model,
            engine,
            optimiser,
            exchange: Box::new(Alone),
            losses: [0.0; usize::BITS as usize],
            part: Batch::default(),
            steps_done: 0,
            scattered: false,
            measured: 0,
            grad_norms: Vec::new(),
        }
    }

    /// From now on, each step is one worker's of several, who hold the same parameters and see the same batches.
    ///
    /// # Panics
    /// As [`Trainer::remembered`].
    pub fn exchange_by(&mut self, exchange: Box<dyn Exchange<R>>) {
        self.remembered();
        self.exchange = exchange;
    }

    /// One step: forward, loss, backward, exchange, update.
    ///
    /// The batch is cut into the parts that [`Config::parts`] says, of which this worker has its share.
    ///
    /// # Errors
    /// A loss that is infinite or not a number: nothing is updated. Another worker that is gone.
    ///
    /// # Panics
    /// If the parts cannot be shared evenly.
    pub fn step(&mut self, batch: &Batch) -> Result<Step, Error> {
        let lr = self.config.rate(self.steps_done);
        let parts = self.config.parts(self.num_params());
        let (worker, workers) = self.exchange.place();
        assert!(parts.is_multiple_of(workers), "{parts} parts for {workers} workers");
        let share = parts / workers;

        self.exchange.begin(Call::Step(batch))?;
        let mut loss_now = 0.0;
        for i in 0..share {
            let last = i + 1 == share;
            let part = batch.part(worker * share + i, parts, &mut self.part);
            self.engine.begin(part);
            self.engine.leave_to(mix(self.config.seed, self.steps_done as u64));
            loss_now = 0.0;
            if part.rows() > 0 {
                let [loss, objective] = self.model.loss(&*self.engine, part).map(|tensor| tensor.id());
                loss_now = self.engine.number(loss, 0, 0);
                if last && self.exchange.sends_early() {
                    let (engine, aside) = (&mut self.engine, aside(i));
                    let mut work = |ready: &mut Ready<'_, R>| engine.backward_while(objective, aside, ready);
                    self.exchange.sum_while(&mut work)?;
                    loss_now = self.joined(i, loss_now);
                    break;
                }
                self.engine.backward(objective);
            }
            loss_now = self.join(i, last, loss_now);
        }
        let (params, grads) = self.engine.slices();
        let mine = self.exchange.sum(grads, &mut loss_now)?;
        if !loss_now.is_finite() {
            let step = self.steps_done + 1;
            return Err(Error::diverged(format!(
                "step {step}: expected a finite loss, found {loss_now} (a lower lr?)"
            )));
        }
        let measured = self.measured > 0 && (self.steps_done + 1).is_multiple_of(self.measured);
        if measured || self.config.grad_clip > 0.0 {
            // Their length is that of all, whoever updates what.
            self.exchange.share(grads)?;
        }
        self.grad_norms.clear();
        if measured {
            let norm = |matrix: &Matrix| clip::norm(&grads[matrix.range()]);
            self.grad_norms.extend(self.model.layout.matrices().iter().map(norm));
        }
        if self.config.grad_clip > 0.0 {
            let factor = clip::factor(grads, self.config.grad_clip)?;
            R::scale(&mut grads[mine.clone()], factor);
        }
        self.optimiser.step(params, grads, mine, self.steps_done, lr);
        self.exchange.share(params)?;

        self.steps_done += 1;
        self.scattered = workers > 1;
        Ok(Step { step: self.steps_done, loss: loss_now, lr })
    }

    /// Measures from now on, in each step whose number `every` divides, how long each matrix's gradient is; 0: in none.
    /// Workers hear of it when the trainer is next shared.
    pub fn measure_gradients(&mut self, every: usize) {
        self.measured = every;
    }

    /// What [`Trainer::measure_gradients`] was last told.
    pub fn measures_gradients(&self) -> usize {
        self.measured
    }

    /// Of the last step, if it was measured: the Euclidean length of each matrix's gradient, of the whole batch and before
    /// anything is clipped, in the order of the layout. Else nothing.
    pub fn gradient_norms(&self) -> &[f64] {
        &self.grad_norms
    }

    /// Sums the parts as a binary tree: what part `i` completes is joined with what waits for it, from small to large;
    /// unless it is the last, the whole then waits for as much again. Returns the loss of the whole.
    fn join(&mut self, i: usize, last: bool, loss: f64) -> f64 {
        let loss = self.joined(i, loss);
        (0..aside(i)).for_each(|earlier| self.engine.add_aside(earlier));
        if !last {
            self.engine.put_aside(aside(i));
            self.losses[aside(i)] = loss;
        }
        loss
    }

    /// The same of the loss alone.
    fn joined(&self, i: usize, loss: f64) -> f64 {
        self.losses[..aside(i)].iter().fold(loss, |loss, earlier| loss + earlier)
    }

    /// The loss on a batch, in nats per token; nothing is learnt from it.
    pub fn loss(&mut self, batch: &Batch) -> f64 {
        self.engine.begin(batch);
        let loss = self.model.forward(&*self.engine, batch).cross_entropy().id();
        self.engine.number(loss, 0, 0)
    }

    /// How many batches [`Trainer::losses`] takes at once.
    pub fn workers(&self) -> usize {
        self.exchange.place().1
    }

    /// The same for each of these, of which each worker takes one.
    ///
    /// # Errors
    /// Another worker is gone.
    ///
    /// # Panics
    /// If there are more batches than [workers](Trainer::workers).
    pub fn losses(&mut self, batches: &[Batch]) -> Result<Vec<f64>, Error> {
        let (worker, workers) = self.exchange.place();
        assert!(batches.len() <= workers, "{} batches for {workers} workers", batches.len());
        self.exchange.begin(Call::Look(batches))?;
        let mine = batches.get(worker).map_or(0.0, |batch| self.loss(batch));
        self.exchange.each(&[mine])
    }

    /// How many steps have been made.
    pub fn steps_done(&self) -> usize {
        self.steps_done
    }

    /// How many parameters there are.
    pub fn num_params(&self) -> usize {
        self.model.layout.len()
    }

    /// The parameters, in the order of the layout.
    pub fn params(&self) -> std::cell::Ref<'_, [R]> {
        self.engine.params()
    }

    /// All numbers that training changes: the parameters, then what the optimiser remembers ([`Trainer::remembered`]).
    pub fn state(&mut self) -> Vec<&mut [R]> {
        let memory = self.optimiser.memory().map(|(_, slice)| slice.as_mut_slice());
        std::iter::once(self.engine.slices().0).chain(memory).collect()
    }

    /// Which parameters a worker of so many is to update; see [`Optimizer::range`].
    pub fn range(&self, worker: usize, workers: usize) -> std::ops::Range<usize> {
        self.optimiser.range(worker, workers)
    }

    /// Brings together what the workers remember: after this, [`Trainer::remembered`] of worker 0 may be looked at.
    ///
    /// # Errors
    /// Another worker is gone, and what it remembered with it.
    pub fn gather(&mut self) -> Result<(), Error> {
        if self.scattered && self.optimiser.memory().next().is_some() {
            self.exchange.begin(Call::Gather)?;
            for (_, slice) in self.optimiser.memory() {
                self.exchange.collect(slice)?;
            }
        }
        self.scattered = false;
        Ok(())
    }

    /// What the optimiser remembers, by name: flat slices in the order of the layout. See [`crate::optim::remembers`].
    ///
    /// # Panics
    /// If several workers have made a step since they were last [gathered](Trainer::gather).
    pub fn remembered(&self) -> Vec<(&'static str, &[R])> {
        assert!(!self.scattered, "the workers have what the optimiser remembers: gather first");
        self.optimiser.remembered()
    }

    /// Changes the parameters for their average (`ema`), if the run has one, and back the second time. In between no
    /// step may be made.
    ///
    /// # Errors
    /// As [`Trainer::gather`].
    pub fn swap_average(&mut self) -> Result<(), Error> {
        if self.config.ema > 0.0 {
            // Each worker has the average of what it updates.
            self.exchange.begin(Call::Swap)?;
            self.exchange.share(self.optimiser.average())?;
            self.optimiser.swap_average(self.engine.slices().0);
        }
        Ok(())
    }

    /// Everything that is needed to go on later as if nothing had happened.
    ///
    /// # Panics
    /// As [`Trainer::remembered`].
    pub fn checkpoint(&self, tokenizer: &Tokenizer, rng: &Rng) -> Checkpoint<R> {
        Checkpoint {
            config: self.config.clone(),
            tokenizer: tokenizer.clone(),
            step: self.steps_done,
            rng: rng.state(),
            params: self.params().to_vec(),
            memory: self.remembered().into_iter().map(|(name, slice)| (name, slice.to_vec())).collect(),
        }
    }
}

/// How many sums that were put aside part `i` is to be joined with: of the parts before it, as a binary tree.
fn aside(i: usize) -> usize {
    i.trailing_ones() as usize
}
