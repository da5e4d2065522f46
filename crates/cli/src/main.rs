//! The program `microgpt`: glue between the command line, the disk ([`microgpt_runs`]) and the algorithm
//! ([`microgpt`]).
//!
//! - [`args`]: what may stand on the command line
//! - [`ranks`]: this program as one of several, under `mpirun`
//! - [`voice`]: how training is told: plain lines in a pipe, JSON, and on a terminal [`live`]
//! - [`samples`]: what a model writes
//! - [`watch`]: the live view
//! - [`session`], [`folder`], [`autopsy`]: a training's steps, what it writes down, why it has ended
//! - [`runs`], [`train`], [`generate`], [`eval`], [`prove`], [`bench`], [`data`], [`tokenize`], [`list`], [`formula`], [`sweep`],
//!   [`compare`], [`report`], [`speedrun`], [`studio`]: the commands

mod args;
mod ranks;
mod watch;
mod live;
mod voice;
mod samples;
mod folder;
mod autopsy;
mod session;
mod runs;
mod train;
mod generate;
mod eval;
mod prove;
mod tokenize;
mod data;
mod list;
mod formula;
mod bench;
mod compare;
mod sweep;
mod report;
mod speedrun;
mod studio;

use args::{Cli, Command, TrainArgs};
use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let started = std::time::Instant::now();
    let mut words: Vec<_> = std::env::args_os().collect();
    // `microgpt --data my.txt` is `microgpt train --data my.txt`: flags alone are meant for training.
    let first = words.get(1).map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    if first.starts_with("--") && !["--help", "--version"].contains(&first.as_str()) {
        words.insert(1, "train".into());
    }
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        // Of many that were started together one speaks, and fails.
        Err(_) if microgpt_workers::launched().0 > 0 => return ExitCode::SUCCESS,
        Err(error) if !error.use_stderr() => {
            // Help or version: what was asked for. Whether anyone still reads it is not our concern.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            notice(&one_line(&error));
            return ExitCode::from(2);
        }
    };
    let work = || match &cli.command {
        None => train::run(&TrainArgs::default()),
        Some(Command::Train(args)) => train::run(args),
        Some(Command::Generate(args)) => generate::run(args),
        Some(Command::Eval(args)) => eval::run(args),
        Some(Command::Prove(args)) => prove::run(args),
        Some(Command::Bench(args)) => bench::run(args),
        Some(Command::Sweep(args)) => sweep::run(args),
        Some(Command::Compare(args)) => compare::run(args),
        Some(Command::Report(args)) => report::run(args),
        Some(Command::Speedrun(args)) => speedrun::run(args, started),
        Some(Command::Data(args)) => data::run(args),
        Some(Command::Tokenize(args)) => tokenize::run(args),
        Some(Command::Runs(args)) => runs::run(args),
        Some(Command::Studio(args)) => studio::run(args),
        Some(Command::Export(args)) => studio::export(args),
        Some(Command::List) => list::run(),
        Some(Command::Formula(args)) => formula::run(args),
    };
    let done = match &cli.command {
        // Here all ranks do the same.
        Some(Command::Bench(args)) if args.scaling => bench::scaling::run(args),
        _ => ranks::together(work),
    };
    done.unwrap_or_else(|error| {
        if is_broken_pipe(&error) {
            // Whoever read our output has had enough (`microgpt | head`).
            return ExitCode::SUCCESS;
        }
        notice(&format!("{error:#}"));
        let kind = error.downcast_ref::<microgpt::Error>().map(microgpt::Error::kind);
        ExitCode::from(if kind == Some(microgpt::ErrorKind::Config) { 2 } else { 1 })
    })
}

/// A line on standard error; during the live view, after it.
fn notice(text: &str) {
    if watch::keeps(text) {
        return;
    }
    let _ = writeln!(io::stderr(), "microgpt: {text}");
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// What the parser of the command line says in several lines, in one.
fn one_line(error: &clap::Error) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    let wrong = text(ContextKind::InvalidArg).or(text(ContextKind::InvalidSubcommand)).unwrap_or_default();
    let right = text(ContextKind::SuggestedArg).or(text(ContextKind::SuggestedSubcommand));
    let hint = right.map(|right| format!("; did you mean {right}?")).unwrap_or_default();
    match error.kind() {
        ErrorKind::UnknownArgument if wrong.starts_with('-') => {
            format!("{wrong}: no such flag{hint} (see --help)")
        }
        ErrorKind::UnknownArgument => {
            format!("{wrong}: expected no more words, found one{hint} (see --help)")
        }
        ErrorKind::InvalidSubcommand => format!("{wrong}: no such command{hint} (see --help)"),
        _ => {
            let rendered = error.render().to_string();
            let first = rendered.split("\n\n").next().unwrap_or_default();
            let words: Vec<&str> = first.split_whitespace().collect();
            words.join(" ").trim_start_matches("error: ").to_string()
        }
    }
}
