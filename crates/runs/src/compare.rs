//! What differs between runs, and what it is worth. Runs that differ in nothing but the seed are one group.

use crate::outcome::Record;
use crate::settings::Settings;
use crate::stats::Summary;
use microgpt::Config;
use std::collections::BTreeMap;

/// Runs side by side.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// What differs: settings, and `case` and `seconds` of a sweep.
    pub columns: Vec<String>,
    /// The groups, the best first.
    pub groups: Vec<Group>,
    /// The group that the others are held against.
    pub baseline: usize,
}

/// Runs that differ in nothing but the seed.
#[derive(Debug, Clone)]
pub struct Group {
    /// Of each column, what this group has.
    pub values: Vec<String>,
    /// Which of the records they are.
    pub members: Vec<usize>,
    /// Of those that did not diverge: the loss on what is held back, or where nothing is, that of the last steps.
    pub loss: Summary,
    /// How much its loss is above that of the baseline, and half of the 95 % confidence interval.
    pub beside: Option<(f64, Option<f64>)>,
    /// How many have diverged.
    pub diverged: usize,
}

/// What a sample is made of: not what a run is.
const SAMPLING: &str = "sampling";
/// Settings that say when to look, not what is done.
const LOOKS: [&str; 2] = ["eval_every", "eval_size"];

/// Names and values of settings.
type Facts = Vec<(String, String)>;

/// Each setting as text, that decides what comes of a run.
fn facts(record: &Record) -> Facts {
    let Settings { config, data, .. } = &record.settings;
    let timed = record.outcome.seconds;
    let mut facts: Facts = Config::knobs()
        .iter()
        .filter(|knob| knob.group != SAMPLING && !LOOKS.contains(&knob.name))
        // With a budget in time, the steps are what came of it.
        .filter(|knob| knob.name != "steps" || timed.is_none())
        .map(|knob| (knob.name.to_string(), config.get(knob.name).unwrap_or_default()))
        .collect();
    facts.push(("data".to_string(), data.to_string()));
    facts.push(("seconds".to_string(), timed.map(|s| format!("{s:?}")).unwrap_or_default()));
    facts
}

/// The settings in which these runs differ, with each one's value; the seed among them.
pub fn differences(records: &[Record]) -> Vec<(String, Vec<String>)> {
    let all: Vec<_> = records.iter().map(facts).collect();
    let Some(first) = all.first() else { return Vec::new() };
    let names = first.iter().map(|(name, _)| name.clone());
    let column =
        |(i, name): (usize, String)| (name, all.iter().map(|facts| facts[i].1.clone()).collect::<Vec<_>>());
    names
        .enumerate()
        .map(column)
        .filter(|(_, values)| values.iter().any(|value| *value != values[0]))
        .collect()
}

impl Comparison {
    /// Puts runs side by side; those that were made to tune something are left out, unless there are no others.
    /// The others are held against the group whose case, or one of whose values, is `baseline`; else the best.
    pub fn of(records: &[Record], baseline: Option<&str>) -> Comparison {
        let mut counted: Vec<usize> = (0..records.len()).filter(|&i| !records[i].outcome.tuning).collect();
        if counted.is_empty() {
            counted = (0..records.len()).collect();
        }
        // Runs of a sweep are called as its file calls them; others by the settings that differ.
        let labelled = counted.iter().all(|&i| !records[i].outcome.label.is_empty());
        let chosen: Vec<Record> = counted.iter().map(|&i| records[i].clone()).collect();
        let columns: Vec<String> = if labelled {
            let mut names: Vec<String> = Vec::new();
            for (name, _) in counted.iter().flat_map(|&i| &records[i].outcome.label) {
                if name != "seed" && !names.contains(name) {
                    names.push(name.clone());
                }
            }
            names
        } else {
            let names = differences(&chosen).into_iter().map(|(name, _)| name);
            names.filter(|name| name != "seed").collect()
        };
        let mut groups: BTreeMap<(Vec<String>, Facts), Vec<usize>> = BTreeMap::new();
        for &i in &counted {
            let mut facts = facts(&records[i]);
            let value = |name: &String| {
                let label = records[i].outcome.label.iter().find(|(label, _)| label == name);
                let fact = || facts.iter().find(|(fact, _)| fact == name);
                label.or_else(fact).map(|(_, value)| value.clone()).unwrap_or_default()
            };
            let values = columns.iter().map(value).collect();
            facts.retain(|(name, _)| name != "seed");
            groups.entry((values, facts)).or_default().push(i);
        }
        let mut groups: Vec<Group> =
            groups.into_iter().map(|((values, _), members)| Group::of(values, members, records)).collect();
        let worth = |group: &Group| if group.loss.n == 0 { f64::INFINITY } else { group.loss.mean };
        groups.sort_by(|a, b| worth(a).total_cmp(&worth(b)));
        let named =
            |name: &str| groups.iter().position(|group| group.values.iter().any(|value| value == name));
        let baseline = baseline.and_then(named).unwrap_or(0);
        for i in 0..groups.len() {
            groups[i].beside = beside(&groups[i], &groups[baseline], records);
        }
        Comparison { columns, groups, baseline }
    }
}

