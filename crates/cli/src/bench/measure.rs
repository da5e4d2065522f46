//! The clock: rounds of steps, of which the median counts.

use super::shapes::{Shape, flops, synthetic_text};
use anyhow::Result as AnyResult;
use microgpt::batch::Batch;
use microgpt::choices::Choice;
use microgpt::corpus::Corpus;
use microgpt::documents::DataMode;
use microgpt::engine::Precision;
use microgpt::real::EngineKind;
use microgpt::rng::Rng;
use microgpt::sample::Sampler;
use microgpt::train::Trainer;
use microgpt::{Config, Error};
use microgpt_kernels::{level, peak};
use microgpt_runs::data::Source;
use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long to measure.
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    /// Of one round; a step that is longer makes a round.
    pub(crate) round: Duration,
    /// Rounds of steps that are longer than a round.
    long_rounds: usize,
}

impl Effort {
    pub(crate) const FULL: Effort = Effort { rounds: 15, round: Duration::from_millis(100), long_rounds: 7 };
    /// To see that it works.
    pub(crate) const QUICK: Effort = Effort { rounds: 3, round: Duration::from_millis(5), long_rounds: 1 };
}

/// What the machine can do.
pub(crate) struct Machine {
    pub(crate) level: &'static str,
    pub(crate) processors: usize,
    /// Multiply-adds in registers of one core, and of as many as there are workers: GFLOP/s.
    pub(crate) peak: f64,
    pub(crate) peak_of_workers: f64,
}

impl Machine {
    pub(crate) fn measure(workers: usize, effort: &Effort) -> Machine {
        let peak = peak_of(1, effort);
        Machine {
            level: level::current().name(),
            processors: std::thread::available_parallelism().map_or(1, |n| n.get()),
            peak,
            peak_of_workers: if workers > 1 { peak_of(workers, effort) } else { peak },
        }
    }
}

/// GFLOP/s of threads that all do nothing but multiply and add: the best round.
fn peak_of(threads: usize, effort: &Effort) -> f64 {
    // Some 2 ms a round on a fast core: short enough that one falls between two interruptions.
    let rounds = 200_000;
    let spin = || black_box(peak::spin(rounds, black_box(0.999), black_box(0.001)));
    let best = |times: usize| {
        (0..times)
            .map(|_| {
                let start = Instant::now();
                std::thread::scope(|scope| {
                    for _ in 1..threads {
                        scope.spawn(spin);
                    }
                    spin();
                });
                start.elapsed()
            })
            .min()
            .unwrap_or_default()
    };
    threads as f64 * peak::flops_of(rounds) / best(4 * effort.rounds).as_nanos().max(1) as f64
}

/// Samples in the making at once.
pub(crate) const AT_ONCE: usize = 64;

/// What was measured of one engine at one shape.
pub(crate) struct Result {
    pub(crate) shape: &'static str,
    pub(crate) engine: &'static str,
    pub(crate) workers: usize,
    pub(crate) config: Config,
    pub(crate) num_params: usize,
    /// Microseconds a step, the reading of its batch included: the median of the rounds, and the best.
    pub(crate) us_per_step: f64,
    pub(crate) us_per_step_best: f64,
    pub(crate) documents_per_step: f64,
    pub(crate) tokens_per_step: f64,
    pub(crate) flops_per_step: f64,
    /// Parts of a step's time.
    pub(crate) parts: Vec<Part>,
    /// Tokens a second of one sample after the other; and, of documents, of [`AT_ONCE`] at once.
    pub(crate) decoded_per_second: f64,
    pub(crate) decoded_at_once_per_second: Option<f64>,
}

/// What a kind of operation takes of a step, in microseconds.
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) forward: f64,
    pub(crate) backward: f64,
}

/// Trains, watches, samples.
pub(crate) fn measure<R: Precision>(
    shape: &Shape,
    engine: EngineKind,
    workers: usize,
    effort: &Effort,
) -> AnyResult<Result> {
    let settings = shape.settings()?;
    let config = settings.config;
    let mut rng = Rng::new(config.seed);
    let mut corpus = corpus_of(&config, &mut rng)?;
    let vocab_size = corpus.tokenizer.vocab_size();
    let mut trainer = Trainer::<R>::new(config.clone(), vocab_size, &mut rng)?;
    let workers = microgpt_workers::choose(&trainer, workers);
    microgpt_workers::share(&mut trainer, workers)?;
    let mut batch = Batch::default();
    let mut work = Work::default();
    let mut step = |trainer: &mut Trainer<R>, work: &mut Work| -> std::result::Result<(), Error> {
        let start = Instant::now();
        corpus.fill(
            &mut batch,
            trainer.steps_done() * config.batch_size,
            config.batch_size,
            config.block_size,
        )?;
        work.data += start.elapsed();
        trainer.step(&batch)?;
        work.time += start.elapsed();
        work.steps += 1;
        work.documents += batch.segments.len();
        work.tokens += batch.rows();
        work.flops += flops(&config, vocab_size, &batch);
        Ok(())
    };

    // Warm: everything has its place in memory, and the length of a step is known.
    let start = Instant::now();
    while work.steps < 2 || (start.elapsed() < effort.round && work.steps < 10_000) {
        step(&mut trainer, &mut work)?;
    }
    let one = work.time.div_f64(work.steps as f64);
    let steps = (effort.round.as_secs_f64() / one.as_secs_f64()).clamp(1.0, 1e6) as usize;
    let rounds = if one > effort.round { effort.long_rounds } else { effort.rounds };
    work = Work::default();
    let mut times = Vec::new();
    for _ in 0..rounds {
        let before = work.time;
        for _ in 0..steps {
            step(&mut trainer, &mut work)?;
        }
        times.push((work.time - before).as_secs_f64() * 1e6 / steps as f64);
    }
    times.sort_by(f64::total_cmp);

    // Again, with the clock in the engine, which is too slow for it to run along all the time.
    trainer.engine.watch(now);
    let mut watched = Work::default();
    for _ in 0..(steps * rounds / 2).max(1) {
        step(&mut trainer, &mut watched)?;
    }
    let parts = parts_of(&trainer, &watched);
    let per_step = |n: f64| n / work.steps as f64;
    let [decoded, at_once] = decode(&mut trainer, &corpus, effort)?;
    Ok(Result {
        shape: shape.name,
        engine: engine.name(),
        workers,
        num_params: trainer.num_params(),
        us_per_step: times[times.len() / 2],
        us_per_step_best: times[0],
        documents_per_step: per_step(work.documents as f64),
        tokens_per_step: per_step(work.tokens as f64),
        flops_per_step: per_step(work.flops),
        parts,
        decoded_per_second: decoded.unwrap_or_default(),
        decoded_at_once_per_second: at_once,
        config,
    })
}

