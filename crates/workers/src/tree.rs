//! The order of every sum over workers: a binary tree, in the order of their places.

use microgpt::real::Real;
use std::ops::Range;

/// Numbers summed at a time: they stay in the first cache.
pub(crate) const CHUNK: usize = 2048;

/// `to` becomes the sum of what `take` copies there, or adds, for each worker: as a binary tree.
pub(crate) fn tree<R: Real>(
    workers: Range<usize>,
    take: &impl Fn(usize, &mut [R], bool),
    to: &mut [R],
    spare: &mut [R],
) {
    if workers.len() == 1 {
        return take(workers.start, to, false);
    }
    let middle = workers.start + workers.len() / 2;
    tree(workers.start..middle, take, to, spare);
    if middle + 1 == workers.end {
        return take(middle, to, true);
    }
    let (right, spare) = spare.split_at_mut(CHUNK);
    let right = &mut right[..to.len()];
    tree(middle..workers.end, take, right, spare);
    R::add_into(to, right);
}

/// The same of one number.
pub(crate) fn tree_of(workers: Range<usize>, of: &impl Fn(usize) -> f64) -> f64 {
    if workers.len() == 1 {
        return of(workers.start);
    }
    let middle = workers.start + workers.len() / 2;
    tree_of(workers.start..middle, of) + tree_of(middle..workers.end, of)
}
