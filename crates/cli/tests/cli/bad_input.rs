//! Each mistake has one line that says what was expected, what was found and where; and an exit code.

use crate::place::{Place, files, text};

#[track_caller]
fn expect(place: &Place, words: &str, code: i32, message: &str) {
    let (found, error) = place.error(words);
    assert!(error.starts_with(message), "{words}\nexpected: {message}\nfound:    {error}");
    assert_eq!(found, code, "{words}: {error}");
}

#[test]
fn the_command_line() {
    let place = Place::new();
    let expect = |words, message| expect(&place, words, 2, message);
    expect("train --n-haed 2", "--n-haed: no such flag; did you mean --n-head?");
    expect("--n-haed 2", "--n-haed: no such flag; did you mean --n-head?");
    expect("trian", "trian: no such command; did you mean train?");
    expect("train again", "again: expected no more words, found one");
    expect("train --n-layer two", "--n-layer: expected a whole number, found \"two\"");
    expect("train --n-layer -1", "--n-layer: expected a whole number, found \"-1\"");
    expect("train --steps 0", "steps: expected at least 1, found 0");
    expect("train --n-embd 10", "n_embd: expected a multiple of n_head (4), found 10");
    expect("train --n_head 0", "n_head: expected at least 1, found 0");
    expect("train --lr -0.1", "lr: expected at least 0, found -0.1");
    expect("train --lr nan", "--lr: expected a number, found \"nan\"");
    expect("train --init-std -1", "init_std: expected at least 0, found -1.0");
    expect("train --temperature 0", "temperature: expected more than 0, found 0.0");
    expect("train --dropout 1", "dropout: expected at least 0 and less than 1, found 1.0");
    expect("train --residual-scale 0", "residual_scale: expected more than 0, found 0.0");
    expect(
        "train --norm none --qk-norm true",
        "qk_norm: expected false where there is no norm (norm is none), found true",
    );
    expect(
        "train --norm layer_norm",
        "--norm: expected one of rmsnorm, rmsnorm_gain, layernorm, dynamic_tanh, none",
    );
    expect("train --beta1 1", "beta1: expected at least 0 and less than 1, found 1.0");
    expect("train --activation rleu", "--activation: expected one of squared_relu, relu, gelu, ");
    let message = "--activation: expected a number, x, g, a function or (, found `*`\n  x * * 2\n      ^\n";
    place
        .microgpt("train --activation")
        .arg("x * * 2")
        .assert()
        .code(2)
        .stderr(format!("microgpt: {message}"));
    expect("train --preset microgtp", "--preset: expected one of microgpt, microgpt-final, ");
    expect(
        "train --save-every 0",
        "invalid value '0' for '--save-every <N>': expected a whole number of at least 1",
    );
    expect("train --no-save --out x", "the argument '--no-save' cannot be used with '--out <NAME>'");
    expect("generate", "the following required arguments were not provided: <RUN>");
    expect("prove --plant rot", "--plant: fault: expected one of derivative, future, ");
    expect("prove --n-head 3", "n_embd: expected a multiple of n_head (3), found 16");
    assert_eq!(files(&place.path(".")), [] as [std::path::PathBuf; 0], "no half-written run");
}

