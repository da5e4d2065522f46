//! Once warm, the fast engine allocates nothing: not in a step of training, not for a token of decoding.

use microgpt::batch::Batch;
use microgpt::choices::Choice;
use microgpt::config::Config;
use microgpt::corpus::Corpus;
use microgpt::documents::Documents;
use microgpt::norm::Norm;
use microgpt::optimizer::OptimizerKind;
use microgpt::rng::Rng;
use microgpt::sample::Sampler;
use microgpt::train::Trainer;

fn names() -> Corpus {
    Corpus::new(Documents::from_lines("emma\nolivia\nava\nisabella\nsophia\nmaximilian".into()).unwrap())
}

/// How often `f` asks for memory.
fn allocations(f: impl FnOnce()) -> u64 {
    allocation_counter::measure(f).count_total
}

#[test]
fn a_step_allocates_nothing() {
    for (n_embd, block_size) in [(16, 16), (32, 8), (24, 16), (128, 16)] {
        step_of(Config { n_embd, block_size, ..Config::default() });
    }
    for &norm in Norm::ALL {
        let parts =
            Config { norm, bias: true, tied: true, final_norm: true, dropout: 0.1, ..Config::default() };
        step_of(parts.clone());
        step_of(Config { qk_norm: norm != Norm::None, residual_scale: 0.5, ..parts });
    }
    for &optimizer in OptimizerKind::ALL {
        step_of(Config { optimizer, weight_decay: 0.1, grad_clip: 0.1, ema: 0.9, ..Config::default() });
    }
}

fn step_of(config: Config) {
    let mut corpus = names();
    let config = Config { steps: 40, ..config };
    let mut trainer =
        Trainer::<f32>::new(config.clone(), corpus.tokenizer.vocab_size(), &mut Rng::new(1)).unwrap();
    let mut batch = Batch::default();
    for count in [1, 4] {
        let mut steps = |first: usize| {
            for i in first..first + 12 {
                corpus.fill(&mut batch, i, count, config.block_size).unwrap();
                trainer.step(&batch).unwrap();
            }
        };
        steps(0);
        let found = allocations(|| steps(12));
        assert_eq!(found, 0, "{config:?}, {count} documents a step");
    }
}

#[test]
fn a_token_allocates_nothing() {
    let corpus = names();
    let mut trainer =
        Trainer::<f32>::new(Config::default(), corpus.tokenizer.vocab_size(), &mut Rng::new(1)).unwrap();
    let mut rng = Rng::new(2);
    let (engine, model, tokenizer) = (&mut *trainer.engine, &trainer.model, &corpus.tokenizer);
    let mut sampler = Sampler::new(engine, model);
    let tokens = [tokenizer.bos(), 0, 1, 2, 3];
    let mut write = || {
        for past in 0..tokens.len() {
            sampler.next(engine, model, &tokens[past..=past], past, 0.5);
        }
    };
    write();
    assert_eq!(allocations(write), 0, "one sample");

    let mut sampler = Sampler::with_lanes(engine, model, 5);
    let mut drawn = 0;
    let mut write = || {
        let done = |_: usize, tokens: &[u32]| drawn += tokens.len();
        sampler.sample_many(engine, model, tokenizer, &[], 1.0, 40, &mut rng, done).unwrap();
    };
    write();
    assert_eq!(allocations(write), 0, "five at once");
    assert!(drawn >= 80);
}
