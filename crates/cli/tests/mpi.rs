//! Training under `mpirun`: needs an MPI library, and its launcher.
//!
//!     cargo test --release -p microgpt-cli --features mpi --test mpi
#![cfg(feature = "mpi")]

mod mpirun;

use mpirun::{done, ends_well, process_of, signal, start};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// `microgpt train` with these words in that folder, by so many ranks; by 0: without a launcher.
fn command(folder: &Path, ranks: usize, words: &str) -> Command {
    mpirun::command(folder, ranks, &format!("train {words}"))
}

fn train(folder: &Path, ranks: usize, words: &str) -> Output {
    done(folder, ranks, &format!("train {words}"))
}

/// Its numbers, and all its losses.
fn result(folder: &Path, run: &str) -> (Vec<Vec<u8>>, Vec<String>) {
    mpirun::result(folder, run, &["latest/model.safetensors", "latest/optimizer.safetensors"])
}

const TINY: &str = "--engine fast --batch-size 16 --micro-batches 4 --steps 40 --samples 3";

/// Ranks, threads of each, and how many gradients are in a message, if it is said: few, and the first are sent while the
/// last are computed.
const CREWS: [(usize, &str, Option<&str>); 6] = [
    (1, "--workers 2", None),
    (2, "", Some("64")),
    (2, "--workers 2", None),
    (4, "", None),
    (4, "--workers 1", Some("1000")),
    (4, "--workers 2", Some("64")),
];

#[test]
fn ranks_and_threads_give_the_bits_of_as_many_parts_on_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let text: String = (0..4000).map(|i| format!("{} and {}, ", i * i % 977, i % 13)).collect();
    fs::write(folder.join("text.txt"), text).unwrap();
    for (name, words) in [
        ("tiny", "--engine fast --batch-size 16 --steps 40"),
        (
            "exact",
            "--engine scalar --batch-size 8 --steps 8 --val-fraction 0.1 --eval-every 3 --eval-size 20",
        ),
        ("dropout", "--dropout 0.2 --engine fast --batch-size 16 --steps 15 --n-layer 2 --tied true"),
        (
            "muon",
            "--preset nanochat-toy --steps 10 --ema 0.9 --val-fraction 0.1 --eval-every 5 --eval-size 50 --batch-size 16",
        ),
        (
            "sgd",
            "--optimizer sgd --momentum 0 --engine fast --batch-size 16 --steps 10 --grad-clip 0.5 --save-every 3",
        ),
        ("gru", "--model gru --engine fast --batch-size 16 --steps 10 --measure-every 2"),
        (
            "shakespeare",
            "--preset shakespeare-char --data text.txt --batch-size 8 --steps 4 --eval-every 2 --eval-size 20 --max-new-tokens 20",
        ),
    ] {
        let words = format!("{words} --micro-batches 8 --samples 1");
        let alone = train(folder, 0, &format!("{words} --workers 1 --out {name}-0"));
        let wanted = result(folder, &format!("{name}-0"));
        for (i, (ranks, threads, bucket)) in CREWS.into_iter().enumerate() {
            let mut command = command(folder, ranks, &format!("{words} {threads} --out {name}-{}", i + 1));
            command.envs(bucket.map(|bucket| ("MICROGPT_RANK_BUCKET", bucket)));
            let found = command.output().expect("mpirun");
            let error = String::from_utf8_lossy(&found.stderr);
            assert!(found.status.success(), "{name}: {ranks} ranks {threads}: {error}");
            assert!(found.stdout == alone.stdout, "{name}: what {ranks} ranks {threads} print");
            assert!(
                result(folder, &format!("{name}-{}", i + 1)) == wanted,
                "{name}: {ranks} ranks {threads}"
            );
        }
    }
}

