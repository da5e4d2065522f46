//! Many runs from one file: made once, whatever happens in between, and told with their spread.

use crate::place::{Place, files, text};
use std::path::Path;

const GRID: &str = "engine = \"fast\"\nsteps = 30\neval_size = 50\nsamples = 3\n\n[sweep]\nseeds = 2\n\n[grid]\nlr = [0.01, 0.02]\nn_embd = [8, 16]\n";

/// The bytes of every file of a sweep's runs that says what came of them, by its path; but for the time it took.
fn outcome(folder: &Path) -> Vec<(String, Vec<u8>)> {
    files(folder)
        .into_iter()
        .filter(|path| !path.ends_with("result.json") && path.parent() != Some(folder))
        .map(|path| (path.strip_prefix(folder).unwrap().display().to_string(), std::fs::read(&path).unwrap()))
        .collect()
}

/// A sweep's table of results, without its last column, the time.
fn results(place: &Place, name: &str) -> String {
    let csv = std::fs::read_to_string(place.path(&format!("runs/{name}/results.csv"))).unwrap();
    csv.lines().map(|line| line.rsplit_once(',').unwrap().0.to_string() + "\n").collect()
}

#[test]
fn every_run_is_made_once_and_the_best_stands_first() {
    let place = Place::new();
    place.write("rates.toml", GRID);
    assert_eq!(place.stdout("sweep rates.toml --dry-run").lines().nth(1), Some("lr=0.01,n_embd=8,seed=2"));
    let first = place.stdout("sweep rates.toml");
    assert_eq!(
        first.lines().filter(|line| line.starts_with("run ") && line.contains("| val loss ")).count(),
        8
    );
    let table = first.split("8 runs in 4 groups\n\n").nth(1).unwrap();
    let losses: Vec<f64> = table
        .lines()
        .skip(1)
        .take(4)
        .map(|line| line.split_whitespace().nth(3).unwrap().parse().unwrap())
        .collect();
    assert!(losses.is_sorted() && losses[0] > 1.5 && losses[3] < 3.3, "{table}");
    let run = place.path("runs/rates/3-lr=0.01,n_embd=16,seed=1");
    assert!(run.join("result.json").is_file() && run.join("samples.txt").is_file());
    // Each is a run like any other: the same settings train the same again.
    place.stdout(&format!("train --config {}/config.toml --out again", run.display()));
    for name in ["checkpoints/latest/model.safetensors", "samples.txt", "config.toml"] {
        assert!(
            std::fs::read(run.join(name)).unwrap()
                == std::fs::read(place.path(&format!("runs/again/{name}"))).unwrap(),
            "{name}"
        );
    }
    let again = place.stdout("sweep rates.toml");
    assert_eq!(again, format!("8 of 8 runs are there already\n8 runs in 4 groups\n\n{table}"));
    // What is added to the file is made, and nothing else.
    place.write("rates.toml", GRID.replace("0.02]", "0.02, 0.04]"));
    let more = place.stdout("sweep rates.toml --jobs 1");
    assert!(
        more.starts_with(" 8 of 12 runs are there already\nrun  9 / 12 | ")
            || more.starts_with("8 of 12 runs"),
        "{more}"
    );
    assert!(more.contains("12 runs in 6 groups"), "{more}");
}

#[test]
fn a_sweep_that_is_killed_goes_on_to_the_same_results() {
    use std::io::{BufRead, BufReader};
    let (whole, parts) = (Place::new(), Place::new());
    let text_of = GRID.replace("steps = 30", "steps = 400").replace("seeds = 2", "seeds = 5");
    for place in [&whole, &parts] {
        place.write("many.toml", &text_of);
    }
    whole.stdout("sweep many.toml --jobs 2");
    let mut lines_seen = 0;
    for _ in 0..4 {
        let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("microgpt"))
            .args(["sweep", "many.toml", "--jobs", "1"])
            .current_dir(parts.path("."))
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        lines_seen += lines
            .by_ref()
            .take_while(|line| line.is_ok())
            .take(3)
            .filter(|line| line.as_ref().unwrap().starts_with("run "))
            .count();
        // SIGKILL, on Unix.
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let made: Vec<_> =
        files(&parts.path("runs/many")).into_iter().filter(|path| path.ends_with("result.json")).collect();
    assert!(lines_seen >= 8 && made.len() >= lines_seen && made.len() < 20, "{lines_seen} {}", made.len());
    let when = |path: &std::path::PathBuf| std::fs::metadata(path).unwrap().modified().unwrap();
    let times: Vec<_> = made.iter().map(when).collect();
    parts.stdout("sweep many.toml --jobs 2");
    assert_eq!(made.iter().map(when).collect::<Vec<_>>(), times, "what was finished is not made again");
    assert_eq!(results(&parts, "many"), results(&whole, "many"));
    assert!(outcome(&parts.path("runs/many")) == outcome(&whole.path("runs/many")));
}

