//! Formulas that somebody types.

use crate::place::{Place, text};

#[test]
fn a_formula_is_shown_trained_with_saved_and_proved() {
    let place = Place::new();
    let run = |words: &str, formula: &str| {
        let output = place.microgpt(words).arg(formula).output().unwrap();
        assert!(output.status.success(), "{words} {formula}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let shown = run("formula", "x * sin(g)");
    assert!(shown.starts_with("f      x * sin(g)\ndf/dx  sin(g)\ndf/dg  x * cos(g)\n"), "{shown}");
    let shown = run("formula --json", "x^3");
    assert!(shown.contains(r#""df_dx":"#), "{shown}");

    place.write("names.txt", "anna\nbob\ncarl\ndora\n");
    for engine in ["scalar", "fast"] {
        let train = format!(
            "train --data names.txt --steps 3 --samples 2 --engine {engine} --out {engine} --activation"
        );
        run(&train, "x * sigmoid(1.702*x)");
        // The formula is read from the run.
        assert_eq!(run("generate --samples 2", engine).lines().count(), 2);
    }
    let proved = run("prove --data names.txt --n-embd 4 --n-head 2 --activation", "g * tanh(x)");
    assert!(
        proved.starts_with("f      g * tanh(x)\ndf/dx  g * (1 - tanh(x)^2)\ndf/dg  tanh(x)\n\n"),
        "{proved}"
    );
    assert!(
        proved.contains("gradient of layer0.mlp_gate") && proved.contains("All of it is right"),
        "{proved}"
    );
}
