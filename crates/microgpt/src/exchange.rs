//! The sum of gradients over all that work on one step: parts of a batch, threads, processes, machines.
//!
//! A sum of more than two numbers depends on their order in the last bit. Here it is that of a binary tree over the
//! parts of the batch: ((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)). Workers share the parts evenly, each sums a branch, and
//! the exchange sums the branches. So however many workers there are, the bits are those of one.
//!
//! Each worker is given the sums of one range of the parameters, and updates that; then the new parameters go around.
//! So all of them together do the work of one update, and no gradient makes its way twice.

use crate::batch::Batch;
use crate::error::Error;
use crate::real::Real;
use std::ops::Range;

/// What all workers are about to do together.
#[derive(Debug, Clone, Copy)]
pub enum Call<'a> {
    /// A step on this batch, whose parts they share.
    Step(&'a Batch),
    /// Bring together what their optimisers remember.
    Gather,
    /// Change the parameters for their average, or back.
    Swap,
    /// Find the loss on each of these: of as many, each on the one in its place.
    Look(&'a [Batch]),
}

/// Is given some of the gradients as soon as they are summed over the parts of this worker: their place, and the numbers.
pub type Ready<'a, R> = dyn FnMut(Range<usize>, &[R]) + 'a;

/// Sums gradients and shares what came of them with the others, who all make the same calls.
pub trait Exchange<R: Real>: Send {
    /// Which worker this is, from 0, and of how many: a power of two.
    fn place(&self) -> (usize, usize);

    /// Something begins. Others that do not know of it by themselves hear of it, and of its data.
    ///
    /// # Errors
    /// Another worker is gone.
    fn begin(&mut self, call: Call<'_>) -> Result<(), Error>;

    /// Is it worth to send gradients while others are still computed? See [`Exchange::sum_while`].
    fn sends_early(&self) -> bool {
        false
    }

    /// Begins to sum while `work` is done, which tells of each gradient once, when it is ready. [`Exchange::sum`] comes
    /// next, with the same numbers.
    ///
    /// # Errors
    /// Another worker is gone.
    fn sum_while(&mut self, work: &mut dyn FnMut(&mut Ready<'_, R>)) -> Result<(), Error> {
        work(&mut |_, _| ());
        Ok(())
    }

    /// Makes the loss, and each gradient in the range that is this worker's, the sum of everybody's: a binary tree in
    /// the order of the places. Other gradients stay as they are. Returns the range; it is always the same.
    ///
    /// # Errors
    /// Another worker is gone.
    fn sum(&mut self, grads: &mut [R], loss: &mut f64) -> Result<Range<usize>, Error>;

    /// Gives the others what stands in this worker's range, and puts into theirs what they have there. A loss that is
    /// no number ends the step before this.
    ///
    /// # Errors
    /// Another worker is gone.
    fn share(&mut self, numbers: &mut [R]) -> Result<(), Error>;

    /// The same, but that only worker 0 has to hear it.
    ///
    /// # Errors
    /// Another worker is gone.
    fn collect(&mut self, numbers: &mut [R]) -> Result<(), Error> {
        self.share(numbers)
    }

    /// Everybody's numbers, in the order of the places; of a process that has several workers, all of theirs. Only
    /// worker 0 has to hear them: others may get nothing.
    ///
    /// # Errors
    /// Another worker is gone.
    fn each(&mut self, mine: &[f64]) -> Result<Vec<f64>, Error>;
}

/// Nobody else.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl<R: Real> Exchange<R> for Alone {
    fn place(&self) -> (usize, usize) {
        (0, 1)
    }

    fn begin(&mut self, _call: Call<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn sum(&mut self, grads: &mut [R], _loss: &mut f64) -> Result<Range<usize>, Error> {
        Ok(0..grads.len())
    }

    fn share(&mut self, _numbers: &mut [R]) -> Result<(), Error> {
        Ok(())
    }

    fn each(&mut self, mine: &[f64]) -> Result<Vec<f64>, Error> {
        Ok(mine.to_vec())
    }
}
