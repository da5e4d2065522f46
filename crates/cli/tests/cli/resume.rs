//! A run that stops and goes on is the run that did not stop, to the last byte.

use crate::place::{Place, text};

/// The files that must be equal; the clock, which metrics have, is nobody's business.
pub(crate) fn bytes(place: &Place, run: &str) -> Vec<Vec<u8>> {
    let latest = "checkpoints/latest";
    ["model.safetensors", "optimizer.safetensors", "state.json"]
        .map(|name| format!("runs/{run}/{latest}/{name}"))
        .into_iter()
        .chain(
            ["metrics.jsonl", "samples.txt", "config.toml", "tokenizer.json"]
                .map(|name| format!("runs/{run}/{name}")),
        )
        .map(|path| {
            let bytes = std::fs::read(place.path(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
            if path.ends_with(".jsonl") { without_clock(&text(&bytes)).into_bytes() } else { bytes }
        })
        .collect()
}

fn without_clock(metrics: &str) -> String {
    const CLOCK: &str = ", \"tokens_per_second\": ";
    let line = |line: &str| match line.split_once(CLOCK) {
        Some((before, after)) => format!("{before}{}\n", &after[after.find(',').unwrap()..]),
        None => format!("{line}\n"),
    };
    metrics.lines().map(line).collect()
}

#[test]
fn twenty_steps_and_twenty_more_are_forty() {
    for settings in [
        "",
        "--preset microgpt-final",
        "--batch-size 3 --n-layer 2 --n-embd 8 --seed 7 --lr 0.02",
        "--engine fast --batch-size 2",
    ] {
        let place = Place::new();
        let whole = place.stdout(&format!("train --steps 40 --out whole {settings}"));
        let first = place
            .microgpt(&format!("train --steps 40 --out parts --stop-after 20 {settings}"))
            .output()
            .unwrap();
        assert_eq!(
            text(&first.stderr),
            "microgpt: stopped after step 20; to go on as if it had not: microgpt train --resume parts\n"
        );
        let middle = place.microgpt("train --resume parts --stop-after 31").output().unwrap();
        let last = place.stdout("train --resume parts");
        let steps = |text: &str| -> Vec<String> {
            text.lines().filter(|line| line.starts_with("s")).map(String::from).collect()
        };
        let parts = [steps(&text(&first.stdout)), steps(&text(&middle.stdout)), steps(&last)].concat();
        assert_eq!(parts, steps(&whole));
        assert!(bytes(&place, "whole") == bytes(&place, "parts"), "{settings}");
        // Nothing is left to do but the samples, which are the same again.
        assert!(place.stdout("train --resume parts").ends_with(whole.split("---\n").last().unwrap()));
        assert!(bytes(&place, "whole") == bytes(&place, "parts"), "{settings}");
    }
}

#[test]
fn a_resumed_run_is_the_same_run() {
    let place = Place::new();
    place.write("my.txt", "anna\nbob\n");
    place.stdout("train --data my.txt --steps 4 --out mine");
    let (code, error) = place.error("train --resume mine --lr 1");
    assert!(code == 2 && error.starts_with("--lr: expected only --steps, --samples, "), "{error}");
    assert!(place.stdout("train --resume mine --steps 6").contains("step    6 /    6"));
    place.write("my.txt", "anna\nbob\neve\n");
    let (code, error) = place.error("train --resume mine --steps 8");
    assert!(
        code == 1 && error.contains("my.txt: expected the text that mine was trained on (SHA-256 "),
        "{error}"
    );
    place.write("copy.txt", "anna\nbob\n");
    assert!(place.stdout("train --resume mine --steps 8 --data copy.txt").contains("step    8 /    8"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_the_run() {
    use std::io::{BufRead, BufReader};
    let place = Place::new();
    let program = assert_cmd::cargo::cargo_bin("microgpt");
    let mut child = std::process::Command::new(program)
        .args(["train", "--steps", "10000000", "--samples", "1", "--out", "mine"])
        .current_dir(place.path("."))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().any(|line| line.unwrap().starts_with("step   10 /")));
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    // It may have stopped at the very line that was read.
    let printed = lines.map(Result::unwrap).filter(|line| line.starts_with("step")).last();
    let printed = printed.unwrap_or("step   10 /".to_string());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(text(&output.stderr).contains("--resume mine"));
    let state = std::fs::read_to_string(place.path("runs/mine/checkpoints/latest/state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    let step = format!("step {:4} /", state["step"].as_u64().unwrap());
    assert!(printed.starts_with(&step), "{step}: {printed}");
    place.stdout("generate mine");
}
