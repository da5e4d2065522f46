//! Adam: a parameter moves against its mean gradient, measured in gradients of its usual size.
//!
//! ```text
//! m = beta1 m + (1 - beta1) g
//! v = beta2 v + (1 - beta2) g^2
//! w = w - lr m' / (sqrt(v') + eps)        m' = m / (1 - beta1^s), v' = v / (1 - beta2^s) in step s = 1, 2, ...
//! ```
//!
//! m' and v' are m and v without the zeros that they began with. Kingma and Ba, "Adam: A Method for Stochastic
//! Optimization" (2014). Weight decay can come in two ways:
//!
//! - `adam`: with the gradient, g + decay w, and then it is measured like a gradient;
//! - `adamw`: by itself, w (1 - lr decay): every weight shrinks by the same part. Loshchilov and Hutter, "Decoupled Weight
//!   Decay Regularization" (2017).

use super::{Now, Part};
use crate::real::{AdamStep, Real, pow};

/// A step of Adam.
pub fn step<R: Real>(now: Now<'_>, part: Part<'_, R>) {
    if part.decay > 0.0 {
        R::axpy(part.grads, part.decay, part.params);
    }
    step_decoupled(now, Part { decay: 0.0, ..part });
}

/// A step of AdamW.
pub fn step_decoupled<R: Real>(Now { config, step, lr }: Now<'_>, part: Part<'_, R>) {
    let correction = |beta| 1.0 - pow(beta, step as f64 + 1.0);
    let step = AdamStep {
        lr,
        beta1: config.beta1,
        beta2: config.beta2,
        eps: config.eps,
        correction1: correction(config.beta1),
        correction2: correction(config.beta2),
        decay: part.decay,
    };
    R::adam(&step, part.params, part.grads, part.mean, part.square);
}
