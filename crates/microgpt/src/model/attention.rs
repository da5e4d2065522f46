//! Attention: a token asks (query) what it needs to know, finds who has it (key), and takes it (value).
//!
//! Nothing else in the model carries information from one token to another.

use crate::config::Config;
use crate::layout::Layout;
use crate::model::branch::{Branch, Half};
use crate::model::linear::Linear;
use crate::model::norm::NormAt;
use crate::tensor::{Engine, Shape, Tensor};

/// One layer's attention.
#[derive(Debug, Clone)]
pub struct Attention {
    layer: usize,
    heads: usize,
    branch: Branch,
    wqkv: Linear,
    /// Of each head's queries and keys.
    qk_norm: Option<[NormAt; 2]>,
    wo: Linear,
}

impl Attention {
    /// That of layer `layer`.
    ///
    /// # Panics
    /// If the layout has no such layer.
    pub fn new(config: &Config, layout: &Layout, layer: usize) -> Attention {
        let norm = |name| NormAt::new(layout, config.norm, Some(layer), name);
        Attention {
            layer,
            heads: config.n_head,
            branch: Branch::new(config, layout, layer, Half::Attn),
            wqkv: Linear::new(layout, layer, &["attn_wq", "attn_wk", "attn_wv"]),
            qk_norm: config.qk_norm.then(|| [norm("attn_q_norm"), norm("attn_k_norm")]),
            wo: Linear::new(layout, layer, &["attn_wo"]),
        }
    }

    /// `[T, C]` to `[T, C]`: x, and what each token has found added to it.
    pub fn forward<'e>(&self, engine: &'e dyn Engine, x: Tensor<'e>) -> Tensor<'e> {
        let (c, layer) = (x.shape().cols, Some(self.layer));
        let qkv = self.wqkv.forward(engine, self.branch.enter(engine, x));
        let [q, k] = [0, 1].map(|i| self.norm_heads(engine, qkv.columns(i * c, c), i));
        let q = q.named(layer, "q");
        let k = k.named(layer, "k").remember(2 * self.layer);
        let v = qkv.columns(2 * c, c).named(layer, "v").remember(2 * self.layer + 1);
        let found = q.attention(k, v, self.heads, self.layer).named(layer, "attn_found");
        self.branch.leave(engine, &self.wo, found, x).named(layer, "stream_mid")
    }

    /// Queries (0) or keys (1), each head's normed where the settings say so.
    fn norm_heads<'e>(&self, engine: &'e dyn Engine, x: Tensor<'e>, which: usize) -> Tensor<'e> {
        let Some(norms) = &self.qk_norm else { return x };
        let Shape { cols, .. } = x.shape();
        norms[which].forward(engine, x.reshape(cols / self.heads)).reshape(cols)
    }
}
