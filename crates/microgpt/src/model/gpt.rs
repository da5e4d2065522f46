//! The whole model: embeddings, layers, logits.

use crate::batch::Batch;
use crate::config::Config;
use crate::layout::Layout;
use crate::model::layer::Layer;
use crate::position::Position;
use crate::tensor::{Engine, Index, Tensor};

/// A GPT: what stands where in the flat slice of parameters, and what is computed with it.
#[derive(Debug, Clone)]
pub struct Gpt {
    /// Names and places of all parameters.
    pub layout: Layout,
    position: Position,
    block_size: usize,
    /// Numbers of a row of keys, and of one of values.
    memory_cols: usize,
    layers: Vec<Layer>,
}

impl Gpt {
    /// The model of these settings over an alphabet of `vocab_size` tokens.
    pub fn new(config: &Config, vocab_size: usize) -> Gpt {
        let layout = Layout::new(config, vocab_size);
        let layers = (0..config.n_layer).map(|i| Layer::new(config, &layout, i)).collect();
        let memory_cols = config.n_embd / config.sight().group();
        Gpt { layout, position: config.position, block_size: config.block_size, memory_cols, layers }
    }

    /// How many memories decoding needs: the keys and the values of each layer.
    pub fn memory_slots(&self) -> usize {
        2 * self.layers.len()
    }

    /// How many numbers a row of each has.
    pub fn memory_cols(&self) -> usize {
        self.memory_cols
    }

    /// V: how many tokens there are.
    pub fn vocab_size(&self) -> usize {
        self.layout.matrices()[0].shape.rows
    }

    /// C: how many numbers describe a token.
    pub fn n_embd(&self) -> usize {
        self.layout.matrices()[0].shape.cols
    }

    /// The longest context.
    pub fn block_size(&self) -> usize {
        self.block_size
    }

    /// The logits of each row's next token, `[T, V]`.
    pub fn forward<'e>(&self, engine: &'e dyn Engine, batch: &Batch) -> Tensor<'e> {
        let table = |name: &str| {
            let matrix = self.layout.find(name).expect("a matrix of the layout");
            Tensor::param(engine, matrix.offset, matrix.shape)
        };
        let (rows, wte) = (batch.rows(), table("wte"));
        let mut x = match self.position {
            Position::Learned => wte.embed(table("wpe"), rows),
            position => {
                let mut x = wte.gather(Index::Tokens, rows).named(None, "token");
                if position == Position::Sinusoidal {
                    // As large as the sines and cosines that are added (Vaswani et al., 2017, section 3.4).
                    let (scale, cols) = ((self.n_embd() as f64).sqrt(), self.n_embd());
                    x = x.affine(scale, 0.0) + Tensor::sinusoids(engine, rows, cols).named(None, "position");
                }
                x.rmsnorm().named(None, "embedded")
            }
        };
        for layer in &self.layers {
            x = layer.forward(engine, x);
        }
        x.linear(table("lm_head")).named(None, "logits")
    }
}
