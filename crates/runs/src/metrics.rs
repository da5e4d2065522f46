//! `metrics.jsonl`: lines of JSON, of steps and of looks at what is held back, in order.
//!
//! ```text
//! {"step": 250, "loss": 3.258866, "lr": 0.01}
//! {"step": 250, "loss": 3.258866, "lr": 0.01, "bits_per_character": 4.7015, "tokens_per_second": 70123.4, "grad_norm": 1.2,
//!  "update_ratio": 0.001, "matrices": {"wte": {"grad_norm": 0.4, "update_ratio": 0.002}, ...},
//!  "layers": [{"dead": 3, "units": 64, "entropy": [0.9, 1.1, 0.2, 1.0], "entropy_most": 1.19}]}
//! {"step": 250, "val_loss": 3.260143, "val_bits_per_character": 4.7034, "accuracy": 0.25}
//! ```
//!
//! The first kind is a step; how many have a line, `metrics_every` says. The second is one that was measured, every
//! `measure_every` steps: the same with more. The third is a look at what is held back. `docs/metrics.md` says what each field
//! is. All digits are there: a number read back is the same number; what is no number is `null`. A program that reads it
//! ignores fields, and lines, it does not know; none of these will get another meaning.

use crate::atomic::{self, unwritable};
use microgpt::measures::Measures;
use microgpt::{Error, train::Step};
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The file, open at its end. Lines are written at once, or, where there are many, some times a second, so that others can
/// follow it.
#[derive(Debug)]
pub struct Metrics {
    path: PathBuf,
    file: File,
    lines: String,
    written: Option<Instant>,
}

/// For so long lines may wait for others.
const PATIENCE: Duration = Duration::from_millis(100);

/// What is known of the loss on what is held back.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Validation {
    /// In nats per token.
    pub loss: f64,
    /// In bits per character, if it was counted.
    pub bits_per_character: Option<f64>,
    /// Of a task, the part that is answered right.
    pub accuracy: Option<f64>,
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
        Ok(Metrics { path: path.to_path_buf(), file, lines: String::new(), written: None })
    }

    /// Adds a step, and what was measured of it.
    ///
    /// # Errors
    /// The disk's.
    pub fn push(
        &mut self,
        step: &Step,
        measures: Option<&Measures>,
        tokens_per_second: Option<f64>,
    ) -> Result<(), Error> {
        write_step(&mut self.lines, step, measures, tokens_per_second);
        self.wrote()
    }

    /// Adds a look after step `step` at what is held back.
    ///
    /// # Errors
    /// The disk's.
    pub fn push_validation(&mut self, step: usize, validation: &Validation) -> Result<(), Error> {
        let Validation { loss, bits_per_character, accuracy } = *validation;
        let lines = &mut self.lines;
        let _ = write!(lines, "{{\"step\": {step}");
        number(lines, "val_loss", loss);
        bits_per_character.inspect(|bits| number(lines, "val_bits_per_character", *bits));
        accuracy.inspect(|accuracy| number(lines, "accuracy", *accuracy));
        lines.push_str("}\n");
        self.wrote()
    }

    fn wrote(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        if self.written.is_none_or(|written| now - written >= PATIENCE) {
            self.written = Some(now);
            return self.flush();
        }
        Ok(())
    }

    /// Hands all lines to the system.
    ///
    /// # Errors
    /// The disk's.
    pub fn flush(&mut self) -> Result<(), Error> {
        let done = self.file.write_all(self.lines.as_bytes()).map_err(unwritable(&self.path));
        self.lines.clear();
        done
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

/// `, "name": 0.1`. Debug: the shortest digits that give the number back; JSON knows no infinity.
fn number(line: &mut String, name: &str, x: f64) {
    let _ =
        if x.is_finite() { write!(line, ", \"{name}\": {x:?}") } else { write!(line, ", \"{name}\": null") };
}

/// A step as a line of JSON.
fn write_step(line: &mut String, step: &Step, measures: Option<&Measures>, tokens_per_second: Option<f64>) {
    let _ = write!(line, "{{\"step\": {}", step.step);
    number(line, "loss", step.loss);
    number(line, "lr", step.lr);
    if let Some(measures) = measures {
        number(line, "bits_per_character", measures.bits_per_character);
        tokens_per_second.inspect(|rate| number(line, "tokens_per_second", *rate));
        number(line, "grad_norm", measures.grad_norm);
        number(line, "update_ratio", measures.update_ratio);
        line.push_str(", \"matrices\": {");
        for (i, matrix) in measures.matrices.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            // Names of the layout need no escapes.
            let _ = write!(line, "{comma}\"{}\": {{", matrix.name);
            let start = line.len();
            number(line, "grad_norm", matrix.grad_norm);
            line.replace_range(start..start + 2, "");
            number(line, "update_ratio", matrix.update_ratio);
            line.push('}');
        }
        line.push_str("}, \"layers\": [");
        for (i, layer) in measures.layers.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            let _ =
                write!(line, "{comma}{{\"dead\": {}, \"units\": {}, \"entropy\": [", layer.dead, layer.units);
            for (head, &entropy) in layer.entropy.iter().enumerate() {
                line.push_str(if head == 0 { "" } else { ", " });
                let _ = if entropy.is_finite() { write!(line, "{entropy:?}") } else { write!(line, "null") };
            }
            line.push(']');
            number(line, "entropy_most", layer.entropy_most);
            line.push('}');
        }
        line.push(']');
    }
    line.push_str("}\n");
}

