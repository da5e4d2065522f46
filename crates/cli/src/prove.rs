//! `microgpt prove`: is what is computed right? A table for a person, or JSON.

use crate::args::ProveArgs;
use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use microgpt::activation::Activation;
use microgpt::choices::Choice;
use microgpt::engine::scalar::Fault;
use microgpt::prove::variants::{pairwise, prove_variant, small};
use microgpt::prove::{Check, TOLERANCE, prove};
use microgpt::rng::Rng;
use serde_json::json;
use std::io::{self, Write};
use std::process::ExitCode;

pub(crate) fn run(args: &ProveArgs) -> Result<ExitCode> {
    if args.all {
        return all(args.json);
    }
    let settings = args.settings.resolve()?;
    let fault = args.plant.as_deref().map(Fault::parse).transpose().map_err(|error| error.at("--plant"))?;
    let (data, mut rng) = (settings.read_data()?, Rng::new(settings.config.seed));
    let mut corpus = data.corpus(&settings.config, None, &mut rng)?;

    let bar = bar("gradients against finite differences");
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

/// How far `what` is, on a terminal only; elsewhere the bar hides itself.
fn bar(what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!("{{bar:24}} {{pos}}/{{len}} {what}, {{eta}} left"));
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// `--all`: a line for each set of settings, as soon as it is done.
fn all(json: bool) -> Result<ExitCode> {
    let variants = pairwise(&small());
    let mut out = io::stdout().lock();
    if !json {
        writeln!(out, "{:5} {:>9} {:>10} {:>10}  unlike the default", "", "numbers", "gradients", "engines")?;
    }
    let bar = bar("sets of settings");
    bar.set_length(variants.len() as u64);
    let mut wrong = 0;
    for variant in &variants {
        let report = prove_variant(variant)?;
        wrong += usize::from(!report.passed());
        let worst = |what: &str| {
            let of = report.checks.iter().filter(|check| check.name.starts_with(what));
            of.fold(
                0.0f64,
                |worst, check| if check.worst.is_nan() { f64::NAN } else { worst.max(check.worst) },
            )
        };
        let compared: usize = report.checks.iter().map(|check| check.compared).sum();
        let (gradients, engines) = (worst("gradient"), worst("fast engine"));
        let failed: Vec<&Check> = report.checks.iter().filter(|check| !check.passed).collect();
        bar.inc(1);
        bar.suspend(|| -> io::Result<()> {
            if json {
                let failed: Vec<&str> = failed.iter().map(|check| check.name.as_str()).collect();
                let event = json!({
                    "event": "variant", "changes": variant.changes, "compared": compared, "gradients": gradients,
                    "engines": engines, "passed": report.passed(), "failed": failed,
                });
                return writeln!(out, "{event}");
            }
            let verdict = if report.passed() { "ok" } else { "WRONG" };
            let changes = if variant.changes.is_empty() { "nothing" } else { &variant.changes };
            writeln!(out, "{verdict:5} {compared:>9} {gradients:>10.1e} {engines:>10.1e}  {changes}")?;
            failed.iter().try_for_each(|check| {
                writeln!(out, "      {}: {:.1e}, {}", check.name, check.worst, check.place)
            })
        })?;
    }
    bar.finish_and_clear();
    if json {
        writeln!(out, "{}", json!({"event": "end", "variants": variants.len(), "passed": wrong == 0}))?;
    } else if wrong == 0 {
        writeln!(out, "\nAll {} are right (relative errors at most {TOLERANCE:.0e}).", variants.len())?;
    } else {
        writeln!(out, "\n{wrong} of {} are wrong.", variants.len())?;
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
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
