use super::*;

#[test]
fn every_setting_is_read_back_as_it_was_written() {
    let config = Config { lr: 0.1 + 0.2, eps: 1e-300, seed: u64::MAX, ..Config::default() };
    let mut again = Config { n_layer: 9, samples: 1, activation: Named::Relu.into(), ..Config::default() };
    for knob in Config::knobs() {
        again.set(knob.name, &config.get(knob.name).unwrap()).unwrap();
    }
    assert_eq!(again, config);
}

#[test]
fn errors_name_the_setting_what_was_expected_and_what_was_found() {
    let mut config = Config::default();
    let error = |config: &mut Config, name: &str, value: &str| {
        config.set(name, value).and_then(|()| config.validate()).unwrap_err().to_string()
    };
    assert_eq!(error(&mut config, "n_haed", "4"), "n_haed: no such setting; did you mean n_head?");
    assert_eq!(error(&mut config, "lr", "fast"), "lr: expected a number, found \"fast\"");
    assert_eq!(error(&mut config, "lr", "-0.1"), "lr: expected at least 0, found -0.1");
    config.set("lr", "0.1").unwrap();
    assert_eq!(error(&mut config, "n-head", "3"), "n_embd: expected a multiple of n_head (3), found 16");
    config.set("n_head", "4").unwrap();
    assert_eq!(
        error(&mut config, "micro_batches", "3"),
        "micro_batches: expected a power of two, or 0, found 3"
    );
    config.set("micro_batches", "4").unwrap();
    assert_eq!(error(&mut config, "steps", "0"), "steps: expected at least 1, found 0");
    config.set("steps", "1").unwrap();
    for (name, value, expected) in [
        ("momentum", "1", "at least 0 and less than 1"),
        ("weight_decay", "-0.1", "at least 0"),
        ("grad_clip", "-1.5", "at least 0"),
        ("ema", "1.5", "at least 0 and less than 1"),
        ("lr_end", "1.01", "at least 0 and at most 1"),
        ("wsd_decay", "0.0", "more than 0 and at most 1"),
    ] {
        let before = config.clone();
        let value = if value.contains('.') { value.to_string() } else { format!("{value}.0") };
        let expected = format!("{name}: expected {expected}, found {value}");
        assert_eq!(error(&mut config, name, &value), expected);
        config = before;
    }
    let still = &mut Config { momentum: 0.0, ..Config::default() };
    assert_eq!(error(still, "nesterov", "true"), "nesterov: expected false, as momentum is 0, found true");
    assert_eq!(error(&mut config, "context", "0"), "context: expected at least 1, found 0");
    config.context = 3;
    let found = error(&mut config, "activation", "rleu");
    assert!(found.starts_with("activation: expected one of squared_relu, relu, "), "{found}");
    assert!(found.ends_with("found \"rleu\" (did you mean relu?)"), "{found}");
}

#[test]
fn what_excludes_each_other_is_told() {
    let error = |config: Config| config.validate().unwrap_err().to_string();
    let config = Config::default();
    let linear = Config { attention: AttentionKind::Linear, ..config.clone() };
    let mlp = Config { model: Family::Mlp, n_embd: 10, ..config.clone() };
    mlp.validate().unwrap();
    for (config, expected) in [
        (
            Config { activation: Activation::parse("g * x").unwrap(), ..mlp },
            "activation: expected a function of x alone, as model is mlp, found g * x",
        ),
        (
            Config { model: Family::BigramCounts, grad_clip: 1.0, ..config.clone() },
            "grad_clip: expected 0.0, as model is bigram_counts, found 1.0",
        ),
        (
            Config { n_kv_head: 3, ..config.clone() },
            "n_kv_head: expected a divisor of n_head (4), or 0, found 3",
        ),
        (
            Config { n_kv_head: 8, ..config.clone() },
            "n_kv_head: expected a divisor of n_head (4), or 0, found 8",
        ),
        (
            Config { position: Position::Rotary, n_head: 16, ..config.clone() },
            "n_head: expected pairs of numbers in each head, that is an even n_embd / n_head, for position rotary, \
             found 16",
        ),
        (Config { softcap: -1.0, ..config }, "softcap: expected at least 0, found -1.0"),
        (Config { window: 4, ..linear.clone() }, "window: expected 0 with attention linear, found 4"),
        (Config { softcap: 2.0, ..linear.clone() }, "softcap: expected 0 with attention linear, found 2.0"),
        (
            Config { position: Position::Alibi, ..linear },
            "position: expected another than alibi with attention linear, found alibi",
        ),
    ] {
        assert_eq!(error(config), expected);
    }
}

#[test]
fn large_steps_are_cut_and_small_ones_are_not() {
    let parts = |batch_size, block_size, num_params| {
        Config { batch_size, block_size, ..Config::default() }.parts(num_params)
    };
    assert_eq!([parts(1, 8, 4064), parts(16, 16, 4192), parts(1, 4096, 1 << 30)], [1, 1, 1]);
    assert_eq!([parts(12, 64, 811_264), parts(16, 256, 10_745_088)], [2, 8]);
    assert_eq!(parts(usize::MAX, 2, usize::MAX), 64);
    let asked =
        |micro_batches, batch_size| Config { micro_batches, batch_size, ..Config::default() }.parts(4064);
    assert_eq!([asked(8, 8), asked(8, 100), asked(8, 3), asked(512, 1)], [8, 8, 4, 1]);
}
