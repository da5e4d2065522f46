//! A text, token by token, with all that a person may ask for: filters, where to stop, what else might have come.

use crate::config::Config;
use crate::documents::DataMode;
use crate::error::Error;
use crate::filter::Filter;
use crate::model::Model;
use crate::real::Real;
use crate::rng::Rng;
use crate::sample::Sampler;
use crate::tensor::Learner;
use crate::token::Tokenizer;

/// What is written.
#[derive(Debug, Clone, Copy)]
pub struct Writing<'a> {
    /// Temperature, filters, how long.
    pub config: &'a Config,
    /// The model.
    pub model: &'a Model,
    /// Its tokens.
    pub tokenizer: &'a Tokenizer,
    /// What it begins with; a stream needs at least one token.
    pub prompt: &'a [u32],
    /// Where it ends, if not before; this is left out. Empty: nowhere.
    pub stop: &'a str,
}

impl Writing<'_> {
    /// A document up to its end, or a piece of a stream: what follows the prompt. `each` sees every token that is drawn,
    /// and the probabilities that it was drawn by. Each takes one number of chance.
    ///
    /// Without filters these are the draws of [`Sampler::sample`] and [`Sampler::stream`]; where an engine draws by itself,
    /// but for the rounding of its probabilities.
    ///
    /// # Errors
    /// A prompt that leaves no room, or none for a stream; logits that are no numbers.
    pub fn write<R: Real>(
        &self,
        sampler: &mut Sampler,
        engine: &mut dyn Learner<R>,
        rng: &mut Rng,
        each: &mut dyn FnMut(u32, &[f64]),
    ) -> Result<String, Error> {
        let Writing { config, model, tokenizer, prompt, stop } = *self;
        let (stream, block_size) = (config.data_mode == DataMode::Stream, model.block_size());
        if stream && prompt.is_empty() {
            return Err(Error::text("prompt: expected at least one token of a stream, found none"));
        }
        if !stream && prompt.len() >= block_size {
            let found = prompt.len();
            return Err(Error::text(format!(
                "prompt: expected less than block_size ({block_size}) tokens, found {found}"
            )));
        }
        let (filter, bos) = (Filter::of(config), tokenizer.bos());
        let mut tokens = if stream { Vec::new() } else { vec![bos] };
        tokens.extend_from_slice(prompt);
        let most = if stream { config.max_new_tokens } else { block_size - prompt.len() };
        // The context: its first token, and how many of its tokens the model has seen.
        let (mut first, mut past) = (tokens.len().saturating_sub(block_size), 0);
        let (mut text, mut probs): (Vec<u8>, Vec<f64>) = Default::default();
        for _ in 0..most {
            if tokens.len() - first > block_size {
                (first, past) = (tokens.len() - block_size.div_ceil(2), 0);
            }
            probs.clear();
            let next = sampler.next(engine, model, &tokens[first + past..], past, config.temperature);
            probs.extend_from_slice(next);
            past = tokens.len() - first;
            if !probs.iter().all(|p| p.is_finite()) {
                return Err(Error::diverged("sample: expected probabilities, found numbers that are none"));
            }
            if stream {
                probs[bos as usize] = 0.0;
            }
            filter.apply(&mut probs);
            let token = rng.choice(&probs) as u32;
            each(token, &probs);
            if token == bos {
                break;
            }
            tokens.push(token);
            let before = text.len();
            text.extend(tokenizer.decode_bytes(&[token]));
            if let Some(end) = find(&text, stop.as_bytes(), before) {
                text.truncate(end);
                break;
            }
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Where `stop` begins in the text, if it ends behind `before`.
fn find(text: &[u8], stop: &[u8], before: usize) -> Option<usize> {
    if stop.is_empty() {
        return None;
    }
    let from = (before + 1).saturating_sub(stop.len());
    text[from..].windows(stop.len()).position(|window| window == stop).map(|place| from + place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::likeliest;
    use crate::{corpus::Corpus, train::Trainer};

    fn with<T>(config: &Config, f: impl FnOnce(&mut Trainer<f64>, &Corpus) -> T) -> T {
        let mut rng = Rng::new(3);
        let corpus = Corpus::read("anna\nbob\nnina\nobi ban".into(), config, None, &mut rng).unwrap();
        let mut trainer = Trainer::new(config.clone(), corpus.tokenizer.vocab_size(), &mut rng).unwrap();
        f(&mut trainer, &corpus)
    }

    fn config(data_mode: DataMode) -> Config {
        Config { data_mode, init_std: 0.5, zero_init: false, max_new_tokens: 30, ..Config::default() }
    }

    #[test]
    fn without_filters_these_are_the_samplers_draws() {
        for data_mode in [DataMode::Lines, DataMode::Stream] {
            let stream = data_mode == DataMode::Stream;
            with(&config(data_mode), |trainer, corpus| {
                let Trainer { engine, model, config, .. } = trainer;
                let (engine, tokenizer) = (engine.as_mut(), &corpus.tokenizer);
                let mut sampler = Sampler::new(engine, model);
                let (mut rng, mut again) = (Rng::new(5), Rng::new(5));
                for prompt in [&[1][..], &[0, 2, 1]] {
                    let writing = Writing { config, model, tokenizer, prompt, stop: "" };
                    let mut drawn = Vec::new();
                    let mut each = |token: u32, probs: &[f64]| {
                        let sum = probs.iter().sum::<f64>();
                        assert!((sum - 1.0).abs() < 1e-9 || (stream && sum < 1.0), "{sum}");
                        drawn.push(token);
                    };
                    let text = writing.write(&mut sampler, engine, &mut rng, &mut each).unwrap();
                    let t = config.temperature;
                    let wanted = match data_mode {
                        DataMode::Lines => {
                            sampler.sample(engine, model, tokenizer, prompt, t, &mut again).unwrap()
                        }
                        DataMode::Stream => {
                            sampler.stream(engine, model, tokenizer, prompt, 30, t, &mut again).unwrap()
                        }
                    };
                    assert_eq!((&drawn, text), (&wanted, tokenizer.decode(&wanted)), "{data_mode}");
                }
                assert_eq!(rng.u32(), again.u32());
            });
        }
    }

    #[test]
    fn greedy_takes_the_likeliest_and_a_stop_ends_the_text_before_it() {
        let config = Config { greedy: true, ..config(DataMode::Stream) };
        with(&config, |trainer, corpus| {
            let Trainer { engine, model, .. } = trainer;
            let (engine, tokenizer) = (engine.as_mut(), &corpus.tokenizer);
            let mut sampler = Sampler::new(engine, model);
            let writing = Writing { config: &config, model, tokenizer, prompt: &[1], stop: "" };
            let mut each = |token: u32, probs: &[f64]| {
                assert_eq!((likeliest(probs)[0], probs[token as usize]), (token as usize, 1.0));
            };
            let text = writing.write(&mut sampler, engine, &mut Rng::new(1), &mut each).unwrap();
            assert_eq!(text.chars().count(), 30);
            let stop: String = text.chars().skip(4).take(2).collect();
            let cut = Writing { stop: &stop, ..writing };
            let found = cut.write(&mut sampler, engine, &mut Rng::new(9), &mut |_, _| {}).unwrap();
            assert_eq!(found, text[..text.find(&stop).unwrap()]);
        });
    }
}
