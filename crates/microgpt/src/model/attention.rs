//! Attention: a token asks (query) what it needs to know, finds who has it (key), and takes it (value).
//!
//! Nothing else in the model carries information from one token to another.

use crate::config::Config;
use crate::layout::Layout;
use crate::model::linear::Linear;
use crate::position::Position;
use crate::sight::{AttentionKind, Sight};
use crate::tensor::{Engine, Tensor};

/// One layer's attention.
#[derive(Debug, Clone)]
pub struct Attention {
    layer: usize,
    kind: AttentionKind,
    sight: Sight,
    /// The base of rotary positions, if that is what they are.
    rotary: Option<f64>,
    wqkv: Linear,
    wo: Linear,
}

impl Attention {
    /// That of layer `layer`.
    ///
    /// # Panics
    /// If the layout has no such layer.
    pub fn new(config: &Config, layout: &Layout, layer: usize) -> Attention {
        let wqkv = Linear::new(layout, layer, &["attn_wq", "attn_wk", "attn_wv"]);
        let wo = Linear::new(layout, layer, &["attn_wo"]);
        let rotary = (config.position == Position::Rotary).then_some(config.rope_base);
        Attention { layer, kind: config.attention, sight: config.sight(), rotary, wqkv, wo }
    }

    /// `[T, C]` to `[T, C]`: x, and what each token has found added to it.
    pub fn forward<'e>(&self, engine: &'e dyn Engine, x: Tensor<'e>) -> Tensor<'e> {
        let (c, layer, sight) = (x.shape().cols, Some(self.layer), self.sight);
        let shared = c / sight.group();
        let qkv = self.wqkv.forward(engine, x.rmsnorm().named(layer, "attn_norm"));
        let (heads, kv_heads) = (sight.heads(), sight.kv_heads as usize);
        let q = self.placed(qkv.columns(0, c).named(layer, "q"), heads);
        let k = self.placed(qkv.columns(c, shared).named(layer, "k"), kv_heads).remember(2 * self.layer);
        let v = qkv.columns(c + shared, shared).named(layer, "v").remember(2 * self.layer + 1);
        let found = match self.kind {
            AttentionKind::Softmax => q.attention(k, v, sight, self.layer),
            AttentionKind::Linear => q.linear_attention(k, v, sight, self.layer),
        };
        self.wo.onto(engine, found.named(layer, "attn_found"), x).named(layer, "stream_mid")
    }

    /// Queries or keys with what they are to say of their position, and as this kind of attention wants them.
    fn placed<'e>(&self, x: Tensor<'e>, heads: usize) -> Tensor<'e> {
        let x = self.rotary.map_or(x, |base| x.rotate(heads, base));
        if self.kind == AttentionKind::Linear { x.feature() } else { x }
    }
}
