//! Several workers for one training step, to the bits of one.
//!
//! A batch is cut into parts by documents. Each worker has the parameters and works on its share of the parts. It hears
//! from the others what the gradients of all parts add up to in its own range of the parameters, updates these, and
//! hears from the others the rest. The sum is always that of one binary tree over the parts (see [`microgpt::exchange`]), so the bits do
//! not tell how many workers there were.
//!
//! ```
//! use microgpt::{Config, batch::Batch, rng::Rng, train::Trainer};
//! let config = Config { micro_batches: 2, batch_size: 2, ..Config::default() };
//! let mut trainer = Trainer::<f64>::new(config, 27, &mut Rng::new(1))?;
//! let mut batch = Batch::default();
//! for name in [[26, 4, 12, 12, 0, 26], [26, 0, 13, 13, 0, 26]] {
//!     batch.push_document(&name, 8);
//! }
//! microgpt_workers::share(&mut trainer, 2)?;
//! trainer.step(&batch)?;
//! # Ok::<(), microgpt::Error>(())
//! ```

pub mod meeting;
#[cfg(feature = "mpi")]
pub mod ranks;
mod table;
pub mod threads;
mod tree;

use microgpt::Error;
use microgpt::engine::Precision;
use microgpt::train::Trainer;

/// How many workers a training is best shared by: as many as there are processors, but not more than there are parts
/// of a batch, and one where they would wait longer than they work. `wanted` says how many at most; 0 leaves it open. Of a
/// process that is one of several: how many workers each of them is to have; those on one machine share its processors.
pub fn choose<R: Precision>(trainer: &Trainer<R>, wanted: usize) -> usize {
    let parts = trainer.config.parts(trainer.num_params());
    let (processes, here) = processes();
    let share = (parts / processes).max(1);
    if wanted > 0 {
        return threads::possible(wanted, share);
    }
    let rows = trainer.config.batch_size.saturating_mul(trainer.config.block_size);
    let work = rows.saturating_mul(trainer.num_params()) / parts;
    let processors = std::thread::available_parallelism().map_or(1, |n| n.get());
    if work < WORTH_A_MEETING { 1 } else { threads::possible(processors / here, share) }
}

/// How many processes share a training, and how many of them are on this machine.
fn processes() -> (usize, usize) {
    #[cfg(feature = "mpi")]
    if ranks::joined() {
        return ranks::count();
    }
    (1, 1)
}

/// Rows times parameters of a part that takes some tenths of a millisecond. The three meetings of a step take some
/// hundredths where everybody has a processor, and much longer where not.
const WORTH_A_MEETING: usize = 1 << 22;

/// Rank and number of the processes that an MPI launcher has started together, of which this is one, by what it says in
/// the environment; `(0, 1)` without one.
pub fn launched() -> (usize, usize) {
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    // Open MPI's mpirun, then MPICH's and its like, then Slurm's srun.
    let names = [
        ["OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"],
        ["PMI_RANK", "PMI_SIZE"],
        ["PMIX_RANK", "SLURM_STEP_NUM_TASKS"],
    ];
    names.iter().find_map(|&[rank, size]| Some((number(rank)?, number(size)?))).unwrap_or((0, 1))
}

/// From now on each step is shared by `workers` threads, of which the caller is one; by one, all is as it was. Of a
/// process that is one of several, each has as many.
///
/// The others begin as copies of the trainer. What is changed in it later by hand (a setting, a parameter) they do
/// not hear of: share again.
///
/// # Errors
/// The trainer was shared before, and a worker is gone.
///
/// # Panics
/// If the parts of a batch cannot be shared by so many: see [`threads::possible`].
pub fn share<R: Precision>(trainer: &mut Trainer<R>, workers: usize) -> Result<(), Error> {
    #[cfg(feature = "mpi")]
    if ranks::joined() {
        let trainer: &mut dyn std::any::Any = trainer;
        return match trainer.downcast_mut::<Trainer<f32>>() {
            Some(single) => ranks::share(single, workers),
            None => ranks::share(trainer.downcast_mut::<Trainer<f64>>().expect("f32 or f64"), workers),
        };
    }
    trainer.gather()?;
    trainer.exchange_by(threads::exchange(trainer, workers));
    Ok(())
}
