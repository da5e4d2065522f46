//! The whole model: embeddings, layers, logits.

use crate::batch::Batch;
use crate::config::Config;
use crate::layout::Layout;
use crate::model::layer::Layer;
use crate::model::norm::NormAt;
use crate::model::{Network, param};
use crate::norm::Norm;
use crate::tensor::{Engine, Shape, Tensor};

/// A GPT.
#[derive(Debug)]
pub struct Gpt {
    wte: (usize, Shape),
    wpe: (usize, Shape),
    lm_head: (usize, Shape),
    /// Token and position are normed as [`Tensor::embed`] does it; else by this, if by anything.
    embed: bool,
    embd_norm: Option<NormAt>,
    dropout: f64,
    layers: Vec<Layer>,
    final_norm: Option<NormAt>,
}

impl Gpt {
    /// The model of these settings.
    ///
    /// # Panics
    /// If the layout is another model's.
    pub fn new(config: &Config, layout: &Layout) -> Gpt {
        let norm = |name| NormAt::new(layout, config.norm, None, name);
        Gpt {
            wte: param(layout, "wte"),
            wpe: param(layout, "wpe"),
            lm_head: param(layout, if config.tied { "wte" } else { "lm_head" }),
            embed: config.embd_norm && config.norm == Norm::RmsNorm,
            embd_norm: config.embd_norm.then(|| norm("embd_norm")),
            dropout: config.dropout,
            layers: (0..config.n_layer).map(|i| Layer::new(config, layout, i)).collect(),
            final_norm: config.final_norm.then(|| norm("final_norm")),
        }
    }
}

impl Network for Gpt {
    fn forward<'e>(&self, engine: &'e dyn Engine, batch: &Batch) -> Tensor<'e> {
        let [wte, wpe, lm_head] =
            [self.wte, self.wpe, self.lm_head].map(|(offset, shape)| Tensor::param(engine, offset, shape));
        let mut x = if self.embed {
            wte.embed(wpe, batch.rows())
        } else {
            let [what, place] = wte.what_and_place(wpe, batch.rows());
            let sum = what + place;
            self.embd_norm.as_ref().map_or(sum, |norm| norm.forward(engine, sum)).named(None, "embedded")
        };
        x = x.dropout(self.dropout, 0);
        for layer in &self.layers {
            x = layer.forward(engine, x);
        }
        if let Some(norm) = &self.final_norm {
            x = norm.forward(engine, x);
        }
        x.linear(lm_head)
    }

    /// The keys and the values of each layer.
    fn memory_slots(&self) -> usize {
        2 * self.layers.len()
    }
}
