//! What a cluster does to a job: a fault at any moment, a network between hosts, Slurm; and how well a model of it holds.
//!
//!     cargo test --release -p microgpt-cli --features mpi --test cluster -- --include-ignored
#![cfg(feature = "mpi")]
#![expect(clippy::print_stdout, reason = "how the kills go is told where somebody looks")]

mod mpirun;

use mpirun::{PROGRAM, command, done, ends_well, process_of, signal, start};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Its numbers, the best of them, and all losses.
fn result(folder: &Path, run: &str) -> (Vec<Vec<u8>>, Vec<String>) {
    let files = ["latest/model.safetensors", "latest/optimizer.safetensors", "best/model.safetensors"];
    mpirun::result(folder, run, &files)
}

/// So often a rank is killed, in all.
const KILLS: usize = 20;
/// By how many ranks, and which of them: one after the other, so that a run always goes on by another number.
const VICTIMS: [(usize, usize); 8] = [(2, 0), (4, 0), (2, 1), (4, 1), (1, 0), (4, 2), (2, 0), (4, 3)];

#[test]
#[ignore = "20 kills take a minute; .ci/run makes them"]
fn each_rank_in_turn_is_killed_at_a_random_moment_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mut chance = seed;
    let mut below = |n: u64| {
        chance = chance.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (chance >> 33) % n
    };
    let settings = "--engine fast --batch-size 16 --micro-batches 4 --n-embd 32 --steps 4000 --samples 1 --val-fraction 0.1 \
                    --eval-size 50 --eval-every 100";
    done(folder, 0, &format!("train {settings} --workers 1 --out whole"));
    let wanted = result(folder, "whole");

    let (mut kills, mut lives, mut runs) = (0, 0, 0);
    while kills < KILLS {
        let run = format!("parts-{runs}");
        let saved = |what: &str| folder.join("runs").join(&run).join(what).exists();
        let words = if saved("config.toml") {
            format!("train --resume {run} --save-every 5")
        } else {
            format!("train {settings} --out {run} --save-every 5")
        };
        let (ranks, victim) = VICTIMS[kills % VICTIMS.len()];
        lives += 1;
        let mut job = start(&mut command(folder, ranks, &words));
        let process = process_of(&job, victim);
        // From before it has said its first word to the middle of its life.
        std::thread::sleep(Duration::from_millis(below(1500)));
        let killed = signal("-9", &process);
        let ended = ends_well(&mut job, Duration::from_secs(30));
        let error = std::io::read_to_string(job.stderr.take().unwrap()).unwrap();
        if ended {
            // It was done before it could be killed: that it did it right is seen here.
            assert!(result(folder, &run) == wanted, "seed {seed}: {run}");
            runs += 1;
            continue;
        }
        assert!(killed, "seed {seed}, {run}, {ranks} ranks, {words}: it ended by itself: {error}");
        kills += 1;
        println!("kill {kills}: rank {victim} of {ranks}, {run}, saved: {}", step(folder, &run));
    }
    // What is left goes on without a launcher, or by two.
    let run = format!("parts-{runs}");
    if folder.join("runs").join(&run).join("config.toml").exists() {
        done(folder, 2 * below(2) as usize, &format!("train --resume {run}"));
        assert!(result(folder, &run) == wanted, "seed {seed}: {run}");
    }
    println!("{KILLS} kills of {lives} jobs, {runs} runs done on the way: always the bits of one process");
}

/// The step that is saved, if there is any.
fn step(folder: &Path, run: &str) -> String {
    let state = folder.join("runs").join(run).join("checkpoints/latest/state.json");
    let state = fs::read_to_string(state).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
    state.map_or("nothing".into(), |state| state["step"].to_string())
}

#[test]
fn the_model_of_the_scaling_is_held_against_ranks() {
    let folder = tempfile::tempdir().unwrap();
    let output = done(folder.path(), 2, "bench --scaling --quick --json --shape tiny-16,tiny");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    for shape in report["scaling"].as_array().unwrap() {
        let measured = &shape["measured"];
        assert_eq!((&measured["ranks"], &measured["ranks_on_this_host"]), (&2.into(), &2.into()));
        let number = |name: &str| measured[name].as_f64().unwrap_or_else(|| panic!("{name}: {measured}"));
        for name in [
            "ms_per_step_alone",
            "ms_per_step_each_by_itself",
            "ms_of_exchange",
            "ms_per_step",
            "model_ms_per_step",
            "times_one",
            "times_one_each_by_itself",
        ] {
            assert!(number(name) > 0.0, "{name}: {measured}");
        }
        // What was measured of the network is what the table is made of.
        assert_eq!(shape["network"], measured["network"]);
        assert!(shape["network"]["latency_us"].as_f64().unwrap() > 0.0);
    }
    let given = done(folder.path(), 2, "bench --scaling --quick --json --shape tiny --latency-us 50");
    let report: Value = serde_json::from_slice(&given.stdout).unwrap();
    assert_eq!(report["scaling"][0]["network"]["latency_us"].as_f64().unwrap().round(), 50.0);
    let table = done(folder.path(), 2, "bench --scaling --quick --shape tiny");
    let table = String::from_utf8(table.stdout).unwrap();
    assert_eq!(table.matches("Held against 2 ranks, 2 of them on this host").count(), 1, "{table}");
    for (ranks, words, expected) in [
        (2, "bench --scaling --shape huge", "--shape: expected one of tiny,"),
        (3, "bench --scaling", "mpirun -n: expected a power of two, found 3"),
    ] {
        let output = command(folder.path(), ranks, words).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.matches(expected).count() == 1, "{words}: {error}");
    }
}

/// A script of `tests/cluster`, which says itself what it wants, and what it has seen.
fn script(name: &str) {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/cluster").join(name);
    let status = Command::new("bash").arg(script).arg(PROGRAM).stdin(Stdio::null()).status();
    assert!(status.expect("bash").success(), "{name}");
}

#[test]
#[ignore = "wants to be root, and network namespaces; .ci/run tries"]
fn hosts_with_a_network_between_them_and_one_that_is_cut_off() {
    script("hosts.sh");
}

#[test]
#[ignore = "wants to be root, and Slurm; .ci/run tries"]
fn under_slurm() {
    script("slurm.sh");
}
