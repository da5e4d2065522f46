//! The order of every sum over workers: a binary tree, in the order of their places.

use microgpt::real::Real;
use std::ops::Range;

/// Numbers summed at a time: they stay in the first cache.
pub(crate) const CHUNK: usize = 2048;

/// How much room [`tree`] wants for so many workers.
pub(crate) fn room(workers: usize) -> usize {
    CHUNK * workers.ilog2() as usize
}

/// `to`, where the numbers of worker `me` stand if it is one of these, becomes the sum of the numbers of all of them: as a
/// binary tree. `see` shows those of another worker.
pub(crate) fn tree<R: Real>(
    workers: Range<usize>,
    me: usize,
    see: &impl Fn(usize, &mut dyn FnMut(&[R])),
    to: &mut [R],
    spare: &mut [R],
) {
    if workers.len() == 1 {
        if workers.start != me {
            see(workers.start, &mut |theirs| to.copy_from_slice(theirs));
        }
        return;
    }
    let middle = workers.start + workers.len() / 2;
    let (mut first, mut second) = (workers.start..middle, middle..workers.end);
    if second.contains(&me) {
        // A sum of two is the same the other way around, and where we are the first number is there already.
        std::mem::swap(&mut first, &mut second);
    }
    tree(first, me, see, to, spare);
    if second.len() == 1 {
        return see(second.start, &mut |theirs| R::add_into(to, theirs));
    }
    let (side, spare) = spare.split_at_mut(CHUNK);
    let side = &mut side[..to.len()];
    tree(second, me, see, side, spare);
    R::add_into(to, side);
}

/// The same of one number.
pub(crate) fn tree_of(workers: Range<usize>, of: &impl Fn(usize) -> f64) -> f64 {
    if workers.len() == 1 {
        return of(workers.start);
    }
    let middle = workers.start + workers.len() / 2;
    tree_of(workers.start..middle, of) + tree_of(middle..workers.end, of)
}
