//! `generate` and `eval`: filters, stops, probabilities, what is new, and how well a text is known.

use crate::place::Place;

/// A place with a run `mine` of some names.
fn trained(settings: &str) -> Place {
    let place = Place::new();
    place.write("names.txt", "anna\nbob\nnina\nhannah\nobi\n");
    place.stdout(&format!("train --data names.txt --steps 60 --out mine {settings}"));
    place
}

fn texts(out: &str) -> Vec<&str> {
    out.lines().filter(|line| line.starts_with("sample")).filter_map(|line| line.split(": ").nth(1)).collect()
}

#[test]
fn filters_and_stops_and_counts() {
    for engine in ["scalar", "fast"] {
        let place = trained(&format!("--engine {engine}"));
        let plain = place.stdout("generate mine");
        assert_eq!(texts(&plain).len(), 20);
        // All tokens may come: the same draws, whichever way they are made.
        assert_eq!(texts(&place.stdout("generate mine --top-k 100 --stop !")), texts(&plain), "{engine}");
        let greedy = place.stdout("generate mine --greedy --count 3");
        let greedy = texts(&greedy);
        assert!(greedy.len() == 3 && greedy.iter().all(|text| *text == greedy[0]), "{greedy:?}");
        assert_eq!(texts(&place.stdout("generate mine --top-k 1 --samples 1 --seed 9")), greedy[..1]);
        assert_eq!(texts(&place.stdout("generate mine --top-p 1e-9 --samples 1")), greedy[..1]);
        assert_eq!(texts(&place.stdout("generate mine --min-p 1 --samples 1")), greedy[..1]);
        let stopped = place.stdout("generate mine --prompt an --stop n --temperature 1");
        assert!(texts(&stopped).iter().all(|text| !text[2..].contains('n')), "{stopped}");
    }
}

#[test]
fn the_probabilities_of_each_token_are_shown() {
    let place = trained("");
    let plain = place.stdout("generate mine --samples 2");
    let shown = place.stdout("generate mine --samples 2 --show-probs");
    assert_eq!(texts(&shown), texts(&plain));
    let first = texts(&plain)[0];
    let lines: Vec<&str> = shown.lines().skip(1).take_while(|line| line.starts_with("    ")).collect();
    // Every letter, and the end unless the context was full.
    assert!(lines.len() == first.len() + 1 || lines.len() == 8, "{shown}");
    for (line, letter) in lines.iter().zip(first.chars()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let p: f64 = words[1].parse().unwrap();
        assert!(words[0] == letter.to_string() && (0.0..=1.0).contains(&p) && words.len() == 10, "{line}");
    }
    let json = place.stdout("generate mine --samples 1 --show-probs --json");
    let event: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    let tokens = event["tokens"].as_array().unwrap();
    assert_eq!(tokens.len(), lines.len());
    assert_eq!(tokens[0]["token"].as_str().unwrap(), &first[..1]);
}

#[test]
fn samples_are_copied_near_or_new() {
    let place = trained("");
    let marked = place.stdout("generate mine --compare --temperature 1 --seed 3");
    let names = ["anna", "bob", "nina", "hannah", "obi"];
    for line in texts(&marked) {
        let (text, mark) = line.split_once("  (").unwrap();
        assert_eq!(mark == "copied)", names.contains(&text), "{line}");
        assert!(["copied)", "near)", "new)"].contains(&mark), "{line}");
    }
    let summary = marked.lines().last().unwrap();
    assert!(summary.ends_with("(near: one letter from a document)"), "{summary}");
    let json = place.stdout("generate mine --compare --json --samples 3");
    let last: serde_json::Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    let sum: u64 = ["copied", "near", "new"].iter().map(|name| last[name].as_u64().unwrap()).sum();
    assert_eq!(sum, 3);
    place.write("names.txt", "someone\nelse\n");
    let (code, error) = place.error("generate mine --compare");
    assert!(code == 1 && error.contains("expected the text that the run was trained on"), "{error}");
}

#[test]
fn a_text_is_known_more_or_less() {
    let place = trained("--ema 0.5");
    let report = place.stdout("eval mine --data names.txt");
    let number = |name: &str| -> f64 {
        let line = report.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().next().unwrap().parse().unwrap()
    };
    assert_eq!((number("documents"), number("characters")), (5.0, 25.0));
    assert!((number("perplexity").ln() - number("loss")).abs() < 1e-3, "{report}");
    assert!((number("bits per character") * 2f64.ln() - number("loss")).abs() < 1e-3, "{report}");
    assert!(report.contains("\nsurest, nats per token\n") && report.contains("\nleast sure, "), "{report}");

    place.write("other.txt", "zoe\nbobbob\n");
    let (code, error) = place.error("eval mine --data other.txt");
    assert!(code == 1 && error.starts_with("other.txt: document 1: expected only the "), "{error}");
    let json = place.stdout("eval mine --data other.txt --skip-unknown --json");
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&value["skipped"], &value["documents"]), (&1.into(), &1.into()));
    assert!(value["loss"].as_f64().unwrap() > number("loss"), "an unknown word is known less");
    let (code, error) = place.error("eval mine --data none.txt");
    assert!(code == 1 && error.contains("none.txt") && error.contains("no such file"), "{error}");
}
