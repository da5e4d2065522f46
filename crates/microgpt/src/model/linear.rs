//! A linear map with its place in the parameters: y = W x.

use crate::layout::Layout;
use crate::tensor::{Engine, Shape, Tensor};

/// Where a matrix stands, or several that stand one after the other.
#[derive(Debug, Clone)]
pub struct Linear {
    offset: usize,
    shape: Shape,
}

impl Linear {
    /// The map by these matrices of a layer, which together are one: the outputs of each beside those of the one before.
    ///
    /// # Panics
    /// If the layout has no such matrices, or they do not stand one after the other.
    pub fn new(layout: &Layout, layer: usize, names: &[&str]) -> Linear {
        let find =
            |name: &&str| layout.find(&format!("layer{layer}.{name}")).expect("a matrix of the layout");
        let first = find(&names[0]);
        let rows = names.iter().fold(0, |rows, name| {
            let matrix = find(name);
            assert_eq!(matrix.offset, first.offset + rows * first.shape.cols, "{names:?} stand together");
            rows + matrix.shape.rows
        });
        Linear { offset: first.offset, shape: Shape::new(rows, first.shape.cols) }
    }

    fn weights<'e>(&self, engine: &'e dyn Engine) -> Tensor<'e> {
        Tensor::param(engine, self.offset, self.shape)
    }

    /// `[T, I]` to `[T, O]`.
    pub fn forward<'e>(&self, engine: &'e dyn Engine, x: Tensor<'e>) -> Tensor<'e> {
        x.linear(self.weights(engine))
    }

    /// The same, added to what is there.
    pub fn onto<'e>(&self, engine: &'e dyn Engine, x: Tensor<'e>, onto: Tensor<'e>) -> Tensor<'e> {
        x.linear_onto(self.weights(engine), onto)
    }
}
