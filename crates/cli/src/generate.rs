//! `microgpt generate`: samples of a saved run.

use crate::args::GenerateArgs;
use crate::samples::{Drawn, Sample, Writer};
use crate::voice::Voice;
use anyhow::Result;
use microgpt::Error;
use microgpt::choices::Choice;
use microgpt::documents::{DataMode, lines};
use microgpt::engine::Precision;
use microgpt::novelty::{Documents, Novelty};
use microgpt::real::EngineKind;
use microgpt::rng::Rng;
use microgpt::train::Trainer;
use microgpt_runs::weights::Stored;
use microgpt_runs::{Run, Settings};
use serde_json::json;
use std::io::{self, Write};
use std::process::ExitCode;

pub(crate) fn run(args: &GenerateArgs) -> Result<ExitCode> {
    let run = Run::find(&args.run)?;
    let run = args.checkpoint.iter().try_fold(run, |run, which| run.with_checkpoint(which))?;
    match run.read_settings()?.config.engine {
        EngineKind::Scalar => generate::<f64>(&run, args),
        EngineKind::Fast => generate::<f32>(&run, args),
    }
}

fn generate<R: Stored + Precision>(run: &Run, args: &GenerateArgs) -> Result<ExitCode> {
    let mut saved = run.load::<R>()?;
    for flag in &args.sampling.0 {
        saved.settings.assign(flag)?;
    }
    let text = args.compare.then(|| learnt(&saved.settings, &saved.data_sha256)).transpose()?;
    let documents = text
        .as_ref()
        .map(|text| Documents::new(lines(text).filter_map(|line| std::str::from_utf8(line).ok())));
    let config = saved.settings.config;
    config.validate()?;
    let tokenizer = saved.checkpoint.tokenizer.clone();
    // Chance goes on where training left it, so that without flags these are the samples that training printed.
    let mut rng = match args.sampling.0.iter().any(|flag| flag.name == "seed") {
        true => Rng::new(config.seed),
        false => Rng::restore(&saved.checkpoint.rng)?,
    };
    let mut trainer = Trainer::resume(saved.checkpoint)?;
    trainer.swap_average()?;
    let Trainer { model, mut engine, .. } = trainer;
    let voice = Voice::new(args.json, false);
    let (stop, shows) = (&args.stop[..], args.show_probs);
    let writer = Writer { config: &config, model: &model, tokenizer: &tokenizer, stop, shows };
    let mut counts = vec![0; Novelty::ALL.len()];
    writer.write(engine.as_mut(), &args.prompt, &mut rng, &mut |i, sample| {
        let novelty = documents.as_ref().map(|documents| documents.novelty(sample.text.trim()));
        for (count, kind) in counts.iter_mut().zip(Novelty::ALL) {
            *count += usize::from(novelty == Some(*kind));
        }
        Ok(tell(&voice, i, &sample, novelty, config.data_mode)?)
    })?;
    if documents.is_some() {
        sum_up(&voice, &counts)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The text that a run has learnt, if it was one of documents.
fn learnt(settings: &Settings, sha256: &str) -> Result<Vec<u8>, Error> {
    if settings.config.data_mode != DataMode::Lines {
        return Err(Error::config("--compare: expected a run that learns documents, found one of a stream"));
    }
    let data = settings.read_data()?;
    let Some(text) = data.text() else {
        let expected = "a text that fits into memory, and no task";
        return Err(Error::config(format!("--compare: expected {expected}, found {}", settings.data)));
    };
    if data.sha256 != sha256 {
        return Err(Error::text(format!(
            "{}: expected the text that the run was trained on (SHA-256 {sha256}), found another ({})",
            settings.data, data.sha256
        )));
    }
    Ok(text.to_vec())
}

fn tell(
    voice: &Voice,
    number: usize,
    sample: &Sample,
    novelty: Option<Novelty>,
    mode: DataMode,
) -> io::Result<()> {
    let Sample { text, drawn } = sample;
    if let Voice::Json = voice {
        let mut event = json!({"event": "sample", "sample": number, "text": text});
        if let Some(novelty) = novelty {
            event["novelty"] = novelty.name().into();
        }
        if !drawn.is_empty() {
            event["tokens"] = drawn.iter().map(as_json).collect();
        }
        return writeln!(io::stdout().lock(), "{event}");
    }
    match novelty {
        Some(novelty) => voice.sample(number, &format!("{text}  ({novelty})"), mode)?,
        None => voice.sample(number, text, mode)?,
    }
    show(&mut io::stdout().lock(), drawn, matches!(voice, Voice::Live(_)))
}

fn as_json(Drawn { token, probability, others }: &Drawn) -> serde_json::Value {
    let others: Vec<_> = others.iter().map(|(token, p)| json!({"token": token, "probability": p})).collect();
    json!({"token": token, "probability": probability, "others": others})
}

/// A line for each token: its probability, and the likeliest others. On a terminal, with a bar.
fn show(out: &mut impl Write, drawn: &[Drawn], terminal: bool) -> io::Result<()> {
    const BAR: usize = 20;
    let width = drawn.iter().map(|drawn| drawn.token.chars().count()).max().unwrap_or(0);
    for Drawn { token, probability, others } in drawn {
        let others: Vec<String> = others.iter().map(|(token, p)| format!("{token} {p:.3}")).collect();
        let others = others.join("  ");
        let line = if terminal {
            let bar = "█".repeat((probability * BAR as f64).round() as usize);
            format!("    {token:width$}  {probability:.3} {bar:BAR$}  {others}")
        } else {
            format!("    {token:width$}  {probability:.3}  {others}")
        };
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// How many samples are copied, near, new.
fn sum_up(voice: &Voice, counts: &[usize]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let named = || Novelty::ALL.iter().map(|kind| kind.name()).zip(counts);
    if let Voice::Json = voice {
        let mut event = json!({"event": "novelty"});
        named().for_each(|(name, count)| event[name] = (*count).into());
        return writeln!(out, "{event}");
    }
    let parts: Vec<String> = named().map(|(name, count)| format!("{count} {name}")).collect();
    writeln!(out, "\n{} (near: one letter from a document)", parts.join(", "))
}
