//! `microgpt bench`: how fast is what, and how near to what the machine can do?
//!
//! - [`shapes`]: the models that are measured, and their arithmetic
//! - [`measure`]: the clock
//! - [`report`]: a table, or JSON
//! - [`scaling`]: what many machines would make of it

mod measure;
mod report;
pub(crate) mod scaling;
mod shapes;

use crate::args::BenchArgs;
use anyhow::Result;
use measure::{Effort, Machine};
use microgpt::choices::Choice;
use microgpt::real::EngineKind;
pub(crate) use shapes::flops_of;
use shapes::{SHAPES, Shape};
use std::process::ExitCode;

pub(crate) fn run(args: &BenchArgs) -> Result<ExitCode> {
    let shapes = wanted(&args.shape, SHAPES.iter(), |shape| shape.name, "--shape")?;
    let engines = wanted(&args.engine, EngineKind::ALL.iter(), |engine| engine.name(), "--engine")?;
    let effort = if args.quick { Effort::QUICK } else { Effort::FULL };
    let machine = Machine::measure(args.workers, &effort);
    let mut report = report::Report::new(machine, args.json);
    report.begin()?;
    for shape in &shapes {
        for &&engine in &engines {
            // Nobody waits for the scalar engine at the big shapes but who asks for it.
            if engine == EngineKind::Scalar && shape.big && args.engine.is_empty() {
                continue;
            }
            report.add(measure_one(shape, engine, args.workers, &effort)?)?;
        }
    }
    report.end()?;
    Ok(ExitCode::SUCCESS)
}

fn measure_one(
    shape: &Shape,
    engine: EngineKind,
    workers: usize,
    effort: &Effort,
) -> Result<measure::Result> {
    match engine {
        EngineKind::Scalar => measure::measure::<f64>(shape, engine, workers, effort),
        EngineKind::Fast => measure::measure::<f32>(shape, engine, workers, effort),
    }
}

/// Those that were asked for by name, or all.
fn wanted<T>(
    names: &[String],
    all: impl Iterator<Item = T> + Clone,
    name_of: impl Fn(&T) -> &'static str,
    flag: &str,
) -> Result<Vec<T>, microgpt::Error> {
    if names.is_empty() {
        return Ok(all.collect());
    }
    let find = |name: &String| {
        all.clone().find(|item| name_of(item) == name.as_str()).ok_or_else(|| {
            let known: Vec<&str> = all.clone().map(|item| name_of(&item)).collect();
            microgpt::Error::config(format!("{flag}: expected one of {}, found {name:?}", known.join(", ")))
        })
    };
    names.iter().map(find).collect()
}
