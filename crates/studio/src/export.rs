//! The look-inside views of a run as one file, which opens by double-click: the page itself, and the answers that it will
//! ask for.
//!
//! A file that was opened so may load no other; so modules are `data:` addresses that an import map gives names to, style
//! sheets are written out, and answers are JSON in the document, made small by gzip. Which requests are recorded, the page says
//! itself, in `page/export.json`.

use crate::json::{Fields, Json};
use crate::message::{Fault, Request, Response};
use crate::page;
use crate::session::{Session, lock};
use crate::studio::Studio;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

/// What is recorded.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// The texts; without any, some that the run has learnt.
    pub texts: Vec<String>,
    /// The steps; without any, some between the first and the last.
    pub steps: Vec<usize>,
}

/// So many bytes of answers a file has at most.
const MOST: usize = 64 << 20;
/// A model of more parameters is shown at its last step only, unless others are asked for.
const SMALL: usize = 300_000;

/// `POST /api/v1/runs/{id}/export`
///
/// # Errors
/// As [`html`].
pub fn answer(studio: &Studio, session: &Session, mut fields: Fields) -> Result<Response, Fault> {
    let texts = fields.list("texts")?.into_iter().map(|text| match text {
        Json::String(text) => Ok(text),
        _ => Err(Fault::wrong("texts: expected a list of texts, found something else")),
    });
    let texts = texts.collect::<Result<_, _>>()?;
    let steps = fields.wholes("steps")?.unwrap_or_default();
    fields.end()?;
    let body = html(studio, session, &Choice { texts, steps })?;
    Ok(Response { status: 200, content_type: "text/html; charset=utf-8", body })
}

/// The file.
///
/// # Errors
/// A step or a text that the run does not know; too much to be one file.
pub fn html(studio: &Studio, session: &Session, choice: &Choice) -> Result<Vec<u8>, Fault> {
    let texts = if choice.texts.is_empty() { some_texts(session) } else { choice.texts.clone() };
    let steps = if choice.steps.is_empty() { some_steps(session) } else { choice.steps.clone() };
    for step in &steps {
        session.weights(*step)?;
    }
    for text in &texts {
        session.tokenizer.encode(text)?;
    }
    let files: BTreeMap<&str, Vec<u8>> =
        page::files().map(|(name, bytes)| (name, bytes.into_owned())).collect();
    let wanted: Vec<Json> = match files.get("export.json") {
        Some(list) => {
            serde_json::from_slice(list).map_err(|error| Fault::conflict(format!("export.json: {error}")))?
        }
        None => Vec::new(),
    };
    let marks = marks(session, &steps, &texts)?;
    let (mut answers, mut bytes, mut left_out) = (serde_json::Map::new(), 0, 0);
    for request in &wanted {
        for request in filled(request, &marks) {
            let (key, request) = (key(&request), asked(&request));
            if answers.contains_key(&key) {
                continue;
            }
            let response = studio.handle(&request);
            if response.status != 200 {
                continue;
            }
            bytes += key.len() + response.body.len();
            if bytes > MOST {
                // The first answers are those that the page cannot do without.
                bytes -= key.len() + response.body.len();
                left_out += 1;
                continue;
            }
            answers.insert(key, json!({"status": 200, "body": response.value()}));
        }
    }
    let data =
        json!({"run": session.id, "steps": steps, "texts": texts, "answers": answers, "left_out": left_out});
    assemble(&files, &data)
}

/// Some documents that are not cut.
fn some_texts(session: &Session) -> Vec<String> {
    let block_size = lock(&session.state).config.block_size;
    let documents = session.documents(0, 50).unwrap_or(Json::Null);
    let mut texts: Vec<String> = Vec::new();
    for document in documents["documents"].as_array().into_iter().flatten() {
        let text = document["text"].as_str().unwrap_or_default();
        let fits = document["tokens"].as_u64().is_some_and(|tokens| tokens as usize <= block_size);
        if fits && !text.is_empty() && !texts.iter().any(|other| other == text) && texts.len() < 4 {
            texts.push(text.to_string());
        }
    }
    if texts.is_empty() { vec![String::new()] } else { texts }
}

fn some_steps(session: &Session) -> Vec<usize> {
    let last = session.last();
    if session.replay.is_err() || session.layout().len() > SMALL {
        return vec![last];
    }
    let steps: BTreeSet<usize> = [0, 1, last / 16, last / 8, last / 4, last / 2, last]
        .into_iter()
        .map(|step| step.min(last))
        .collect();
    steps.into_iter().collect()
}

