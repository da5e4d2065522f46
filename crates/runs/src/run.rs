//! The folder of a run: made, found, written, read.

use crate::atomic::{self, reason, unreadable, unwritable};
use crate::events::{self, Events};
use crate::lock::Lock;
use crate::metrics::Metrics;
use crate::settings::{self, Settings};
use crate::state::{Best, FORMAT_VERSION, State};
use crate::sums;
use crate::tokenizer;
use crate::weights::{self, Stored};
use microgpt::checkpoint::Checkpoint;
use microgpt::documents::DataMode;
use microgpt::layout::Layout;
use microgpt::optim;
use microgpt::rng::{Rng, RngState};
use microgpt::train::Trainer;
use microgpt::{Config, Error, token::Tokenizer};
use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};

/// Where runs are kept, unless a path says otherwise.
pub const RUNS: &str = "runs";

/// The checkpoint to go on from.
pub const LATEST: &str = "latest";
/// The checkpoint with the lowest loss on what is held back.
pub const BEST: &str = "best";

/// What is in a folder whose run was ended before it began: without `config.toml`, which is written last.
const BEGINNINGS: [&str; 6] =
    [".lock", ".config.toml.new", ".tokenizer.json.new", "tokenizer.json", "tokens.bin", "documents.bin"];

/// A run's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    root: PathBuf,
    checkpoint: PathBuf,
}

