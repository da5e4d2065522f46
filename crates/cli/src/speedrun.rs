//! `microgpt speedrun`: the lowest loss on held back names after one second, everything included. SPEEDRUN.md has the
//! rules.
//!
//! The clock starts with the program and stops after the last step; only the look at what is held back comes after. The
//! schedule goes by the time: before a step, what is left of the time tells how many more there will be.

use crate::args::SpeedrunArgs;
use crate::samples::Writer;
use anyhow::Result;
use microgpt::batch::Batch;
use microgpt::engine::Precision;
use microgpt::evaluate;
use microgpt::real::EngineKind;
use microgpt::rng::Rng;
use microgpt::task::Task;
use microgpt::train::Trainer;
use microgpt::{Config, Error};
use microgpt_kernels::level;
use microgpt_runs::Settings;
use microgpt_runs::data::Source;
use microgpt_runs::outcome::last_tenth;
use microgpt_runs::stats::Summary;
use serde_json::json;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The names are shuffled by this seed, and the last tenth of them is held back: the same in every run.
const SPLIT_SEED: u64 = 42;
const HELD_BACK: f64 = 0.1;
/// Settings that everybody has.
const FIXED: [&str; 5] = ["data", "task", "val_fraction", "eval_size", "steps"];
/// Several workers hear so many times how many steps there will be; one hears it before each step.
const WORD: f64 = 0.04;

/// What came of a run.
struct Finish {
    seed: u64,
    val_loss: f64,
    /// The mean of the last tenth of the steps.
    loss: Option<f64>,
    seconds: f64,
    /// When the first step began.
    ready: f64,
    steps: usize,
    documents: usize,
    learnt: usize,
    held_back: usize,
    vocab_size: usize,
    num_params: usize,
    workers: usize,
    samples: Vec<String>,
}

pub(crate) fn run(args: &SpeedrunArgs, started: Instant) -> Result<ExitCode> {
    if !(args.seconds > 0.0 && args.seconds <= 1e6) {
        return Err(Error::config(format!("--seconds: expected more than 0, found {}", args.seconds)).into());
    }
    let settings = args.settings.resolve_from("names-best")?;
    let given = args.settings.flags();
    if let Some(flag) = given.iter().find(|flag| FIXED.contains(&flag.name.as_str())) {
        let text = "expected a setting that is not fixed in a speedrun (see SPEEDRUN.md)";
        return Err(Error::config(format!("{}: {text}", flag.place)).into());
    }
    if settings.data != Source::Names || settings.config.task != Task::None {
        return Err(
            Error::config("expected settings that learn the names that are built in, found others").into()
        );
    }
    // Each further run is charged for what the start of the program took.
    let start = started.elapsed();
    let mut finishes = Vec::new();
    for i in 0..args.repeat {
        let begun = if i == 0 { started } else { Instant::now().checked_sub(start).unwrap_or(started) };
        let mut settings = settings.clone();
        if args.repeat > 1 {
            settings.config.seed = i as u64 + 1;
        }
        let finish = match settings.config.engine {
            EngineKind::Scalar => race::<f64>(&settings, begun, args)?,
            EngineKind::Fast => race::<f32>(&settings, begun, args)?,
        };
        if args.repeat > 1 && !args.json {
            let Finish { seed, val_loss, steps, .. } = &finish;
            writeln!(io::stdout().lock(), "seed {seed:2} | val loss {val_loss:.4} | {steps} steps")?;
        }
        finishes.push(finish);
    }
    if args.json {
        as_json(&finishes, args, &settings)?
    } else {
        tell(&finishes, &settings)?
    }
    Ok(ExitCode::SUCCESS)
}

