//! Muon: a matrix moves by the orthogonal matrix that is nearest to its mean gradient, so in all its directions equally.
//!
//! ```text
//! m = momentum m + (1 - momentum) G
//! O = orthogonalised (1 - momentum) G + momentum m                Nesterov's look ahead
//! W = W (1 - lr decay) - lr 0.2 sqrt(max(rows, columns)) O
//! ```
//!
//! Jordan, "Muon: An optimizer for hidden layers in neural networks" (2024); how it is orthogonalised says
//! [`microgpt_kernels::orthogonal`]. The factor makes a change as large as one of AdamW usually is, so that both can have
//! the same learning rate and decay: Liu et al., "Muon is Scalable for LLM Training" (2025).
//!
//! It takes the matrices of the layers. Embeddings, `lm_head`, gains and biases go by AdamW, with the same `lr`.
//! Shapes: m is as its matrix; AdamW's v stays 0 for the matrices.

use super::{Now, Part};
use crate::layout::{Kind, Matrix};
use crate::real::Real;

/// Does Muon take it, or AdamW?
pub fn takes(matrix: &Matrix) -> bool {
    matrix.kind == Kind::Weight && matrix.name.starts_with("layer")
}

/// Memory for one matrix at a time.
#[derive(Debug, Clone, Default)]
pub struct Spare<R> {
    direction: Vec<R>,
    products: Vec<R>,
}

/// The size of AdamW's usual change, a number, in learning rates.
const ADAMS_CHANGE: f64 = 0.2;

/// A step of Muon for a whole matrix.
pub fn step<R: Real>(
    Now { config, lr, .. }: Now<'_>,
    part: Part<'_, R>,
    (rows, cols): (usize, usize),
    spare: &mut Spare<R>,
) {
    let Part { params, grads, mean, decay, .. } = part;
    let Spare { direction, products } = spare;
    R::mix(mean, config.momentum, grads);
    direction.clear();
    direction.extend_from_slice(grads);
    R::mix(direction, 1.0 - config.momentum, mean);
    R::orthogonalize(direction, rows, cols, products);
    if decay > 0.0 {
        R::scale(params, 1.0 - lr * decay);
    }
    R::axpy(params, -lr * ADAMS_CHANGE * (rows.max(cols) as f64).sqrt(), direction);
}
