//! Texts of all kinds, tokens of all kinds, and tasks.

use crate::place::{Place, text};
use crate::resume::bytes;
use serde_json::Value;

const SMALL: &str = "--n-embd 8 --n-head 2 --block-size 12 --batch-size 3 --engine fast";

fn place() -> Place {
    let place = Place::new();
    let lines = |first: usize| -> String {
        (first..first + 60)
            .map(|i| format!("the {} of déjà vu {}\n", ["king", "queen", "fool"][i % 3], i % 7))
            .collect()
    };
    std::fs::create_dir_all(place.path("texts/more")).unwrap();
    place.write("texts/b.txt", lines(0));
    place.write("texts/more/a.txt", lines(60));
    place.write("c.txt", lines(120));
    place
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn several_files_and_folders_are_one_text() {
    let place = place();
    let out = place.stdout("train --data texts c.txt --steps 1 --samples 1 --out mine");
    assert!(out.starts_with("num docs: 180\n"), "{out}");
    let config = std::fs::read_to_string(place.path("runs/mine/config.toml")).unwrap();
    assert!(config.contains("\ndata = [\"/") && config.contains("/c.txt\"]\n"), "{config}");
    assert!(place.stdout("train --resume mine --steps 2").contains("step    2 /    2"));
    let all =
        ["texts/b.txt", "texts/more/a.txt", "c.txt"].map(|name| std::fs::read(place.path(name)).unwrap());
    let words = "train --data - --steps 1 --samples 1 --no-save";
    let piped = place.microgpt(words).write_stdin(all.concat()).output().unwrap();
    assert_eq!(text(&piped.stdout), out);
    let twice = place.stdout("train --data texts --data c.txt --steps 1 --samples 1 --no-save");
    assert_eq!(twice, out);
}

#[test]
fn a_run_of_bytes_or_pairs_goes_on_to_the_same_bits_and_is_sampled() {
    for (tokenizer, counted) in [("byte", "bytes"), ("bpe --vocab-size 280", "tokens")] {
        for mode in ["lines", "stream"] {
            let place = place();
            let settings = format!(
                "{SMALL} --data texts --tokenizer {tokenizer} --data-mode {mode} --val-fraction 0.1 --steps 30 --max-new-tokens 20"
            );
            let whole = place.stdout(&format!("train --out whole {settings}"));
            let counted = if mode == "lines" { "docs" } else { counted };
            assert!(whole.starts_with(&format!("num {counted}: ")), "{whole}");
            let unit = if tokenizer == "byte" { "byte" } else { "token" };
            assert!(whole.contains(&format!(" bits per {unit}\n")), "{whole}");
            place.microgpt(&format!("train --out parts {settings} --stop-after 11")).assert().success();
            place.stdout("train --resume parts");
            assert!(bytes(&place, "whole") == bytes(&place, "parts"), "{tokenizer} {mode}");
            let samples = whole.split("--- inference ---\n").last().unwrap();
            assert_eq!(place.stdout("generate whole"), samples);
            place.stdout("generate whole --samples 1 --prompt zo\u{eb}");
        }
    }
}

#[test]
fn any_bytes_are_learnt_but_not_as_characters() {
    let place = Place::new();
    place.write("some.bin", [0xff, 0xfe, b'a', b'\n', 0, 0xc5, b'b', b'\n'].repeat(20));
    let (code, error) = place.error("train --data some.bin");
    let message = "some.bin: expected UTF-8 text, found byte 0xff at offset 0 (line 1)";
    assert_eq!((code, error.as_str()), (1, message));
    for tokenizer in ["byte", "bpe"] {
        place.stdout(&format!("train --data some.bin --tokenizer {tokenizer} --steps 2 --no-save"));
    }
    let (code, error) = place.error("train --tokenizer bpe --vocab-size 256");
    assert_eq!(
        (code, error.as_str()),
        (2, "vocab_size: expected at least 257 (256 bytes and BOS), found 256")
    );
    let (code, error) = place.error("train --tokenizer bp");
    assert!(code == 2 && error.ends_with("found \"bp\" (did you mean bpe?)"), "{error}");
}

#[test]
fn a_text_is_looked_at() {
    let place = Place::new();
    place.write("my.txt", "anna\nbob\nanna\nmaximilian\n");
    let out = place.stdout("data my.txt");
    for part in [
        "text        my.txt\n",
        "documents   4, 1 of them have stood before\n",
        "character   21: 3 to 10 in a document, 4 at the median, 5.25 in the mean\n",
        "\n              4         2\n",
        "cut         1 documents (25.0 %) lose 3 of 25 tokens to learn (12.0 %): block_size is 8\n",
        "  2.1972 (3.1699)  guesses blindly: ln(V)\n",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
    assert!(out.is_ascii(), "plain in a pipe: {out}");
    let report = json(&place.stdout("data my.txt --json --block-size 20"));
    assert_eq!(
        (&report["cut"], &report["vocab_size"], &report["duplicates"]),
        (&0.into(), &9.into(), &1.into())
    );
    assert_eq!(report["lengths"][0], serde_json::json!([3, 1]));
    let names = json(&place.stdout("data --json"));
    assert_eq!((&names["documents"], &names["vocab_size"]), (&32257.into(), &27.into()));
    let loss = |what: &str| names["loss"][what].as_f64().unwrap();
    assert!(loss("guess") > loss("unigram") && loss("unigram") > loss("bigram") && loss("bigram") > 2.0);
    let stream = place.stdout("data my.txt --data-mode stream --tokenizer byte");
    assert!(stream.contains("stream      25 bytes\n"), "{stream}");
    assert_eq!(
        place.error("data no.txt").1,
        "no.txt: expected a text to learn from, found no such file or folder"
    );
    let sort = json(&place.stdout("data --task sort --json --block-size 16"));
    assert_eq!(
        (&sort["task"], &sort["cut"], &sort["documents"]),
        (&"sort".into(), &0.into(), &10_000.into())
    );
}

#[test]
fn a_text_is_cut_by_a_tokenizer_that_is_learnt_or_found() {
    let place = place();
    let words = "--data texts --tokenizer bpe --vocab-size 300";
    let output = place.microgpt(&format!("tokenize {words} --save t.json")).output().unwrap();
    // Fewer than asked for: nothing is left to merge.
    assert_eq!(text(&output.stderr), "microgpt: t.json: 289 tokens, BOS among them\n");
    let out = place.microgpt("tokenize --from t.json").arg("the queen of déjà").output().unwrap();
    assert!(
        text(&out.stdout).starts_with("[the][ queen][ of][ déjà]\n19 bytes, 4 tokens"),
        "{}",
        text(&out.stdout)
    );
    let report = json(&text(
        &place.microgpt("tokenize --from t.json --json").write_stdin("a\nb").output().unwrap().stdout,
    ));
    assert_eq!(report["pieces"], serde_json::json!(["a", "\n", "b"]));
    place.stdout(&format!("train {words} --steps 1 --samples 1 --out mine"));
    let run = std::fs::read_to_string(place.path("runs/mine/tokenizer.json")).unwrap();
    assert!(run == std::fs::read_to_string(place.path("t.json")).unwrap());
    assert_eq!(place.stdout("tokenize the --from mine"), place.stdout("tokenize the --from t.json"));
    place.write("bad.json", "{\"model\": {}}");
    let (code, error) = place.error("tokenize a --from bad.json");
    assert!(code == 1 && error.starts_with("bad.json: tokenizer: expected BPE after ByteLevel"), "{error}");
}

#[test]
fn a_task_is_learnt_and_its_accuracy_told() {
    let place = Place::new();
    let words = "--preset task --task copy --n-layer 1 --block-size 8 --batch-size 8 --steps 20 --eval-every 15 --eval-size 50";
    let whole = place.stdout(&format!("train {words} --out whole"));
    assert!(whole.starts_with("task: copy, 0.1 held back\nvocab size: 28\n"), "{whole}");
    assert_eq!(whole.matches(" % right\n").count(), 2, "{whole}");
    place.microgpt(&format!("train {words} --out parts --stop-after 9")).assert().success();
    place.stdout("train --resume parts");
    assert!(bytes(&place, "whole") == bytes(&place, "parts"));
    let metrics = std::fs::read_to_string(place.path("runs/whole/metrics.jsonl")).unwrap();
    let accuracies = metrics.lines().filter_map(|line| json(line)["accuracy"].as_f64()).count();
    assert_eq!(accuracies, 2);
    let list = place.stdout("list");
    for part in ["Variants of --tokenizer", "Variants of --task", "  brackets ", "  bpe "] {
        assert!(list.contains(part), "{part} in {list}");
    }

    place.write("a.txt", "a");
    for (words, message) in [
        (
            "--task copy --data a.txt",
            "--data: expected a text or a task, found both (a.txt and the task copy)",
        ),
        ("--task modular", "block_size: expected at least 9 for the task modular, found 8"),
        ("--task copy --data-mode stream", "data_mode: expected lines for a task, found stream"),
        ("--task copy --tokenizer byte", "tokenizer: expected char for a task, found byte"),
        (
            "--task sotr",
            "--task: expected one of none, copy, reverse, sort, add, modular, brackets, found \"sotr\" (did",
        ),
    ] {
        let (code, error) = place.error(&format!("train {words}"));
        assert!(code == 2 && error.starts_with(message), "{words}: {error}");
    }
}

/// What the README promises; here it is tried with fewer problems and in less time.
#[test]
fn small_transformers_learn_to_copy_and_to_reverse() {
    for task in ["copy", "reverse"] {
        let place = Place::new();
        let words = format!(
            "train --preset task --task {task} --steps 400 --block-size 10 --samples 1 --no-save --json"
        );
        let out = place.stdout(&words);
        let last = out.lines().map(json).filter(|event| event["event"] == "validation").last().unwrap();
        assert!(last["accuracy"].as_f64().unwrap() >= 0.95, "{task}: {last}");
    }
}
