//! What a checkpoint remembers beside its tensors, as JSON.

use microgpt::{Error, rng::RngState};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The format that this program writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// `state.json`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// See [`FORMAT_VERSION`].
    pub format_version: u32,
    /// How many steps have been made.
    pub step: usize,
    /// Which document comes next, counted over all rounds through the shuffled data; or which window of a stream.
    pub data_cursor: usize,
    /// What the data is recognised by.
    pub data_sha256: String,
    /// The precision of the tensors: `f64` (the scalar engine) or `f32` (the fast one).
    pub precision: String,
    /// The settings that it was trained with, by name; an older program's have fewer.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// The best that was seen on what is held back.
    #[serde(default)]
    pub best: Option<Best>,
    /// Where chance is.
    pub rng: Chance,
}

/// The best loss so far on what is held back.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// After which step.
    pub step: usize,
    /// In nats per token.
    pub val_loss: f64,
    /// How many looks have not found a better one since.
    pub looks_since: usize,
}

impl Best {
    /// What is best after one more look: this, or what was found.
    pub fn after(best: Option<Best>, step: usize, val_loss: f64) -> Best {
        match best {
            Some(best) if best.val_loss <= val_loss => Best { looks_since: best.looks_since + 1, ..best },
            _ => Best { step, val_loss, looks_since: 0 },
        }
    }
}

/// [`RngState`] in a form for files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chance {
    /// The 624 words of the twister.
    pub words: Vec<u32>,
    /// Which word comes next.
    pub next: usize,
    /// The normal number that is left of the last pair.
    pub spare: Option<f64>,
}

impl From<RngState> for Chance {
    fn from(RngState { words, next, spare }: RngState) -> Chance {
        Chance { words, next, spare }
    }
}

impl From<Chance> for RngState {
    fn from(Chance { words, next, spare }: Chance) -> RngState {
        RngState { words, next, spare }
    }
}

impl State {
    /// As JSON.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string(self).expect("numbers and texts only");
        text.push('\n');
        text
    }

    /// From JSON.
    ///
    /// # Errors
    /// What is none, is of a newer format, or is damaged.
    pub fn from_json(bytes: &[u8]) -> Result<State, Error> {
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let wrong = |error: serde_json::Error| {
            let found = crate::atomic::in_one_line(&error);
            Error::checkpoint(format!("expected the state of a run (JSON), found {found}"))
        };
        // The version first: a newer format may have other fields.
        let Version { format_version } = serde_json::from_slice(bytes).map_err(wrong)?;
        if format_version != FORMAT_VERSION {
            return Err(Error::checkpoint(format!(
                "expected format version {FORMAT_VERSION}, found {format_version}"
            )));
        }
        let state: State = serde_json::from_slice(bytes).map_err(wrong)?;
        microgpt::rng::Rng::restore(&state.rng.clone().into())?;
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use microgpt::rng::Rng;

    #[test]
    fn chance_goes_on_where_it_was() {
        let mut rng = Rng::new(3);
        for _ in 0..101 {
            rng.gauss(1.0);
        }
        let state = State {
            format_version: FORMAT_VERSION,
            step: 7,
            data_cursor: 14,
            data_sha256: "00".into(),
            precision: "f64".into(),
            settings: BTreeMap::from([("lr".to_string(), "0.01".to_string())]),
            best: Some(Best { step: 5, val_loss: 0.1 + 0.2, looks_since: 2 }),
            rng: rng.state().into(),
        };
        let again = State::from_json(state.to_json().as_bytes()).unwrap();
        assert_eq!(again, state);
        let mut restored = Rng::restore(&again.rng.into()).unwrap();
        assert_eq!(restored.gauss(1.0).to_bits(), rng.gauss(1.0).to_bits());
        assert_eq!(restored.u32(), rng.u32());
    }

    #[test]
    fn the_best_stays_until_there_is_a_better() {
        let best = Best::after(None, 10, 2.0);
        assert_eq!(best, Best { step: 10, val_loss: 2.0, looks_since: 0 });
        let best = Best::after(Some(best), 20, 2.0);
        assert_eq!(best, Best { step: 10, val_loss: 2.0, looks_since: 1 });
        assert_eq!(Best::after(Some(best), 30, 1.9), Best { step: 30, val_loss: 1.9, looks_since: 0 });
    }

    #[test]
    fn a_newer_format_is_told_from_a_damaged_one() {
        let newer = State::from_json(br#"{"format_version": 2, "colour": "blue"}"#).unwrap_err().to_string();
        assert_eq!(newer, "expected format version 1, found 2");
        let damaged = State::from_json(br#"{"format_version": 1, "st"#).unwrap_err().to_string();
        assert!(damaged.starts_with("expected the state of a run (JSON), found EOF"), "{damaged}");
    }
}
