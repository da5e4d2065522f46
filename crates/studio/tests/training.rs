//! What the studio trains is what `microgpt train` trains.

mod common;

use common::*;
use microgpt::batch::Batch;
use microgpt::rng::Rng;
use microgpt::train::Trainer;
use microgpt_studio::json::Json;
use serde_json::json;

/// Steps large enough that workers share them, wherever there are two processors.
#[test]
fn steps_that_workers_share_have_the_bits_of_one() {
    let (_root, studio) = studio();
    let shared = json!({"n_embd": "32", "batch_size": "128", "micro_batches": "2", "steps": "6"});
    let session = begin(&studio, "mine", &shared, 2);
    // It rests in between, and its course becomes longer.
    post(&studio, "/api/v1/runs/mine/train", &json!({"do": "go", "steps": 2}));
    drive(&session);

    let config = microgpt::Config { steps: 8, ..session.settings.config.clone() };
    let mut rng = Rng::new(config.seed);
    let mut corpus = session.settings.read_data().unwrap().corpus(&config, None, &mut rng).unwrap();
    let mut alone = Trainer::<f64>::new(config, corpus.tokenizer.vocab_size(), &mut rng).unwrap();
    let processors = std::thread::available_parallelism().map_or(1, |n| n.get());
    assert_eq!(microgpt_workers::choose(&alone, 0), processors.min(2));
    let mut batch = Batch::default();
    for step in 0..8 {
        alone.config.steps = if step < 2 { 6 } else { 8 };
        corpus.fill(&mut batch, step * 128, 128, alone.config.block_size).unwrap();
        alone.step(&batch).unwrap();
    }
    let same = |step: usize| {
        let weights = session.weights(step).unwrap();
        alone.params().iter().enumerate().all(|(i, x)| weights.get(i).to_bits() == x.to_bits())
    };
    assert!(same(8) && !same(7));
    // So it is when all is made again.
    let run = post(&studio, "/api/v1/runs/mine/replay", &json!({}));
    assert_eq!(run["history"]["agrees"], true);
    assert!(same(8));
}

#[test]
fn a_model_that_no_machine_has_room_for_is_refused() {
    let (root, studio) = studio();
    let huge = json!({"settings": {"n_embd": "1000000", "n_head": "1", "n_layer": "9000"}});
    let (status, error) = refused(&studio, "/api/v1/runs", &huge);
    assert!(
        status == 400 && error.contains("expected a model of at most") && error.contains("GB are free"),
        "{error}"
    );
    assert!(!root.path().join("runs/microgpt-1").exists());
}

#[test]
fn of_a_text_of_ones_own_a_tenth_is_held_back() {
    let (_root, studio) = studio();
    let text = |documents: usize| (0..documents).map(|i| format!("anna{i}\n")).collect::<String>();
    let held_back = |name: &str, mut body: Json, text: &str| {
        (body["name"], body["go"]) = (name.into(), false.into());
        body["data"] = json!({"from": "text", "text": text});
        let run = post(&studio, "/api/v1/runs", &body);
        run["settings"]["val_fraction"].as_str().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!(held_back("own", json!({"settings": {"steps": "4", "eval_every": "2"}}), &text(120)), 0.1);
    // Too little to tell anything; said otherwise; of a preset that says how much.
    assert_eq!(held_back("short", json!({}), &text(20)), 0.0);
    assert_eq!(held_back("said", json!({"settings": {"val_fraction": "0.2"}}), &text(120)), 0.2);
    assert_eq!(held_back("nothing", json!({"settings": {"val_fraction": "0"}}), &text(120)), 0.0);
    assert_eq!(held_back("preset", json!({"preset": "microgpt"}), &text(120)), 0.0);
    assert_eq!(post(&studio, "/api/v1/runs", &json!({"go": false}))["settings"]["val_fraction"], "0.0");

    step(&studio, "own", 4);
    let news = get(&studio, "/api/v1/runs/own/news");
    assert_eq!(news["validations"].as_array().unwrap().len(), 2, "{}", news["validations"]);
}

/// What is told of a step while it is made, and what is found out about it later.
#[test]
fn how_each_matrix_moved_is_known_of_every_step() {
    let tells_the_same = |settings: &Json, steps: usize, exactly: bool| {
        let (_root, studio) = studio();
        begin(&studio, "mine", settings, 0);
        for at in 1..=steps {
            step(&studio, "mine", 1);
            let told = get(&studio, "/api/v1/runs/mine/news")["measures"].clone();
            let found = post(&studio, "/api/v1/runs/mine/measures", &json!({"step": at}));
            assert_eq!((&told["step"], &found["step"]), (&json!(at), &json!(at)));
            let pairs = |measures: &Json| -> Vec<f64> {
                let all = measures["matrices"].as_array().unwrap().iter().chain([measures]);
                all.flat_map(|m| ["gradient", "update_ratio"].map(|name| number(&m[name]))).collect()
            };
            for (a, b) in pairs(&told).into_iter().zip(pairs(&found)) {
                assert!(a == b || !exactly && (a - b).abs() <= 1e-9 * a.abs(), "step {at}: {a} {b}");
            }
        }
        // Of an earlier one, when others came after it.
        let first = post(&studio, "/api/v1/runs/mine/measures", &json!({"step": 1}));
        assert_eq!(first["matrices"].as_array().unwrap().len(), told_matrices(&studio));
        for wrong in [0, steps + 1] {
            let (status, error) = refused(&studio, "/api/v1/runs/mine/measures", &json!({"step": wrong}));
            let expected = format!("step: expected one from 1 to {steps}, found {wrong}");
            assert_eq!((status, error), (404, expected));
        }
    };
    tells_the_same(&json!({"steps": "20"}), 4, true);
    tells_the_same(&all_variants(), 3, false);
    tells_the_same(&json!({"steps": "20", "batch_size": "6", "micro_batches": "2"}), 3, false);
}

fn told_matrices(studio: &microgpt_studio::Studio) -> usize {
    get(studio, "/api/v1/runs/mine/model")["matrices"].as_array().unwrap().len()
}
