//! Logits -> token, token after token.

use crate::batch::Batch;
use crate::error::Error;
use crate::model::Model;
use crate::real::{Real, pow};
use crate::rng::{Rng, choice};
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
    complete: Vec<Lane>,
    /// What was drawn for each, behind room for the prompt, from the place on where its keys and values are remembered.
    written: Vec<u32>,
    draws: Draws,
}

/// Tokens to be drawn, each after a row of the logits and by a number of chance.
#[derive(Debug, Default)]
struct Draws {
    rows: Vec<usize>,
    us: Vec<f64>,
    tokens: Vec<u32>,
}

impl Draws {
    /// A token from each of these rows.
    fn begin(&mut self, rows: impl Iterator<Item = usize>, rng: &mut Rng) {
        self.rows.clear();
        self.rows.extend(rows);
        self.us.resize(self.rows.len(), 0.0);
        rng.fill(&mut self.us);
        self.tokens.resize(self.rows.len(), 0);
    }
}

/// A sample in the making.
#[derive(Debug, Clone, Copy, Default)]
struct Lane {
    /// Which sample.
    sample: usize,
    /// Where its keys and values are remembered.
    memory: usize,
    /// How many tokens it has behind BOS, which are those that have been seen once one is drawn.
    len: usize,
    /// The last, or BOS.
    token: u32,
}

impl Sampler {
    /// A sampler for this engine, which makes room to remember keys and values.
    pub fn new<R: Real>(engine: &mut dyn Learner<R>, model: &Model) -> Sampler {
        Sampler::with_lanes(engine, model, 1)
    }

    /// A sampler that can work on as many samples at once.
    pub fn with_lanes<R: Real>(engine: &mut dyn Learner<R>, model: &Model, lanes: usize) -> Sampler {
        let rows = model.block_size();
        engine.reserve_memory(model.memory_slots(), lanes * rows, model.memory_cols());
        let lane = |i| Lane { memory: i * rows, ..Lane::default() };
        let (written, complete) = (vec![0; lanes * rows], vec![Lane::default(); lanes]);
        Sampler { lanes: (0..lanes).map(lane).collect(), complete, written, ..Sampler::default() }
    }

    /// One document that begins with `prompt`: the tokens after it, up to the one that ends it, or until the context
    /// is full. BOS, if it came, is the last. Each token takes one number of chance.
    ///
    /// # Errors
    /// A prompt that leaves no room, or logits that are no numbers.
    pub fn sample<R: Real>(
        &mut self,
        engine: &mut dyn Learner<R>,
        model: &Model,
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
            self.draws.begin([tokens.len() - past - 1].into_iter(), rng);
            self.draw(engine, logits, temperature)?;
            let token = self.draws.tokens[0];
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
        model: &Model,
        tokenizer: &Tokenizer,
        prompt: &[u32],
        temperature: f64,
        count: usize,
        rng: &mut Rng,
        mut done: impl FnMut(usize, &[u32]),
    ) -> Result<(), Error> {
        check(prompt, model)?;
        self.tokens.clear();
        self.tokens.push(tokenizer.bos());
        self.tokens.extend_from_slice(prompt);
        let begin = |lane: &mut Lane, sample: usize| {
            *lane = Lane { sample, len: prompt.len(), token: tokenizer.bos(), ..*lane };
        };
        // They begin with the lanes that are in use, in the order of their samples.
        let mut lanes = std::mem::take(&mut self.lanes);
        let mut active = lanes.len().min(count);
        let mut next = active;
        lanes[..active].iter_mut().enumerate().for_each(|(i, lane)| begin(lane, i));
        let mut result = Ok(());
        while active > 0 {
            self.batch.clear();
            self.batch.decoding = true;
            let going = &lanes[..active];
            if prompt.is_empty() {
                self.batch.push_each(going.iter().map(|lane| (lane.token, lane.len, lane.memory)));
            } else {
                for lane in going {
                    if lane.len == prompt.len() {
                        self.batch.push_segment(&self.tokens, 0, lane.memory);
                    } else {
                        self.batch.push_segment(&[lane.token], lane.len, lane.memory);
                    }
                }
            }
            self.draws.begin(self.batch.segments.iter().map(|s| s.start + s.len - 1), rng);
            engine.begin(&self.batch);
            let logits = model.forward(engine, &self.batch).id();
            result = self.draw(engine, logits, temperature);
            if result.is_err() {
                break;
            }
            // Those that go on stay in order. Chance decides which: a jump would be guessed wrongly.
            let (mut on, mut complete) = (0, 0);
            for (j, &token) in self.draws.tokens.iter().enumerate() {
                let Lane { sample, memory, len, .. } = lanes[j];
                self.written[memory + len] = token;
                let lane = Lane { sample, memory, len: len + 1, token };
                let goes_on = (token != tokenizer.bos()) & (lane.len < model.block_size());
                (lanes[on], self.complete[complete]) = (lane, lane);
                on += usize::from(goes_on);
                complete += usize::from(!goes_on);
            }
            // The others go behind them: with the next sample, or out of use.
            for lane in &self.complete[..complete] {
                done(lane.sample, &self.written[lane.memory..][prompt.len()..lane.len]);
            }
            lanes[on..active].copy_from_slice(&self.complete[..complete]);
            for lane in &mut lanes[on..active] {
                if next < count {
                    begin(lane, next);
                    next += 1;
                    on += 1;
                }
            }
            active = on;
        }
        self.lanes = lanes;
        result
    }

