//! The program in a folder of its own.

use assert_cmd::Command;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// `microgpt WORDS`, with no settings from outside, and not as `cargo run` would start it.
    pub(crate) fn microgpt(&self, words: &str) -> Command {
        let mut command = Command::cargo_bin("microgpt").unwrap();
        command.current_dir(self.0.path()).args(words.split_whitespace());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MICROGPT_") || name == "CARGO_MANIFEST_DIR" {
                command.env_remove(name);
            }
        }
        command
    }

    /// What it prints on standard output, when all goes well and nothing is said on standard error.
    #[track_caller]
    pub(crate) fn stdout(&self, words: &str) -> String {
        let output = self.microgpt(words).output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{words}");
        text(&output.stdout)
    }

    /// The exit code and the one line on standard error of what goes wrong, with nothing after the first lines.
    #[track_caller]
    pub(crate) fn error(&self, words: &str) -> (i32, String) {
        let output = self.microgpt(words).output().unwrap();
        let error = text(&output.stderr);
        assert!(error.starts_with("microgpt: ") && error.ends_with('\n'), "{words}: {error}");
        assert_eq!(error.lines().count(), 1, "{words}: {error}");
        (output.status.code().unwrap(), error["microgpt: ".len()..].trim_end().to_string())
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Every file under a folder, by its path there.
pub(crate) fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}
