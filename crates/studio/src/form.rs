//! All settings as a form, made from the lists.

use crate::json::{Fields, Json, needed};
use crate::message::Fault;
use microgpt::config::Knob;
use microgpt::layout::Layout;
use microgpt::task::Task;
use microgpt::token::{SMALLEST, TokenizerKind};
use microgpt::{Config, Error};
use microgpt_runs::Settings;
use microgpt_runs::data::Source;
use microgpt_runs::presets::{PRESETS, Preset};
use microgpt_runs::settings::{Assignment, holds_back, read_toml};
use serde_json::json;

/// What was said of a run, and the settings that it makes.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// The settings.
    pub settings: Settings,
    /// What was said, the later stronger.
    pub said: Vec<Assignment>,
}

impl Start {
    /// The settings that this makes.
    ///
    /// # Errors
    /// An unknown name or an impossible value, with its place.
    pub fn new(said: Vec<Assignment>) -> Result<Start, Error> {
        Ok(Start { settings: Settings::resolve(&said)?, said })
    }

    /// Is a part of its text to be held back, though nobody has said so? See [`holds_back`]; a text that comes with the
    /// request is one of the user's own.
    pub fn holds_back(&self, text_comes_along: bool) -> bool {
        let mut settings = self.settings.clone();
        if text_comes_along {
            settings.data = Source::Files(Vec::new());
        }
        holds_back(&self.said, &settings)
    }
}

/// The form, and what the command said.
pub fn form(start: &Settings) -> Json {
    let defaults = Config::default();
    let mut groups: Vec<&str> = Vec::new();
    let knobs: Vec<Json> = Config::knobs()
        .iter()
        .map(|knob| {
            if !groups.contains(&knob.group) {
                groups.push(knob.group);
            }
            knob_of(knob, &defaults)
        })
        .collect();
    let mut data = vec![json!({"name": "names", "about": "32,257 names that are built in"})];
    if start.data != Source::Names {
        data.push(json!({"name": "given", "about": start.data.to_string()}));
    }
    data.push(json!({"name": "text", "about": "a text given here"}));
    let from = if start.data == Source::Names { "names" } else { "given" };
    json!({
        "presets": PRESETS.iter().map(preset_of).collect::<Vec<_>>(),
        "groups": groups,
        "knobs": knobs,
        "data": data,
        "start": {"preset": start.preset, "settings": changed(start), "data": from},
    })
}

fn knob_of(knob: &Knob, defaults: &Config) -> Json {
    let kind = match (&knob.values[..], knob.choices.is_empty()) {
        ("N", _) => "whole",
        ("X", _) => "number",
        ("true|false", _) => "truth",
        (values, false) if values.ends_with("|FORMULA") => "formula",
        _ => "choice",
    };
    let choices: Vec<Json> =
        knob.choices.iter().map(|(name, help)| json!({"name": name, "help": help})).collect();
    json!({
        "name": knob.name, "group": knob.group, "help": knob.help, "kind": kind,
        "default": defaults.get(knob.name), "choices": choices,
    })
}

fn preset_of(preset: &Preset) -> Json {
    let settings: serde_json::Map<String, Json> = read_toml(preset.text, preset.name)
        .unwrap_or_default()
        .into_iter()
        .map(|Assignment { name, value, .. }| (name, value.into()))
        .collect();
    json!({"name": preset.name, "about": preset.about(), "data": preset.names, "settings": settings})
}

/// The settings that differ from the preset's.
fn changed(settings: &Settings) -> Json {
    let preset = Assignment { place: String::new(), name: "preset".into(), value: settings.preset.into() };
    let base = Settings::resolve(&[preset]).unwrap_or_default();
    let differs = |knob: &Knob| settings.config.get(knob.name) != base.config.get(knob.name);
    let list = Config::knobs().into_iter().filter(differs);
    list.map(|knob| (knob.name.to_string(), settings.config.get(knob.name).into()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The settings that a request asks for.
///
/// # Errors
/// An unknown name, or a value that cannot be.
pub fn settings(fields: &mut Fields, start: &Start) -> Result<Start, Fault> {
    let assignment =
        |name: &str, value: String| Assignment { place: name.to_string(), name: name.into(), value };
    let mut assignments: Vec<Assignment> = match fields.text("preset")? {
        Some(preset) => vec![assignment("preset", preset)],
        None => start.said.iter().filter(|said| said.name == "preset").cloned().collect(),
    };
    for (name, value) in fields.object("settings")?.into_iter().flat_map(Fields::rest) {
        let value = match value {
            Json::String(text) => text,
            Json::Number(number) => number.to_string(),
            Json::Bool(truth) => truth.to_string(),
            _ => return Err(Fault::wrong(format!("{name}: expected a text, found something else"))),
        };
        if ["data", "preset"].contains(&&name[..]) {
            return Err(Fault::wrong(format!("{name}: no such setting")));
        }
        assignments.push(assignment(&name, value));
    }
    Ok(Start::new(assignments)?)
}

/// Are these settings possible?
///
/// # Errors
/// A body that is none; what is wrong with the settings is an answer.
pub fn check(mut fields: Fields, start: &Start) -> Result<Json, Fault> {
    let checked = settings(&mut fields, start);
    fields.end()?;
    Ok(match checked {
        Ok(start) => json!({"ok": true, "parameters": parameters(&start.settings)}),
        Err(fault) => {
            let name = fault.text.split(':').next().unwrap_or_default();
            let known = Config::knobs().iter().any(|knob| knob.name == name) || name == "preset";
            json!({"ok": false, "error": fault.text, "name": known.then_some(name)})
        }
    })
}

/// How many parameters there will be, if the tokens are known.
fn parameters(settings: &Settings) -> Option<usize> {
    let config = &settings.config;
    let vocab_size = match (config.tokenizer, config.task) {
        (TokenizerKind::Byte, Task::None) => SMALLEST,
        (TokenizerKind::Bpe, Task::None) => config.vocab_size,
        (TokenizerKind::Char, Task::None) if settings.preset().names => 27,
        (_, Task::None) => return None,
        _ => microgpt::corpus::Corpus::task(config).ok()?.tokenizer.vocab_size(),
    };
    Some(Layout::new(config, vocab_size).len())
}

/// `{"condition": "..."}`: can it be understood?
///
/// # Errors
/// A body that is none.
pub fn condition(mut fields: Fields) -> Result<Json, Fault> {
    let text = needed(fields.text("condition")?, "condition")?;
    fields.end()?;
    Ok(match crate::condition::Condition::parse(&text) {
        Ok(_) => json!({"ok": true, "error": null, "at": null}),
        Err(mistake) => json!({"ok": false, "error": mistake.text, "at": mistake.at}),
    })
}