    /// The logits after `new`, which comes after `past` tokens seen before.
    fn forward<R: Real>(
        &mut self,
        engine: &mut dyn Learner<R>,
        model: &Model,
        new: &[u32],
        past: usize,
    ) -> Id {
        self.batch.clear();
        self.batch.decoding = true;
        self.batch.push_segment(new, past, 0);
        engine.begin(&self.batch);
        model.forward(engine, &self.batch).id()
    }

    /// The tokens of `draws`.
    fn draw<R: Real>(&mut self, engine: &dyn Learner<R>, logits: Id, temperature: f64) -> Result<(), Error> {
        let lost = || Error::diverged("sample: expected probabilities, found numbers that are none");
        let Draws { rows, us, tokens } = &mut self.draws;
        if engine.draws() {
            return if engine.draw(logits, rows, temperature, us, tokens) { Ok(()) } else { Err(lost()) };
        }
        for ((&row, &u), token) in rows.iter().zip(us.iter()).zip(tokens) {
            self.probs.clear();
            engine.read_row(logits, row, &mut self.probs);
            softmax(&mut self.probs, temperature);
            if !self.probs.iter().all(|p| p.is_finite()) {
                return Err(lost());
            }
            *token = choice(&self.probs, u) as u32;
        }
        Ok(())
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
        model: &Model,
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
        model: &Model,
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
fn check(prompt: &[u32], model: &Model) -> Result<(), Error> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, corpus::Corpus, documents::Documents, engine::Precision, train::Trainer};

    /// Several at once, by what is promised of their draws: every round takes one number for each sample in the
    /// making, in the order of their numbers, and a sample that is complete makes room for the next. So each is the
    /// sample that `sample` gives with the numbers that fell to it.
    fn check<R: Precision>(config: Config) {
        let names = Documents::from_lines("emma\nolivia\nava\nisabella\nsophia\nmaximilian".into()).unwrap();
        let corpus = Corpus::new(names);
        let block_size = config.block_size;
        let config = Config { init_std: 0.3, zero_init: false, ..config };
        let mut trainer = Trainer::<R>::new(config, corpus.tokenizer.vocab_size(), &mut Rng::new(1)).unwrap();
        let (engine, model, tokenizer) = (&mut *trainer.engine, &trainer.model, &corpus.tokenizer);
        for (at_once, count, prompt) in [(1, 3, &[][..]), (5, 40, &[]), (19, 40, &[2, 0]), (64, 10, &[])] {
            let mut sampler = Sampler::with_lanes(engine, model, at_once);
            let mut found: Vec<Vec<u32>> = vec![Vec::new(); count];
            let done = |i: usize, tokens: &[u32]| found[i] = tokens.to_vec();
            let (mut rng, mut again) = (Rng::new(7), Rng::new(7));
            sampler.sample_many(engine, model, tokenizer, prompt, 0.8, count, &mut rng, done).unwrap();

            // Who is in the making, and how many tokens it has: which number of chance falls to whom.
            let mut us = vec![Vec::new(); count];
            let mut on: Vec<usize> = (0..at_once.min(count)).collect();
            let mut next = on.len();
            while !on.is_empty() {
                on.iter().for_each(|&i| us[i].push(again.random()));
                let complete = on.iter().filter(|&&i| us[i].len() == found[i].len()).count();
                on.retain(|&i| us[i].len() < found[i].len());
                let more = complete.min(count - next);
                on.extend(next..next + more);
                next += more;
            }
            assert_eq!(rng, again, "as many numbers of chance as tokens");
            for i in 0..count {
                let wanted = one(engine, model, tokenizer, prompt, &us[i]);
                assert_eq!(found[i], wanted, "{at_once} at once, sample {i}");
                let full = prompt.len() + found[i].len() == block_size;
                assert!(full || found[i].last() == Some(&tokenizer.bos()), "sample {i} is complete");
            }
        }
    }

    /// The sample that these numbers of chance give, one token after the other.
    fn one<R: Real>(
        engine: &mut dyn Learner<R>,
        model: &Model,
        tokenizer: &Tokenizer,
        prompt: &[u32],
        us: &[f64],
    ) -> Vec<u32> {
        let mut sampler = Sampler::new(engine, model);
        let mut tokens = [&[tokenizer.bos()], prompt].concat();
        let mut past = 0;
        for &u in us {
            let logits = sampler.forward(engine, model, &tokens[past..], past);
            sampler.draws.begin([tokens.len() - past - 1].into_iter(), &mut Rng::new(0));
            sampler.draws.us[0] = u;
            sampler.draw(engine, logits, 0.8).unwrap();
            past = tokens.len();
            tokens.push(sampler.draws.tokens[0]);
        }
        tokens.split_off(1 + prompt.len())
    }

    #[test]
    fn several_at_once_are_the_samples_that_one_at_a_time_gives() {
        check::<f64>(Config { block_size: 6, n_embd: 4, n_head: 2, ..Config::default() });
        for (block_size, n_layer, n_embd, n_head) in
            [(16, 1, 16, 4), (9, 2, 32, 8), (16, 1, 16, 2), (20, 1, 15, 3)]
        {
            check::<f32>(Config { block_size, n_layer, n_embd, n_head, ..Config::default() });
        }
    }
}
