//! The process that has started the ranks.
//!
//! Open MPI's `mpirun` ends when all its daemons have said that they do, and so has that of a machine that is cut off: it
//! would wait until the kernel gives the connection up, a quarter of an hour.

use std::os::unix::process::parent_id;
use std::process::{Command, Stdio};
use std::time::Duration;

const NAMES: [&str; 5] = ["mpirun", "mpiexec", "orterun", "prterun", "prte"];
/// It passes on what was said last.
const A_MOMENT: Duration = Duration::from_millis(500);

/// Ends it for good, if it has started this process itself; its daemons on other machines end with it, and their ranks.
pub(super) fn end() {
    let pid = parent_id();
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if NAMES.contains(&name.trim_end()) {
        std::thread::sleep(A_MOMENT);
        let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status();
    }
}