/// What a template may ask for, and all that is put in for it.
fn marks(
    session: &Session,
    steps: &[usize],
    texts: &[String],
) -> Result<Vec<(&'static str, Vec<Json>)>, Fault> {
    let model = crate::look::model(session)?;
    let names = |list: &str| -> Vec<Json> {
        model[list].as_array().into_iter().flatten().map(|one| one["name"].clone()).collect()
    };
    let layers = lock(&session.state).config.n_layer;
    Ok(vec![
        ("{id}", vec![session.id.as_str().into()]),
        ("{step}", steps.iter().map(|&step| step.into()).collect()),
        ("{text}", texts.iter().map(|text| text.as_str().into()).collect()),
        ("{layer}", (0..layers).map(Json::from).collect()),
        ("{tensor}", names("tensors")),
        ("{matrix}", names("matrices")),
    ])
}

/// A template with every combination of what it asks for put in.
fn filled(template: &Json, marks: &[(&str, Vec<Json>)]) -> Vec<Json> {
    let text = template.to_string();
    let asked = marks.iter().filter(|(mark, _)| text.contains(mark));
    asked.fold(vec![template.clone()], |all, (mark, values)| {
        all.iter().flat_map(|one| values.iter().map(move |value| put(one, mark, value))).collect()
    })
}

/// The value with `mark` replaced: where it is the whole text by the value itself, else within the text.
fn put(value: &Json, mark: &str, by: &Json) -> Json {
    match value {
        Json::String(text) if text == mark => by.clone(),
        Json::String(text) => {
            let by = by.as_str().map_or_else(|| by.to_string(), String::from);
            text.replace(mark, &by).into()
        }
        Json::Array(list) => list.iter().map(|value| put(value, mark, by)).collect::<Vec<_>>().into(),
        Json::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), put(value, mark, by)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

/// What the page looks an answer up by; the fields of an object are in order here.
fn key(request: &Json) -> String {
    let text = |name: &str| request[name].as_str().unwrap_or_default().to_string();
    match &request["body"] {
        Json::Null => format!("{} {}", text("method"), text("path")),
        body => format!("{} {} {}", text("method"), text("path"), body),
    }
}

fn asked(request: &Json) -> Request {
    let path = request["path"].as_str().unwrap_or_default();
    let body = match &request["body"] {
        Json::Null => Vec::new(),
        body => body.to_string().into_bytes(),
    };
    Request { method: request["method"].as_str().unwrap_or("GET").to_string(), body, ..Request::get(path) }
}

/// The page with everything in it.
fn assemble(files: &BTreeMap<&str, Vec<u8>>, data: &Json) -> Result<Vec<u8>, Fault> {
    let text = |name: &str| files.get(name).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let page = text("index.html").ok_or_else(|| Fault::conflict("the page is not part of this program"))?;
    let imports: serde_json::Map<String, Json> = files
        .keys()
        .filter(|name| name.ends_with(".js"))
        .filter_map(|name| {
            let module = renamed(&text(name)?);
            let address = format!("data:text/javascript;charset=utf-8;base64,{}", base64(module.as_bytes()));
            Some((format!("studio/{name}"), address.into()))
        })
        .collect();
    // In a document, `<` may end a script.
    let safe = |json: &Json| json.to_string().replace('<', "\\u003c");
    let script = format!(
        "<script type=\"importmap\">{}</script>\n<script type=\"application/gzip\" id=\"studio-data\">{}</script>\n<script type=\"module\">import 'studio/main.js';</script>",
        safe(&json!({"imports": imports})),
        base64(&gzip(data.to_string().as_bytes()))
    );
    let policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; img-src data:; font-src data:\">";
    let mut html = String::with_capacity(page.len() + script.len());
    // Every tag that loads a file becomes what it loads.
    let mut rest = &page[..];
    while let Some(start) = rest.find('<') {
        let end = rest[start..].find('>').map_or(rest.len(), |end| start + end + 1);
        let tag = &rest[start..end];
        html.push_str(&rest[..start]);
        rest = &rest[end..];
        let loads = |name: &str| {
            attribute(tag, name).map(|path| path.trim_start_matches("./").trim_start_matches('/').to_string())
        };
        if tag.starts_with("<link") {
            let Some(name) = loads("href") else { continue };
            match attribute(tag, "rel").as_deref() {
                Some("stylesheet") => {
                    let sheet = text(&name).unwrap_or_default().replace("</", "<\\/");
                    html.push_str(&format!("<style>\n{sheet}</style>"));
                }
                Some("icon") if name.ends_with(".svg") => {
                    let icon = files.get(&name[..]).map(|bytes| base64(bytes)).unwrap_or_default();
                    html.push_str(&format!("<link rel=\"icon\" href=\"data:image/svg+xml;base64,{icon}\">"));
                }
                // Hints what to load early are of no use here.
                _ => {}
            }
        } else if tag.starts_with("<script") && loads("src").is_some() {
            rest = rest.find("</script>").map_or(rest, |end| &rest[end + "</script>".len()..]);
            if loads("src").as_deref() == Some("main.js") {
                html.push_str(&script);
            }
        } else {
            html.push_str(tag);
            if tag.eq_ignore_ascii_case("<head>") {
                html.push_str(policy);
            }
        }
    }
    html.push_str(rest);
    Ok(html.into_bytes())
}

/// `name="value"` of a tag.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = tag.find(&format!(" {name}="))? + name.len() + 2;
    let quote = tag[start..].chars().next().filter(|quote| "'\"".contains(*quote))?;
    let value = &tag[start + 1..];
    Some(value[..value.find(quote)?].to_string())
}

