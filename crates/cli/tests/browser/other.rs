//! Every view of models that are not the default: of presets, of ancestors, and of one with all settings changed.

use crate::studio::Page;
use crate::tour::VIEWS;
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
    let few = json!({"steps": "3", "eval_size": "5"});
    let verses =
        "Shall I compare thee to a summer's day?\nThou art more lovely and more temperate.\n".repeat(20);
    let names = json!({"from": "names"});
    page.go("train?run=microgpt-1");
    page.until("the runs", || page.count(".runs tbody tr") > 0);
    let open = page.count(".runs tbody tr");
    for (name, preset, settings, data) in [
        ("changed", "microgpt", changed, names.clone()),
        ("llama", "llama-toy", few.clone(), names.clone()),
        ("gpt2", "gpt2-toy", few.clone(), names.clone()),
        ("copy", "task", few.clone(), names.clone()),
        ("verses", "shakespeare-char", few, json!({"from": "text", "text": verses})),
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
        for view in VIEWS {
            let text = if name == "verses" { "summer" } else { "anna" };
            page.go(&format!("{view}?run={name}&text={text}"));
            page.until("the run", || {
                page.js("return document.getElementById('run').value", json!([])) == name
            });
            page.settle();
            let shown = page.js(SHOWN, json!([]));
            assert!(shown["text"].as_u64() > Some(80), "{name}, {view}: nothing is shown");
            assert_eq!(shown["strange"], Value::Null, "{name}, {view}");
            assert_eq!(shown["problems"], json!([]), "{name}, {view}");
        }
        page.go("train?run=microgpt-1");
        page.click(&format!("[aria-label='Close {name}']"));
        page.until("one run less", || page.count(".runs tbody tr") == open);
    }
    assert_eq!(page.complaints(), [""; 0], "the browser's console");
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
