//! The folder in which runs are kept, and what the studio writes there beside what every run has.
//!
//! `studio.json` in a run's folder says whether the studio was training it when it was last saved, so that a server that
//! starts again goes on; and from which step on the training had how many steps, so that a replay is exact.

use crate::message::Fault;
use crate::session::Status;
use microgpt::Error;
use microgpt_runs::{Run, atomic};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Where runs are kept.
#[derive(Debug, Clone)]
pub struct Shelf {
    root: PathBuf,
}

/// What `studio.json` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark {
    /// Was it being trained?
    pub training: bool,
    /// From which step on there were how many.
    pub courses: Vec<(usize, usize)>,
}

impl Shelf {
    /// This folder.
    pub fn new(root: impl Into<PathBuf>) -> Shelf {
        Shelf { root: root.into() }
    }

    /// Where a run of that name is: always right in the folder, nowhere else.
    ///
    /// # Errors
    /// A name that is none.
    pub fn place(&self, name: &str) -> Result<PathBuf, Fault> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.len() > 100 || name.starts_with(['.', '-']) || !name.chars().all(plain) {
            return Err(Fault::wrong(format!(
                "name: expected letters, digits, and . _ - between them, found {:?}",
                name.chars().take(100).collect::<String>()
            )));
        }
        Ok(self.root.join(name))
    }

    /// A new folder of that name.
    ///
    /// # Errors
    /// A name that is none or taken; the disk's.
    pub fn create(&self, name: &str) -> Result<Run, Fault> {
        Ok(Run::create(&as_path(&self.place(name)?))?)
    }

    /// A new folder `NAME-1`, or with the first number that is free and that `taken` does not know.
    ///
    /// # Errors
    /// The disk's.
    pub fn create_next(&self, name: &str, taken: impl Fn(&str) -> bool) -> Result<(Run, String), Fault> {
        let free = (1..)
            .map(|number| format!("{name}-{number}"))
            .find(|id| !taken(id) && self.place(id).is_ok_and(|path| !path.exists()));
        let id = free.unwrap_or_default();
        Ok((self.create(&id)?, id))
    }

    /// The run of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, name: &str) -> Result<Run, Fault> {
        let path = self.place(name)?;
        if !path.join("config.toml").is_file() {
            return Err(Fault::missing(format!("name: expected a run that is saved, found {name:?}")));
        }
        Ok(Run::find(&as_path(&path))?)
    }

    /// The names of all runs, the newest first.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries
            .filter(|entry| entry.path().join("config.toml").is_file())
            .map(|entry| (entry.metadata().and_then(|m| m.modified()).ok(), entry.file_name()))
            .map(|(when, name)| (when, name.to_string_lossy().into_owned()))
            .filter(|(_, name)| self.place(name).is_ok())
            .collect();
        names.sort_by(|a, b| b.cmp(a));
        names.into_iter().map(|(_, name)| name).collect()
    }

    /// What the studio wrote into a run's folder.
    pub fn mark_of(&self, name: &str) -> Mark {
        let read = || {
            let bytes = std::fs::read(self.place(name).ok()?.join("studio.json")).ok()?;
            let value: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
            let pair = |pair: &serde_json::Value| {
                let number = |i: usize| pair.get(i)?.as_u64()?.try_into().ok();
                Some((number(0)?, number(1)?))
            };
            let courses = value.get("courses")?.as_array()?.iter().map(pair).collect::<Option<Vec<_>>>()?;
            Some(Mark { training: value.get("training")?.as_bool()?, courses })
        };
        read().unwrap_or_default()
    }
}

/// Writes down what a run is doing.
///
/// # Errors
/// The disk's.
pub fn mark(run: &Run, status: Status, courses: &[(usize, usize)]) -> Result<(), Error> {
    let text = json!({"training": status == Status::Training, "courses": courses}).to_string() + "\n";
    atomic::write(&run.path().join("studio.json"), text.as_bytes())
}

/// As `Run` takes it for a path, not for a name.
fn as_path(path: &Path) -> String {
    let text = path.display().to_string();
    if path.is_absolute() || text.contains('/') { text } else { format!("./{text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(root.path().join("runs"));
        for name in [
            "", ".", "..", "../x", "a/b", "a\\b", "/etc", "C:x", ".hidden", "-x", "a\0b", "é", "%2e%2e",
            "a b",
        ] {
            assert_eq!(shelf.place(name).unwrap_err().status, 400, "{name}");
            assert!(shelf.find(name).is_err() && shelf.create(name).is_err());
        }
        assert_eq!(shelf.place("a-1.b_C").unwrap(), root.path().join("runs/a-1.b_C"));
        let (_, id) = shelf.create_next("x", |id| id == "x-1").unwrap();
        assert_eq!(id, "x-2");
        assert!(shelf.names().is_empty(), "no run is in it yet");
        assert_eq!(shelf.find("x-2").unwrap_err().status, 404);
    }

    #[test]
    fn what_was_marked_is_read_back() {
        let root = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(root.path());
        let run = shelf.create("r").unwrap();
        mark(&run, Status::Training, &[(0, 500), (500, 700)]).unwrap();
        assert_eq!(shelf.mark_of("r"), Mark { training: true, courses: vec![(0, 500), (500, 700)] });
        assert_eq!((shelf.mark_of("s"), shelf.mark_of("../r")), (Mark::default(), Mark::default()));
    }
}
