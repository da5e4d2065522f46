//! The MLP: a token thinks about what it has found, on its own.

use crate::activation::Activation;
use crate::layout::Layout;
use crate::tensor::{Engine, Shape, Tensor};

/// The places of one layer's matrices.
#[derive(Debug, Clone)]
pub struct Mlp {
    layer: usize,
    activation: Activation,
    fc1: (usize, Shape),
    fc2: (usize, Shape),
}

impl Mlp {
    /// That of layer `layer`.
    ///
    /// # Panics
    /// If the layout has no such layer.
    pub fn new(layout: &Layout, layer: usize, activation: Activation) -> Mlp {
        let find = |name: &str| {
            let matrix = layout.find(&format!("layer{layer}.{name}")).expect("a layer of the layout");
            (matrix.offset, matrix.shape)
        };
        Mlp { layer, activation, fc1: find("mlp_fc1"), fc2: find("mlp_fc2") }
    }

    /// `[T, C]` to `[T, C]`: x + fc2 f(fc1 norm(x)).
    pub fn forward<'e>(&self, engine: &'e dyn Engine, x: Tensor<'e>) -> Tensor<'e> {
        let layer = Some(self.layer);
        let fc1 = Tensor::param(engine, self.fc1.0, self.fc1.1);
        let fc2 = Tensor::param(engine, self.fc2.0, self.fc2.1);
        let hidden = x.rmsnorm().named(layer, "mlp_norm").linear(fc1).named(layer, "mlp_hidden");
        let active = hidden.activate(self.activation).named(layer, "mlp_active");
        active.linear_onto(fc2, x).named(layer, "stream")
    }
}
