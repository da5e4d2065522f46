//! Why a number is what it is, step by step, what if, what next: each held against the library, or against itself done
//! another way.

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::*;
use microgpt_studio::Studio;
use microgpt_studio::json::Json;
use serde_json::json;

fn one() -> (tempfile::TempDir, Studio) {
    let (root, studio) = studio();
    begin(
        &studio,
        "mine",
        &json!({"steps": "60", "zero_init": "false", "init_std": "0.2", "n_layer": "2"}),
        12,
    );
    (root, studio)
}

fn ask(studio: &Studio, what: &str, body: &Json) -> Json {
    post(studio, &format!("/api/v1/runs/mine/{what}"), body)
}

fn loss(studio: &Studio, edits: &Json) -> f64 {
    number(&ask(studio, "look", &json!({"text": "emma", "edits": edits}))["loss"])
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 + 1e-9 * a.abs().max(b.abs())
}

/// Follows a number back to parameters, link by link: what each hands on is what the other has from it.
#[test]
fn every_link_says_the_same_from_both_ends() {
    for settings in
        [json!({"zero_init": "false", "init_std": "0.2"}), all_variants(), json!({"model": "gru"})]
    {
        let (_root, studio) = studio();
        begin(&studio, "mine", &settings, 3);
        let mut open = vec![json!({"name": "loss", "row": 0, "col": 0})];
        let mut seen = 0;
        while let Some(place) = open.pop() {
            let why = ask(&studio, "why", &json!({"text": "emma", "place": place, "most": 10_000}));
            let value = number(&why["place"]["value"]);
            let grad = number(&why["place"]["grad"]);
            let users: f64 = why["users"].as_array().unwrap().iter().map(|user| number(&user["flows"])).sum();
            if why["op"] != "columns" && seen > 0 {
                assert!(close(users, grad), "{place}: {users} {grad}");
            }
            let inputs = why["inputs"].as_array().unwrap();
            // A sum of products is the sum of its pairs.
            if why["op"] == "linear" {
                let sum: f64 =
                    inputs.chunks(2).map(|pair| number(&pair[0]["value"]) * number(&pair[1]["value"])).sum();
                assert!(close(sum, value), "{place}: {sum} {value}");
                assert_eq!((&inputs[0]["pair"], &inputs[1]["pair"]), (&json!(1), &json!(0)));
            }
            let source = &why["source"];
            let (file, line) = (source["file"].as_str().unwrap(), source["line"].as_u64().unwrap() as usize);
            let lines = get(&studio, &format!("/api/v1/source?file={file}"));
            assert_eq!(lines["lines"][line - 1].as_str().unwrap().trim(), source["text"], "{file}:{line}");
            seen += 1;
            if seen < 60 {
                // Not all of them: the first, the last and the middle.
                let picks = [0, inputs.len() / 2, inputs.len().saturating_sub(1)];
                open.extend(picks.iter().filter_map(|&i| inputs.get(i)).cloned());
                open.truncate(40);
            }
        }
        assert!(seen >= 40, "{seen}");
    }
}

#[test]
fn a_default_model_has_a_line_of_microgpt_for_nearly_everything() {
    let (_root, studio) = studio();
    begin(&studio, "mine", &json!({}), 1);
    let ops = ask(&studio, "ops", &json!({"text": "emma"}));
    let mut lines = std::collections::BTreeSet::new();
    for op in
        ops["ops"].as_array().unwrap().iter().filter(|op| op["phase"] == "forward" && op["op"] != "param")
    {
        let line = &op["source"]["microgpt"];
        assert!(line["line"].is_u64(), "{} {} has none", op["op"], op["label"]);
        lines.insert(line["text"].as_str().unwrap().to_string());
    }
    for piece in
        ["let query = linear(&n, wq);", "losses.push(", "let weights", "x = add(&linear(&hidden, fc2), &x);"]
    {
        assert!(
            piece == "let weights" || lines.iter().any(|line| line.contains(piece)),
            "{piece} of {lines:#?}"
        );
    }
    let backward = ops["ops"].as_array().unwrap().last().unwrap();
    assert!(backward["source"]["backward"]["text"].as_str().unwrap().contains("Op::Param"), "{backward}");
}

