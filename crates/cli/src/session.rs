//! A training under way: step after step, with looks at what is held back, checkpoints and samples.

use crate::args::TrainArgs;
use crate::autopsy;
use crate::folder::Records;
use crate::samples;
use crate::voice::{Beginning, Voice, program};
use anyhow::Result;
use microgpt::batch::Batch;
use microgpt::corpus::Corpus;
use microgpt::documents::DataMode;
use microgpt::engine::Precision;
use microgpt::evaluate::{self, bits};
use microgpt::measures::{Measures, Meter};
use microgpt::rng::Rng;
use microgpt::sample::Sampler;
use microgpt::train::{Step, Trainer};
use microgpt::{Error, ErrorKind};
use microgpt_runs::Settings;
use microgpt_runs::metrics::Validation;
use microgpt_runs::state::Best;
use microgpt_runs::weights::Stored;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Ctrl+C was pressed: the step in hand is finished, the run is saved.
pub(crate) static STOP: AtomicBool = AtomicBool::new(false);

/// A training under way.
pub(crate) struct Session<R: Stored + Precision> {
    pub(crate) settings: Settings,
    pub(crate) corpus: Corpus,
    pub(crate) rng: Rng,
    pub(crate) trainer: Trainer<R>,
    pub(crate) meter: Meter<R>,
    /// The best so far on what is held back.
    pub(crate) best: Option<Best>,
    pub(crate) records: Records,
    /// What the last look of this session has found.
    pub(crate) last_look: Option<f64>,
}

/// When a checkpoint is due.
struct Saving {
    every: Option<usize>,
    wait: Duration,
    last: Instant,
}

impl Saving {
    fn new(args: &TrainArgs) -> Saving {
        let wait = Duration::from_secs_f64(args.save_seconds.unwrap_or(SAVE_SECONDS));
        Saving { every: args.save_every, wait, last: Instant::now() }
    }

    fn is_due(&self, step: usize) -> bool {
        self.every.map_or_else(|| self.last.elapsed() >= self.wait, |every| step.is_multiple_of(every))
    }

    /// One was made, and has taken so long.
    fn made(&mut self, took: Duration) {
        self.wait = self.wait.max(20 * took);
        self.last = Instant::now();
    }
}

/// Unless `--save-seconds` or `--save-every` says otherwise.
const SAVE_SECONDS: f64 = 5.0;

/// Counts tokens from one measured step to the next.
struct Rate {
    since: Instant,
    tokens: usize,
}

impl Rate {
    fn new() -> Rate {
        Rate { since: Instant::now(), tokens: 0 }
    }

    fn per_second(&mut self) -> f64 {
        let rate = self.tokens as f64 / self.since.elapsed().as_secs_f64().max(1e-9);
        *self = Rate::new();
        rate
    }
}

