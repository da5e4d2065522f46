//! Attention: a token asks (query) what it needs to know, finds who has it (key), and takes it (value).
//!
//! Nothing else in the model carries information from one token to another.

use crate::layout::Layout;
use crate::model::linear::Linear;
use crate::tensor::{Engine, Tensor};

/// One layer's attention.
#[derive(Debug, Clone)]
pub struct Attention {
    layer: usize,
    heads: usize,
    wqkv: Linear,
    wo: Linear,
}

impl Attention {
    /// That of layer `layer`.
    ///
    /// # Panics
    /// If the layout has no such layer.
    pub fn new(layout: &Layout, layer: usize, heads: usize) -> Attention {
        let wqkv = Linear::new(layout, layer, &["attn_wq", "attn_wk", "attn_wv"]);
        Attention { layer, heads, wqkv, wo: Linear::new(layout, layer, &["attn_wo"]) }
    }

    /// `[T, C]` to `[T, C]`: x, and what each token has found added to it.
    pub fn forward<'e>(&self, engine: &'e dyn Engine, x: Tensor<'e>) -> Tensor<'e> {
        let (c, layer) = (x.shape().cols, Some(self.layer));
        let qkv = self.wqkv.forward(engine, x.rmsnorm().named(layer, "attn_norm"));
        let q = qkv.columns(0, c).named(layer, "q");
        let k = qkv.columns(c, c).named(layer, "k").remember(2 * self.layer);
        let v = qkv.columns(2 * c, c).named(layer, "v").remember(2 * self.layer + 1);
        let found = q.attention(k, v, self.heads, self.layer).named(layer, "attn_found");
        self.wo.onto(engine, found, x).named(layer, "stream_mid")
    }
}