#[test]
fn the_file_of_settings() {
    let place = Place::new();
    place.write("a.toml", "steps = 5\n\nn_haed = 4\n");
    expect(&place, "train --config a.toml", 2, "a.toml:3: n_haed: no such setting; did you mean n_head?");
    place.write("a.toml", "steps = \"5\"");
    expect(&place, "train --config a.toml", 2, "a.toml:1: steps: expected a whole number, found \"5\"");
    place.write("a.toml", "steps = 5\nlr == 3");
    expect(&place, "train --config a.toml", 2, "a.toml:2: expected TOML, found a mistake: ");
    place.write("a.toml", b"steps = 5 # \xff");
    expect(
        &place,
        "train --config a.toml",
        2,
        "a.toml: expected UTF-8 text, found another byte at offset 12",
    );
    expect(
        &place,
        "train --config b.toml",
        2,
        "b.toml: expected a file of settings (TOML), found no such file",
    );
    let output = place.microgpt("train").env("MICROGPT_STEPS", "many").output().unwrap();
    assert_eq!(text(&output.stderr), "microgpt: MICROGPT_STEPS: expected a whole number, found \"many\"\n");
    assert_eq!(output.status.code(), Some(2));
    let output = place.microgpt("train --no-save --steps 1").env("MICROGPT_STEP", "2").output().unwrap();
    assert_eq!(text(&output.stderr), "microgpt: MICROGPT_STEP: no such setting; ignored\n");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_data() {
    let place = Place::new();
    expect(
        &place,
        "train --data no.txt",
        1,
        "no.txt: expected a text to learn from, found no such file or folder",
    );
    expect(&place, "train --data .", 1, ".: expected a folder with text files, found none in it");
    place.write("empty.txt", "");
    expect(
        &place,
        "train --data empty.txt",
        1,
        "empty.txt: expected a document per line, found an empty text",
    );
    place.write("blank.txt", " \n\t\r\n");
    expect(
        &place,
        "prove --data blank.txt",
        1,
        "blank.txt: expected a document per line, found nothing but blank lines",
    );
    place.write("latin1.txt", b"anna\n\xc5sa\n");
    let message = "latin1.txt: expected UTF-8 text, found byte 0xc5 at offset 5 (line 2)";
    expect(&place, "train --data latin1.txt", 1, message);
    assert!(!place.path("runs").exists());
    // One character is little to learn, but it can be learnt.
    for one in ["a", "a\n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaa\naaa\n"] {
        place.write("one.txt", one);
        let text = place.stdout("train --data one.txt --steps 30 --no-save");
        assert!(text.contains("vocab size: 2\n") && text.lines().count() == 3 + 30 + 2 + 20, "{text}");
    }
    // Training that leaves the numbers.
    let output = place.microgpt("train --lr 1e300").output().unwrap();
    let error = crate::place::text(&output.stderr);
    assert!(
        output.status.code() == Some(1) && error.starts_with("microgpt: step 3: expected a finite loss"),
        "{error}"
    );
}

#[test]
fn the_saved_run() {
    let place = Place::new();
    place.stdout("train --steps 2 --samples 1 --out mine");
    expect(
        &place,
        "generate nothing",
        1,
        "nothing: expected the folder of a run (a path, or a name in runs/), found no such",
    );
    expect(
        &place,
        "generate .",
        1,
        ".: expected the folder of a run (a path, or a name in runs/), found no config.toml in it",
    );
    expect(&place, "train --resume nothing", 1, "nothing: expected the folder of a run");
    expect(
        &place,
        "train --out mine",
        2,
        "runs/mine: expected the name of a new run, found one that is there",
    );
    expect(
        &place,
        "generate mine --prompt kÄ",
        1,
        "--prompt: expected only the 26 characters that the model knows",
    );
    expect(
        &place,
        "generate mine --prompt abcdefgh",
        1,
        "prompt: expected less than block_size (8) characters, found 8",
    );
    expect(&place, "generate mine --temperature -1", 2, "temperature: expected more than 0, found -1.0");
    expect(
        &place,
        "generate mine --temprature 1",
        2,
        "--temprature: no such flag; did you mean --temperature?",
    );

    let model = "runs/mine/checkpoints/latest/model.safetensors";
    let whole = std::fs::read(place.path(model)).unwrap();
    for length in [0, 7, 100, whole.len() - 1] {
        place.write(model, &whole[..length]);
        let message = format!("{model}: expected the bytes that were saved");
        expect(&place, "generate mine", 1, &message);
        expect(&place, "train --resume mine --steps 4", 1, &message);
    }
    place.write(model, "PK\x03\x04 a file of someone else's");
    expect(&place, "generate mine", 1, &format!("{model}: expected the bytes that were saved"));
    // Without sums, by what it is.
    std::fs::remove_file(place.path("runs/mine/checkpoints/latest/SHA256SUMS")).unwrap();
    expect(&place, "generate mine", 1, &format!("{model}: expected a whole safetensors file"));
    place.write(model, &whole);
    let config = std::fs::read_to_string(place.path("runs/mine/config.toml")).unwrap();
    place.write("runs/mine/config.toml", config.replace("n_embd = 16", "n_embd = 12"));
    expect(
        &place,
        "generate mine",
        1,
        "runs/mine/config.toml: n_embd: expected 16, as this run was trained, found 12",
    );
    place.write("runs/mine/config.toml", config.replace("n_embd = 16", "n_embd = sixteen"));
    expect(&place, "generate mine", 1, "runs/mine/config.toml:10: expected TOML, found a mistake: ");
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    use std::io::Read;
    let place = Place::new();
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("microgpt"))
        .args(["train", "--steps", "100000", "--out", "mine"])
        .current_dir(place.path("."))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut some = [0; 100];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
    place.stdout("generate mine --samples 1");
}
