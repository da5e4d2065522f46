//! What is drawn of one run, or of few: the loss over the steps, and whatever else was measured in them.

use super::short_name;
use anyhow::Result;
use microgpt_charts::{Axis, COLORS, Chart, Mark, Point, Series};
use microgpt_runs::compare::Comparison;
use microgpt_runs::outcome::{Record, curve};
use serde_json::Value;
use std::path::Path;

/// A line has about so many points.
const POINTS: usize = 200;

/// The loss over the steps: of one run what it learns and what is held back; of several groups, what is held back of a
/// run of each.
pub(super) fn losses(records: &[Record], seen: &Comparison) -> Result<Chart> {
    let one = seen.groups.len() == 1;
    let mut shown: Vec<usize> = (0..seen.groups.len().min(COLORS)).collect();
    if !shown.contains(&seen.baseline) {
        shown.pop();
        shown.push(seen.baseline);
    }
    // Runs of one time may have very different steps: then it is how far a run has come that counts.
    let steps: Vec<f64> =
        shown.iter().map(|&i| records[seen.groups[i].members[0]].outcome.steps as f64).collect();
    let most = steps.iter().fold(0.0, |a: f64, b| a.max(*b));
    let by_part = steps.iter().any(|steps| *steps < 0.7 * most);
    let mut chart = Chart {
        title: if one { "Loss".to_string() } else { "Loss on the way".to_string() },
        note: if one {
            String::new()
        } else {
            "The first run of each group; the mean of neighbouring steps.".to_string()
        },
        x: Axis::plain(if by_part { "part of the run, %" } else { "steps" }),
        y: Axis::plain("loss, nats per token"),
        ..Chart::default()
    };
    for (color, &i) in shown.iter().enumerate() {
        let group = &seen.groups[i];
        let record = &records[group.members[0]];
        let all = record.outcome.steps.max(1) as f64;
        let x = |step: usize| if by_part { 100.0 * step as f64 / all } else { step as f64 };
        let lines = curve(record.run.path())?;
        let trained: Vec<(f64, f64)> = lines.iter().filter_map(|p| Some((x(p.step), p.loss?))).collect();
        let held: Vec<Point> = lines.iter().filter_map(|p| Some(Point::at(x(p.step), p.val_loss?))).collect();
        let name = if one { "learnt".to_string() } else { short_name(group, seen, records) };
        let few = held.len() < 4;
        if one || few {
            chart.series.push(Series { name, mark: Mark::Line, color, points: smooth(&trained) });
        }
        if one && !held.is_empty() {
            chart.series.push(Series { name: "held back".into(), mark: Mark::Both, color: 1, points: held });
        } else if !one && !few {
            chart.series.push(Series {
                name: short_name(group, seen, records),
                mark: Mark::Line,
                color,
                points: held,
            });
        }
    }
    if let (true, Ok(tokenizer)) = (one, records[0].run.read_tokenizer()) {
        let size = tokenizer.vocab_size();
        chart.levels.push(((size as f64).ln(), format!("guessing: ln {size}")));
    }
    Ok(chart)
}

/// The mean of neighbours, so that about [`POINTS`] are left.
fn smooth(points: &[(f64, f64)]) -> Vec<Point> {
    let size = points.len().div_ceil(POINTS).max(points.len().div_ceil(40).min(10)).max(1);
    let mean = |part: &[(f64, f64)], of: fn(&(f64, f64)) -> f64| {
        part.iter().map(of).sum::<f64>() / part.len() as f64
    };
    points.chunks(size).map(|part| Point::at(mean(part, |p| p.0), mean(part, |p| p.1))).collect()
}

/// A picture for each other number in a run's lines of metrics; numbers with names of their own (by matrix, by head) are
/// the lines of one.
pub(super) fn measures(folder: &Path) -> Result<Vec<Chart>> {
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap_or_default();
    let mut found: Vec<(String, Vec<Series>)> = Vec::new();
    for line in text.lines() {
        let Ok(Value::Object(line)) = serde_json::from_str::<Value>(line) else { continue };
        let Some(step) = line.get("step").and_then(Value::as_f64) else { continue };
        for (name, value) in &line {
            if ["step", "loss", "val_loss"].contains(&&**name) {
                continue;
            }
            match value {
                Value::Number(y) => add(&mut found, name, "", step, y.as_f64()),
                Value::Object(parts) => {
                    parts.iter().for_each(|(part, y)| add(&mut found, name, part, step, y.as_f64()));
                }
                Value::Array(parts) => {
                    let each = parts.iter().enumerate();
                    each.for_each(|(i, y)| add(&mut found, name, &i.to_string(), step, y.as_f64()));
                }
                _ => {}
            }
        }
    }
    let chart = |(name, mut series): (String, Vec<Series>)| {
        series.truncate(COLORS);
        for line in &mut series {
            let points: Vec<(f64, f64)> = line.points.iter().map(|p| (p.x, p.y)).collect();
            line.points = smooth(&points);
        }
        Chart { title: name.replace('_', " "), x: Axis::plain("steps"), series, ..Chart::default() }
    };
    Ok(found.into_iter().map(chart).collect())
}

fn add(found: &mut Vec<(String, Vec<Series>)>, name: &str, part: &str, step: f64, y: Option<f64>) {
    let Some(y) = y else { return };
    if !found.iter().any(|(known, _)| known == name) {
        found.push((name.to_string(), Vec::new()));
    }
    let series = &mut found.iter_mut().find(|(known, _)| known == name).expect("it was just put there").1;
    if !series.iter().any(|line| line.name == part) {
        let color = series.len();
        series.push(Series { name: part.to_string(), mark: Mark::Line, color, points: Vec::new() });
    }
    let line = series.iter_mut().find(|line| line.name == part).expect("it was just put there");
    line.points.push(Point::at(step, y));
}
