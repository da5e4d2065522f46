//! What is drawn of many runs: which is best, and how the loss goes with each setting.

use super::short_name;
use microgpt_charts::{Axis, Chart, Mark, Point, Row, Rows, Series};
use microgpt_runs::compare::{Comparison, Group};
use microgpt_runs::outcome::Record;

/// So many groups are drawn, of each kind.
const MOST: usize = 30;

/// The groups, one under the other: how much above the baseline if one was asked for, else the loss. Cases that are
/// called `kind: name` stand under their kind.
pub(super) fn ranking(records: &[Record], seen: &Comparison, beside: bool) -> Rows {
    let kind =
        |group: &Group| short_name(group, seen, records).split_once(": ").map(|(kind, _)| kind.to_string());
    let mut kinds: Vec<Option<String>> = Vec::new();
    // In the order in which the sweep's file has them, that is of the runs.
    let mut in_order: Vec<&Group> = seen.groups.iter().collect();
    in_order.sort_by_key(|group| group.members[0]);
    for group in in_order {
        if !kinds.contains(&kind(group)) {
            kinds.push(kind(group));
        }
    }
    let sections = kinds.len() > 1;
    let mut rows = Vec::new();
    for (color, section) in kinds.iter().enumerate() {
        let groups: Vec<&Group> = seen.groups.iter().filter(|group| kind(group) == *section).collect();
        if let Some(name) = section.as_ref().filter(|_| sections) {
            rows.push(Row { name: name.clone(), ..Row::default() });
        }
        for group in groups.into_iter().take(MOST) {
            let name = short_name(group, seen, records);
            let name = if section.is_some() {
                name.split_once(": ").map_or(name.clone(), |(_, name)| name.to_string())
            } else {
                name
            };
            let note = note(group, records);
            let is_base = std::ptr::eq(group, &seen.groups[seen.baseline]);
            let (value, error) = match group.beside {
                _ if group.loss.n == 0 => (None, None),
                _ if !beside => (Some(group.loss.mean), group.loss.interval()),
                _ if is_base => (Some(0.0), None),
                Some((above, interval)) => (Some(above), interval),
                None => (None, None),
            };
            let note = if value.is_none() { "diverged".to_string() } else { note };
            rows.push(Row { name, value, error, color: if sections { color } else { 0 }, note });
        }
    }
    let hidden =
        seen.groups.len() - rows.iter().filter(|row| row.value.is_some()).count().min(seen.groups.len());
    let base = short_name(&seen.groups[seen.baseline], seen, records);
    let more =
        if hidden > 0 && !sections { format!(" The {hidden} worst are not shown.") } else { String::new() };
    let bars = seen.groups.iter().any(|group| group.loss.n > 1);
    let bars = if bars { "Bars are 95 % confidence intervals over seeds." } else { "One run each." };
    Rows {
        title: if beside { format!("Loss beside {base}") } else { "Loss, the best first".to_string() },
        note: format!("{bars}{more}{}", if beside { " Left of the line is better." } else { "" }),
        label: if beside {
            format!("loss above that of {base}, nats per token")
        } else {
            "loss, nats per token".to_string()
        },
        rows,
        level: beside.then_some(0.0),
    }
}

fn note(group: &Group, records: &[Record]) -> String {
    let mean = |of: fn(&Record) -> f64| group.mean(records, |r| Some(of(r))).unwrap_or_default();
    format!(
        "{} runs, {:.0} parameters, {:.0} steps",
        group.members.len(),
        mean(|r| r.outcome.num_params as f64),
        mean(|r| r.outcome.steps as f64)
    )
}

/// The loss over each setting that has several values.
pub(super) fn by_setting(records: &[Record], seen: &Comparison) -> Vec<String> {
    let mut losses: Vec<f64> =
        seen.groups.iter().filter(|group| group.loss.n > 0).map(|group| group.loss.mean).collect();
    losses.sort_by(f64::total_cmp);
    // The few that went wrong would press all others together.
    let (Some(&best), Some(&middle)) = (losses.first(), losses.get(losses.len() / 2)) else {
        return Vec::new();
    };
    let limit = best + 3.0 * (middle - best).max(1e-3);
    let above = losses.iter().filter(|loss| **loss > limit).count();
    let (mut charts, mut words) = (Vec::new(), Vec::new());
    for (column, name) in seen.columns.iter().enumerate() {
        let mut series =
            Series { name: name.clone(), mark: Mark::Dots, color: charts.len(), points: Vec::new() };
        for group in seen.groups.iter().filter(|group| group.loss.n > 0 && group.loss.mean <= limit) {
            if let Ok(x) = group.values[column].parse::<f64>() {
                let error = group.loss.interval().filter(|_| seen.groups.len() <= 40);
                let label = format!("({}, {})", group.name(&seen.columns), note(group, records));
                series.points.push(Point { x, y: group.loss.mean, error, label });
            }
        }
        let mut values: Vec<f64> = series.points.iter().map(|point| point.x).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        if values.len() < 3 {
            words.extend(by_word(seen, column));
            continue;
        }
        let log = values[0] > 0.0 && values[values.len() - 1] / values[0] >= 8.0;
        let note = if above > 0 { format!("{above} groups lie above the picture.") } else { String::new() };
        let chart = Chart {
            title: format!("Loss over {name}"),
            note,
            x: Axis { label: name.clone(), log },
            y: Axis::plain("loss, nats per token"),
            series: vec![series],
            levels: Vec::new(),
        };
        charts.push(chart.svg(false));
    }
    if !words.is_empty() {
        let rows = Rows {
            title: "Loss by choice".into(),
            label: "median of the groups with it, nats per token".into(),
            rows: words,
            ..Rows::default()
        };
        charts.insert(0, rows.svg(false));
    }
    charts
}

/// A heading and a row for each of the few values that a setting has, if the groups that have it differ in other settings
/// too.
fn by_word(seen: &Comparison, column: usize) -> Vec<Row> {
    let finite = || seen.groups.iter().filter(|group| group.loss.n > 0);
    let mut words: Vec<&String> = finite().map(|group| &group.values[column]).collect();
    words.sort();
    words.dedup();
    if words.len() < 2 || words.len() > 20 || finite().count() < 4 * words.len() {
        return Vec::new();
    }
    let row = |word: &String| {
        let mut losses: Vec<f64> =
            finite().filter(|g| g.values[column] == *word).map(|g| g.loss.mean).collect();
        losses.sort_by(f64::total_cmp);
        let note = format!("the best {:.4}, {} groups", losses[0], losses.len());
        Row { name: word.clone(), value: Some(losses[losses.len() / 2]), note, ..Row::default() }
    };
    let mut rows: Vec<Row> = words.into_iter().map(row).collect();
    rows.sort_by(|a, b| a.value.unwrap_or_default().total_cmp(&b.value.unwrap_or_default()));
    rows.insert(0, Row { name: seen.columns[column].clone(), ..Row::default() });
    rows
}
