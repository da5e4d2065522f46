//! Runs beside each other: listed, removed, locked; and what goes wrong with them, told clearly and without loss.

use crate::place::{Place, text};
use crate::resume::bytes;

#[test]
fn runs_are_listed_and_removed() {
    let place = Place::new();
    place.stdout("train --steps 20 --out one");
    place.stdout("train --steps 20 --val-fraction 0.1 --eval-every 10 --out two");
    let listed = place.stdout("runs");
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>().join(" "),
        "name preset steps loss best val at step size saved"
    );
    let words = |line: &str| -> Vec<String> { line.split_whitespace().map(String::from).collect() };
    let [one, two] = [words(lines[1]), words(lines[2])];
    assert_eq!((&one[..3], &one[4..6]), (&words("one microgpt 20/20")[..], &words("- -")[..]), "{listed}");
    assert_eq!((&two[..3], two[5].as_str()), (&words("two microgpt 20/20")[..], "20"), "{listed}");
    let json = place.stdout("runs --json");
    let two: serde_json::Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    assert_eq!(
        (two["name"].as_str(), two["step"].as_u64(), two["best_step"].as_u64()),
        (Some("two"), Some(20), Some(20))
    );
    assert!(two["best_val_loss"].as_f64().unwrap() < 3.4 && two["bytes"].as_u64().unwrap() > 100_000);
    // Without a terminal nobody can be asked.
    let (code, error) = place.error("runs rm one");
    assert!(code == 2 && error.contains("--yes removes without a question"), "{error}");
    let output = place.microgpt("runs rm one --yes").output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), "runs/one is removed\n"));
    assert!(!place.path("runs/one").exists() && place.path("runs/two").exists());
    let (code, error) = place.error("runs rm one --yes");
    assert!(code == 1 && error.starts_with("one: expected the folder of a run"), "{error}");
    std::fs::create_dir(place.path("data")).unwrap();
    place.write("data/notes.txt", "mine");
    let (_, error) = place.error("runs rm ./data --yes");
    assert!(error.contains("no config.toml in it") && place.path("data/notes.txt").exists(), "{error}");
}

#[test]
fn the_best_and_the_latest_are_both_there() {
    let place = Place::new();
    place.write("my.txt", "anna\nbob\ncarla\ndana\n".repeat(5));
    let settings =
        "--data my.txt --val-fraction 0.5 --eval-every 5 --lr 0.1 --steps 400 --patience 3 --out mine";
    let output = place.microgpt(&format!("train {settings}")).output().unwrap();
    let said = text(&output.stderr);
    assert!(output.status.success() && said.starts_with("microgpt: stopped early, after step "), "{said}");
    assert!(said.contains(": 3 looks without a better validation loss; the best was "), "{said}");
    let state = |which: &str| -> serde_json::Value {
        let path = place.path(&format!("runs/mine/checkpoints/{which}/state.json"));
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    };
    let (latest, best) = (state("latest"), state("best"));
    assert_eq!(latest["best"]["step"], best["step"]);
    assert_eq!(latest["step"].as_u64().unwrap(), best["step"].as_u64().unwrap() + 15);
    let eval = |which: &str| {
        let json = place.stdout(&format!("eval mine --data my.txt --json {which}"));
        serde_json::from_str::<serde_json::Value>(&json).unwrap()["loss"].as_f64().unwrap()
    };
    assert_eq!(eval(""), eval("--checkpoint latest"));
    assert_ne!(eval(""), eval("--checkpoint best"));
    assert_ne!(place.stdout("generate mine"), place.stdout("generate mine --checkpoint best"));
    // It has had enough, and still has when it is asked to go on; with more patience it goes on.
    let again = place.microgpt("train --resume mine").output().unwrap();
    assert!(!text(&again.stdout).contains("\nstep"), "{}", text(&again.stdout));
    let more = place.microgpt("train --resume mine --patience 5").output().unwrap();
    assert!(text(&more.stdout).contains("\nstep"));
    // Without anything held back, there is no best.
    place.stdout("train --steps 4 --out plain");
    let (_, error) = place.error("generate plain --checkpoint best");
    assert!(
        error.contains("checkpoints/best: expected a checkpoint, found none; the best is kept where"),
        "{error}"
    );
}

