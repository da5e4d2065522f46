//! How many steps fit into a time: measured before the runs, once for settings whose steps take the same time.
//!
//! What is measured is the time that a processor worked for this thread, not the time on the wall: another program, or
//! another run beside it, does not count. Each kind of run is measured in several rounds, in turns with all others, alone
//! on the machine as far as we are concerned, and the fastest round counts: what disturbs a round makes it only slower.
//! Then the number of steps is fixed, so that the schedule knows where it ends, and the same steps can be made again.

use super::Job;
use anyhow::Result;
use cpu_time::ThreadTime;
use microgpt::batch::Batch;
use microgpt::engine::Precision;
use microgpt::real::EngineKind;
use microgpt::rng::Rng;
use microgpt::train::Trainer;
use microgpt::{Config, Error};
use microgpt_runs::{Settings, atomic};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Settings that no step's time depends on.
const TIMELESS: [&str; 19] = [
    "seed",
    "lr",
    "schedule",
    "warmup",
    "lr_end",
    "wsd_decay",
    "beta1",
    "beta2",
    "eps",
    "init_std",
    "zero_init",
    "depth_init",
    "rope_base",
    "steps",
    "eval_every",
    "eval_size",
    "val_fraction",
    "temperature",
    "samples",
];

const ROUNDS: usize = 15;
/// So many kinds of runs take turns.
const TURNS: usize = 16;
/// How long a round is: this part of the budget, within bounds.
const PART: f64 = 0.01;
const SHORTEST: f64 = 0.002;
const LONGEST: f64 = 0.02;
/// A run looks at what is held back so many times at most.
const LOOKS: usize = 20;

/// Gives every run that has a time its steps. What was measured before, in this sweep, holds.
pub(super) fn steps(folder: &Path, jobs: &mut [Job], stop: &AtomicBool, tell: impl Fn(String)) -> Result<()> {
    if jobs.iter().all(|job| job.planned.seconds.is_none()) {
        return Ok(());
    }
    let path = folder.join("calibration.json");
    let mut known: BTreeMap<String, f64> = match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
            Error::checkpoint(format!(
                "{}: expected seconds a step, by settings, found {error}",
                path.display()
            ))
        })?,
        Err(_) => BTreeMap::new(),
    };
    let mut unknown: BTreeMap<String, (&Settings, f64)> = BTreeMap::new();
    for job in jobs.iter() {
        let (key, Some(seconds)) = (key(&job.planned.settings), job.planned.seconds) else { continue };
        if !known.contains_key(&key) {
            let longest = unknown.get(&key).map_or(0.0, |(_, seconds)| *seconds);
            unknown.insert(key, (&job.planned.settings, seconds.max(longest)));
        }
    }
    let unknown: Vec<(String, (&Settings, f64))> = unknown.into_iter().collect();
    let mut found: BTreeMap<String, f64> = BTreeMap::new();
    for group in unknown.chunks(TURNS) {
        tell(format!("measuring the time of a step, {} of {}", found.len() + 1, unknown.len()));
        let steppers: Result<Vec<Stepper>, Error> =
            group.iter().map(|(_, (settings, _))| stepper(settings)).collect();
        let mut steppers = steppers?;
        for _ in 0..ROUNDS {
            for ((key, (_, seconds)), step) in group.iter().zip(&mut steppers) {
                if stop.load(Relaxed) {
                    return Ok(());
                }
                let time = measure(step, *seconds)?;
                let best = found.entry(key.clone()).or_insert(time);
                *best = best.min(time);
            }
        }
    }
    if !found.is_empty() {
        known.append(&mut found);
        let mut text = serde_json::to_string_pretty(&known)?;
        text.push('\n');
        atomic::write(&path, text.as_bytes())?;
    }
    for job in jobs {
        let Some(seconds) = job.planned.seconds else { continue };
        let config = &mut job.planned.settings.config;
        let time = known[&key_of(config, &job.planned.settings.data.to_string())];
        config.steps = ((seconds / time) as usize).max(1);
        config.eval_every = config.eval_every.max(config.steps.div_ceil(LOOKS));
    }
    Ok(())
}

fn key(settings: &Settings) -> String {
    key_of(&settings.config, &settings.data.to_string())
}

/// What a step's time depends on: the settings that are not as they are by default, but for the timeless ones.
fn key_of(config: &Config, data: &str) -> String {
    let defaults = Config::default();
    let mut key = String::new();
    for knob in
        Config::knobs().iter().filter(|knob| !TIMELESS.contains(&knob.name) && knob.group != "sampling")
    {
        let value = config.get(knob.name).unwrap_or_default();
        if defaults.get(knob.name).as_ref() != Some(&value) {
            key += &format!("{}={value} ", knob.name);
        }
    }
    key + data
}

/// Makes the next step of a run.
type Stepper = Box<dyn FnMut() -> Result<(), Error>>;

fn stepper(settings: &Settings) -> Result<Stepper, Error> {
    match settings.config.engine {
        EngineKind::Scalar => stepper_of::<f64>(settings),
        EngineKind::Fast => stepper_of::<f32>(settings),
    }
}

fn stepper_of<R: Precision>(settings: &Settings) -> Result<Stepper, Error> {
    // At a rate at which nothing diverges: no step's time depends on it.
    let config = Config { steps: usize::MAX / 2, lr: 1e-5, ..settings.config.clone() };
    let (size, block, mut rng) = (config.batch_size, config.block_size, Rng::new(config.seed));
    let mut corpus = settings.read_data()?.corpus(&config, None, &mut rng)?;
    let mut trainer = Trainer::<R>::new(config, corpus.tokenizer.vocab_size(), &mut rng)?;
    let mut batch = Batch::default();
    let mut step = move || {
        corpus.fill(&mut batch, trainer.steps_done() * size, size, block)?;
        trainer.step(&batch).map(|_| ())
    };
    // The first steps find room for everything.
    step()?;
    step()?;
    Ok(Box::new(step))
}

/// Seconds that a step takes of a processor, its batch included.
fn measure(step: &mut Stepper, seconds: f64) -> Result<f64, Error> {
    let enough = Duration::from_secs_f64((PART * seconds).clamp(SHORTEST, LONGEST));
    // What others had in the cache meanwhile is gone after a step.
    step()?;
    let (start, mut count) = (ThreadTime::now(), 0);
    while count < 2 || start.elapsed() < enough {
        step()?;
        count += 1;
    }
    Ok(start.elapsed().as_secs_f64() / f64::from(count))
}
