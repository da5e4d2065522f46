//! This program as one of several, under `mpirun`.

use anyhow::Result;
use std::process::ExitCode;

/// Rank 0 of several does `work`, and the others what it asks of them; where there are no others, just `work`.
#[cfg(feature = "mpi")]
pub(crate) fn together(work: impl FnOnce() -> Result<ExitCode>) -> Result<ExitCode> {
    use microgpt_workers::ranks::Ranks;
    if microgpt_workers::launched().1 == 1 {
        return work();
    }
    let ranks = match Ranks::join() {
        // Rank 0 says what is wrong.
        Err(error) if error.kind() == microgpt::ErrorKind::Peer => return Ok(ExitCode::from(2)),
        joined => joined?,
    };
    if ranks.rank() > 0 {
        // A request to end goes to all, and is rank 0's to obey: the others go when it says so.
        let _ = ctrlc::set_handler(|| ());
        ranks.follow()?;
        return Ok(ExitCode::SUCCESS);
    }
    work()
}

/// See above: but this program has no MPI.
#[cfg(not(feature = "mpi"))]
pub(crate) fn together(work: impl FnOnce() -> Result<ExitCode>) -> Result<ExitCode> {
    let (rank, ranks) = microgpt_workers::launched();
    if rank > 0 {
        return Ok(ExitCode::from(2)); // rank 0 says why
    }
    if ranks > 1 {
        return Err(microgpt::Error::config(format!(
            "expected a program with MPI (cargo build --release --features mpi), found one without, started {ranks} times"
        ))
        .into());
    }
    work()
}
