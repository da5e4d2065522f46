//! What may be measured.

use super::{at_least_1, seconds};
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Which models: tiny, tiny-16, shakespeare-char, bigger; all without it
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) shape: Vec<String>,
    /// Which engines: scalar, fast; without it both, but scalar at the small shapes only
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) engine: Vec<String>,
    /// Threads that share a step, where it has parts to share
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_1)]
    pub(crate) workers: usize,
    /// What many machines would make of it, from a step's time here and a network; under mpirun, the network is
    /// measured and the ranks that there are are held against the model. Of shakespeare-char unless --shape says otherwise
    #[arg(long, conflicts_with = "engine")]
    pub(crate) scaling: bool,
    /// How long a message takes from rank to rank, in microseconds; not measured then [default: 20]
    #[arg(long, value_name = "US", requires = "scaling", value_parser = seconds)]
    pub(crate) latency_us: Option<f64>,
    /// How much a rank sends and gets at once, in Gbit/s; not measured then [default: 25]
    #[arg(long, value_name = "N", requires = "scaling", value_parser = seconds)]
    pub(crate) gbit: Option<f64>,
    /// Only to see that it works: the figures mean little
    #[arg(long)]
    pub(crate) quick: bool,
    /// One JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}
