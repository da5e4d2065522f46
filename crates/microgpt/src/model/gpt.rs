//! The whole model: embeddings, layers, logits.

use crate::batch::Batch;
use crate::config::Config;
use crate::layout::Layout;
use crate::model::layer::Layer;
use crate::model::norm::NormAt;
use crate::norm::Norm;
use crate::tensor::{Engine, Shape, Tensor};

/// A GPT: what stands where in the flat slice of parameters, and what is computed with it.
#[derive(Debug, Clone)]
pub struct Gpt {
    /// Names and places of all parameters.
    pub layout: Layout,
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
    /// The model of these settings over an alphabet of `vocab_size` tokens.
    pub fn new(config: &Config, vocab_size: usize) -> Gpt {
        let layout = Layout::new(config, vocab_size);
        let find = |name: &str| {
            let matrix = layout.find(name).expect("a matrix of the layout");
            (matrix.offset, matrix.shape)
        };
        let norm = |name| NormAt::new(&layout, config.norm, None, name);
        Gpt {
            wte: find("wte"),
            wpe: find("wpe"),
            lm_head: find(if config.tied { "wte" } else { "lm_head" }),
            embed: config.embd_norm && config.norm == Norm::RmsNorm,
            embd_norm: config.embd_norm.then(|| norm("embd_norm")),
            dropout: config.dropout,
            layers: (0..config.n_layer).map(|i| Layer::new(config, &layout, i)).collect(),
            final_norm: config.final_norm.then(|| norm("final_norm")),
            layout,
        }
    }

    /// How many memories decoding needs: the keys and the values of each layer.
    pub fn memory_slots(&self) -> usize {
        2 * self.layers.len()
    }

    /// V: how many tokens there are.
    pub fn vocab_size(&self) -> usize {
        self.wte.1.rows
    }

    /// C: how many numbers describe a token.
    pub fn n_embd(&self) -> usize {
        self.wte.1.cols
    }

    /// How many positions there are.
    pub fn block_size(&self) -> usize {
        self.wpe.1.rows
    }

    /// The logits of each row's next token, `[T, V]`.
    pub fn forward<'e>(&self, engine: &'e dyn Engine, batch: &Batch) -> Tensor<'e> {
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
        x.linear(lm_head).named(None, "logits")
    }
}
