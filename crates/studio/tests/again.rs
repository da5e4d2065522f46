//! What was looked at before, and by whom, does not change what is seen.

mod common;

use common::*;
use microgpt_studio::Studio;
use microgpt_studio::json::Json;
use serde_json::json;

fn one() -> (tempfile::TempDir, Studio) {
    let (root, studio) = studio();
    begin(&studio, "mine", &json!({"zero_init": "false", "init_std": "0.2", "n_layer": "2"}), 12);
    (root, studio)
}

fn ask(studio: &Studio, what: &str, body: &Json) -> Json {
    post(studio, &format!("/api/v1/runs/mine/{what}"), body)
}

/// More texts than are kept, with and without edits, their gradients, and what is written in between: what is computed in
/// the memory of another look is what was computed in its own.
#[test]
fn memory_that_is_used_again_leaves_no_trace() {
    let (_root, studio) = one();
    let look = |i: usize, step: usize| {
        let (a, b) = (char::from(b'a' + (i % 26) as u8), char::from(b'a' + (i / 26) as u8));
        let edits = match i % 3 {
            0 => json!([]),
            1 => json!([{"kind": "weight", "name": "layer0.attn_wq", "row": 0, "col": i % 16, "value": 1.5}]),
            _ => json!([{"kind": "head", "layer": 1, "head": i % 4}]),
        };
        let want = json!([{"name": "logits"}, {"name": "layer0.attn_wq", "grad": true}, {"name": "lens"}]);
        let body = json!({"step": step, "text": format!("{a}nn{b}"), "edits": edits, "want": want});
        ask(&studio, "look", &body).to_string()
    };
    let first: Vec<String> = (0..40).map(|i| look(i, 12 - i % 3)).collect();
    for i in (0..40).rev() {
        if i % 8 == 0 {
            ask(&studio, "write", &json!({"text": "a", "length": 3, "seed": i}));
        }
        assert_eq!(look(i, 12 - i % 3), first[i], "{i}");
    }
}

/// Two that ask for the same, and some that ask for others meanwhile, all get theirs.
#[test]
fn many_may_look_at_once() {
    let (_root, studio) = one();
    let edits = json!([{"kind": "from", "name": "layer0.stream", "row": 2, "text": "anna", "from_row": 2}]);
    let body = |i: usize| match i % 3 {
        0 => json!({"text": "emmab", "edits": edits}),
        1 => json!({"text": "anna"}),
        _ => json!({"text": "emma", "edits": edits}),
    };
    let alone: Vec<Json> = (0..3).map(|i| ask(&studio, "look", &body(i))).collect();
    let (_root, studio) = one();
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (studio, alone, body) = (&studio, &alone, &body);
            scope.spawn(move || {
                for i in thread..thread + 20 {
                    assert_eq!(ask(studio, "look", &body(i % 3))["loss"], alone[i % 3]["loss"]);
                }
            });
        }
    });
}
