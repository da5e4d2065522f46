//! `tokenizer.json`: the alphabet; or bytes and merges, as the `tokenizers` library writes them and reads them.

use crate::atomic::in_one_line;
use crate::state::FORMAT_VERSION;
use microgpt::Error;
use microgpt::token::{Alphabet, Bpe, Pair, Tokenizer, letter_of};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;

/// An alphabet.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Characters {
    format_version: u32,
    /// `characters`: a token is a character's place here, and BOS comes after the last.
    kind: String,
    characters: String,
}

/// What BOS is called in the file, where a token has to have a text.
const BOS: &str = "<|endoftext|>";

/// A tokenizer as JSON.
pub fn to_json(tokenizer: &Tokenizer) -> String {
    let value = match tokenizer {
        Tokenizer::Chars(alphabet) => {
            let characters = alphabet.chars().iter().collect();
            let characters =
                Characters { format_version: FORMAT_VERSION, kind: "characters".into(), characters };
            serde_json::to_value(characters).expect("texts only")
        }
        Tokenizer::Bytes(bpe) => bytes_to_json(bpe, tokenizer.bos()),
    };
    serde_json::to_string_pretty(&value).expect("texts only") + "\n"
}

fn bytes_to_json(bpe: &Bpe, bos: u32) -> Value {
    let name = |token: u32| -> String {
        bpe.piece(token).unwrap_or_default().iter().map(|&byte| letter_of(byte)).collect()
    };
    let mut vocab: serde_json::Map<String, Value> =
        (0..bpe.len() as u32).map(|token| (name(token), token.into())).collect();
    vocab.insert(BOS.into(), bos.into());
    let merges: Vec<[String; 2]> = bpe.merges().iter().map(|&(a, b)| [name(a), name(b)]).collect();
    let bytes =
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [{
            "id": bos, "content": BOS, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        }],
        "normalizer": null,
        "pre_tokenizer": bytes,
        "post_processor": null,
        "decoder": bytes,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocab, "merges": merges,
        },
    })
}

/// A tokenizer from JSON: one that [`to_json`] wrote, or one of the `tokenizers` library whose tokens stand in the same
/// order (all bytes, the merges, then one special token, as GPT-2's).
///
/// # Errors
/// What is no tokenizer, or none of those.
pub fn from_json(bytes: &[u8]) -> Result<Tokenizer, Error> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| {
        Error::checkpoint(format!("expected a tokenizer (JSON), found {}", in_one_line(&error)))
    })?;
    if value.get("model").is_some() {
        return bytes_from_json(&value);
    }
    let characters: Characters = serde_json::from_value(value).map_err(|error| {
        Error::checkpoint(format!("expected an alphabet (JSON), found {}", in_one_line(&error)))
    })?;
    let found = (characters.format_version, characters.kind.as_str());
    if found != (FORMAT_VERSION, "characters") {
        return Err(Error::checkpoint(format!(
            "expected characters in format {FORMAT_VERSION}, found {} in format {}",
            found.1, found.0
        )));
    }
    let chars: Vec<char> = characters.characters.chars().collect();
    match chars.windows(2).find(|pair| pair[0] >= pair[1]) {
        Some(pair) => {
            let found = format!("{:?} before {:?}", pair[0], pair[1]);
            Err(Error::checkpoint(format!("tokenizer: expected characters in order, found {found}")))
        }
        None => Ok(Tokenizer::Chars(Alphabet::new(chars))),
    }
}

