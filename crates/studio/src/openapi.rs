//! The description of the API for programs: OpenAPI 3.1, made from the list of routes, with an example for each body.
//!
//! `API.md` says the same for people, with every field of the answers.

use crate::json::Json;
use crate::routes::{Answer, ROUTES, Route};
use serde_json::json;

/// An example of what each `POST` takes. The tests send every one of them.
pub const EXAMPLES: &[(&str, &str)] = &[
    ("/api/v1/form/check", r#"{"preset": "microgpt", "settings": {"n_head": "2"}}"#),
    ("/api/v1/condition", r#"{"condition": "abs(grad(layer0.attn_wq)) > 1"}"#),
    (
        "/api/v1/compare",
        r#"{"a": {"run": "mine", "step": 0}, "b": {"run": "mine", "step": 3}, "text": "emma"}"#,
    ),
    (
        "/api/v1/runs",
        r#"{"preset": "microgpt", "settings": {"steps": "20"}, "data": {"from": "names"}, "name": "another", "save": true, "go": false}"#,
    ),
    ("/api/v1/runs/open", r#"{"name": "mine"}"#),
    ("/api/v1/runs/{id}/train", r#"{"do": "step", "steps": 2, "until": "loss < 1"}"#),
    ("/api/v1/runs/{id}/save", r"{}"),
    ("/api/v1/runs/{id}/replay", r#"{"to": 3}"#),
    (
        "/api/v1/runs/{id}/look",
        r#"{"step": 3, "text": "emma", "edits": [{"kind": "head", "layer": 0, "head": 2}], "want": [{"name": "layer0.attn_weights"}, {"name": "layer0.attn_wq", "rows": [0, 4], "cols": [0, 4], "grad": true}, {"name": "lens"}, {"name": "probabilities"}]}"#,
    ),
    (
        "/api/v1/runs/{id}/why",
        r#"{"step": 3, "text": "emma", "place": {"name": "layer0.q", "row": 0, "col": 3}, "most": 64}"#,
    ),
    (
        "/api/v1/runs/{id}/graph",
        r#"{"step": 3, "text": "emma", "place": {"name": "loss", "row": 0, "col": 0}, "depth": 4, "most": 100}"#,
    ),
    ("/api/v1/runs/{id}/moved", r#"{"name": "layer0.attn_wq", "row": 3, "col": 5, "most": 5}"#),
    ("/api/v1/runs/{id}/measures", r#"{"step": 3}"#),
    ("/api/v1/runs/{id}/ops", r#"{"step": 2, "batch": true, "from": 0, "count": 1000}"#),
    ("/api/v1/runs/{id}/op", r#"{"step": 2, "batch": true, "at": 93}"#),
    (
        "/api/v1/runs/{id}/break",
        r#"{"step": 2, "batch": true, "at": 12, "back": false, "on": {"condition": "abs(grad(layer0.attn_wv)) > 0"}}"#,
    ),
    (
        "/api/v1/runs/{id}/next",
        r#"{"step": 3, "text": "em", "temperature": 0.5, "top_k": 5, "top_p": 1.0, "min_p": 0.0, "greedy": false}"#,
    ),
    ("/api/v1/runs/{id}/write", r#"{"step": 3, "text": "em", "seed": 1, "count": 3}"#),
    ("/api/v1/runs/{id}/export", r#"{"texts": ["emma"], "steps": [0, 3]}"#),
];

/// The document.
pub fn document() -> Json {
    let mut paths = serde_json::Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_ascii_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "microgpt studio",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "A model in training, and every number in it",
            "description": "Numbers are exact. Where JSON has none there is a text: \"Infinity\", \"-Infinity\", \"NaN\". API.md in the sources describes every field.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": {
            "Error": {
                "type": "object",
                "required": ["error"],
                "properties": {"error": {"type": "string", "description": "What was expected, what was found"}},
            },
            "Number": {
                "description": "A number, or its name where JSON has none",
                "oneOf": [{"type": "number"}, {"enum": ["Infinity", "-Infinity", "NaN"]}],
            },
        }},
    })
}

fn operation(route: &Route) -> Json {
    let mut parameters = Vec::new();
    let parameter = |name: &str, place: &str, kind: &str, about: &str| json!({"name": name, "in": place, "required": place == "path", "schema": {"type": kind}, "description": about});
    if let Answer::Run(_) = route.answer {
        parameters.push(parameter("id", "path", "string", "The run's id"));
    }
    let last = route.path.rsplit('/').next().unwrap_or_default();
    match (route.method, last) {
        ("GET", "news" | "events") => {
            parameters.push(parameter("since", "query", "string", "The cursor of an earlier answer"));
        }
        ("GET", "documents") => {
            parameters.push(parameter("from", "query", "integer", "The first"));
            parameters.push(parameter("count", "query", "integer", "How many"));
        }
        ("GET", "source") => {
            parameters.push(parameter("file", "query", "string", "One of the files; none: their names"))
        }
        _ => {}
    }
    let kind = match last {
        "events" => "text/event-stream",
        "export" => "text/html",
        _ => "application/json",
    };
    let schema =
        if kind == "application/json" { json!({"type": "object"}) } else { json!({"type": "string"}) };
    let status = if (route.method, route.path) == ("POST", "/api/v1/runs") { "201" } else { "200" };
    let error = json!({
        "description": "Why not",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    });
    let mut operation = json!({
        "operationId": name_of(route),
        "summary": route.about,
        "parameters": parameters,
        "responses": {"default": error},
    });
    operation["responses"][status] =
        json!({"description": route.about, "content": {kind: {"schema": schema}}});
    if let Some((_, example)) =
        EXAMPLES.iter().find(|(path, _)| route.method == "POST" && *path == route.path)
    {
        let example: Json = serde_json::from_str(example).unwrap_or_default();
        operation["requestBody"] = json!({
            "required": true,
            "content": {"application/json": {"schema": schema_of(&example), "example": example}},
        });
    }
    operation
}

/// `postRunsTrain`
fn name_of(route: &Route) -> String {
    let mut name = route.method.to_ascii_lowercase();
    for part in route.path.trim_start_matches("/api/v1").split(['/', '.']).filter(|part| !part.is_empty()) {
        let part = if part == "{id}" { "Run" } else { part };
        name.extend(part[..1].chars().map(|c| c.to_ascii_uppercase()));
        name.push_str(&part[1..]);
    }
    name
}

/// The types of an example.
fn schema_of(example: &Json) -> Json {
    match example {
        Json::Object(fields) => {
            let properties: serde_json::Map<_, _> =
                fields.iter().map(|(name, value)| (name.clone(), schema_of(value))).collect();
            json!({"type": "object", "properties": properties})
        }
        Json::Array(list) => match list.first() {
            // Edits, and windows, are of several kinds.
            Some(Json::Object(_)) => json!({"type": "array", "items": {"type": "object"}}),
            Some(first) => json!({"type": "array", "items": schema_of(first)}),
            None => json!({"type": "array"}),
        },
        Json::String(_) => json!({"type": "string"}),
        Json::Bool(_) => json!({"type": "boolean"}),
        Json::Number(number) if number.is_f64() => json!({"type": "number"}),
        Json::Number(_) => json!({"type": "integer"}),
        Json::Null => json!({}),
    }
}
