use super::*;
use microgpt::activation::Named;
use microgpt::schedule::Schedule;

fn read(text: &str) -> Result<Settings, Error> {
    Settings::resolve(&read_toml(text, "a.toml")?)
}

fn given(place: &str, name: &str, value: &str) -> Assignment {
    Assignment { place: place.into(), name: name.into(), value: value.into() }
}

#[test]
fn the_presets_are_the_two_revisions() {
    let preset = |name| Settings::resolve(&[given("--preset", "preset", name)]).unwrap().config;
    assert_eq!(preset("microgpt"), Config::default());
    let last = Config {
        block_size: 16,
        activation: Named::Relu.into(),
        init_std: 0.08,
        zero_init: false,
        steps: 1000,
        schedule: Schedule::Linear,
        beta1: 0.85,
        beta2: 0.99,
        ..Config::default()
    };
    assert_eq!(preset("microgpt-final"), last);
}

#[test]
fn later_sides_win_and_the_preset_counts_before_them() {
    let mut sides = read_toml("steps = 7\nblock_size = 3\npreset = \"microgpt\"", "a.toml").unwrap();
    let (env, unknown) = read_env([
        ("MICROGPT_STEPS".into(), "8".into()),
        ("MICROGPT_LR".into(), "0.5".into()),
        ("MICROGPT_HOME".into(), "/".into()),
        ("MICROGPT_SIMD".into(), "plain".into()),
        ("MICROGPT_STUDIO_PAGE".into(), "page".into()),
        ("HOME".into(), "/".into()),
    ]);
    sides.extend(env);
    sides.push(given("--preset", "preset", "microgpt-final"));
    sides.push(given("--steps", "steps", "9"));
    let settings = Settings::resolve(&sides).unwrap();
    let config = &settings.config;
    assert_eq!((config.steps, config.block_size, config.lr, config.beta1), (9, 3, 0.5, 0.85));
    assert_eq!((settings.preset, settings.preset().heading.len() > 20), ("microgpt-final", true));
    assert_eq!(unknown, ["MICROGPT_HOME"]);
}

#[test]
fn what_is_written_is_read_back_to_the_same_bits() {
    let config = Config {
        lr: 0.1 + 0.2,
        eps: 1e-300,
        seed: u64::MAX,
        init_std: 1e17,
        n_layer: 3,
        schedule: Schedule::Constant,
        ..Config::default()
    };
    let data = Source::Files(vec![std::path::absolute("a \"b\"\\ü\u{7f}\n.txt").unwrap()]);
    let settings = Settings { config, preset: "microgpt-final", data };
    assert_eq!(read(&settings.to_toml()).unwrap(), settings);
    assert_eq!(read(&Settings::default().to_toml()).unwrap(), Settings::default());
    let several = Source::Files(["b", "a"].map(|name| std::path::absolute(name).unwrap()).to_vec());
    let settings = Settings { data: several, ..Settings::default() };
    assert_eq!(read(&settings.to_toml()).unwrap(), settings);
}

#[test]
fn errors_name_file_line_and_what_was_expected() {
    let error = |text: &str| read(text).unwrap_err().to_string();
    assert_eq!(error("steps = 5\n\nn_haed = 4"), "a.toml:3: n_haed: no such setting; did you mean n_head?");
    assert_eq!(error("lr = \"0.1\""), "a.toml:1: lr: expected a number, found \"0.1\"");
    assert_eq!(error("steps = 1.5"), "a.toml:1: steps: expected a whole number, found \"1.5\"");
    assert_eq!(error("steps = -5"), "a.toml:1: steps: expected a whole number, found \"-5\"");
    assert_eq!(error("lr = nan"), "a.toml:1: lr: expected a number, found \"nan\"");
    assert_eq!(
        error("schedule = 3"),
        "a.toml:1: schedule: expected one of constant, linear, cosine, wsd, one_cycle in quotes, found 3"
    );
    assert_eq!(
        error("schedule = \"cosin\""),
        "a.toml:1: schedule: expected one of constant, linear, cosine, wsd, one_cycle, found \"cosin\" (did you mean cosine?)"
    );
    assert_eq!(
        error("n_head = [4]"),
        "a.toml:1: n_head: expected a whole number, found an empty text, a list or a date"
    );
    assert_eq!(error("data = 3"), "a.toml:1: data: expected text in quotes, or a list of them, found 3");
    assert_eq!(
        error("data = [\"a\", 3]"),
        "a.toml:1: data: expected text in quotes, or a list of them, found an empty text, a list or a date"
    );
    assert!(error("[layers]\nn_layer = 1").starts_with("a.toml:1: layers: no such setting"));
    assert_eq!(error("n_head = 3"), "n_embd: expected a multiple of n_head (3), found 16");
    let syntax = error("steps = 5\nn_head = = 4");
    assert!(
        syntax.starts_with("a.toml:2: expected TOML, found a mistake: ") && !syntax.contains('\n'),
        "{syntax}"
    );
    let flag = Settings::resolve(&[given("--n-layer", "n_layer", "two")]).unwrap_err().to_string();
    assert_eq!(flag, "--n-layer: expected a whole number, found \"two\"");
}
