//! A layer: the tokens look around, then each thinks about what it has found.

use crate::activation::Activation;
use crate::config::Config;
use crate::layout::Layout;
use crate::model::{attention::Attention, mlp::Mlp};
use crate::position::Position;
use crate::sight::{AttentionKind, Sight};
use crate::tensor::{Engine, Op, Tensor};

/// The two halves of a layer.
#[derive(Debug, Clone)]
pub struct Layer {
    layer: usize,
    attention: Attention,
    mlp: Mlp,
    /// Is it the one that an engine may have a kernel for, which computes all of it in one go?
    whole: bool,
    /// What that kernel needs to know.
    offset: u32,
    hidden: u32,
    heads: u32,
    f: Activation,
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
        let (heads, f) = (config.n_head, config.activation);
        let whole = config.sight() == Sight::plain(heads)
            && config.attention == AttentionKind::Softmax
            && config.position != Position::Rotary;
        let len = (4 * c + 2 * hidden) * c;
        assert!(!whole || last.range().end - offset == len, "a layer's matrices stand together");
        let (attention, mlp) = (Attention::new(config, layout, layer), Mlp::new(layout, layer, f));
        let [offset, hidden, heads] =
            [offset, hidden, heads].map(|n| u32::try_from(n).expect("a place below 2^32"));
        Layer { layer, attention, mlp, whole, offset, hidden, heads, f }
    }

    /// `[T, C]` to `[T, C]`.
    pub fn forward<'e>(&self, engine: &'e dyn Engine, x: Tensor<'e>) -> Tensor<'e> {
        let &Layer { offset, hidden, heads, f, layer, .. } = self;
        let op = Op::Layer { x: x.id(), offset, hidden, heads, f, slot: 2 * layer as u32 };
        let halves = || self.mlp.forward(engine, self.attention.forward(engine, x));
        let y = if self.whole { x.composite(op, x.shape(), halves) } else { halves() };
        y.named(Some(layer), "stream")
    }
}
