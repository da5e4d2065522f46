//! What came of a run, in a few numbers: `result.json` of a sweep's run, or what can be told of any other.

use crate::atomic::{self, reason};
use crate::settings::Settings;
use crate::state::State;
use crate::{Run, run::RUNS};
use microgpt::layout::Layout;
use microgpt::{Config, Error};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// `result.json`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Of a sweep's run: what tells it from the sweep's others.
    #[serde(default)]
    pub label: Vec<(String, String)>,
    /// Was it made to tune something?
    #[serde(default)]
    pub tuning: bool,
    /// How much time of one processor it was given, if it was not given steps.
    pub seconds: Option<f64>,
    /// Parameters of the model.
    pub num_params: usize,
    /// Steps that were made.
    pub steps: usize,
    /// Tokens that were predicted in them.
    pub tokens: Option<usize>,
    /// Floating-point operations of the matrix products, where they can be counted.
    pub flops: Option<f64>,
    /// The mean loss of the last tenth of the steps, in nats per token.
    pub loss: Option<f64>,
    /// The loss on what is held back, after the last step.
    pub val_loss: Option<f64>,
    /// Of a task, the part of the problems held back that is answered right.
    pub accuracy: Option<f64>,
    /// What the steps took, in seconds of one processor.
    pub cpu_seconds: Option<f64>,
    /// Why it ended before its last step: a loss that is infinite or no number.
    pub diverged: Option<String>,
}

/// A run and what came of it.
#[derive(Debug, Clone)]
pub struct Record {
    /// Where it is.
    pub run: Run,
    /// What it was.
    pub settings: Settings,
    /// What came of it.
    pub outcome: Outcome,
}

const FILE: &str = "result.json";

impl Outcome {
    /// What runs are compared by, the lower the better: the loss on what is held back, else that of the last steps;
    /// infinity if it has diverged.
    pub fn score(&self) -> f64 {
        let loss = self.val_loss.or(self.loss).unwrap_or(f64::INFINITY);
        if self.diverged.is_some() { f64::INFINITY } else { loss }
    }

    /// Writes it into the folder of a run.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        let mut text = serde_json::to_string_pretty(self).expect("numbers and texts only");
        text.push('\n');
        atomic::write(&folder.join(FILE), text.as_bytes())
    }

    /// Reads it from the folder of a run; none if there is none.
    ///
    /// # Errors
    /// A file that is damaged.
    pub fn read(folder: &Path) -> Result<Option<Outcome>, Error> {
        let path = folder.join(FILE);
        let Ok(bytes) = fs::read(&path) else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            let found = atomic::in_one_line(&error);
            Error::checkpoint(format!(
                "{}: expected the result of a run (JSON), found {found}",
                path.display()
            ))
        })
    }

    /// What the lines of metrics tell of a run that was not a sweep's.
    fn of_metrics(run: &Run, config: &Config) -> Result<Outcome, Error> {
        let lines = curve(run.path())?;
        let steps = lines.iter().map(|point| point.step).max().unwrap_or(0);
        let layout = Layout::new(config, run.read_tokenizer()?.vocab_size());
        Ok(Outcome {
            num_params: layout.len(),
            steps,
            loss: last_tenth(
                &lines.iter().filter_map(|p| Some((p.step, p.loss?))).collect::<Vec<_>>(),
                steps,
            ),
            val_loss: lines.iter().rev().find_map(|point| point.val_loss),
            accuracy: lines.iter().rev().find_map(|point| point.accuracy),
            ..Outcome::default()
        })
    }
}

/// The mean of the losses in the last tenth of the steps.
pub fn last_tenth(losses: &[(usize, f64)], steps: usize) -> Option<f64> {
    let last: Vec<f64> =
        losses.iter().filter(|(step, _)| 10 * step > 9 * steps).map(|(_, loss)| *loss).collect();
    (!last.is_empty()).then(|| last.iter().sum::<f64>() / last.len() as f64)
}