#[test]
fn what_cannot_be_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    for (ranks, words, expected) in [
        (3, TINY, "mpirun -n: expected a power of two, found 3"),
        (4, "--steps 5", "mpirun -n: expected at most as many ranks as a step has parts (1;"),
        (2, "--n-layr 5", "--n-layr: no such flag"),
        (2, "--data nothing.txt", "nothing.txt"),
    ] {
        let output = command(folder.path(), ranks, &format!("{words} --no-save")).output().expect("mpirun");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{words}");
        assert_eq!(error.matches(expected).count(), 1, "{words}: {error}");
    }
    for name in ["MICROGPT_RANK_TIMEOUT", "MICROGPT_RANK_BUCKET"] {
        let mut command = command(folder.path(), 2, &format!("{TINY} --no-save"));
        let output = command.env(name, "soon").output().expect("mpirun");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(error.matches(&format!("microgpt: {name}: expected ")).count(), 1, "{name}: {error}");
    }
}

/// Of each number of ranks, each rank once: the job ends, and goes on with another number of ranks to the same bits.
#[test]
fn a_rank_that_is_killed_ends_the_job_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let words = "--engine fast --batch-size 16 --micro-batches 4 --n-embd 32 --steps 3000 --save-every 100 --samples 1";
    train(folder, 0, &format!("{words} --workers 1 --out whole"));
    let wanted = result(folder, "whole");
    for (ranks, victim, again) in [(2, 0, 4), (2, 1, 0), (4, 0, 2), (4, 1, 1), (4, 2, 2), (4, 3, 4)] {
        let name = format!("killed-{ranks}-{victim}");
        let mut job = start(&mut command(folder, ranks, &format!("{words} --out {name}")));
        let checkpoint = folder.join("runs").join(&name).join("checkpoints/latest/state.json");
        let started = Instant::now();
        while !checkpoint.exists() {
            assert!(started.elapsed() < Duration::from_secs(60), "{name}: no checkpoint");
            std::thread::sleep(Duration::from_millis(3));
        }
        assert!(signal("-9", &process_of(&job, victim)), "{name}: rank {victim}");
        assert!(!ends_well(&mut job, Duration::from_secs(30)), "{name}: was it killed before it was done?");
        let output = job.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.matches(&format!("train --resume {name}")).count() <= 1, "{name}: {error}");
        train(folder, again, &format!("--resume {name}"));
        let found = result(folder, &name);
        assert!(found.0 == wanted.0, "{name}, gone on with by {again}");
        assert!(found.1 == wanted.1, "{name}: losses");
    }
}

/// A rank that is stopped is as silent as one that is cut off: the launcher notices nothing.
#[test]
fn a_rank_that_is_not_heard_of_ends_the_job_with_one_message() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let words = "--engine fast --batch-size 16 --micro-batches 4 --n-embd 32 --steps 4000 --save-every 100 --samples 1";
    train(folder, 0, &format!("{words} --workers 1 --out whole"));
    let wanted = result(folder, "whole");
    for (ranks, victim, again) in [(2, 1, 4), (4, 2, 2)] {
        let name = format!("silent-{ranks}-{victim}");
        let mut command = command(folder, ranks, &format!("{words} --out {name}"));
        let job = start(command.env("MICROGPT_RANK_TIMEOUT", "5"));
        let checkpoint = folder.join("runs").join(&name).join("checkpoints/latest/state.json");
        while !checkpoint.exists() {
            std::thread::sleep(Duration::from_millis(3));
        }
        assert!(signal("-STOP", &process_of(&job, victim)), "{name}: rank {victim}");
        let stopped = Instant::now();
        let output = job.wait_with_output().unwrap();
        assert!(stopped.elapsed() < Duration::from_secs(30), "{name}: {:?}", stopped.elapsed());
        let error = String::from_utf8_lossy(&output.stderr);
        let said: Vec<&str> = error.lines().filter(|line| line.starts_with("microgpt: ")).collect();
        let [said] = said[..] else { panic!("{name}: {error}") };
        let parts = [
            format!("rank {victim} (on "),
            "not been heard of for 5 s".to_string(),
            format!("train --resume {name}"),
        ];
        assert!(parts.iter().all(|part| said.contains(part.as_str())), "{name}: {said}");
        train(folder, again, &format!("--resume {name}"));
        assert!(result(folder, &name) == wanted, "{name}, gone on with by {again}");
    }
}
