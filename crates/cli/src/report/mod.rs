//! `microgpt report`: runs and sweeps drawn, as a page that opens offline or as one picture.
//!
//! - [`pictures`]: what is drawn of many runs
//! - [`curves`]: what is drawn of one run, or of few
//! - [`scaling`]: the loss over the size and over the arithmetic

mod pictures;
mod curves;
mod scaling;

use crate::args::ReportArgs;
use anyhow::Result;
use microgpt::Config;
use microgpt_charts::page::Page;
use microgpt_runs::atomic;
use microgpt_runs::compare::{Comparison, Group};
use microgpt_runs::outcome::{self, Outcome, Record};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// So many groups are in the table; who wants all has `compare`.
const ROWS: usize = 100;

pub(crate) fn run(args: &ReportArgs) -> Result<ExitCode> {
    let records = outcome::find(&args.runs)?;
    let seen = Comparison::of(&records, args.baseline.as_deref());
    let names = args.runs.iter().map(|name| last_part(name)).collect::<Vec<_>>().join(", ");
    let title = args.title.clone().unwrap_or(names);
    let text = if args.out.ends_with(".svg") {
        picture(&records, &seen, args, &title)?
    } else {
        page(&records, &seen, args, &title)?.html()
    };
    atomic::write(Path::new(&args.out), text.as_bytes())?;
    writeln!(io::stdout().lock(), "{}: {} KB", args.out, text.len().div_ceil(1024))?;
    Ok(ExitCode::SUCCESS)
}

fn last_part(name: &str) -> String {
    Path::new(name).file_name().map_or(name.to_string(), |part| part.to_string_lossy().into_owned())
}

/// The one picture that says most.
fn picture(records: &[Record], seen: &Comparison, args: &ReportArgs, title: &str) -> Result<String> {
    // Who names a baseline asks how the others compare with it.
    let scaling = if args.baseline.is_none() { scaling::charts(records, seen) } else { Vec::new() };
    if let Some(chart) = scaling.into_iter().next_back() {
        return Ok(chart.svg(true));
    }
    if seen.groups.len() > 1 {
        let mut rows = pictures::ranking(records, seen, args.baseline.is_some());
        rows.title = title.to_string();
        return Ok(rows.svg(true));
    }
    Ok(curves::losses(records, seen)?.svg(true))
}

fn page(records: &[Record], seen: &Comparison, args: &ReportArgs, title: &str) -> Result<Page> {
    let mut page = Page::new(title);
    let best = &seen.groups[0];
    let runs: usize = seen.groups.iter().map(|group| group.members.len()).sum();
    let first = &records[best.members[0]];
    if seen.groups.len() > 1 {
        let sd = if best.loss.n > 1 {
            format!(" (standard deviation {:.4}, {} seeds)", best.loss.sd, best.loss.n)
        } else {
            String::new()
        };
        page.text(&format!(
            "{runs} runs in {} groups. The best is {}, with a loss of {:.4}{sd}.",
            seen.groups.len(),
            best.name(&seen.columns),
            best.loss.mean
        ));
        let diverged: usize = seen.groups.iter().map(|group| group.diverged).sum();
        if diverged > 0 {
            page.text(&format!("{diverged} of the runs have diverged."));
        }
    } else {
        let Outcome { loss, val_loss, steps, num_params, .. } = &first.outcome;
        let mut text = format!("{steps} steps of a model with {num_params} parameters.");
        if let Some(loss) = loss {
            text += &format!(" The loss of the last tenth of the steps is {loss:.4}.");
        }
        if let Some(loss) = val_loss {
            text += &format!(" On what is held back it is {loss:.4}.");
        }
        page.text(&text);
    }
    page.aside("Losses are in nats per token: the lower the better. Point at a picture to read its numbers.");

    let mut drawn = Vec::new();
    if seen.groups.len() > 1 {
        drawn.push(pictures::ranking(records, seen, args.baseline.is_some()).svg(false));
    }
    drawn.extend(scaling::charts(records, seen).iter().map(|chart| chart.svg(false)));
    drawn.push(curves::losses(records, seen)?.svg(false));
    drawn.extend(pictures::by_setting(records, seen));
    page.heading("Pictures");
    page.pictures(&drawn);
    if seen.groups.len() == 1 {
        let more = curves::measures(first.run.path())?;
        if !more.is_empty() {
            page.heading("What else was measured");
            page.pictures(&more.iter().map(|chart| chart.svg(false)).collect::<Vec<_>>());
        }
    }

    if seen.groups.len() > 1 {
        page.heading("Runs");
        let marked = Some(seen.baseline + 1).filter(|_| args.baseline.is_some());
        page.table(&table(records, seen), seen.columns.len() + 1, marked);
        if seen.groups.len() > ROWS {
            page.aside(&format!("and {} more", seen.groups.len() - ROWS));
        }
    }
    let samples = std::fs::read_to_string(first.run.path().join("samples.txt")).unwrap_or_default();
    if !samples.is_empty() {
        page.heading(if seen.groups.len() > 1 { "Samples of the best" } else { "Samples" });
        if samples.lines().any(|line| line.chars().count() > 24) {
            page.code(&samples);
        } else {
            page.words(&samples.lines().map(str::to_string).collect::<Vec<_>>());
        }
    }
    page.heading(if seen.groups.len() > 1 { "Settings of the best" } else { "Settings" });
    page.code(&settings(first));
    Ok(page)
}

fn table(records: &[Record], seen: &Comparison) -> Vec<Vec<String>> {
    let mut rows =
        vec![["run".to_string()].into_iter().chain(seen.columns.iter().cloned()).collect::<Vec<_>>()];
    rows[0]
        .extend(["n", "loss", "sd", "above", "95 %", "parameters", "steps", "seconds"].map(str::to_string));
    for (i, group) in seen.groups.iter().take(ROWS).enumerate() {
        let figures = crate::compare::figures(group, i == seen.baseline, records);
        rows.push([vec![number(group, records)], group.values.clone(), figures.to_vec()].concat());
    }
    rows
}

/// The number of a group's first run in its sweep, or its folder's name.
fn number(group: &Group, records: &[Record]) -> String {
    let folder = last_part(&records[group.members[0]].run.path().display().to_string());
    match folder.split_once('-') {
        Some((number, _)) if number.parse::<usize>().is_ok() => number.to_string(),
        _ => folder,
    }
}

/// The settings that are not as they are by default.
fn settings(record: &Record) -> String {
    let (config, defaults) = (&record.settings.config, Config::default());
    let mut text = format!("# {}\n", record.run.path().join("config.toml").display());
    for knob in Config::knobs() {
        let value = config.get(knob.name).unwrap_or_default();
        if defaults.get(knob.name).as_ref() != Some(&value) {
            let value = if knob.bare { value } else { format!("{value:?}") };
            text += &format!("{} = {value}\n", knob.name);
        }
    }
    text
}

/// What a group is called in a picture: its case alone, if that tells it from the others; the number of its first run, if
/// all of it would be too long.
fn short_name(group: &Group, seen: &Comparison, records: &[Record]) -> String {
    let case = seen.columns.iter().position(|name| name == "case");
    if let Some(case) = case {
        let same = seen.groups.iter().filter(|other| other.values[case] == group.values[case]).count();
        if same == 1 {
            return group.values[case].clone();
        }
    }
    let name = group.name(&seen.columns);
    if name.chars().count() > LONGEST { format!("run {}", number(group, records)) } else { name }
}

/// A name of more letters does not fit into a picture.
const LONGEST: usize = 34;
