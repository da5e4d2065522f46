//! What may be asked of many runs.

use super::{SettingsArgs, at_least_1};
use clap::Args;

/// What `sweep --help` says of its file.
pub(super) const SWEEP_FILE: &str = "\
The file:
  engine = \"fast\"                  what all runs share, as in any file of settings
  steps = 300
  [sweep]
  seeds = 3                        each run with so many seeds, or with a list of them
  seconds = 2.0                    as many steps as fit into this time of one processor, in place of steps
  [grid]
  n_embd = [16, 32]                every value with every other
  [random]
  runs = 50                        so many draws of all that follows
  lr = { min = 1e-3, max = 1e-1, log = true }
  activation = [\"relu\", \"silu\"]
  [tune]                           found for each run by itself first, with other seeds
  seeds = [101, 102]
  lr = [0.003, 0.01, 0.03]
  [[case]]                         one by one; a list stands in for that of [grid] or [tune]
  name = \"lion\"
  optimizer = \"lion\"
  lr = [0.0003, 0.001]

All parts may be left out; those that are there are combined. A run is finished or it is not there: the same command goes
on with a sweep that was stopped, and makes what was added to its file. Where nothing says what is held back, a
tenth is.";

#[derive(Debug, Args)]
pub(crate) struct SweepArgs {
    /// The file that says which runs
    #[arg(value_name = "FILE.toml")]
    pub(crate) file: String,
    /// Where to save: a name in runs/, or a path; by default the file's name
    #[arg(long, value_name = "NAME")]
    pub(crate) out: Option<String>,
    /// How many runs at once; 0: as many as there are processors. The results are the same with any
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) jobs: usize,
    /// Hold the others against this case or value, not against the best
    #[arg(long, value_name = "NAME")]
    pub(crate) baseline: Option<String>,
    /// Print which runs there would be, and make none
    #[arg(long, alias = "dry_run")]
    pub(crate) dry_run: bool,
    /// JSON lines on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Runs or sweeps: names in runs/, or paths
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<String>,
    /// Hold the others against this case or value, not against the best
    #[arg(long, value_name = "NAME")]
    pub(crate) baseline: Option<String>,
    /// Of two runs: look for where they part in the first N steps only; 0: do not look
    #[arg(long, value_name = "N")]
    pub(crate) replay: Option<usize>,
    /// One JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Runs or sweeps: names in runs/, or paths
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<String>,
    /// The file: an HTML page, or if it ends with .svg one picture
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    pub(crate) out: String,
    /// What stands above it
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// Hold the others against this case or value, not against the best
    #[arg(long, value_name = "NAME")]
    pub(crate) baseline: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SpeedrunArgs {
    /// How long, from the start of the program to the last step
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub(crate) seconds: f64,
    /// Threads that share a step, a power of two; 0: as many as it is worth
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) workers: usize,
    /// So many runs with the seeds 1, 2, ..., each for itself; and their mean
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_1)]
    pub(crate) repeat: usize,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
    /// One JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}
