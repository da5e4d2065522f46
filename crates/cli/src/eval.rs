//! `microgpt eval`: how well a saved run knows a text.

use crate::args::EvalArgs;
use anyhow::Result;
use microgpt::Error;
use microgpt::documents::DataMode;
use microgpt::engine::Precision;
use microgpt::real::EngineKind;
use microgpt::score::{Score, Scored, score};
use microgpt::train::Trainer;
use microgpt_runs::Run;
use microgpt_runs::data::Source;
use microgpt_runs::weights::Stored;
use serde_json::json;
use std::io::{self, Write};
use std::process::ExitCode;

pub(crate) fn run(args: &EvalArgs) -> Result<ExitCode> {
    let run = Run::find(&args.run)?;
    let run = args.checkpoint.iter().try_fold(run, |run, which| run.with_checkpoint(which))?;
    match run.read_settings()?.config.engine {
        EngineKind::Scalar => eval::<f64>(&run, args),
        EngineKind::Fast => eval::<f32>(&run, args),
    }
}

fn eval<R: Stored + Precision>(run: &Run, args: &EvalArgs) -> Result<ExitCode> {
    let saved = run.load::<R>()?;
    let source = Source::parse(&args.data);
    let data = source.read_up_to(u64::MAX)?;
    let text = data.text().ok_or_else(|| Error::text(format!("{source}: expected a text")))?;
    let tokenizer = saved.checkpoint.tokenizer.clone();
    let mut trainer = Trainer::resume(saved.checkpoint)?;
    trainer.swap_average()?;
    let score =
        score(&mut trainer, &tokenizer, text, args.skip_unknown).map_err(|error| error.at(&source))?;
    let stream = trainer.config.data_mode == DataMode::Stream;
    if args.json {
        as_json(&score, args.show)?
    } else {
        tell(&score, args.show, stream, tokenizer.unit())?
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(score: &Score, show: usize, stream: bool, unit: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let Score { documents, tokens, cut, skipped, .. } = score;
    let part = if stream { "windows" } else { "documents" };
    let aside = match skipped {
        0 => String::new(),
        n => format!(", and {n} skipped for characters that the model does not know"),
    };
    writeln!(out, "{part:20} {}{aside}", documents.len())?;
    let aside = match cut {
        0 => String::new(),
        n => format!(", and {n} behind the end of the context"),
    };
    writeln!(out, "{:20} {tokens}{aside}", format!("{unit}s"))?;
    writeln!(out, "{:20} {:.4} nats per token", "loss", score.loss())?;
    writeln!(out, "{:20} {:.4}", "bits per character", score.bits_per_character())?;
    writeln!(out, "{:20} {:.4}", "perplexity", score.perplexity())?;
    for (name, documents) in [("surest", best(score, show)), ("least sure", worst(score, show))] {
        if !documents.is_empty() {
            writeln!(out, "\n{name}, nats per token")?;
        }
        for Scored { number, text, loss } in documents {
            let text = text.escape_debug().to_string();
            let short: String = text.chars().take(60).collect();
            let dots = if short.len() < text.len() { "..." } else { "" };
            writeln!(out, "{loss:9.4}  {number:>7}  {short}{dots}")?;
        }
    }
    Ok(())
}

fn as_json(score: &Score, show: usize) -> io::Result<()> {
    let list = |documents: Vec<&Scored>| -> serde_json::Value {
        let each = |d: &&Scored| json!({"number": d.number, "text": d.text, "loss": d.loss});
        documents.iter().map(each).collect()
    };
    let value = json!({
        "documents": score.documents.len(), "tokens": score.tokens, "characters": score.characters,
        "cut": score.cut, "skipped": score.skipped, "loss": score.loss(),
        "bits_per_character": score.bits_per_character(), "perplexity": score.perplexity(),
        "best": list(best(score, show)), "worst": list(worst(score, show)),
    });
    writeln!(io::stdout().lock(), "{value}")
}

fn best(score: &Score, show: usize) -> Vec<&Scored> {
    score.documents.iter().take(show).collect()
}

fn worst(score: &Score, show: usize) -> Vec<&Scored> {
    score.documents.iter().rev().take(show).collect()
}
