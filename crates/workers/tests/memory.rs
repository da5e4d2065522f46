//! Once warm, a step allocates nothing, in any thread.

use microgpt::corpus::Corpus;
use microgpt::documents::DataMode;
use microgpt::rng::Rng;
use microgpt::train::Trainer;
use microgpt::{Config, batch::Batch};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn a_step_allocates_nothing_once_warm() {
    for (micro_batches, workers) in [(1, 1), (4, 1), (4, 2), (4, 4)] {
        let config =
            Config { micro_batches, batch_size: 16, n_embd: 32, block_size: 40, ..Config::default() };
        let mut trainer = Trainer::<f32>::new(config, 11, &mut Rng::new(1)).unwrap();
        microgpt_workers::share(&mut trainer, workers).unwrap();
        let mut rng = Rng::new(2);
        let batches: Vec<Batch> = (0..4)
            .map(|i| {
                let mut batch = Batch::default();
                for len in [40, 3, 17, 9, 40, 12 + i, 1] {
                    let tokens: Vec<u32> = (0..=len).map(|_| rng.below(11) as u32).collect();
                    batch.push_document(&tokens, 40);
                }
                batch
            })
            .collect();
        // Windows of a stream are cut on the way.
        let stream = Config { data_mode: DataMode::Stream, val_fraction: 0.2, ..trainer.config.clone() };
        let text = "to be or not to be; ".repeat(20);
        let mut corpus = Corpus::read(text.into(), &stream, None, &mut Rng::new(0)).unwrap();
        let (mut windows, mut first) = (Batch::default(), 0);
        let mut epoch = || {
            batches.iter().for_each(|batch| assert!(trainer.step(batch).is_ok()));
            corpus.fill(&mut windows, first, 5, 40).unwrap();
            assert!(trainer.step(&windows).is_ok());
            first += 5;
        };
        (0..3).for_each(|_| epoch());
        let region = Region::new(ALLOCATOR);
        (0..5).for_each(|_| epoch());
        let change = region.change();
        assert_eq!(
            (change.allocations, change.reallocations, change.deallocations),
            (0, 0, 0),
            "{workers} workers"
        );
    }
}
