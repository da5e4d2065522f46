//! Gradients that are done while others are still computed.

use super::layer::kernel;
use super::{Stored, Tape};
use crate::tensor::{Id, Op};
use microgpt_kernels::slices;
use std::ops::Range;

impl Tape {
    /// Which parameters this operation names: all that use them come after it, and are gone through before it.
    fn names(&self, y: &Stored) -> Option<Range<usize>> {
        match y.op {
            Op::Param { offset } => Some(offset..offset + y.shape.len()),
            Op::Layer { offset, .. } => {
                let layer = kernel(y.op, y.shape.cols).expect("a layer with a kernel");
                Some(offset as usize..offset as usize + layer.weights_len())
            }
            _ => None,
        }
    }

    pub(super) fn backward_while(
        &mut self,
        loss: Id,
        aside: usize,
        ready: &mut dyn FnMut(Range<usize>, &[f32]),
    ) {
        let named: Vec<Option<Range<usize>>> =
            self.tensors[..=loss.0 as usize].iter().map(|y| self.names(y)).collect();
        let mut done: Vec<Range<usize>> = Vec::new();
        self.backward_past(loss, |tape, i| {
            let Some(range) = &named[i] else { return };
            let meets = |other: &Range<usize>| other.start < range.end && range.start < other.end;
            // What is named twice is done when the first that names it is.
            if !named[..i].iter().flatten().any(meets) {
                tape.join(range.clone(), aside, ready);
                done.push(range.clone());
            }
        });
        // What nothing was computed from, or was named in part.
        done.sort_unstable_by_key(|range| range.start);
        let len = self.params.len();
        let mut from = 0;
        for range in done.into_iter().chain(std::iter::once(len..len)) {
            if from < range.start {
                self.join(from..range.start, aside, ready);
            }
            from = range.end;
        }
    }

    fn join(&mut self, range: Range<usize>, aside: usize, ready: &mut dyn FnMut(Range<usize>, &[f32])) {
        let sums = self.param_grads.at(range.clone());
        self.aside[..aside].iter().for_each(|earlier| slices::add_into(sums, &earlier[range.clone()]));
        ready(range, sums);
    }
}
