//! Where two runs part: both are made again, step by step beside each other, until a number differs.
//!
//! A run is the same to the last bit each time, so what is found is what happened. In each step this order is kept: the
//! parameters before it (of step 1), what is learnt from, the loss, the gradients matrix by matrix, the learning rate,
//! the parameters after it. The first difference is the cause of all later ones.

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use microgpt::Error;
use microgpt::batch::Batch;
use microgpt::corpus::Corpus;
use microgpt::engine::Precision;
use microgpt::layout::{Layout, Matrix};
use microgpt::real::{EngineKind, Real};
use microgpt::rng::Rng;
use microgpt::train::{Step, Trainer};
use microgpt_runs::outcome::{Record, data_sha256};
use serde_json::{Value, json};
use std::fmt;
use std::io::IsTerminal;

/// Between the engines' precisions nothing is equal to the last bit; this is more than rounding.
const ROUNDING: f64 = 1e-4;

/// Where and in what.
pub(super) struct Parting {
    /// In which step, from 1; none if they never part.
    step: Option<usize>,
    what: What,
    /// How many steps were made.
    steps: usize,
    /// Were the runs of two precisions, so that rounding does not count?
    roughly: bool,
}

enum What {
    Nothing,
    /// They learn from other tokens.
    Batch,
    /// One has a matrix that the other has not, or of another shape.
    Layout(String),
    /// A number: whose, and both values.
    Number {
        kind: &'static str,
        place: String,
        values: [f64; 2],
    },
    /// One stops: its loss is infinite or no number.
    Diverged(usize),
}

impl Parting {
    pub(super) fn to_json(&self) -> Value {
        let (kind, place, values) = match &self.what {
            What::Nothing => (None, None, None),
            What::Batch => (Some("tokens"), None, None),
            What::Layout(name) => (Some("layout"), Some(name.clone()), None),
            What::Number { kind, place, values } => (Some(*kind), Some(place.clone()), Some(*values)),
            What::Diverged(which) => (Some("diverged"), Some(which.to_string()), None),
        };
        json!({"step": self.step, "what": kind, "place": place, "values": values, "steps_replayed": self.steps})
    }
}

impl fmt::Display for Parting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = self.step.unwrap_or_default();
        let rounding = if self.roughly { ", but for rounding" } else { "" };
        match &self.what {
            What::Nothing => write!(f, "They do not part: {} steps are the same{rounding}.", self.steps),
            What::Batch => write!(f, "They part in step {step}: they learn from other tokens."),
            What::Layout(name) => write!(f, "They part before step 1: {name}."),
            What::Number { kind, place, values: [a, b] } => {
                let before = if *kind == "first parameter" { "before" } else { "in" };
                write!(
                    f,
                    "They part {before} step {step}: {kind} {place}{}{a:e} and {b:e}{rounding}.",
                    if place.is_empty() { "" } else { ": " }
                )
            }
            What::Diverged(which) => {
                let which = ["first", "second"][which.min(&1).to_owned()];
                write!(f, "They part in step {step}: the loss of the {which} is infinite or no number.")
            }
        }
    }
}

/// A run made again; the traits that differ by precision are behind it.
trait Replay {
    fn layout(&self) -> &Layout;
    fn fill(&mut self) -> Result<&Batch>;
    fn step(&mut self) -> Option<Step>;
    /// The parameters of a matrix, and their gradients.
    fn numbers(&mut self, matrix: &Matrix) -> [Vec<f64>; 2];
}

struct Again<R: Real> {
    corpus: Corpus,
    trainer: Trainer<R>,
    batch: Batch,
}

impl<R: Precision> Again<R> {
    fn new(record: &Record) -> Result<Again<R>> {
        let mut rng = Rng::new(record.settings.config.seed);
        let config = record.settings.config.clone();
        let tokenizer = record.run.read_tokenizer().ok();
        let data = record.settings.read_data()?;
        if data_sha256(&record.run).is_some_and(|learnt| learnt != data.sha256) {
            let (data, name) = (&record.settings.data, record.run.name());
            let text = format!(
                "{data}: expected the text that {name} was trained on, found another (--replay 0 does not make the runs again)"
            );
            return Err(Error::text(text).into());
        }
        let corpus = data.corpus(&config, tokenizer, &mut rng)?;
        let trainer = Trainer::new(config, corpus.tokenizer.vocab_size(), &mut rng)?;
        Ok(Again { corpus, trainer, batch: Batch::default() })
    }
}

impl<R: Precision> Replay for Again<R> {
    fn layout(&self) -> &Layout {
        &self.trainer.model.layout
    }

    fn fill(&mut self) -> Result<&Batch> {
        let (size, block) = (self.trainer.config.batch_size, self.trainer.config.block_size);
        self.corpus.fill(&mut self.batch, self.trainer.steps_done() * size, size, block)?;
        Ok(&self.batch)
    }

