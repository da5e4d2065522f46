//! Adam: a parameter moves against its mean gradient, measured in gradients of its usual size.
//!
//! Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2014).

use crate::config::Config;
use crate::real::{AdamStep, Real, pow};
use std::ops::Range;

/// m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g^2; w -= lr m' / (sqrt(v') + eps), where m' and v' are m and v without
/// the zeros that they began with.
#[derive(Debug, Clone)]
pub struct Adam<R> {
    /// The running mean of each parameter's gradient.
    pub m: Vec<R>,
    /// The running mean of its square.
    pub v: Vec<R>,
    beta1: f64,
    beta2: f64,
    eps: f64,
}

impl<R: Real> Adam<R> {
    /// For `len` parameters.
    pub fn new(config: &Config, len: usize) -> Adam<R> {
        let zeros = vec![R::default(); len];
        Adam { m: zeros.clone(), v: zeros, beta1: config.beta1, beta2: config.beta2, eps: config.eps }
    }

    /// Step `step` (from 0) at learning rate `lr` of the parameters in `range`.
    ///
    /// # Panics
    /// If there are not as many parameters and gradients as before.
    pub fn step(&mut self, params: &mut [R], grads: &[R], range: Range<usize>, step: usize, lr: f64) {
        assert!(
            params.len() == self.m.len() && grads.len() == self.m.len(),
            "Adam: {} parameters",
            params.len()
        );
        let correction = |beta| 1.0 - pow(beta, step as f64 + 1.0);
        let step = AdamStep {
            lr,
            beta1: self.beta1,
            beta2: self.beta2,
            eps: self.eps,
            correction1: correction(self.beta1),
            correction2: correction(self.beta2),
        };
        let (m, v) = (&mut self.m[range.clone()], &mut self.v[range.clone()]);
        R::adam(&step, &mut params[range.clone()], &grads[range], m, v);
    }
}
