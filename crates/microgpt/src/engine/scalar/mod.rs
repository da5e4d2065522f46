//! The reference: f64, every number of every tensor a place of its own in one flat memory, beside its gradient.
//!
//! It never fuses and never reorders: it *is* the definition, and gives the bits of microgpt.py. There, a walk from
//! the loss finds the order in which gradients add up. Here the tensors are gone through backwards, and each
//! operation's numbers from last to first; this is that same order, but for two places where the walk meets the
//! outputs of a linear map in another order than they stand in: the queries, keys and values of each head (see
//! [`Order::Heads`]), and the target's logit, which is met first ([`Order::TargetFirst`]) and so comes last.

use super::clock::Clock;
use crate::batch::{Batch, Segment};
use crate::sight::Sight;
use crate::tensor::{Engine, Id, Label, Learner, Node, Op, Order, Shape};
use microgpt_kernels::dropout;
use std::cell::{Ref, RefCell};
use std::ops::Range;
use std::panic::Location;

mod backward;
mod forward;
mod hold;
mod recurrent;

pub use hold::Hold;

choices! {
    /// Mistakes found in published ports, to be planted on purpose: training goes on, and only a proof notices.
    pub enum Fault: "fault" {
        /// The activation's derivative is half of what it should be
        Derivative = "derivative",
        /// A token sees the one after it
        Future = "future",
        /// RMSNorm divides by a number that no gradient goes through
        NormOffTape = "norm_off_tape",
        /// Keys and values, or a state, hear nothing from the tokens that looked back at them
        StaleKv = "stale_kv",
    }
}

/// The scalar engine.
#[derive(Debug)]
pub struct Scalar {
    tape: RefCell<Tape>,
}

/// All numbers in one memory: parameters first, then what decoding remembers, then this step's tensors.
#[derive(Debug, Default)]
struct Tape {
    values: Vec<f64>,
    grads: Vec<f64>,
    /// Might gradients of parameters be other than 0? (Zeros that nobody has written cost no memory.)
    graded: bool,
    /// The gradients of the parameters for earlier parts of the batch.
    aside: Vec<Vec<f64>>,
    tensors: Vec<Stored>,
    num_params: usize,
    memory: Memory,
    batch: Batch,
    chance: Option<u64>,
    fault: Option<Fault>,
    /// What is to be held, and the places that are.
    holds: Vec<Hold>,
    held: Vec<usize>,
    clock: Clock,
}

#[derive(Debug, Default, Clone, Copy)]
struct Memory {
    slots: usize,
    rows: usize,
    cols: usize,
}

impl Memory {
    fn slot_len(self) -> usize {
        self.rows * self.cols
    }
}

/// A tensor: where its numbers stand (row after row, `stride` apart), and what computed them.
#[derive(Debug, Clone, Copy)]
struct Stored {
    op: Op,
    shape: Shape,
    start: usize,
    stride: usize,
    order: Option<Order>,
    label: Option<Label>,
    line: Option<&'static Location<'static>>,
}

impl Stored {
    fn at(&self, row: usize, col: usize) -> usize {
        self.start + row * self.stride + col
    }

    /// The same where one row may stand for all rows, and one column for all columns.
    fn spread(&self, row: usize, col: usize) -> usize {
        self.at(if self.shape.rows > 1 { row } else { 0 }, if self.shape.cols > 1 { col } else { 0 })
    }

    /// Where row `row` stands.
    fn row(&self, row: usize) -> std::ops::Range<usize> {
        let start = self.start + row * self.stride;
        start..start + self.shape.cols
    }
}

impl Scalar {
    /// An engine with these parameters.
    pub fn new(params: Vec<f64>) -> Scalar {
        let num_params = params.len();
        let grads = vec![0.0; num_params];
        Scalar { tape: RefCell::new(Tape { values: params, grads, num_params, ..Tape::default() }) }
    }

