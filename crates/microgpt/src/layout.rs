//! Names and shapes of the one flat slice that holds all parameters.

use crate::position::Position;
use crate::{config::Config, error::Error, real::Real, rng::Rng, tensor::Shape};

/// What a matrix is for: an optimiser may treat one kind otherwise than another.
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
}

/// How a matrix begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Begin {
    /// Normal numbers of mean 0 and this standard deviation, drawn one after the other; 0 draws as well.
    Normal(f64),
    /// All of them this number; nothing is drawn.
    All(f64),
}

/// One matrix of the parameters, row after row.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// `wte`, `layer0.attn_wq`, ...
    pub name: String,
    /// Its first number's place in the flat slice.
    pub offset: usize,
    /// Rows (outputs) and columns (inputs).
    pub shape: Shape,
    /// What it is for.
    pub kind: Kind,
    /// Its first numbers.
    pub begin: Begin,
}

impl Matrix {
    /// Its place in the flat slice.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.shape.len()
    }
}

/// All matrices, in the order in which they stand in the flat slice and are drawn.
///
/// ```
/// let layout = microgpt::layout::Layout::new(&microgpt::Config::default(), 27);
/// assert_eq!(layout.len(), 4064);
/// assert_eq!(layout.matrices()[3].name, "layer0.attn_wq");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    matrices: Vec<Matrix>,
}

impl Layout {
    /// The parameters of this model over an alphabet of `vocab_size` tokens.
    pub fn new(config: &Config, vocab_size: usize) -> Layout {
        let mut layout = Layout { matrices: Vec::new() };
        let (c, v) = (config.n_embd, vocab_size);
        let std = config.init_std;
        // Keys and values, of which heads may share one.
        let shared = c / config.sight().group();
        // What writes into the stream.
        let std_out = if config.zero_init { 0.0 } else { std };
        layout.push("wte".into(), [v, c], Kind::Embedding, Begin::Normal(std));
        if config.position == Position::Learned {
            layout.push("wpe".into(), [config.block_size, c], Kind::Embedding, Begin::Normal(std));
        }
        layout.push("lm_head".into(), [v, c], Kind::Weight, Begin::Normal(std));
        for i in 0..config.n_layer {
            for (name, rows) in [("attn_wq", c), ("attn_wk", shared), ("attn_wv", shared)] {
                layout.push(format!("layer{i}.{name}"), [rows, c], Kind::Weight, Begin::Normal(std));
            }
            layout.push(format!("layer{i}.attn_wo"), [c, c], Kind::Weight, Begin::Normal(std_out));
            layout.push(format!("layer{i}.mlp_fc1"), [4 * c, c], Kind::Weight, Begin::Normal(std));
            layout.push(format!("layer{i}.mlp_fc2"), [c, 4 * c], Kind::Weight, Begin::Normal(std_out));
        }
        layout
    }

    fn push(&mut self, name: String, [rows, cols]: [usize; 2], kind: Kind, begin: Begin) {
        self.matrices.push(Matrix { name, offset: self.len(), shape: Shape::new(rows, cols), kind, begin });
    }

    /// The matrices in order.
    pub fn matrices(&self) -> &[Matrix] {
        &self.matrices
    }

    /// The matrix of that name.
    pub fn find(&self, name: &str) -> Option<&Matrix> {
        self.matrices.iter().find(|m| m.name == name)
    }

    /// Which matrix holds parameter `i`, and at which row and column.
    pub fn locate(&self, i: usize) -> Option<(&Matrix, usize, usize)> {
        let matrix = self.matrices.iter().find(|m| m.range().contains(&i))?;
        let place = i - matrix.offset;
        Some((matrix, place / matrix.shape.cols, place % matrix.shape.cols))
    }

    /// How many parameters there are.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.matrices.last().map_or(0, |m| m.range().end)
    }

    /// First weights, matrix after matrix, row after row, each as its matrix begins.
    ///
    /// # Errors
    /// More parameters than there is memory for, with their gradients and what the optimiser remembers.
    pub fn init<R: Real>(&self, rng: &mut Rng) -> Result<Vec<R>, Error> {
        let bytes = self.len().saturating_mul(4 * size_of::<R>());
        // To ask is not free: what was given back once, an allocator may keep.
        if bytes > 1 << 28 && Vec::<u8>::new().try_reserve_exact(bytes).is_err() {
            let gigabytes = bytes as f64 / 1e9;
            return Err(Error::config(format!(
                "expected a model that fits into memory, found {} parameters ({gigabytes:.0} GB to train)",
                self.len()
            )));
        }
        let mut params = Vec::with_capacity(self.len());
        for matrix in &self.matrices {
            let number = || match matrix.begin {
                Begin::Normal(std) => R::from_f64(rng.gauss(std)),
                Begin::All(x) => R::from_f64(x),
            };
            params.extend(std::iter::repeat_with(number).take(matrix.shape.len()));
        }
        Ok(params)
    }
}
