//! An MLP that sees a fixed number of tokens: what was learnt of one token serves for those that are like it.
//!
//! ```text
//! x = e[token], e[the one before], ...          `context` embeddings side by side; zeros before a document's beginning
//! h = f(W1 x + b1)                              `mlp_hidden` numbers; as many such layers as `n_layer` says
//! logits = W2 h + b2
//! ```
//!
//! Bengio et al., "A Neural Probabilistic Language Model" (2003), without the optional maps from x to the logits. There f
//! is tanh; here it is what `activation` says.

use crate::activation::Activation;
use crate::batch::Batch;
use crate::config::Config;
use crate::layout::Layout;
use crate::model::linear::Linear;
use crate::model::{Network, param};
use crate::tensor::{Engine, Index, Shape, Tensor};

/// Embeddings, hidden layers, logits.
#[derive(Debug)]
pub struct ContextMlp {
    wte: (usize, Shape),
    context: usize,
    hidden: Vec<Linear>,
    lm_head: Linear,
    activation: Activation,
    dropout: f64,
}

impl ContextMlp {
    /// The model of these settings.
    ///
    /// # Panics
    /// If the layout is another model's.
    pub fn new(config: &Config, layout: &Layout) -> ContextMlp {
        ContextMlp {
            wte: param(layout, "wte"),
            context: config.context,
            hidden: (0..config.n_layer).map(|i| Linear::new(layout, i, &["mlp_fc1"])).collect(),
            lm_head: Linear::named(layout, "lm_head"),
            activation: config.activation,
            dropout: config.dropout,
        }
    }
}

impl Network for ContextMlp {
    fn forward<'e>(&self, engine: &'e dyn Engine, batch: &Batch) -> Tensor<'e> {
        let wte = Tensor::param(engine, self.wte.0, self.wte.1);
        let token = wte.gather(Index::Tokens, batch.rows()).named(None, "token").dropout(self.dropout, 0);
        let mut x = token.remember(0).window(self.context, batch.rows()).named(None, "window");
        for (i, linear) in self.hidden.iter().enumerate() {
            let hidden = linear.forward(engine, x).named(Some(i), "mlp_hidden");
            let active = hidden.activate(self.activation).named(Some(i), "mlp_active");
            x = active.dropout(self.dropout, 1 + i);
        }
        self.lm_head.forward(engine, x)
    }

    fn memory(&self) -> (usize, usize) {
        (1, self.wte.1.cols)
    }
}