#[test]
fn what_if_is_what_the_changed_model_computes() {
    let (_root, studio) = one();
    let plain = loss(&studio, &json!([]));
    // A head is silent where the map of what it has found is 0; so is a neuron.
    let zero = |name: &str, col: usize, rows: usize| {
        (0..rows)
            .map(move |row| json!({"kind": "weight", "name": name, "row": row, "col": col, "value": 0.0}))
            .collect::<Vec<_>>()
    };
    let wo: Vec<Json> = (8..12).flat_map(|col| zero("layer0.attn_wo", col, 16)).collect();
    let head = loss(&studio, &json!([{"kind": "head", "layer": 0, "head": 2}]));
    assert!(close(head, loss(&studio, &wo.into())) && head != plain);
    let neuron = loss(&studio, &json!([{"kind": "neuron", "layer": 1, "neuron": 17}]));
    assert!(close(neuron, loss(&studio, &zero("layer1.mlp_fc2", 17, 16).into())));
    // A token's stream at the end of the first layer, as another text has it: all the same where the text is the same.
    let from = |text: &str, row: usize| json!([{"kind": "from", "name": "layer0.stream", "row": row, "text": text, "from_row": row}]);
    assert_eq!(loss(&studio, &from("emma", 2)), plain);
    assert_eq!(loss(&studio, &from("emily", 2)), plain, "emm and emi have the same e and m so far");
    assert_ne!(loss(&studio, &from("emily", 3)), plain);
    // A gradient predicts a small change.
    let place = json!({"name": "layer0.stream_mid", "row": 1, "col": 4});
    let why = ask(&studio, "why", &json!({"text": "emma", "place": place}));
    let (value, grad) = (number(&why["place"]["value"]), number(&why["place"]["grad"]));
    let at = |value: f64| {
        loss(
            &studio,
            &json!([{"kind": "value", "name": "layer0.stream_mid", "row": 1, "col": 4, "value": value}]),
        )
    };
    assert!((at(value + 1e-5) - at(value - 1e-5) - 2e-5 * grad).abs() < 1e-11, "{grad}");
    assert_eq!(at(value), plain);
    // What is held hands no gradient back: with all of the first stream held, nothing before it matters.
    let rows: Vec<Json> =
        (0..5).map(|row| json!({"kind": "value", "name": "embedded", "row": row, "value": 0.5})).collect();
    let look = ask(
        &studio,
        "look",
        &json!({"text": "emma", "edits": rows, "want": [
        {"name": "wte", "grad": true}, {"name": "embedded", "grad": true}, {"name": "layer0.attn_wv", "grad": true}]}),
    );
    let most =
        |i: usize| table(&look["windows"][i]["grads"]).iter().fold(0.0, |most: f64, g| most.max(g.abs()));
    assert!(most(0) == 0.0 && most(1) > 0.0, "tokens have no say, but the held numbers have a gradient");
    assert!(table(&look["windows"][1]["values"]).iter().all(|&x| x == 0.5));
    // Before and after stand side by side.
    let before = ask(&studio, "look", &json!({"text": "emma", "want": [{"name": "embedded"}]}));
    assert_eq!(
        (&look["windows"][1]["before"], &look["before"]["loss"]),
        (&before["windows"][0]["values"], &before["loss"])
    );
}

#[test]
fn the_lens_ends_in_the_probabilities() {
    for settings in [json!({"n_layer": "2"}), all_variants(), json!({"model": "rnn"})] {
        let (_root, studio) = studio();
        begin(&studio, "mine", &settings, 2);
        let look = ask(
            &studio,
            "look",
            &json!({"text": "emma", "want": [{"name": "probabilities"}, {"name": "lens"}]}),
        );
        let windows = look["windows"].as_array().unwrap();
        assert!(windows.len() >= 3, "{}", windows.len());
        let (last, all) = (table(&windows.last().unwrap()["values"]), table(&windows[0]["values"]));
        assert_eq!(last, all, "{settings}");
        assert!(all.chunks(27).all(|row| (row.iter().sum::<f64>() - 1.0).abs() < 1e-12));
        // Each of them may be asked why.
        let name = windows[1]["name"].as_str().unwrap();
        let why = ask(&studio, "why", &json!({"text": "emma", "place": {"name": name, "row": 1, "col": 2}}));
        assert_eq!(number(&why["place"]["value"]), table(&windows[1]["values"])[27 + 2]);
    }
}

