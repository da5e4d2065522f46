//! A run that is killed, again and again, is the run that was not.

use crate::place::Place;
use crate::resume::bytes;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// So often each run is killed.
const KILLS: usize = 50;

/// Chance of the moment: a run that fails is told with its seed.
struct Moments(u64);

impl Moments {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n
    }
}

fn start(place: &Place, words: &str) -> Child {
    Command::new(assert_cmd::cargo::cargo_bin("microgpt"))
        .args(words.split_whitespace())
        .current_dir(place.path("."))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Lets it print some lines, or live some milliseconds, and kills it. Is it killed, and not at its end?
fn kill_at(mut child: Child, moments: &mut Moments) -> bool {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    if moments.below(8) == 0 {
        // Perhaps before its folder is there.
        std::thread::sleep(Duration::from_millis(moments.below(60)));
    } else {
        let count = 1 + moments.below(60);
        for _ in 0..count {
            if lines.next().is_none() {
                break;
            }
        }
        std::thread::sleep(Duration::from_micros(moments.below(4000)));
    }
    child.kill().unwrap();
    drop(lines);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_none_or(|code| code == 0), "it ended by itself: {said}");
    output.status.code().is_none()
}

#[test]
#[ignore = "200 kills take a while; .ci/run makes them"]
fn whoever_is_killed_goes_on_to_the_same_bits() {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mut moments = Moments(seed);
    for engine in ["scalar", "fast"] {
        for workers in [1, 2] {
            let place = Place::new();
            let names: String =
                ["anna", "bob", "carla", "dana", "emil", "fritz", "gus", "hanna", "ida", "jo"]
                    .iter()
                    .flat_map(|name| [*name, "\n", &name[..2], "a\n"])
                    .collect();
            place.write("names.txt", names);
            let settings = format!(
                "--data names.txt --engine {engine} --batch-size 4 --micro-batches 2 --steps 2600 --lr 0.003 \
                 --val-fraction 0.2 --eval-every 25 --measure-every 40 --save-every 10 --workers {workers}"
            );
            let train = |out: &str| format!("train --out {out} {settings}");
            let resume = format!("train --resume parts --save-every 10 --workers {workers}");
            let done = place.microgpt(&train("whole")).output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            let is_run = || place.path("runs/parts/config.toml").is_file();
            for kill in 0..KILLS {
                let words = if is_run() { resume.clone() } else { train("parts") };
                let killed = kill_at(start(&place, &words), &mut moments);
                assert!(killed, "seed {seed}: the run was over after {kill} kills");
            }
            let last = place.microgpt(&if is_run() { resume } else { train("parts") }).output().unwrap();
            assert!(last.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&last.stderr));
            let (whole, parts) = (bytes(&place, "whole"), bytes(&place, "parts"));
            assert!(whole == parts, "seed {seed}, {engine}, {workers} workers");
            let best = |run: &str| {
                let best = place.path(&format!("runs/{run}/checkpoints/best"));
                ["model.safetensors", "optimizer.safetensors", "state.json"]
                    .map(|name| std::fs::read(best.join(name)).unwrap())
            };
            assert!(best("whole") == best("parts"), "seed {seed}, {engine}, {workers} workers: the best");
        }
    }
}
