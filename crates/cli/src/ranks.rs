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
    let ranks = match Ranks::join(tell) {
        // Rank 0 says what is wrong, unless the launcher ends it because another has already failed.
        Err(error) if error.kind() == microgpt::ErrorKind::Peer => return Ok(ExitCode::SUCCESS),
        joined => joined?,
    };
    if ranks.rank() > 0 {
        // A request to end goes to all, and is rank 0's to obey: the others go when it says so.
        let _ = ctrlc::set_handler(asked_to_end);
        ranks.follow()?;
        return Ok(ExitCode::SUCCESS);
    }
    work()
}

/// What is said of ranks that are lost: the last words, whatever is on the screen.
#[cfg(feature = "mpi")]
pub(crate) fn tell(text: &str) {
    crate::watch::restore();
    crate::notice(text);
}

/// This process was asked to end; where it is one of several, all will.
pub(crate) fn asked_to_end() {
    #[cfg(feature = "mpi")]
    microgpt_workers::ranks::asked_to_end();
}

/// If a rank is lost, this is how to go on.
pub(crate) fn to_go_on(_hint: &str) {
    #[cfg(feature = "mpi")]
    microgpt_workers::ranks::to_go_on(_hint);
}

/// See above: but this program has no MPI.
#[cfg(not(feature = "mpi"))]
pub(crate) fn together(work: impl FnOnce() -> Result<ExitCode>) -> Result<ExitCode> {
    let (rank, ranks) = microgpt_workers::launched();
    if rank > 0 {
        return Ok(ExitCode::SUCCESS); // rank 0 says what is wrong, and fails
    }
    if ranks > 1 {
        return Err(microgpt::Error::config(format!(
            "expected a program with MPI (cargo build --release --features mpi), found one without, started {ranks} times"
        ))
        .into());
    }
    work()
}
