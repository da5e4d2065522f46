//! `microgpt formula`: what a formula is, before it goes into a model: its derivative, and some of its numbers.

use crate::args::FormulaArgs;
use anyhow::Result;
use microgpt::activation::{Activation, FUNCTIONS, formula::Formula};
use serde_json::json;
use std::io::{self, Write};
use std::process::ExitCode;

/// Where it is looked at.
const PLACES: [f64; 9] = [-4.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0];

pub(crate) fn run(args: &FormulaArgs) -> Result<ExitCode> {
    let activation = Activation::parse(&args.formula).map_err(|error| error.at("formula"))?;
    let formula = activation.formula();
    // With a gate, the gate stands at 1 in the table.
    let g = f64::from(u8::from(formula.gated()));
    let (worst, at) = worst_difference(formula);
    let mut out = io::stdout().lock();
    if args.json {
        let rows: Vec<_> = PLACES
            .iter()
            .map(|&x| json!({"x": x, "f": formula.value(x, g), "df_dx": formula.slope(x, g)}))
            .collect();
        let event = json!({
            "event": "formula", "f": formula.text(), "df_dx": formula.slope_text(), "df_dg": formula.gate_slope_text(),
            "worst": worst, "at": at, "g": g, "numbers": rows,
        });
        writeln!(out, "{event}")?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(out, "f      {}", formula.text())?;
    writeln!(out, "df/dx  {}", formula.slope_text())?;
    if let Some(slope) = formula.gate_slope_text() {
        writeln!(out, "df/dg  {slope}")?;
    }
    writeln!(
        out,
        "\n{:>6} {:>12} {:>12}{}",
        "x",
        "f",
        "df/dx",
        if formula.gated() { "   where g is 1" } else { "" }
    )?;
    for x in PLACES {
        writeln!(out, "{x:>6} {:>12.6} {:>12.6}", formula.value(x, g), formula.slope(x, g))?;
    }
    writeln!(out, "\nAgainst finite differences from -5 to 5: off by at most {worst:.0e}, at {at}.")?;
    Ok(ExitCode::SUCCESS)
}

/// How far the derivative is from finite differences at worst, and where. A kink is passed over: there is no derivative
/// where the differences to the left and to the right are not the same.
fn worst_difference(formula: &Formula) -> (f64, f64) {
    let (h, g) = (1e-5, 0.7);
    let mut worst = (0.0, 0.0);
    for x in (-500..=500).map(|i| f64::from(i) / 100.0) {
        let [left, here, right] = [x - h, x, x + h].map(|x| formula.value(x, g));
        let kink = (right - 2.0 * here + left).abs() / h > 1e-2;
        let error = ((right - left) / (2.0 * h) - formula.slope(x, g)).abs();
        if !kink && error > worst.0 {
            worst = (error, x);
        }
    }
    worst
}

/// For the help: what may stand in a formula.
pub(crate) fn grammar() -> String {
    let mut text = "A formula of x, and of g if the MLP is to have a gate (a linear map of its own):\n\
         \x20 + - * / ^ ( ), numbers, pi, e, max(a, b), min(a, b), every activation of `microgpt list`, and\n"
        .to_string();
    for (name, what, _) in FUNCTIONS {
        text += &format!("  {:14} {what}\n", format!("{name}(x)"));
    }
    text + "\nExamples:\n  microgpt formula 'x * sigmoid(1.702*x)'\n  microgpt prove --activation 'x * tanh(softplus(x))'\n  \
            microgpt train --activation 'x * silu(g)'"
}