pub(crate) fn step_of(line: &str) -> Option<usize> {
    let value: serde_json::Value = serde_json::from_str(line).ok()?;
    value.get("step")?.as_u64()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use microgpt::measures::{OfLayer, OfMatrix};
    use serde_json::Value;
    use std::collections::BTreeSet;

    #[test]
    fn after_a_crash_the_lines_go_on_at_the_checkpoint() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("metrics.jsonl");
        let step = |step| Step { step, loss: 0.1 + 0.2, lr: 1e-9 };
        let mut metrics = Metrics::open(&path, 0).unwrap();
        (1..=5).for_each(|i| metrics.push(&step(i), None, None).unwrap());
        metrics.flush().unwrap();
        fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"step\": 3, \"lo").unwrap();
        let mut metrics = Metrics::open(&path, 3).unwrap();
        metrics.push(&step(4), None, None).unwrap();
        let lines = fs::read_to_string(&path).unwrap();
        assert_eq!(lines.lines().map(|line| step_of(line).unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4]);
        let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!((first["loss"].as_f64(), first["lr"].as_f64()), (Some(0.1 + 0.2), Some(1e-9)));
    }

    fn measures() -> Measures {
        let matrix = |name: &str| OfMatrix { name: name.to_string(), grad_norm: 0.5, update_ratio: f64::NAN };
        let layer = OfLayer { dead: 3, units: 64, entropy: vec![0.25, f64::INFINITY], entropy_most: 1.5 };
        Measures {
            step: 7,
            loss: 2.5,
            bits_per_character: 3.5,
            lr: 0.01,
            grad_norm: 1.5,
            update_ratio: 0.125,
            matrices: vec![matrix("wte"), matrix("layer0.attn_wq")],
            layers: vec![layer],
        }
    }

    /// The lines of a step, of one that was measured, and of a look at what is held back.
    fn lines() -> Vec<Value> {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("metrics.jsonl");
        let mut metrics = Metrics::open(&path, 0).unwrap();
        let step = Step { step: 7, loss: 2.5, lr: 0.01 };
        metrics.push(&step, None, None).unwrap();
        metrics.push(&step, Some(&measures()), Some(1000.5)).unwrap();
        let look = Validation { loss: 2.75, bits_per_character: Some(4.0), accuracy: Some(0.5) };
        metrics.push_validation(7, &look).unwrap();
        drop(metrics);
        fs::read_to_string(&path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn the_lines_are_what_they_always_were() {
        let [step, measured, look]: [Value; 3] = lines().try_into().unwrap();
        assert_eq!(step, serde_json::json!({"step": 7, "loss": 2.5, "lr": 0.01}));
        let wanted = serde_json::json!({
            "step": 7, "loss": 2.5, "lr": 0.01, "bits_per_character": 3.5, "tokens_per_second": 1000.5,
            "grad_norm": 1.5, "update_ratio": 0.125,
            "matrices": {
                "wte": {"grad_norm": 0.5, "update_ratio": null},
                "layer0.attn_wq": {"grad_norm": 0.5, "update_ratio": null},
            },
            "layers": [{"dead": 3, "units": 64, "entropy": [0.25, null], "entropy_most": 1.5}],
        });
        assert_eq!(measured, wanted);
        let wanted =
            serde_json::json!({"step": 7, "val_loss": 2.75, "val_bits_per_character": 4.0, "accuracy": 0.5});
        assert_eq!(look, wanted);
    }

    /// Every field is in the table of the page, and none is that is not written.
    #[test]
    fn the_page_has_every_field_and_no_other() {
        fn fields(value: &Value, into: &mut BTreeSet<String>) {
            match value {
                Value::Object(map) => map.iter().for_each(|(name, value)| {
                    // Names of matrices are no fields.
                    if name != "wte" && !name.contains('.') {
                        into.insert(name.clone());
                    }
                    fields(value, into);
                }),
                Value::Array(values) => values.iter().for_each(|value| fields(value, into)),
                _ => {}
            }
        }
        let mut written = BTreeSet::new();
        lines().iter().for_each(|line| fields(line, &mut written));
        let page = include_str!("../../../docs/metrics.md");
        let told = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        let told: BTreeSet<String> = told.map(|(name, _)| name.to_string()).collect();
        assert_eq!(told, written);
    }
}