fn race<R: Precision>(settings: &Settings, begun: Instant, args: &SpeedrunArgs) -> Result<Finish> {
    let limit = Duration::from_secs_f64(args.seconds);
    // All of what is held back is looked at, after the clock has stopped.
    let config = Config { val_fraction: HELD_BACK, eval_size: 1 << 20, ..settings.config.clone() };
    let (seed, size, block) = (config.seed, config.batch_size, config.block_size);
    let mut corpus = settings.read_data()?.corpus(&config, None, &mut Rng::new(SPLIT_SEED))?;
    let (vocab_size, held_back) = (corpus.tokenizer.vocab_size(), corpus.held_back());
    let learnt = corpus.len() - held_back;
    let mut rng = Rng::new(seed);
    let mut trainer = Trainer::<R>::new(config, vocab_size, &mut rng)?;
    // Another seed begins at another name.
    let first = rng.below(learnt);
    let workers = microgpt_workers::choose(&trainer, args.workers);

    let (mut batch, mut losses) = (Batch::default(), Vec::new());
    let ready = begun.elapsed();
    let mut word = 0.0;
    loop {
        let (done, now) = (trainer.steps_done(), begun.elapsed());
        let a_step = (now - ready).as_secs_f64() / done.max(1) as f64;
        let left = limit.as_secs_f64() - now.as_secs_f64();
        if left < a_step {
            break;
        }
        // The schedule is where the time is.
        let progress = now.as_secs_f64() / limit.as_secs_f64();
        if workers == 1 || progress >= word {
            let more = if done == 0 { 1e6 } else { left / a_step };
            trainer.config.steps = done + (more as usize).max(1);
            // The others' settings are copies.
            if workers > 1 {
                microgpt_workers::share(&mut trainer, workers)?;
                word = if done < 50 { 0.0 } else { progress + WORD };
            }
        }
        corpus.fill(&mut batch, first + done * size, size, block)?;
        losses.push((done + 1, trainer.step(&batch)?.loss));
    }
    let seconds = begun.elapsed().as_secs_f64();
    let steps = trainer.steps_done();
    if steps == 0 {
        return Err(
            Error::config(format!("--seconds: expected time for a step, found {}", args.seconds)).into()
        );
    }

    microgpt_workers::share(&mut trainer, 1)?;
    let val_loss = evaluate::validation_loss(&mut trainer, &mut corpus, &mut batch)?;
    trainer.swap_average()?;
    let (num_params, mut samples) = (trainer.num_params(), Vec::new());
    let Trainer { model, engine, config, .. } = &mut trainer;
    let writer = Writer { config, model, tokenizer: &corpus.tokenizer, stop: "", shows: false };
    writer.write(engine.as_mut(), "", &mut rng, &mut |_, sample| {
        samples.push(sample.text);
        Ok(())
    })?;
    let loss = last_tenth(&losses, steps);
    let (documents, ready) = (steps * size, ready.as_secs_f64());
    Ok(Finish {
        seed,
        val_loss,
        loss,
        seconds,
        ready,
        steps,
        documents,
        learnt,
        held_back,
        vocab_size,
        num_params,
        workers,
        samples,
    })
}

fn tell(finishes: &[Finish], settings: &Settings) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Some(last) = finishes.last() else { return Ok(()) };
    let losses: Vec<f64> = finishes.iter().map(|finish| finish.val_loss).collect();
    let Summary { n, mean, sd } = Summary::of(&losses);
    match n {
        1 => writeln!(out, "validation loss  {mean:.4} nats per token")?,
        _ => writeln!(
            out,
            "\nvalidation loss  {mean:.4} nats per token, the mean of {n}; standard deviation {sd:.4}"
        )?,
    }
    let Finish { vocab_size, held_back, steps, documents, learnt, num_params, workers, .. } = last;
    writeln!(out, "guessing blindly {:.4} = ln {vocab_size}", (*vocab_size as f64).ln())?;
    if let Some(loss) = last.loss {
        writeln!(out, "training loss    {loss:.4}, the last tenth of the steps")?;
    }
    writeln!(out, "held back        {held_back} names, never learnt")?;
    let rounds = *documents as f64 / *learnt as f64;
    writeln!(
        out,
        "learnt           {steps} steps, {documents} names: {rounds:.1} times the {learnt} that there are"
    )?;
    writeln!(
        out,
        "time             {:.3} s, of which {:.3} s before the first step",
        last.seconds, last.ready
    )?;
    writeln!(
        out,
        "model            {num_params} parameters; preset {}; {workers} worker{}; {}",
        settings.preset,
        if *workers == 1 { "" } else { "s" },
        level::current().name()
    )?;
    writeln!(out, "\n--- samples ---")?;
    for (i, sample) in last.samples.iter().enumerate() {
        writeln!(out, "sample {:2}: {sample}", i + 1)?;
    }
    Ok(())
}

fn as_json(finishes: &[Finish], args: &SpeedrunArgs, settings: &Settings) -> io::Result<()> {
    let each = |f: &Finish| {
        json!({
            "seed": f.seed, "val_loss": f.val_loss, "loss": f.loss, "seconds": f.seconds, "ready": f.ready,
            "steps": f.steps, "documents": f.documents, "num_params": f.num_params, "workers": f.workers,
            "held_back": f.held_back, "samples": f.samples,
        })
    };
    let summary = Summary::of(&finishes.iter().map(|finish| finish.val_loss).collect::<Vec<_>>());
    let value = json!({
        "val_loss": summary.mean, "sd": summary.sd, "n": summary.n, "interval": summary.interval(),
        "seconds": args.seconds, "preset": settings.preset, "instructions": level::current().name(),
        "guessing": finishes.first().map(|finish| (finish.vocab_size as f64).ln()),
        "runs": finishes.iter().map(each).collect::<Vec<_>>(),
    });
    writeln!(io::stdout().lock(), "{value}")
}
