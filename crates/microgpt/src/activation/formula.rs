//! A formula that somebody types, `x * sigmoid(1.702*x)`: read, differentiated, and ready for both engines.
//!
//! ```
//! use microgpt::activation::formula::Formula;
//! let formula = Formula::parse("x^2 / 2 + sin(x)").unwrap();
//! assert_eq!(formula.value(2.0, 0.0), 2.0 + 2.0f64.sin());
//! assert_eq!(formula.slope_text(), "x + cos(x)");
//! ```

use super::graph::Graph;
use super::parse;
use crate::error::Error;
use microgpt_kernels::formula::{MOST_STEPS, Program, Step, naive};

/// A function f(x) or f(x, g), and its derivatives.
#[derive(Debug, Clone, PartialEq)]
pub struct Formula {
    text: String,
    slopes_text: Vec<String>,
    /// f.
    pub(crate) program: Program,
    /// df/dx, and df/dg if there is a g.
    pub(crate) slopes: Program,
}

impl Formula {
    /// Reads a formula of x, and of g if it is to have a gate. For what may stand in it see `microgpt formula --help`.
    ///
    /// # Errors
    /// Where it is not one: what was expected, what was found, and a caret below the place. Or it is not a number
    /// everywhere, or is too long.
    pub fn parse(text: &str) -> Result<Formula, Error> {
        let mut graph = Graph::default();
        let value = parse::parse(text, &mut graph)?;
        let mut slopes = vec![graph.derivative(value, Step::X)];
        let gated = graph.reaches(value, Step::G);
        if gated {
            slopes.push(graph.derivative(value, Step::G));
        }
        if !graph.reaches(value, Step::X) {
            return Err(Error::config(format!("expected a formula of x, found {text:?}")));
        }
        if graph.is_full() || graph.size(&[value]).max(graph.size(&slopes)) > MOST_STEPS {
            return Err(Error::config(format!(
                "expected a formula that takes at most {MOST_STEPS} steps with its derivative, found more"
            )));
        }
        let slopes_text = slopes.iter().map(|&slope| graph.text(slope)).collect();
        let (program, slopes) = (graph.program(&[value]), graph.program(&slopes));
        let formula = Formula { text: text.trim().to_string(), slopes_text, program, slopes };
        formula.check()?;
        Ok(formula)
    }

    /// Is it a number wherever one looks? What is not would end the first training step.
    fn check(&self) -> Result<(), Error> {
        for x in [0.0, 0.1, -0.1, 1.0, -1.0, 10.0, -10.0] {
            let gates: &[f64] = if self.gated() { &[0.0, 1.0, -1.0] } else { &[0.0] };
            for &g in gates {
                let found = [self.value(x, g), self.slope(x, g), self.gate_slope(x, g)];
                let names = ["f", "its derivative", "its derivative by g"];
                if let Some(i) = found.iter().position(|y| !y.is_finite()) {
                    let at = if self.gated() { format!("x = {x}, g = {g}") } else { format!("x = {x}") };
                    return Err(Error::config(format!(
                        "expected a formula that is a number for every x, found that {} is {} at {at}",
                        names[i], found[i]
                    )));
                }
            }
        }
        Ok(())
    }

    /// As it was typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// df/dx as a formula.
    pub fn slope_text(&self) -> &str {
        &self.slopes_text[0]
    }

    /// df/dg as a formula, if there is a g.
    pub fn gate_slope_text(&self) -> Option<&str> {
        self.slopes_text.get(1).map(String::as_str)
    }

    /// Does it have a second argument, the gate?
    pub fn gated(&self) -> bool {
        self.slopes_text.len() > 1
    }

    /// f(x, g).
    pub fn value(&self, x: f64, g: f64) -> f64 {
        naive::eval(&self.program, 0, x, g)
    }

    /// df/dx.
    pub fn slope(&self, x: f64, g: f64) -> f64 {
        naive::eval(&self.slopes, 0, x, g)
    }

