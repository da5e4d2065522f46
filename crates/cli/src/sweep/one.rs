//! One run of a sweep: the same steps that `train` makes, on one thread, written when it is finished.

use super::Job;
use crate::bench::flops_of;
use crate::samples::Writer;
use cpu_time::ThreadTime;
use microgpt::batch::Batch;
use microgpt::documents::DataMode;
use microgpt::engine::Precision;
use microgpt::evaluate;
use microgpt::real::EngineKind;
use microgpt::rng::Rng;
use microgpt::train::{Step, Trainer};
use microgpt::{Error, ErrorKind};
use microgpt_runs::outcome::{Outcome, Point, last_tenth};
use microgpt_runs::weights::Stored;
use microgpt_runs::{Run, atomic};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// About so many steps of a run are written down, evenly spread.
const LINES: usize = 500;

/// Makes a run, and writes its folder; none if it was stopped.
pub(super) fn run(job: &Job, stop: &AtomicBool) -> Result<Option<Outcome>, Error> {
    match job.planned.settings.config.engine {
        EngineKind::Scalar => train::<f64>(job, stop),
        EngineKind::Fast => train::<f32>(job, stop),
    }
}

fn train<R: Stored + Precision>(job: &Job, stop: &AtomicBool) -> Result<Option<Outcome>, Error> {
    let settings = &job.planned.settings;
    let config = &settings.config;
    let unwritable = |error: std::io::Error| {
        let found = atomic::reason(&error);
        Error::checkpoint(format!("{}: expected a place to write to, found {found}", job.folder.display()))
    };
    // What is there has no result: it was not finished.
    if job.folder.exists() {
        fs::remove_dir_all(&job.folder).map_err(unwritable)?;
    }
    fs::create_dir_all(&job.folder).map_err(unwritable)?;
    let run = Run::at_any(job.folder.clone());

    let mut rng = Rng::new(config.seed);
    let data = settings.read_data()?;
    let data_sha256 = data.sha256.clone();
    let (mut corpus, tokens) = data.corpus_in(run.path(), config, None, &mut rng)?;
    tokens.map(|tokens| tokens.keep(run.path())).transpose()?;
    let vocab_size = corpus.tokenizer.vocab_size();
    let mut trainer = Trainer::<R>::new(config.clone(), vocab_size, &mut rng)?;
    run.write_settings(settings)?;
    run.write_tokenizer(&corpus.tokenizer)?;

    let (mut batch, mut lines, mut last) = (Batch::default(), String::new(), Vec::new());
    let mut outcome = Outcome {
        label: job.planned.label.clone(),
        tuning: job.planned.tuning,
        seconds: job.planned.seconds,
        num_params: trainer.num_params(),
        ..Outcome::default()
    };
    let (mut tokens, mut flops) = (0, Some(0.0));
    let every = (config.steps / LINES).max(1);
    let mut time = Duration::ZERO;
    let mut since = ThreadTime::now();
    let ended = (|| -> Result<bool, Error> {
        while trainer.steps_done() < config.steps {
            if stop.load(Relaxed) {
                return Ok(false);
            }
            let first = trainer.steps_done() * config.batch_size;
            corpus.fill(&mut batch, first, config.batch_size, config.block_size)?;
            tokens += batch.rows();
            flops = flops.zip(flops_of(config, vocab_size, &batch)).map(|(sum, more)| sum + more);
            let Step { step, loss, lr, .. } = trainer.step(&batch)?;
            if 10 * step > 9 * config.steps {
                last.push((step, loss));
            }
            let due = evaluate::is_due(config, step);
            if step.is_multiple_of(every) || step == config.steps {
                lines += &Point { step, loss: Some(loss), lr: Some(lr), ..Point::default() }.line();
            }
            if due {
                time += since.elapsed();
                let loss = evaluate::validation_loss(&mut trainer, &mut corpus, &mut batch)?;
                let right = evaluate::accuracy(&mut trainer, &mut corpus, &mut batch)?;
                (outcome.val_loss, outcome.accuracy) = (Some(loss), right);
                lines += &Point { step, val_loss: Some(loss), accuracy: right, ..Point::default() }.line();
                since = ThreadTime::now();
            }
        }
        Ok(true)
    })();
    time += since.elapsed();
    match ended {
        Ok(true) => {}
        Ok(false) => return Ok(None),
        Err(error) if error.kind() == ErrorKind::Diverged => outcome.diverged = Some(error.to_string()),
        Err(error) => return Err(error),
    }
    (outcome.steps, outcome.tokens, outcome.flops) = (trainer.steps_done(), Some(tokens), flops);
    outcome.loss = last_tenth(&last, config.steps);
    outcome.cpu_seconds = Some(time.as_secs_f64());
    atomic::write(&run.path().join("metrics.jsonl"), lines.as_bytes())?;
    run.save_training(&mut trainer, &rng, &data_sha256, None)?;
    if outcome.diverged.is_none() && config.data_mode == DataMode::Lines {
        trainer.swap_average()?;
        let mut samples = Vec::new();
        let Trainer { model, engine, config, .. } = &mut trainer;
        let writer = Writer { config, model, tokenizer: &corpus.tokenizer, stop: "", shows: false };
        let written = writer.write(engine.as_mut(), "", &mut rng, &mut |_, sample| {
            samples.push(sample.text);
            Ok(())
        });
        written.map_err(|error| Error::text(error.to_string()))?;
        run.write_samples(&samples, config.data_mode)?;
    }
    // The last of all: with it, the run is finished.
    outcome.write(run.path())?;
    Ok(Some(outcome))
}
