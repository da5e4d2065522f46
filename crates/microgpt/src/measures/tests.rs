use super::*;
use crate::activation::Named;
use crate::documents::{DataMode, Documents};
use crate::family::Family;
use crate::inspect;
use crate::rng::Rng;
use crate::sight::AttentionKind;

fn made<R: Precision>(config: &Config) -> (Trainer<R>, Corpus, Batch) {
    let mut corpus = Corpus::new(Documents::from_lines("anna\nbob\nbanana\nnab\nob\n".into()).unwrap());
    let trainer = Trainer::new(config.clone(), corpus.tokenizer.vocab_size(), &mut Rng::new(5)).unwrap();
    let mut batch = Batch::default();
    corpus.fill(&mut batch, 0, 4, config.block_size).unwrap();
    (trainer, corpus, batch)
}

fn lively() -> Config {
    Config {
        n_layer: 2,
        n_embd: 8,
        n_head: 2,
        init_std: 0.4,
        zero_init: false,
        steps: 10,
        ..Config::default()
    }
}

fn measured<R: Precision>(config: &Config) -> (Trainer<R>, Batch, Measures) {
    let (mut trainer, mut corpus, batch) = made::<R>(config);
    let mut meter = Meter::new(&mut trainer, &mut corpus, 1).unwrap();
    let (_, measures) = meter.step(&mut trainer, &batch, &corpus.tokenizer).unwrap();
    let measures = measures.unwrap().clone();
    (trainer, meter.probe, measures)
}

fn near(a: f64, b: f64, tolerance: f64) {
    assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{a} is not {b}");
}

/// Lengths by their definition: one number at a time, of a gradient and of weights that another trainer had.
fn norms_are_those_of_the_definition<R: Precision>(tolerance: f64) {
    for config in [lively(), Config { grad_clip: 0.01, weight_decay: 0.1, micro_batches: 2, ..lively() }] {
        let (mut plain, _, batch) =
            made::<R>(&Config { grad_clip: 0.0, weight_decay: 0.0, ..config.clone() });
        let (trainer, _, measures) = measured::<R>(&config);
        let before: Vec<f64> = plain.params().iter().map(|x| x.to_f64()).collect();
        let after: Vec<f64> = trainer.params().iter().map(|x| x.to_f64()).collect();
        plain.step(&batch).unwrap();
        let grads: Vec<f64> = plain.engine.slices().1.iter().map(|x| x.to_f64()).collect();
        let length = |numbers: &mut dyn Iterator<Item = f64>| numbers.map(|x| x * x).sum::<f64>().sqrt();
        assert_eq!(measures.matrices.len(), trainer.model.layout.matrices().len());
        for (matrix, found) in trainer.model.layout.matrices().iter().zip(&measures.matrices) {
            assert_eq!(matrix.name, found.name);
            near(found.grad_norm, length(&mut matrix.range().map(|i| grads[i])), tolerance);
            let moved = length(&mut matrix.range().map(|i| after[i] - before[i]));
            near(found.update_ratio, moved / length(&mut matrix.range().map(|i| after[i])), tolerance);
        }
        near(measures.grad_norm, length(&mut grads.iter().copied()), tolerance);
        assert_eq!((measures.step, measures.lr), (1, 0.01));
        near(measures.bits_per_character, measures.loss / 2f64.ln(), 1e-12);
    }
}

#[test]
fn the_norms_of_gradients_and_updates_are_those_of_the_definition() {
    norms_are_those_of_the_definition::<f64>(1e-12);
    norms_are_those_of_the_definition::<f32>(1e-5);
}

/// By hand: the probe through the scalar engine, its hidden numbers and weights looked at one by one.
#[test]
fn units_and_heads_are_seen_as_the_definition_sees_them() {
    let relu = Config { activation: Named::Relu.into(), ..lively() };
    let gated = Config { activation: Named::SwiGlu.into(), ..lively() };
    let windowed = Config { window: 2, n_kv_head: 1, ..relu.clone() };
    let linear = Config { attention: AttentionKind::Linear, ..relu.clone() };
    for config in [relu, gated, windowed, linear] {
        let (trainer, probe, exact) = measured::<f64>(&config);
        let (_, _, fast) = measured::<f32>(&config);
        let mut engine = crate::engine::scalar::Scalar::new(trainer.params().to_vec());
        engine.begin(&probe);
        trainer.model.forward(&engine, &probe);
        assert_eq!((exact.layers.len(), fast.layers.len()), (2, 2));
        for (i, layer) in exact.layers.iter().enumerate() {
            let hidden = inspect::find(&engine, &format!("layer{i}.mlp_hidden")).unwrap();
            assert_eq!(layer.units, hidden.shape.cols);
            if !config.activation.gated() {
                let column = |col| (0..probe.rows()).map(move |row| (row, col));
                let dead = (0..layer.units)
                    .filter(|&col| column(col).all(|(row, col)| engine.number(hidden.id, row, col) <= 0.0));
                assert_eq!(layer.dead, dead.count(), "layer {i}");
            }
            for head in 0..2 {
                let map = inspect::attention_map(&engine, i, 2, head).unwrap();
                let of_row = |row: &Vec<f64>| -> f64 {
                    row.iter().map(|&a| if a == 0.0 { 0.0 } else { -a * a.ln() }).sum()
                };
                let mean = map.iter().map(of_row).sum::<f64>() / map.len() as f64;
                near(layer.entropy[head], mean, 1e-12);
                near(fast.layers[i].entropy[head], mean, 1e-4);
                assert!(mean > 0.0 && mean <= layer.entropy_most);
            }
            near(fast.layers[i].entropy_most, layer.entropy_most, 1e-12);
        }
    }
}

