//! Every number of the API is that of the library.

mod common;

use common::*;
use microgpt::batch::Batch;
use microgpt::corpus::Corpus;
use microgpt::engine::scalar::Scalar;
use microgpt::inspect;
use microgpt::op::Op;
use microgpt::rng::Rng;
use microgpt::tensor::{Engine, Learner};
use microgpt::train::Trainer;
use microgpt_runs::Settings;
use microgpt_studio::json::Json;
use microgpt_studio::openapi::{EXAMPLES, document};
use microgpt_studio::routes::ROUTES;
use microgpt_studio::{Request, weights::Weights};
use serde_json::json;

/// The same training by the library alone.
struct Own {
    corpus: Corpus,
    trainer: Trainer<f64>,
}

impl Own {
    fn new(settings: &Settings, steps: usize) -> Own {
        let config = settings.config.clone();
        let mut rng = Rng::new(config.seed);
        let mut corpus = settings.read_data().unwrap().corpus(&config, None, &mut rng).unwrap();
        let mut trainer = Trainer::<f64>::new(config, corpus.tokenizer.vocab_size(), &mut rng).unwrap();
        let mut batch = Batch::default();
        for step in 0..steps {
            let (size, block) = (trainer.config.batch_size, trainer.config.block_size);
            corpus.fill(&mut batch, step * size, size, block).unwrap();
            trainer.step(&batch).unwrap();
        }
        Own { corpus, trainer }
    }

    /// A text through an engine of its own, forward and backward.
    fn engine(&self, text: &str) -> (Scalar, Batch) {
        let tokenizer = &self.corpus.tokenizer;
        let mut tokens = vec![tokenizer.bos()];
        tokenizer.encode_into(text, &mut tokens).unwrap();
        tokens.push(tokenizer.bos());
        let mut batch = Batch::default();
        batch.push_document(&tokens, self.trainer.config.block_size);
        let mut engine = Scalar::new(self.trainer.params().to_vec());
        engine.begin(&batch);
        let [_, objective] = self.trainer.model.loss(&engine, &batch).map(|tensor| tensor.id());
        engine.backward(objective);
        (engine, batch)
    }
}

fn look_equals_the_library(settings: &Json, steps: usize) {
    let (_root, studio) = studio();
    let session = begin(&studio, "mine", settings, steps);
    let own = Own::new(&session.settings, steps);
    let (engine, batch) = own.engine("emma");
    let names: Vec<String> = inspect::names(&engine);
    let matrices = own.trainer.model.layout.matrices().to_vec();
    let wants: Vec<Json> = names
        .iter()
        .chain(matrices.iter().map(|m| &m.name))
        .map(|name| json!({"name": name, "grad": true}))
        .collect();
    let look = post(&studio, "/api/v1/runs/mine/look", &json!({"text": "emma", "want": wants}));
    let windows = look["windows"].as_array().unwrap();
    assert_eq!(windows.len(), wants.len());
    for window in windows {
        let name = window["name"].as_str().unwrap();
        let (values, grads) = (table(&window["values"]), table(&window["grads"]));
        let (own_values, own_grads) = match inspect::find(&engine, name) {
            Some(node) => (engine.values(node.id), engine.grads(node.id)),
            None => {
                let matrix = matrices.iter().find(|m| m.name == name).unwrap();
                let all = engine.nodes().into_iter().find_map(|node| match node.op {
                    Op::Param { offset }
                        if offset <= matrix.offset && matrix.offset < offset + node.shape.len() =>
                    {
                        Some((offset, engine.grads(node.id)))
                    }
                    _ => None,
                });
                let (offset, grads) = all.unwrap();
                let range = matrix.offset - offset..matrix.offset - offset + matrix.shape.len();
                (own.trainer.params()[matrix.range()].to_vec(), grads[range].to_vec())
            }
        };
        let same = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()));
        assert_eq!(values.len(), own_values.len(), "{name}");
        assert!(same(&values, &own_values) && same(&grads, &own_grads), "{name}");
    }
    let loss = inspect::find(&engine, "loss").unwrap();
    assert_eq!(number(&look["loss"]), engine.number(loss.id, 0, 0));
    // Each token's loss is that of its probability.
    for token in look["tokens"].as_array().unwrap() {
        assert!((number(&token["loss"]) + number(&token["probability"]).ln()).abs() < 1e-9, "{token}");
    }
    assert_eq!(look["tokens"].as_array().unwrap().len(), batch.rows());
}

