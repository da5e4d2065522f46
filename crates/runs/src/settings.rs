//! Settings from all sides: defaults < preset < file < environment < flags.
//!
//! Each side gives assignments, `name = value` with the place where it was said; [`Settings::resolve`] applies them in
//! that order. Files are flat TOML, with the names of [`Config::knobs`], `preset` and `data`.

use crate::atomic::in_one_line;
use crate::data::{Data, Source};
use crate::presets::{PRESETS, Preset};
use microgpt::task::Task;
use microgpt::{Config, Error};
use std::fmt::Write;
use toml::de::{DeTable, DeValue};

/// Everything that decides what a run is.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The knobs.
    pub config: Config,
    /// The name of the preset they started from.
    pub preset: &'static str,
    /// The text to learn from.
    pub data: Source,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { config: Config::default(), preset: PRESETS[0].name, data: Source::default() }
    }
}

/// A setting that someone gave, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// `my.toml:3: n_layer`, `MICROGPT_N_LAYER` or `--n-layer`: how an error names it.
    pub place: String,
    /// `n_layer`
    pub name: String,
    /// `2`
    pub value: String,
}

impl Settings {
    /// The settings that these assignments make, of which later ones win; the preset counts before all others.
    ///
    /// # Errors
    /// An unknown name or an impossible value, with its place.
    pub fn resolve(assignments: &[Assignment]) -> Result<Settings, Error> {
        let mut settings = Settings::default();
        if let Some(choice) = assignments.iter().rev().find(|a| a.name == "preset") {
            let preset = Preset::find(&choice.value).map_err(|error| error.at(&choice.place))?;
            settings.preset = preset.name;
            for assignment in read_toml(preset.text, &format!("presets/{}.toml", preset.name))? {
                settings.assign(&assignment)?;
            }
        }
        for assignment in assignments {
            settings.assign(assignment)?;
        }
        settings.config.validate()?;
        Ok(settings)
    }

    /// Changes one setting, but not the preset. Whether they are possible together is not asked.
    ///
    /// # Errors
    /// An unknown name or an impossible value, with its place.
    pub fn assign(&mut self, Assignment { place, name, value }: &Assignment) -> Result<(), Error> {
        match name.as_str() {
            "preset" => Ok(()),
            "data" => {
                self.data = Source::parse(value);
                Ok(())
            }
            _ => self.config.set(name, value).map_err(|error| {
                // The place ends with the name already, as it was written there.
                let error = error.to_string();
                Error::config(error.strip_prefix(&format!("{name}: ")).unwrap_or(&error)).at(place)
            }),
        }
    }

    /// Reads the text to learn from; see [`Source::read`].
    ///
    /// # Errors
    /// No text was given and the preset has none of its own; and those of [`Source::read`].
    pub fn read_data(&self) -> Result<Data, Error> {
        if self.config.task != Task::None {
            return match self.data {
                Source::Names => Ok(Data::task(self.config.task)),
                _ => Err(Error::config(format!(
                    "--data: expected a text or a task, found both ({} and the task {})",
                    self.data, self.config.task
                ))),
            };
        }
        if self.data == Source::Names && !self.preset().names {
            return Err(Error::config(format!(
                "--data: expected a text to learn from, found none (the preset {} has none of its own; --data FILE.txt gives it one)",
                self.preset
            )));
        }
        self.data.read()
    }

    /// The preset they started from.
    pub fn preset(&self) -> &'static Preset {
        Preset::find(self.preset).unwrap_or(&PRESETS[0])
    }

    /// All of them as a TOML file that [`read_toml`] reads back to the same bits.
    pub fn to_toml(&self) -> String {
        let mut text = String::from(
            "# Every setting of this run: `microgpt train --config` on this file trains it again.\n",
        );
        let _ = writeln!(text, "\npreset = {}", quoted(self.preset));
        match &self.data.names()[..] {
            [name] => _ = writeln!(text, "data = {}", quoted(name)),
            [] if self.preset().names && self.config.task == Task::None => {
                text.push_str("# data: the names that are built in\n");
            }
            [] => {}
            names => {
                let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
                _ = writeln!(text, "data = [{}]", names.join(", "));
            }
        }
        let mut group = "";
        for knob in Config::knobs() {
            if knob.group != group {
                group = knob.group;
                let _ = writeln!(text, "\n# --- {group} ---");
            }
            let value = self.config.get(knob.name).unwrap_or_default();
            let value = if knob.bare { value } else { quoted(&value) };
            let _ = writeln!(text, "{:36} # {}", format!("{} = {value}", knob.name), knob.help);
        }
        text
    }
}

/// Is a part of the text to be held back, though nobody has said so? Of a text of one's own it is; not where a preset was
/// asked for by name, as that says how much: the two revisions of microgpt.py hold nothing back.
pub fn holds_back(assignments: &[Assignment], settings: &Settings) -> bool {
    let own = settings.data != Source::Names && settings.config.task == Task::None;
    own && !assignments.iter().any(|a| a.name == "preset" || a.name == "val_fraction")
}

