//! Networks with a state: what was read is in `n_embd` numbers, however long ago it was.
//!
//! ```text
//! x = e[token]
//! h[t] = cell(W x[t] + b, U h[t-1] + c, h[t-1])      in each layer, whose h is the next one's x; 0 before the first
//! logits = V h
//! ```
//!
//! The cells and their papers are in [`crate::cell`]. Gradients go back through all of a document (Werbos, 1990); no
//! document is longer than `block_size`, which is the longest context here as it is everywhere.

use crate::batch::Batch;
use crate::cell::Cell;
use crate::config::Config;
use crate::layout::Layout;
use crate::model::linear::Linear;
use crate::model::{Network, param};
use crate::tensor::{Engine, Index, Shape, Tensor};

/// Embeddings, layers of cells, logits.
#[derive(Debug)]
pub struct Recurrent {
    wte: (usize, Shape),
    lm_head: (usize, Shape),
    cell: Cell,
    layers: Vec<Layer>,
    dropout: f64,
}

/// One layer's maps: of what comes in, and of the state.
#[derive(Debug)]
struct Layer {
    w: Linear,
    u: (usize, Shape),
    c: (usize, Shape),
}

impl Recurrent {
    /// The model of these settings, with this cell.
    ///
    /// # Panics
    /// If the layout is another model's.
    pub fn new(config: &Config, layout: &Layout, cell: Cell) -> Recurrent {
        let layer = |i: usize| Layer {
            w: Linear::new(layout, i, &["cell_w"]),
            u: param(layout, &format!("layer{i}.cell_u")),
            c: param(layout, &format!("layer{i}.cell_u_bias")),
        };
        Recurrent {
            wte: param(layout, "wte"),
            lm_head: param(layout, if config.tied { "wte" } else { "lm_head" }),
            cell,
            layers: (0..config.n_layer).map(layer).collect(),
            dropout: config.dropout,
        }
    }
}

impl Network for Recurrent {
    fn forward<'e>(&self, engine: &'e dyn Engine, batch: &Batch) -> Tensor<'e> {
        let param = |(offset, shape)| Tensor::param(engine, offset, shape);
        let token = param(self.wte).gather(Index::Tokens, batch.rows()).named(None, "token");
        let mut x = token.dropout(self.dropout, 0);
        for (i, layer) in self.layers.iter().enumerate() {
            let input = layer.w.forward(engine, x).named(Some(i), "cell_input");
            let state = input.recur(self.cell, param(layer.u), param(layer.c), i).named(Some(i), "state");
            x = state.dropout(self.dropout, 1 + i);
        }
        x.linear(param(self.lm_head))
    }

    fn read_out<'e>(&self, engine: &'e dyn Engine, stream: Tensor<'e>) -> Option<Tensor<'e>> {
        Some(stream.linear(Tensor::param(engine, self.lm_head.0, self.lm_head.1)))
    }

    fn memory(&self) -> (usize, usize) {
        (self.layers.len(), self.wte.1.cols)
    }
}
