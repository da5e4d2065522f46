//! The models: from tokens to logits, each written once for every engine.
//!
//! The transformer is `gpt` and what stands before it; what comes after it are its ancestors.

pub mod linear;
pub mod norm;
pub mod branch;
pub mod attention;
pub mod mlp;
pub mod layer;
pub mod gpt;
pub mod bigram_counts;
pub mod bigram;
pub mod context_mlp;
pub mod recurrent;

use crate::batch::Batch;
use crate::cell::Cell;
use crate::config::Config;
use crate::family::Family;
use crate::layout::Layout;
use crate::tensor::{Engine, Shape, Tensor};
use std::fmt::Debug;
use std::sync::Arc;

/// What is computed with the parameters.
pub trait Network: Debug + Send + Sync {
    /// The logits of each row's next token, `[T, V]`.
    fn forward<'e>(&self, engine: &'e dyn Engine, batch: &Batch) -> Tensor<'e>;

    /// What learning descends on, if not the cross entropy of the logits. `[1, 1]`: a sum over the rows of the batch.
    fn objective<'e>(&self, _engine: &'e dyn Engine, _batch: &Batch) -> Option<Tensor<'e>> {
        None
    }

    /// The logits of a stream that is not yet through all layers, as if it were.
    fn read_out<'e>(&self, _engine: &'e dyn Engine, _stream: Tensor<'e>) -> Option<Tensor<'e>> {
        None
    }

    /// How many memories decoding needs, each with a row for each token, and how many numbers a row has.
    fn memory(&self) -> (usize, usize) {
        (0, 0)
    }
}

/// A model: what stands where in the flat slice of parameters, and what is computed with it.
#[derive(Debug, Clone)]
pub struct Model {
    /// Names and places of all parameters.
    pub layout: Layout,
    network: Arc<dyn Network>,
    vocab_size: usize,
    n_embd: usize,
    block_size: usize,
}

impl Model {
    /// The model of these settings over an alphabet of `vocab_size` tokens.
    pub fn new(config: &Config, vocab_size: usize) -> Model {
        let layout = Layout::new(config, vocab_size);
        let network: Arc<dyn Network> = match config.model {
            Family::Gpt => Arc::new(gpt::Gpt::new(config, &layout)),
            Family::BigramCounts => Arc::new(bigram_counts::BigramCounts::new(&layout)),
            Family::Bigram => Arc::new(bigram::Bigram::new(&layout)),
            Family::Mlp => Arc::new(context_mlp::ContextMlp::new(config, &layout)),
            Family::Rnn => Arc::new(recurrent::Recurrent::new(config, &layout, Cell::Rnn)),
            Family::Gru => Arc::new(recurrent::Recurrent::new(config, &layout, Cell::Gru)),
        };
        let Config { n_embd, block_size, .. } = *config;
        Model { layout, network, vocab_size, n_embd, block_size }
    }

    /// How many memories decoding needs: a transformer's keys and values, a recurrent network's states.
    pub fn memory_slots(&self) -> usize {
        self.network.memory().0
    }

    /// How many numbers a row of each has.
    pub fn memory_cols(&self) -> usize {
        self.network.memory().1
    }

    /// V: how many tokens there are.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// C: how many numbers describe a token.
    pub fn n_embd(&self) -> usize {
        self.n_embd
    }

    /// The longest context.
    pub fn block_size(&self) -> usize {
        self.block_size
    }

    /// The logits of each row's next token, `[T, V]`.
    pub fn forward<'e>(&self, engine: &'e dyn Engine, batch: &Batch) -> Tensor<'e> {
        self.network.forward(engine, batch).named(None, "logits")
    }

    /// The stream at any layer read through the output head: the logits that it would have if it were the last. None for a
    /// model without a stream.
    ///
    /// nostalgebraist, "interpreting GPT: the logit lens" (2020).
    pub fn read_out<'e>(&self, engine: &'e dyn Engine, stream: Tensor<'e>) -> Option<Tensor<'e>> {
        self.network.read_out(engine, stream)
    }

    /// The cross entropy of the logits, and what to descend on: the same, unless the model has an objective of its own.
    pub fn loss<'e>(&self, engine: &'e dyn Engine, batch: &Batch) -> [Tensor<'e>; 2] {
        // The objective comes first: what is computed after it has no part in its gradient.
        let objective = self.network.objective(engine, batch);
        let loss = self.forward(engine, batch).cross_entropy();
        [loss, objective.unwrap_or(loss)]
    }
}

/// Where the matrix of that name stands.
fn param(layout: &Layout, name: &str) -> (usize, Shape) {
    let matrix = layout.find(name).unwrap_or_else(|| panic!("{name}: a matrix of the layout"));
    (matrix.offset, matrix.shape)
}
