//! Logits -> token, token after token.

use crate::batch::Batch;
use crate::error::Error;
use crate::model::gpt::Gpt;
use crate::real::{Real, pow};
use crate::rng::Rng;
use crate::tensor::{Id, Learner};
use crate::token::Tokenizer;

/// Writes text, one token at a time; the memory is used again for the next text.
#[derive(Debug, Default)]
pub struct Sampler {
    batch: Batch,
    probs: Vec<f64>,
    tokens: Vec<u32>,
    /// Samples in the making, when there are several at once.
    lanes: Vec<Lane>,
    order: Vec<usize>,
}

/// A sample in the making.
#[derive(Debug, Clone, Default)]
struct Lane {
    /// Which sample.
    sample: usize,
    /// Where its keys and values are remembered.
    memory: usize,
    tokens: Vec<u32>,
    /// How many of them have been seen.
    past: usize,
}

impl Sampler {
    /// A sampler for this engine, which makes room to remember keys and values.
    pub fn new<R: Real>(engine: &mut dyn Learner<R>, model: &Gpt) -> Sampler {
        Sampler::with_lanes(engine, model, 1)
    }

    /// A sampler that can work on as many samples at once.
    pub fn with_lanes<R: Real>(engine: &mut dyn Learner<R>, model: &Gpt, lanes: usize) -> Sampler {
        let rows = model.block_size();
        engine.reserve_memory(model.memory_slots(), lanes * rows, model.memory_cols());
        let order = Vec::with_capacity(lanes);
        let lane = |i| Lane { memory: i * rows, tokens: Vec::with_capacity(rows + 2), ..Lane::default() };
        Sampler { lanes: (0..lanes).map(lane).collect(), order, ..Sampler::default() }
    }

    /// One document that begins with `prompt`: the tokens after it, up to the one that ends it, or until the context
    /// is full. BOS, if it came, is the last. Each token takes one number of chance.
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
        check(prompt, model)?;
        let mut tokens = std::mem::take(&mut self.tokens);
        tokens.clear();
        tokens.push(tokenizer.bos());
        tokens.extend_from_slice(prompt);
        let mut past = 0;
        while past < model.block_size() {
            let logits = self.forward(engine, model, &tokens[past..], past);
            let token = self.draw(engine, logits, tokens.len() - past - 1, temperature, rng)?;
            past = tokens.len();
            tokens.push(token);
            if token == tokenizer.bos() {
                break;
            }
        }
        let sample = tokens[1 + prompt.len()..].to_vec();
        self.tokens = tokens;
        Ok(sample)
    }

    /// `count` documents that begin with `prompt`, as many at once as there are lanes: `done` gets each as soon as it is
    /// complete, with its number, as [`Sampler::sample`] would return it.
    ///
    /// The order of chance: every round takes one number for each sample in the making, in the order of their numbers;
    /// a sample that is complete makes room for the next, which begins in the next round.
    ///
    /// # Errors
    /// A prompt that leaves no room, or logits that are no numbers.
    pub fn sample_many<R: Real>(
        &mut self,
        engine: &mut dyn Learner<R>,
        model: &Gpt,
        tokenizer: &Tokenizer,
        prompt: &[u32],
        temperature: f64,
        count: usize,
        rng: &mut Rng,
        mut done: impl FnMut(usize, &[u32]),
    ) -> Result<(), Error> {
        check(prompt, model)?;
        let begin = |lane: &mut Lane, sample: usize| {
            (lane.sample, lane.past) = (sample, 0);
            lane.tokens.clear();
            lane.tokens.push(tokenizer.bos());
            lane.tokens.extend_from_slice(prompt);
        };
        // `order` begins with the lanes that are in use, in the order of their samples.
        let (mut lanes, mut order) = (std::mem::take(&mut self.lanes), std::mem::take(&mut self.order));
        let mut active = lanes.len().min(count);
        let mut next = active;
        order.clear();
        order.extend(0..lanes.len());
        lanes[..active].iter_mut().enumerate().for_each(|(i, lane)| begin(lane, i));
        let mut result = Ok(());
        while active > 0 && result.is_ok() {
            self.batch.clear();
            self.batch.decoding = true;
            for lane in order[..active].iter().map(|&i| &lanes[i]) {
                self.batch.push_segment(&lane.tokens[lane.past..], lane.past, lane.memory);
            }
            engine.begin(&self.batch);
            let logits = model.forward(engine, &self.batch).id();
            let (mut row, mut i) = (0, 0);
            let in_the_making = active;
            for _ in 0..in_the_making {
                let lane = &mut lanes[order[i]];
                row += lane.tokens.len() - lane.past;
                let token = match self.draw(engine, logits, row - 1, temperature, rng) {
                    Ok(token) => token,
                    Err(error) => {
                        result = Err(error);
                        break;
                    }
                };
                lane.past = lane.tokens.len();
                lane.tokens.push(token);
                if token != tokenizer.bos() && lane.past < model.block_size() {
                    i += 1;
                    continue;
                }
                done(lane.sample, &lane.tokens[1 + prompt.len()..]);
                // The lane goes behind the others: with the next sample, or out of use.
                order[i..active].rotate_left(1);
                if next < count {
                    begin(lane, next);
                    next += 1;
                } else {
                    active -= 1;
                }
            }
        }
        (self.lanes, self.order) = (lanes, order);
        result
    }

    /// The logits after `new`, which comes after `past` tokens seen before.
    fn forward<R: Real>(&mut self, engine: &mut dyn Learner<R>, model: &Gpt, new: &[u32], past: usize) -> Id {
        self.batch.clear();
        self.batch.decoding = true;
        self.batch.push_segment(new, past, 0);
        engine.begin(&self.batch);
        model.forward(engine, &self.batch).id()
    }

    /// A token after `row`, by chance.
    fn draw<R: Real>(
        &mut self,
        engine: &dyn Learner<R>,
        logits: Id,
        row: usize,
        temperature: f64,
        rng: &mut Rng,
    ) -> Result<u32, Error> {
        let lost = || Error::diverged("sample: expected probabilities, found numbers that are none");
        if engine.draws() {
            return engine.draw(logits, row, temperature, rng.random()).ok_or_else(lost);
        }
        self.probs.clear();
        engine.read_row(logits, row, &mut self.probs);
        softmax(&mut self.probs, temperature);
        if !self.probs.iter().all(|p| p.is_finite()) {
            return Err(lost());
        }
        Ok(rng.choice(&self.probs) as u32)
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
        let logits = self.forward(engine, model, new, past);
        self.probs.clear();
        engine.read_row(logits, new.len() - 1, &mut self.probs);
        softmax(&mut self.probs, temperature);
        &self.probs
    }
}

/// Does the prompt leave room for a token?
fn check(prompt: &[u32], model: &Gpt) -> Result<(), Error> {
    let (block_size, found) = (model.block_size(), prompt.len());
    if found >= block_size {
        return Err(Error::text(format!(
            "prompt: expected less than block_size ({block_size}) characters, found {found}"
        )));
    }
    Ok(())
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
