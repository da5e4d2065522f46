//! `microgpt train`: what a training begins with, new or resumed. [`crate::session`] makes its steps.

use crate::args::TrainArgs;
use crate::folder::{Folder, Records, unsaved};
use crate::session::{STOP, Session};
use anyhow::Result;
use microgpt::Error;
use microgpt::engine::Precision;
use microgpt::measures::{Meter, measure_every};
use microgpt::real::EngineKind;
use microgpt::rng::Rng;
use microgpt::train::Trainer;
use microgpt_runs::data::Data;
use microgpt_runs::run::{RUNS, Run};
use microgpt_runs::settings::holds_back;
use microgpt_runs::weights::Stored;
use microgpt_runs::{Settings, lock::Lock};
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;

pub(crate) fn run(args: &TrainArgs) -> Result<ExitCode> {
    // A second Ctrl+C does not wait.
    let _ = ctrlc::set_handler(|| {
        crate::ranks::asked_to_end();
        if STOP.swap(true, Relaxed) {
            crate::watch::restore();
            std::process::exit(130);
        }
    });
    match &args.resume {
        Some(name) => {
            let run = Run::find(name)?;
            let lock = run.lock()?;
            match run.read_settings()?.config.engine {
                EngineKind::Scalar => resume::<f64>(run, lock, name, args)?.train(args),
                EngineKind::Fast => resume::<f32>(run, lock, name, args)?.train(args),
            }
        }
        None => {
            let given = args.settings.assignments()?;
            let mut settings = Settings::resolve(&given)?;
            let data = settings.read_data()?;
            if holds_back(&given, &settings) && data.is_worth_holding_back(&settings.config) {
                settings.config.val_fraction = 0.1;
            }
            match settings.config.engine {
                EngineKind::Scalar => begin::<f64>(settings, data, None, args)?.train(args),
                EngineKind::Fast => begin::<f32>(settings, data, None, args)?.train(args),
            }
        }
    }
}

/// A new run; in a folder that is there already, if nothing was saved of it yet.
fn begin<R: Stored + Precision>(
    settings: Settings,
    data: Data,
    again: Option<(Run, Lock)>,
    args: &TrainArgs,
) -> Result<Session<R>> {
    // One source of chance for everything, in microgpt.py's order: documents, weights, samples.
    let mut rng = Rng::new(settings.config.seed);
    let data_sha256 = data.sha256.clone();
    let place = match (&again, &args.out) {
        (Some((run, _)), _) => run.path().to_path_buf(),
        _ if args.no_save => std::env::temp_dir(),
        (_, Some(name)) => Run::place(name).parent().unwrap_or(Path::new(".")).to_path_buf(),
        _ => RUNS.into(),
    };
    let (mut corpus, mut tokens) = data.corpus_in(&place, &settings.config, None, &mut rng)?;
    let mut trainer = Trainer::new(settings.config.clone(), corpus.tokenizer.vocab_size(), &mut rng)?;
    let make = || -> Result<Folder, Error> {
        let (run, lock) = match (again, &args.out) {
            (Some(again), _) => again,
            (None, out) => {
                let run = match out {
                    Some(name) => Run::create(name)?,
                    None => Run::create_next(settings.preset)?,
                };
                let lock = run.lock()?;
                (run, lock)
            }
        };
        run.write_tokenizer(&corpus.tokenizer)?;
        tokens.take().map(|tokens| tokens.keep(run.path())).transpose()?;
        // The settings come last: a folder with them is a run.
        run.write_settings(&settings)?;
        Folder::open(run, lock, &data_sha256, 0, &settings.config, args)
    };
    let folder = match (!args.no_save).then(make).transpose() {
        Ok(folder) => folder,
        Err(error) if args.out.is_none() && args.resume.is_none() => {
            unsaved(&error, None);
            None
        }
        Err(error) => return Err(error.into()),
    };
    let meter = Meter::new(&mut trainer, &mut corpus, measure_every(&settings.config))?;
    Ok(Session {
        settings,
        corpus,
        rng,
        trainer,
        meter,
        best: None,
        records: Records(folder),
        last_look: None,
    })
}

/// The settings that a run may change on its way; with any other it would be another run.
const MAY_CHANGE: &[&str] = &[
    "steps",
    "samples",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "greedy",
    "data",
    "eval_every",
    "eval_size",
    "patience",
    "metrics_every",
    "measure_every",
    "max_new_tokens",
];

/// A saved run, as if it had not stopped.
fn resume<R: Stored + Precision>(run: Run, lock: Lock, name: &str, args: &TrainArgs) -> Result<Session<R>> {
    let change = |settings: &mut Settings| -> Result<(), Error> {
        for flag in args.settings.flags() {
            if !MAY_CHANGE.contains(&flag.name.as_str()) {
                return Err(Error::config(format!(
                    "{}: expected only --{} with --resume, for with anything else it is another run",
                    flag.place,
                    MAY_CHANGE.join(", --").replace('_', "-")
                )));
            }
            settings.assign(&flag)?;
        }
        settings.config.validate()
    };
    if !run.has_checkpoint() {
        // It was ended before anything was saved: it begins as it began.
        let mut settings = run.read_settings()?;
        change(&mut settings)?;
        let data = settings.read_data()?;
        return begin(settings, data, Some((run, lock)), args);
    }
    let mut saved = run.load::<R>()?;
    if let Some(change) = saved.changed.iter().find(|(name, ..)| !MAY_CHANGE.contains(name)) {
        return Err(run.edited(change).into());
    }
    let mut settings = saved.settings;
    change(&mut settings)?;
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
    let (mut corpus, tokens) = data.corpus_in(run.path(), &settings.config, tokenizer, &mut shuffling)?;
    tokens.map(|tokens| tokens.keep(run.path())).transpose()?;
    let rng = Rng::restore(&saved.checkpoint.rng)?;
    run.write_settings(&settings)?;
    let folder = Folder::open(run, lock, &data_sha256, saved.checkpoint.step, &settings.config, args)?;
    let mut trainer = Trainer::resume(saved.checkpoint)?;
    let meter = Meter::new(&mut trainer, &mut corpus, measure_every(&settings.config))?;
    let (best, records) = (saved.best, Records(Some(folder)));
    Ok(Session { settings, corpus, rng, trainer, meter, best, records, last_look: None })
}
