//! A norm with its place in the parameters.

use crate::layout::Layout;
use crate::norm::Norm;
use crate::tensor::{Engine, Shape, Tensor};

/// A norm somewhere in the model.
#[derive(Debug, Clone)]
pub struct NormAt {
    norm: Norm,
    /// Where each of its parameters stands.
    params: Vec<(usize, Shape)>,
    layer: Option<usize>,
    name: &'static str,
}

impl NormAt {
    /// The norm of that name: of a layer, or of what comes before and after the layers.
    ///
    /// # Panics
    /// If the layout lacks one of its parameters.
    pub fn new(layout: &Layout, norm: Norm, layer: Option<usize>, name: &'static str) -> NormAt {
        let whole = layer.map_or(name.to_string(), |layer| format!("layer{layer}.{name}"));
        let params = norm.formula().params.iter().map(|param| {
            let matrix = layout.find(&format!("{whole}_{}", param.name)).expect("a parameter of the layout");
            (matrix.offset, matrix.shape)
        });
        NormAt { norm, params: params.collect(), layer, name }
    }

    /// Each row of x, normed.
    pub fn forward<'e>(&self, engine: &'e dyn Engine, x: Tensor<'e>) -> Tensor<'e> {
        let param = |i: usize| Tensor::param(engine, self.params[i].0, self.params[i].1);
        let y = (self.norm.formula().apply)(x, &param);
        // What is left as it is keeps its name.
        if y.id() == x.id() { y } else { y.named(self.layer, self.name) }
    }
}
