//! The loss on what was held back: has it learnt the language, or only the text?

use crate::batch::Batch;
use crate::config::Config;
use crate::corpus::Corpus;
use crate::engine::Precision;
use crate::error::Error;
use crate::train::Trainer;

/// Is it time to look, after step `step` (from 1)? Every `eval_every` steps and after the last, if there is something
/// to look at.
pub fn is_due(config: &Config, step: usize) -> bool {
    config.val_fraction > 0.0 && (step.is_multiple_of(config.eval_every) || step == config.steps)
}

/// The mean loss over the tokens that are looked at of what was held back, in nats per token.
///
/// It is always over the same tokens: the first `eval_size` documents, or as many windows spread evenly over the end
/// of a stream. They go through in batches as large as the parts of training's, so that no more memory is needed. With
/// `ema`, it is the loss of the average of the weights.
///
/// # Errors
/// Nothing was held back, or the loss is infinite or not a number.
pub fn validation_loss<R: Precision>(
    trainer: &mut Trainer<R>,
    corpus: &mut Corpus,
    batch: &mut Batch,
) -> Result<f64, Error> {
    let Config { batch_size, block_size, eval_size, .. } = trainer.config;
    let size = batch_size.div_ceil(trainer.config.parts(trainer.num_params()));
    let all = corpus.validation_len(eval_size, block_size);
    let (mut sum, mut rows) = (0.0, 0);
    trainer.swap_average()?;
    for first in (0..all).step_by(size) {
        corpus.fill_validation(batch, first, size.min(all - first), all, block_size);
        sum += trainer.loss(batch) * batch.rows() as f64;
        rows += batch.rows();
    }
    trainer.swap_average()?;
    let loss = sum / rows as f64;
    if !loss.is_finite() {
        return Err(Error::diverged(format!("expected a finite loss on what is held back, found {loss}")));
    }
    Ok(loss)
}

/// Nats per token as bits: divided by ln 2.
pub fn bits(nats: f64) -> f64 {
    nats / std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::DataMode;
    use crate::rng::Rng;

    #[test]
    fn it_is_the_mean_over_all_tokens_however_they_are_batched() {
        for data_mode in [DataMode::Lines, DataMode::Stream] {
            let config = |batch_size| Config {
                data_mode,
                val_fraction: 0.5,
                batch_size,
                block_size: 5,
                init_std: 0.3,
                ..Config::default()
            };
            let loss = |batch_size| {
                let (config, mut rng) = (config(batch_size), Rng::new(1));
                let text = "a\nbanana\nab\nnabanna\nanna\nbob\nnan\nbanabob\n".to_string();
                let mut corpus = Corpus::read(text, &config, None, &mut rng).unwrap();
                let mut trainer =
                    Trainer::<f64>::new(config, corpus.tokenizer.vocab_size(), &mut rng).unwrap();
                let before = trainer.params().to_vec();
                let loss = validation_loss(&mut trainer, &mut corpus, &mut Batch::default()).unwrap();
                assert_eq!(*trainer.params(), before, "nothing is learnt by looking");
                loss
            };
            let whole = loss(100);
            assert!(whole > 0.5 && whole < 3.0, "{whole}");
            for batch_size in [1, 2, 3] {
                assert!((loss(batch_size) - whole).abs() < 1e-12, "{data_mode} {batch_size}");
            }
        }
    }
}