#[test]
fn a_step_can_be_gone_through_in_any_order() {
    let (_root, studio) = one();
    let view = |more: &Json| {
        let mut view = json!({"step": 11, "batch": true});
        view.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        view
    };
    let ops = ask(&studio, "ops", &view(&json!({})));
    let count = |name: &str| ops[name].as_u64().unwrap() as usize;
    let (total, forward, backward) = (count("total"), count("forward"), count("backward"));
    assert_eq!((ops["ops"].as_array().unwrap().len(), forward), (total, backward));
    let op = |at: usize| ask(&studio, "op", &view(&json!({"at": at})));
    // The first backward: the loss has gradient 1, nothing else has any yet.
    let first = op(forward);
    assert_eq!((&first["tensor"]["name"], &first["tensor"]["grads"]), (&json!("loss"), &json!([[1.0]])));
    assert!(first["gradient_norms"].as_array().unwrap().iter().all(|m| number(&m["norm"]) == 0.0));
    // The last: gradients are whole, to the bits of a look.
    let wanted = ask(&studio, "look", &view(&json!({"want": [{"name": "layer0.attn_wq", "grad": true}]})));
    let norm = table(&wanted["windows"][0]["grads"]).iter().map(|g| g * g).sum::<f64>().sqrt();
    let last = op(forward + backward - 1);
    let found =
        last["gradient_norms"].as_array().unwrap().iter().find(|m| m["name"] == "layer0.attn_wq").unwrap();
    assert!(norm > 0.0 && number(&found["norm"]) == norm);
    // Back again, and forward by another way: the same.
    let middle = forward + backward / 2;
    let there = op(middle);
    assert_eq!(op(forward), first);
    (middle - 3..middle).for_each(|at| _ = op(at));
    assert_eq!(op(middle), there);
    let input = &there["inputs"][0];
    assert_ne!(input["grads"], input["grads_before"], "it has handed something on");
    // A number is what it is as soon as it is computed.
    let at = ops["ops"].as_array().unwrap().iter().position(|op| op["name"] == "layer0.q").unwrap();
    assert_eq!(op(at)["tensor"]["grads"], Json::Null);
    // The update: from this step's weights to the next one's; also of the newest step, which is not made yet.
    let update = op(forward + backward)["update"].clone();
    let session = studio.session("mine").unwrap();
    assert_eq!(update["name"], "wte");
    assert_eq!(number(&update["after"][0][0]), session.weights(12).unwrap().get(0));
    assert_eq!(number(&update["before"][0][0]), session.weights(11).unwrap().get(0));
    let newest = ask(&studio, "op", &json!({"step": 12, "batch": true, "at": forward + backward}));
    step(&studio, "mine", 1);
    assert_eq!(table(&newest["update"]["after"])[5], session.weights(13).unwrap().get(5));
}

