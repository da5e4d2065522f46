//! `microgpt bench --scaling`: what would many machines make of it?
//!
//! - [`training`]: a step's time here
//! - [`model`]: a step's time by n ranks, from that and a network
//! - `held`: under `mpirun`, the network, and steps by the ranks that there are
//! - [`report`]: a table, or JSON

#[cfg(feature = "mpi")]
mod held;
mod model;
mod report;
mod training;

use super::measure::Effort;
use super::shapes::{SHAPES, Shape};
use super::wanted;
use crate::args::BenchArgs;
use anyhow::Result;
use model::Network;
use report::{Report, Table};
use std::process::ExitCode;
use training::{Training, median};

/// Up to so many ranks.
const MOST_RANKS: usize = 4096;
/// Of a message over the Ethernet of a cluster, through the kernel: microseconds.
const LATENCY_US: f64 = 20.0;
const GBIT: f64 = 25.0;
/// Of each further message, which takes calls of the kernel on both sides.
const GAP_US: f64 = 3.0;

pub(crate) fn run(args: &BenchArgs) -> Result<ExitCode> {
    #[cfg(feature = "mpi")]
    if microgpt_workers::launched().1 > 1 {
        return held::run(args);
    }
    crate::ranks::together(|| {
        let effort = effort(args);
        let mut report = Report::new(args.json);
        for shape in shapes(args)? {
            let mut training = Training::new(shape, 1)?;
            let workers = microgpt_workers::choose(&training.trainer, args.workers);
            microgpt_workers::share(&mut training.trainer, workers)?;
            let steps = training.steps_of_a_round(&effort)?;
            let rounds: Result<Vec<f64>> = (0..effort.rounds).map(|_| training.seconds(steps)).collect();
            let work = training.work(median(rounds?), &effort);
            report.add(Table {
                shape: shape.name,
                workers,
                work,
                network: network(args, None),
                measured: None,
            })?;
        }
        report.end()?;
        Ok(ExitCode::SUCCESS)
    })
}

fn effort(args: &BenchArgs) -> Effort {
    if args.quick { Effort::QUICK } else { Effort::FULL }
}

fn shapes(args: &BenchArgs) -> Result<Vec<&'static Shape>, microgpt::Error> {
    let of_scaling = ["shakespeare-char".to_string()];
    let names = if args.shape.is_empty() { &of_scaling[..] } else { &args.shape };
    wanted(names, SHAPES.iter(), |shape| shape.name, "--shape")
}

/// As asked, or as measured, or that of many clusters.
fn network(args: &BenchArgs, measured: Option<Network>) -> Network {
    let usual = Network {
        latency: LATENCY_US / 1e6,
        gap: GAP_US / 1e6,
        bytes_per_second: GBIT * 1e9 / 8.0,
        machines: true,
    };
    let network = measured.unwrap_or(usual);
    Network {
        latency: args.latency_us.map_or(network.latency, |us| us / 1e6),
        bytes_per_second: args.gbit.map_or(network.bytes_per_second, |gbit| gbit * 1e9 / 8.0),
        // What the table is about.
        machines: true,
        ..network
    }
}