/// A line of `metrics.jsonl`, of which more is not needed here.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Point {
    /// Its number, from 1.
    pub step: usize,
    /// The loss before the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
    /// The learning rate of the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lr: Option<f64>,
    /// The loss on what is held back, after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_loss: Option<f64>,
    /// Of a task, the part that is answered right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
}

impl Point {
    /// The line.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("numbers only") + "\n"
    }
}

/// The lines of a run's `metrics.jsonl`; none if there are none. A last line that is cut is left out.
///
/// # Errors
/// A file that cannot be read.
pub fn curve(folder: &Path) -> Result<Vec<Point>, Error> {
    let path = folder.join("metrics.jsonl");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read(&path).map_err(atomic::unreadable(&path, "the metrics of a run"))?;
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

/// The runs that these names mean, each with what came of it: runs, and folders of sweeps, whose runs are meant.
///
/// # Errors
/// There is no such run, or nothing in the folder; what cannot be read.
pub fn find(names: &[String]) -> Result<Vec<Record>, Error> {
    let mut found = Vec::new();
    for name in names {
        let folders = match sweep_folder(name) {
            Some(folder) => runs_of(&folder)?,
            None => vec![Run::find(name)?],
        };
        if folders.is_empty() {
            return Err(Error::checkpoint(format!(
                "{name}: expected a sweep with runs, found none that is finished"
            )));
        }
        for run in folders {
            let settings = run.read_settings()?;
            let outcome = match Outcome::read(run.path())? {
                Some(outcome) => outcome,
                None => Outcome::of_metrics(&run, &settings.config)?,
            };
            found.push(Record { run, settings, outcome });
        }
    }
    Ok(found)
}

/// What the text is recognised by that a run has learnt, if it was saved.
pub fn data_sha256(run: &Run) -> Option<String> {
    let state = fs::read(run.path().join("checkpoints/latest/state.json")).ok()?;
    Some(State::from_json(&state).ok()?.data_sha256)
}

/// The file that tells a sweep's folder from a run's.
pub const SWEEP: &str = "sweep.toml";

/// The folder of the sweep of that name or at that path, if it is one.
pub fn sweep_folder(name: &str) -> Option<PathBuf> {
    let places = [Path::new(RUNS).join(name), PathBuf::from(name)];
    places.into_iter().find(|place| place.join(SWEEP).is_file())
}

/// The runs of a sweep that are finished, in the order of their numbers.
///
/// # Errors
/// The disk's.
pub fn runs_of(folder: &Path) -> Result<Vec<Run>, Error> {
    let wrong = |error| {
        Error::checkpoint(format!(
            "{}: expected the folder of a sweep, found {}",
            folder.display(),
            reason(&error)
        ))
    };
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.join(FILE).is_file() && path.join("config.toml").is_file() {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders.into_iter().map(Run::at_any).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_read_back_and_a_damaged_one_is_told() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Outcome::read(root.path()).unwrap(), None);
        let outcome = Outcome {
            label: vec![("lr".into(), "0.1".into())],
            val_loss: Some(0.1 + 0.2),
            steps: 7,
            ..Outcome::default()
        };
        outcome.write(root.path()).unwrap();
        assert_eq!(Outcome::read(root.path()).unwrap(), Some(outcome.clone()));
        assert_eq!(outcome.score(), 0.1 + 0.2);
        assert_eq!(Outcome { diverged: Some("step 3".into()), ..outcome }.score(), f64::INFINITY);
        fs::write(root.path().join(FILE), "{\"steps\": 7").unwrap();
        let error = Outcome::read(root.path()).unwrap_err().to_string();
        assert!(error.contains("expected the result of a run (JSON), found EOF"), "{error}");
    }

    #[test]
    fn the_last_tenth_is_the_mean_of_what_came_last() {
        let losses: Vec<(usize, f64)> = (1..=20).map(|i| (i, i as f64)).collect();
        assert_eq!(last_tenth(&losses, 20), Some(19.5));
        assert_eq!(last_tenth(&losses[..1], 1), Some(1.0));
        assert_eq!(last_tenth(&[], 0), None);
    }
}
