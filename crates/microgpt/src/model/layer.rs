//! A layer: the tokens look around, then each thinks about what it has found.

use crate::activation::Activation;
use crate::config::Config;
use crate::layout::Layout;
use crate::model::{attention::Attention, mlp::Mlp};
use crate::tensor::{Engine, Op, Tensor};

/// The two halves of a layer.
#[derive(Debug, Clone)]
pub struct Layer {
    layer: usize,
    attention: Attention,
    mlp: Mlp,
    /// What an engine needs to know that computes all of it in one go.
    pub(super) offset: u32,
    pub(super) hidden: u32,
    pub(super) heads: u32,
    pub(super) f: Activation,
}

impl Layer {
    /// Layer `layer` of these settings.
    ///
    /// # Panics
    /// If the layout has no such layer, its matrices do not stand one after the other, or there are 2^32 parameters.
    pub fn new(config: &Config, layout: &Layout, layer: usize) -> Layer {
        let find = |name: &str| layout.find(&format!("layer{layer}.{name}")).expect("a layer of the layout");
        let (first, fc1, last) = (find("attn_wq"), find("mlp_fc1"), find("mlp_fc2"));
        let (c, hidden, offset) = (first.shape.cols, fc1.shape.rows, first.offset);
        assert_eq!(last.range().end - offset, (4 * c + 2 * hidden) * c, "a layer's matrices stand together");
        let (heads, f) = (config.n_head, config.activation);
        let (attention, mlp) = (Attention::new(layout, layer, heads), Mlp::new(layout, layer, f));
        let [offset, hidden, heads] =
            [offset, hidden, heads].map(|n| u32::try_from(n).expect("a place below 2^32"));
        Layer { layer, attention, mlp, offset, hidden, heads, f }
    }

    /// `[T, C]` to `[T, C]`.
    pub fn forward<'e>(&self, engine: &'e dyn Engine, x: Tensor<'e>) -> Tensor<'e> {
        let &Layer { offset, hidden, heads, f, layer, .. } = self;
        let op = Op::Layer { x: x.id(), offset, hidden, heads, f, slot: 2 * layer as u32 };
        x.composite(op, x.shape(), || self.mlp.forward(engine, self.attention.forward(engine, x)))
            .named(Some(layer), "stream")
    }
}