#[test]
fn every_number_and_gradient_is_the_librarys() {
    look_equals_the_library(&json!({"steps": "20"}), 7);
    look_equals_the_library(&all_variants(), 5);
    look_equals_the_library(&json!({"position": "alibi", "norm_place": "post", "n_layer": "2"}), 2);
    look_equals_the_library(
        &json!({"attention": "linear", "position": "sinusoidal", "tokenizer": "byte"}),
        2,
    );
    for model in ["bigram", "bigram_counts", "mlp", "rnn", "gru"] {
        look_equals_the_library(&json!({"model": model}), 3);
    }
}

#[test]
fn each_route_is_described_and_each_example_answered() {
    let (_root, studio) = studio();
    let emma = json!({"steps": "20"});
    begin(&studio, "mine", &emma, 5);
    let document = document();
    for route in ROUTES {
        let described = &document["paths"][route.path][route.method.to_ascii_lowercase()];
        assert_eq!(described["summary"], route.about, "{}", route.path);
        assert!(described["responses"].is_object() && described["operationId"].is_string());
        let path = route.path.replace("{id}", "mine");
        if route.method == "POST" {
            let example = EXAMPLES.iter().find(|(path, _)| *path == route.path);
            let (_, example) = example.unwrap_or_else(|| panic!("{} has no example", route.path));
            let example: Json = serde_json::from_str(example).unwrap();
            assert_eq!(described["requestBody"]["content"]["application/json"]["example"], example);
            let response = studio.handle(&Request::post(&path, &example));
            let text = String::from_utf8_lossy(&response.body);
            assert!([200, 201].contains(&response.status), "{path}: {text}");
        } else if route.method == "GET" {
            assert_eq!(studio.handle(&Request::get(&path)).status, 200, "{path}");
        }
    }
    assert_eq!(ROUTES.iter().filter(|route| route.method == "POST").count(), EXAMPLES.len());
    let closed = studio.handle(&Request {
        method: "DELETE".into(),
        path: "/api/v1/runs/mine".into(),
        ..Request::default()
    });
    assert_eq!((closed.status, studio.handle(&Request::get("/api/v1/runs/mine")).status), (200, 404));
    assert_eq!(
        studio
            .handle(&Request { method: "PUT".into(), path: "/api/v1/runs".into(), ..Request::default() })
            .status,
        405
    );
}

/// A run that was saved, opened elsewhere, and made again, in any order of steps.
#[test]
fn what_is_replayed_has_the_same_bits() {
    let fast = json!({"engine": "fast", "steps": "40", "batch_size": "2", "dropout": "0.2"});
    for settings in [json!({"steps": "40"}), all_variants(), fast] {
        let (root, studio) = studio();
        let session = begin(&studio, "mine", &settings, 23);
        let all: Vec<Weights> = (0..=23).map(|step| session.weights(step).unwrap()).collect();
        assert!(
            all.windows(2).all(|pair| pair[0].parted(&pair[1]).is_some()),
            "every step changes something"
        );
        post(&studio, "/api/v1/runs/mine/train", &json!({"do": "stop"}));

        let other = again(&root);
        let opened = post(&other, "/api/v1/runs/open", &json!({"name": "mine"}));
        assert_eq!((opened["step"].as_u64(), opened["history"]["kept"].as_u64()), (Some(23), Some(2)));
        let opened = other.session("mine").unwrap();
        for step in [17, 5, 6, 22, 23, 0, 11, 1] {
            assert_eq!(opened.weights(step).unwrap().parted(&all[step]), None, "step {step} of {settings}");
        }
        let replayed = post(&other, "/api/v1/runs/mine/replay", &json!({}));
        assert_eq!(
            (&replayed["history"]["agrees"], replayed["history"]["kept"].as_u64()),
            (&json!(true), Some(24))
        );
        // And it goes on as if nothing had happened.
        step(&other, "mine", 5);
        let (_root, whole) = common::studio();
        let whole = begin(&whole, "mine", &settings, 28);
        assert_eq!(opened.weights(28).unwrap().parted(&whole.weights(28).unwrap()), None);
        // The first does not know of it, and leaves what is there alone.
        step(&studio, "mine", 1);
        let (summary, error) = (session.summary(), "it was trained elsewhere");
        assert!(
            summary["status"] == "failed" && summary["error"].as_str().unwrap().contains(error),
            "{}",
            summary["error"]
        );
        assert_eq!(get(&studio, "/api/v1/runs")["saved"][0]["steps"], 28);
    }
}

