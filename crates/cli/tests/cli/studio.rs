//! The studio as a program: a run that it trains is a run like any other; the page is served, and written to a file.

use crate::place::{Place, text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Studio {
    child: Child,
    address: String,
}

impl Studio {
    fn start(place: &Place, words: &str) -> Studio {
        let mut command = Command::new(env!("CARGO_BIN_EXE_microgpt"));
        command.args(["studio", "--no-open", "--port", "0"]).args(words.split_whitespace());
        command.current_dir(place.path(".")).stderr(Stdio::piped()).stdin(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
        let address =
            line.strip_prefix("microgpt: the studio is at http://").and_then(|rest| rest.split('/').next());
        Studio { address: address.unwrap_or_else(|| panic!("{line}")).to_string(), child }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_string()
    }

    fn wait_for(&self, path: &str, piece: &str) {
        let began = Instant::now();
        while !self.get(path).contains(piece) {
            assert!(began.elapsed() < Duration::from_secs(60), "{path}: {}", self.get(path));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Studio {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_run_of_the_studio_is_the_run_that_train_makes() {
    let place = Place::new();
    let settings = "--steps 40 --n-layer 2 --batch-size 2";
    place.stdout(&format!("train --out whole {settings}"));
    let mut studio = Studio::start(&place, settings);
    studio.wait_for("/api/v1/runs/microgpt-1", "\"status\":\"done\"");
    assert!(studio.get("/").contains("<script type=\"module\" src=\"main.js\">"));
    for name in [
        "checkpoints/latest/model.safetensors",
        "checkpoints/latest/optimizer.safetensors",
        "checkpoints/latest/state.json",
        "config.toml",
        "tokenizer.json",
    ] {
        let [own, other] = ["microgpt-1", "whole"]
            .map(|run| std::fs::read(place.path(&format!("runs/{run}/{name}"))).unwrap());
        assert!(own == other, "{name}");
    }
    #[cfg(unix)]
    {
        Command::new("kill").args(["-INT", &studio.child.id().to_string()]).status().unwrap();
        let began = Instant::now();
        assert_eq!(studio.child.wait().unwrap().code(), Some(0));
        assert!(began.elapsed() < Duration::from_secs(10));
    }
    // A saved run, opened; nothing else is begun.
    let opened = Studio::start(&place, "whole");
    let about = opened.get("/api/v1");
    assert!(
        about.contains("\"first\":\"whole\"") && !opened.get("/api/v1/runs").contains("microgpt-2"),
        "{about}"
    );
}

#[test]
fn the_export_is_one_file() {
    let place = Place::new();
    place.stdout("train --steps 20 --out mine");
    let output = place.microgpt("export html mine --text emma --step 0 --step 20").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stderr).starts_with("microgpt: mine.html ("));
    let html = std::fs::read_to_string(place.path("mine.html")).unwrap();
    assert!(html.starts_with("<!doctype html>") || html.starts_with("<!DOCTYPE html>"), "{}", &html[..40]);
    let (_, packed) = html.split_once("id=\"studio-data\">").unwrap();
    let packed = STANDARD.decode(packed.split_once('<').unwrap().0).unwrap();
    let data = std::io::read_to_string(flate2::read::GzDecoder::new(&packed[..])).unwrap();
    assert!(data.contains("\"steps\":[0,20],\"texts\":[\"emma\"]") && data.contains("layer0.attn_weights"));
    let error = |words: &str| place.error(words);
    assert_eq!(error("export html nothing").0, 1);
    assert_eq!(error("export pdf mine").0, 2);
    assert!(error("export html mine --step 21").1.starts_with("step: expected at most 20, found 21"));
    assert!(
        error("studio --host nowhere --no-open")
            .1
            .starts_with("--host: expected an address such as 127.0.0.1")
    );
    assert!(error("studio nothing --no-open").1.starts_with("nothing: expected the folder of a run"));
}
