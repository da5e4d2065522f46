//! `microgpt generate`: samples of a saved run.

use crate::args::GenerateArgs;
use crate::voice::Voice;
use anyhow::Result;
use microgpt::rng::Rng;
use microgpt::sample::Sampler;
use microgpt::train::Trainer;
use microgpt_runs::Run;
use std::process::ExitCode;

pub(crate) fn run(args: &GenerateArgs) -> Result<ExitCode> {
    let run = Run::find(&args.run)?;
    let mut saved = run.load::<f64>()?;
    for flag in &args.sampling.0 {
        saved.settings.assign(flag)?;
    }
    let config = saved.settings.config;
    config.validate()?;
    let tokenizer = saved.checkpoint.tokenizer()?;
    let prompt = tokenizer.encode(&args.prompt).map_err(|error| error.at("--prompt"))?;
    // Chance goes on where training left it, so that without flags these are the samples that training printed.
    let mut rng = match args.sampling.0.iter().any(|flag| flag.name == "seed") {
        true => Rng::new(config.seed),
        false => Rng::restore(&saved.checkpoint.rng)?,
    };

    let Trainer { model, mut engine, .. } = Trainer::resume(saved.checkpoint)?;
    let mut sampler = Sampler::new(engine.as_mut(), &model);
    let voice = Voice::new(args.json);
    for i in 1..=config.samples {
        let tokens =
            sampler.sample(engine.as_mut(), &model, &tokenizer, &prompt, config.temperature, &mut rng)?;
        voice.sample(i, &format!("{}{}", args.prompt, tokenizer.decode(&tokens)))?;
    }
    Ok(ExitCode::SUCCESS)
}
