//! Whatever is asked, there is an answer.

mod common;

use common::*;
use microgpt_studio::json::Json;
use microgpt_studio::openapi::EXAMPLES;
use microgpt_studio::{Request, Studio};
use proptest::prelude::*;
use serde_json::json;
use std::sync::OnceLock;

fn shared() -> &'static Studio {
    static STUDIO: OnceLock<(tempfile::TempDir, Studio)> = OnceLock::new();
    &STUDIO
        .get_or_init(|| {
            let (root, studio) = studio();
            begin(&studio, "mine", &json!({"steps": "10", "n_layer": "2"}), 4);
            (root, studio)
        })
        .1
}

/// Values of every kind, those in front that something might be made of.
fn value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (0..40_u64).prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        "[a-z]{0,9}".prop_map(Json::from),
        ".{0,9}".prop_map(Json::from),
        prop::sample::select(vec![
            "loss",
            "layer0.q",
            "layer1.attn_wq",
            "probabilities",
            "lens",
            "last",
            "../x",
            "head"
        ])
        .prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::hash_map("[a-z]{1,6}", inner, 0..4)
                .prop_map(|fields| fields.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// The example with one of its values, anywhere, replaced.
fn change(example: &mut Json, at: &mut usize, by: &Json) {
    if *at == 0 {
        *example = by.clone();
    }
    *at = at.wrapping_sub(1);
    match example {
        Json::Object(fields) => fields.values_mut().for_each(|value| change(value, at, by)),
        Json::Array(list) => list.iter_mut().for_each(|value| change(value, at, by)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_request_is_too_strange(
        method in prop_oneof![Just("GET".to_string()), Just("POST".to_string()), Just("DELETE".to_string()), ".{0,6}"],
        path in prop_oneof![".{0,40}", "/api/v1/[a-z{}/%.0-9-]{0,40}", "/api/v1/runs/mine/[a-z/]{0,9}"],
        query in prop_oneof![".{0,30}", "(from|count|since|file)=[0-9a-f.%]{0,30}"],
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        // It is not to be closed: the others need it.
        prop_assume!(!(method == "DELETE" && path.contains("mine")));
        let response = shared().handle(&Request { method, path, query, body });
        prop_assert!((200..500).contains(&response.status), "{}", response.status);
        prop_assert!(response.content_type != "application/json" || response.value() != Json::Null);
    }

    #[test]
    fn no_field_is_too_strange(which in 0..EXAMPLES.len(), at in 0..24_usize, by in value()) {
        let (path, example) = EXAMPLES[which];
        // Beginning a hundred runs takes long and shows no more than a few.
        prop_assume!(path != "/api/v1/runs" || at > 0);
        let mut body: Json = serde_json::from_str(example).unwrap();
        change(&mut body, &mut { at }, &by);
        let response = shared().handle(&Request::post(&path.replace("{id}", "mine"), &body));
        prop_assert!((200..500).contains(&response.status), "{path} {body}: {}", response.status);
        if response.content_type == "application/json" && response.status >= 400 {
            prop_assert!(response.value()["error"].as_str().is_some_and(|text| text.len() > 5));
        }
    }

    #[test]
    fn no_condition_is_too_strange(text in prop_oneof![".{0,60}", "[a-z0-9()<>=!&|^*/+., \\[\\]-]{0,60}"]) {
        let answer = post(shared(), "/api/v1/condition", &json!({"condition": text}));
        prop_assert!(answer["ok"].is_boolean());
    }
}
