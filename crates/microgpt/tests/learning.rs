//! Speed is not bought with learning: after the same documents the fast engine's loss is the scalar engine's.

use microgpt::activation::Named;
use microgpt::batch::Batch;
use microgpt::choices::Choice;
use microgpt::config::Config;
use microgpt::corpus::Corpus;
use microgpt::documents::Documents;
use microgpt::engine::Precision;
use microgpt::family::Family;
use microgpt::optimizer::OptimizerKind;
use microgpt::rng::Rng;
use microgpt::schedule::Schedule;
use microgpt::train::Trainer;

/// The mean loss of the last quarter of the steps.
fn last_losses<R: Precision>(config: Config, batch_size: usize) -> f64 {
    let steps = config.steps;
    let mut rng = Rng::new(config.seed);
    let text = include_str!("../../../data/names.txt");
    let mut documents = Documents::from_lines(text.into()).unwrap();
    documents.shuffle(&mut rng);
    let mut corpus = Corpus::new(documents);
    let mut trainer = Trainer::<R>::new(config, corpus.tokenizer.vocab_size(), &mut rng).unwrap();
    let (mut batch, mut sum) = (Batch::default(), 0.0);
    for step in 0..steps {
        corpus.fill(&mut batch, step * batch_size, batch_size, trainer.config.block_size).unwrap();
        let loss = trainer.step(&batch).unwrap().loss;
        if step >= steps - steps / 4 {
            sum += loss;
        }
    }
    sum / (steps / 4) as f64
}

/// That of microgpt.py's later revision.
fn relu(steps: usize) -> Config {
    Config {
        activation: Named::Relu.into(),
        schedule: Schedule::Linear,
        init_std: 0.08,
        zero_init: false,
        beta1: 0.85,
        beta2: 0.99,
        block_size: 16,
        steps,
        ..Config::default()
    }
}

#[test]
fn the_fast_engine_learns_as_much() {
    for (batch_size, steps) in [(1, 1000), (16, 200)] {
        let exact = last_losses::<f64>(relu(steps), batch_size);
        let fast = last_losses::<f32>(relu(steps), batch_size);
        assert!((fast / exact - 1.0).abs() < 0.005, "batches of {batch_size}: fast {fast}, exact {exact}");
    }
}

/// Who guesses blindly has ln 27 = 3.30, who knows how frequent the letters are 2.8.
#[test]
fn every_optimiser_learns() {
    for &optimizer in OptimizerKind::ALL {
        let lr = match optimizer {
            OptimizerKind::Adam | OptimizerKind::AdamW | OptimizerKind::Muon => 0.01,
            OptimizerKind::Sgd => 0.3,
            OptimizerKind::Lion => 0.003,
        };
        for (schedule, warmup) in [(Schedule::Cosine, 0), (Schedule::Wsd, 20), (Schedule::OneCycle, 0)] {
            let config =
                Config { optimizer, lr, schedule, warmup, weight_decay: 1e-4, grad_clip: 1.0, ..relu(200) };
            let loss = last_losses::<f32>(config, 32);
            assert!(loss < 2.5, "{optimizer}, {schedule}: {loss}");
        }
    }
}

/// Counting is what the loop does with the objective and the rule of `bigram_counts`, on both engines.
#[test]
fn counts_are_how_often_each_pair_was_seen() {
    fn counts<R: Precision>(config: &Config) -> (Vec<f64>, f64) {
        let mut trainer = Trainer::<R>::new(config.clone(), 4, &mut Rng::new(1)).unwrap();
        let mut batch = Batch::default();
        batch.push_document(&[3, 0, 1, 0, 1, 3], 9);
        batch.push_document(&[3, 2, 3], 9);
        for _ in 0..5 {
            trainer.step(&batch).unwrap();
        }
        let counts = trainer.params().iter().map(|n| n.to_f64()).collect();
        (counts, trainer.loss(&batch))
    }
    // From a, b, c and BOS to each of them, in one batch: rows are what comes first.
    let once = [[0, 2, 0, 0], [1, 0, 0, 1], [0, 0, 0, 1], [1, 0, 1, 0]];
    let expected: Vec<f64> = once.as_flattened().iter().map(|&n| f64::from(5 * n)).collect();
    let surprise = |seen: f64, all: f64| -((seen + 1.0) / (all + 4.0)).ln();
    let sum = 2.0 * surprise(10.0, 10.0) + surprise(5.0, 5.0) + 4.0 * surprise(5.0, 10.0);
    // Whatever is said of learning: there is none.
    for micro_batches in [1, 2] {
        let config = Config {
            model: Family::BigramCounts,
            micro_batches,
            batch_size: 2,
            lr: 0.3,
            weight_decay: 0.1,
            ..relu(9)
        };
        for (counts, loss) in [counts::<f64>(&config), counts::<f32>(&config)] {
            assert_eq!(counts, expected);
            assert!((loss - sum / 7.0).abs() < 1e-6, "{loss}, expected {}", sum / 7.0);
        }
    }
}

/// Each idea buys something: what sees more than one token passes by what sees one.
#[test]
fn every_ancestor_learns() {
    let loss = |model| {
        // A number of a table is met seldom, and has far to go.
        let lr = if model == Family::Bigram { 0.1 } else { 0.01 };
        last_losses::<f32>(Config { model, n_embd: 32, lr, ..relu(400) }, 32)
    };
    let [counts, bigram] = [Family::BigramCounts, Family::Bigram].map(loss);
    assert!((counts - bigram).abs() < 0.1 && counts < 2.55, "counted {counts}, learnt {bigram}");
    for model in [Family::Mlp, Family::Rnn, Family::Gru, Family::Gpt] {
        let loss = loss(model);
        assert!(loss < counts - 0.05, "{model}: {loss}, counted {counts}");
    }
}
