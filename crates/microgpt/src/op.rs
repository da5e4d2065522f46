//! The closed list of operations, and what they are about: shapes, names, lists of the batch.
//!
//! Letters: T rows (tokens of all documents, one after the other), C channels (`n_embd`), H heads, D channels of a
//! head (`head_dim`), V tokens of the alphabet, S the longest context. A tensor is a table, `[rows, columns]`.

use crate::{activation::Activation, batch::Batch, cell::Cell, sight::Sight};
use std::fmt;

/// Rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// How many rows.
    pub rows: usize,
    /// How many columns.
    pub cols: usize,
}

impl Shape {
    /// `[rows, cols]`.
    pub fn new(rows: usize, cols: usize) -> Shape {
        Shape { rows, cols }
    }

    /// How many numbers.
    #[expect(clippy::len_without_is_empty, reason = "no tensor is empty")]
    pub fn len(self) -> usize {
        self.rows * self.cols
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}]", self.rows, self.cols)
    }
}

/// What a matrix of parameters is for: an optimiser may treat one kind otherwise than another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A table with a row for each token or position.
    Embedding,
    /// A linear map.
    Weight,
    /// Factors, of which a norm has one for each channel.
    Gain,
    /// What is added, a number for each channel.
    Bias,
    /// How often something was seen.
    Count,
}

/// Which tensor of this step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(pub u32);

/// A list of the batch, one entry a row, that an operation looks things up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Index {
    /// The token of each row.
    Tokens,
    /// Its position in its document.
    Positions,
    /// The token that follows it.
    Targets,
}

impl Index {
    /// That list.
    pub fn of(self, batch: &Batch) -> &[u32] {
        match self {
            Index::Tokens => &batch.tokens,
            Index::Positions => &batch.positions,
            Index::Targets => &batch.targets,
        }
    }
}

