//! Everything of microgpt that is on disk. The modules in the order in which a run meets them:
//!
//! - [`presets`]: named settings that are built into the program
//! - [`settings`]: defaults < preset < file < environment < flags
//! - [`atomic`]: files that are there whole or not at all
//! - `text`: a text as it lies on the disk
//! - [`kept`]: the tokens of a text that is larger than memory
//! - [`data`]: the text to learn from
//! - [`tokenizer`][]: tokenizer.json
//! - [`weights`]: flat slices <-> safetensors
//! - [`state`]: what else a checkpoint remembers
//! - `sums`: what its files are recognised by
//! - [`metrics`]: lines of JSON, of steps and of what was measured
//! - [`events`]: the same for TensorBoard
//! - [`lock`]: one process at a time
//! - [`run`]: the folder of a run, which holds all of these
//! - [`list`]: all runs
//! - [`sweep`]: many runs from one file
//! - [`stats`]: mean and spread of a few numbers
//! - [`outcome`]: what came of a run
//! - [`compare`]: what differs between runs, and what it is worth
//! - [`fit`]: a power law through points
//!
//! ```text
//! runs/NAME/
//!   config.toml              every setting; `microgpt train --config` on it trains the same again
//!   tokenizer.json           the alphabet, or the merges as the `tokenizers` library writes them
//!   tokens.bin, ...          the tokens of a text that is larger than memory; see [`kept`]
//!   metrics.jsonl            {"step": 1, "loss": 3.2589, "lr": 0.01}, and more now and then: see [`metrics`]
//!   events.out.tfevents.microgpt    the same for TensorBoard
//!   samples.txt              what the model wrote when it was trained, a line each (of a stream: ----- between)
//!   .lock                    who trains it
//!   checkpoints/latest/      and checkpoints/best/, if something is held back
//!     model.safetensors      the parameters, named and shaped as in `microgpt::layout`
//!     optimizer.safetensors  what the optimiser remembers of each: Adam's `m.wte`, `v.wte`, ...; `ema.wte`, ...
//!     state.json             step, chance, the data's SHA-256, settings, the best so far, precision, format version
//!     SHA256SUMS             of these three files, as `sha256sum -c` reads it
//!
//! runs/SWEEP/
//!   sweep.toml               the file that the sweep was started with
//!   calibration.json         seconds a step, by settings, if the runs are given time in place of steps
//!   results.csv              a line for each run
//!   1-lr=0.01,seed=1/        a run as above, and
//!     result.json            what came of it; a run that has none is not finished, and is made again
//! ```

pub mod presets;
pub mod settings;
pub mod atomic;
mod text;
pub mod kept;
pub mod data;
pub mod tokenizer;
pub mod weights;
pub mod state;
mod sums;
pub mod metrics;
pub mod events;
pub mod lock;
pub mod run;
pub mod list;
pub mod sweep;
pub mod stats;
pub mod outcome;
pub mod compare;
pub mod fit;

pub use run::Run;
pub use settings::Settings;