#[test]
fn breakpoints_are_where_something_begins() {
    let (_root, studio) = one();
    let stop = |at: Json, back: bool, on: Json| {
        ask(&studio, "break", &json!({"text": "emma", "at": at, "back": back, "on": on}))
    };
    let ops = ask(&studio, "ops", &json!({"text": "emma"}));
    let list = ops["ops"].as_array().unwrap();
    let named = list.iter().position(|op| op["name"] == "layer1.mlp_active").unwrap();
    assert_eq!(stop(json!(0), false, json!({"name": "layer1.mlp_active"}))["at"], named);
    let backward = list.iter().rposition(|op| op["name"] == "layer1.mlp_active").unwrap();
    assert_eq!(stop(json!(named), false, json!({"name": "layer1.mlp_active"}))["at"], backward);
    assert_eq!(stop(json!(backward), true, json!({"name": "layer1.mlp_active"}))["at"], named);
    assert_eq!(stop(json!(named), false, json!({"phase": "backward"}))["at"], ops["forward"]);
    assert_eq!(
        stop(json!(named), false, json!({"phase": "update"}))["at"],
        Json::Null,
        "a text trains nothing"
    );
    let layer = stop(json!(0), false, json!({"layer": 1}));
    assert_eq!(
        (&list[layer["at"].as_u64().unwrap() as usize]["layer"], &layer["why"]),
        (&json!(1), &json!("layer 1"))
    );
    // A condition begins to hold right after the operation that makes it true.
    let on = json!({"condition": "max(abs(grad(layer0.attn_wq))) > 0"});
    let at = stop(Json::Null, false, on.clone())["at"].as_u64().unwrap();
    let norm = |at: u64| {
        let op = ask(&studio, "op", &json!({"text": "emma", "at": at}));
        number(
            &op["gradient_norms"].as_array().unwrap().iter().find(|m| m["name"] == "layer0.attn_wq").unwrap()
                ["norm"],
        )
    };
    assert!(norm(at) > 0.0 && norm(at - 1) == 0.0);
    assert_eq!(stop(json!(at), false, on)["at"], Json::Null);
    assert_eq!(
        stop(json!(0), false, json!({"condition": "any(layer0.attn_weights == 1)"}))["at"],
        list.iter().position(|op| op["name"] == "layer0.attn_weights").unwrap()
    );
}

