//! Where the time goes, operation by operation. The clock itself is the front-end's.

use crate::tensor::Op;
use std::mem::discriminant;

/// Adds up how long each kind of operation takes, if somebody gave a clock; else it does nothing.
///
/// The time from one operation's end to the next one's end counts for the latter, so that nothing is left out and the
/// clock is read once for each.
#[derive(Debug, Default)]
pub(super) struct Clock {
    now: Option<fn() -> u64>,
    last: u64,
    spent: Vec<(Op, [u64; 2])>,
}

impl Clock {
    /// Begins to measure.
    pub(super) fn watch(&mut self, now: fn() -> u64) {
        *self = Clock { now: Some(now), last: now(), spent: Vec::new() };
    }

    /// Something other than an operation has ended.
    #[inline]
    pub(super) fn skip(&mut self) {
        if let Some(now) = self.now {
            self.last = now();
        }
    }

    /// An operation has ended: forwards (0) or backwards (1).
    #[inline]
    pub(super) fn ended(&mut self, op: Op, way: usize) {
        if let Some(now) = self.now {
            self.count(op, way, now());
        }
    }

    #[cold]
    fn count(&mut self, op: Op, way: usize, now: u64) {
        let known = self.spent.iter().position(|(other, _)| discriminant(other) == discriminant(&op));
        let i = known.unwrap_or_else(|| {
            self.spent.push((op, [0; 2]));
            self.spent.len() - 1
        });
        self.spent[i].1[way] += now - self.last;
        self.last = now;
    }

    /// Each kind of operation, and what it took forwards and backwards.
    pub(super) fn spent(&self) -> Vec<(Op, [u64; 2])> {
        self.spent.clone()
    }
}