    /// df/dg; 0 without a g.
    pub fn gate_slope(&self, x: f64, g: f64) -> f64 {
        if self.gated() { naive::eval(&self.slopes, 1, x, g) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Formula::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn the_derivative_is_that_of_finite_differences() {
        let texts = [
            "x",
            "-x^2",
            "2^x",
            "x**3 - 3*x + 1",
            "x^-2 * 0 + x",
            "1 / (1 + x^2)",
            "exp(-x^2)",
            "ln(1 + x^2)",
            "sqrt(1 + x^2)",
            "tanh(x)",
            "sigmoid(2*x)",
            "softplus(x)",
            "erf(x)",
            "sin(3*x)",
            "x * cos(x)",
            "abs(x)",
            "max(x, 0.1*x)",
            "min(x, 2 - x)",
            "relu(x)^2",
            "silu(x) + gelu(x) - gelu_tanh(x)",
            "x * sigmoid(1.702*x)",
            "(1 + x^2)^x",
            "(1 + x^2)^1.5",
            "x * g",
            "g * tanh(x * g)",
            "max(x, g)",
            "x * exp(-g^2)",
        ];
        for text in texts {
            let f = Formula::parse(text).unwrap();
            let h = 1e-5;
            for (x, g) in [(-2.3, 0.4), (-0.7, -1.1), (0.3, 2.0), (1.9, 0.6), (4.2, -0.2)] {
                let close = |slope: f64, difference: f64, by: &str, shown: &str| {
                    let error = (slope - difference).abs() / difference.abs().max(1.0);
                    assert!(
                        error < 1e-8,
                        "{text} by {by} = {shown} at {x}, {g}: {slope}, differences {difference}"
                    );
                };
                let by_x = (f.value(x + h, g) - f.value(x - h, g)) / (2.0 * h);
                close(f.slope(x, g), by_x, "x", f.slope_text());
                let by_g = (f.value(x, g + h) - f.value(x, g - h)) / (2.0 * h);
                close(f.gate_slope(x, g), by_g, "g", f.gate_slope_text().unwrap_or("0"));
            }
        }
    }

    #[test]
    fn what_is_shown_of_the_derivative_is_the_derivative() {
        for text in ["x * sigmoid(1.702*x)", "-(x - 1)^3 / (2 + x^2)", "x - (1 - (2 - x^2))", "g / (x^2 + 1)"]
        {
            let f = Formula::parse(text).unwrap();
            // The formula x may not stand in a derivative any more: it is added to both.
            let shown = Formula::parse(&format!("x + ({})", f.slope_text())).unwrap();
            for (x, g) in [(-1.7, 0.3), (0.2, -2.0), (3.1, 1.0)] {
                assert!((shown.value(x, g) - x - f.slope(x, g)).abs() < 1e-12, "{text}: {}", f.slope_text());
            }
        }
    }

    #[test]
    fn precedence_is_that_of_mathematics() {
        let at = |text: &str, x: f64| Formula::parse(text).unwrap().value(x, 0.0);
        assert_eq!(at("-x^2", 3.0), -9.0);
        assert_eq!(at("2 - x - 1", 3.0), -2.0);
        assert_eq!(at("12 / (2 + x^2) / 2", 2.0), 1.0);
        assert_eq!(at("2 ^ 3 ^ 2 * x", 1.0), 512.0);
        assert_eq!(at("1.5e1 * x + .5", 2.0), 30.5);
        assert_eq!(at("2^-x", 1.0), 0.5);
        assert_eq!(at("pi * x - e * x", 1.0), std::f64::consts::PI - std::f64::consts::E);
    }

    #[test]
    fn errors_show_the_place() {
        assert_eq!(
            error("x * * 2"),
            "expected a number, x, g, a function or (, found `*`\n  x * * 2\n      ^"
        );
        assert_eq!(
            error("x * (2 + x"),
            "expected ) or an operator, found the end\n  x * (2 + x\n            ^"
        );
        assert_eq!(
            error("sigmid(x)"),
            "expected a function, found `sigmid` (did you mean sigmoid?)\n  sigmid(x)\n  ^"
        );
        assert_eq!(
            error("x\n\u{1b}[2J"),
            "expected an operator or the end, found `\\u{1b}`\n  x  [2J\n    ^"
        );
        assert_eq!(error("x y"), "expected an operator or the end, found `y`\n  x y\n    ^");
        assert_eq!(
            error("max(x)"),
            "expected , and the second argument of max, found `)`\n  max(x)\n       ^"
        );
        assert_eq!(error(""), "expected a number, x, g, a function or (, found the end\n  \n  ^");
        assert_eq!(error("x + 1e999"), "expected a number, found `1e999`\n  x + 1e999\n      ^");
        assert_eq!(error("2"), "expected a formula of x, found \"2\"");
        assert!(error("ln(x)").ends_with("found that f is -inf at x = 0"), "{}", error("ln(x)"));
        assert!(error("sqrt(abs(x))").contains("its derivative is"), "{}", error("sqrt(abs(x))"));
        let deep = "(".repeat(200) + "x" + &")".repeat(200);
        assert!(error(&deep).starts_with("expected fewer brackets"), "{}", error(&deep));
        let long = (0..300).map(|i| format!("sin({i}*x)")).collect::<Vec<_>>().join("+");
        assert!(error(&long).contains("at most 128 steps"), "{}", error(&long));
    }
}
