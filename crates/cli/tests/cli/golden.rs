//! What microgpt.py prints, this prints; and what was trained is there afterwards.

use crate::place::{Place, files, text};

const ARTICLE: &str = include_str!("../../../../tests/golden/article_ssa.stdout");
const FINAL: &str = include_str!("../../../../tests/golden/final_ssa.stdout");

#[test]
fn without_arguments_it_prints_what_microgpt_py_prints() {
    let place = Place::new();
    assert_eq!(place.stdout(""), ARTICLE);
    // The first weights come back from the disk, and chance goes on where it was: the same samples.
    let samples: String =
        ARTICLE.split_inclusive('\n').skip_while(|line| !line.starts_with("sample")).collect();
    assert_eq!(place.stdout("generate microgpt-1"), samples);
    let written = std::fs::read_to_string(place.path("runs/microgpt-1/samples.txt")).unwrap();
    assert_eq!(written.lines().count(), 20);
    assert!(samples.lines().zip(written.lines()).all(|(line, sample)| line[11..] == *sample));
    let metrics = std::fs::read_to_string(place.path("runs/microgpt-1/metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), 500);
    // A second run stands beside the first.
    assert_eq!(place.stdout("--no-save"), ARTICLE);
    assert_eq!(place.stdout("train"), ARTICLE);
    assert_eq!(std::fs::read_dir(place.path("runs")).unwrap().count(), 2);
    let names: Vec<String> = files(&place.path("runs/microgpt-2"))
        .iter()
        .map(|path| path.strip_prefix(place.path("runs/microgpt-2")).unwrap().display().to_string())
        .collect();
    let expected = [
        ".lock",
        "checkpoints/latest/SHA256SUMS",
        "checkpoints/latest/model.safetensors",
        "checkpoints/latest/optimizer.safetensors",
        "checkpoints/latest/state.json",
        "config.toml",
        "events.out.tfevents.microgpt",
        "metrics.jsonl",
        "samples.txt",
        "tokenizer.json",
    ];
    assert_eq!(names, expected);
}

#[test]
fn the_other_revision_too() {
    let place = Place::new();
    assert_eq!(place.stdout("train --preset microgpt-final --out mine"), FINAL.replace('\r', "\n"));
    // Its resolved settings are those of a run that is the same to the last byte.
    assert_eq!(place.stdout("train --config runs/mine/config.toml --out ./other"), FINAL.replace('\r', "\n"));
    let model =
        |run: &str| std::fs::read(place.path(run).join("checkpoints/latest/model.safetensors")).unwrap();
    assert!(model("runs/mine") == model("other"));
}

#[test]
fn a_folder_that_cannot_be_written_to_does_not_stop_the_first_run() {
    let place = Place::new();
    place.write("runs", "a file, where a folder should be");
    let output = place.microgpt("").output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(0), ARTICLE));
    assert!(text(&output.stderr).contains("; the run is not saved"));
    let (code, error) = place.error("train --out mine");
    assert!(code == 1 && error.starts_with("runs/mine: expected a place to write to"), "{error}");
}

#[test]
fn all_sides_of_the_settings_reach_the_run() {
    let place = Place::new();
    place.write("my.txt", "anna\nÅsa\n東京\n");
    place.write("my.toml", "steps = 3\nsamples = 1\nn_embd = 8\n# a comment\ndata = \"my.txt\"\n");
    let output = place
        .microgpt("train --config my.toml --steps 2 --n_head 2 --json --out mine")
        .env("MICROGPT_STEPS", "7")
        .env("MICROGPT_N_LAYER", "2")
        .output()
        .unwrap();
    let lines: Vec<serde_json::Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["begin", "step", "step", "sample"]);
    assert_eq!((&lines[0]["num_docs"], &lines[0]["vocab_size"]), (&3.into(), &7.into()));
    let config = std::fs::read_to_string(place.path("runs/mine/config.toml")).unwrap();
    for line in ["steps = 2 ", "n_layer = 2 ", "n_embd = 8 ", "n_head = 2 "] {
        assert!(config.contains(&format!("\n{line}")), "{line}: {config}");
    }
    let from_stdin =
        place.microgpt("train --data - --steps 1 --samples 0").write_stdin("a\nb\n").output().unwrap();
    assert!(text(&from_stdin.stdout).starts_with("num docs: 2\nvocab size: 3\n"));
}

#[test]
fn generate_follows_its_flags() {
    let place = Place::new();
    place.stdout("train --steps 20 --samples 0 --out mine");
    let some = place.stdout("generate mine --prompt an --samples 3 --temperature 2 --seed 7");
    assert!(some.lines().count() == 3 && some.lines().all(|line| line[11..].starts_with("an")), "{some}");
    assert_eq!(
        some,
        place
            .stdout("generate runs/mine/checkpoints/latest --prompt=an --samples=3 --temperature=2 --seed=7")
    );
    assert_ne!(some, place.stdout("generate ./runs/mine --prompt an --samples 3 --temperature 2 --seed 8"));
    let json = place.stdout("generate mine --samples 1 --json");
    let event: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(event["text"].is_string());
}

#[test]
fn prove_prints_a_table_and_list_names_everything() {
    let place = Place::new();
    let table = place.stdout("prove --n-embd 4 --n-head 2 --block-size 4");
    assert!(table.contains("gradient of layer0.attn_wq") && table.ends_with("at most 1e-5).\n"), "{table}");
    assert!(table.contains("ok    fast engine: gradients"), "{table}");
    let json = place.stdout("prove --n-embd 4 --n-head 2 --block-size 4 --json");
    let last: serde_json::Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    assert_eq!(last["passed"], true);
    for plant in ["derivative", "future", "norm-off-tape", "stale-kv"] {
        let words = format!("prove --n-embd 4 --n-head 2 --block-size 4 --plant {plant}");
        let output = place.microgpt(&words).output().unwrap();
        let table = text(&output.stdout);
        assert!(output.status.code() == Some(1) && table.contains("\nWRONG "), "{plant}: {table}");
    }
    let list = place.stdout("list");
    let help = place.stdout("train --help");
    for knob in microgpt::Config::knobs() {
        let flag = format!("--{}", knob.name.replace('_', "-"));
        assert!(list.contains(&flag) && help.contains(&flag), "{flag}");
        assert!(knob.choices.iter().all(|(name, help)| list.contains(name) && list.contains(help)));
    }
    for preset in microgpt_runs::presets::PRESETS {
        assert!(list.contains(preset.name) && help.contains(preset.name), "{}", preset.name);
    }
    assert!(place.stdout("--help").contains("Exit codes:"));
}