#[test]
fn tuning_comes_first_and_a_rate_that_diverges_loses() {
    let place = Place::new();
    place.write(
        "tuned.toml",
        "engine = \"fast\"\nsteps = 40\neval_size = 50\n[sweep]\nseeds = [1, 2]\n[tune]\nlr = [1e-6, 0.01, 1e9]\n\
         [[case]]\nname = \"adam\"\n[[case]]\nname = \"sgd\"\noptimizer = \"sgd\"\nmomentum = 0.0\nlr = [1e-6, 0.1]\n",
    );
    let told = place.stdout("sweep tuned.toml");
    assert_eq!(told.lines().filter(|line| line.contains("| tuning ")).count(), 5, "{told}");
    assert!(told.contains("\nadam  0.01 ") && told.contains("\nsgd   0.1 "), "{told}");
    assert!(
        told.contains("sgd,lr=0.1: at the edge of what was tried") && !told.contains("adam,lr=0.01: at"),
        "{told}"
    );
    let csv = results(&place, "tuned");
    assert_eq!((csv.lines().count(), csv.matches(",true,,").count()), (1 + 5 + 4, 5), "{csv}");
    // Runs that were made to tune something are not compared.
    let seen: serde_json::Value =
        serde_json::from_str(&place.stdout("compare tuned --baseline sgd --json")).unwrap();
    assert_eq!((seen["groups"].as_array().unwrap().len(), seen["baseline"].as_u64()), (2, Some(1)));
    assert!(
        seen["groups"][0]["above"].as_f64().unwrap() < 0.0 && seen["groups"][0]["above_interval"].is_number()
    );
}

#[test]
fn a_time_becomes_steps_that_are_kept() {
    let place = Place::new();
    place.write(
        "time.toml",
        "engine = \"fast\"\neval_size = 50\n[grid]\nseconds = [0.02, 0.1]\nn_embd = [8, 48]\n",
    );
    let lines = place.stdout("sweep time.toml --json");
    let steps = |name: &str| -> f64 {
        let outcome = std::fs::read(place.path(&format!("runs/time/{name}/result.json"))).unwrap();
        serde_json::from_slice::<serde_json::Value>(&outcome).unwrap()["steps"].as_f64().unwrap()
    };
    let short = steps("1-seconds=0.02,n_embd=8");
    let long = steps("3-seconds=0.1,n_embd=8");
    // The same time of a step, so five times the steps; and fewer of a larger model.
    assert!((long / short - 5.0).abs() < 0.5, "{short} {long}");
    assert!(steps("4-seconds=0.1,n_embd=48") < long);
    let last: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(last["columns"], serde_json::json!(["seconds", "n_embd"]));
    // What was measured once holds when a run is made again.
    std::fs::remove_file(place.path("runs/time/3-seconds=0.1,n_embd=8/result.json")).unwrap();
    place.stdout("sweep time.toml");
    assert_eq!(steps("3-seconds=0.1,n_embd=8"), long);
}

#[test]
fn what_cannot_be_swept_is_told() {
    let place = Place::new();
    place.write("bad.toml", "steps = 5\n[grid]\nn_layerr = [1]\n");
    assert_eq!(
        place.error("sweep bad.toml"),
        (2, "bad.toml:3: n_layerr: no such setting; did you mean n_layer?".to_string())
    );
    let (code, error) = place.error("sweep none.toml");
    assert_eq!(
        (code, &*error),
        (2, "none.toml: expected a sweep's file (TOML), found no such file or folder")
    );
    place.write("good.toml", "steps = 2\neval_size = 5\n");
    place.stdout("train --steps 2 --out mine");
    let (code, error) = place.error("sweep good.toml --out mine");
    assert!(
        code == 2 && error.starts_with("runs/mine: expected the folder of a sweep, or none, found "),
        "{error}"
    );
    place.stdout("sweep good.toml");
    let (code, error) = place.error("compare nothing");
    assert!(code == 1 && error.starts_with("nothing: expected the folder of a run"), "{error}");
    // Another process has it.
    let lock = std::fs::File::open(place.path("runs/good/.lock")).unwrap();
    lock.lock().unwrap();
    let (code, error) = place.error("sweep good.toml");
    assert!(
        code == 1 && error.ends_with("expected a sweep that is at rest, found one that is under way"),
        "{error}"
    );
}

