//! What goes from row to row of a document: windows and recurrent cells.

use super::{Place, Stored, Tape};
use crate::batch::{Batch, Segment};
use crate::cell::Cell;
use crate::tensor::{Id, Op, Shape};
use microgpt_kernels::recurrent::{self, Recurrence};
use microgpt_kernels::{attention, slices};

/// The kernel's name for the cell.
fn cell_of(cell: Cell) -> recurrent::Cell {
    match cell {
        Cell::Rnn => recurrent::Cell::Rnn,
        Cell::Gru => recurrent::Cell::Gru,
    }
}

/// The rows of x that stand in the window of row p of a segment, the nearest first; none before its document.
fn window_of(
    batch: &Batch,
    segment: &Segment,
    p: usize,
    width: usize,
) -> impl Iterator<Item = Option<usize>> {
    let first = if batch.decoding { segment.memory } else { segment.start };
    let position = segment.past + p;
    (0..width).map(move |back| position.checked_sub(back).map(|position| first + position))
}

impl Tape {
    pub(super) fn window(&mut self, y: &Stored, x: Id, width: usize) {
        let batch = std::mem::take(&mut self.batch);
        let (before, out, _) = self.split(y);
        let c = y.shape.cols / width;
        for segment in &batch.segments {
            for p in 0..segment.len {
                let row = &mut out[(segment.start + p) * width * c..][..width * c];
                for (out, from) in row.chunks_exact_mut(c).zip(window_of(&batch, segment, p, width)) {
                    match from {
                        Some(from) => out.copy_from_slice(before.row(x, from)),
                        None => out.fill(0.0),
                    }
                }
            }
        }
        self.batch = batch;
    }

    pub(super) fn window_back(&mut self, y: &Stored, x: Id, width: usize) {
        self.ready(x);
        let (around, x) = self.slopes_around(x);
        let [dx, dy] = self.slopes.each([around, y.slopes()]);
        for segment in &self.batch.segments {
            for p in 0..segment.len {
                let row = &dy[(segment.start + p) * y.stride..][..y.shape.cols];
                let froms = window_of(&self.batch, segment, p, width);
                for (dy, from) in row.chunks_exact(x.shape.cols).zip(froms) {
                    if let Some(from) = from {
                        slices::add_into(&mut dx[x.row(from)], dy);
                    }
                }
            }
        }
    }

    pub(super) fn recur_kept_len(&self, op: Op, shape: Shape) -> usize {
        let Op::Recur { cell, .. } = op else { unreachable!("{op:?}") };
        let (cell, segments) = (cell_of(cell), &self.segments);
        Recurrence { cell, u: &[], channels: shape.cols, segments }.kept_len(shape.rows)
    }

    pub(super) fn recur(&mut self, y: &Stored) {
        let Op::Recur { x, u, c, cell, slot } = y.op else { unreachable!("{:?}", y.op) };
        let [x, u, c] = [x, u, c].map(|id| self.get(id));
        assert_eq!((u.place, c.place), (Place::Params, Place::Params), "recur: u and c are parameters");
        assert_eq!(x.place, Place::Step, "recur: the input is a tensor of this step");
        let channels = y.shape.cols;
        let (u, segments) = (&self.params[u.all()], &self.segments[..]);
        let this = Recurrence { cell: cell_of(cell), u, channels, segments };
        let stride = self.memory_cols;
        let offset = slot * self.memory_rows * stride;
        let memory = attention::Rows { data: &self.memory, offset, stride };
        let (before, rest) = self.values.split_at_mut(y.start);
        let (out, kept) = rest.split_at_mut(y.kept - y.start);
        recurrent::forward(
            &this,
            &mut out[..y.shape.len()],
            &mut kept[..this.kept_len(y.shape.rows)],
            &before[x.all()],
            &self.params[c.all()],
            self.batch.decoding.then_some(memory),
        );
    }

    pub(super) fn recur_back(&mut self, y: &Stored) {
        let Op::Recur { x, u, c, cell, .. } = y.op else { unreachable!("{:?}", y.op) };
        self.ready(x);
        let [u, c] = [u, c].map(|id| self.get(id).all());
        let (channels, segments) = (y.shape.cols, &self.segments[..]);
        let this = Recurrence { cell: cell_of(cell), u: &self.params[u.clone()], channels, segments };
        let kept_len = this.kept_len(y.shape.rows);
        // Notes are made behind the gradient of y.
        let notes = y.slope + (y.kept - y.start);
        let notes = notes..notes + this.scratch_len(y.shape.rows);
        let [dx, dy, notes] = self.slopes.each([self.tensors[x.0 as usize].slopes(), y.slopes(), notes]);
        let sums = self.param_grads.with([u.clone(), c.clone()]);
        recurrent::backward(
            &this,
            dx,
            sums.get_disjoint_mut([u, c]).expect("two matrices"),
            dy,
            &self.values[y.all()],
            &self.values[y.kept..y.kept + kept_len],
            notes,
        );
    }
}
