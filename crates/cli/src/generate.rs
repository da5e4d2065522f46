//! `microgpt generate`: samples of a saved run.

use crate::args::GenerateArgs;
use crate::samples::Writer;
use crate::voice::Voice;
use anyhow::Result;
use microgpt::engine::Precision;
use microgpt::real::EngineKind;
use microgpt::rng::Rng;
use microgpt::train::Trainer;
use microgpt_runs::Run;
use microgpt_runs::weights::Stored;
use std::process::ExitCode;

pub(crate) fn run(args: &GenerateArgs) -> Result<ExitCode> {
    let run = Run::find(&args.run)?;
    match run.read_settings()?.config.engine {
        EngineKind::Scalar => generate::<f64>(&run, args),
        EngineKind::Fast => generate::<f32>(&run, args),
    }
}

fn generate<R: Stored + Precision>(run: &Run, args: &GenerateArgs) -> Result<ExitCode> {
    let mut saved = run.load::<R>()?;
    for flag in &args.sampling.0 {
        saved.settings.assign(flag)?;
    }
    let config = saved.settings.config;
    config.validate()?;
    let tokenizer = saved.checkpoint.tokenizer.clone();
    // Chance goes on where training left it, so that without flags these are the samples that training printed.
    let mut rng = match args.sampling.0.iter().any(|flag| flag.name == "seed") {
        true => Rng::new(config.seed),
        false => Rng::restore(&saved.checkpoint.rng)?,
    };
    let mut trainer = Trainer::resume(saved.checkpoint)?;
    trainer.swap_average()?;
    let Trainer { model, mut engine, .. } = trainer;
    let voice = Voice::new(args.json);
    let writer = Writer { config: &config, model: &model, tokenizer: &tokenizer };
    writer.write(engine.as_mut(), &args.prompt, &mut rng, &mut |i, text| {
        Ok(voice.sample(i, &text, config.data_mode)?)
    })?;
    Ok(ExitCode::SUCCESS)
}