/// More steps are another course; a replay follows both.
#[test]
fn a_run_that_was_made_longer_is_replayed_as_it_was() {
    let (root, studio) = studio();
    let session = begin(&studio, "mine", &json!({"steps": "10"}), 10);
    assert_eq!(session.summary()["status"], "done");
    post(&studio, "/api/v1/runs/mine/train", &json!({"do": "go", "steps": 6}));
    drive(&session);
    assert_eq!((session.last(), session.summary()["status"].clone()), (16, json!("done")));
    let other = again(&root);
    post(&other, "/api/v1/runs/open", &json!({"name": "mine"}));
    let replayed = post(&other, "/api/v1/runs/mine/replay", &json!({}));
    assert_eq!(replayed["history"]["agrees"], true);
    assert_eq!(other.session("mine").unwrap().weights(8).unwrap().parted(&session.weights(8).unwrap()), None);
}

#[test]
fn a_server_that_dies_goes_on_from_its_checkpoint() {
    let (root, first) = studio();
    post(&first, "/api/v1/runs", &json!({"name": "mine", "settings": {"steps": "60"}, "go": true}));
    let session = first.session("mine").unwrap();
    // Time passes quickly: a checkpoint is written every few steps.
    let time = std::cell::Cell::new(0.0);
    let clock = || {
        time.set(time.get() + 1.0);
        time.get()
    };
    (0..31).for_each(|_| assert!(session.advance(&clock)));
    let cursor = get(&first, "/api/v1/runs/mine/news")["cursor"].as_str().unwrap().to_string();
    drop((first, session));

    let second = microgpt_studio::Studio::new(
        microgpt_studio::shelf::Shelf::new(root.path().join("runs")),
        microgpt_studio::form::Start::default(),
        "another life".into(),
        Box::new(|_| {}),
    );
    assert_eq!(second.revive(), ["mine"]);
    let session = second.session("mine").unwrap();
    let summary = session.summary();
    let step = summary["step"].as_u64().unwrap();
    assert!(step > 20 && step <= 31 && summary["status"] == "training", "{step} {}", summary["status"]);
    // The page's cursor is of another life: it is told to begin anew, and gets the whole curve.
    let news = get(&second, &format!("/api/v1/runs/mine/news?since={cursor}"));
    assert_eq!(
        (&news["reset"], news["steps"]["step"].as_array().unwrap().len() as u64),
        (&json!(true), step)
    );
    drive(&session);
    assert_eq!(session.summary()["status"], "done");
    let (_root, whole) = studio();
    let whole = begin(&whole, "mine", &json!({"steps": "60"}), 60);
    assert_eq!(session.weights(60).unwrap().parted(&whole.weights(60).unwrap()), None);
    // What is done does not begin again.
    drop((second, session));
    assert!(again(&root).revive().is_empty());
}

#[test]
fn news_are_told_once() {
    let (_root, studio) = studio();
    begin(
        &studio,
        "mine",
        &json!({"steps": "50", "val_fraction": "0.1", "eval_every": "5", "eval_size": "3"}),
        10,
    );
    let news = get(&studio, "/api/v1/runs/mine/news");
    assert_eq!(news["steps"]["step"], json!([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]));
    assert_eq!(news["validations"].as_array().unwrap().len(), 2);
    assert_eq!(news["measures"]["step"], 10);
    assert!(news["samples"].as_array().unwrap().len() >= 4 && news["measures"]["words"].is_string());
    assert_eq!(news["measures"]["matrices"][0]["name"], "wte");
    let cursor = news["cursor"].as_str().unwrap();
    step(&studio, "mine", 1);
    let news = get(&studio, &format!("/api/v1/runs/mine/news?since={cursor}"));
    assert_eq!((&news["steps"]["step"], news["validations"].as_array().unwrap().len()), (&json!([11]), 0));
    assert!(news["reset"].is_null());
    // Losses are the library's.
    let session = studio.session("mine").unwrap();
    let own = Own::new(&session.settings, 10);
    let params = session.weights(10).unwrap().to_f64();
    assert_eq!(params, own.trainer.params().to_vec());
}

