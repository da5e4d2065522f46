//! Bigrams by counting: how often did each token follow the last one?
//!
//! ```text
//! p(b after a) = (n[a, b] + 1) / sum over b of (n[a, b] + 1)
//! ```
//!
//! Shannon, "A Mathematical Theory of Communication" (1948); one is added to each count, as Laplace did, so that what was
//! never seen stays possible. The logits are ln(n + 1), of which softmax makes these probabilities.
//!
//! To count is to descend, too: of the objective -(sum of n\[a, b] over the pairs of the batch) the gradient is -1 for
//! each pair, and a step of plain gradient descent at rate 1 adds 1. So counting goes through the same loop, workers and
//! checkpoints as learning does. In f32 the counts are exact up to 16,777,216.

use crate::batch::Batch;
use crate::layout::Layout;
use crate::model::{Network, param};
use crate::tensor::{Engine, Index, Shape, Tensor};

/// The table of counts.
#[derive(Debug)]
pub struct BigramCounts {
    counts: (usize, Shape),
}

impl BigramCounts {
    /// The model of this layout.
    ///
    /// # Panics
    /// If the layout is another model's.
    pub fn new(layout: &Layout) -> BigramCounts {
        BigramCounts { counts: param(layout, "counts") }
    }

    /// A row of counts for each token, `[T, V]`.
    fn seen<'e>(&self, engine: &'e dyn Engine, batch: &Batch) -> Tensor<'e> {
        Tensor::param(engine, self.counts.0, self.counts.1).gather(Index::Tokens, batch.rows())
    }
}

impl Network for BigramCounts {
    fn forward<'e>(&self, engine: &'e dyn Engine, batch: &Batch) -> Tensor<'e> {
        self.seen(engine, batch).named(None, "seen").affine(1.0, 1.0).ln()
    }

    fn objective<'e>(&self, engine: &'e dyn Engine, batch: &Batch) -> Option<Tensor<'e>> {
        Some(self.seen(engine, batch).pick(Index::Targets).total().affine(-1.0, 0.0).named(None, "objective"))
    }
}
