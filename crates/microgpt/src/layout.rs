//! Names and shapes of the one flat slice that holds all parameters.

use crate::norm::{Norm, NormPlace};
pub use crate::op::Kind;
use crate::position::Position;
use crate::{config::Config, error::Error, real::Real, rng::Rng, tensor::Shape};

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
        let (c, v, norm) = (config.n_embd, vocab_size, config.norm);
        let std = config.init_std;
        layout.push("wte".into(), [v, c], Kind::Embedding, Begin::Normal(std));
        if config.position == Position::Learned {
            layout.push("wpe".into(), [config.block_size, c], Kind::Embedding, Begin::Normal(std));
        }
        if !config.tied {
            layout.push("lm_head".into(), [v, c], Kind::Weight, Begin::Normal(std));
        }
        if config.embd_norm {
            layout.norm("embd_norm", norm, c);
        }
        for i in 0..config.n_layer {
            layout.layer(config, i);
        }
        if config.final_norm {
            layout.norm("final_norm", norm, c);
        }
        layout
    }

    /// Layer `i`: maps that are computed as one stand one after the other, and so do their biases.
    fn layer(&mut self, config: &Config, i: usize) {
        let (c, d, hidden, std) = (config.n_embd, config.head_dim(), config.hidden(), config.init_std);
        // What writes into the stream.
        let std_out = match (config.zero_init, config.depth_init) {
            (true, _) => 0.0,
            (false, true) => std / (2.0 * config.n_layer as f64).sqrt(),
            (false, false) => std,
        };
        let branch = |layout: &mut Layout, name: &str, linear: &dyn Fn(&mut Layout)| {
            layout.norm(&format!("layer{i}.{name}_norm"), config.norm, c);
            linear(layout);
            if config.norm_place == NormPlace::Both {
                layout.norm(&format!("layer{i}.{name}_norm_out"), config.norm, c);
            }
        };
        let linear = |layout: &mut Layout, names: &[(&str, [usize; 2])], std: f64| {
            for (name, shape) in names {
                layout.push(format!("layer{i}.{name}"), *shape, Kind::Weight, Begin::Normal(std));
            }
            for (name, [outputs, _]) in names.iter().filter(|_| config.bias) {
                layout.push(format!("layer{i}.{name}_bias"), [1, *outputs], Kind::Bias, Begin::All(0.0));
            }
        };
        branch(self, "attn", &|layout| {
            // Keys and values, of which heads may share one.
            let shared = c / config.sight().group();
            linear(layout, &[("attn_wq", [c, c]), ("attn_wk", [shared, c]), ("attn_wv", [shared, c])], std);
            if config.qk_norm {
                layout.norm(&format!("layer{i}.attn_q_norm"), config.norm, d);
                layout.norm(&format!("layer{i}.attn_k_norm"), config.norm, d);
            }
            linear(layout, &[("attn_wo", [c, c])], std_out);
        });
        branch(self, "mlp", &|layout| {
            linear(layout, &[("mlp_fc1", [hidden, c])], std);
            if config.activation.gated() {
                linear(layout, &[("mlp_gate", [hidden, c])], std);
            }
            linear(layout, &[("mlp_fc2", [c, hidden])], std_out);
        });
    }

    /// The parameters of a norm over rows of `cols` numbers.
    fn norm(&mut self, name: &str, norm: Norm, cols: usize) {
        for param in norm.formula().params {
            let cols = if param.shared { 1 } else { cols };
            self.push(format!("{name}_{}", param.name), [1, cols], param.kind, Begin::All(param.begin));
        }
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
