//! The loss on what was held back: has it learnt the language, or only the text?

use crate::batch::Batch;
use crate::config::Config;
use crate::corpus::Corpus;
use crate::engine::Precision;
use crate::error::Error;
use crate::token::TokenizerKind;
use crate::train::Trainer;

/// Is it time to look, after step `step` (from 1)? Every `eval_every` steps and after the last, if there is something
/// to look at.
pub fn is_due(config: &Config, step: usize) -> bool {
    config.held_back() > 0.0 && (step.is_multiple_of(config.eval_every) || step == config.steps)
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
    let mut batches = vec![std::mem::take(batch)];
    batches.resize_with(trainer.workers(), Batch::default);
    trainer.swap_average()?;
    // Each worker takes one; the order of the sum is that of one worker.
    for firsts in (0..all).step_by(size * batches.len()) {
        let mut filled = 0;
        for (first, batch) in (firsts..all).step_by(size).zip(&mut batches) {
            corpus.fill_validation(batch, first, size.min(all - first), all, block_size)?;
            filled += 1;
        }
        for (loss, batch) in trainer.losses(&batches[..filled])?.into_iter().zip(&batches[..filled]) {
            sum += loss * batch.rows() as f64;
            rows += batch.rows();
        }
    }
    *batch = batches.swap_remove(0);
    trainer.swap_average()?;
    let loss = sum / rows as f64;
    if !loss.is_finite() {
        return Err(Error::diverged(format!("expected a finite loss on what is held back, found {loss}")));
    }
    Ok(loss)
}

/// How many tokens a character has, in what is looked at of what was held back: the loss in bits, times this, is bits per
/// character. 1 where a token is a character.
///
/// # Errors
/// Tokens that cannot be read where they are kept.
pub fn tokens_per_character(config: &Config, corpus: &mut Corpus, batch: &mut Batch) -> Result<f64, Error> {
    if corpus.tokenizer.kind() == TokenizerKind::Char {
        return Ok(1.0);
    }
    let all = corpus.validation_len(config.eval_size, config.block_size);
    let (mut tokens, mut count) = (0, 0);
    for i in 0..all {
        corpus.fill_validation(batch, i, 1, all, config.block_size)?;
        tokens += batch.rows();
        count += corpus.tokenizer.characters(&batch.targets);
    }
    Ok(tokens as f64 / count.max(1) as f64)
}

/// Of a task's problems that were held back, the part that is answered right, to the last token and no more: always the
/// first `eval_size` of them. Nothing, if there is no task.
///
/// The model answers greedily, the likeliest token each time. An answer is right if after each token of the right
/// one the likeliest is the next; so one pass over the right answers tells, and nothing has to be written.
///
/// # Errors
/// Logits that are no numbers.
pub fn accuracy<R: Precision>(
    trainer: &mut Trainer<R>,
    corpus: &mut Corpus,
    batch: &mut Batch,
) -> Result<Option<f64>, Error> {
    let Some(mark) = corpus.problems().map(|problems| problems.mark()) else { return Ok(None) };
    let mark = corpus.tokenizer.encode(mark.encode_utf8(&mut [0; 4]))?[0];
    let Config { batch_size, block_size, eval_size, .. } = trainer.config;
    let size = batch_size.div_ceil(trainer.config.parts(trainer.num_params()));
    let (mut right, mut row) = (0, Vec::new());
    trainer.swap_average()?;
    for first in (0..eval_size).step_by(size) {
        corpus.fill_validation(batch, first, size.min(eval_size - first), eval_size, block_size)?;
        trainer.engine.begin(batch);
        let logits = trainer.model.forward(&*trainer.engine, batch).id();
        for segment in &batch.segments {
            let rows = segment.start..segment.start + segment.len;
            let asked = rows.clone().find(|&r| batch.tokens[r] == mark).unwrap_or(rows.end);
            let mut is_right = |r: usize| {
                row.clear();
                trainer.engine.read_row(logits, r, &mut row);
                let target = batch.targets[r] as usize;
                (0..row.len()).all(|token| token == target || row[token] < row[target])
            };
            right += usize::from((asked..rows.end).all(&mut is_right));
        }
    }
    trainer.swap_average()?;
    Ok(Some(right as f64 / eval_size as f64))
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
                let mut corpus = Corpus::read(text.into(), &config, None, &mut rng).unwrap();
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

    #[test]
    fn an_answer_is_right_if_greedy_decoding_writes_it_and_ends() {
        use crate::sample::Sampler;
        use crate::task::Task;
        let config = Config {
            task: Task::Copy,
            block_size: 6,
            batch_size: 32,
            steps: 300,
            eval_size: 100,
            n_embd: 32,
            ..Config::default()
        };
        let mut corpus = Corpus::task(&config).unwrap();
        let mut trainer =
            Trainer::<f32>::new(config.clone(), corpus.tokenizer.vocab_size(), &mut Rng::new(1)).unwrap();
        let mut batch = Batch::default();
        let mut found = Vec::new();
        for step in 0..config.steps {
            corpus.fill(&mut batch, step * 32, 32, 6).unwrap();
            trainer.step(&batch).unwrap();
            if step % 75 == 74 {
                found.push(accuracy(&mut trainer, &mut corpus, &mut batch).unwrap().unwrap());
            }
        }
        let problems = corpus.problems().unwrap().clone();
        let mut sampler = Sampler::new(trainer.engine.as_mut(), &trainer.model);
        let bos = corpus.tokenizer.bos();
        let right = (0..config.eval_size).filter(|&i| {
            let text = problems.get(i, true);
            let (problem, answer) = text.split_once('>').unwrap();
            let mut tokens = corpus.tokenizer.encode(&format!("{problem}>")).unwrap();
            tokens.insert(0, bos);
            let (mut past, mut written) = (0, Vec::new());
            while past < config.block_size && written.last() != Some(&bos) {
                let engine = trainer.engine.as_mut();
                let probs = sampler.next(engine, &trainer.model, &tokens[past..], past, 1.0);
                let best = (0..probs.len()).max_by(|&a, &b| probs[a].total_cmp(&probs[b])).unwrap() as u32;
                past = tokens.len();
                tokens.push(best);
                written.push(best);
            }
            written.last() == Some(&bos) && corpus.tokenizer.decode(&written) == answer
        });
        assert_eq!(found[3], right.count() as f64 / 100.0);
        assert!(found[0] < found[3] && found[3] > 0.3, "{found:?}");
        // Of a text nothing is right or wrong.
        let mut text = Corpus::read("abc".into(), &Config::default(), None, &mut Rng::new(1)).unwrap();
        assert_eq!(accuracy(&mut trainer, &mut text, &mut batch).unwrap(), None);
    }
}
