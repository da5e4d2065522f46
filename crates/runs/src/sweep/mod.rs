//! Many runs from one file: which they are. Whoever has threads and a clock runs them.
//!
//! ```toml
//! engine = "fast"             # what all runs share, as in any file of settings
//! steps = 300
//!
//! [sweep]
//! seeds = 3                   # each run with the seeds 1, 2, 3; or a list of seeds
//! # seconds = 2.0             # as many steps as fit into this time of one processor, in place of steps
//!
//! [grid]                      # every value with every other
//! n_embd = [16, 32]
//!
//! [random]                    # each of so many runs draws a value of each
//! runs = 50
//! seed = 1
//! lr = { min = 1e-3, max = 1e-1, log = true }
//! activation = ["relu", "silu"]
//!
//! [tune]                      # found first, for each run by itself, with seeds of its own
//! seeds = [101, 102]
//! lr = [0.003, 0.01, 0.03]
//!
//! [[case]]                    # one by one, with a name; a list stands in for that of [grid] or [tune]
//! name = "lion"
//! optimizer = "lion"
//! lr = [0.0003, 0.001]
//! ```
//! All parts may be left out, and all that are there are combined: cases times grid times draws times seeds.

mod read;

use crate::settings::{Assignment, Settings};
use microgpt::task::Task;
use microgpt::{Config, Error, rng::Rng};

/// What a sweep's file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// The name of the file, for errors.
    pub file: String,
    /// What all runs share.
    base: Vec<Assignment>,
    /// At least one, that may have no name and change nothing.
    cases: Vec<Case>,
    grid: Vec<Axis>,
    random: Option<Random>,
    tune: Option<Tune>,
    seeds: Vec<u64>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Case {
    name: String,
    settings: Vec<Assignment>,
    axes: Vec<Axis>,
}

/// A setting and the values that it is to have, one after the other.
#[derive(Debug, Clone, PartialEq)]
struct Axis {
    name: String,
    values: Vec<Assignment>,
}

#[derive(Debug, Clone, PartialEq)]
struct Random {
    runs: usize,
    seed: u64,
    draws: Vec<Draw>,
}

#[derive(Debug, Clone, PartialEq)]
enum Draw {
    OneOf(Axis),
    Between { name: String, place: String, min: f64, max: f64, log: bool, whole: bool },
}

#[derive(Debug, Clone, PartialEq)]
struct Tune {
    seeds: Vec<u64>,
    axes: Vec<Axis>,
}

/// A run that is to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// Which point of the sweep it belongs to: all that differ in nothing but what is tuned, and the seed.
    pub point: usize,
    /// Of the values that are tried in tuning, which.
    pub choice: usize,
    /// Is it made to tune?
    pub tuning: bool,
    /// What tells it from the others: the name of its case, and settings.
    pub label: Vec<(String, String)>,
    /// Everything that decides what it is; but for `steps`, if it has `seconds`.
    pub settings: Settings,
    /// As many steps as fit into this time.
    pub seconds: Option<f64>,
}

/// Runs that differ in nothing but what is tuned, and the seed.
struct Point {
    assignments: Vec<Assignment>,
    label: Vec<(String, String)>,
    tune: Vec<Axis>,
}

impl Sweep {
    /// Reads a sweep's file; `file` is its name, for errors.
    ///
    /// # Errors
    /// What is no TOML, no setting, no value: the error names the line.
    pub fn read(text: &str, file: &str) -> Result<Sweep, Error> {
        read::sweep(text, file)
    }

    /// Are there settings to be tuned before the runs that count?
    pub fn tunes(&self) -> bool {
        self.tune.is_some()
    }

    /// The runs that tune: each point with each choice and each seed of `[tune]`.
    ///
    /// # Errors
    /// Settings that cannot be, alone or together.
    pub fn tuning(&self) -> Result<Vec<Planned>, Error> {
        let Some(tune) = &self.tune else { return Ok(Vec::new()) };
        let mut runs = Vec::new();
        for (number, point) in self.points()?.iter().enumerate() {
            let choices = product(&point.tune);
            // Where there is no choice there is nothing to tune.
            for (choice, values) in choices.into_iter().enumerate().filter(|_| !point.tune.is_empty()) {
                for seed in &tune.seeds {
                    let run = self.plan(point, &values, Some(*seed), true)?;
                    runs.push(Planned { point: number, choice, ..run });
                }
            }
        }
        Ok(runs)
    }

    /// The runs that count, with the choice that tuning made at each point.
    ///
    /// # Errors
    /// Settings that cannot be, alone or together.
    pub fn runs(&self, chosen: impl Fn(usize) -> usize) -> Result<Vec<Planned>, Error> {
        let seeds: Vec<Option<u64>> = match &self.seeds[..] {
            [] => vec![None],
            seeds => seeds.iter().copied().map(Some).collect(),
        };
        let mut runs = Vec::new();
        for (number, point) in self.points()?.iter().enumerate() {
            let choices = product(&point.tune);
            let choice = chosen(number).min(choices.len() - 1);
            for seed in &seeds {
                let run = self.plan(point, &choices[choice], *seed, false)?;
                runs.push(Planned { point: number, choice, ..run });
            }
        }
        Ok(runs)
    }

    /// How many choices tuning has at a point; the first and the last are at the edge of what is tried.
    ///
    /// # Errors
    /// As [`Sweep::runs`].
    pub fn choices(&self, point: usize) -> Result<usize, Error> {
        Ok(self.points()?.get(point).map_or(1, |point| product(&point.tune).len()))
    }

