//! The exchange of a step, to the bits of one process, beside `MPI_Allreduce`: milliseconds of each, taken in turns.
//!
//!     cargo build --release -p microgpt-workers --features mpi --example allreduce
//!     mpirun -n 2 target/release/examples/allreduce

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example prints its table")]

use microgpt_workers::ranks::{Ranks, trial};

fn main() -> Result<(), microgpt::Error> {
    let ranks = Ranks::join(|text| eprintln!("{text}"))?;
    for (len, turns) in [(811_520, 60), (10_700_000, 15)] {
        let times = trial(len, turns);
        let quartiles = [0, 1].map(|which| {
            let mut sorted: Vec<f64> = times.iter().map(|pair| 1e3 * pair[which]).collect();
            sorted.sort_by(f64::total_cmp);
            [sorted[0], sorted[turns / 4], sorted[turns / 2]]
        });
        if ranks.rank() == 0 {
            let [ours, theirs] = quartiles.map(|[best, quarter, half]| {
                format!("{best:.2} best, {quarter:.2} quartile, {half:.2} median")
            });
            println!("{} ranks, {len} numbers: exchange {ours} ms; MPI_Allreduce {theirs} ms", ranks.size());
        }
    }
    // The others wait for what rank 0 says; here, that all is done.
    if ranks.rank() > 0 { ranks.follow() } else { Ok(()) }
}
