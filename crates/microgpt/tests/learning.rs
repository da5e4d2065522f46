//! Speed is not bought with learning: after the same documents the fast engine's loss is the scalar engine's.

use microgpt::activation::Activation;
use microgpt::batch::Batch;
use microgpt::config::Config;
use microgpt::corpus::Corpus;
use microgpt::documents::Documents;
use microgpt::engine::Precision;
use microgpt::rng::Rng;
use microgpt::schedule::Schedule;
use microgpt::train::Trainer;

/// The mean loss of the last quarter of the steps.
fn last_losses<R: Precision>(batch_size: usize, steps: usize) -> f64 {
    let config = Config {
        activation: Activation::Relu,
        schedule: Schedule::Linear,
        init_std: 0.08,
        zero_init: false,
        beta1: 0.85,
        beta2: 0.99,
        block_size: 16,
        steps,
        ..Config::default()
    };
    let mut rng = Rng::new(config.seed);
    let text = include_str!("../../../data/names.txt");
    let mut documents = Documents::from_lines(text.into()).unwrap();
    documents.shuffle(&mut rng);
    let mut corpus = Corpus::new(documents);
    let mut trainer = Trainer::<R>::new(config, corpus.tokenizer.vocab_size(), &mut rng).unwrap();
    let (mut batch, mut sum) = (Batch::default(), 0.0);
    for step in 0..steps {
        corpus.fill(&mut batch, step * batch_size, batch_size, 16).unwrap();
        let loss = trainer.step(&batch).unwrap().loss;
        if step >= steps - steps / 4 {
            sum += loss;
        }
    }
    sum / (steps / 4) as f64
}

#[test]
fn the_fast_engine_learns_as_much() {
    for (batch_size, steps) in [(1, 1000), (16, 200)] {
        let exact = last_losses::<f64>(batch_size, steps);
        let fast = last_losses::<f32>(batch_size, steps);
        assert!((fast / exact - 1.0).abs() < 0.005, "batches of {batch_size}: fast {fast}, exact {exact}");
    }
}