    /// As if it were new, with the parameters that `write` puts into its memory.
    pub fn renew(&mut self, write: impl FnOnce(&mut [f64])) {
        let Tape { mut values, grads, graded, num_params, .. } = self.tape.take();
        values.truncate(num_params);
        write(&mut values);
        *self.tape.get_mut() = Tape { values, grads, graded, num_params, ..Tape::default() };
    }

    /// Makes a mistake from now on. For tests of the proof, and for people who want to see what it catches.
    pub fn plant(&mut self, fault: Fault) {
        self.tape.get_mut().fault = Some(fault);
    }
}

impl Engine for Scalar {
    fn eval(&self, op: Op, shape: Shape) -> Id {
        self.tape.borrow_mut().eval(op, shape)
    }

    fn order(&self, tensor: Id, order: Order) {
        let mut tape = self.tape.borrow_mut();
        // The columns of a tensor are that tensor's numbers: it is the one whose outputs are met.
        let mut id = tensor;
        while let Op::Columns { x, .. } = tape.tensors[id.0 as usize].op {
            id = x;
        }
        tape.tensors[id.0 as usize].order = Some(order);
    }

    fn label(&self, tensor: Id, layer: Option<usize>, name: &'static str) {
        let label = Label { layer, name };
        let tape = &mut *self.tape.borrow_mut();
        tape.tensors[tensor.0 as usize].label = Some(label);
        if !tape.holds.is_empty() {
            tape.hold(tensor);
        }
    }

    fn line(&self, tensor: Id, line: &'static Location<'static>) {
        self.tape.borrow_mut().tensors[tensor.0 as usize].line = Some(line);
    }

    fn line_of(&self, tensor: Id) -> Option<&'static Location<'static>> {
        self.tape.borrow().tensors[tensor.0 as usize].line
    }

    fn longest(&self) -> usize {
        self.tape.borrow().batch.longest()
    }

    fn loss_rows(&self) -> usize {
        self.tape.borrow().batch.loss_rows
    }

    fn chance(&self) -> Option<u64> {
        self.tape.borrow().chance
    }

    fn memory_rows(&self) -> Option<usize> {
        let tape = self.tape.borrow();
        tape.batch.decoding.then_some(tape.memory.rows)
    }

    fn number(&self, tensor: Id, row: usize, col: usize) -> f64 {
        let tape = self.tape.borrow();
        tape.values[tape.get(tensor).at(row, col)]
    }

    fn read_row(&self, tensor: Id, row: usize, out: &mut Vec<f64>) {
        let tape = self.tape.borrow();
        out.extend_from_slice(&tape.values[tape.get(tensor).row(row)]);
    }

    fn values(&self, tensor: Id) -> Vec<f64> {
        let tape = self.tape.borrow();
        let stored = &tape.tensors[tensor.0 as usize];
        (0..stored.shape.rows).flat_map(|r| &tape.values[stored.row(r)]).copied().collect()
    }

    fn grads(&self, tensor: Id) -> Vec<f64> {
        let tape = self.tape.borrow();
        let stored = &tape.tensors[tensor.0 as usize];
        // Before the way back there are none, which is as good as 0.
        let number = |i| tape.grads.get(i).copied().unwrap_or(0.0);
        (0..stored.shape.rows).flat_map(|r| stored.row(r)).map(number).collect()
    }

    fn nodes(&self) -> Vec<Node> {
        let tape = self.tape.borrow();
        let node =
            |(i, t): (usize, &Stored)| Node { id: Id(i as u32), op: t.op, shape: t.shape, label: t.label };
        tape.tensors.iter().enumerate().map(node).collect()
    }
}

impl Learner<f64> for Scalar {
    fn begin(&mut self, batch: &Batch) {
        let tape = self.tape.get_mut();
        tape.forget();
        tape.grads.truncate(tape.num_params);
        if std::mem::take(&mut tape.graded) {
            tape.grads.fill(0.0);
        }
        tape.batch.clone_from(batch);
        tape.chance = None;
        tape.clock.skip();
    }

