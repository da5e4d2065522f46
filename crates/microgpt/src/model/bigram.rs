//! Bigrams by learning: the logits after a token are a row of a table.
//!
//! ```text
//! logits = w[token]
//! ```
//!
//! It can say no more than the counts can, and comes to the same probabilities; but it is a network already, one linear
//! map of a token's one-hot vector.

use crate::batch::Batch;
use crate::layout::Layout;
use crate::model::{Network, param};
use crate::tensor::{Engine, Index, Shape, Tensor};

/// The table of logits.
#[derive(Debug)]
pub struct Bigram {
    table: (usize, Shape),
}

impl Bigram {
    /// The model of this layout.
    ///
    /// # Panics
    /// If the layout is another model's.
    pub fn new(layout: &Layout) -> Bigram {
        Bigram { table: param(layout, "bigram") }
    }
}

impl Network for Bigram {
    fn forward<'e>(&self, engine: &'e dyn Engine, batch: &Batch) -> Tensor<'e> {
        Tensor::param(engine, self.table.0, self.table.1).gather(Index::Tokens, batch.rows())
    }
}
