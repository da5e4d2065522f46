//! The whole model: embeddings, layers, logits.

use crate::batch::Batch;
use crate::config::Config;
use crate::layout::Layout;
use crate::model::layer::Layer;
use crate::tensor::{Engine, Op, Shape, Tensor};

/// A GPT: what stands where in the flat slice of parameters, and what is computed with it.
#[derive(Debug, Clone)]
pub struct Gpt {
    /// Names and places of all parameters.
    pub layout: Layout,
    layers: Vec<Layer>,
    /// What an engine needs to know that computes all of it in one go.
    op: Op,
}

impl Gpt {
    /// The model of these settings over an alphabet of `vocab_size` tokens.
    ///
    /// # Panics
    /// If there is no layer, or there are 2^32 parameters.
    pub fn new(config: &Config, vocab_size: usize) -> Gpt {
        let layout = Layout::new(config, vocab_size);
        let layers: Vec<Layer> = (0..config.n_layer).map(|i| Layer::new(config, &layout, i)).collect();
        let small = |n: usize| u32::try_from(n).expect("a place below 2^32");
        let [tokens, places, head] = [0, 1, 2].map(|i| small(layout.matrices()[i].offset));
        let &Layer { offset, hidden, heads, f, .. } = &layers[0];
        let [positions, outputs, channels, count] =
            [config.block_size, vocab_size, config.n_embd, layers.len()].map(small);
        let layer_len = (layout.len() - offset as usize) / layers.len();
        let in_turn = |(i, layer): (usize, &Layer)| layer.offset as usize == offset as usize + i * layer_len;
        assert!(layers.iter().enumerate().all(in_turn), "layers stand one after the other, and last");
        let (layers_at, tables) = (offset, [tokens, places, head]);
        let op =
            Op::Model { tables, positions, outputs, layers_at, layers: count, channels, hidden, heads, f };
        Gpt { layout, layers, op }
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
        let shape = Shape::new(batch.rows(), self.vocab_size());
        Tensor::from_params(engine, self.op, shape, || {
            let [wte, wpe, lm_head] = [0, 1, 2].map(|i| {
                let matrix = &self.layout.matrices()[i];
                Tensor::param(engine, matrix.offset, Shape::new(matrix.shape.rows, matrix.shape.cols))
            });
            let mut x = wte.embed(wpe, batch.rows());
            for layer in &self.layers {
                x = layer.forward(engine, x);
            }
            x.linear(lm_head)
        })
        .named(None, "logits")
    }
}
