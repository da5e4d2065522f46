//! The non-linear function inside the MLP: f and f' of each, once for all engines.
//!
//! A formula is all that one is made of; its derivative follows. A formula with a g has a gate: x and g are two linear
//! maps of the same stream, and f(x, g) goes into the next.

pub mod formula;
mod graph;
mod parse;

use crate::choices::{Choice, nearest};
use crate::error::Error;
use crate::real::pow;
use formula::Formula;
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The functions that a formula may use besides those of the list and max and min: name, what it is, its step.
pub use parse::FUNCTIONS;

/// Makes the list: each line has a name, a formula (other lines' names are functions in it) and its source.
macro_rules! activations {
    ($( $(#[doc = $source:literal])+ $Variant:ident = $name:literal: $formula:literal ),+ $(,)?) => {
        choices! {
            /// What the MLP does between its two matrices. Without it, the two would be no more than one.
            pub enum Named: "activation" {
                $( #[doc = concat!($formula, " (", $($source),+, ")")] $Variant = $name ),+
            }
        }

        impl Named {
            /// As it stands in the list.
            pub fn formula_text(self) -> &'static str {
                match self { $(Named::$Variant => $formula),+ }
            }
        }
    };
}

activations! {
    #[doc = "So et al., \"Primer\", 2021"]
    SquaredRelu = "squared_relu": "relu(x)^2",
    #[doc = "Nair and Hinton, 2010"]
    Relu = "relu": "max(x, 0)",
    #[doc = "Hendrycks and Gimpel, 2016"]
    Gelu = "gelu": "x/2 * (1 + erf(x / sqrt(2)))",
    #[doc = "the same, nearly; GPT-2's"]
    GeluTanh = "gelu_tanh": "x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715*x^3)))",
    #[doc = "Elfwing et al., 2017; also called Swish"]
    Silu = "silu": "x * sigmoid(x)",
    #[doc = "what perceptrons had"]
    Tanh = "tanh": "tanh(x)",
    #[doc = "what they had before"]
    Sigmoid = "sigmoid": "sigmoid(x)",
    #[doc = "gated; Dauphin et al., 2016"]
    Glu = "glu": "x * sigmoid(g)",
    #[doc = "gated; Shazeer, \"GLU Variants\", 2020; LLaMA's"]
    SwiGlu = "swiglu": "x * silu(g)",
    #[doc = "gated; Shazeer, 2020"]
    GeGlu = "geglu": "x * gelu(g)",
    #[doc = "gated; Shazeer, 2020"]
    ReGlu = "reglu": "x * relu(g)",
}

impl Named {
    /// Its formula, read once.
    pub fn formula(self) -> &'static Formula {
        static READ: [OnceLock<Formula>; Named::ALL.len()] = [const { OnceLock::new() }; Named::ALL.len()];
        READ[self as usize]
            .get_or_init(|| Formula::parse(self.formula_text()).expect("a formula of the list"))
    }
}

/// One of the list, or a formula that somebody typed.
#[derive(Clone, Copy, PartialEq)]
pub enum Activation {
    /// Of the list.
    Named(Named),
    /// Typed. It stays until the program ends, so that an operation can refer to it.
    Typed(&'static Formula),
}

impl From<Named> for Activation {
    fn from(named: Named) -> Activation {
        Activation::Named(named)
    }
}

impl Activation {
    /// A name of the list, or a formula.
    ///
    /// # Errors
    /// Neither: the error says which name is nearest, or shows the place in the formula.
    pub fn parse(text: &str) -> Result<Activation, Error> {
        let text = text.trim();
        let word = text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
        if word && text.chars().any(char::is_alphabetic) && !["x", "-x"].contains(&text) {
            let wanted = text.replace('-', "_");
            let named = Named::ALL.iter().copied().find(|named| named.name() == wanted);
            return named.map(Activation::Named).ok_or_else(|| {
                let names: Vec<&str> = Named::ALL.iter().map(|named| named.name()).collect();
                let hint =
                    nearest(&wanted, &names).map(|n| format!(" (did you mean {n}?)")).unwrap_or_default();
                Error::config(format!(
                    "expected one of {}, or a formula such as \"x * sigmoid(1.702*x)\", found {text:?}{hint}",
                    names.join(", ")
                ))
            });
        }
        // The same text is the same formula: a program that reads it often keeps it once.
        static TYPED: Mutex<Vec<&'static Formula>> = Mutex::new(Vec::new());
        let mut typed = TYPED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(formula) = typed.iter().find(|formula| formula.text() == text) {
            return Ok(Activation::Typed(formula));
        }
        let formula: &'static Formula = Box::leak(Box::new(Formula::parse(text)?));
        typed.push(formula);
        Ok(Activation::Typed(formula))
    }

    /// The formula and what follows from it.
    pub fn formula(self) -> &'static Formula {
        match self {
            Activation::Named(named) => named.formula(),
            Activation::Typed(formula) => formula,
        }
    }

    /// Does it have a gate?
    pub fn gated(self) -> bool {
        self.formula().gated()
    }

    /// f(x).
    pub fn f(self, x: f64) -> f64 {
        let r = if x > 0.0 { x } else { 0.0 };
        match self {
            // The C library's pow, as microgpt.py uses it; see `real`.
            Activation::Named(Named::SquaredRelu) => pow(r, 2.0),
            Activation::Named(Named::Relu) => r,
            _ => self.formula().value(x, 0.0),
        }
    }

    /// f'(x).
    pub fn derivative(self, x: f64) -> f64 {
        let on = if x > 0.0 { 1.0 } else { 0.0 };
        match self {
            Activation::Named(Named::SquaredRelu) => on * (2.0 * x),
            Activation::Named(Named::Relu) => on,
            _ => self.formula().slope(x, 0.0),
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Activation::Named(named) => f.write_str(named.name()),
            Activation::Typed(formula) => f.write_str(formula.text()),
        }
    }
}

impl fmt::Debug for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_of_microgpt_py_are_their_formulas() {
        for named in [Named::SquaredRelu, Named::Relu] {
            let (f, formula) = (Activation::from(named), named.formula());
            for x in [-2.0, -0.0, 0.0, 0.3, 7.1] {
                assert_eq!(
                    (f.f(x), f.derivative(x)),
                    (formula.value(x, 0.0), formula.slope(x, 0.0)),
                    "{named} of {x}"
                );
            }
        }
    }

    #[test]
    fn formulas_are_read_back_and_kept_once() {
        let text = "x * sigmoid(1.702*x)";
        let f = Activation::parse(text).unwrap();
        assert_eq!(f.to_string(), text);
        let Activation::Typed(kept) = f else { panic!("{f:?}") };
        let Activation::Typed(again) = Activation::parse(&f.to_string()).unwrap() else { panic!("{f:?}") };
        assert!(std::ptr::eq(kept, again));
        assert_eq!(Activation::parse("squared-relu").unwrap(), Named::SquaredRelu.into());
        assert!(Activation::parse("swiglu").unwrap().gated() && !f.gated());
    }
}
