//! Byte-pair encoding: the merges and the tokens of the `tokenizers` library, and any bytes come back.
//!
//! `tests/interop/golden/bpe.json` was written by `tests/interop/bpe.py`.

#![expect(clippy::disallowed_methods, reason = "a test reads recordings")]

use microgpt::Config;
use microgpt::corpus::tokenizer_of;
use microgpt::documents::DataMode;
use microgpt::token::{Tokenizer, TokenizerKind, Words};
use proptest::prelude::*;
use serde_json::Value;
use std::path::Path;
use std::sync::LazyLock;

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn merges_and_tokens_are_those_of_the_tokenizers_library() {
    let recorded = std::fs::read(root().join("tests/interop/golden/bpe.json")).unwrap();
    let recorded: Value = serde_json::from_slice(&recorded).unwrap();
    let odd = recorded["odd"].as_str().unwrap();
    let cases = recorded["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    for case in cases {
        let text = match case["file"].as_str() {
            Some(file) => std::fs::read(root().join(file)).unwrap(),
            None => case["text"].as_str().unwrap().as_bytes().to_vec(),
        };
        let config = Config {
            tokenizer: TokenizerKind::Bpe,
            vocab_size: case["vocab_size"].as_u64().unwrap() as usize,
            data_mode: if case["data_mode"] == "lines" { DataMode::Lines } else { DataMode::Stream },
            ..Config::default()
        };
        let tokenizer = tokenizer_of(&text, &config).unwrap();
        let Tokenizer::Bytes(bpe) = &tokenizer else { panic!("of bytes") };
        let piece = |token: u32| hex(bpe.piece(token).unwrap());
        let found: Vec<[String; 2]> = bpe.merges().iter().map(|&(a, b)| [piece(a), piece(b)]).collect();
        let expected: Vec<[String; 2]> = serde_json::from_value(case["merges"].clone()).unwrap();
        assert!(expected.len() > 100 && expected.len() <= config.vocab_size - 257, "{}", expected.len());
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found, expected, "{}: merge {}", case["file"], i + 1);
        }
        assert_eq!(found.len(), expected.len());
        let found: Vec<String> = tokenizer.encode(odd).unwrap().into_iter().map(piece).collect();
        let expected: Vec<String> = serde_json::from_value(case["odd"].clone()).unwrap();
        assert_eq!(found, expected, "{}", case["file"]);
    }
}

/// Learnt from this very file.
static BPE: LazyLock<Tokenizer> = LazyLock::new(|| {
    let mut words = Words::default();
    words.count(include_bytes!("bpe.rs"));
    Tokenizer::learn(&words, 500).unwrap()
});

proptest! {
    #[test]
    fn any_bytes_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in ".{0,80}", fine in "[a-z \\n'0-9]{0,300}") {
        for tokenizer in [&*BPE, &Tokenizer::bytes()] {
            for bytes in [&bytes[..], text.as_bytes(), fine.as_bytes()] {
                let mut tokens = Vec::new();
                tokenizer.encode_bytes_into(bytes, &mut tokens).unwrap();
                prop_assert_eq!(&tokenizer.decode_bytes(&tokens), bytes);
                prop_assert!(tokens.len() <= bytes.len() && tokens.iter().all(|&token| token < tokenizer.bos()));
                if let Ok(text) = std::str::from_utf8(bytes) {
                    prop_assert_eq!(tokenizer.decode(&tokens), text);
                }
            }
        }
    }
}
