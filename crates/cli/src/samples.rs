//! Samples of a model: documents, or pieces of a stream.

use anyhow::Result;
use microgpt::Config;
use microgpt::documents::DataMode;
use microgpt::model::Model;
use microgpt::real::Real;
use microgpt::rng::Rng;
use microgpt::sample::Sampler;
use microgpt::tensor::Learner;
use microgpt::token::Tokenizer;

/// What the samples are of.
pub(crate) struct Writer<'a> {
    pub(crate) config: &'a Config,
    pub(crate) model: &'a Model,
    pub(crate) tokenizer: &'a Tokenizer,
}

impl Writer<'_> {
    /// As many samples as the settings say, each beginning with `prompt`; `each` gets their numbers, from 1, and texts.
    pub(crate) fn write<R: Real>(
        &self,
        engine: &mut dyn Learner<R>,
        prompt: &str,
        rng: &mut Rng,
        each: &mut dyn FnMut(usize, String) -> Result<()>,
    ) -> Result<()> {
        let Writer { config, model, tokenizer } = *self;
        let mut first = tokenizer.encode(prompt).map_err(|error| error.at("--prompt"))?;
        if config.data_mode == DataMode::Stream && first.is_empty() {
            first.push(tokenizer.stream_start());
        }
        let mut sampler = Sampler::new(engine, model);
        for i in 1..=config.samples {
            let t = config.temperature;
            let tokens = match config.data_mode {
                DataMode::Lines => sampler.sample(engine, model, tokenizer, &first, t, rng)?,
                DataMode::Stream => {
                    sampler.stream(engine, model, tokenizer, &first, config.max_new_tokens, t, rng)?
                }
            };
            each(i, format!("{prompt}{}", tokenizer.decode(&tokens)))?;
        }
        Ok(())
    }
}
