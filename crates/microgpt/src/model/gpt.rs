//! The whole model: embeddings, layers, logits.

use crate::batch::Batch;
use crate::config::Config;
use crate::layout::Layout;
use crate::model::layer::Layer;
use crate::tensor::{Engine, Shape, Tensor};

/// A GPT: what stands where in the flat slice of parameters, and what is computed with it.
#[derive(Debug, Clone)]
pub struct Gpt {
    /// Names and places of all parameters.
    pub layout: Layout,
    layers: Vec<Layer>,
}

impl Gpt {
    /// The model of these settings over an alphabet of `vocab_size` tokens.
    pub fn new(config: &Config, vocab_size: usize) -> Gpt {
        let layout = Layout::new(config, vocab_size);
        let layers = (0..config.n_layer).map(|i| Layer::new(config, &layout, i)).collect();
        Gpt { layout, layers }
    }

    /// How many memories decoding needs: the keys and the values of each layer.
    pub fn memory_slots(&self) -> usize {
        2 * self.layers.len()
    }

    /// V: how many tokens there are.
    pub fn vocab_size(&self) -> usize {
        self.layout.matrices()[0].shape.rows
    }

    /// C: how many numbers describe a token.
    pub fn n_embd(&self) -> usize {
        self.layout.matrices()[0].shape.cols
    }

    /// How many positions there are.
    pub fn block_size(&self) -> usize {
        self.layout.matrices()[1].shape.rows
    }

    /// The logits of each row's next token, `[T, V]`.
    pub fn forward<'e>(&self, engine: &'e dyn Engine, batch: &Batch) -> Tensor<'e> {
        let [wte, wpe, lm_head] = [0, 1, 2].map(|i| {
            let matrix = &self.layout.matrices()[i];
            Tensor::param(engine, matrix.offset, Shape::new(matrix.shape.rows, matrix.shape.cols))
        });
        let mut x = wte.embed(wpe, batch.rows());
        for layer in &self.layers {
            x = layer.forward(engine, x);
        }
        x.linear(lm_head).named(None, "logits")
    }
}
