//! A text as one stream, on both engines: windows, the part held back, samples, and going on after a stop.

use crate::place::{Place, text};
use crate::resume::bytes;

/// A small model of a stream.
const SMALL: &str = "--data-mode stream --data book.txt --n-embd 8 --n-head 2 --block-size 6 --batch-size 3";

fn place() -> Place {
    let place = Place::new();
    let lines = (0..400).map(|i| ["to be, or not to be\n", "that is\n", "the question\n"][i * i % 7 % 3]);
    place.write("book.txt", lines.collect::<String>());
    place
}

#[test]
fn a_stopped_stream_goes_on_to_the_same_bits_on_both_engines() {
    for engine in ["scalar", "fast"] {
        let place = place();
        let more = format!("{SMALL} --engine {engine} --val-fraction 0.1 --eval-every 15 --steps 40");
        let whole = place.stdout(&format!("train --out whole {more}"));
        assert!(whole.starts_with("num chars: ") && whole.contains("\nheld back: "), "{whole}");
        for (steps, stop) in [("--out parts", 20), ("--resume parts", 31)] {
            let settings = if stop == 20 { more.as_str() } else { "" };
            let output =
                place.microgpt(&format!("train {steps} {settings} --stop-after {stop}")).output().unwrap();
            assert!(output.status.success(), "{}", text(&output.stderr));
        }
        let last = place.stdout("train --resume parts");
        assert!(bytes(&place, "whole") == bytes(&place, "parts"), "{engine}");
        assert!(last.ends_with(whole.split("--- inference ---").last().unwrap()));
        // Looks after steps 15 and 30, and after the last.
        let metrics = std::fs::read_to_string(place.path("runs/whole/metrics.jsonl")).unwrap();
        let lines: Vec<serde_json::Value> =
            metrics.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let steps: Vec<u64> = lines
            .iter()
            .filter(|line| line["val_loss"].is_f64())
            .map(|line| line["step"].as_u64().unwrap())
            .collect();
        assert_eq!((steps, lines.len()), (vec![15, 30, 40], 43));
        let looks = whole.lines().filter(|line| line.contains("| val loss ")).collect::<Vec<_>>();
        assert!(looks.len() == 3 && looks[2].starts_with("step   40 /   40 | val loss "), "{whole}");
        assert!(looks[2].ends_with(" bits per character"), "{whole}");
    }
}

#[test]
fn samples_of_a_stream_are_as_long_as_asked_and_may_begin_with_any_prompt() {
    let place = place();
    place.stdout(&format!("train --out mine {SMALL} --engine fast --steps 60 --samples 1"));
    let json = |words: &str| -> Vec<String> {
        let lines = place.stdout(&format!("generate mine --json {words}"));
        lines
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["text"].as_str().unwrap().into()
            })
            .collect()
    };
    // Longer than the context, and as many characters as asked for.
    let two = json("--samples 2 --max-new-tokens 50 --seed 1");
    assert_eq!(two.iter().map(|text| text.chars().count()).collect::<Vec<_>>(), [50, 50]);
    let prompt = "that is the question";
    let one = json("--samples 1 --max-new-tokens 9 --prompt that");
    assert!(one[0].starts_with("that") && one[0].chars().count() == 13, "{one:?}");
    let output = place.microgpt("generate mine --samples 1 --max-new-tokens 9 --prompt").arg(prompt).output();
    assert!(text(&output.unwrap().stdout).starts_with(&format!("sample  1:\n{prompt}")));
    assert_eq!(place.stdout("generate mine --samples 2 --max-new-tokens 7").matches("sample ").count(), 2);
    let written = std::fs::read_to_string(place.path("runs/mine/samples.txt")).unwrap();
    assert!(written.chars().count() > 500 && written.ends_with("\n-----\n"), "{written}");
}

#[test]
fn documents_may_be_held_back_too() {
    let place = Place::new();
    let out = place.stdout("train --val-fraction 0.1 --eval-every 20 --steps 30 --samples 1 --no-save");
    assert!(out.starts_with("num docs: 32257\nheld back: 3226\nvocab size: 27\n"), "{out}");
    assert_eq!(out.matches("| val loss ").count(), 2);
    let json = place.stdout("train --val-fraction 0.1 --steps 2 --samples 0 --no-save --json");
    let last: serde_json::Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["step"]), (&"validation".into(), &2.into()));
    let (nats, bits) = (last["loss"].as_f64().unwrap(), last["bits"].as_f64().unwrap());
    assert!((nats / bits - std::f64::consts::LN_2).abs() < 1e-12 && nats > 3.0 && nats < 4.0);
}

#[test]
fn shakespeare_wants_a_text() {
    let place = place();
    let (code, error) = place.error("train --preset shakespeare-char");
    let expected =
        "--data: expected a text to learn from, found none (the preset shakespeare-char has none of its";
    assert!(code == 2 && error.starts_with(expected), "{error}");
    assert!(!place.path("runs").exists());
    let words = "train --preset shakespeare-char --data book.txt --steps 2 --max-new-tokens 3 --out mine";
    let out = place.stdout(words);
    assert!(
        out.contains("\nstep    2 /    2 | val loss ") && out.contains("\n--- samples ---\nsample  1:\n")
    );
    let (code, error) = place.error("train --data-mode stream --val-fraction 1");
    assert_eq!((code, error.as_str()), (2, "val_fraction: expected at least 0 and less than 1, found 1.0"));
    place.write("a.txt", "a");
    let (code, error) = place.error("train --data-mode stream --data a.txt");
    assert_eq!((code, error.as_str()), (1, "a.txt: expected a text of at least 2 characters, found 1"));
}
