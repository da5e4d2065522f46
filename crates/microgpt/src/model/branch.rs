//! A half of a layer and the stream: what it works on, and how it adds what it has found.

use crate::config::Config;
use crate::layout::Layout;
use crate::model::linear::Linear;
use crate::model::norm::NormAt;
use crate::norm::NormPlace;
use crate::tensor::{Engine, Tensor};

/// Which half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// Attention.
    Attn,
    /// The MLP.
    Mlp,
}

/// Around one half of a layer.
#[derive(Debug, Clone)]
pub struct Branch {
    place: NormPlace,
    norm: NormAt,
    norm_out: Option<NormAt>,
    scale: f64,
    dropout: f64,
    /// Which dropout of the model: 0 is that of the embeddings.
    number: usize,
}

impl Branch {
    /// That of one half of layer `layer`.
    ///
    /// # Panics
    /// If the layout has no such layer.
    pub fn new(config: &Config, layout: &Layout, layer: usize, half: Half) -> Branch {
        let (name, name_out) = match half {
            Half::Attn => ("attn_norm", "attn_norm_out"),
            Half::Mlp => ("mlp_norm", "mlp_norm_out"),
        };
        let norm = |name| NormAt::new(layout, config.norm, Some(layer), name);
        Branch {
            place: config.norm_place,
            norm: norm(name),
            norm_out: (config.norm_place == NormPlace::Both).then(|| norm(name_out)),
            scale: config.residual_scale,
            dropout: config.dropout,
            number: 1 + 2 * layer + half as usize,
        }
    }

    /// What this half works on: the stream, normed, unless the norm comes after.
    pub fn enter<'e>(&self, engine: &'e dyn Engine, x: Tensor<'e>) -> Tensor<'e> {
        if self.place == NormPlace::Post { x } else { self.norm.forward(engine, x) }
    }

    /// The stream x with W found + b added to it: normed, thinned out and scaled, as far as the settings say so.
    pub fn leave<'e>(
        &self,
        engine: &'e dyn Engine,
        out: &Linear,
        found: Tensor<'e>,
        x: Tensor<'e>,
    ) -> Tensor<'e> {
        if self.norm_out.is_none() && self.scale == 1.0 && self.dropout == 0.0 {
            return self.after(engine, out.onto(engine, found, x));
        }
        let mut add = out.forward(engine, found);
        if let Some(norm) = &self.norm_out {
            add = norm.forward(engine, add);
        }
        add = add.dropout(self.dropout, self.number);
        if self.scale != 1.0 {
            add = add.affine(self.scale, 0.0);
        }
        self.after(engine, add + x)
    }

    fn after<'e>(&self, engine: &'e dyn Engine, x: Tensor<'e>) -> Tensor<'e> {
        if self.place == NormPlace::Post { self.norm.forward(engine, x) } else { x }
    }
}
