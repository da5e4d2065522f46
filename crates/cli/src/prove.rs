//! `microgpt prove`: is what is computed right? A table for a person, or JSON.

use crate::args::ProveArgs;
use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use microgpt::activation::Activation;
use microgpt::choices::Choice;
use microgpt::engine::scalar::Fault;
use microgpt::prove::{Check, TOLERANCE, prove};
use microgpt::rng::Rng;
use serde_json::json;
use std::io::{self, Write};
use std::process::ExitCode;

pub(crate) fn run(args: &ProveArgs) -> Result<ExitCode> {
    let settings = args.settings.resolve()?;
    let fault = args.plant.as_deref().map(Fault::parse).transpose().map_err(|error| error.at("--plant"))?;
    let (data, mut rng) = (settings.read_data()?, Rng::new(settings.config.seed));
    let mut corpus = data.corpus(&settings.config, None, &mut rng)?;

    // On a terminal only; elsewhere the bar hides itself.
    let style =
        ProgressStyle::with_template("{bar:24} {pos}/{len} gradients against finite differences, {eta} left");
    let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let report = prove(&settings.config, &mut corpus, fault, &mut |done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();

    let mut out = io::stdout().lock();
    if args.json {
        for Check { name, compared, worst, place, passed } in &report.checks {
            let event = json!({
                "event": "check", "name": name, "compared": compared, "worst": worst, "place": place, "passed": passed,
            });
            writeln!(out, "{event}")?;
        }
        writeln!(out, "{}", json!({"event": "end", "passed": report.passed()}))?;
    } else {
        if let Activation::Typed(formula) = settings.config.activation {
            writeln!(out, "f      {}\ndf/dx  {}", formula.text(), formula.slope_text())?;
            formula.gate_slope_text().map_or(Ok(()), |slope| writeln!(out, "df/dg  {slope}"))?;
            writeln!(out)?;
        }
        table(&mut out, &report.checks)?;
    }
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn table(out: &mut impl Write, checks: &[Check]) -> io::Result<()> {
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    writeln!(out, "{:5} {:width$} {:>9} {:>12}  where the worst is", "", "check", "numbers", "worst error")?;
    for Check { name, compared, worst, place, passed } in checks {
        let verdict = if *passed { "ok" } else { "WRONG" };
        writeln!(out, "{verdict:5} {name:width$} {compared:>9} {worst:>12.1e}  {place}")?;
    }
    let wrong: Vec<&str> =
        checks.iter().filter(|check| !check.passed).map(|check| check.name.as_str()).collect();
    match wrong.len() {
        0 => writeln!(out, "\nAll of it is right (gradients: relative error at most {TOLERANCE:.0e})."),
        n => writeln!(out, "\n{n} of {} are wrong: {}.", checks.len(), wrong.join(", ")),
    }
}
