//! However many workers: the same losses, parameters and all that the optimiser remembers, to the last bit.

use microgpt::choices::Choice;
use microgpt::engine::Precision;
use microgpt::family::Family;
use microgpt::optimizer::OptimizerKind;
use microgpt::rng::Rng;
use microgpt::train::Trainer;
use microgpt::{Config, ErrorKind, batch::Batch};
use microgpt_workers::{share, threads::possible};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Documents of these lengths, of random tokens.
fn batch_of(lengths: &[usize], vocab_size: usize, rng: &mut Rng) -> Batch {
    let mut batch = Batch::default();
    for &len in lengths {
        let tokens: Vec<u32> = (0..=len).map(|_| rng.below(vocab_size) as u32).collect();
        batch.push_document(&tokens, len);
    }
    batch
}

/// All that training leaves, as bits: losses, lengths of gradients, parameters, what the optimiser remembers.
fn trained<R: Precision>(config: &Config, workers: usize, lengths: &[&[usize]], again: bool) -> Vec<u64> {
    let mut trainer = Trainer::<R>::new(config.clone(), 11, &mut Rng::new(1)).unwrap();
    trainer.measure_gradients(2);
    share(&mut trainer, workers).unwrap();
    let mut rng = Rng::new(2);
    let mut bits = Vec::new();
    for (step, lengths) in lengths.iter().cycle().take(7).enumerate() {
        if again && step == 3 {
            share(&mut trainer, workers).unwrap(); // with copies of what has been trained so far
        }
        let step = trainer.step(&batch_of(lengths, 11, &mut rng)).unwrap();
        bits.push(step.loss.to_bits());
        let norms = trainer.gradient_norms();
        assert_eq!(
            norms.len(),
            if step.step.is_multiple_of(2) { trainer.model.layout.matrices().len() } else { 0 }
        );
        bits.extend(norms.iter().map(|norm| norm.to_bits()));
    }
    trainer.gather().unwrap();
    let remembered = trainer.remembered().into_iter().flat_map(|(_, slice)| slice);
    bits.extend(trainer.params().iter().chain(remembered).map(|x| x.to_f64().to_bits()));
    bits
}

fn compare<R: Precision>(shapes: &[(usize, usize, usize)], parts: &[usize]) {
    // Even, ragged, fewer documents than parts, one document, one token; and batches that differ from step to step.
    let even: &[&[usize]] = &[&[5; 8]];
    let ragged: &[&[usize]] = &[&[9, 1, 1, 4, 16, 2, 1], &[3, 3], &[7], &[1], &[2; 16]];
    for &(n_layer, n_head, n_embd) in shapes {
        for (&micro_batches, lengths) in parts.iter().flat_map(|parts| [(parts, even), (parts, ragged)]) {
            let config = Config {
                n_layer,
                n_head,
                n_embd,
                micro_batches,
                batch_size: 16,
                zero_init: false,
                init_std: 0.1,
                ..Config::default()
            };
            let config = Config { block_size: 16, steps: 7, ..config };
            let one = trained::<R>(&config, 1, lengths, false);
            for workers in [2, 4, 8].into_iter().filter(|&n| n == possible(n, micro_batches)) {
                for again in [false, true] {
                    let many = trained::<R>(&config, workers, lengths, again);
                    assert!(one == many, "{workers} workers, {lengths:?}, {config:?}");
                }
            }
        }
    }
}

#[test]
fn the_fast_engines_bits_are_those_of_one_worker() {
    compare::<f32>(&[(1, 4, 16), (2, 1, 17), (1, 2, 48)], &[2, 4, 8]);
}

#[test]
fn the_scalar_engines_bits_are_those_of_one_worker() {
    compare::<f64>(&[(1, 2, 8), (2, 1, 5)], &[2, 4, 8]);
}

#[test]
fn an_ancestors_bits_are_those_of_one_worker() {
    let ragged: &[&[usize]] = &[&[9, 1, 1, 4, 16, 2, 1], &[3, 3], &[7], &[1], &[2; 16]];
    for &model in Family::ALL {
        let config =
            Config { model, micro_batches: 4, batch_size: 16, block_size: 16, steps: 7, ..Config::default() };
        let one = trained::<f32>(&config, 1, ragged, false);
        assert!(one == trained::<f32>(&config, 2, ragged, false), "{model}");
        assert!(one == trained::<f32>(&config, 4, ragged, true), "{model}");
    }
}

/// What falls out of a document does not depend on who works on it, nor on what stands before it in a part.
#[test]
fn dropout_is_that_of_one_worker() {
    let config = Config { dropout: 0.3, init_std: 0.1, zero_init: false, steps: 7, ..Config::default() };
    let config = Config { block_size: 16, micro_batches: 4, batch_size: 16, ..config };
    let ragged: &[&[usize]] = &[&[9, 1, 1, 4, 16, 2, 1], &[3, 3], &[7], &[1], &[2; 16]];
    let one = trained::<f32>(&config, 1, ragged, false);
    assert!(one != trained::<f32>(&Config { dropout: 0.0, ..config.clone() }, 1, ragged, false));
    assert!(one == trained::<f32>(&config, 2, ragged, false));
    assert!(one == trained::<f32>(&config, 4, ragged, true));
    // Cut or not, the same numbers fall out: the losses are the same but for rounding.
    let losses = |micro_batches: usize| {
        let bits =
            trained::<f64>(&Config { micro_batches, batch_size: 16, ..config.clone() }, 1, ragged, false);
        bits[..7].iter().map(|&bits| f64::from_bits(bits)).collect::<Vec<f64>>()
    };
    for (whole, parts) in losses(1).iter().zip(losses(4)) {
        assert!((whole - parts).abs() < 1e-9, "{whole} {parts}");
    }
}

