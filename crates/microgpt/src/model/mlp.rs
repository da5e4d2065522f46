//! The MLP: a token thinks about what it has found, on its own.

use crate::activation::Activation;
use crate::layout::Layout;
use crate::model::linear::Linear;
use crate::tensor::{Engine, Tensor};

/// One layer's MLP.
#[derive(Debug, Clone)]
pub struct Mlp {
    layer: usize,
    activation: Activation,
    fc1: Linear,
    fc2: Linear,
}

impl Mlp {
    /// That of layer `layer`.
    ///
    /// # Panics
    /// If the layout has no such layer.
    pub fn new(layout: &Layout, layer: usize, activation: Activation) -> Mlp {
        let linear = |name: &str| Linear::new(layout, layer, &[name]);
        Mlp { layer, activation, fc1: linear("mlp_fc1"), fc2: linear("mlp_fc2") }
    }

    /// `[T, C]` to `[T, C]`: x + fc2 f(fc1 norm(x)).
    pub fn forward<'e>(&self, engine: &'e dyn Engine, x: Tensor<'e>) -> Tensor<'e> {
        let layer = Some(self.layer);
        let hidden =
            self.fc1.forward(engine, x.rmsnorm().named(layer, "mlp_norm")).named(layer, "mlp_hidden");
        let active = hidden.activate(self.activation).named(layer, "mlp_active");
        self.fc2.onto(engine, active, x).named(layer, "stream")
    }
}
