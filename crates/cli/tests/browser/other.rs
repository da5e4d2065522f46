//! Every view of models that are not the default: of all presets, of ancestors, and of one with all settings changed.

use crate::oracle::of_saved;
use crate::studio::{Page, Studio};
use crate::tour::VIEWS;
use microgpt::layout::Layout;
use microgpt::token::TokenizerKind;
use microgpt_runs::Settings;
use microgpt_runs::presets::PRESETS;
use microgpt_runs::settings::Assignment;
use serde_json::{Value, json};

pub(crate) fn models(page: &Page<'_>) {
    let changed = json!({
        "n_layer": "2", "n_kv_head": "2", "block_size": "12", "position": "rotary", "window": "5", "softcap": "4.0",
        "activation": "g * tanh(x)", "mlp_hidden": "24", "norm": "layernorm", "norm_place": "both", "embd_norm": "false",
        "final_norm": "true", "qk_norm": "true", "bias": "true", "tied": "true", "residual_scale": "0.7", "dropout": "0.1",
        "zero_init": "false", "depth_init": "true", "init_std": "0.1", "batch_size": "3", "optimizer": "muon",
        "schedule": "wsd", "warmup": "2", "weight_decay": "0.01", "grad_clip": "1.0", "ema": "0.9", "val_fraction": "0.1",
        "eval_every": "4", "eval_size": "5", "steps": "60",
    });
    let names = json!({"from": "names"});
    page.go("train?run=microgpt-1");
    page.until("the runs", || page.count(".runs tbody tr") > 0);
    let open = page.count(".runs tbody tr");
    for (name, preset, settings, data) in [
        ("changed", "microgpt", changed, names.clone()),
        (
            "pieces",
            "microgpt",
            json!({"tokenizer": "bpe", "vocab_size": "600", "steps": "20"}),
            names.clone(),
        ),
        ("pairs", "microgpt", json!({"model": "bigram", "steps": "60"}), names.clone()),
        ("gru", "microgpt", json!({"model": "gru", "steps": "60"}), names),
    ] {
        let run = json!({"name": name, "preset": preset, "settings": settings, "data": data, "save": false});
        assert_eq!(page.post("/runs", run)["id"], name);
        page.until(&format!("{name} to be trained"), || {
            page.get(&format!("/runs/{name}"))["status"] == "done"
        });
        every_view(page, name, "anna");
        page.go("train?run=microgpt-1");
        page.click(&format!("[aria-label='Close {name}']"));
        page.until("one run less", || page.count(".runs tbody tr") == open);
    }
    assert_eq!(page.complaints(), [""; 0], "the browser's console");
}

/// Goes through all views of a run: each shows something, and no mistake.
fn every_view(page: &Page<'_>, name: &str, text: &str) {
    for view in VIEWS {
        page.go(&format!("{view}?run={name}&text={text}"));
        page.until("the run", || page.js("return document.getElementById('run').value", json!([])) == name);
        page.settle();
        let shown = page.js(SHOWN, json!([]));
        assert!(shown["text"].as_u64() > Some(80), "{name}, {view}: nothing is shown");
        assert_eq!(shown["strange"], Value::Null, "{name}, {view}");
        assert_eq!(shown["problems"], json!([]), "{name}, {view}");
    }
}

/// As large as what one waits for a view of.
const SMALL: usize = 1 << 26;

