//! The program, started as a person would start it, and its page.

use crate::driver::{Browser, free_port};
use serde_json::{Value, json};
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;

pub(crate) struct Studio {
    folder: TempDir,
    port: u16,
    program: Option<Child>,
    pub(crate) started: Instant,
}

impl Studio {
    /// `microgpt studio` in an empty folder.
    pub(crate) fn start() -> Studio {
        let mut studio = Studio {
            folder: tempfile::tempdir().unwrap(),
            port: free_port(),
            program: None,
            started: Instant::now(),
        };
        studio.run(&[]);
        studio
    }

    /// Starts the program, at the same place.
    pub(crate) fn run(&mut self, words: &[&str]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_microgpt"));
        command.arg("studio").args(words).args(["--no-open", "--port", &self.port.to_string()]);
        command.current_dir(self.folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("MICROGPT_") && name != "MICROGPT_STUDIO_PAGE" {
                command.env_remove(name);
            }
        }
        self.started = Instant::now();
        self.program = Some(command.spawn().unwrap());
    }

    /// Another command of the program in the same folder, which makes this file.
    pub(crate) fn command(&self, words: &[&str], file: &str) -> PathBuf {
        let mut command = Command::new(env!("CARGO_BIN_EXE_microgpt"));
        let done = command.args(words).current_dir(self.folder.path()).output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        self.folder.path().join(file)
    }

    /// Where it keeps a run.
    pub(crate) fn run_folder(&self, name: &str) -> PathBuf {
        self.folder.path().join("runs").join(name)
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut program) = self.program.take() {
            program.kill().unwrap();
            program.wait().unwrap();
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Studio {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The page in a browser.
pub(crate) struct Page<'a> {
    pub(crate) browser: &'a Browser,
    pub(crate) url: String,
}

impl Deref for Page<'_> {
    type Target = Browser;

    fn deref(&self) -> &Browser {
        self.browser
    }
}

impl Page<'_> {
    /// Goes to a view by its address, without loading the page again.
    #[track_caller]
    pub(crate) fn go(&self, address: &str) {
        self.js("location.hash = arguments[0]", json!([address]));
        let view = address.split('?').next().unwrap();
        self.until(&format!("the view {view}"), || self.count(&format!("#view.view-{view}")) == 1);
    }

    /// What the API answers to a GET.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Value {
        self.later("return await (await fetch('/api/v1' + arguments[0])).json()", json!([path]))
    }

    /// What it answers to a POST.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: Value) -> Value {
        let body = json!([path, body.to_string()]);
        self.later(
            "return await (await fetch('/api/v1' + arguments[0], {method: 'POST', body: arguments[1], headers: {'Content-Type': 'application/json'}})).json()",
            body,
        )
    }

    /// The number that an element shows, or carries in this attribute, to the last bit.
    #[track_caller]
    pub(crate) fn number(&self, css: &str, attribute: Option<&str>) -> f64 {
        let text = match attribute {
            Some(name) => self.attribute(css, name),
            None => self.text(css),
        };
        let plain = text.trim().replace('\u{2212}', "-");
        plain.parse().unwrap_or_else(|_| panic!("{css}: expected a number, found {text:?}"))
    }

    /// Moves the pointer to a number of a table in the picture, which has so many rows and columns.
    #[track_caller]
    pub(crate) fn cell(&self, name: &str, [row, col]: [usize; 2], [rows, cols]: [usize; 2], click: bool) {
        let css = format!(".block[data-name='{name}'] .stage");
        self.point(&css, [(col as f64 + 0.5) / cols as f64, (row as f64 + 0.5) / rows as f64], click);
    }

    /// Points at a number, and reads what the label beside the pointer says.
    #[track_caller]
    pub(crate) fn point_at(&self, name: &str, at: [usize; 2], shape: [usize; 2]) -> f64 {
        self.cell(name, at, shape, false);
        self.until("the label beside the pointer", || self.count(".hover:not([hidden])") == 1);
        assert_eq!(self.text(".hovertitle"), format!("{name}[{}, {}]", at[0], at[1]));
        self.number(".hovervalue", None)
    }

    /// Waits until the page has had time to ask and to draw.
    pub(crate) fn settle(&self) {
        self.later(
            "let last = -1; for (let i = 0; i < 60; i++) { const now = performance.getEntriesByType('resource').length; if (now === last) return; last = now; await new Promise((r) => setTimeout(r, 120)); }",
            json!([]),
        );
    }
}
