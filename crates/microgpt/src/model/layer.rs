//! A layer: the tokens look around, then each thinks about what it has found.

use crate::activation::Activation;
use crate::config::Config;
use crate::layout::Layout;
use crate::model::{attention::Attention, mlp::Mlp};
use crate::norm::{Norm, NormPlace};
use crate::position::Position;
use crate::sight::{AttentionKind, Sight};
use crate::tensor::{Engine, Op, Tensor};

/// The two halves of a layer.
#[derive(Debug, Clone)]
pub struct Layer {
    layer: usize,
    attention: Attention,
    mlp: Mlp,
    /// Only of a common layer.
    pub(super) whole: Option<Whole>,
}

/// What an engine needs to know that computes all of a layer in one go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole {
    pub(super) offset: u32,
    pub(super) hidden: u32,
    pub(super) heads: u32,
    pub(super) f: Activation,
}

/// Is a layer of these settings the common one, [`Op::Layer`]? Whatever else can be chosen is computed part by part.
fn is_common(config: &Config) -> bool {
    !config.activation.gated()
        && config.sight() == Sight::plain(config.n_head)
        && config.attention == AttentionKind::Softmax
        && config.position != Position::Rotary
        && config.norm == Norm::RmsNorm
        && config.norm_place == NormPlace::Pre
        && !config.qk_norm
        && !config.bias
        && config.residual_scale == 1.0
        && config.dropout == 0.0
}

impl Whole {
    fn new(config: &Config, layout: &Layout, layer: usize) -> Whole {
        let find = |name: &str| layout.find(&format!("layer{layer}.{name}")).expect("a layer of the layout");
        let (first, last) = (find("attn_wq"), find("mlp_fc2"));
        let (c, hidden, offset) = (config.n_embd, config.hidden(), first.offset);
        assert_eq!(last.range().end - offset, (4 * c + 2 * hidden) * c, "a layer's matrices stand together");
        let [offset, hidden, heads] =
            [offset, hidden, config.n_head].map(|n| u32::try_from(n).expect("a place below 2^32"));
        Whole { offset, hidden, heads, f: config.activation }
    }
}

impl Layer {
    /// Layer `layer` of these settings.
    ///
    /// # Panics
    /// If the layout has no such layer, its matrices do not stand one after the other, or there are 2^32 parameters.
    pub fn new(config: &Config, layout: &Layout, layer: usize) -> Layer {
        let (attention, mlp) = (Attention::new(config, layout, layer), Mlp::new(config, layout, layer));
        Layer { layer, attention, mlp, whole: is_common(config).then(|| Whole::new(config, layout, layer)) }
    }

    /// `[T, C]` to `[T, C]`.
    pub fn forward<'e>(&self, engine: &'e dyn Engine, x: Tensor<'e>) -> Tensor<'e> {
        let parts = || self.mlp.forward(engine, self.attention.forward(engine, x));
        let Some(Whole { offset, hidden, heads, f }) = self.whole else { return parts() };
        let op = Op::Layer { x: x.id(), offset, hidden, heads, f, slot: 2 * self.layer as u32 };
        x.composite(op, x.shape(), parts).named(Some(self.layer), "stream")
    }
}
