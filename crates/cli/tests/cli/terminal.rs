//! On a terminal the steps are one line that changes, and the samples are the same.
//!
//! A terminal is made with `script`; where there is none there is nothing to test.

use crate::place::Place;

#[test]
fn a_terminal_sees_a_live_line_and_the_same_samples() {
    let place = Place::new();
    let program = assert_cmd::cargo::cargo_bin("microgpt");
    let command = format!("{} train --no-tui --steps 3000 --out mine", program.display());
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
    assert!(seen.contains("/3000  loss ") && !seen.contains("step    1 /"), "{seen}");
    assert!(seen.contains("3000 steps in ") && seen.contains("microgpt generate mine"), "{seen}");
    assert!(!seen.contains("\x1b[1m") && !seen.contains("\x1b[36m"), "NO_COLOR: {seen}");
}

/// A terminal of 80 by 24, on which somebody presses q after two seconds. What is seen, and the exit code.
fn watched(place: &Place, flags: &str, color: bool) -> Option<(String, i32)> {
    use std::io::Write;
    let program = assert_cmd::cargo::cargo_bin("microgpt");
    let command = format!("stty cols 80 rows 24; {} train --steps 300000 {flags}", program.display());
    let mut script = std::process::Command::new("script");
    script
        .args(["-qec", &command, "/dev/null"])
        .current_dir(place.path("."))
        .env("TERM", "xterm-256color")
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("NO_COLOR")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    if !color {
        script.env("NO_COLOR", "1");
    }
    let mut child = script.spawn().ok()?;
    std::thread::sleep(std::time::Duration::from_secs(3));
    // Without the view it is no key, and Ctrl+C it is.
    let key = if flags.contains("no-tui") { "\x03" } else { "q" };
    // It stays open: `script` does not wait for the last words of a program when nothing more can be typed.
    let mut keys = child.stdin.take().unwrap();
    keys.write_all(key.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Some((String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n"), output.status.code()?))
}

#[test]
fn a_long_training_has_a_view_that_leaves_the_terminal_as_it_was() {
    const ENTER: &str = "\x1b[?1049h";
    const LEAVE: &str = "\x1b[?1049l";
    let place = Place::new();
    for color in [true, false] {
        let out = if color { "one" } else { "two" };
        let Some((seen, code)) = watched(&place, &format!("--out {out}"), color) else { return };
        assert_eq!((seen.matches(ENTER).count(), seen.matches(LEAVE).count(), code), (1, 1, 130), "{seen:?}");
        let (view, after) = seen.split_once(LEAVE).unwrap();
        let view = view.split_once(ENTER).unwrap().1;
        for part in ["guess", "writes", "pause", "characters/s"] {
            assert!(view.contains(part), "{part}: {view:?}");
        }
        assert!(after.contains(" steps in ") && after.contains("stopped after step "), "{after:?}");
        assert_eq!(seen.contains("\x1b[36m") || seen.contains("[38;5;6m"), color, "{view:?}");
        place.stdout(&format!("generate {out} --samples 1"));
    }
    let Some((seen, code)) = watched(&place, "--no-tui --out three", true) else { return };
    assert!(!seen.contains(ENTER) && code == 130, "{seen:?}");
}