/// A setting: its name, what it was, what it is.
pub type Changed = (&'static str, String, String);

/// What was saved of a run: enough to go on with it, or to sample from it.
#[derive(Debug)]
pub struct Saved<R> {
    /// Its settings.
    pub settings: Settings,
    /// The model in training.
    pub checkpoint: Checkpoint<R>,
    /// What its data is recognised by.
    pub data_sha256: String,
    /// The best that was seen so far on what is held back.
    pub best: Option<Best>,
    /// Settings that are not those which the checkpoint was trained with: name, then, now.
    pub changed: Vec<Changed>,
}

impl Run {
    fn at(root: PathBuf) -> Run {
        Run { checkpoint: root.join("checkpoints").join(LATEST), root }
    }

    fn checkpoint_at(&self, which: &str) -> PathBuf {
        self.root.join("checkpoints").join(which)
    }

    /// The run in a folder, whatever is in it.
    pub fn at_any(root: PathBuf) -> Run {
        Run::at(root)
    }

    /// Where a run of that name is: `runs/NAME`, or at a path if `name` is one (`./x`, `/tmp/x`).
    pub fn place(name: &str) -> PathBuf {
        if is_path(name) { PathBuf::from(name) } else { Path::new(RUNS).join(name) }
    }

    /// A new folder `runs/NAME`, or at a path if `name` is one (`./x`, `/tmp/x`).
    ///
    /// # Errors
    /// A folder that is there already and not empty: a run is never overwritten. What cannot be written.
    pub fn create(name: &str) -> Result<Run, Error> {
        let root = Run::place(name);
        if name.is_empty() || root.file_name().is_none() {
            return Err(Error::config(format!("{name:?}: expected the name of a new run")));
        }
        let begun = |entry: std::io::Result<fs::DirEntry>| {
            entry.is_ok_and(|entry| BEGINNINGS.iter().any(|name| entry.file_name() == *name))
        };
        if fs::read_dir(&root).map_or(root.exists(), |mut inside| !inside.all(begun)) {
            return Err(Error::config(format!(
                "{}: expected the name of a new run, found one that is there (another --out starts anew, --resume goes on with it)",
                root.display()
            )));
        }
        fs::create_dir_all(&root).map_err(unwritable(&root))?;
        Ok(Run::at(root))
    }

    /// A new folder `runs/NAME-1`, or with the first number that is free.
    ///
    /// # Errors
    /// What cannot be written.
    pub fn create_next(name: &str) -> Result<Run, Error> {
        fs::create_dir_all(RUNS).map_err(unwritable(Path::new(RUNS)))?;
        let mut number = 1;
        loop {
            let root = Path::new(RUNS).join(format!("{name}-{number}"));
            match fs::create_dir(&root) {
                Ok(()) => return Ok(Run::at(root)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(unwritable(&root)(error)),
            }
        }
    }

    /// The run of that name, at that path, or that a folder of a checkpoint belongs to.
    ///
    /// # Errors
    /// There is none.
    pub fn find(name: &str) -> Result<Run, Error> {
        let named = Path::new(RUNS).join(name);
        let root = if !is_path(name) && named.is_dir() { named } else { PathBuf::from(name) };
        let expected = |found: String| {
            Error::checkpoint(format!(
                "{name}: expected the folder of a run (a path, or a name in {RUNS}/), found {found}"
            ))
        };
        if let Err(error) = fs::read_dir(&root) {
            return Err(expected(reason(&error)));
        }
        if root.join("config.toml").is_file() {
            return Ok(Run::at(root));
        }
        let above = root.canonicalize().ok().and_then(|path| Some(path.parent()?.parent()?.to_path_buf()));
        match above {
            Some(above) if root.join("state.json").is_file() && above.join("config.toml").is_file() => {
                Ok(Run { root: above, checkpoint: root })
            }
            _ => Err(expected("no config.toml in it".to_string())),
        }
    }

    /// The same run, to be read from its checkpoint of that name: [`LATEST`], [`BEST`].
    ///
    /// # Errors
    /// There is none.
    pub fn with_checkpoint(mut self, which: &str) -> Result<Run, Error> {
        self.checkpoint = self.checkpoint_at(which);
        let found = atomic::find_folder(&self.checkpoint);
        if found.join("state.json").is_file() {
            return Ok(self);
        }
        let held_back = "; the best is kept where something is held back (val_fraction)";
        let why = if which == BEST { held_back } else { "" };
        Err(Error::checkpoint(format!("{}: expected a checkpoint, found none{why}", found.display())))
    }

    /// Has anything been saved of its training?
    pub fn has_checkpoint(&self) -> bool {
        atomic::find_folder(&self.checkpoint).join("state.json").is_file()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// What `generate` and `--resume` may call it: its name if it is in `runs/`, else its path.
    pub fn name(&self) -> String {
        let name = self.root.strip_prefix(RUNS).unwrap_or(&self.root);
        name.display().to_string()
    }

    /// Writes `config.toml`.
    ///
    /// # Errors
    /// The disk's, as all that follow.
    pub fn write_settings(&self, settings: &Settings) -> Result<(), Error> {
        atomic::write(&self.root.join("config.toml"), settings.to_toml().as_bytes())
    }

    /// Writes `tokenizer.json`.
    ///
    /// # Errors
    /// The disk's.
    pub fn write_tokenizer(&self, tokenizer: &Tokenizer) -> Result<(), Error> {
        atomic::write(&self.root.join("tokenizer.json"), tokenizer::to_json(tokenizer).as_bytes())
    }

    /// Writes `samples.txt`: a line each, or with a line of dashes between those that have lines of their own.
    ///
    /// # Errors
    /// The disk's.
    pub fn write_samples(&self, samples: &[String], mode: DataMode) -> Result<(), Error> {
        let end = match mode {
            DataMode::Lines => "\n",
            DataMode::Stream => "\n-----\n",
        };
        let text: String = samples.iter().flat_map(|sample| [sample, end]).collect();
        atomic::write(&self.root.join("samples.txt"), text.as_bytes())
    }

    /// Writes `autopsy.txt`: why the training could not go on.
    ///
    /// # Errors
    /// The disk's.
    pub fn write_autopsy(&self, report: &str) -> Result<(), Error> {
        atomic::write(&self.root.join("autopsy.txt"), report.as_bytes())
    }

    /// Opens `metrics.jsonl` to go on after `steps_done` steps.
    ///
    /// # Errors
    /// The disk's.
    pub fn metrics(&self, steps_done: usize) -> Result<Metrics, Error> {
        Metrics::open(&self.root.join("metrics.jsonl"), steps_done)
    }

    /// Opens the file for TensorBoard to go on after `steps_done` steps.
    ///
    /// # Errors
    /// The disk's.
    pub fn events(&self, steps_done: usize) -> Result<Events, Error> {
        Events::open(&self.root.join(events::NAME), steps_done)
    }

    /// Takes the right to train this run, for as long as it is held. If its last training was ended after the latest
    /// checkpoint was saved and before it was kept as the best, that is done now.
    ///
    /// # Errors
    /// Another process has it; the disk's.
    pub fn lock(&self) -> Result<Lock, Error> {
        let lock = Lock::take(&self.root)?;
        self.keep_best()?;
        Ok(lock)
    }

    /// Replaces the latest checkpoint.
    ///
    /// # Errors
    /// The disk's; the one before is still there then.
    pub fn save<R: Stored>(&self, checkpoint: &Checkpoint<R>, data_sha256: &str) -> Result<(), Error> {
        let Checkpoint { config, tokenizer, step, rng, params, memory } = checkpoint;
        let layout = Layout::new(config, tokenizer.vocab_size());
        let memory: Vec<_> = memory.iter().map(|(name, slice)| (*name, &slice[..])).collect();
        self.write(&layout, params, &memory, state::<R>(config, *step, rng.clone(), data_sha256, None))
    }

    /// The same from a training itself, without a copy of it. If `best` is of this very step, it is also the best one.
    ///
    /// # Errors
    /// The disk's, or a worker is gone; the one before is still there then.
    pub fn save_training<R: Stored>(
        &self,
        trainer: &mut Trainer<R>,
        rng: &Rng,
        data_sha256: &str,
        best: Option<Best>,
    ) -> Result<(), Error> {
        trainer.gather()?;
        let state = state::<R>(&trainer.config, trainer.steps_done(), rng.state(), data_sha256, best);
        self.write(&trainer.model.layout, &trainer.params(), &trainer.remembered(), state)?;
        self.keep_best()
    }

    /// Makes of the latest checkpoint the best one, if it says that it is, and is not kept yet.
    ///
    /// # Errors
    /// The disk's; the best one before is still there then.
    fn keep_best(&self) -> Result<(), Error> {
        let Some(State { step, best: Some(best), .. }) = self.state_of(LATEST) else { return Ok(()) };
        if best.step != step || self.step_of(BEST) == Some(step) {
            return Ok(());
        }
        let latest = atomic::find_folder(&self.checkpoint_at(LATEST));
        atomic::copy_folder(&latest, &self.checkpoint_at(BEST), &FILES)
    }

    /// After which step a checkpoint was saved, if it is there and can be read.
    pub fn step_of(&self, which: &str) -> Option<usize> {
        Some(self.state_of(which)?.step)
    }

    pub(crate) fn state_of(&self, which: &str) -> Option<State> {
        let folder = atomic::find_folder(&self.checkpoint_at(which));
        State::from_json(&fs::read(folder.join("state.json")).ok()?).ok()
    }

    fn write<R: Stored>(
        &self,
        layout: &Layout,
        params: &[R],
        memory: &[(&str, &[R])],
        state: State,
    ) -> Result<(), Error> {
        let model = || weights::encode(layout, &[("", params)]);
        let optimiser = || {
            let prefixes: Vec<String> = memory.iter().map(|(name, _)| format!("{name}.")).collect();
            let slices = prefixes.iter().zip(memory).map(|(prefix, (_, slice))| (&prefix[..], *slice));
            weights::encode(layout, &slices.collect::<Vec<_>>())
        };
        let state = || state.to_json().into_bytes();
        // The sums come last, of what was made before them.
        let lines = RefCell::new(String::new());
        let summed = |i: usize, content: Vec<u8>| {
            lines.borrow_mut().push_str(&sums::line(FILES[i], &content));
            content
        };
        let [model, optimiser, state]: [&dyn Fn() -> Vec<u8>; 3] =
            [&|| summed(0, model()), &|| summed(1, optimiser()), &|| summed(2, state())];
        let sums = || lines.take().into_bytes();
        let makers = [model, optimiser, state, &sums];
        let files: Vec<_> = FILES.into_iter().zip(makers).collect();
        atomic::replace_folder(&self.checkpoint_at(LATEST), &files)
    }

    /// Reads the settings.
    ///
    /// # Errors
    /// A file that is missing or damaged: a run's own file is data, not usage.
    pub fn read_settings(&self) -> Result<Settings, Error> {
        let path = self.root.join("config.toml").display().to_string();
        let settings = settings::read_file(&path).and_then(|assignments| Settings::resolve(&assignments));
        settings.map_err(|error| {
            let text = error.to_string();
            let error = Error::checkpoint(text.clone());
            if text.starts_with(&path) { error } else { error.at(path) }
        })
    }

    /// Reads everything.
    ///
    /// # Errors
    /// A file that is missing, damaged, or does not fit the others: which, what was expected, what found.
    pub fn load<R: Stored>(&self) -> Result<Saved<R>, Error> {
        let settings = self.read_settings()?;
        let config = settings.config.clone();
        let tokenizer = self.read_tokenizer()?;
        let layout = Layout::new(&config, tokenizer.vocab_size());
        let folder = atomic::find_folder(&self.checkpoint);

        let (path, bytes) = read(&folder.join("state.json"), "the state of a run")?;
        sums::check(&folder, "state.json", &bytes)?;
        let state = State::from_json(&bytes).map_err(|error| error.at(path.display()))?;
        let knobs = Config::knobs().into_iter();
        let changed: Vec<_> = knobs
            .filter_map(|knob| {
                let (then, now) = (state.settings.get(knob.name)?, config.get(knob.name)?);
                (*then != now).then(|| (knob.name, then.clone(), now))
            })
            .collect();
        // What does not fit may have been made so by hand.
        let blame = |error: Error| changed.first().map_or(error, |change| self.edited(change));
        let wrong = |what, expected: &str, found: &str| {
            blame(Error::checkpoint(format!(
                "{}: {what}: expected {expected}, found {found}",
                path.display()
            )))
        };
        if state.precision != R::NAME {
            return Err(wrong("precision", R::NAME, &state.precision));
        }
        if Some(state.data_cursor) != state.step.checked_mul(config.batch_size) {
            let expected = format!("step ({}) times batch_size ({})", state.step, config.batch_size);
            return Err(wrong("data_cursor", &expected, &state.data_cursor.to_string()));
        }

        let tensors = |name: &str, prefixes: &[&str]| -> Result<Vec<Vec<R>>, Error> {
            let (path, bytes) = read(&folder.join(name), "the tensors of a run")?;
            sums::check(&folder, name, &bytes)?;
            weights::decode(&bytes, &layout, prefixes).map_err(|error| blame(error.at(path.display())))
        };
        let params = tensors("model.safetensors", &[""])?.pop().expect("one prefix");
        let names = optim::remembers(&config);
        let prefixes: Vec<String> = names.iter().map(|name| format!("{name}.")).collect();
        let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
        let memory = names.into_iter().zip(tensors("optimizer.safetensors", &prefixes)?).collect();
        let State { step, rng, best, data_sha256, .. } = state;
        let checkpoint = Checkpoint { config, tokenizer, step, rng: rng.into(), params, memory };
        checkpoint.model().map_err(|error| error.at(folder.display()))?;
        Ok(Saved { settings, checkpoint, data_sha256, best, changed })
    }

    /// The error of a setting in `config.toml` that is not the one which the checkpoint was trained with.
    pub fn edited(&self, (name, then, now): &Changed) -> Error {
        let path = self.root.join("config.toml");
        Error::checkpoint(format!(
            "{}: {name}: expected {then}, as this run was trained, found {now} (`train --config` on this file trains another run)",
            path.display()
        ))
    }

    /// Reads `tokenizer.json`.
    ///
    /// # Errors
    /// A file that is missing or damaged.
    pub fn read_tokenizer(&self) -> Result<Tokenizer, Error> {
        let (path, bytes) = read(&self.root.join("tokenizer.json"), "the tokenizer of a run")?;
        tokenizer::from_json(&bytes).map_err(|error| error.at(path.display()))
    }
}

/// The files of a checkpoint; the last one's content is made of the others'.
const FILES: [&str; 4] = ["model.safetensors", "optimizer.safetensors", "state.json", sums::NAME];

fn state<R: Stored>(
    config: &Config,
    step: usize,
    rng: RngState,
    data_sha256: &str,
    best: Option<Best>,
) -> State {
    let knobs = Config::knobs().into_iter();
    let settings = knobs.filter_map(|knob| Some((knob.name.to_string(), config.get(knob.name)?)));
    State {
        settings: settings.collect(),
        best,
        format_version: FORMAT_VERSION,
        step,
        data_cursor: step * config.batch_size,
        data_sha256: data_sha256.to_string(),
        precision: R::NAME.to_string(),
        rng: rng.into(),
    }
}

fn is_path(name: &str) -> bool {
    name.contains(['/', std::path::MAIN_SEPARATOR]) || name.starts_with('.')
}

fn read(path: &Path, what: &str) -> Result<(PathBuf, Vec<u8>), Error> {
    Ok((path.to_path_buf(), fs::read(path).map_err(unreadable(path, what))?))
}
