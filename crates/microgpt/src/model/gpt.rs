//! The whole model: embeddings, layers, logits.

use crate::batch::Batch;
use crate::config::Config;
use crate::layout::Layout;
use crate::model::layer::{Layer, Whole};
use crate::model::norm::NormAt;
use crate::model::{Network, param};
use crate::norm::Norm;
use crate::position::Position;
use crate::tensor::{Engine, Index, Op, Shape, Tensor};

/// A GPT.
#[derive(Debug)]
pub struct Gpt {
    wte: (usize, Shape),
    /// Where learned positions stand.
    wpe: Option<(usize, Shape)>,
    position: Position,
    /// Numbers of a row of keys, and of one of values.
    memory_cols: usize,
    lm_head: (usize, Shape),
    /// Token and position are normed as [`Tensor::embed`] does it; else by this, if by anything.
    embed: bool,
    embd_norm: Option<NormAt>,
    dropout: f64,
    layers: Vec<Layer>,
    final_norm: Option<NormAt>,
    /// What an engine needs to know that computes all of the common model in one go.
    whole: Option<Op>,
}

/// The whole model as one operation, if all its layers are common and stand one after the other.
fn whole(tables: [(usize, Shape); 3], layers: &[Layer]) -> Option<Op> {
    let small = |n: usize| u32::try_from(n).ok();
    let first = layers.first()?.whole?;
    let (vocab, positions) = (tables[0].1, small(tables[1].1.rows)?);
    let (outputs, channels) = (small(vocab.rows)?, small(vocab.cols)?);
    let each = (4 * vocab.cols + 2 * first.hidden as usize) * vocab.cols;
    let in_turn = |(i, layer): (usize, &Layer)| {
        layer.whole.is_some_and(|whole| whole.offset as usize == first.offset as usize + i * each)
    };
    let Whole { offset: layers_at, hidden, heads, f } = first;
    let tables = [small(tables[0].0)?, small(tables[1].0)?, small(tables[2].0)?];
    let count = small(layers.len())?;
    let op = Op::Model { tables, positions, outputs, layers_at, layers: count, channels, hidden, heads, f };
    layers.iter().enumerate().all(in_turn).then_some(op)
}

impl Gpt {
    /// The model of these settings.
    ///
    /// # Panics
    /// If the layout is another model's.
    pub fn new(config: &Config, layout: &Layout) -> Gpt {
        let norm = |name| NormAt::new(layout, config.norm, None, name);
        let [wte, lm_head] =
            ["wte", if config.tied { "wte" } else { "lm_head" }].map(|name| param(layout, name));
        let wpe = (config.position == Position::Learned).then(|| param(layout, "wpe"));
        let layers: Vec<Layer> = (0..config.n_layer).map(|i| Layer::new(config, layout, i)).collect();
        let embed = config.embd_norm && config.norm == Norm::RmsNorm;
        let common = embed && config.dropout == 0.0 && !config.final_norm;
        Gpt {
            wte,
            wpe,
            position: config.position,
            memory_cols: config.n_embd / config.sight().group(),
            lm_head,
            embed,
            embd_norm: config.embd_norm.then(|| norm("embd_norm")),
            dropout: config.dropout,
            whole: wpe.filter(|_| common).and_then(|wpe| whole([wte, wpe, lm_head], &layers)),
            layers,
            final_norm: config.final_norm.then(|| norm("final_norm")),
        }
    }

    /// Embeddings, layers, logits.
    fn parts<'e>(&self, engine: &'e dyn Engine, batch: &Batch) -> Tensor<'e> {
        let param = |(offset, shape)| Tensor::param(engine, offset, shape);
        let (wte, wpe, lm_head) = (param(self.wte), self.wpe.map(param), param(self.lm_head));
        let mut x = match wpe {
            Some(wpe) if self.embed => wte.embed(wpe, batch.rows()),
            _ => {
                let sum = self.placed(engine, wte, wpe, batch.rows());
                self.embd_norm.as_ref().map_or(sum, |norm| norm.forward(engine, sum)).named(None, "embedded")
            }
        };
        x = x.dropout(self.dropout, 0);
        for layer in &self.layers {
            x = layer.forward(engine, x);
        }
        self.head(engine, x, lm_head)
    }

    /// From the stream to the logits.
    fn head<'e>(&self, engine: &'e dyn Engine, mut x: Tensor<'e>, lm_head: Tensor<'e>) -> Tensor<'e> {
        if let Some(norm) = &self.final_norm {
            x = norm.forward(engine, x);
        }
        x.linear(lm_head)
    }

    /// What each token is, and where it stands if that is said here: `[T, C]`.
    fn placed<'e>(
        &self,
        engine: &'e dyn Engine,
        wte: Tensor<'e>,
        wpe: Option<Tensor<'e>>,
        rows: usize,
    ) -> Tensor<'e> {
        if let Some(wpe) = wpe {
            let [what, place] = wte.what_and_place(wpe, rows);
            return what + place;
        }
        let (what, cols) = (wte.gather(Index::Tokens, rows).named(None, "token"), self.wte.1.cols);
        match self.position {
            // The tokens' rows become as large as the sines that are added (Vaswani et al., 2017, section 3.4).
            Position::Sinusoidal => {
                let place = Tensor::sinusoids(engine, rows, cols).named(None, "position");
                what.affine((cols as f64).sqrt(), 0.0) + place
            }
            _ => what,
        }
    }
}

impl Network for Gpt {
    fn forward<'e>(&self, engine: &'e dyn Engine, batch: &Batch) -> Tensor<'e> {
        let parts = || self.parts(engine, batch);
        let Some(op) = self.whole else { return parts() };
        Tensor::from_params(engine, op, Shape::new(batch.rows(), self.wte.1.rows), parts)
    }

    fn read_out<'e>(&self, engine: &'e dyn Engine, stream: Tensor<'e>) -> Option<Tensor<'e>> {
        Some(self.head(engine, stream, Tensor::param(engine, self.lm_head.0, self.lm_head.1)))
    }

    /// The keys and the values of each layer.
    fn memory(&self) -> (usize, usize) {
        (2 * self.layers.len(), self.memory_cols)
    }
}
