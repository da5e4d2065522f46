//! Attention: a token asks (query) what it needs to know, finds who has it (key), and takes it (value).
//!
//! Nothing else in the model carries information from one token to another.

use crate::layout::Layout;
use crate::tensor::{Engine, Shape, Tensor};

/// The places of one layer's matrices.
#[derive(Debug, Clone)]
pub struct Attention {
    layer: usize,
    heads: usize,
    cols: usize,
    /// attn_wq, attn_wk and attn_wv stand one after the other: together they are one matrix `[3C, C]`.
    wqkv: usize,
    wo: usize,
}

impl Attention {
    /// That of layer `layer`.
    ///
    /// # Panics
    /// If the layout has no such layer.
    pub fn new(layout: &Layout, layer: usize, heads: usize) -> Attention {
        let find = |name: &str| layout.find(&format!("layer{layer}.{name}")).expect("a layer of the layout");
        let (wq, wo) = (find("attn_wq"), find("attn_wo"));
        assert_eq!(find("attn_wv").range().end - wq.offset, 3 * wq.shape.len(), "q, k and v stand together");
        Attention { layer, heads, cols: wq.shape.cols, wqkv: wq.offset, wo: wo.offset }
    }

    /// `[T, C]` to `[T, C]`: x, and what each token has found added to it.
    pub fn forward<'e>(&self, engine: &'e dyn Engine, x: Tensor<'e>) -> Tensor<'e> {
        let (c, layer) = (self.cols, Some(self.layer));
        let wqkv = Tensor::param(engine, self.wqkv, Shape::new(3 * c, c));
        let wo = Tensor::param(engine, self.wo, Shape::new(c, c));
        let qkv = x.rmsnorm().named(layer, "attn_norm").linear(wqkv);
        let q = qkv.columns(0, c).named(layer, "q");
        let k = qkv.columns(c, c).named(layer, "k").remember(2 * self.layer);
        let v = qkv.columns(2 * c, c).named(layer, "v").remember(2 * self.layer + 1);
        let found = q.attention(k, v, self.heads, self.layer).named(layer, "attn_found");
        found.linear_onto(wo, x).named(layer, "stream_mid")
    }
}