/// Every preset that there is. What is small enough is trained a little, and its numbers are the library's; of the
/// published sizes, which need a text and are large, the studio says what is the matter.
pub(crate) fn presets(page: &Page<'_>, studio: &Studio) {
    let verses =
        "Shall I compare thee to a summer's day?\nThou art more lovely and more temperate.\n".repeat(20);
    for preset in PRESETS {
        let said = Assignment { place: "preset".into(), name: "preset".into(), value: preset.name.into() };
        let config = Settings::resolve(&[said]).unwrap().config;
        let vocab_size = if config.tokenizer == TokenizerKind::Bpe { config.vocab_size } else { 64 };
        if Layout::new(&config, vocab_size).len() > SMALL {
            is_refused(page, preset.name);
            continue;
        }
        let (data, text) = match preset.names {
            true => (json!({"from": "names"}), "anna"),
            false => (json!({"from": "text", "text": verses}), "summer"),
        };
        let (name, settings) = (format!("a-{}", preset.name), json!({"steps": "3", "eval_size": "5"}));
        let run = json!({"name": name, "preset": preset.name, "settings": settings, "data": data});
        assert_eq!(page.post("/runs", run)["id"], name.as_str());
        page.until(&format!("{name} to be trained"), || {
            page.get(&format!("/runs/{name}"))["status"] == "done"
        });
        every_view(page, &name, text);
        page.post(&format!("/runs/{name}/save"), json!({}));
        let (loss, logits, [rows, cols]) = of_saved(&studio.run_folder(&name), text);
        page.go(&format!("inside?run={name}&text={text}"));
        page.until("the loss", || {
            page.count("#loss b") == 1 && page.number("#loss b", Some("title")) == loss
        });
        // What comes into sight is laid out then, and moves what follows it: the second time all of it is there.
        for _ in 0..2 {
            page.js(
                "document.querySelector(`.block[data-name='logits']`).scrollIntoView({ block: 'center' })",
                json!([]),
            );
            page.settle();
        }
        for [row, col] in [[0, 1], [rows - 1, cols - 2]] {
            let shown = page.point_at("logits", [row, col], [rows, cols]);
            assert_eq!(shown, logits[row * cols + col], "{name}: logits[{row}, {col}]");
        }
        page.later(
            "await fetch('/api/v1/runs/' + arguments[0], { method: 'DELETE' }); return null",
            json!([name]),
        );
    }
    assert_eq!(page.complaints(), [""; 0], "the browser's console");
}

/// Begun without a text: the answer says that it wants one, and no run is left behind.
fn is_refused(page: &Page<'_>, preset: &str) {
    let answer = page.post("/runs", json!({"name": "large", "preset": preset, "data": {"from": "names"}}));
    let said = answer["error"].as_str().unwrap_or_default();
    assert!(said.contains("expected a text to learn from"), "{preset}: {answer}");
    assert!(page.get("/runs/large")["error"].is_string(), "{preset}: a run was begun");
    // The browser's own words on these.
    page.complaints();
}

/// How much text there is; a word in it that only a mistake writes, and what stands before it; what the page says is wrong.
const SHOWN: &str = "
    const text = document.getElementById('view').innerText;
    const strange = /.{0,40}(NaN|undefined|\\[object)/s.exec(text);
    const problems = [...document.querySelectorAll('.problem')].filter((node) => node.offsetParent);
    return {
      text: text.length,
      strange: strange && strange[0],
      problems: problems.map((node) => node.textContent).filter(Boolean),
    };";

/// A page from elsewhere, in the same browser: it can neither read the studio nor make it do anything.
pub(crate) fn a_foreign_page(page: &Page<'_>) {
    page.open("data:text/html,<title>elsewhere</title>");
    let got = page.later(FOREIGN, json!([page.url]));
    assert_eq!(got, json!({"read": "TypeError", "sent": 0, "heard": "error", "socket": "error"}));
    // The browser's own words on each of these.
    page.complaints();
    page.open(&page.url);
    let names = |runs: Value| -> Vec<Value> {
        ["open", "saved"].iter().flat_map(|of| runs[of].as_array().unwrap().clone()).collect()
    };
    assert!(names(page.get("/runs")).iter().all(|run| run["name"] != "foreign"), "nothing was begun");
}

const FOREIGN: &str = "
    const at = arguments[0] + '/api/v1', event = (target) => new Promise((resolve) => {
      for (const name of ['open', 'message', 'error']) target.addEventListener(name, () => resolve(name));
    });
    const read = await fetch(at + '/runs').then((answer) => answer.text(), (error) => error.name);
    // What a form might send: some browsers let it out, and keep the answer from the page.
    const body = JSON.stringify({ name: 'foreign', go: false });
    const sent = await fetch(at + '/runs', { method: 'POST', mode: 'no-cors', body }).then((answer) => answer.status, () => 0);
    const heard = await event(new EventSource(at + '/runs/microgpt-1/events'));
    const socket = await event(new WebSocket(at.replace('http', 'ws') + '/runs/microgpt-1/events'));
    return { read, sent, heard, socket };";