/// Every optimiser, with gradients that are clipped, weights that decay and are averaged.
#[test]
fn the_bits_of_every_optimiser_are_those_of_one_worker() {
    for &optimizer in OptimizerKind::ALL {
        let config = Config {
            optimizer,
            grad_clip: 0.1,
            weight_decay: 0.1,
            ema: 0.9,
            n_layer: 2,
            micro_batches: 8,
            batch_size: 16,
            zero_init: false,
            init_std: 0.1,
            block_size: 16,
            steps: 7,
            ..Config::default()
        };
        let ragged: &[&[usize]] = &[&[9, 1, 1, 4, 16, 2, 1], &[3, 3], &[7], &[1], &[2; 16]];
        let (exact, fast) =
            (trained::<f64>(&config, 1, ragged, false), trained::<f32>(&config, 1, ragged, false));
        for workers in [2, 8] {
            assert!(
                trained::<f64>(&config, workers, ragged, false) == exact,
                "{optimizer}, {workers} workers"
            );
            assert!(trained::<f32>(&config, workers, ragged, true) == fast, "{optimizer}, {workers} workers");
        }
    }
}

/// Cut or not, the mean over all rows is the same number, and so are its gradients, but for rounding.
#[test]
fn the_parts_of_a_batch_are_the_batch() {
    let config = Config { block_size: 16, steps: 7, zero_init: false, ..Config::default() };
    let ragged: &[&[usize]] = &[&[9, 1, 1, 4, 16, 2, 1], &[3, 3], &[7]];
    let whole =
        trained::<f64>(&Config { micro_batches: 1, batch_size: 16, ..config.clone() }, 1, ragged, false);
    let parts = trained::<f64>(&Config { micro_batches: 8, batch_size: 16, ..config }, 1, ragged, false);
    for (whole, parts) in whole.into_iter().zip(parts).take(7) {
        let (whole, parts) = (f64::from_bits(whole), f64::from_bits(parts));
        assert!((whole - parts).abs() < 1e-9 * whole, "{whole} {parts}");
    }
}

fn shared(workers: usize) -> (Trainer<f32>, Batch) {
    let config = Config { micro_batches: 4, batch_size: 16, ..Config::default() };
    let mut trainer = Trainer::new(config, 11, &mut Rng::new(1)).unwrap();
    share(&mut trainer, workers).unwrap();
    (trainer, batch_of(&[5; 8], 11, &mut Rng::new(2)))
}

#[test]
fn a_loss_that_is_no_number_is_told_and_changes_nothing() {
    let (mut trainer, batch) = shared(4);
    trainer.step(&batch).unwrap();
    let params = trainer.params().to_vec();
    // A batch that only one worker cannot do: the loss is divided by no rows at all.
    let broken = Batch { loss_rows: 0, ..batch.clone() };
    for _ in 0..3 {
        let error = trainer.step(&broken).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Diverged);
        assert!(error.to_string().starts_with("step 2: expected a finite loss, found"), "{error}");
        assert!(*trainer.params() == params);
    }
    trainer.step(&batch).unwrap();
    assert_eq!(trainer.steps_done(), 2);
}

/// A token that does not exist, in the share of one worker: its panic ends all, and is the caller's.
#[test]
fn a_panic_of_any_worker_ends_all() {
    for worker in 0..4 {
        let (mut trainer, batch) = shared(4);
        trainer.step(&batch).unwrap();
        let mut broken = batch.clone();
        broken.tokens[worker * 10] = 99;
        let panic = catch_unwind(AssertUnwindSafe(|| trainer.step(&broken))).unwrap_err();
        let message = panic.downcast_ref::<String>().map_or("", |text| text.as_str());
        assert!(message.contains("row 99 of a table of 11"), "worker {worker}: {message}");
        // Whoever catches it all the same gets an error from now on: what the workers remembered is gone with them.
        for _ in 0..2 {
            assert_eq!(trainer.step(&batch).unwrap_err().kind(), ErrorKind::Peer);
            assert_eq!(trainer.gather().unwrap_err().kind(), ErrorKind::Peer);
            assert_eq!(share(&mut trainer, 4).unwrap_err().kind(), ErrorKind::Peer);
        }
    }
}

#[test]
fn workers_are_a_power_of_two_and_no_more_than_parts() {
    let found = [(1, 8), (2, 8), (3, 8), (7, 8), (8, 8), (100, 8), (3, 2), (5, 1), (0, 4)];
    assert_eq!(found.map(|(wanted, parts)| possible(wanted, parts)), [1, 2, 2, 4, 8, 8, 2, 1, 1]);
    // The tiny shapes are left alone.
    let tiny =
        Trainer::<f32>::new(Config { batch_size: 16, ..Config::default() }, 27, &mut Rng::new(1)).unwrap();
    assert_eq!([0, 4].map(|wanted| microgpt_workers::choose(&tiny, wanted)), [1, 1]);
}
