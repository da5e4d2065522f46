//! The MLP: a token thinks about what it has found, on its own.

use crate::activation::Activation;
use crate::config::Config;
use crate::layout::Layout;
use crate::model::branch::{Branch, Half};
use crate::model::linear::Linear;
use crate::tensor::{Engine, Tensor};

/// One layer's MLP.
#[derive(Debug, Clone)]
pub struct Mlp {
    layer: usize,
    activation: Activation,
    branch: Branch,
    fc1: Linear,
    /// What the gate is made of, if the activation has one.
    gate: Option<Linear>,
    fc2: Linear,
}

impl Mlp {
    /// That of layer `layer`.
    ///
    /// # Panics
    /// If the layout has no such layer.
    pub fn new(config: &Config, layout: &Layout, layer: usize) -> Mlp {
        let linear = |name: &str| Linear::new(layout, layer, &[name]);
        let (activation, branch) = (config.activation, Branch::new(config, layout, layer, Half::Mlp));
        let gate = activation.gated().then(|| linear("mlp_gate"));
        Mlp { layer, activation, branch, fc1: linear("mlp_fc1"), gate, fc2: linear("mlp_fc2") }
    }

    /// `[T, C]` to `[T, C]`: x + fc2 f(fc1 norm(x)), or with a gate x + fc2 f(fc1 norm(x), gate norm(x)).
    pub fn forward<'e>(&self, engine: &'e dyn Engine, x: Tensor<'e>) -> Tensor<'e> {
        let layer = Some(self.layer);
        let entered = self.branch.enter(engine, x);
        let hidden = self.fc1.forward(engine, entered).named(layer, "mlp_hidden");
        let active = match &self.gate {
            None => hidden.activate(self.activation),
            Some(gate) => {
                hidden.gate(gate.forward(engine, entered).named(layer, "mlp_gate"), self.activation)
            }
        };
        self.branch.leave(engine, &self.fc2, active.named(layer, "mlp_active"), x).named(layer, "stream")
    }
}