    fn step(&mut self) -> Option<Step> {
        self.trainer.step(&self.batch).ok()
    }

    fn numbers(&mut self, matrix: &Matrix) -> [Vec<f64>; 2] {
        let (params, grads) = self.trainer.engine.slices();
        let of = |flat: &[R]| flat[matrix.range()].iter().map(|x| x.to_f64()).collect();
        [of(params), of(grads)]
    }
}

fn again(record: &Record) -> Result<Box<dyn Replay>> {
    Ok(match record.settings.config.engine {
        EngineKind::Scalar => Box::new(Again::<f64>::new(record)?),
        EngineKind::Fast => Box::new(Again::<f32>::new(record)?),
    })
}

/// Makes both runs again, side by side, for `most` steps at most.
pub(super) fn find(a: &Record, b: &Record, most: Option<usize>) -> Result<Parting> {
    let roughly = a.settings.config.engine != b.settings.config.engine;
    let steps = a.outcome.steps.min(b.outcome.steps).min(most.unwrap_or(usize::MAX));
    let (mut one, mut two) = (again(a)?, again(b)?);
    let parting = |step, what| Parting { step: Some(step), what, steps: step, roughly };
    if let Some(name) = shapes(one.layout(), two.layout()) {
        return Ok(parting(1, What::Layout(name)));
    }
    let matrices = one.layout().matrices().to_vec();
    let differs = |x: f64, y: f64| if roughly { far(x, y) } else { x.to_bits() != y.to_bits() };
    let first = |which: usize, one: &mut dyn Replay, two: &mut dyn Replay| -> Option<(String, [f64; 2])> {
        matrices.iter().find_map(|matrix| {
            let (x, y) = (&one.numbers(matrix)[which], &two.numbers(matrix)[which]);
            // Rounding is small beside the largest of a matrix, not beside each number.
            let scale = if roughly { x.iter().fold(0.0, |most: f64, x| most.max(x.abs())) } else { 0.0 };
            let i = (0..x.len()).find(|&i| differs(x[i], y[i]) && (x[i] - y[i]).abs() > ROUNDING * scale)?;
            let cols = matrix.shape.cols;
            Some((format!("{}[{}, {}]", matrix.name, i / cols, i % cols), [x[i], y[i]]))
        })
    };
    let number = |kind, (place, values)| What::Number { kind, place, values };
    if let Some(found) = first(0, &mut *one, &mut *two) {
        return Ok(parting(1, number("first parameter", found)));
    }
    let bar = progress(steps);
    for step in 1..=steps {
        if one.fill()?.tokens != two.fill()?.tokens {
            return Ok(parting(step, What::Batch));
        }
        let (x, y) = match (one.step(), two.step()) {
            (Some(x), Some(y)) => (x, y),
            (None, None) => return Ok(Parting { step: None, what: What::Nothing, steps: step, roughly }),
            (x, _) => return Ok(parting(step, What::Diverged(usize::from(x.is_some())))),
        };
        if differs(x.loss, y.loss) {
            return Ok(parting(step, number("loss", (String::new(), [x.loss, y.loss]))));
        }
        if let Some(found) = first(1, &mut *one, &mut *two) {
            return Ok(parting(step, number("gradient", found)));
        }
        if x.lr != y.lr {
            return Ok(parting(step, number("learning rate", (String::new(), [x.lr, y.lr]))));
        }
        if let Some(found) = first(0, &mut *one, &mut *two) {
            return Ok(parting(step, number("parameter", found)));
        }
        bar.set_position(step as u64);
    }
    bar.finish_and_clear();
    Ok(Parting { step: None, what: What::Nothing, steps, roughly })
}

fn far(x: f64, y: f64) -> bool {
    (x - y).abs() > ROUNDING * (x.abs() + y.abs())
}

/// The first matrix that is not in both, or not of one shape.
fn shapes(a: &Layout, b: &Layout) -> Option<String> {
    for (x, y, which) in [(a, b, "the second"), (b, a, "the first")] {
        for matrix in x.matrices() {
            match y.find(&matrix.name) {
                None => return Some(format!("{which} has no {}", matrix.name)),
                Some(other) if other.shape != matrix.shape => {
                    return Some(format!("{} is {} and {}", matrix.name, matrix.shape, other.shape));
                }
                _ => {}
            }
        }
    }
    None
}

fn progress(steps: usize) -> ProgressBar {
    let bar = ProgressBar::hidden();
    if std::io::stderr().is_terminal() {
        let style = ProgressStyle::with_template("{bar:24} {pos}/{len} steps made again, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_length(steps as u64);
        bar.set_draw_target(ProgressDrawTarget::stderr());
    }
    bar
}
