//! Gradient clipping: one batch in many is not to throw the model far off.
//!
//! All gradients are one vector. Where it is longer than allowed, it is shortened, and points the same way:
//! `g * max / (|g| + 1e-6)`. Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks" (2013).

use crate::error::Error;
use crate::real::Real;

/// PyTorch adds it to the length; so the numbers are the same.
const EPS: f64 = 1e-6;

/// The length of all gradients as one vector: sqrt(sum of g^2).
pub fn norm<R: Real>(grads: &[R]) -> f64 {
    R::sum_squares(grads).sqrt()
}

/// By what the gradients are to be multiplied, so that they are no longer than `longest`.
///
/// # Errors
/// A length that is infinite or not a number.
pub fn factor<R: Real>(grads: &[R], longest: f64) -> Result<f64, Error> {
    let norm = norm(grads);
    if !norm.is_finite() {
        return Err(Error::diverged(format!(
            "expected gradients of a finite length, found {norm} (a lower lr?)"
        )));
    }
    Ok((longest / (norm + EPS)).min(1.0))
}
