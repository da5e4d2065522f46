//! `microgpt compare`: what differs between runs, and what it is worth.
//!
//! - [`part`]: where two runs part

mod part;

use crate::args::CompareArgs;
use anyhow::Result;
use microgpt_runs::compare::{Comparison, Group, differences};
use microgpt_runs::outcome::{self, Outcome, Record};
use serde_json::json;
use std::io::{self, Write};
use std::process::ExitCode;

pub(crate) fn run(args: &CompareArgs) -> Result<ExitCode> {
    let records = outcome::find(&args.runs)?;
    if let [a, b] = &records[..] {
        two(a, b, args)?;
    } else {
        tell_groups(&records, args.baseline.as_deref(), args.json)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A table of groups of runs, the best first.
pub(crate) fn tell_groups(records: &[Record], baseline: Option<&str>, as_json: bool) -> Result<()> {
    let seen = Comparison::of(records, baseline);
    let mut out = io::stdout().lock();
    if as_json {
        writeln!(out, "{}", groups_json(&seen, records))?;
        return Ok(());
    }
    let runs: usize = seen.groups.iter().map(|group| group.members.len()).sum();
    writeln!(out, "{} in {}\n", plural(runs, "run"), plural(seen.groups.len(), "group"))?;
    let mut rows = vec![seen.columns.clone()];
    rows[0].extend(["n", "loss", "sd", "above", "95 %", "params", "steps", "seconds"].map(str::to_string));
    for (i, group) in seen.groups.iter().enumerate() {
        let mut row = group.values.clone();
        row.extend(figures(group, i == seen.baseline, records));
        rows.push(row);
    }
    print_table(&mut out, &rows, seen.columns.len())?;
    let counted = || seen.groups.iter().flat_map(|group| &group.members).map(|&i| &records[i].outcome);
    let held_back = |outcome: &&Outcome| outcome.val_loss.is_some();
    let loss = match counted().filter(|o| o.diverged.is_none()).filter(held_back).count() {
        0 => "of the last tenth of the steps",
        n if n == counted().filter(|o| o.diverged.is_none()).count() => "on what is held back",
        _ => {
            "on what is held back, or of the last tenth of the steps where nothing is: the two are not alike"
        }
    };
    writeln!(out, "\nloss: mean {loss}, nats per token; sd: its spread over seeds")?;
    if seen.groups.len() > 1 {
        let base = seen.groups[seen.baseline].name(&seen.columns);
        writeln!(
            out,
            "above: how much it is above that of {base}, pairs of the same seed where there are; half of its 95 % interval"
        )?;
    }
    Ok(())
}

pub(crate) fn figures(group: &Group, is_base: bool, records: &[Record]) -> [String; 8] {
    let of = |of: fn(&Record) -> Option<f64>| group.mean(records, of);
    let (above, interval) = match group.beside {
        _ if is_base => ("-".to_string(), String::new()),
        Some((above, interval)) => {
            (format!("{above:+.4}"), interval.map(|x| format!("± {x:.4}")).unwrap_or_default())
        }
        None => Default::default(),
    };
    let (loss, sd) = match group.loss.n {
        0 => ("diverged".to_string(), String::new()),
        1 => (format!("{:.4}", group.loss.mean), String::new()),
        _ => (format!("{:.4}", group.loss.mean), format!("{:.4}", group.loss.sd)),
    };
    let n = if group.diverged > 0 && group.loss.n > 0 {
        format!("{} ({} diverged)", group.members.len(), group.diverged)
    } else {
        group.members.len().to_string()
    };
    [
        n,
        loss,
        sd,
        above,
        interval,
        of(|r| Some(r.outcome.num_params as f64)).map(|x| format!("{x:.0}")).unwrap_or_default(),
        of(|r| Some(r.outcome.steps as f64)).map(|x| format!("{x:.0}")).unwrap_or_default(),
        of(|r| r.outcome.cpu_seconds).map(|x| format!("{x:.2}")).unwrap_or_default(),
    ]
}

/// Columns under each other; those from `numbers` on end at the same place.
fn print_table(out: &mut dyn Write, rows: &[Vec<String>], numbers: usize) -> io::Result<()> {
    let width = |col: usize| rows.iter().map(|row| row[col].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (col, cell) in
            row.iter().enumerate().filter(|(col, _)| rows.iter().skip(1).any(|r| !r[*col].is_empty()))
        {
            let space = " ".repeat(widths[col] - cell.chars().count());
            line += &if col < numbers { format!("{cell}{space}  ") } else { format!("{space}{cell}  ") };
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn groups_json(seen: &Comparison, records: &[Record]) -> serde_json::Value {
    let group = |group: &Group| {
        let values: serde_json::Map<_, _> =
            seen.columns.iter().cloned().zip(group.values.iter().map(|value| json!(value))).collect();
        json!({
            "values": values, "n": group.members.len(), "diverged": group.diverged,
            "loss": (group.loss.n > 0).then_some(group.loss.mean), "sd": (group.loss.n > 1).then_some(group.loss.sd),
            "interval": group.loss.interval(),
            "above": group.beside.map(|(above, _)| above), "above_interval": group.beside.and_then(|(_, x)| x),
            "num_params": group.mean(records, |r| Some(r.outcome.num_params as f64)),
            "steps": group.mean(records, |r| Some(r.outcome.steps as f64)),
            "cpu_seconds": group.mean(records, |r| r.outcome.cpu_seconds),
            "accuracy": group.mean(records, |r| r.outcome.accuracy),
            "runs": group.members.iter().map(|&i| records[i].run.path().display().to_string()).collect::<Vec<_>>(),
        })
    };
    json!({
        "columns": seen.columns, "baseline": seen.baseline, "groups": seen.groups.iter().map(group).collect::<Vec<_>>(),
    })
}

/// Two runs, side by side.
fn two(a: &Record, b: &Record, args: &CompareArgs) -> Result<()> {
    let records = [a.clone(), b.clone()];
    let differ = differences(&records);
    let parting = match args.replay {
        Some(0) => None,
        most => Some(part::find(a, b, most)?),
    };
    let mut out = io::stdout().lock();
    if args.json {
        let run = |r: &Record| json!({"run": r.run.path().display().to_string(), "outcome": r.outcome});
        let settings: serde_json::Map<_, _> =
            differ.into_iter().map(|(name, values)| (name, json!(values))).collect();
        let value = json!({
            "runs": records.iter().map(run).collect::<Vec<_>>(), "settings": settings,
            "parting": parting.map(|parting| parting.to_json()),
        });
        writeln!(out, "{value}")?;
        return Ok(());
    }
    let mut rows = vec![vec![String::new(), a.run.name(), b.run.name()]];
    for (name, values) in differ {
        rows.push([vec![name], values].concat());
    }
    let same = rows.len() == 1;
    let mut figure = |name: &str, of: fn(&Record) -> Option<f64>, digits: usize| {
        let cell = |r: &Record| of(r).map(|x| format!("{x:.digits$}")).unwrap_or_default();
        rows.push(vec![name.to_string(), cell(a), cell(b)]);
    };
    figure("parameters", |r| Some(r.outcome.num_params as f64), 0);
    figure("steps made", |r| Some(r.outcome.steps as f64), 0);
    figure("loss", |r| r.outcome.loss, 4);
    figure("held back", |r| r.outcome.val_loss, 4);
    figure("right", |r| r.outcome.accuracy, 3);
    figure("seconds", |r| r.outcome.cpu_seconds, 2);
    rows.retain(|row| row[0].is_empty() || !row[1].is_empty() || !row[2].is_empty());
    print_table(&mut out, &rows, 1)?;
    if same {
        writeln!(out, "\nTheir settings are the same.")?;
    }
    writeln!(
        out,
        "\nloss: mean of the last tenth of the steps, nats per token; held back: on what is held back"
    )?;
    if let Some(parting) = parting {
        writeln!(out, "\n{parting}")?;
    }
    Ok(())
}

fn plural(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