#[test]
fn what_comes_next_is_what_is_written() {
    let (_root, studio) = one();
    let settings = json!({"text": "em", "temperature": 0.8, "top_k": 4, "most": 3});
    let next = ask(&studio, "next", &settings);
    assert_eq!((next["tokens"].as_array().unwrap().len(), &next["left_out"]), (3, &json!(24)));
    let all = ask(&studio, "next", &json!({"text": "em", "temperature": 0.8, "top_k": 4}));
    let sum =
        |name: &str| all["tokens"].as_array().unwrap().iter().map(|token| number(&token[name])).sum::<f64>();
    assert!((sum("plain") - 1.0).abs() < 1e-12 && (sum("probability") - 1.0).abs() < 1e-12);
    assert_eq!(all["tokens"].as_array().unwrap().iter().filter(|token| token["may"] == true).count(), 4);
    // A sample draws each token with the probability that is told of it.
    let written =
        ask(&studio, "write", &json!({"text": "em", "temperature": 0.8, "top_k": 4, "seed": 5, "count": 3}));
    for sample in written["samples"].as_array().unwrap() {
        let mut text = "em".to_string();
        for token in sample["tokens"].as_array().unwrap() {
            let next = ask(&studio, "next", &json!({"text": text, "temperature": 0.8, "top_k": 4}));
            let told = next["tokens"]
                .as_array()
                .unwrap()
                .iter()
                .find(|other| other["token"] == token["token"])
                .unwrap();
            assert!(
                close(number(&told["probability"]), number(&token["probability"])),
                "{text}: {told} {token}"
            );
            if token["name"] != "BOS" {
                text += token["name"].as_str().unwrap();
            }
        }
        assert_eq!(sample["text"], text);
    }
    // With an edit that changes nothing, by another way, the same is written.
    let same = json!([{"kind": "value", "name": "losses", "row": 0, "col": 0, "value": 1.0}]);
    let edited = ask(
        &studio,
        "write",
        &json!({"text": "em", "temperature": 0.8, "top_k": 4, "seed": 5, "count": 3, "edits": same}),
    );
    let texts = |written: &Json| {
        written["samples"].as_array().unwrap().iter().map(|s| s["text"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(texts(&edited), texts(&written));
    assert_eq!(ask(&studio, "next", &json!({"text": "emmaemma"}))["full"], true);
}

#[test]
fn a_stream_forgets_what_its_context_has_no_room_for() {
    let (_root, studio) = studio();
    let text = "the cat sat on the mat and the dog sat on the cat. ".repeat(20);
    post(
        &studio,
        "/api/v1/runs",
        &json!({"name": "mine", "go": false, "data": {"from": "text", "text": text},
        "settings": {"data_mode": "stream", "block_size": "10", "val_fraction": "0.2", "steps": "30", "eval_every": "10"}}),
    );
    step(&studio, "mine", 5);
    let next = ask(&studio, "next", &json!({"text": "the cat sat on"}));
    assert_eq!(next["forgotten"], 14 - 5);
    let short = ask(&studio, "next", &json!({"text": "at on"}));
    assert_eq!(next["tokens"], short["tokens"]);
    let written = ask(&studio, "write", &json!({"text": "the ", "length": 30}));
    assert_eq!(written["samples"][0]["text"].as_str().unwrap().chars().count(), 34);
    let look = ask(&studio, "look", &json!({"text": "the cat"}));
    assert_eq!(
        (look["tokens"][0]["name"].as_str(), look["tokens"].as_array().unwrap().len()),
        (Some("t"), 7)
    );
    assert_eq!(get(&studio, "/api/v1/runs/mine/documents")["total"], Json::Null);
    // The text lies in the run's folder, so that the run can be made again.
    post(&studio, "/api/v1/runs/mine/train", &json!({"do": "stop"}));
    let other = again(&_root);
    assert_eq!(post(&other, "/api/v1/runs/open", &json!({"name": "mine"}))["history"]["replay"], true);
    assert_eq!(
        other
            .session("mine")
            .unwrap()
            .weights(3)
            .unwrap()
            .parted(&studio.session("mine").unwrap().weights(3).unwrap()),
        None
    );
}

#[test]
fn two_runs_are_compared_number_by_number() {
    let (_root, studio) = one();
    begin(
        &studio,
        "twin",
        &json!({"steps": "60", "zero_init": "false", "init_std": "0.2", "n_layer": "2"}),
        12,
    );
    begin(
        &studio,
        "other",
        &json!({"steps": "60", "zero_init": "false", "init_std": "0.2", "n_layer": "2", "lr": "0.02"}),
        12,
    );
    begin(&studio, "wide", &json!({"n_embd": "8"}), 1);
    let compare = |a: &str, b: &str, step: usize| {
        post(
            &studio,
            "/api/v1/compare",
            &json!({"a": {"run": a, "step": step}, "b": {"run": b, "step": step}, "text": "emma"}),
        )
    };
    let same = compare("mine", "twin", 12);
    assert!(same["first"].is_null() && same["parted"].is_null() && same["settings"] == json!([]));
    assert!(
        same["matrices"]
            .as_array()
            .unwrap()
            .iter()
            .chain(same["tensors"].as_array().unwrap())
            .all(|t| t["same"] == true)
    );
    let differ = compare("mine", "other", 12);
    assert_eq!(differ["settings"], json!([{"name": "lr", "a": "0.01", "b": "0.02"}]));
    assert_eq!((&differ["parted"]["step"], &differ["first"]["name"]), (&json!(1), &json!("wte")));
    let matrix = &differ["matrices"][0];
    assert!(number(&matrix["most"]) > 0.0 && number(&matrix["at"]["a"]) != number(&matrix["at"]["b"]));
    assert!(compare("mine", "other", 0)["first"].is_null(), "they begin alike");
    let wide = compare("mine", "wide", 1);
    assert_eq!(wide["matrices"][0]["note"], "another shape");
    assert!(wide["matrices"].as_array().unwrap().iter().any(|m| m["note"] == "only in a"));
    let steps = post(
        &studio,
        "/api/v1/compare",
        &json!({"a": {"run": "mine", "step": 3}, "b": {"run": "mine", "step": 9}, "text": "emma"}),
    );
    assert!(steps["parted"].is_null() && steps["first"]["label"].is_string());
}

#[test]
fn a_weights_life_is_told_with_who_moved_it() {
    let (_root, studio) = studio();
    let session = begin(
        &studio,
        "mine",
        &json!({"batch_size": "4", "zero_init": "false", "optimizer": "sgd", "momentum": "0.0"}),
        9,
    );
    let moved = ask(&studio, "moved", &json!({"name": "layer0.mlp_fc1", "row": 2, "col": 3, "most": 4}));
    let place = session.layout().find("layer0.mlp_fc1").unwrap().offset + 2 * 16 + 3;
    let path: Vec<f64> = (0..10).map(|step| session.weights(step).unwrap().get(place)).collect();
    assert_eq!(moved["path"]["value"].as_array().unwrap().iter().map(number).collect::<Vec<_>>(), path);
    let jumps = moved["moved"].as_array().unwrap();
    assert_eq!(jumps.len(), 4);
    assert!(jumps.windows(2).all(|pair| number(&pair[0]["by"]).abs() >= number(&pair[1]["by"]).abs()));
    for jump in jumps {
        let step = jump["step"].as_u64().unwrap() as usize;
        assert_eq!((number(&jump["from"]), number(&jump["to"])), (path[step - 1], path[step]));
        // Plain descent: the weight moves by lr times its gradient, which is the sum of the documents'.
        let lr = session.settings.config.rate(step - 1);
        let documents = jump["documents"].as_array().unwrap();
        let sum: f64 = documents.iter().map(|document| number(&document["grad"])).sum();
        assert_eq!(documents.len(), 4);
        assert!(close(sum, number(&jump["grad"])) && close(number(&jump["by"]), -lr * sum), "{jump}");
        let at = documents[0]["at"].as_u64().unwrap();
        assert!(at / 4 == step as u64 - 1);
        let told = get(&studio, &format!("/api/v1/runs/mine/documents?from={at}&count=1"));
        let text = told["documents"][0]["text"].as_str().unwrap();
        assert!(text.starts_with(documents[0]["text"].as_str().unwrap()), "{text} {}", documents[0]);
    }
}

#[test]
fn a_graph_has_the_numbers_and_the_links() {
    let (_root, studio) = one();
    let graph = ask(
        &studio,
        "graph",
        &json!({"text": "emma", "place": {"name": "layer0.q", "row": 1, "col": 2}, "depth": 2, "most": 100}),
    );
    let (nodes, edges) = (graph["nodes"].as_array().unwrap(), graph["edges"].as_array().unwrap());
    assert_eq!(
        (&nodes[0]["name"], nodes[1]["op"].as_str(), nodes.len()),
        (&json!("layer0.q"), Some("linear"), 2 + 32)
    );
    assert_eq!(edges.len(), 1 + 32);
    for edge in edges {
        let to = &nodes[edge["to"].as_u64().unwrap() as usize];
        assert!(close(number(&edge["flows"]), number(&edge["local"]) * number(&to["grad"])));
    }
    let cut =
        ask(&studio, "graph", &json!({"text": "emma", "place": {"name": "loss"}, "depth": 30, "most": 50}));
    assert!(cut["nodes"].as_array().unwrap().len() == 50 && cut["cut"].as_u64().unwrap() > 0);
}

#[test]
fn the_export_answers_what_the_page_asks() {
    let (_root, studio) = one();
    let answer = studio.handle(&microgpt_studio::Request::post(
        "/api/v1/runs/mine/export",
        &json!({"texts": ["emma"], "steps": [0, 12]}),
    ));
    let html = String::from_utf8(answer.body).unwrap();
    assert!(answer.status == 200 && answer.content_type.starts_with("text/html"));
    let start = html.find("id=\"studio-data\">").unwrap() + "id=\"studio-data\">".len();
    let packed = &html[start..start + html[start..].find("</script>").unwrap()];
    let data: Json =
        serde_json::from_reader(flate2::read::GzDecoder::new(&STANDARD.decode(packed).unwrap()[..])).unwrap();
    assert_eq!(
        (&data["run"], &data["steps"], &data["texts"]),
        (&json!("mine"), &json!([0, 12]), &json!(["emma"]))
    );
    let answers = data["answers"].as_object().unwrap();
    assert!(answers.len() > 10, "{}", answers.len());
    for (key, answer) in answers.iter().filter(|(key, _)| key.starts_with("POST")).take(20) {
        let mut parts = key.splitn(3, ' ').skip(1);
        let (path, body) = (parts.next().unwrap(), parts.next().unwrap());
        assert_eq!(post(&studio, path, &serde_json::from_str(body).unwrap()), answer["body"], "{key}");
    }
    assert!(!html.contains("src=\"") && !html.contains("href=\"/") && html.contains("type=\"importmap\""));
}
