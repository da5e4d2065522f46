//! `microgpt runs`: what was trained, how far, how well; and `runs rm`.

use crate::args::{RmArgs, RunsArgs, RunsCommand};
use anyhow::Result;
use microgpt::Error;
use microgpt_runs::Run;
use microgpt_runs::list::{Entry, look, runs};
use serde_json::json;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) fn run(args: &RunsArgs) -> Result<ExitCode> {
    if let Some(RunsCommand::Rm(args)) = &args.command {
        return remove(args);
    }
    let found = runs(Path::new(&args.folder));
    let mut out = io::stdout().lock();
    if args.json {
        found.iter().try_for_each(|entry| writeln!(out, "{}", as_json(entry)))?;
    } else if found.is_empty() {
        crate::notice(&format!("{}: no runs; `microgpt train` makes one", args.folder));
    } else {
        table(&found).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The runs in columns as wide as they need.
fn table(runs: &[Entry]) -> Vec<String> {
    let heads = ["name", "preset", "steps", "loss", "best val", "at step", "size", "saved"];
    let mut rows = vec![heads.map(String::from)];
    rows.extend(runs.iter().map(row));
    let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |row: &[String; 8]| {
        let cell = |(i, text): (usize, &String)| match i {
            0 | 1 | 7 => format!("{text:width$}", width = widths[i]),
            _ => format!("{text:>width$}", width = widths[i]),
        };
        row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    rows.iter().map(line).collect()
}

fn row(entry: &Entry) -> [String; 8] {
    let known = |text: Option<String>| text.unwrap_or_else(|| "-".to_string());
    let age = match entry.saved {
        _ if entry.busy => "in training now".to_string(),
        Some(saved) => age(SystemTime::now().duration_since(saved).map_or(0, |age| age.as_secs())),
        None => "-".to_string(),
    };
    [
        entry.name.clone(),
        known(entry.preset.map(String::from)),
        format!("{}/{}", entry.step.unwrap_or(0), known(entry.steps.map(|steps| steps.to_string()))),
        known(entry.loss.map(|loss| format!("{loss:.3}"))),
        known(entry.best.map(|best| format!("{:.3}", best.val_loss))),
        known(entry.best.map(|best| best.step.to_string())),
        size(entry.size),
        age,
    ]
}

fn age(seconds: u64) -> String {
    let units = [(86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second")];
    let unit = units.into_iter().find(|(length, _)| seconds >= *length);
    let Some((length, name)) = unit else { return "just now".to_string() };
    let count = seconds / length;
    format!("{count} {name}{} ago", if count == 1 { "" } else { "s" })
}

fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / unit as f64),
        None => format!("{bytes} B"),
    }
}

fn as_json(entry: &Entry) -> serde_json::Value {
    let Entry { name, preset, step, steps, loss, best, size, saved, busy } = entry;
    let saved = saved.and_then(|saved| saved.duration_since(UNIX_EPOCH).ok()).map(|since| since.as_secs());
    json!({
        "name": name, "preset": preset, "step": step, "steps": steps, "loss": loss,
        "best_val_loss": best.map(|best| best.val_loss), "best_step": best.map(|best| best.step),
        "bytes": size, "saved": saved, "in_training": busy,
    })
}

/// Removes runs, after a question for each.
fn remove(args: &RmArgs) -> Result<ExitCode> {
    for name in &args.runs {
        let run = Run::find(name)?;
        let path = run.path().to_path_buf();
        let entry = look(&path).filter(|entry| !path.ends_with("checkpoints") && !entry.name.is_empty());
        let Some(entry) = entry else {
            return Err(Error::config(format!("{name}: expected a run")).into());
        };
        // Held until it is gone: nobody begins to write there.
        let lock = run.lock()?;
        if !args.yes && !asks(&entry, &path)? {
            writeln!(io::stderr(), "{} stays", path.display())?;
            continue;
        }
        std::fs::remove_dir_all(&path).map_err(|error| {
            let found = microgpt_runs::atomic::reason(&error);
            Error::checkpoint(format!("{}: expected a folder to remove, found {found}", path.display()))
        })?;
        drop(lock);
        writeln!(io::stderr(), "{} is removed", path.display())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Only a yes is one.
fn asks(entry: &Entry, path: &Path) -> Result<bool> {
    if !io::stdin().is_terminal() {
        let why = "expected a terminal to ask on, found none (--yes removes without a question)";
        return Err(Error::config(format!("runs rm: {why}")).into());
    }
    let row = row(entry);
    write!(
        io::stderr(),
        "remove {} ({} steps, {}, saved {})? [y/N] ",
        path.display(),
        row[2],
        row[6],
        row[7]
    )?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes_are_in_units_that_fit() {
        assert_eq!(
            [0, 1, 59, 60, 7300, 200_000].map(age),
            ["just now", "1 second ago", "59 seconds ago", "1 minute ago", "2 hours ago", "2 days ago"]
        );
        assert_eq!([12, 2048, 5 << 20].map(size), ["12 B", "2.0 kB", "5.0 MB"]);
    }
}
