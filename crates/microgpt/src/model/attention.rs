//! Attention: a token asks (query) what it needs to know, finds who has it (key), and takes it (value).
//!
//! Nothing else in the model carries information from one token to another.

use crate::config::Config;
use crate::layout::Layout;
use crate::model::branch::{Branch, Half};
use crate::model::linear::Linear;
use crate::model::norm::NormAt;
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
            kind: config.attention,
            sight: config.sight(),
            rotary: (config.position == Position::Rotary).then_some(config.rope_base),
            branch: Branch::new(config, layout, layer, Half::Attn),
            wqkv: Linear::new(layout, layer, &["attn_wq", "attn_wk", "attn_wv"]),
            qk_norm: config.qk_norm.then(|| [norm("attn_q_norm"), norm("attn_k_norm")]),
            wo: Linear::new(layout, layer, &["attn_wo"]),
        }
    }

    /// `[T, C]` to `[T, C]`: x, and what each token has found added to it.
    pub fn forward<'e>(&self, engine: &'e dyn Engine, x: Tensor<'e>) -> Tensor<'e> {
        let (c, layer, sight) = (x.shape().cols, Some(self.layer), self.sight);
        // Keys and values, of which heads may share one.
        let shared = c / sight.group();
        let qkv = self.wqkv.forward(engine, self.branch.enter(engine, x));
        let [q, k] = [(0, c), (c, shared)].map(|(start, cols)| qkv.columns(start, cols));
        let q = self.prepared(engine, q, 0).named(layer, "q");
        let k = self.prepared(engine, k, 1).named(layer, "k").remember(2 * self.layer);
        let v = qkv.columns(c + shared, shared).named(layer, "v").remember(2 * self.layer + 1);
        let found = match self.kind {
            AttentionKind::Softmax => q.attention(k, v, sight, self.layer),
            AttentionKind::Linear => q.linear_attention(k, v, sight, self.layer),
        };
        self.branch.leave(engine, &self.wo, found.named(layer, "attn_found"), x).named(layer, "stream_mid")
    }

    /// Queries (0) or keys (1) as the settings want them: each head's normed; turned by their position; positive.
    fn prepared<'e>(&self, engine: &'e dyn Engine, mut x: Tensor<'e>, which: usize) -> Tensor<'e> {
        let (cols, heads) = (x.shape().cols, [self.sight.heads(), self.sight.kv_heads as usize][which]);
        if let Some(norms) = &self.qk_norm {
            x = norms[which].forward(engine, x.reshape(cols / heads)).reshape(cols);
        }
        if let Some(base) = self.rotary {
            x = x.rotate(heads, base);
        }
        if self.kind == AttentionKind::Linear { x.feature() } else { x }
    }
}
