//! The non-linear function inside the MLP, each with its derivative, once for all engines.

use crate::choices;

choices! {
    /// f and f' of each activation. Without one, two layers of an MLP would be no more than one.
    pub enum Activation: "activation" {
        /// max(x, 0)^2 (So et al., "Primer", 2021)
        SquaredRelu = "squared_relu",
        /// max(x, 0) (Nair and Hinton, 2010)
        Relu = "relu",
    }
}
