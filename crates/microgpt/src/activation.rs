//! The non-linear function inside the MLP: f and f' of each, once for all engines.

use crate::real::pow;

choices! {
    /// What the MLP does between its two matrices. Without it, the two would be no more than one.
    pub enum Activation: "activation" {
        /// max(x, 0)^2 (So et al., "Primer", 2021)
        SquaredRelu = "squared_relu",
        /// max(x, 0) (Nair and Hinton, 2010)
        Relu = "relu",
    }
}

impl Activation {
    /// f(x).
    pub fn f(self, x: f64) -> f64 {
        let r = if x > 0.0 { x } else { 0.0 };
        match self {
            // The C library's pow, as microgpt.py uses it; see `real`.
            Activation::SquaredRelu => pow(r, 2.0),
            Activation::Relu => r,
        }
    }

    /// f'(x).
    pub fn derivative(self, x: f64) -> f64 {
        let on = if x > 0.0 { 1.0 } else { 0.0 };
        match self {
            Activation::SquaredRelu => on * (2.0 * x),
            Activation::Relu => on,
        }
    }
}
