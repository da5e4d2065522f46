//! On a terminal the steps are one line that changes, and the samples are the same.
//!
//! A terminal is made with `script`; where there is none there is nothing to test.

use crate::place::Place;

#[test]
fn a_terminal_sees_a_live_line_and_the_same_samples() {
    let place = Place::new();
    let program = assert_cmd::cargo::cargo_bin("microgpt");
    let command = format!("{} train --steps 300 --out mine", program.display());
    let run = std::process::Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .current_dir(place.path("."))
        .env("NO_COLOR", "1")
        .env("TERM", "xterm")
        .env_remove("CARGO_MANIFEST_DIR")
        .stdin(std::process::Stdio::null())
        .output();
    let Ok(output) = run else { return };
    let seen = String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n");
    assert!(output.status.success(), "{seen}");
    let samples = seen.split("--- inference ---\n").nth(1).unwrap();
    let expected = place.stdout("generate mine");
    assert!(samples.starts_with(&expected), "{seen}");
    assert!(seen.contains("/300  loss ") && !seen.contains("step    1 /"), "{seen}");
    assert!(seen.contains("300 steps in ") && seen.contains("microgpt generate mine"), "{seen}");
    assert!(!seen.contains("\x1b[1m") && !seen.contains("\x1b[36m"), "NO_COLOR: {seen}");
}
