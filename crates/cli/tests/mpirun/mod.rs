//! Jobs under `mpirun`: how they are started, what they have come to, and what happens to their ranks.

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_microgpt");

/// `microgpt` with these words in that folder, by so many ranks; by 0: without a launcher.
pub(crate) fn command(folder: &Path, ranks: usize, words: &str) -> Command {
    let mut command = Command::new(if ranks == 0 { PROGRAM } else { "mpirun" });
    if ranks > 0 {
        // One machine with fewer processors than ranks; tests may run as root in a container.
        command.args(["--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n"]);
        command.args([&ranks.to_string(), PROGRAM]);
    }
    command.args(words.split_whitespace()).current_dir(folder).stdin(Stdio::null());
    command
}

pub(crate) fn done(folder: &Path, ranks: usize, words: &str) -> Output {
    let output = command(folder, ranks, words).output().expect("mpirun, or the program");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{ranks} ranks, {words}: {error}");
    output
}

/// A job that goes on by itself, and whose messages can be read.
pub(crate) fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("mpirun, or the program")
}

/// What a run has come to, to the bit: these files of its checkpoints, and all losses.
pub(crate) fn result(folder: &Path, run: &str, files: &[&str]) -> (Vec<Vec<u8>>, Vec<String>) {
    let run = folder.join("runs").join(run);
    let read = |name: &&str| fs::read(run.join("checkpoints").join(name)).expect(name);
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).expect("metrics.jsonl");
    // How many tokens a second there were is no part of it.
    let losses = metrics.lines().map(|line| {
        let line: Value = serde_json::from_str(line).expect("a line of JSON");
        format!("{} {} {}", line["step"], line["loss"], line["val_loss"])
    });
    (files.iter().map(read).collect(), losses.collect())
}

/// The process that is this rank, as soon as the launcher has started it.
pub(crate) fn process_of(launcher: &Child, rank: usize) -> String {
    let rank = format!("OMPI_COMM_WORLD_RANK={rank}");
    let is_it = |pid: &str| -> Option<()> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let parent: u32 = stat.rsplit(") ").next()?.split_whitespace().nth(1)?.parse().ok()?;
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let here = environment.split(|&b| b == 0).any(|word| word == rank.as_bytes());
        (parent == launcher.id() && here).then_some(())
    };
    let start = Instant::now();
    loop {
        let all = fs::read_dir("/proc").unwrap();
        let mut pids = all.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        if let Some(pid) = pids.find(|pid| is_it(pid).is_some()) {
            return pid;
        }
        assert!(start.elapsed() < Duration::from_secs(30), "no {rank} of {}", launcher.id());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Gives a process a signal: was it there to get it?
pub(crate) fn signal(signal: &str, pid: &str) -> bool {
    Command::new("kill").args([signal, pid]).stderr(Stdio::null()).status().unwrap().success()
}

/// Is the job over, and well? It has so long.
pub(crate) fn ends_well(job: &mut Child, patience: Duration) -> bool {
    let start = Instant::now();
    loop {
        if let Some(status) = job.try_wait().unwrap() {
            return status.success();
        }
        assert!(start.elapsed() < patience, "the job goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
}
