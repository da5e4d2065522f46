//! The whole model: embeddings, layers, logits.

use crate::batch::Batch;
use crate::config::Config;
use crate::layout::Layout;
use crate::model::layer::{Layer, Whole};
use crate::model::norm::NormAt;
use crate::norm::Norm;
use crate::position::Position;
use crate::tensor::{Engine, Index, Op, Shape, Tensor};

/// A GPT: what stands where in the flat slice of parameters, and what is computed with it.
#[derive(Debug, Clone)]
pub struct Gpt {
    /// Names and places of all parameters.
    pub layout: Layout,
    wte: (usize, Shape),
    /// Where learned positions stand.
    wpe: Option<(usize, Shape)>,
    position: Position,
    block_size: usize,
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
    /// The model of these settings over an alphabet of `vocab_size` tokens.
    pub fn new(config: &Config, vocab_size: usize) -> Gpt {
        let layout = Layout::new(config, vocab_size);
        let find = |name: &str| {
            let matrix = layout.find(name).expect("a matrix of the layout");
            (matrix.offset, matrix.shape)
        };
        let norm = |name| NormAt::new(&layout, config.norm, None, name);
        let layers: Vec<Layer> = (0..config.n_layer).map(|i| Layer::new(config, &layout, i)).collect();
        let [wte, lm_head] = ["wte", if config.tied { "wte" } else { "lm_head" }].map(find);
        let wpe = (config.position == Position::Learned).then(|| find("wpe"));
        let embed = config.embd_norm && config.norm == Norm::RmsNorm;
        let common = embed && config.dropout == 0.0 && !config.final_norm;
        Gpt {
            wte,
            wpe,
            position: config.position,
            block_size: config.block_size,
            memory_cols: config.n_embd / config.sight().group(),
            lm_head,
            embed,
            embd_norm: config.embd_norm.then(|| norm("embd_norm")),
            dropout: config.dropout,
            whole: wpe.filter(|_| common).and_then(|wpe| whole([wte, wpe, lm_head], &layers)),
            layers,
            final_norm: config.final_norm.then(|| norm("final_norm")),
            layout,
        }
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
        self.wte.1.rows
    }

    /// C: how many numbers describe a token.
    pub fn n_embd(&self) -> usize {
        self.wte.1.cols
    }

    /// The longest context.
    pub fn block_size(&self) -> usize {
        self.block_size
    }

    /// The logits of each row's next token, `[T, V]`.
    pub fn forward<'e>(&self, engine: &'e dyn Engine, batch: &Batch) -> Tensor<'e> {
        let definition = || {
            let param = |(offset, shape)| Tensor::param(engine, offset, shape);
            let (wte, wpe, lm_head) = (param(self.wte), self.wpe.map(param), param(self.lm_head));
            let mut x = match wpe {
                Some(wpe) if self.embed => wte.embed(wpe, batch.rows()),
                _ => {
                    let sum = self.placed(engine, wte, wpe, batch.rows());
                    self.embd_norm
                        .as_ref()
                        .map_or(sum, |norm| norm.forward(engine, sum))
                        .named(None, "embedded")
                }
            };
            x = x.dropout(self.dropout, 0);
            for layer in &self.layers {
                x = layer.forward(engine, x);
            }
            if let Some(norm) = &self.final_norm {
                x = norm.forward(engine, x);
            }
            x.linear(lm_head)
        };
        let shape = Shape::new(batch.rows(), self.vocab_size());
        let logits = match self.whole {
            Some(op) => Tensor::from_params(engine, op, shape, definition),
            None => definition(),
        };
        logits.named(None, "logits")
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
        let (what, cols) = (wte.gather(Index::Tokens, rows).named(None, "token"), self.n_embd());
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