#[test]
fn two_runs_part_where_their_settings_make_them() {
    let place = Place::new();
    place.write("ten.toml", "steps = 10\nschedule = \"constant\"\nzero_init = false\n");
    for (name, settings) in [
        ("a", ""),
        ("same", ""),
        ("wsd", "--schedule wsd"),
        ("seed", "--seed 7"),
        ("decay", "--weight-decay 0.1"),
        ("batch", "--batch-size 2"),
        ("wide", "--n-embd 8"),
        ("softcap", "--softcap 30"),
        ("fast", "--engine fast"),
    ] {
        place.stdout(&format!("train --config ten.toml --out {name} {settings}"));
    }
    let parts = |b: &str| place.stdout(&format!("compare a {b}")).lines().last().unwrap().to_string();
    assert_eq!(parts("same"), "They do not part: 10 steps are the same.");
    assert!(place.stdout("compare a same").contains("Their settings are the same."));
    // wsd falls in the last fifth of ten steps: the ninth is still at lr.
    assert_eq!(parts("wsd"), "They part in step 10: learning rate 1e-2 and 5e-3.");
    assert!(
        parts("seed").starts_with("They part before step 1: first parameter wte[0, 0]: "),
        "{}",
        parts("seed")
    );
    assert_eq!(parts("batch"), "They part in step 1: they learn from other tokens.");
    assert!(
        parts("wide").starts_with("They part before step 1: wte is 27 x 16 and 27 x 8")
            || parts("wide").contains("wte is "),
        "{}",
        parts("wide")
    );
    assert!(parts("decay").starts_with("They part in step 1: "), "{}", parts("decay"));
    assert!(parts("softcap").starts_with("They part in step 1: loss"), "{}", parts("softcap"));
    assert_eq!(parts("fast"), "They do not part: 10 steps are the same, but for rounding.");
    let value: serde_json::Value = serde_json::from_str(&place.stdout("compare a wsd --json")).unwrap();
    assert_eq!(
        (value["parting"]["step"].as_u64(), value["parting"]["what"].as_str()),
        (Some(10), Some("learning rate"))
    );
    assert_eq!(value["settings"]["schedule"], serde_json::json!(["constant", "wsd"]));
    // Another text than the one that was learnt says nothing about the runs.
    place.write("my.txt", "anna\nbob\n");
    for name in ["m", "n"] {
        place.stdout(&format!("train --config ten.toml --data my.txt --out {name}"));
    }
    place.write("my.txt", "anna\nbob\neve\n");
    let (code, error) = place.error("compare m n");
    assert!(code == 1 && error.contains("expected the text that m was trained on, found another"), "{error}");
    place.stdout("compare m n --replay 0");
    // Not further than asked.
    assert!(place.stdout("compare a wsd --replay 5").ends_with("They do not part: 5 steps are the same.\n"));
}

#[test]
fn a_report_needs_nothing_else() {
    let place = Place::new();
    place.write("rates.toml", GRID.replace("30", "20").replace("0.02]", "0.02, 0.03]"));
    place.stdout("sweep rates.toml");
    assert!(place.stdout("report rates --out r.html --baseline 0.02").starts_with("r.html: "));
    let html = std::fs::read_to_string(place.path("r.html")).unwrap();
    for part in ["12 runs in 6 groups", "Loss over lr", "<svg ", "Samples of the best", "n_embd = "] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("src=") && !html.contains("href=") && !html.contains("NaN"));
    place.stdout("report rates --out r.svg");
    let svg = std::fs::read_to_string(place.path("r.svg")).unwrap();
    assert!(
        svg.starts_with("<svg ")
            && svg.contains("prefers-color-scheme")
            && svg.contains("lr 0.02, n_embd 16"),
        "{svg}"
    );
    place.stdout("train --steps 30 --val-fraction 0.1 --eval-every 10 --out one");
    place.stdout("report one --out one.html");
    let html = std::fs::read_to_string(place.path("one.html")).unwrap();
    assert!(html.contains("guessing: ln 27") && html.contains("held back"), "{html}");
}

#[test]
fn a_speedrun_stops_in_time_and_keeps_its_rules() {
    let place = Place::new();
    let told = place.stdout("speedrun --seconds 0.3 --n-embd 8 --mlp-hidden 16 --batch-size 4 --samples 2");
    for part in [
        "validation loss  ",
        "guessing blindly 3.2958 = ln 27",
        "held back        3226 names",
        "--- samples ---\nsample  1: ",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let value: serde_json::Value = serde_json::from_str(
        &place.stdout("speedrun --seconds 0.2 --n-embd 8 --mlp-hidden 16 --repeat 2 --json"),
    )
    .unwrap();
    let loss = value["val_loss"].as_f64().unwrap();
    assert!(value["n"].as_u64() == Some(2) && loss > 1.8 && loss < 3.4, "{value}");
    assert!(value["runs"][0]["steps"].as_u64().unwrap() > 0 && value["runs"][1]["seed"].as_u64() == Some(2));
    for flag in ["--steps 7", "--val-fraction 0.5", "--data my.txt", "--task copy"] {
        let (code, error) = place.error(&format!("speedrun {flag}"));
        assert!(code == 2 && error.contains("expected a setting that is not fixed in a speedrun"), "{error}");
    }
    let two = place.stdout("speedrun --seconds 0.2 --n-embd 8 --micro-batches 2 --workers 2 --batch-size 8");
    assert!(two.contains("; 2 workers; "), "{two}");
    assert!(text(two.as_bytes()).contains("1 times the 29031") || two.contains(" times the 29031"), "{two}");
}