/// A string as TOML writes it. JSON's escapes are TOML's, but for one character that JSON leaves as it is.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// The assignments of a TOML text; `file` is its name, for errors.
///
/// # Errors
/// What is no TOML, and what is no setting: the error names the line.
pub fn read_toml(text: &str, file: &str) -> Result<Vec<Assignment>, Error> {
    let line = |byte: usize| 1 + text.bytes().take(byte).filter(|&b| b == b'\n').count();
    let table = DeTable::parse(text).map_err(|error| {
        let place = line(error.span().map_or(0, |span| span.start));
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        Error::config(format!("{file}:{place}: expected TOML, found a mistake: {message}"))
    })?;
    let mut entries: Vec<_> = table.get_ref().iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    let place = |name: &toml::Spanned<_>| {
        format!("{file}:{}: {}", line(name.span().start), in_one_line(name.get_ref()))
    };
    entries
        .into_iter()
        .map(|(name, value)| assignment(place(name), name.get_ref(), value.get_ref()))
        .collect()
}

/// The assignment that a value in a TOML file is; `place` is for errors.
///
/// # Errors
/// What is no setting, or no value of it.
pub(crate) fn assignment(place: String, name: &str, value: &DeValue<'_>) -> Result<Assignment, Error> {
    let name = name.replace('-', "_");
    let knobs = Config::knobs();
    let knob = knobs.iter().find(|knob| knob.name == name);
    let bare = knob.is_some_and(|knob| knob.bare);
    let (value, is_bare) = match value {
        DeValue::String(text) => (text.to_string(), false),
        DeValue::Integer(n) => (n.to_string(), true),
        DeValue::Float(x) => (x.as_str().to_string(), true),
        DeValue::Boolean(b) => (b.to_string(), true),
        DeValue::Array(texts) if name == "data" => (several(texts).unwrap_or_default(), false),
        other => ("".to_string(), other.is_table()),
    };
    if knob.is_none() && name != "preset" && name != "data" {
        // The list of settings explains the wrong name better than we could.
        let unknown = Config::default().set(&name, "").err();
        let unknown = unknown.map(|error| error.to_string()).unwrap_or_default();
        let why = unknown.strip_prefix(&format!("{name}: ")).unwrap_or(&unknown);
        return Err(Error::config(format!("{place}: {why}")));
    }
    if value.is_empty() || is_bare != bare {
        let expected = match knob {
            Some(knob) if knob.values == "N" => "a whole number".to_string(),
            Some(knob) if knob.values == "X" => "a number".to_string(),
            Some(knob) if bare => knob.values.replace('|', " or "),
            Some(knob) => format!("one of {} in quotes", knob.values.replace('|', ", ")),
            None if name == "data" => "text in quotes, or a list of them".to_string(),
            None => "text in quotes".to_string(),
        };
        return Err(Error::config(format!("{place}: expected {expected}, found {}", found(&value, is_bare))));
    }
    Ok(Assignment { place, name, value })
}

/// A list of texts as [`Source::parse`] has it.
fn several(texts: &toml::de::DeArray<'_>) -> Option<String> {
    let text = |value: &toml::Spanned<DeValue<'_>>| value.get_ref().as_str().map(str::to_string);
    Some(texts.iter().map(text).collect::<Option<Vec<_>>>()?.join("\0"))
}

/// How an error shows a value of the wrong type.
fn found(value: &str, bare: bool) -> String {
    match (value, bare) {
        ("", true) => "a table".to_string(),
        ("", false) => "an empty text, a list or a date".to_string(),
        (_, true) => value.to_string(),
        (_, false) => format!("{value:?}"),
    }
}

/// The assignments of a TOML file.
///
/// # Errors
/// A file that cannot be read, and whatever [`read_toml`] finds.
pub fn read_file(path: &str) -> Result<Vec<Assignment>, Error> {
    let text = std::fs::read(path).map_err(|error| {
        Error::config(format!(
            "{path}: expected a file of settings (TOML), found {}",
            crate::atomic::reason(&error)
        ))
    })?;
    let text = String::from_utf8(text).map_err(|error| {
        let byte = error.utf8_error().valid_up_to();
        Error::config(format!("{path}: expected UTF-8 text, found another byte at offset {byte}"))
    })?;
    read_toml(&text, path)
}

/// The assignments among environment variables: `MICROGPT_N_LAYER=2`. With them, the names that begin like one but
/// are none, which may be a slip of the pen or another program's.
pub fn read_env(vars: impl IntoIterator<Item = (String, String)>) -> (Vec<Assignment>, Vec<String>) {
    let (mut assignments, mut unknown) = (Vec::new(), Vec::new());
    let knobs = Config::knobs();
    for (place, value) in vars {
        let Some(name) = place.strip_prefix("MICROGPT_").map(str::to_lowercase) else { continue };
        if name == "preset" || name == "data" || knobs.iter().any(|knob| knob.name == name) {
            assignments.push(Assignment { place, name, value });
        } else if !["simd", "studio_page", "rank_timeout", "rank_bucket"].contains(&name.as_str()) {
            // These are no settings: which instructions the kernels may use, where a page in the making lies, how
            // ranks deal with each other.
            unknown.push(place);
        }
    }
    (assignments, unknown)
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