impl<R: Stored + Precision> Session<R> {
    pub(crate) fn train(mut self, args: &TrainArgs) -> Result<ExitCode> {
        let config = self.settings.config.clone();
        let workers = microgpt_workers::choose(&self.trainer, args.workers);
        if workers < args.workers {
            let parts = config.parts(self.trainer.num_params());
            crate::notice(&format!(
                "workers: {workers}, for a step has {parts} parts (micro_batches) to share"
            ));
        }
        crate::ranks::to_go_on(&self.to_go_on());
        microgpt_workers::share(&mut self.trainer, workers)?;
        let mut voice = Voice::new(args.json, !args.no_tui);
        voice.begin(&Beginning {
            settings: &self.settings,
            corpus: &self.corpus,
            num_params: self.trainer.num_params(),
            steps_done: self.trainer.steps_done(),
            run: self.records.0.as_ref().map(|folder| &folder.run),
        })?;

        let last = args.stop_after.unwrap_or(config.steps).min(config.steps);
        let (mut batch, mut rate, mut ratio) = (Batch::default(), Rate::new(), None);
        let mut saving = Saving::new(args);
        while self.trainer.steps_done() < last && !self.is_enough() && !STOP.load(Relaxed) {
            let first = self.trainer.steps_done() * config.batch_size;
            self.corpus.fill(&mut batch, first, config.batch_size, config.block_size)?;
            rate.tokens += batch.rows();
            let made = self.meter.step(&mut self.trainer, &batch, &self.corpus.tokenizer);
            let told = match made {
                Ok((step, measures)) => {
                    let rate = measures.map(|_| rate.per_second());
                    self.records.record(&step, measures, rate)?;
                    tell(&mut voice, &step, measures, config.steps, &batch)
                }
                Err(error) => return Err(self.lost(error, &batch, first, &mut voice)),
            };
            let step = self.trainer.steps_done();
            let mut told =
                told.and_then(|()| if voice.wants_a_sample() { self.sketch(&mut voice) } else { Ok(()) });
            if evaluate::is_due(&config, step) {
                let looked = self.look(&mut batch, &mut ratio);
                let validation = looked.map_err(|error| self.with_what_is_saved(error))?;
                let unit = self.corpus.tokenizer.unit();
                told = told.and_then(|()| voice.validation(step, config.steps, &validation, unit));
            }
            if let Err(error) = told {
                self.save()?;
                return Err(error.into());
            }
            let best_now = self.best.is_some_and(|best| best.step == step);
            if best_now || step < last && saving.is_due(step) {
                let began = Instant::now();
                self.save()?;
                saving.made(began.elapsed());
            }
            voice.wait_while_paused();
        }
        self.save()?;
        voice.pause()?;
        if self.trainer.steps_done() < config.steps && !self.is_enough() {
            return Ok(self.stopped());
        }
        self.say_if_it_overfits();

        voice.heading(self.settings.preset().heading)?;
        let samples = self.samples(&voice)?;
        self.records.write(|folder| folder.run.write_samples(&samples, config.data_mode))?;
        voice.next(self.records.0.as_ref().map(|folder| &folder.run))?;
        Ok(ExitCode::SUCCESS)
    }

    /// Has what is held back not become better for too long?
    fn is_enough(&self) -> bool {
        let patience = self.settings.config.patience;
        patience > 0 && self.best.is_some_and(|best| best.looks_since >= patience)
    }

    fn look(&mut self, batch: &mut Batch, ratio: &mut Option<f64>) -> Result<Validation, Error> {
        let loss = evaluate::validation_loss(&mut self.trainer, &mut self.corpus, batch)?;
        let accuracy = evaluate::accuracy(&mut self.trainer, &mut self.corpus, batch)?;
        let per_character = match *ratio {
            Some(ratio) => ratio,
            None => {
                *ratio.insert(evaluate::tokens_per_character(&self.settings.config, &mut self.corpus, batch)?)
            }
        };
        let bits_per_character = Some(bits(loss) * per_character);
        let validation = Validation { loss, bits_per_character, accuracy };
        let step = self.trainer.steps_done();
        self.records.look(step, &validation)?;
        self.best = Some(Best::after(self.best, step, loss));
        self.last_look = Some(loss);
        Ok(validation)
    }

    fn save(&mut self) -> Result<(), Error> {
        self.records.save(&mut self.trainer, &self.rng, self.best)
    }

    /// A step has left the numbers: why, and what is saved.
    fn lost(&mut self, error: Error, batch: &Batch, first: usize, voice: &mut Voice) -> anyhow::Error {
        let _ = voice.pause();
        // What is written of the steps before it stays.
        if error.kind() != ErrorKind::Diverged {
            return self.with_what_is_saved(error).into();
        }
        let saved = self.what_is_saved();
        let report = autopsy::report(&self.trainer, &self.corpus, batch, first, &saved);
        let _ = self.records.write(|folder| folder.run.write_autopsy(&format!("{error}\n{report}")));
        Error::diverged(format!("{error}\n{report}")).into()
    }

