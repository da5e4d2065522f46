//! `microgpt list`: what can be chosen.

use anyhow::Result;
use microgpt::Config;
use microgpt::choices::Choice;
use microgpt::engine::scalar::Fault;
use microgpt_runs::presets::PRESETS;
use std::io::{self, Write};
use std::process::ExitCode;

pub(crate) fn run() -> Result<ExitCode> {
    let mut out = io::stdout().lock();
    writeln!(out, "Presets: --preset NAME")?;
    for preset in PRESETS {
        writeln!(out, "  {:22} {}", preset.name, preset.about())?;
    }
    let defaults = Config::default();
    let knobs = Config::knobs();
    let mut group = "";
    for knob in &knobs {
        if knob.group != group {
            group = knob.group;
            writeln!(out, "\nSettings of {group}")?;
        }
        let flag = format!("--{}", knob.name.replace('_', "-"));
        let default = defaults.get(knob.name).unwrap_or_default();
        writeln!(out, "  {flag:17} {default:>12}  {}", knob.help)?;
    }
    let faults = Fault::ALL.iter().map(|fault| (fault.name(), fault.help())).collect();
    let lists = knobs.into_iter().map(|knob| (format!("--{}", knob.name.replace('_', "-")), knob.choices));
    for (flag, choices) in lists.chain([("prove --plant".to_string(), faults)]) {
        if !choices.is_empty() {
            writeln!(out, "\nVariants of {flag}")?;
        }
        for (name, help) in choices {
            writeln!(out, "  {name:22} {help}")?;
        }
    }
    writeln!(out, "\nIn a TOML file --n-layer 2 is n_layer = 2, in the environment MICROGPT_N_LAYER=2.")?;
    Ok(ExitCode::SUCCESS)
}