#[test]
fn a_text_of_ones_own_has_a_part_held_back() {
    let place = Place::new();
    let many: String = (0..100).map(|i| format!("{}\n", ["anna", "bob", "carla"][i % 3])).collect();
    place.write("many.txt", &many);
    place.write("few.txt", "anna\nbob\n");
    let begins = |words: &str| -> String {
        let output = place.microgpt(&format!("train --steps 2 --no-save {words}")).output().unwrap();
        text(&output.stdout).lines().take(2).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(begins("--data many.txt"), "num docs: 100, held back: 10");
    assert_eq!(begins("--data few.txt"), "num docs: 2, vocab size: 5");
    // microgpt.py holds nothing back; and who says how much has it so.
    assert_eq!(begins("--data many.txt --preset microgpt"), "num docs: 100, vocab size: 8");
    assert_eq!(begins("--data many.txt --val-fraction 0"), "num docs: 100, vocab size: 8");
}

#[test]
fn one_process_at_a_time_trains_a_run() {
    use std::io::{BufRead, BufReader};
    let place = Place::new();
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("microgpt"))
        .args(["train", "--steps", "10000000", "--save-every", "10", "--out", "mine"])
        .current_dir(place.path("."))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.by_ref().any(|line| line.unwrap().starts_with("step   20 /")));
    std::thread::spawn(move || lines.for_each(drop));
    let in_use = format!(
        "runs/mine: expected a run that nobody else is writing to, found one in use (process {})",
        child.id()
    );
    assert_eq!(place.error("train --resume mine"), (1, in_use.clone()));
    assert_eq!(place.error("runs rm mine --yes"), (1, in_use));
    assert!(place.stdout("runs").contains("in training now"));
    // To read is no harm.
    place.stdout("generate mine --samples 1");
    child.kill().unwrap();
    child.wait().unwrap();
    // With the process, its lock is gone.
    let output = place.microgpt("train --resume mine --steps 30").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn what_was_edited_or_damaged_is_named_and_stays() {
    let place = Place::new();
    place.stdout("train --steps 20 --out mine");
    let config = std::fs::read_to_string(place.path("runs/mine/config.toml")).unwrap();
    for (old, new) in
        [("lr = 0.01", "lr = 0.02"), ("n_embd = 16", "n_embd = 32"), ("batch_size = 1", "batch_size = 2")]
    {
        place.write("runs/mine/config.toml", config.replace(old, new));
        let before = bytes(&place, "mine");
        let (code, error) = place.error("train --resume mine --steps 30");
        let (name, was) = old.split_once(" = ").unwrap();
        let named = format!("runs/mine/config.toml: {name}: expected {was}, as this run was trained, found ");
        assert!(code == 1 && error.starts_with(&named), "{error}");
        assert!(bytes(&place, "mine") == before);
    }
    // What may change may be edited too.
    place.write("runs/mine/config.toml", config.replace("steps = 20", "steps = 22"));
    assert!(place.stdout("train --resume mine").contains("step   22 /   22"));
    let path = "runs/mine/checkpoints/latest/model.safetensors";
    let mut model = std::fs::read(place.path(path)).unwrap();
    let middle = model.len() / 2;
    model[middle] ^= 1;
    place.write(path, model);
    let before = bytes(&place, "mine");
    for words in ["train --resume mine --steps 30", "generate mine"] {
        let (code, error) = place.error(words);
        assert!(
            code == 1 && error.contains("model.safetensors: expected the bytes that were saved"),
            "{error}"
        );
    }
    assert!(bytes(&place, "mine") == before);
}

#[test]
fn a_learning_rate_of_10_is_looked_into() {
    let place = Place::new();
    let output = place.microgpt("train --lr 10 --out wild").output().unwrap();
    let (said, printed) = (text(&output.stderr), text(&output.stdout));
    assert_eq!(output.status.code(), Some(1), "{said}");
    let last = printed.lines().filter(|line| line.starts_with("step")).count();
    let first = format!("microgpt: step {}: expected a finite loss, found ", last + 1);
    assert!(said.starts_with(&first), "{said}");
    for part in ["\n  step ", "\n  operation ", "\n  where ", "\n  weight ", "\n  saved ", "\n  try "] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let kept = std::fs::read_to_string(place.path("runs/wild/autopsy.txt")).unwrap();
    assert_eq!(said.trim_end(), format!("microgpt: {kept}"));
    // Its steps are written down, up to the last good one.
    let metrics = std::fs::read_to_string(place.path("runs/wild/metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), last);
}

/// Linux lets anybody have a small disk of their own, in a name space; where not, there is nothing to test.
#[cfg(target_os = "linux")]
fn on_a_small_disk(place: &Place, size: &str, script: &str) -> Option<String> {
    let program = assert_cmd::cargo::cargo_bin("microgpt");
    let script = format!(
        "mkdir small && mount -t tmpfs -o size={size} tmpfs small || exit 99\n{}",
        script.replace("microgpt ", &format!("{} ", program.display()))
    );
    let output = std::process::Command::new("unshare")
        .args(["-rm", "sh", "-c", &script])
        .current_dir(place.path("."))
        .env_remove("CARGO_MANIFEST_DIR")
        .output()
        .ok()
        .filter(|output| output.status.success());
    if output.is_none() {
        println!("skipped: no name space with a disk of its own to be had here");
    }
    Some(text(&output?.stderr))
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_the_run_so_far_goes_on_elsewhere() {
    let place = Place::new();
    let settings = "--n-embd 8 --steps 4000 --measure-every 10 --save-every 50";
    let script = format!(
        "microgpt train {settings} --out ./small/mine > printed; echo code $? >&2\ncp -r small/mine rescued"
    );
    let Some(said) = on_a_small_disk(&place, "400k", &script) else { return };
    assert!(
        said.contains("found no space left on the disk; saved is step ") && said.contains("code 1\n"),
        "{said}"
    );
    place.stdout(&format!("train {settings} --out whole"));
    place.stdout("train --resume ./rescued");
    std::fs::rename(place.path("rescued"), place.path("runs/rescued")).unwrap();
    assert!(bytes(&place, "whole") == bytes(&place, "rescued"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_can_only_be_read_is_told() {
    let place = Place::new();
    let script = "microgpt train --steps 40 --stop-after 20 --out ./small/mine > printed 2> stopped\n\
        mount -o remount,ro small\nmicrogpt train --resume ./small/mine; echo code $? >&2\n\
        microgpt train --out ./small/other; echo code $? >&2\nmicrogpt generate ./small/mine > samples\n\
        cp -r small/mine rescued";
    let Some(said) = on_a_small_disk(&place, "4m", script) else { return };
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[0].starts_with(
            "microgpt: ./small/mine/.lock: expected a place to write to, found a disk that can only"
        ),
        "{said}"
    );
    assert!(
        lines[2].starts_with("microgpt: ./small/other: expected a place to write to, found a disk that"),
        "{said}"
    );
    assert_eq!((lines[1], lines[3]), ("code 1", "code 1"));
    assert_eq!(std::fs::read_to_string(place.path("samples")).unwrap().lines().count(), 20);
    assert!(place.stdout("train --resume ./rescued").contains("step   40 /   40"));
}
