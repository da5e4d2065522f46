//! Whatever is asked of the studio, there is an answer: libFuzzer looks for a request that has none.
//!
//! An input is one request or several, parted by a byte 0, each a line `POST /api/v1/runs/mine/look?query` and then the
//! body. They go through the pure function of the studio, which has a small run in it.
//!
//! ```text
//! fuzz/run 300                     for 300 seconds, on stable Rust with a C++ compiler
//! cargo +nightly fuzz run api      with cargo-fuzz, from the root
//! ```

#![no_main]

use libfuzzer_sys::fuzz_target;
use microgpt_studio::openapi::EXAMPLES;
use microgpt_studio::shelf::Shelf;
use microgpt_studio::{Request, Studio};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::path::Path;
use tempfile::TempDir;

/// A studio in a folder of its own.
struct World {
    root: TempDir,
    studio: Studio,
}

impl World {
    fn new() -> World {
        let root = tempfile::tempdir().expect("a folder");
        let studio = Studio::by_hand(Shelf::new(root.path().join("runs")));
        let settings = json!({"steps": "6", "n_layer": "2", "n_embd": "8", "batch_size": "2"});
        let data = json!({"from": "text", "text": "emma\nolivia\nava\nisabella\nsophia\nmia\namelia\n"});
        let body = json!({"name": "mine", "settings": settings, "data": data, "save": false, "go": false});
        assert_eq!(studio.handle(&Request::post("/api/v1/runs", &body)).status, 201);
        let train = json!({"do": "step", "steps": 4});
        studio.handle(&Request::post("/api/v1/runs/mine/train", &train));
        let world = World { root, studio };
        world.drive();
        world
    }

    /// What the threads of a server would do, some of it.
    fn drive(&self) {
        for session in self.studio.sessions() {
            let config = &session.settings.config;
            let small = config.batch_size.saturating_mul(config.block_size) < 1000;
            let mut left = if small { 4 } else { 0 };
            while left > 0 && session.advance(&|| 0.0) {
                left -= 1;
            }
        }
    }

    fn ask(&self, request: &Request) {
        if self.is_large(request) {
            return;
        }
        let response = self.studio.handle(request);
        assert!((200..500).contains(&response.status), "{}: {:?}", response.status, response.body);
        if response.content_type == "application/json" {
            let answer: Value = serde_json::from_slice(&response.body).expect("JSON");
            if response.status >= 400 {
                assert!(answer["error"].as_str().is_some_and(|text| text.len() > 5), "{answer}");
            }
        }
    }

    /// Would it begin a model that is trained for minutes, or has no room here?
    fn is_large(&self, request: &Request) -> bool {
        if request.path.trim_end_matches('/') != "/api/v1/runs" {
            return false;
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let asked = json!({"preset": body["preset"], "settings": body["settings"]});
        let check = Request::post("/api/v1/form/check", &asked);
        let answer: Value = serde_json::from_slice(&self.studio.handle(&check).body).unwrap_or_default();
        // Where the text decides how many there are, it may be any number.
        answer["ok"] == true && answer["parameters"].as_u64().is_none_or(|count| count > 100_000)
    }

    /// Nothing was written but in the folder of runs.
    fn is_clean(&self) {
        let outside = |entry: &std::fs::DirEntry| entry.file_name() != "runs";
        let entries = std::fs::read_dir(self.root.path()).expect("the folder");
        assert_eq!(entries.flatten().filter(outside).map(|entry| entry.path()).next(), None);
    }
}

/// The requests of an input.
fn requests(data: &[u8]) -> Vec<Request> {
    let one = |part: &[u8]| {
        let end = part.iter().position(|byte| *byte == b'\n').unwrap_or(part.len());
        let line = String::from_utf8_lossy(&part[..end]).into_owned();
        let (method, address) = line.split_once(' ').unwrap_or((&line, ""));
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let body = part.get(end + 1..).unwrap_or_default().to_vec();
        Request { method: method.into(), path: path.into(), query: query.into(), body }
    };
    data.split(|byte| *byte == 0).take(6).map(one).collect()
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

fuzz_target!(init: seeds(), |data: &[u8]| {
    WORLD.with_borrow_mut(|slot| {
        let world = slot.get_or_insert_with(World::new);
        let asked = requests(data);
        for request in &asked {
            world.ask(request);
            world.drive();
        }
        world.is_clean();
        // Who may have changed something leaves another world: the same input is to do the same.
        let changes = |r: &Request| {
            r.method == "DELETE"
                || (r.method == "POST"
                    && ["/runs", "/open", "/train", "/save", "/replay"].iter().any(|end| r.path.contains(end)))
        };
        if asked.iter().any(|r| changes(r) && !is_a_question(&r.path)) {
            *slot = None;
        }
    });
});

/// Of a run that is open, and it stays as it is.
fn is_a_question(path: &str) -> bool {
    path.starts_with("/api/v1/runs/mine/")
        && !["/train", "/save", "/replay"].iter().any(|end| path.ends_with(end))
}

/// Writes an example of every request into the folder that `MICROGPT_SEEDS` names, if it does.
fn seeds() {
    let Some(folder) = std::env::var_os("MICROGPT_SEEDS") else { return };
    let folder = Path::new(&folder);
    let posts = EXAMPLES.iter().map(|(path, body)| format!("POST {}\n{body}", path.replace("{id}", "mine")));
    let gets = [
        "",
        "/form",
        "/runs",
        "/runs/mine",
        "/runs/mine/news?since=3",
        "/runs/mine/documents?from=3&count=2",
    ]
    .iter()
    .chain(&["/runs/mine/model", "/source?file=microgpt.rs", "/openapi.json"])
    .map(|path| format!("GET /api/v1{path}\n"));
    for (i, seed) in posts.chain(gets).chain(["DELETE /api/v1/runs/mine\n".to_string()]).enumerate() {
        std::fs::write(folder.join(format!("seed-{i:02}")), seed).expect("a seed");
    }
}
