//! `microgpt data`: what is in a text, before anything is learnt from it.

use crate::args::DataArgs;
use crate::tokenize::shown;
use anyhow::Result;
use microgpt::choices::Choice;
use microgpt::evaluate::bits;
use microgpt::rng::Rng;
use microgpt::survey::Survey;
use microgpt::token::Tokenizer;
use microgpt_runs::Settings;
use serde_json::json;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

/// Of a task, so many problems are looked at.
const SAMPLE: usize = 10_000;
/// Rows of the histogram.
const ROWS: usize = 12;
/// How wide its longest bar is.
const BAR: usize = 40;

pub(crate) fn run(args: &DataArgs) -> Result<ExitCode> {
    let settings = args.settings.resolve_with(&args.files)?;
    let data = settings.read_data()?;
    let mut corpus = data.corpus(&settings.config, None, &mut Rng::new(settings.config.seed))?;
    let survey = Survey::of(&mut corpus, settings.config.block_size, SAMPLE)?;
    let stream = corpus.is_stream();
    if args.json {
        as_json(&settings, &corpus.tokenizer, &survey)?;
    } else {
        tell(&settings, &corpus.tokenizer, &survey, stream)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(settings: &Settings, tokenizer: &Tokenizer, survey: &Survey, stream: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let config = &settings.config;
    let unit = tokenizer.unit();
    match config.task.name() {
        "none" => writeln!(out, "text        {}", settings.data)?,
        task => writeln!(out, "task        {task}: {} ({SAMPLE} problems of it)", config.task.help())?,
    }
    let Survey { documents, tokens, .. } = survey;
    if stream {
        writeln!(out, "stream      {tokens} {unit}s")?;
    } else {
        writeln!(out, "documents   {documents}, {} of them have stood before", survey.duplicates)?;
        let (shortest, longest) = (survey.lengths.first_key_value(), survey.lengths.last_key_value());
        writeln!(
            out,
            "{unit:12}{tokens}: {} to {} in a document, {} at the median, {:.2} in the mean",
            shortest.map_or(0, |(len, _)| *len),
            longest.map_or(0, |(len, _)| *len),
            survey.median(),
            survey.mean()
        )?;
        histogram(&mut out, survey)?;
        let part = |n: u64, all: u64| 100.0 * n as f64 / all.max(1) as f64;
        writeln!(
            out,
            "cut         {} documents ({:.1} %) lose {} of {} tokens to learn ({:.1} %): block_size is {}",
            survey.cut,
            part(survey.cut, *documents),
            survey.cut_tokens,
            tokens + documents,
            part(survey.cut_tokens, tokens + documents),
            config.block_size
        )?;
    }
    writeln!(out, "tokens      {} and BOS; by frequency {}", tokenizer.bos(), frequent(tokenizer, survey))?;
    writeln!(out, "loss        nats per {unit}, as bits in brackets, of one who")?;
    for (loss, who) in [
        (survey.guess, "guesses blindly: ln(V)"),
        (survey.unigram, "knows how frequent each is (unigrams)"),
        (survey.bigram, "knows how frequent each is after each other (bigrams), counted on this very text"),
    ] {
        writeln!(out, "  {loss:8.4} ({:.4})  {who}", bits(loss))?;
    }
    Ok(())
}

/// How many documents are how long; with bars for a person.
fn histogram(out: &mut impl Write, survey: &Survey) -> io::Result<()> {
    let rows = survey.histogram(ROWS);
    let most = rows.iter().map(|row| row.2).max().unwrap_or(1);
    for (first, last, count) in rows {
        let range = if first == last { first.to_string() } else { format!("{first}-{last}") };
        if io::stdout().is_terminal() {
            let bar = "\u{2588}".repeat((count as u128 * BAR as u128).div_ceil(most.max(1).into()) as usize);
            writeln!(out, "  {range:>13} {count:>9} {bar}")?;
        } else {
            writeln!(out, "  {range:>13} {count:>9}")?;
        }
    }
    Ok(())
}

/// The tokens by how frequent they are, the most frequent first; of many, some.
fn frequent(tokenizer: &Tokenizer, survey: &Survey) -> String {
    let mut tokens: Vec<u32> = (0..tokenizer.bos()).collect();
    tokens.sort_by_key(|&token| std::cmp::Reverse(survey.counts[token as usize]));
    let shown: Vec<String> = tokens.iter().take(40).map(|&token| named(tokenizer, token)).collect();
    let more = if tokens.len() > shown.len() { " ..." } else { "" };
    format!("{}{more}", shown.join(" "))
}

fn named(tokenizer: &Tokenizer, token: u32) -> String {
    let name = shown(tokenizer, token);
    if name.contains(char::is_whitespace) { format!("'{name}'") } else { name }
}

fn as_json(settings: &Settings, tokenizer: &Tokenizer, survey: &Survey) -> io::Result<()> {
    let tokens: Vec<_> = (0..tokenizer.bos())
        .map(|token| json!([tokenizer.name(token), survey.counts[token as usize]]))
        .collect();
    let lengths: Vec<_> = survey.lengths.iter().map(|(len, count)| json!([len, count])).collect();
    let report = json!({
        "data": settings.data.to_string(), "task": settings.config.task.name(),
        "data_mode": settings.config.data_mode.name(), "tokenizer": tokenizer.kind().name(),
        "documents": survey.documents, "tokens": survey.tokens, "vocab_size": tokenizer.vocab_size(),
        "duplicates": survey.duplicates, "median": survey.median(), "mean": survey.mean(), "lengths": lengths,
        "block_size": settings.config.block_size, "cut": survey.cut, "cut_tokens": survey.cut_tokens,
        "loss": {"guess": survey.guess, "unigram": survey.unigram, "bigram": survey.bigram}, "counts": tokens,
    });
    writeln!(io::stdout().lock(), "{report}")
}