/// A module whose imports have names instead of paths.
fn renamed(module: &str) -> String {
    let mut text = module.to_string();
    for quote in ['\'', '"'] {
        for before in ["from ", "import "] {
            text = text.replace(&format!("{before}{quote}./"), &format!("{before}{quote}studio/"));
        }
    }
    text
}

/// A browser undoes it by itself (`DecompressionStream`).
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut small = GzEncoder::new(Vec::new(), Compression::best());
    // Into memory: there is nothing that could fail.
    small.write_all(bytes).and_then(|()| small.finish()).unwrap_or_default()
}

fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_with_every_combination() {
        let template = json!({"method": "POST", "path": "/api/v1/runs/{id}/look",
            "body": {"text": "{text}", "step": "{step}", "want": [{"name": "layer{layer}.q"}]}});
        let marks = [
            ("{id}", vec![json!("r")]),
            ("{step}", vec![json!(0), json!(5)]),
            ("{text}", vec![json!("a"), json!("b")]),
            ("{layer}", vec![json!(0), json!(1)]),
        ];
        let all = filled(&template, &marks);
        assert_eq!(all.len(), 8);
        let expected = r#"POST /api/v1/runs/r/look {"step":5,"text":"b","want":[{"name":"layer1.q"}]}"#;
        assert_eq!(all.iter().filter(|one| key(one) == expected).count(), 1, "{all:?}");
        assert_eq!(filled(&json!({"method": "GET", "path": "/x"}), &marks).len(), 1);
    }

    #[test]
    fn every_file_becomes_a_part_of_the_page() {
        let page = "<!doctype html><html><head><meta charset=\"utf-8\"><link rel=\"icon\" href=\"icon.svg\">\
            <link rel=\"stylesheet\" href=\"a.css\"><script type=\"module\" src=\"main.js\"></script></head><body>x &lt; y</body></html>";
        let files = BTreeMap::from([
            ("index.html", page.as_bytes().to_vec()),
            ("a.css", b"body{}".to_vec()),
            ("icon.svg", b"<svg/>".to_vec()),
            ("main.js", b"import { a } from './a.js';\nimport './b.js';".to_vec()),
            ("a.js", b"export const a = 1;".to_vec()),
        ]);
        let html = String::from_utf8(assemble(&files, &json!({"x": "</script>"})).unwrap()).unwrap();
        assert!(html.contains("<style>\nbody{}</style>") && html.contains("x &lt; y</body>"), "{html}");
        assert!(
            html.contains(&base64(&gzip(b"{\"x\":\"</script>\"}")))
                && !html.contains("href=\"a.css\"")
                && !html.contains("src=")
        );
        assert_eq!(
            renamed("import { a } from './a.js';\nimport \"./b.js\";"),
            "import { a } from 'studio/a.js';\nimport \"studio/b.js\";"
        );
        assert!(html.contains(&base64(b"import { a } from 'studio/a.js';\nimport 'studio/b.js';")));
        assert!(
            html.contains("data:image/svg+xml;base64,PHN2Zy8+") && html.contains("Content-Security-Policy")
        );
    }
}
