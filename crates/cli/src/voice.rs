//! How training is told: microgpt.py's lines in a pipe, JSON for programs, and on a terminal [`crate::live`].

use crate::live::Live;
use microgpt::batch::Batch;
use microgpt::choices::Choice;
use microgpt::corpus::Corpus;
use microgpt::documents::DataMode;
use microgpt::evaluate::bits;
use microgpt::measures::Measures;
use microgpt::train::Step;
use microgpt_runs::metrics::Validation;
use microgpt_runs::{Run, Settings};
use serde_json::json;
use std::io::{self, IsTerminal, Write};

/// Speaks to whoever started the program. Results go to standard output; on a terminal, what surrounds them goes to
/// standard error.
pub(crate) enum Voice {
    /// Exactly the lines of microgpt.py.
    Plain,
    /// The same, but the steps are one line that changes, or a view.
    Live(Box<Live>),
    /// A JSON object per line, each with an `event`.
    Json,
}

/// What there is to say before the first step.
pub(crate) struct Beginning<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) corpus: &'a Corpus,
    pub(crate) num_params: usize,
    pub(crate) steps_done: usize,
    pub(crate) run: Option<&'a Run>,
}

impl Voice {
    /// The voice for where our output goes. On a terminal, a training that takes its time may have a view.
    pub(crate) fn new(json: bool, view: bool) -> Voice {
        if json {
            Voice::Json
        } else if io::stdout().is_terminal() && io::stderr().is_terminal() {
            Voice::Live(Box::new(Live::new(view)))
        } else {
            Voice::Plain
        }
    }

    /// Before the first step.
    pub(crate) fn begin(&mut self, begin: &Beginning<'_>) -> io::Result<()> {
        let Beginning { settings, corpus, num_params, steps_done, run } = *begin;
        let (config, stream) = (&settings.config, settings.config.data_mode == DataMode::Stream);
        let (len, held_back, vocab_size) = (corpus.len(), corpus.held_back(), corpus.tokenizer.vocab_size());
        let (task, unit) = (corpus.problems().map(|problems| problems.task), corpus.tokenizer.unit());
        // What is counted: `num docs`, `num chars`.
        let counted = match unit {
            _ if !stream => "docs",
            "character" => "chars",
            "byte" => "bytes",
            _ => "tokens",
        };
        let held = config.held_back();
        let mut out = io::stdout().lock();
        match self {
            Voice::Json => {
                let run = run.map(|run| run.path().display().to_string());
                let mut event = json!({
                    "event": "begin", (format!("num_{counted}")): len, "held_back": held_back,
                    "vocab_size": vocab_size, "num_params": num_params,
                    "steps": config.steps, "steps_done": steps_done, "run": run,
                });
                if let Some(task) = task {
                    // Its problems cannot be counted.
                    (event["num_docs"], event["held_back"]) = (json!(null), json!(null));
                    (event["task"], event["val_fraction"]) = (json!(task.name()), json!(held));
                }
                return writeln!(out, "{event}");
            }
            Voice::Plain => {}
            Voice::Live(live) => {
                let mut err = io::stderr().lock();
                let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
                writeln!(err, "{} the GPT that hides nothing\n", bold("microgpt:"))?;
                let what = if stream { unit } else { "document" };
                let aside = if held_back > 0 { format!(", {held_back} held back") } else { String::new() };
                match task {
                    Some(task) => {
                        writeln!(err, "  task      {}; {held} of the problems held back", task.help())?
                    }
                    None => writeln!(err, "  text      {}{aside} from {}", plural(len, what), settings.data)?,
                }
                writeln!(
                    err,
                    "  model     {}: {} of {}, {} wide, that see{} {} at once",
                    plural(num_params, "parameter"),
                    plural(config.n_layer, "layer"),
                    plural(config.n_head, "head"),
                    config.n_embd,
                    if config.n_layer == 1 { "s" } else { "" },
                    plural(config.block_size, "token"),
                )?;
                writeln!(
                    err,
                    "  training  {} of {}: guess each next {unit}, see it, be corrected a little",
                    plural(config.steps - steps_done.min(config.steps), "step"),
                    plural(config.batch_size, if stream { "window" } else { "document" }),
                )?;
                writeln!(
                    err,
                    "  loss      nats per {unit}; who guesses blindly has ln {vocab_size} = {:.2}",
                    (vocab_size as f64).ln()
                )?;
                match run {
                    Some(run) => writeln!(err, "  saved in  {}\n", run.path().display())?,
                    None => writeln!(err, "  saved in  nothing is saved\n")?,
                }
                live.begin(begin);
            }
        }
        match task {
            Some(task) => writeln!(out, "task: {task}, {held} held back")?,
            None => writeln!(out, "num {counted}: {len}")?,
        }
        if held_back > 0 {
            writeln!(out, "held back: {held_back}")?;
        }
        writeln!(out, "vocab size: {vocab_size}\nnum params: {num_params}")
    }

