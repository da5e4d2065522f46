//! `microgpt train`: data, model, the loop, samples; and the run folder beside it.

use crate::args::TrainArgs;
use crate::samples;
use crate::voice::{Beginning, Voice, program};
use anyhow::Result;
use microgpt::Error;
use microgpt::batch::Batch;
use microgpt::corpus::Corpus;
use microgpt::engine::Precision;
use microgpt::evaluate;
use microgpt::real::{EngineKind, Real};
use microgpt::rng::Rng;
use microgpt::train::{Step, Trainer};
use microgpt_runs::Settings;
use microgpt_runs::metrics::Metrics;
use microgpt_runs::run::{RUNS, Run};
use microgpt_runs::weights::Stored;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Ctrl+C was pressed: the step in hand is finished, the run is saved.
static STOP: AtomicBool = AtomicBool::new(false);

/// A training under way.
struct Session<R: Real> {
    settings: Settings,
    corpus: Corpus,
    rng: Rng,
    trainer: Trainer<R>,
    folder: Option<Folder>,
}

/// Where it is saved.
struct Folder {
    run: Run,
    metrics: Metrics,
    data_sha256: String,
    /// Was it asked for?
    asked: bool,
}

pub(crate) fn run(args: &TrainArgs) -> Result<ExitCode> {
    // A second Ctrl+C does not wait.
    let _ = ctrlc::set_handler(|| {
        if STOP.swap(true, Relaxed) {
            std::process::exit(130);
        }
    });
    match &args.resume {
        Some(name) => {
            let run = Run::find(name)?;
            match run.read_settings()?.config.engine {
                EngineKind::Scalar => resume::<f64>(run, name, args)?.train(args),
                EngineKind::Fast => resume::<f32>(run, name, args)?.train(args),
            }
        }
        None => {
            let settings = args.settings.resolve()?;
            match settings.config.engine {
                EngineKind::Scalar => begin::<f64>(settings, args)?.train(args),
                EngineKind::Fast => begin::<f32>(settings, args)?.train(args),
            }
        }
    }
}

