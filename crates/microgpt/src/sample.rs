//! Logits -> token, token after token.

use crate::batch::Batch;
use crate::error::Error;
use crate::model::gpt::Gpt;
use crate::real::{Real, pow};
use crate::rng::Rng;
use crate::tensor::Learner;
use crate::token::Tokenizer;

/// Writes text, one token at a time; the memory is used again for the next text.
#[derive(Debug, Default)]
pub struct Sampler {
    batch: Batch,
    probs: Vec<f64>,
}

impl Sampler {
    /// A sampler for this engine, which makes room to remember keys and values.
    pub fn new<R: Real>(engine: &mut dyn Learner<R>, model: &Gpt) -> Sampler {
        engine.reserve_memory(model.memory_slots(), model.block_size(), model.n_embd());
        Sampler::default()
    }

    /// One document that begins with `prompt`: the tokens after it, up to the one that ends it, or until the context
    /// is full. BOS, if it came, is the last.
    ///
    /// # Errors
    /// A prompt that leaves no room, or logits that are no numbers.
    pub fn sample<R: Real>(
        &mut self,
        engine: &mut dyn Learner<R>,
        model: &Gpt,
        tokenizer: &Tokenizer,
        prompt: &[u32],
        temperature: f64,
        rng: &mut Rng,
    ) -> Result<Vec<u32>, Error> {
        let block_size = model.block_size();
        if prompt.len() >= block_size {
            return Err(Error::text(format!(
                "prompt: expected less than block_size ({block_size}) characters, found {}",
                prompt.len()
            )));
        }
        let mut tokens = vec![tokenizer.bos()];
        tokens.extend_from_slice(prompt);
        let mut past = 0;
        while past < block_size {
            let probs = self.next(engine, model, &tokens[past..], past, temperature);
            if !probs.iter().all(|p| p.is_finite()) {
                return Err(Error::diverged("sample: expected probabilities, found numbers that are none"));
            }
            past = tokens.len();
            let token = rng.choice(probs) as u32;
            tokens.push(token);
            if token == tokenizer.bos() {
                break;
            }
        }
        Ok(tokens.split_off(1 + prompt.len()))
    }

    /// `count` tokens that follow `prompt` in a stream, which has no end and no BOS.
    ///
    /// When the context is full, its later half is read again from position 0 on, and there is room for more.
    ///
    /// # Errors
    /// An empty prompt, or logits that are no numbers.
    pub fn stream<R: Real>(
        &mut self,
        engine: &mut dyn Learner<R>,
        model: &Gpt,
        tokenizer: &Tokenizer,
        prompt: &[u32],
        count: usize,
        temperature: f64,
        rng: &mut Rng,
    ) -> Result<Vec<u32>, Error> {
        if prompt.is_empty() {
            return Err(Error::text("prompt: expected at least one character of a stream, found none"));
        }
        let block_size = model.block_size();
        let mut tokens = prompt.to_vec();
        // The context: its first token, and how many of its tokens the model has seen.
        let (mut first, mut past) = (prompt.len().saturating_sub(block_size), 0);
        while tokens.len() < prompt.len() + count {
            if tokens.len() - first > block_size {
                (first, past) = (tokens.len() - block_size.div_ceil(2), 0);
            }
            self.next(engine, model, &tokens[first + past..], past, temperature);
            past = tokens.len() - first;
            let probs = &mut self.probs;
            if !probs.iter().all(|p| p.is_finite()) {
                return Err(Error::diverged("sample: expected probabilities, found numbers that are none"));
            }
            probs[tokenizer.bos() as usize] = 0.0;
            tokens.push(rng.choice(probs) as u32);
        }
        Ok(tokens.split_off(prompt.len()))
    }

    /// The probability of each token after `new`, which comes after `past` tokens seen before.
    pub fn next<R: Real>(
        &mut self,
        engine: &mut dyn Learner<R>,
        model: &Gpt,
        new: &[u32],
        past: usize,
        temperature: f64,
    ) -> &[f64] {
        self.batch.clear();
        self.batch.decoding = true;
        self.batch.push_segment(new, past, 0);
        engine.begin(&self.batch);
        let logits = model.forward(engine, &self.batch).id();
        self.probs.clear();
        engine.read_row(logits, new.len() - 1, &mut self.probs);
        softmax(&mut self.probs, temperature);
        &self.probs
    }
}

/// Logits to probabilities: exp(z / temperature) / sum(exp(z / temperature)), in microgpt.py's order of operations.
pub fn softmax(z: &mut [f64], temperature: f64) {
    let inverse = pow(temperature, -1.0);
    z.iter_mut().for_each(|z| *z *= inverse);
    let max = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    z.iter_mut().for_each(|z| *z = (*z - max).exp());
    let inverse = pow(z.iter().fold(0.0, |sum, e| sum + e), -1.0);
    z.iter_mut().for_each(|e| *e *= inverse);
}