/// Every operation there is. The primitives come first; each engine has one arm for each, forward and backward.
///
/// The composites are shortcuts: what they compute is written below in primitives, as a method of [`crate::tensor::Tensor`], and an
/// engine may have a kernel for them ([`crate::tensor::Engine::fuses`]).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Op {
    /// Parameters, from `offset` of the flat slice on.
    Param {
        /// The first number's place.
        offset: usize,
    },
    /// y\[r] = w\[index\[r]]: a row of the table for each row of the batch.
    Gather {
        /// The table.
        w: Id,
        /// Which rows of it.
        by: Index,
    },
    /// y\[r] = x\[r, index\[r]]: one number of each row.
    Pick {
        /// The table.
        x: Id,
        /// Which columns of it.
        by: Index,
    },
    /// Some columns of a tensor: another name for the same numbers.
    Columns {
        /// Of what.
        x: Id,
        /// The first.
        start: usize,
    },
    /// The rows of all that was remembered in this slot, after x has been added (decoding).
    Remember {
        /// What is new.
        x: Id,
        /// Which memory: two for each layer.
        slot: usize,
    },
    /// a + b; b may be one row or one column (or both), which then counts for every one of a.
    Add(Id, Id),
    /// a * b, number by number; b may be one row or one column, as in a + b.
    Mul(Id, Id),
    /// a / b, as a times b to the -1; b may be one column.
    Div(Id, Id),
    /// x * scale + shift.
    Affine {
        /// What.
        x: Id,
        /// The factor.
        scale: f64,
        /// What is added.
        shift: f64,
    },
    /// x to a power that is a plain number.
    Pow {
        /// The base.
        x: Id,
        /// The exponent.
        exponent: f64,
    },
    /// e to the x.
    Exp(Id),
    /// The natural logarithm.
    Ln(Id),
    /// The hyperbolic tangent.
    Tanh(Id),
    /// elu(x) + 1: x + 1 above 0, e^x below.
    Feature(Id),
    /// The same numbers, row after row, in rows of another length.
    Reshape(Id),
    /// x / (1 - rate), or 0 by chance: of so many one. See [`crate::batch::Batch::row_keys`] for which.
    Dropout {
        /// What.
        x: Id,
        /// The part that becomes 0.
        rate: f64,
        /// Where in the model: the same numbers fall out elsewhere.
        place: u32,
    },
    /// f(x).
    Activate {
        /// What.
        x: Id,
        /// The function.
        f: Activation,
    },
    /// f(x, g), number by number.
    Gate {
        /// What.
        x: Id,
        /// The gate.
        g: Id,
        /// The function.
        f: Activation,
    },
    /// x - max(x), row by row, where the maximum is taken as a plain number: no gradient goes through it.
    OffMax(Id),
    /// The sum of each row: `[rows, 1]`.
    Sum(Id),
    /// The sum of all numbers: `[1, 1]`.
    Total(Id),
    /// sum(a * b), row by row: `[rows, 1]`.
    Dot(Id, Id),
    /// y\[t, o] = sum over i of w\[o, i] x\[t, i].
    Linear {
        /// `[T, I]`.
        x: Id,
        /// `[O, I]`: a row for each output.
        w: Id,
    },
    /// z\[(t, h), s] = sum over j of q\[t, h, j] k\[s, h', j], for each token s in t's sight; elsewhere `hidden`. h' is the
    /// head of keys that serves h.
    Scores {
        /// Queries `[T, C]`.
        q: Id,
        /// Keys.
        k: Id,
        /// Heads, and what is in sight.
        sight: Sight,
        /// What stands where nothing is in sight.
        hidden: f64,
    },
    /// y\[(t, h), s] = x\[(t, h), s] - slope\[h] (t - s), for each token s in t's sight; elsewhere -inf.
    Recede {
        /// Scores.
        x: Id,
        /// Heads, what is in sight, whether there are slopes.
        sight: Sight,
    },
    /// y\[t, h, j] = sum over s of a\[(t, h), s] v\[s, h', j].
    Mix {
        /// Weights, one row for each token and head.
        a: Id,
        /// Values.
        v: Id,
        /// Heads, and what is in sight.
        sight: Sight,
    },
    /// Pairs of numbers of each head, turned by an angle that grows with the position: [`crate::tensor::Tensor::rotate`].
    Rotate {
        /// Queries or keys.
        x: Id,
        /// How many heads.
        heads: u32,
        /// The angles' base.
        base: f64,
    },
    /// The fixed row of each row's position: [`crate::tensor::Tensor::sinusoids`].
    Sinusoids,
    /// y\[t] = x\[t], x\[t-1], ..., x\[t-width+1], side by side; 0 before t's document begins.
    Window {
        /// What, in decoding with all that was remembered.
        x: Id,
        /// How many rows.
        width: usize,
    },
    /// h\[t] = cell(x\[t], u h\[t-1] + c, h\[t-1]); before a document's first row, h is 0 or what was remembered (decoding).
    Recur {
        /// What comes in, `[T, G C]`.
        x: Id,
        /// `[G C, C]`.
        u: Id,
        /// `[1, G C]`.
        c: Id,
        /// How a state follows, and G.
        cell: Cell,
        /// Which memory has the states.
        slot: usize,
    },

    /// Composite: [`crate::tensor::Tensor::embed`].
    Embed {
        /// The table of tokens.
        tokens: Id,
        /// The table of positions.
        places: Id,
    },
    /// Composite: [`crate::tensor::Tensor::linear_onto`].
    LinearOnto {
        /// `[T, I]`.
        x: Id,
        /// `[O, I]`.
        w: Id,
        /// `[T, O]`.
        onto: Id,
    },
    /// Composite: [`crate::model::linear::Linear::forward`] with a bias.
    LinearBias {
        /// `[T, I]`.
        x: Id,
        /// `[O, I]`.
        w: Id,
        /// `[1, O]`.
        bias: Id,
    },
    /// Composite: [`crate::tensor::Tensor::rmsnorm`].
    RmsNorm(Id),
    /// Composite: [`crate::norm`]'s `rmsnorm_gain`.
    RmsNormGain {
        /// `[T, C]`.
        x: Id,
        /// `[1, C]`.
        gain: Id,
    },
    /// Composite: [`crate::norm`]'s `layernorm`.
    LayerNorm {
        /// `[T, C]`.
        x: Id,
        /// `[1, C]`.
        gain: Id,
        /// `[1, C]`.
        bias: Id,
    },
    /// Composite: [`crate::norm`]'s `dynamic_tanh`.
    DynamicTanh {
        /// `[T, C]`.
        x: Id,
        /// `[1, 1]`.
        alpha: Id,
        /// `[1, C]`.
        gain: Id,
        /// `[1, C]`.
        bias: Id,
    },
    /// Composite: [`crate::tensor::Tensor::attention`].
    Attention {
        /// Queries.
        q: Id,
        /// Keys.
        k: Id,
        /// Values.
        v: Id,
        /// Heads, and what is in sight.
        sight: Sight,
    },
    /// Composite: [`crate::tensor::Tensor::linear_attention`].
    LinearAttention {
        /// Queries, positive.
        q: Id,
        /// Keys, positive.
        k: Id,
        /// Values.
        v: Id,
        /// Heads.
        sight: Sight,
    },
    /// Composite: [`crate::tensor::Tensor::cross_entropy`].
    CrossEntropy(Id),
    /// Composite: [`crate::model::layer::Layer::forward`], a whole layer.
    Layer {
        /// `[T, C]`.
        x: Id,
        /// Where its matrices stand in the flat slice: wq, wk, wv, wo, fc1, fc2, one after the other.
        offset: u32,
        /// Numbers inside the MLP.
        hidden: u32,
        /// H.
        heads: u32,
        /// The MLP's function.
        f: Activation,
        /// Which memory is that of its keys; that of its values is the next.
        slot: u32,
    },
    /// Composite: [`crate::model::Model::forward`], the whole model (decoding).
    Model {
        /// Where the tables of tokens and positions stand in the flat slice, and the matrix from a row to logits.
        tables: [u32; 3],
        /// How many positions there are.
        positions: u32,
        /// Where the first layer's matrices stand, those of each as in [`Op::Layer`], one layer after the other.
        layers_at: u32,
        /// How many layers there are.
        layers: u32,
        /// V.
        outputs: u32,
        /// C.
        channels: u32,
        /// Numbers inside the MLP.
        hidden: u32,
        /// H.
        heads: u32,
        /// The MLP's function.
        f: Activation,
    },
}

/// What a tensor is called, so that it can be asked for: `layer0.attn_weights`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Of which layer; none for what comes before and after the layers.
    pub layer: Option<usize>,
    /// What it is.
    pub name: &'static str,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layer {
            Some(layer) => write!(f, "layer{layer}.{}", self.name),
            None => f.write_str(self.name),
        }
    }
}

/// In which order a walk from the loss, depth first, first meets the outputs of a linear map.
///
/// Sums of more than two numbers depend on their order in the last bit; this is what an engine needs to know in order
/// to add up gradients as microgpt.py does, without walking (see `engine/scalar`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Queries, keys and values side by side: head by head, each head's queries, keys, values.
    Heads(usize),
    /// Logits: the target's, then the others.
    TargetFirst,
}
