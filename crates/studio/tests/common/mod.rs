//! A studio in a folder of its own, driven by hand.

#![allow(dead_code, reason = "not every test needs all of it")]

use microgpt_studio::json::Json;
use microgpt_studio::session::Session;
use microgpt_studio::shelf::Shelf;
use microgpt_studio::{Request, Studio};
use serde_json::json;
use std::sync::Arc;
use tempfile::TempDir;

pub(crate) fn studio() -> (TempDir, Studio) {
    let root = tempfile::tempdir().unwrap();
    let studio = again(&root);
    (root, studio)
}

/// Another life in the same folder.
pub(crate) fn again(root: &TempDir) -> Studio {
    Studio::by_hand(Shelf::new(root.path().join("runs")))
}

pub(crate) fn get(studio: &Studio, path: &str) -> Json {
    let response = studio.handle(&Request::get(path));
    assert_eq!(response.status, 200, "{path}: {}", String::from_utf8_lossy(&response.body));
    response.value()
}

pub(crate) fn post(studio: &Studio, path: &str, body: &Json) -> Json {
    let response = studio.handle(&Request::post(path, body));
    let ok = [200, 201].contains(&response.status);
    assert!(ok, "{path} {body}: {} {}", response.status, String::from_utf8_lossy(&response.body));
    response.value()
}

pub(crate) fn refused(studio: &Studio, path: &str, body: &Json) -> (u16, String) {
    let response = studio.handle(&Request::post(path, body));
    (response.status, response.value()["error"].as_str().unwrap_or_default().to_string())
}

/// Begins a run and makes so many steps of it.
pub(crate) fn begin(studio: &Studio, name: &str, settings: &Json, steps: usize) -> Arc<Session> {
    post(studio, "/api/v1/runs", &json!({"name": name, "settings": settings, "go": false}));
    let session = studio.session(name).unwrap();
    step(studio, name, steps);
    session
}

pub(crate) fn step(studio: &Studio, name: &str, steps: usize) {
    if steps > 0 {
        post(studio, &format!("/api/v1/runs/{name}/train"), &json!({"do": "step", "steps": steps}));
        drive(&studio.session(name).unwrap());
    }
}

pub(crate) fn drive(session: &Session) {
    while session.advance(&|| 0.0) {}
}

/// A number of JSON, also where JSON has none.
pub(crate) fn number(value: &Json) -> f64 {
    value.as_f64().unwrap_or_else(|| match value.as_str() {
        Some("Infinity") => f64::INFINITY,
        Some("-Infinity") => f64::NEG_INFINITY,
        Some("NaN") => f64::NAN,
        other => panic!("no number: {value} {other:?}"),
    })
}

/// The numbers of a table, row by row.
pub(crate) fn table(value: &Json) -> Vec<f64> {
    value.as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap().iter().map(number)).collect()
}

/// Settings in which every variant is another than the default.
pub(crate) fn all_variants() -> Json {
    json!({
        "n_layer": "2", "n_head": "4", "n_kv_head": "2", "n_embd": "16", "block_size": "12", "position": "rotary",
        "window": "5", "softcap": "4.0", "activation": "g * tanh(x)", "mlp_hidden": "24", "norm": "layernorm",
        "norm_place": "both", "embd_norm": "false", "final_norm": "true", "qk_norm": "true", "bias": "true",
        "tied": "true", "residual_scale": "0.7", "dropout": "0.1", "zero_init": "false", "depth_init": "true",
        "init_std": "0.1", "batch_size": "3", "optimizer": "muon", "schedule": "wsd", "warmup": "2", "weight_decay": "0.01",
        "grad_clip": "1.0", "ema": "0.9", "val_fraction": "0.1", "eval_every": "4", "eval_size": "5", "steps": "40",
    })
}