    fn points(&self) -> Result<Vec<Point>, Error> {
        let mut points = Vec::new();
        for case in &self.cases {
            // What a case says of a setting stands in for what all cases do.
            let says = |axis: &&Axis| {
                case.settings.iter().any(|a| a.name == axis.name)
                    || case.axes.iter().any(|own| own.name == axis.name)
            };
            let tuned = |name: &str| self.tune.iter().flat_map(|t| &t.axes).any(|axis| axis.name == name);
            let own = |tuning: bool| case.axes.iter().filter(move |axis| tuned(&axis.name) == tuning);
            let not_said =
                |axes: &[Axis]| axes.iter().filter(|axis| !says(axis)).cloned().collect::<Vec<_>>();
            let grid = [not_said(&self.grid), own(false).cloned().collect()].concat();
            let tune = self.tune.as_ref().map(|tune| not_said(&tune.axes)).unwrap_or_default();
            let tune = [tune, own(true).cloned().collect()].concat();
            for values in product(&grid) {
                for drawn in self.drawn() {
                    let mut label: Vec<(String, String)> = Vec::new();
                    if !case.name.is_empty() {
                        label.push(("case".to_string(), case.name.clone()));
                    }
                    let shown = |a: &Assignment| (a.name.clone(), a.value.replace('\0', " "));
                    label.extend(values.iter().chain(&drawn).map(shown));
                    let assignments = [&self.base[..], &values, &drawn, &case.settings].concat();
                    points.push(Point { assignments, label, tune: tune.clone() });
                }
            }
        }
        Ok(points)
    }

    /// The values of every draw. Draw after draw, so that more of them begin with the same ones.
    fn drawn(&self) -> Vec<Vec<Assignment>> {
        let Some(Random { runs, seed, draws }) = &self.random else { return vec![Vec::new()] };
        let mut rng = Rng::new(*seed);
        (0..*runs).map(|_| draws.iter().map(|draw| draw.value(&mut rng)).collect()).collect()
    }

    fn plan(
        &self,
        point: &Point,
        tuned: &[Assignment],
        seed: Option<u64>,
        tuning: bool,
    ) -> Result<Planned, Error> {
        let mut label = point.label.clone();
        let mut assignments = point.assignments.clone();
        for value in tuned {
            label.push((value.name.clone(), value.value.clone()));
            assignments.push(value.clone());
        }
        if let Some(seed) = seed {
            label.push(("seed".to_string(), seed.to_string()));
            let place = format!("{}: seed", self.file);
            assignments.push(Assignment { place, name: "seed".into(), value: seed.to_string() });
        }
        let seconds = assignments.iter().rev().find(|a| a.name == SECONDS).map(read::seconds).transpose()?;
        assignments.retain(|a| a.name != SECONDS);
        let settings = Settings::resolve(&assignments).map_err(|error| {
            let text = error.to_string();
            if text.starts_with(&self.file) {
                error
            } else {
                error.at(format!("{}: {}", self.file, name(&label)))
            }
        })?;
        let settings = holding_back(settings, &assignments);
        Ok(Planned { point: 0, choice: 0, tuning, label, settings, seconds })
    }
}

/// The name of a budget in time, that stands where a setting may.
pub const SECONDS: &str = "seconds";

/// A sweep compares what was not learnt: where nobody says what is held back, a tenth is, and 1,000 documents of it are
/// looked at.
fn holding_back(mut settings: Settings, given: &[Assignment]) -> Settings {
    let says = |name: &str| given.iter().any(|a| a.name == name);
    let Config { val_fraction, eval_size, task, .. } = &mut settings.config;
    if *val_fraction == 0.0 && *task == Task::None && !says("val_fraction") {
        *val_fraction = 0.1;
        if !says("eval_size") {
            *eval_size = 1000;
        }
    }
    settings
}

/// What a run is called: `lion,lr=0.003,seed=2`, of letters that a folder's name may have.
pub fn name(label: &[(String, String)]) -> String {
    let parts = label.iter().map(|(name, value)| match name.as_str() {
        "case" => value.clone(),
        _ => format!("{name}={value}"),
    });
    let text = parts.collect::<Vec<_>>().join(",");
    let plain = |c: char| if c.is_ascii_alphanumeric() || "=,.+-_".contains(c) { c } else { '_' };
    let text: String = text.chars().map(plain).take(80).collect();
    if text.is_empty() { "run".to_string() } else { text }
}

/// Every value of each axis with every value of the others; the last axis changes fastest.
fn product(axes: &[Axis]) -> Vec<Vec<Assignment>> {
    axes.iter().fold(vec![Vec::new()], |rows, axis| {
        let longer =
            |row: &Vec<Assignment>, value: &Assignment| [&row[..], std::slice::from_ref(value)].concat();
        rows.iter()
            .flat_map(|row| axis.values.iter().map(|value| longer(row, value)).collect::<Vec<_>>())
            .collect()
    })
}

impl Draw {
    fn value(&self, rng: &mut Rng) -> Assignment {
        match self {
            Draw::OneOf(axis) => axis.values[rng.below(axis.values.len())].clone(),
            Draw::Between { name, place, min, max, log, whole } => {
                let part = rng.random();
                let x = if *log { min * (max / min).powf(part) } else { min + (max - min) * part };
                let value = if *whole {
                    format!("{:.0}", x.round())
                } else {
                    // Three digits are as good as all, and can be read.
                    format!("{:?}", format!("{x:.2e}").parse::<f64>().unwrap_or(x))
                };
                Assignment { place: place.clone(), name: name.clone(), value }
            }
        }
    }
}

#[cfg(test)]
mod tests;