    /// After each step.
    pub(crate) fn step(&mut self, step: &Step, steps: usize, batch: &Batch) -> io::Result<()> {
        let Step { step: number, loss, lr } = *step;
        match self {
            Voice::Plain => writeln!(io::stdout().lock(), "step {number:4} / {steps:4} | loss {loss:.4}"),
            Voice::Live(live) => {
                live.step(step, batch);
                Ok(())
            }
            Voice::Json => {
                let event = json!({"event": "step", "step": number, "steps": steps, "loss": loss, "lr": lr});
                writeln!(io::stdout().lock(), "{event}")
            }
        }
    }

    /// After a step that was measured.
    pub(crate) fn measured(&mut self, measures: &Measures) {
        if let Voice::Live(live) = self {
            live.measured(measures);
        }
    }

    /// After a look at what is held back: its loss in nats per token, and as bits; of a task, the part that is answered
    /// right.
    pub(crate) fn validation(
        &mut self,
        step: usize,
        steps: usize,
        validation: &Validation,
        unit: &str,
    ) -> io::Result<()> {
        let Validation { loss, bits_per_character, accuracy } = *validation;
        let bits = bits(loss);
        let right = accuracy.map(|part| format!(" | {:.1} % right", 100.0 * part)).unwrap_or_default();
        let line =
            format!("step {step:4} / {steps:4} | val loss {loss:.4} = {bits:.4} bits per {unit}{right}");
        match self {
            Voice::Plain => writeln!(io::stdout().lock(), "{line}"),
            Voice::Live(live) => live.validation(step, loss, &line),
            Voice::Json => {
                let event = json!({
                    "event": "validation", "step": step, "loss": loss, "bits": bits,
                    "bits_per_character": bits_per_character, "accuracy": accuracy,
                });
                writeln!(io::stdout().lock(), "{event}")
            }
        }
    }

    /// Is there a place to show what the model would write now?
    pub(crate) fn wants_a_sample(&self) -> bool {
        matches!(self, Voice::Live(live) if live.wants_a_sample())
    }

    /// What the model would write after that step.
    pub(crate) fn sketch(&mut self, step: usize, text: &str) {
        if let Voice::Live(live) = self {
            live.sketch(step, text);
        }
    }

    /// Between two steps: comes back when nobody wants a pause.
    pub(crate) fn wait_while_paused(&mut self) {
        if let Voice::Live(live) = self {
            live.wait_while_paused();
        }
    }

    /// After the last step of this session, and before whatever follows.
    pub(crate) fn pause(&mut self) -> io::Result<()> {
        match self {
            Voice::Live(live) => live.end(),
            _ => Ok(()),
        }
    }

    /// Before the samples.
    pub(crate) fn heading(&self, heading: &str) -> io::Result<()> {
        match self {
            Voice::Json => Ok(()),
            _ => writeln!(io::stdout().lock(), "\n--- {heading} ---"),
        }
    }

    /// A sample; `number` counts from 1.
    pub(crate) fn sample(&self, number: usize, text: &str, mode: DataMode) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match self {
            Voice::Json => writeln!(out, "{}", json!({"event": "sample", "sample": number, "text": text})),
            _ if mode == DataMode::Stream => writeln!(out, "sample {number:2}:\n{text}\n"),
            _ => writeln!(out, "sample {number:2}: {text}"),
        }
    }

    /// Something that only a person at a terminal wants to read.
    pub(crate) fn aside(&self, text: &str) -> io::Result<()> {
        match self {
            Voice::Live(_) => writeln!(io::stderr().lock(), "{text}"),
            _ => Ok(()),
        }
    }

    /// What a person may try after the samples.
    pub(crate) fn next(&self, run: Option<&Run>) -> io::Result<()> {
        let me = program();
        let mut text = match run {
            Some(run) => {
                let name = run.name();
                format!(
                    "\nThe model is in {}. What next?\n  {me} generate {name} --temperature 1     bolder samples of it",
                    run.path().display()
                )
            }
            None => "\nWhat next?".to_string(),
        };
        for (command, what) in [
            ("train --data FILE.txt", "learn any text, a document per line"),
            ("train --n-layer 2 --steps 2000", "change a setting"),
            ("list", "what can be changed"),
            ("prove", "is every gradient right?"),
        ] {
            text.push_str(&format!("\n  {me} {command:34} {what}"));
        }
        self.aside(&text)
    }
}

pub(crate) fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

fn bold(text: &str) -> String {
    if no_color() { text.to_string() } else { format!("\x1b[1m{text}\x1b[0m") }
}

/// How this program was called, for commands to copy.
pub(crate) fn program() -> &'static str {
    // Cargo tells the programs that it runs where their package is.
    if std::env::var_os("CARGO_MANIFEST_DIR").is_some() { "cargo run --release --" } else { "microgpt" }
}