/// A new run.
fn begin<R: Stored + Precision>(settings: Settings, args: &TrainArgs) -> Result<Session<R>> {
    // One source of chance for everything, in microgpt.py's order: documents, weights, samples.
    let mut rng = Rng::new(settings.config.seed);
    let data = settings.read_data()?;
    let data_sha256 = data.sha256.clone();
    let place = match &args.out {
        _ if args.no_save => std::env::temp_dir(),
        Some(name) => Run::place(name).parent().unwrap_or(Path::new(".")).to_path_buf(),
        None => RUNS.into(),
    };
    let (corpus, mut tokens) = data.corpus_in(&place, &settings.config, None, &mut rng)?;
    let trainer = Trainer::new(settings.config.clone(), corpus.tokenizer.vocab_size(), &mut rng)?;
    let mut make = || -> Result<Folder, Error> {
        let run = match &args.out {
            Some(name) => Run::create(name)?,
            None => Run::create_next(settings.preset)?,
        };
        run.write_settings(&settings)?;
        run.write_tokenizer(&corpus.tokenizer)?;
        tokens.take().map(|tokens| tokens.keep(run.path())).transpose()?;
        let metrics = run.metrics(0)?;
        Ok(Folder { run, metrics, data_sha256: data_sha256.clone(), asked: args.out.is_some() })
    };
    let folder = match (!args.no_save).then(&mut make).transpose() {
        Ok(folder) => folder,
        Err(error) if args.out.is_none() => {
            unsaved(&error);
            None
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Session { settings, corpus, rng, trainer, folder })
}

/// Nobody asked for the run to be saved: where that cannot be, it goes on, and the first run prints its names.
fn unsaved(error: &Error) {
    crate::notice(&format!("{error}; the run is not saved"));
}

/// The settings that a run may change on its way; with any other it would be another run.
const MAY_CHANGE: &[&str] =
    &["steps", "samples", "temperature", "data", "eval_every", "eval_size", "max_new_tokens"];

/// A saved run, as if it had not stopped.
fn resume<R: Stored + Precision>(run: Run, name: &str, args: &TrainArgs) -> Result<Session<R>> {
    let mut saved = run.load::<R>()?;
    let mut settings = saved.settings;
    for flag in args.settings.flags() {
        if !MAY_CHANGE.contains(&flag.name.as_str()) {
            return Err(Error::config(format!(
                "{}: expected only --{} with --resume, for with anything else it is another run",
                flag.place,
                MAY_CHANGE.join(", --").replace('_', "-")
            ))
            .into());
        }
        settings.assign(&flag)?;
    }
    settings.config.validate()?;
    saved.checkpoint.config = settings.config.clone();

    let data = settings.read_data()?;
    if data.sha256 != saved.data_sha256 {
        return Err(Error::text(format!(
            "{}: expected the text that {name} was trained on (SHA-256 {}), found another ({})",
            settings.data, saved.data_sha256, data.sha256
        ))
        .into());
    }
    let data_sha256 = data.sha256.clone();
    let tokenizer = Some(saved.checkpoint.tokenizer.clone());
    let mut shuffling = Rng::new(settings.config.seed);
    let (corpus, tokens) = data.corpus_in(run.path(), &settings.config, tokenizer, &mut shuffling)?;
    tokens.map(|tokens| tokens.keep(run.path())).transpose()?;
    let rng = Rng::restore(&saved.checkpoint.rng)?;
    let metrics = run.metrics(saved.checkpoint.step)?;
    run.write_settings(&settings)?;
    let folder = Some(Folder { run, metrics, data_sha256, asked: true });
    Ok(Session { settings, corpus, rng, trainer: Trainer::resume(saved.checkpoint)?, folder })
}

impl<R: Stored + Precision> Session<R> {
    fn train(mut self, args: &TrainArgs) -> Result<ExitCode> {
        let config = self.settings.config.clone();
        let workers = microgpt_workers::choose(&self.trainer, args.workers);
        if workers < args.workers {
            let parts = config.parts(self.trainer.num_params());
            crate::notice(&format!(
                "workers: {workers}, for a step has {parts} parts (micro_batches) to share"
            ));
        }
        microgpt_workers::share(&mut self.trainer, workers)?;
        let mut voice = Voice::new(args.json);
        voice.begin(&Beginning {
            settings: &self.settings,
            corpus: &self.corpus,
            num_params: self.trainer.num_params(),
            steps_done: self.trainer.steps_done(),
            run: self.folder.as_ref().map(|folder| &folder.run),
        })?;

        let last = args.stop_after.unwrap_or(config.steps).min(config.steps);
        let mut batch = Batch::default();
        while self.trainer.steps_done() < last && !STOP.load(Relaxed) {
            let first = self.trainer.steps_done() * config.batch_size;
            self.corpus.fill(&mut batch, first, config.batch_size, config.block_size)?;
            let step = self.trainer.step(&batch)?;
            self.record(&step)?;
            let mut told = voice.step(&step, config.steps, &batch);
            if evaluate::is_due(&config, step.step) {
                let loss = evaluate::validation_loss(&mut self.trainer, &mut self.corpus, &mut batch)?;
                let right = evaluate::accuracy(&mut self.trainer, &mut self.corpus, &mut batch)?;
                self.keep(|_, folder| folder.metrics.push_validation(step.step, loss, right))?;
                let unit = self.corpus.tokenizer.unit();
                told = told.and_then(|()| voice.validation(step.step, config.steps, loss, right, unit));
            }
            if let Err(error) = told {
                self.save()?;
                return Err(error.into());
            }
            if step.step.is_multiple_of(args.save_every) && step.step < last {
                self.save()?;
            }
        }
        self.save()?;
        voice.pause()?;
        if self.trainer.steps_done() < config.steps {
            return Ok(self.stopped());
        }

        voice.heading(self.settings.preset().heading)?;
        let samples = self.samples(&voice)?;
        self.keep(|_, folder| folder.run.write_samples(&samples, config.data_mode))?;
        voice.next(self.folder.as_ref().map(|folder| &folder.run))?;
        Ok(ExitCode::SUCCESS)
    }

    fn record(&mut self, step: &Step) -> Result<(), Error> {
        self.keep(|_, folder| folder.metrics.push(step))
    }

    fn save(&mut self) -> Result<(), Error> {
        self.keep(|session, folder| {
            folder.run.save_training(&mut session.trainer, &session.rng, &folder.data_sha256)
        })
    }

    /// Writes to the folder, if there is one.
    fn keep(
        &mut self,
        write: impl FnOnce(&mut Session<R>, &mut Folder) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(mut folder) = self.folder.take() else { return Ok(()) };
        match write(self, &mut folder) {
            Err(error) if !folder.asked => unsaved(&error),
            done => {
                done?;
                self.folder = Some(folder);
            }
        }
        Ok(())
    }

    fn samples(&mut self, voice: &Voice) -> Result<Vec<String>> {
        self.trainer.swap_average()?;
        let Trainer { model, engine, config, .. } = &mut self.trainer;
        let writer = samples::Writer { config, model, tokenizer: &self.corpus.tokenizer };
        let mut samples = Vec::new();
        writer.write(engine.as_mut(), "", &mut self.rng, &mut |i, text| {
            voice.sample(i, &text, config.data_mode)?;
            samples.push(text);
            Ok(())
        })?;
        self.trainer.swap_average()?;
        Ok(samples)
    }

    /// Training ended before its last step.
    fn stopped(&self) -> ExitCode {
        let step = self.trainer.steps_done();
        crate::notice(&match &self.folder {
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
