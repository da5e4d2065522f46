//! A linear map with its place in the parameters: y = W x, or y = W x + b.

use crate::layout::Layout;
use crate::tensor::{Engine, Op, Shape, Tensor};

/// Where a matrix stands, or several that stand one after the other, and where its bias.
#[derive(Debug, Clone)]
pub struct Linear {
    offset: usize,
    shape: Shape,
    bias: Option<usize>,
}

impl Linear {
    /// The map by these matrices of a layer, which together are one: the outputs of each beside those of the one before.
    /// It has a bias where the layout has one (`attn_wo_bias`).
    ///
    /// # Panics
    /// If the layout has no such matrices, or they do not stand one after the other.
    pub fn new(layout: &Layout, layer: usize, names: &[&str]) -> Linear {
        let find = |name: &str, end: &str| layout.find(&format!("layer{layer}.{name}{end}"));
        let matrix = |name: &str| find(name, "").expect("a matrix of the layout");
        let (first, bias) = (matrix(names[0]), find(names[0], "_bias").map(|bias| bias.offset));
        let rows = names.iter().fold(0, |rows, name| {
            let (matrix, own) = (matrix(name), find(name, "_bias").map(|bias| bias.offset));
            assert_eq!(matrix.offset, first.offset + rows * first.shape.cols, "{names:?} stand together");
            assert_eq!(own, bias.map(|bias| bias + rows), "the biases of {names:?} stand together");
            rows + matrix.shape.rows
        });
        Linear { offset: first.offset, shape: Shape::new(rows, first.shape.cols), bias }
    }

    fn weights<'e>(&self, engine: &'e dyn Engine) -> Tensor<'e> {
        Tensor::param(engine, self.offset, self.shape)
    }

    /// `[T, I]` to `[T, O]`.
    pub fn forward<'e>(&self, engine: &'e dyn Engine, x: Tensor<'e>) -> Tensor<'e> {
        let w = self.weights(engine);
        let Some(bias) = self.bias else { return x.linear(w) };
        let bias = Tensor::param(engine, bias, Shape::new(1, self.shape.rows));
        let op = Op::LinearBias { x: x.id(), w: w.id(), bias: bias.id() };
        x.composite(op, Shape::new(x.shape().rows, self.shape.rows), || x.linear(w) + bias)
    }

    /// The same, added to what is there.
    pub fn onto<'e>(&self, engine: &'e dyn Engine, x: Tensor<'e>, onto: Tensor<'e>) -> Tensor<'e> {
        match self.bias {
            None => x.linear_onto(self.weights(engine), onto),
            Some(_) => self.forward(engine, x) + onto,
        }
    }
}