    fn what_is_saved(&self) -> String {
        self.records.0.as_ref().map_or("nothing of it is saved".into(), |folder| folder.saved_up_to())
    }

    fn with_what_is_saved(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::Diverged => Error::diverged(format!("{error}; {}", self.what_is_saved())),
            // It has said so already.
            _ => error,
        }
    }

    fn to_go_on(&self) -> String {
        match &self.records.0 {
            Some(folder) => format!(
                "to go on from what was saved last, on as many ranks as you like: {} train --resume {}",
                program(),
                folder.run.name()
            ),
            None => "nothing was saved".to_string(),
        }
    }

    fn say_if_it_overfits(&self) {
        // A hundredth is chance.
        let worse = |best: &Best| self.last_look.is_some_and(|loss| loss > 1.01 * best.val_loss);
        let Some(best) = self.best.filter(|best| self.is_enough() || worse(best)) else { return };
        let Some(folder) = &self.records.0 else { return };
        let step = self.trainer.steps_done();
        let what = if self.is_enough() {
            format!(
                "stopped early, after step {step}: {} looks without a better validation loss",
                best.looks_since
            )
        } else {
            "overfitting: what is held back was known better before".to_string()
        };
        crate::notice(&format!(
            "{what}; the best was {:.4} at step {}: {} generate {} --checkpoint best",
            best.val_loss,
            best.step,
            program(),
            folder.run.name()
        ));
    }

    /// What the model would write now. It has a chance of its own: that of the run stays where it is.
    fn sketch(&mut self, voice: &mut Voice) -> std::io::Result<()> {
        let step = self.trainer.steps_done();
        let mut rng = Rng::new(step as u64);
        let Trainer { model, engine, config, .. } = &mut self.trainer;
        let (engine, tokenizer) = (engine.as_mut(), &self.corpus.tokenizer);
        let mut sampler = Sampler::new(engine, model);
        let tokens = match config.data_mode {
            DataMode::Lines => sampler.sample(engine, model, tokenizer, &[], config.temperature, &mut rng),
            DataMode::Stream => {
                let (start, count) = ([tokenizer.stream_start()], config.block_size.min(160));
                sampler.stream(engine, model, tokenizer, &start, count, config.temperature, &mut rng)
            }
        };
        if let Ok(tokens) = tokens {
            voice.sketch(step, &tokenizer.decode(&tokens));
        }
        Ok(())
    }

    fn samples(&mut self, voice: &Voice) -> Result<Vec<String>> {
        self.trainer.swap_average()?;
        let Trainer { model, engine, config, .. } = &mut self.trainer;
        let writer =
            samples::Writer { config, model, tokenizer: &self.corpus.tokenizer, stop: "", shows: false };
        let mut samples = Vec::new();
        writer.write(engine.as_mut(), "", &mut self.rng, &mut |i, sample| {
            voice.sample(i, &sample.text, config.data_mode)?;
            samples.push(sample.text);
            Ok(())
        })?;
        self.trainer.swap_average()?;
        Ok(samples)
    }

    /// Training ended before its last step.
    fn stopped(&self) -> ExitCode {
        let step = self.trainer.steps_done();
        crate::notice(&match &self.records.0 {
            Some(folder) => format!(
                "stopped after step {step}; to go on as if it had not: {} train --resume {}",
                program(),
                folder.run.name()
            ),
            None => format!("stopped after step {step}; nothing was saved"),
        });
        if STOP.load(Relaxed) { ExitCode::from(130) } else { ExitCode::SUCCESS }
    }
}

fn tell(
    voice: &mut Voice,
    step: &Step,
    measures: Option<&Measures>,
    steps: usize,
    batch: &Batch,
) -> std::io::Result<()> {
    if let Some(measures) = measures {
        voice.measured(measures);
    }
    voice.step(step, steps, batch)
}
