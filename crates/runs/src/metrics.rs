//! `metrics.jsonl`: a line of JSON for each step, in order, and for each look at what is held back.
//!
//! ```text
//! {"step": 250, "loss": 3.258866, "lr": 0.01}
//! {"step": 250, "val_loss": 3.260143, "accuracy": 0.25}
//! ```
//! `step` counts from 1; `loss` is before the update, in nats per token; `lr` is the learning rate of the update.
//! `val_loss` is the loss on what is held back, after the update, now and then; of a task, `accuracy` is the part of
//! the problems held back that is answered right. All digits are there: a number read
//! back is the same number. A program that reads it ignores fields, and lines, it does not know.

use crate::atomic::{self, unwritable};
use microgpt::{Error, train::Step};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file, open at its end. Each line is written at once, so that others can follow it.
#[derive(Debug)]
pub struct Metrics {
    path: PathBuf,
    file: File,
}

impl Metrics {
    /// Opens the file to go on after `steps_done` steps: later lines, and a last one that is cut, are dropped.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(path: &Path, steps_done: usize) -> Result<Metrics, Error> {
        let old = match fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(atomic::unreadable(path, "the metrics of a run")(error)),
        };
        let kept: String = old
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n') && step_of(line).is_some_and(|step| step <= steps_done))
            .collect();
        atomic::write(path, kept.as_bytes())?;
        let file = OpenOptions::new().append(true).open(path).map_err(unwritable(path))?;
        Ok(Metrics { path: path.to_path_buf(), file })
    }

    /// Adds a step.
    ///
    /// # Errors
    /// The disk's.
    pub fn push(&mut self, step: &Step) -> Result<(), Error> {
        self.file.write_all(line(step).as_bytes()).map_err(unwritable(&self.path))
    }

    /// Adds the loss after step `step` on what is held back, and of a task the part that is answered right.
    ///
    /// # Errors
    /// The disk's.
    pub fn push_validation(&mut self, step: usize, loss: f64, accuracy: Option<f64>) -> Result<(), Error> {
        let accuracy = accuracy.map(|accuracy| format!(", \"accuracy\": {accuracy:?}")).unwrap_or_default();
        let line = format!("{{\"step\": {step}, \"val_loss\": {loss:?}{accuracy}}}\n");
        self.file.write_all(line.as_bytes()).map_err(unwritable(&self.path))
    }
}

/// A step as a line of JSON.
pub fn line(Step { step, loss, lr }: &Step) -> String {
    // Debug: the shortest digits that give the number back; no step that was made has an infinite loss.
    format!("{{\"step\": {step}, \"loss\": {loss:?}, \"lr\": {lr:?}}}\n")
}

fn step_of(line: &str) -> Option<usize> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    value.get("step")?.as_u64()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_crash_the_lines_go_on_at_the_checkpoint() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("metrics.jsonl");
        let step = |step| Step { step, loss: 0.1 + 0.2, lr: 1e-9 };
        let mut metrics = Metrics::open(&path, 0).unwrap();
        (1..=5).for_each(|i| metrics.push(&step(i)).unwrap());
        fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"step\": 3, \"lo").unwrap();
        let mut metrics = Metrics::open(&path, 3).unwrap();
        metrics.push(&step(4)).unwrap();
        let lines = fs::read_to_string(&path).unwrap();
        assert_eq!(lines.lines().map(|line| step_of(line).unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4]);
        let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!((first["loss"].as_f64(), first["lr"].as_f64()), (Some(0.1 + 0.2), Some(1e-9)));
    }
}
