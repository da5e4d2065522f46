//! Stochastic gradient descent: a parameter moves against its gradient, and keeps some of its last direction.
//!
//! ```text
//! m = momentum m + g
//! w = w - lr m                      or, by Nesterov, w - lr (g + momentum m)
//! ```
//!
//! Robbins and Monro, "A Stochastic Approximation Method" (1951); Polyak, "Some methods of speeding up the convergence of
//! iteration methods" (1964); Nesterov (1983), in the form of Sutskever et al. (2013) that PyTorch has. Weight decay comes
//! with the gradient: g + decay w.

use super::{Now, Part};
use crate::real::Real;
use microgpt_kernels::sgd::Sgd;

/// A step of SGD.
pub fn step<R: Real>(Now { config, lr, .. }: Now<'_>, part: Part<'_, R>) {
    let Part { params, grads, mean, decay, .. } = part;
    if decay > 0.0 {
        R::axpy(grads, decay, params);
    }
    if config.momentum > 0.0 {
        R::sgd(Sgd { lr, momentum: config.momentum, nesterov: config.nesterov }, params, grads, mean);
    } else {
        R::axpy(params, -lr, grads);
    }
}
