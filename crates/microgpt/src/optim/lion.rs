//! Lion: every parameter moves by the same length, and a mean gradient decides which way.
//!
//! ```text
//! w = w - lr (sign(beta1 m + (1 - beta1) g) + decay w)
//! m = beta2 m + (1 - beta2) g
//! ```
//!
//! Chen et al., "Symbolic Discovery of Optimization Algorithms" (2023), who advise a tenth of AdamW's lr, ten times its
//! decay, and beta2 = 0.99. It remembers one number a parameter where Adam remembers two.

use super::{Now, Part};
use crate::real::Real;
use microgpt_kernels::lion::Lion;

/// A step of Lion.
pub fn step<R: Real>(Now { config, lr, .. }: Now<'_>, part: Part<'_, R>) {
    let step = Lion { lr, b1: config.beta1, b2: config.beta2, decay: part.decay };
    R::lion(step, part.params, part.grads, part.mean);
}
