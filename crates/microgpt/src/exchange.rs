//! The sum of gradients over all that work on one step: parts of a batch, threads, processes, machines.
//!
//! A sum of more than two numbers depends on their order in the last bit. Here it is that of a binary tree over the
//! parts of the batch: ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)). Workers share the parts evenly, each sums a branch, and
//! the exchange sums the branches. So however many workers there are, the bits are those of one.

use crate::batch::Batch;
use crate::error::Error;
use crate::real::Real;

/// Sums gradients with the others.
pub trait Exchange<R: Real>: Send {
    /// Which worker this is, from 0, and of how many: a power of two.
    fn place(&self) -> (usize, usize);

    /// A step begins. Others that do not read the data themselves hear of its batch.
    ///
    /// # Errors
    /// Another worker is gone.
    fn begin(&mut self, batch: &Batch) -> Result<(), Error>;

    /// Makes each gradient and the loss the sum of everybody's: a binary tree in the order of the places.
    ///
    /// # Errors
    /// Another worker is gone.
    fn sum(&mut self, grads: &mut [R], loss: &mut f64) -> Result<(), Error>;
}

/// Nobody else.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl<R: Real> Exchange<R> for Alone {
    fn place(&self) -> (usize, usize) {
        (0, 1)
    }

    fn begin(&mut self, _batch: &Batch) -> Result<(), Error> {
        Ok(())
    }

    fn sum(&mut self, _grads: &mut [R], _loss: &mut f64) -> Result<(), Error> {
        Ok(())
    }
}
