//! How well a model knows a text: the loss of all of it, and of each document.

use crate::batch::Batch;
use crate::documents::{DataMode, lines};
use crate::engine::Precision;
use crate::error::Error;
use crate::token::Tokenizer;
use crate::train::Trainer;

/// The loss of one document, or of one window of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Its number, from 1.
    pub number: usize,
    /// Its text.
    pub text: String,
    /// Its mean loss, in nats per token.
    pub loss: f64,
}

/// The loss of a text.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Score {
    /// Each document, or window of a stream; the surest first.
    pub documents: Vec<Scored>,
    /// How many tokens were predicted.
    pub tokens: usize,
    /// How many characters those are; the end of a document counts as one.
    pub characters: usize,
    /// The sum of their losses, in nats.
    pub nats: f64,
    /// Tokens of documents that are longer than the context: they were not looked at.
    pub cut: usize,
    /// Documents with what the alphabet has not.
    pub skipped: usize,
}

impl Score {
    /// Nats per token.
    pub fn loss(&self) -> f64 {
        self.nats / self.tokens as f64
    }

    /// Bits per character.
    pub fn bits_per_character(&self) -> f64 {
        self.nats / std::f64::consts::LN_2 / self.characters as f64
    }

    /// exp(nats per token): between how many tokens it is as unsure as it would be without knowing which.
    pub fn perplexity(&self) -> f64 {
        self.loss().exp()
    }

    fn add<R: Precision>(
        &mut self,
        trainer: &mut Trainer<R>,
        tokenizer: &Tokenizer,
        tokens: &[u32],
        batch: &mut Batch,
    ) -> Result<(), Error> {
        batch.clear();
        batch.push_document(tokens, trainer.config.block_size);
        let loss = trainer.loss(batch);
        if !loss.is_finite() {
            let number = self.documents.len() + 1;
            return Err(Error::diverged(format!("document {number}: expected a finite loss, found {loss}")));
        }
        self.characters += tokenizer.characters(&batch.targets);
        self.tokens += batch.rows();
        self.nats += loss * batch.rows() as f64;
        self.cut += tokens.len() - 1 - batch.rows();
        let (number, text) = (self.documents.len() + self.skipped + 1, tokenizer.decode(tokens));
        self.documents.push(Scored { number, text, loss });
        Ok(())
    }
}

/// The loss of a text, in documents or as a stream, as the model has learnt. With `skip`, documents with characters that
/// the model does not know are left out and counted.
///
/// # Errors
/// Characters that the model does not know; nothing to look at; a loss that is infinite or not a number.
pub fn score<R: Precision>(
    trainer: &mut Trainer<R>,
    tokenizer: &Tokenizer,
    text: &[u8],
    skip: bool,
) -> Result<Score, Error> {
    let (mut score, mut batch, mut tokens) = (Score::default(), Batch::default(), Vec::new());
    match trainer.config.data_mode {
        DataMode::Lines => {
            for (i, line) in lines(text).enumerate() {
                tokens.clear();
                tokens.push(tokenizer.bos());
                match tokenizer.encode_bytes_into(line, &mut tokens) {
                    Err(_) if skip => {
                        score.skipped += 1;
                        continue;
                    }
                    Err(error) => return Err(error.at(format!("document {}", i + 1))),
                    Ok(()) => tokens.push(tokenizer.bos()),
                }
                score.add(trainer, tokenizer, &tokens, &mut batch)?;
            }
        }
        DataMode::Stream => {
            tokenizer.encode_bytes_into(text, &mut tokens)?;
            let block_size = trainer.config.block_size;
            // Each window's last token is the next one's first: every token but the first is predicted once.
            for start in (0..tokens.len().saturating_sub(1)).step_by(block_size) {
                let window = &tokens[start..(start + block_size + 1).min(tokens.len())];
                score.add(trainer, tokenizer, window, &mut batch)?;
            }
        }
    }
    if score.documents.is_empty() {
        let known = if score.skipped > 0 { " that the model knows the characters of" } else { "" };
        return Err(Error::text(format!("expected a text{known}, found nothing to look at")));
    }
    score.documents.sort_by(|a, b| a.loss.total_cmp(&b.loss));
    Ok(score)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, corpus::Corpus, rng::Rng};

    #[test]
    fn it_is_the_mean_over_all_tokens_and_the_best_comes_first() {
        for data_mode in [DataMode::Lines, DataMode::Stream] {
            let config =
                Config { data_mode, block_size: 4, init_std: 0.5, zero_init: false, ..Config::default() };
            let text = "anna\nbob\nannabob\nb\n";
            let mut corpus = Corpus::read(text.into(), &config, None, &mut Rng::new(1)).unwrap();
            let tokenizer = corpus.tokenizer.clone();
            let mut trainer = Trainer::<f64>::new(config, tokenizer.vocab_size(), &mut Rng::new(2)).unwrap();
            let found = score(&mut trainer, &tokenizer, text.as_bytes(), false).unwrap();
            assert!(found.documents.is_sorted_by(|a, b| a.loss <= b.loss));
            assert_eq!(found.characters, found.tokens);
            if data_mode == DataMode::Lines {
                // All at once, as in training; "anna" and "annabob" lose their ends.
                let mut batch = Batch::default();
                corpus.fill(&mut batch, 0, 4, 4).unwrap();
                assert!((trainer.loss(&batch) - found.loss()).abs() < 1e-12);
                assert_eq!((found.documents.len(), found.tokens, found.cut), (4, 14, 5));
                let numbers =
                    |number| found.documents.iter().find(|d| d.number == number).unwrap().text.clone();
                assert_eq!((numbers(2), numbers(4)), ("bob".into(), "b".into()));
            } else {
                assert_eq!((found.documents.len(), found.tokens, found.cut), (5, 18, 0));
            }
            assert!((found.perplexity().ln() - found.loss()).abs() < 1e-12);
            assert!((found.bits_per_character() * std::f64::consts::LN_2 - found.loss()).abs() < 1e-12);
        }
    }

    #[test]
    fn what_the_model_does_not_know_is_an_error_or_counted() {
        let config = Config::default();
        let tokenizer = Tokenizer::new("abno".chars());
        let mut trainer = Trainer::<f64>::new(config, tokenizer.vocab_size(), &mut Rng::new(2)).unwrap();
        let text = "anna\nzoë\nbob\n";
        let error = score(&mut trainer, &tokenizer, text.as_bytes(), false).unwrap_err().to_string();
        assert!(error.starts_with("document 2: expected only the 4 characters"), "{error}");
        let found = score(&mut trainer, &tokenizer, text.as_bytes(), true).unwrap();
        let mut numbers: Vec<usize> = found.documents.iter().map(|d| d.number).collect();
        numbers.sort_unstable();
        assert_eq!((found.skipped, numbers), (1, vec![1, 3]));
        assert!(score(&mut trainer, &tokenizer, b"zz\n", true).is_err());
        assert!(score(&mut trainer, &tokenizer, b"", true).is_err());
    }
}