impl Group {
    fn of(values: Vec<String>, members: Vec<usize>, records: &[Record]) -> Group {
        let scores: Vec<f64> = members.iter().map(|&i| records[i].outcome.score()).collect();
        let finite: Vec<f64> = scores.iter().copied().filter(|score| score.is_finite()).collect();
        let diverged = scores.len() - finite.len();
        Group { values, members, loss: Summary::of(&finite), beside: None, diverged }
    }

    /// The mean of what `of` has to tell of each of its runs.
    pub fn mean(&self, records: &[Record], of: impl Fn(&Record) -> Option<f64>) -> Option<f64> {
        let numbers: Vec<f64> = self.members.iter().filter_map(|&i| of(&records[i])).collect();
        (!numbers.is_empty()).then(|| Summary::of(&numbers).mean)
    }

    /// What it is called.
    pub fn name(&self, columns: &[String]) -> String {
        let parts = columns.iter().zip(&self.values).filter(|(_, value)| !value.is_empty());
        let part = |(name, value): (&String, &String)| {
            if name == "case" { value.clone() } else { format!("{name} {value}") }
        };
        let name = parts.map(part).collect::<Vec<_>>().join(", ");
        if name.is_empty() { "all".to_string() } else { name }
    }
}

/// How much one group's loss is above another's. Runs of the same seed saw the same text in the same order, with the
/// same part held back: their differences tell more than the difference of the means.
fn beside(group: &Group, other: &Group, records: &[Record]) -> Option<(f64, Option<f64>)> {
    if group.members == other.members || group.loss.n == 0 || other.loss.n == 0 {
        return None;
    }
    let scores = |group: &Group| -> BTreeMap<u64, f64> {
        let seed = |i: usize| (records[i].settings.config.seed, records[i].outcome.score());
        group.members.iter().map(|&i| seed(i)).filter(|(_, score)| score.is_finite()).collect()
    };
    let (ours, theirs) = (scores(group), scores(other));
    let pairs: Vec<f64> = ours.iter().filter_map(|(seed, score)| Some(score - theirs.get(seed)?)).collect();
    if pairs.len() == ours.len() && ours.len() == theirs.len() {
        let summary = Summary::of(&pairs);
        return Some((summary.mean, summary.interval()));
    }
    // Welch's: the variances of both means add up.
    let interval = match (group.loss.interval(), other.loss.interval()) {
        (Some(a), Some(b)) => Some(a.hypot(b)),
        _ => None,
    };
    Some((group.loss.mean - other.loss.mean, interval))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Run, outcome::Outcome};

    fn record(lr: f64, seed: u64, val_loss: f64) -> Record {
        let mut settings = Settings::default();
        (settings.config.lr, settings.config.seed) = (lr, seed);
        let outcome = Outcome { val_loss: Some(val_loss), num_params: 7, ..Outcome::default() };
        Record { run: Run::at_any("x".into()), settings, outcome }
    }

    #[test]
    fn groups_differ_in_more_than_the_seed_and_the_best_comes_first() {
        let mut records = vec![
            record(0.1, 1, 2.5),
            record(0.2, 1, 2.2),
            record(0.1, 2, 2.7),
            record(0.2, 2, 2.3),
            record(0.3, 1, 2.0),
        ];
        records[4].outcome.diverged = Some("step 3".into());
        let seen = Comparison::of(&records, None);
        assert_eq!(seen.columns, ["lr"]);
        let names: Vec<String> = seen.groups.iter().map(|group| group.name(&seen.columns)).collect();
        assert_eq!(names, ["lr 0.2", "lr 0.1", "lr 0.3"]);
        assert_eq!(seen.groups[1].members, [0, 2]);
        // By pairs: 0.3 and 0.4 above.
        let (above, interval) = seen.groups[1].beside.unwrap();
        assert!((above - 0.35).abs() < 1e-12 && (interval.unwrap() - 12.706 * 0.05).abs() < 1e-3);
        assert_eq!((seen.groups[0].beside, seen.groups[2].beside, seen.groups[2].diverged), (None, None, 1));
        assert_eq!(Comparison::of(&records, Some("0.1")).baseline, 1);
        let differ = differences(&records);
        assert_eq!(differ.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["seed", "lr"]);
        assert_eq!(differ[1].1, ["0.1", "0.2", "0.1", "0.2", "0.3"]);
    }

    #[test]
    fn runs_of_a_sweep_go_by_its_names_and_those_that_tuned_are_left_out() {
        let label = |case: &str, lr: &str| {
            [("case", case), ("lr", lr), ("seed", "1")].map(|(a, b)| (a.to_string(), b.to_string())).to_vec()
        };
        let mut records = vec![record(0.1, 1, 2.5), record(0.2, 1, 2.2), record(0.2, 9, 1.0)];
        records[0].outcome.label = label("a", "0.1");
        records[1].outcome.label = label("b", "0.2");
        records[2].outcome.label = label("b", "0.2");
        records[2].outcome.tuning = true;
        let seen = Comparison::of(&records, Some("a"));
        assert_eq!((seen.columns.len(), seen.groups.len(), seen.baseline), (2, 2, 1));
        assert_eq!(seen.groups[0].name(&seen.columns), "b, lr 0.2");
        assert!((seen.groups[0].beside.unwrap().0 + 0.3).abs() < 1e-12);
    }
}
