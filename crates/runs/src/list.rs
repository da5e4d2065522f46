//! All runs of a folder: what each is, how far it has come, how good it is.

use crate::lock::Lock;
use crate::run::{LATEST, Run};
use crate::state::Best;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::SystemTime;

/// What there is to say of a run.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name of its folder.
    pub name: String,
    /// What it began from; nothing if its settings cannot be read.
    pub preset: Option<&'static str>,
    /// How many steps have been saved.
    pub step: Option<usize>,
    /// How many are to be made.
    pub steps: Option<usize>,
    /// The mean of the last losses that were written down, 50 at most.
    pub loss: Option<f64>,
    /// The best on what is held back.
    pub best: Option<Best>,
    /// How many bytes its files have.
    pub size: u64,
    /// When something was last saved.
    pub saved: Option<SystemTime>,
    /// Is it in training now?
    pub busy: bool,
}

/// The runs in `folder`, those that were saved last at the end.
pub fn runs(folder: &Path) -> Vec<Entry> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut found: Vec<Entry> = entries.filter_map(|entry| look(&entry.path())).collect();
    found.sort_by(|a, b| (a.saved, &a.name).cmp(&(b.saved, &b.name)));
    found
}

/// What there is to say of the run in `path`, if it is one.
pub fn look(path: &Path) -> Option<Entry> {
    path.join("config.toml").is_file().then_some(())?;
    // A path, and no name in another folder.
    let run = Run::find(&Path::new(".").join(path).display().to_string())
        .or_else(|_| Run::find(&path.display().to_string()))
        .ok()?;
    let settings = run.read_settings().ok();
    let state = run.state_of(LATEST);
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let saved =
        modified(&path.join("checkpoints").join(LATEST)).or_else(|| modified(&path.join("config.toml")));
    Some(Entry {
        name: path.file_name()?.to_string_lossy().into_owned(),
        preset: settings.as_ref().map(|settings| settings.preset),
        step: state.as_ref().map(|state| state.step),
        steps: settings.map(|settings| settings.config.steps),
        loss: last_loss(&path.join("metrics.jsonl")),
        best: state.and_then(|state| state.best),
        size: size_of(path),
        saved,
        busy: Lock::is_taken(path),
    })
}

/// The mean of the last losses of a file of metrics, 50 at most.
fn last_loss(path: &Path) -> Option<f64> {
    /// Where the last lines are, measured ones among them.
    const TAIL: u64 = 64 << 10;
    let mut file = File::open(path).ok()?;
    let len = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(TAIL))).ok()?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).ok()?;
    let tail = String::from_utf8_lossy(&tail);
    let loss = |line: &str| -> Option<f64> {
        serde_json::from_str::<serde_json::Value>(line).ok()?.get("loss")?.as_f64()
    };
    let losses: Vec<f64> = tail.lines().rev().filter_map(loss).take(50).collect();
    (!losses.is_empty()).then(|| losses.iter().sum::<f64>() / losses.len() as f64)
}

fn size_of(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    let entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| size_of(&entry.path())).sum()
}
