//! The sum of gradients over all that work on one step: threads, processes, machines.

use crate::real::Real;

/// Sums gradients with the others.
pub trait Exchange<R: Real> {
    /// Makes each gradient the sum of everybody's, in an order that is always the same.
    fn sum(&mut self, grads: &mut [R]);
}

/// Nobody else.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl<R: Real> Exchange<R> for Alone {
    fn sum(&mut self, _grads: &mut [R]) {}
}
