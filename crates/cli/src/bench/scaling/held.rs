//! The model held against the ranks that `mpirun` has started.

use super::model::Network;
use super::report::{Measured, Report, Table};
use super::training::{Training, median};
use super::{Shape, effort, network, shapes};
use crate::args::BenchArgs;
use crate::bench::measure::Effort;
use anyhow::Result;
use microgpt::exchange::Alone;
use microgpt::{Error, ErrorKind};
use microgpt_workers::ranks::{Ranks, probe, trial};
use std::process::ExitCode;

/// All ranks do this, each its part.
pub(super) fn run(args: &BenchArgs) -> Result<ExitCode> {
    let ranks = match Ranks::join(crate::ranks::tell) {
        // Rank 0 says what is wrong, and fails: the launcher would end it before its last word if another had failed.
        Err(error) if error.kind() == ErrorKind::Peer => return Ok(ExitCode::SUCCESS),
        joined => joined?,
    };
    let speaks = ranks.rank() == 0;
    let asked = |args: &BenchArgs| match args.workers {
        1 => shapes(args),
        found => Err(Error::config(format!("--workers: expected 1, for a rank, found {found}"))),
    };
    let shapes = match asked(args) {
        Err(_) if !speaks => {
            ranks.follow()?;
            return Ok(ExitCode::SUCCESS);
        }
        found => found?,
    };
    let mut report = Report::new(args.json);
    for shape in shapes {
        let table = measure(&ranks, shape, args, &effort(args))?;
        if speaks {
            report.add(table)?;
        }
    }
    if speaks {
        report.end()?;
    } else {
        ranks.follow()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Turns of rank 0 alone, of each rank by itself, and of all together, until there are enough for medians.
fn measure(ranks: &Ranks, shape: &'static Shape, args: &BenchArgs, effort: &Effort) -> Result<Table> {
    let (speaks, size) = (ranks.rank() == 0, ranks.size());
    let mut single = Training::new(shape, 1)?;
    let mut shared = if speaks { Some(Training::new(shape, size)?) } else { None };
    let between = between(single.trainer.num_params(), size, effort);
    // As many steps for everybody.
    let steps =
        probe::told_by_all(if speaks { single.steps_of_a_round(effort)? as f64 } else { 0.0 })[0] as usize;

    let [mut alone, mut apart, mut in_step, mut together, mut exchange] = [const { Vec::new() }; 5];
    for _ in 0..effort.rounds {
        probe::meet();
        if speaks {
            alone.push(single.seconds(steps)?);
        }
        probe::meet();
        let times = single.times(steps)?;
        let speeds = probe::told_by_all(steps as f64 / times.iter().sum::<f64>());
        apart.push(size as f64 / speeds.iter().sum::<f64>());
        let longest = times.iter().map(|&time| probe::told_by_all(time).into_iter().fold(0.0, f64::max));
        in_step.push(longest.sum::<f64>() / steps as f64);
        probe::meet();
        if let Some(Training { trainer, .. }) = &mut shared {
            microgpt_workers::share(trainer, 1)?;
        }
        match &mut shared {
            Some(training) => {
                together.push(training.seconds(steps)?);
                training.trainer.gather()?;
                training.trainer.exchange_by(Box::new(Alone));
                ranks.dismiss();
            }
            None => ranks.follow()?,
        }
        probe::meet();
        exchange.extend(trial(single.trainer.num_params(), 5).into_iter().map(|[ours, _]| ours));
    }
    if !speaks {
        // The others have not looked at the clock.
        (alone, together) = (apart.clone(), apart.clone());
    }
    let times = |seconds: &[f64]| median(alone.iter().zip(seconds).map(|(one, all)| size as f64 * one / all));
    let times = [&apart, &in_step, &together].map(|seconds| times(seconds));
    let work = single.work(median(alone), effort);
    let measured = Measured {
        ranks: size,
        beside: probe::beside(),
        processors: processors(),
        rounds: effort.rounds,
        network: between,
        apart: median(apart),
        exchange: median(exchange),
        together: median(together),
        in_step: median(in_step),
        times,
    };
    Ok(Table {
        shape: shape.name,
        workers: 1,
        work,
        network: network(args, Some(between)),
        measured: Some(measured),
    })
}

/// How many processors the ranks of a host have together: a launcher may give each some of its own.
fn processors() -> usize {
    let mine = std::thread::available_parallelism().map_or(1, |n| n.get());
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let which = status.lines().find(|line| line.starts_with("Cpus_allowed_list")).unwrap_or_default();
    // Ranks that have the same say the same number.
    let number = which.bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    let mut sets: Vec<f64> = probe::told_by_all(number.into());
    sets.sort_by(f64::total_cmp);
    sets.dedup();
    mine * sets.len()
}

/// What a message takes, each of many, and what one rank sends another in an exchange.
fn between(num_params: usize, ranks: usize, effort: &Effort) -> Network {
    const MANY: usize = 65;
    let journeys = |messages, bytes| {
        let seconds = probe::journeys(messages, bytes, 20 * effort.rounds);
        probe::told_by_all(if seconds.is_empty() { 0.0 } else { median(seconds) })[0]
    };
    let there_and_back = journeys(1, 8);
    let gap = (journeys(MANY, 8) - there_and_back).max(0.0) / (MANY - 1) as f64;
    // Long enough that the latency is little beside it, and back.
    let bytes = (4 * num_params / ranks).max(1 << 20);
    let seconds = (journeys(1, bytes) - there_and_back).max(1e-9) / 2.0;
    Network {
        latency: there_and_back / 2.0,
        gap,
        bytes_per_second: bytes as f64 / seconds,
        machines: probe::beside() < ranks,
    }
}
