//! What goes from row to row of a document: windows and recurrent cells.

use super::{Fault, Stored, Tape};
use crate::batch::Segment;
use crate::cell::{Cell, Channel};
use crate::tensor::Id;

/// The operands of [`crate::tensor::Op::Recur`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Recur {
    pub(super) x: Id,
    pub(super) u: Id,
    pub(super) c: Id,
    pub(super) cell: Cell,
    pub(super) slot: usize,
}

impl Tape {
    /// The row of x that stands `back` rows before row p of a segment, if it is of the same document.
    fn earlier(&self, segment: &Segment, p: usize, back: usize) -> Option<usize> {
        let first = if self.batch.decoding { segment.memory } else { segment.start };
        (segment.past + p).checked_sub(back).map(|position| first + position)
    }

    pub(super) fn window(&mut self, y: Stored, x: Id, width: usize) {
        let x = self.get(x);
        for segment in &self.batch.segments {
            for (p, back) in (0..segment.len).flat_map(|p| (0..width).map(move |back| (p, back))) {
                let to = y.at(segment.start + p, back * x.shape.cols);
                if let Some(row) = self.earlier(segment, p, back) {
                    self.values.copy_within(x.row(row), to);
                }
            }
        }
    }

    pub(super) fn window_back(&mut self, y: Stored, x: Id, width: usize) {
        let x = self.get(x);
        for segment in self.batch.segments.iter().rev() {
            for (p, back) in (0..segment.len).rev().flat_map(|p| (0..width).map(move |back| (p, back))) {
                let from = y.at(segment.start + p, back * x.shape.cols);
                if let Some(row) = self.earlier(segment, p, back) {
                    for (i, to) in x.row(row).enumerate() {
                        self.grads[to] += self.grads[from + i];
                    }
                }
            }
        }
    }

    /// Where the state before row p of a segment stands; none before the first of a document, where it is 0.
    fn state_before(&self, y: Stored, slot: usize, segment: &Segment, p: usize) -> Option<usize> {
        match (p, segment.past) {
            (0, 0) => None,
            (0, past) => {
                let memory = self.num_params + slot * self.memory.slot_len();
                Some(memory + (segment.memory + past - 1) * self.memory.cols)
            }
            _ => Some(y.at(segment.start + p - 1, 0)),
        }
    }

    /// What the state of channel j of row `row` follows from.
    fn channel(&self, op: Recur, row: usize, before: Option<usize>, j: usize) -> Channel {
        let [x, u, c] = [op.x, op.u, op.c].map(|id| self.get(id));
        let channels = u.shape.cols;
        let mut channel = Channel { x: [0.0; 3], a: [0.0; 3], h: 0.0 };
        for gate in 0..op.cell.gates() {
            let o = gate * channels + j;
            channel.x[gate] = self.values[x.at(row, o)];
            channel.a[gate] = self.values[c.at(0, o)];
            if let Some(h) = before {
                let states = &self.values[h..h + channels];
                let products = self.values[u.row(o)].iter().zip(states).map(|(u, h)| u * h);
                channel.a[gate] += products.fold(0.0, |sum, product| sum + product);
            }
        }
        channel.h = before.map_or(0.0, |h| self.values[h + j]);
        channel
    }

    pub(super) fn recur(&mut self, y: Stored, op: Recur) {
        for i in 0..self.batch.segments.len() {
            let segment = self.batch.segments[i];
            for p in 0..segment.len {
                let (row, before) = (segment.start + p, self.state_before(y, op.slot, &segment, p));
                for j in 0..y.shape.cols {
                    self.values[y.at(row, j)] = op.cell.state(self.channel(op, row, before, j));
                }
            }
        }
    }

    pub(super) fn recur_back(&mut self, y: Stored, op: Recur) {
        let [x, u, c] = [op.x, op.u, op.c].map(|id| self.get(id));
        let channels = y.shape.cols;
        for i in (0..self.batch.segments.len()).rev() {
            let segment = self.batch.segments[i];
            for p in (0..segment.len).rev() {
                let (row, before) = (segment.start + p, self.state_before(y, op.slot, &segment, p));
                // A state hears from the states after it by way of all their channels.
                let heard = before.filter(|_| self.fault != Some(Fault::StaleKv));
                for j in (0..channels).rev() {
                    let slopes = op.cell.slopes(self.channel(op, row, before, j));
                    let g = self.grads[y.at(row, j)];
                    for gate in (0..op.cell.gates()).rev() {
                        let (o, of_a) = (gate * channels + j, slopes.a[gate] * g);
                        self.grads[x.at(row, o)] += slopes.x[gate] * g;
                        self.grads[c.at(0, o)] += of_a;
                        for i in 0..channels {
                            if let Some(h) = before {
                                self.grads[u.at(o, i)] += self.values[h + i] * of_a;
                            }
                            if let Some(h) = heard {
                                self.grads[h + i] += self.values[u.at(o, i)] * of_a;
                            }
                        }
                    }
                    if let Some(h) = heard {
                        self.grads[h + j] += slopes.h * g;
                    }
                }
            }
        }
    }
}