#[test]
fn a_mistake_is_told() {
    let (_root, studio) = studio();
    begin(&studio, "mine", &json!({}), 2);
    for (path, body, status, error) in [
        ("look", json!({"stepp": 1}), 400, "stepp: no such field; did you mean step?"),
        ("look", json!({"step": 3}), 404, "step: expected at most 2, found 3"),
        ("look", json!({"text": "É"}), 400, "text: expected only the 26 characters"),
        (
            "look",
            json!({"want": [{"name": "nothing"}]}),
            404,
            "name: expected a tensor or matrix, found \"nothing\"",
        ),
        (
            "look",
            json!({"text": "a", "batch": true}),
            400,
            "expected one of text, tokens, document and batch",
        ),
        ("look", json!({"tokens": [99]}), 400, "tokens: expected tokens below 27, found 99"),
        ("look", json!({"edits": [{"kind": "head", "layer": 5, "head": 0}]}), 404, "name: expected a tensor"),
        (
            "look",
            json!({"edits": [{"kind": "head", "layer": 0, "head": 4}]}),
            404,
            "head: expected less than 4",
        ),
        (
            "why",
            json!({"place": {"name": "layer0.q", "row": 9, "col": 0}}),
            404,
            "row: expected less than 1, found 9",
        ),
        ("why", json!({}), 400, "place: expected a value, found none"),
        ("op", json!({"at": 100_000}), 404, "at: expected less than"),
        ("train", json!({"do": "dance"}), 400, "do: expected go, step, pause or stop"),
        (
            "train",
            json!({"do": "go", "until": "1 +"}),
            400,
            "until: expected a number, a name or (, found the end",
        ),
        (
            "break",
            json!({"on": {"condition": "nix > 1"}}),
            404,
            "condition: expected a tensor or matrix, found \"nix\"",
        ),
        ("next", json!({"temperature": 0.0}), 400, "temperature: expected more than 0"),
        ("save", json!({"name": "../x"}), 409, "name: the run is saved as \"mine\" already"),
    ] {
        let (found, text) = refused(&studio, &format!("/api/v1/runs/mine/{path}"), &body);
        assert!(found == status && text.starts_with(error), "{path} {body}: {found} {text}");
    }
    for name in ["../x", "a/b", ".", "open", "mine"] {
        assert!(refused(&studio, "/api/v1/runs", &json!({"name": name})).0 >= 400, "{name}");
        assert!(
            name == "mine" || refused(&studio, "/api/v1/runs/open", &json!({"name": name})).0 >= 400,
            "{name}"
        );
    }
    let (status, error) = refused(&studio, "/api/v1/runs", &json!({"preset": "shakespeare-char"}));
    assert!(status == 400 && error.contains("expected a text to learn from"), "{error}");
    assert_eq!(
        get(&studio, "/api/v1/runs")["saved"].as_array().unwrap().len(),
        1,
        "what failed left no folder"
    );
    let check = post(&studio, "/api/v1/form/check", &json!({"settings": {"n_head": "3"}}));
    assert_eq!((&check["ok"], &check["name"]), (&json!(false), &json!("n_embd")));
    assert_eq!(post(&studio, "/api/v1/form/check", &json!({}))["parameters"], 4064);
}

#[test]
fn of_two_answers_about_a_run_the_newer_can_be_told() {
    let (_root, studio) = studio();
    begin(&studio, "mine", &json!({"steps": "8"}), 2);
    let version = |run: &Json| run["version"].as_u64().unwrap();
    let about = || version(&get(&studio, "/api/v1/runs/mine"));
    let before = about();
    assert_eq!(before, version(&get(&studio, "/api/v1/runs/mine/news")["run"]), "nothing came in between");
    step(&studio, "mine", 1);
    let stepped = about();
    assert!(stepped > before);
    // Closed and opened again it is another in the program, and still the same that got older.
    let close = Request { method: "DELETE".into(), ..Request::get("/api/v1/runs/mine") };
    assert_eq!(studio.handle(&close).status, 200);
    assert_eq!(get(&studio, "/api/v1")["open"], json!([]));
    assert!(version(&post(&studio, "/api/v1/runs/open", &json!({"name": "mine"}))) > stepped);
    assert_eq!(get(&studio, "/api/v1")["open"], json!(["mine"]));
}