fn bytes_from_json(value: &Value) -> Result<Tokenizer, Error> {
    let expected = |what: &str, found: &dyn std::fmt::Display| {
        Error::checkpoint(format!("tokenizer: expected {what}, found {found}"))
    };
    let (model, before) = (&value["model"], &value["pre_tokenizer"]);
    if model["type"] != "BPE" || before["type"] != "ByteLevel" {
        let found = format!("{} after {}", model["type"], before["type"]);
        return Err(expected("BPE after ByteLevel", &found));
    }
    if before["add_prefix_space"] == true || before["use_regex"] == false || !value["normalizer"].is_null() {
        return Err(expected("ByteLevel with its regular expression, and nothing before it", before));
    }
    let vocab: HashMap<String, u32> = serde_json::from_value(model["vocab"].clone())
        .map_err(|error| expected("a number for each token (vocab)", &error))?;
    let token = |name: &str| {
        vocab
            .get(name)
            .copied()
            .ok_or_else(|| expected("a token for each part of a merge", &format!("none for {name:?}")))
    };
    let mut bytes = [0; 256];
    for byte in 0..=255 {
        let found = token(&letter_of(byte).to_string())?;
        bytes[usize::from(byte)] =
            found.try_into().map_err(|_| expected("bytes as the first 256 tokens", &found))?;
    }
    let mut merges: Vec<Pair> = Vec::new();
    for merge in model["merges"].as_array().ok_or_else(|| expected("a list of merges", &model["merges"]))? {
        // Two texts; older files have one, with a space between.
        let (a, b) = match merge {
            Value::String(both) => both.split_once(' '),
            both => both[0].as_str().zip(both[1].as_str()),
        }
        .ok_or_else(|| expected("the two parts of a merge", merge))?;
        let made = token(&format!("{a}{b}"))?;
        if made as usize != 256 + merges.len() {
            let what = format!("token {} for merge {}", 256 + merges.len(), merges.len() + 1);
            return Err(expected(&what, &made));
        }
        merges.push((token(a)?, token(b)?));
    }
    let bpe = Bpe::new(bytes, &merges).map_err(|error| Error::checkpoint(format!("tokenizer: {error}")))?;
    if vocab.len() > bpe.len() + 1 {
        return Err(expected(&format!("at most {} tokens", bpe.len() + 1), &vocab.len()));
    }
    Ok(Tokenizer::Bytes(bpe))
}

#[cfg(test)]
mod tests {
    use super::*;
    use microgpt::token::Words;

    #[test]
    fn every_tokenizer_comes_back() {
        let mut words = Words::default();
        words.count("Ωμέγα lower lowest low \u{0} 'll".as_bytes());
        let all = [
            Tokenizer::new("Ωμέγα \"\n\u{0}".chars()),
            Tokenizer::bytes(),
            Tokenizer::learn(&words, 270).unwrap(),
        ];
        for tokenizer in all {
            assert_eq!(from_json(to_json(&tokenizer).as_bytes()).unwrap(), tokenizer);
        }
    }

    #[test]
    fn what_is_no_tokenizer_is_an_error() {
        let error = |text: &str| from_json(text.as_bytes()).unwrap_err().to_string();
        assert!(error("{").starts_with("expected a tokenizer (JSON), found EOF"));
        assert!(error("{}").starts_with("expected an alphabet (JSON), found missing field"));
        assert_eq!(
            error(r#"{"format_version": 1, "kind": "characters", "characters": "ba"}"#),
            "tokenizer: expected characters in order, found 'b' before 'a'"
        );
        let mut words = Words::default();
        words.count(b"low lower");
        let whole = to_json(&Tokenizer::learn(&words, 260).unwrap());
        let broken = |from: &str, to: &str| {
            assert!(whole.contains(from), "{from} in {whole}");
            error(&whole.replacen(from, to, 1))
        };
        assert_eq!(
            broken("\"BPE\"", "\"Unigram\""),
            "tokenizer: expected BPE after ByteLevel, found \"Unigram\" after \"ByteLevel\""
        );
        assert_eq!(
            broken("\"lo\": 256", "\"lo\": 300"),
            "tokenizer: expected token 256 for merge 1, found 300"
        );
        assert_eq!(
            broken("\"lo\": 256", "\"la\": 256"),
            "tokenizer: expected a token for each part of a merge, found none for \"lo\""
        );
        assert!(
            broken("\"!\": 0", "\"!\": 1")
                .starts_with("tokenizer: expected a token of its own for each byte")
        );
        assert!(
            broken("\"merges\": [", "\"merges\": [7,")
                .starts_with("tokenizer: expected the two parts of a merge, found 7")
        );
        assert!(
            broken("\"vocab\": {", "\"vocab\": {\"more\": 999,").starts_with("tokenizer: expected at most")
        );
    }
}
