//! Samples of a model: documents, or pieces of a stream.

use anyhow::Result;
use microgpt::Config;
use microgpt::documents::DataMode;
use microgpt::filter::{Filter, likeliest};
use microgpt::model::Model;
use microgpt::real::Real;
use microgpt::rng::Rng;
use microgpt::sample::Sampler;
use microgpt::tensor::Learner;
use microgpt::token::Tokenizer;
use microgpt::write::Writing;

/// What the samples are of.
pub(crate) struct Writer<'a> {
    pub(crate) config: &'a Config,
    pub(crate) model: &'a Model,
    pub(crate) tokenizer: &'a Tokenizer,
    /// Where a sample ends, if not before; empty: nowhere.
    pub(crate) stop: &'a str,
    /// Is it told what else might have come?
    pub(crate) shows: bool,
}

/// A sample, and how it came to be if that was asked for.
pub(crate) struct Sample {
    pub(crate) text: String,
    pub(crate) drawn: Vec<Drawn>,
}

/// A token that was drawn.
pub(crate) struct Drawn {
    pub(crate) token: String,
    pub(crate) probability: f64,
    /// The likeliest others, with theirs.
    pub(crate) others: Vec<(String, f64)>,
}

/// How many others are told.
const OTHERS: usize = 4;

impl Writer<'_> {
    /// As many samples as the settings say, each beginning with `prompt`; `each` gets their numbers, from 1, and texts.
    pub(crate) fn write<R: Real>(
        &self,
        engine: &mut dyn Learner<R>,
        prompt: &str,
        rng: &mut Rng,
        each: &mut dyn FnMut(usize, Sample) -> Result<()>,
    ) -> Result<()> {
        let Writer { config, model, tokenizer, stop, shows } = *self;
        let mut first = tokenizer.encode(prompt).map_err(|error| error.at("--prompt"))?;
        if config.data_mode == DataMode::Stream && first.is_empty() {
            first.push(tokenizer.stream_start());
        }
        let plain = Filter::of(config).is_off() && stop.is_empty() && !shows;
        let writing = Writing { config, model, tokenizer, prompt: &first, stop };
        let mut sampler = Sampler::new(engine, model);
        for i in 1..=config.samples {
            let (t, mut drawn) = (config.temperature, Vec::new());
            let text = match config.data_mode {
                _ if !plain => writing.write(&mut sampler, engine, rng, &mut |token, probs| {
                    if shows {
                        drawn.push(self.drawn(token, probs));
                    }
                })?,
                DataMode::Lines => {
                    tokenizer.decode(&sampler.sample(engine, model, tokenizer, &first, t, rng)?)
                }
                DataMode::Stream => {
                    let count = config.max_new_tokens;
                    tokenizer.decode(&sampler.stream(engine, model, tokenizer, &first, count, t, rng)?)
                }
            };
            each(i, Sample { text: format!("{prompt}{text}"), drawn })?;
        }
        Ok(())
    }

    fn drawn(&self, token: u32, probs: &[f64]) -> Drawn {
        let name = |token: usize| self.tokenizer.name(token as u32).escape_debug().to_string();
        let others = likeliest(probs).into_iter().filter(|&other| other != token as usize);
        let others = others.take(OTHERS).filter(|&other| probs[other] > 0.0);
        Drawn {
            token: name(token as usize),
            probability: probs[token as usize],
            others: others.map(|other| (name(other), probs[other])).collect(),
        }
    }
}