#[test]
fn a_head_that_sees_all_alike_has_the_most_entropy_and_units_with_a_great_negative_bias_are_dead() {
    let config = Config { bias: true, activation: Named::Relu.into(), lr: 0.0, ..lively() };
    let (mut trainer, mut corpus, batch) = made::<f32>(&config);
    let layout = trainer.model.layout.clone();
    let find = |name: &str| layout.find(name).unwrap().range();
    let params = trainer.engine.slices().0;
    params[find("layer1.attn_wq")].fill(0.0);
    params[find("layer0.mlp_fc1_bias")][3..8].fill(-1e6);
    let mut meter = Meter::new(&mut trainer, &mut corpus, 1).unwrap();
    let (_, measures) = meter.step(&mut trainer, &batch, &corpus.tokenizer).unwrap();
    let layers = &measures.unwrap().layers;
    assert!(layers[0].dead >= 5 && layers[0].dead < 12, "{layers:?}");
    assert_eq!(layers[0].dead_share(), layers[0].dead as f64 / 32.0);
    near(layers[1].entropy[0], layers[1].entropy_most, 1e-6);
    // The probe: five documents of 5, 4, 7, 4 and 3 tokens, of which the first always sees itself alone.
    let by_hand: f64 = [5, 4, 7, 4, 3].iter().flat_map(|&len| 1..=len).map(|n| f64::from(n).ln()).sum();
    near(layers[1].entropy_most, by_hand / 23.0, 1e-12);
}

#[test]
fn only_the_steps_asked_for_are_measured_and_training_stays_the_same() {
    for model in [Family::Gpt, Family::Mlp, Family::Gru, Family::BigramCounts] {
        let config = Config { model, dropout: if model == Family::Gpt { 0.2 } else { 0.0 }, ..lively() };
        let (mut plain, _, batch) = made::<f32>(&config);
        let (mut trainer, mut corpus, _) = made::<f32>(&config);
        let mut meter = Meter::new(&mut trainer, &mut corpus, 3).unwrap();
        for i in 1..=7 {
            let expected = plain.step(&batch).unwrap();
            let (step, measures) = meter.step(&mut trainer, &batch, &corpus.tokenizer).unwrap();
            assert_eq!((step, measures.map(|m| m.step)), (expected, (i % 3 == 0).then_some(i)));
            assert_eq!(trainer.gradient_norms().is_empty(), i % 3 != 0);
        }
        assert_eq!(*plain.params(), *trainer.params());
        let layers = meter.measures.layers.len();
        assert_eq!(layers, if matches!(model, Family::Gpt | Family::Mlp) { 2 } else { 0 }, "{model}");
        let (mut off, mut corpus, _) = made::<f32>(&config);
        let mut meter = Meter::new(&mut off, &mut corpus, 0).unwrap();
        assert_eq!(meter.step(&mut off, &batch, &corpus.tokenizer).unwrap().1, None);
    }
}

#[test]
fn the_probe_is_what_is_learnt_first_and_not_too_much_of_it() {
    let text = "abcdefg\n".repeat(300) + "gfedcba\n";
    for (data_mode, rows) in [(DataMode::Lines, 192), (DataMode::Stream, 180)] {
        let config = Config { data_mode, block_size: 20, ..Config::default() };
        let mut corpus = Corpus::read(text.clone().into(), &config, None, &mut Rng::new(1)).unwrap();
        let probe = probe(&mut corpus, &config).unwrap();
        assert_eq!((probe.rows(), probe.loss_rows, probe.targets.len()), (rows, rows, rows));
        let mut first = Batch::default();
        corpus.fill(&mut first, 0, probe.segments.len(), 20).unwrap();
        assert_eq!(probe, first);
    }
}

#[test]
fn how_often_follows_from_the_settings_and_what_is_asked_for_counts() {
    let fast = Config { engine: EngineKind::Fast, steps: 200_000, batch_size: 16, ..Config::default() };
    let exact = Config::default();
    assert_eq!([&exact, &fast].map(metrics_every), [1, 20]);
    let [seldom, often] = [&fast, &Config { n_embd: 128, block_size: 64, ..fast.clone() }].map(measure_every);
    assert!(seldom > 100 && often < 40, "{seldom} {often}");
    let asked = Config { metrics_every: 7, ..fast };
    assert_eq!((metrics_every(&asked), measure_every(&asked)), (7, 7));
    assert_eq!(measure_every(&Config { measure_every: 3, ..asked }), 3);
}