    fn leave_to(&mut self, chance: u64) {
        self.tape.get_mut().chance = Some(chance);
    }

    fn backward(&mut self, loss: Id) {
        self.tape.get_mut().backward(loss);
    }

    fn params(&self) -> Ref<'_, [f64]> {
        Ref::map(self.tape.borrow(), |tape| &tape.values[..tape.num_params])
    }

    fn slices(&mut self) -> (&mut [f64], &mut [f64]) {
        let tape = self.tape.get_mut();
        tape.graded = true;
        (&mut tape.values[..tape.num_params], &mut tape.grads[..tape.num_params])
    }

    fn put_aside(&mut self, i: usize) {
        let tape = self.tape.get_mut();
        tape.aside.resize_with(tape.aside.len().max(i + 1), Vec::new);
        tape.aside[i].clear();
        tape.aside[i].extend_from_slice(&tape.grads[..tape.num_params]);
    }

    fn add_aside(&mut self, i: usize) {
        let tape = self.tape.get_mut();
        tape.graded = true;
        tape.grads.iter_mut().zip(&tape.aside[i]).for_each(|(sum, grad)| *sum += grad);
    }

    fn watch(&mut self, now: fn() -> u64) {
        self.tape.get_mut().clock.watch(now);
    }

    fn watched(&self) -> Vec<(Op, [u64; 2])> {
        self.tape.borrow().clock.spent()
    }

    fn reserve_memory(&mut self, slots: usize, rows: usize, cols: usize) {
        let tape = self.tape.get_mut();
        tape.memory = Memory { slots, rows, cols };
        tape.forget();
    }
}

impl Tape {
    /// Drops the tensors; the memory stays for the next.
    fn forget(&mut self) {
        self.tensors.clear();
        self.held.clear();
        self.values.resize(self.num_params + self.memory.slots * self.memory.slot_len(), 0.0);
    }

    fn get(&self, id: Id) -> Stored {
        self.tensors[id.0 as usize]
    }

    fn eval(&mut self, op: Op, shape: Shape) -> Id {
        // Some tensors are other names for numbers that are there; the others get room at the end.
        let (start, stride) = match op {
            Op::Param { offset } => (offset, shape.cols),
            Op::Columns { x, start } => (self.get(x).start + start, self.get(x).stride),
            Op::Remember { slot, .. } => (self.num_params + slot * self.memory.slot_len(), self.memory.cols),
            _ => (self.values.len(), shape.cols),
        };
        let stored = Stored { op, shape, start, stride, order: None, label: None, line: None };
        if start == self.values.len() {
            self.values.resize(start + shape.len(), 0.0);
        }
        self.forward(stored);
        self.clock.ended(op, 0);
        self.tensors.push(stored);
        Id(self.tensors.len() as u32 - 1)
    }

    /// For each number of `y`, row by row: what dropout multiplies it by.
    fn dropped(&self, y: Stored, rate: f64, place: u32) -> Vec<f64> {
        let chance = self.chance.expect("a step that is left to chance");
        let scale = 1.0 / (1.0 - rate);
        let factor = |key, col| if dropout::stays(key, col, rate) { scale } else { 0.0 };
        let keys = self.batch.row_keys(chance, place);
        keys.flat_map(|key| (0..y.shape.cols).map(move |col| factor(key, col))).collect()
    }

    /// Which rows of keys and values row p of a segment sees: the row that they are counted from, and which.
    fn context(&self, segment: &Segment, p: usize, sight: Sight) -> (usize, Range<usize>) {
        let first = if self.batch.decoding { segment.memory } else { segment.start };
        let ahead = usize::from(self.fault == Some(Fault::Future));
        let keys = sight.keys(segment.past + p);
        (first, keys.start..(keys.end + ahead).min(segment.past + segment.len))
    }
}