/// Names, or for a stream a text by chance.
pub(crate) fn corpus_of(config: &Config, rng: &mut Rng) -> AnyResult<Corpus> {
    Ok(match config.data_mode {
        DataMode::Lines => Source::Names.read()?.corpus(config, None, rng)?,
        DataMode::Stream => Corpus::read(synthetic_text().into(), config, None, rng)?,
    })
}

/// Sums over steps.
#[derive(Default)]
struct Work {
    steps: usize,
    documents: usize,
    tokens: usize,
    flops: f64,
    time: Duration,
    data: Duration,
}

/// The engine's ticks: nanoseconds.
fn now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

fn parts_of<R: Precision>(trainer: &Trainer<R>, work: &Work) -> Vec<Part> {
    let us = |ns: u64| ns as f64 / 1e3 / work.steps as f64;
    let part = |name: &str, forward: f64, backward: f64| Part { name: name.to_string(), forward, backward };
    let mut parts: Vec<Part> = trainer
        .engine
        .watched()
        .into_iter()
        .map(|(op, [forward, backward])| {
            let name = format!("{op:?}");
            part(name.split([' ', '(']).next().unwrap_or_default(), us(forward), us(backward))
        })
        .collect();
    let known: f64 = parts.iter().map(|part| part.forward + part.backward).sum();
    let data = us(work.data.as_nanos() as u64);
    parts.push(part("reading the batch", data, 0.0));
    parts.push(part("update, and the rest", us(work.time.as_nanos() as u64) - data - known, 0.0));
    parts.retain(|part| part.forward + part.backward > 0.0);
    parts.sort_by(|a, b| (b.forward + b.backward).total_cmp(&(a.forward + a.backward)));
    parts
}

/// Tokens a second, sampling included: of one document after the other, or of pieces of a stream twice as long as the
/// context; and of many documents at once.
fn decode<R: Precision>(
    trainer: &mut Trainer<R>,
    corpus: &Corpus,
    effort: &Effort,
) -> AnyResult<[Option<f64>; 2]> {
    let Trainer { model, engine, config, .. } = trainer;
    let (engine, tokenizer, mut rng) = (engine.as_mut(), &corpus.tokenizer, Rng::new(1));
    let (t, mut sampler) = (config.temperature, Sampler::new(engine, model));
    if config.data_mode == DataMode::Stream {
        let (first, count) = ([tokenizer.stream_start()], 2 * config.block_size);
        let one = || Ok(sampler.stream(engine, model, tokenizer, &first, count, t, &mut rng)?.len());
        return Ok([Some(tokens_per_second(one, effort)?), None]);
    }
    let one = || Ok(sampler.sample(engine, model, tokenizer, &[], t, &mut rng)?.len());
    let alone = tokens_per_second(one, effort)?;
    let mut sampler = Sampler::with_lanes(engine, model, AT_ONCE);
    let many = || {
        let mut tokens = 0;
        let count = |_, sample: &[u32]| tokens += sample.len();
        // Enough that the last ones, which run alone, do not matter.
        sampler.sample_many(engine, model, tokenizer, &[], t, 10 * AT_ONCE, &mut rng, count)?;
        Ok(tokens)
    };
    Ok([Some(alone), Some(tokens_per_second(many, effort)?)])
}

/// The median of rounds of `one`, which returns how many tokens it made.
fn tokens_per_second(mut one: impl FnMut() -> AnyResult<usize>, effort: &Effort) -> AnyResult<f64> {
    one()?;
    let mut speeds = Vec::new();
    for _ in 0..effort.rounds {
        let (start, mut tokens) = (Instant::now(), 0);
        while tokens == 0 || start.elapsed() < effort.round {
            tokens += one()?;
        }
        speeds.push(tokens as f64 / start.elapsed().as_secs_f64());
    }
    speeds.sort_by(f64::total_cmp);
    Ok(speeds[speeds.len() / 2])
}
