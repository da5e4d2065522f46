//! The fast engine: f32, on kernels, in one memory that is used again every step.
//!
//! It computes what the scalar engine computes, operation by operation, and takes the shortcuts that it has kernels
//! for ([`Engine::fuses`]). Once the first steps have found out how much memory a step needs, it allocates nothing.

use super::clock::Clock;
use crate::batch::{Batch, Segment};
use crate::sight::Sight;
use crate::tensor::{Engine, Id, Label, Learner, Node, Op, Order, Shape};
use microgpt_kernels::buffer::Buffer;
use microgpt_kernels::layer::decode;
use microgpt_kernels::{attention, sample, slices};
use std::cell::{Ref, RefCell};
use std::ops::Range;

mod backward;
mod forward;
mod layer;
mod model;
mod norms;
mod places;
mod primitives;
mod ready;
mod recurrent;
mod slopes;
mod sums;

/// The fast engine.
#[derive(Debug)]
pub struct Fast {
    tape: RefCell<Tape>,
}

#[derive(Debug, Default)]
struct Tape {
    params: Buffer,
    param_grads: sums::Sums,
    /// Those of earlier parts of the batch.
    aside: Vec<Buffer>,
    packed: layer::Packed,
    /// How decoding goes about which model.
    plan: Option<(Op, decode::Plan)>,
    tables: places::Tables,
    /// The keys and values of decoding.
    memory: Buffer,
    memory_rows: usize,
    memory_cols: usize,
    /// The numbers of this step's tensors, and what kernels keep for the way back. Longer than what is in use.
    values: Buffer,
    used: usize,
    slopes: slopes::Slopes,
    /// A gradient that is read while its neighbours are written.
    among: Buffer,
    /// Do gradients stay where they are until the next step?
    keep: bool,
    tensors: Vec<Stored>,
    /// Names, in the order in which they were given: the last that a tensor got is its own.
    labels: Vec<(Id, Label)>,
    batch: Batch,
    chance: Option<u64>,
    segments: Vec<attention::Segment>,
    /// Logits that decoding has left turned around, until somebody looks at them.
    turned: Option<Id>,
    fuse: bool,
    clock: Clock,
}

/// In which memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Params,
    Memory,
    Step,
}

/// A tensor: where its numbers stand, row after row, `stride` apart.
#[derive(Debug, Clone, Copy)]
struct Stored {
    op: Op,
    shape: Shape,
    place: Place,
    start: usize,
    stride: usize,
    /// What the kernel kept for the way back stands behind the numbers, from here on.
    kept: usize,
    /// Does its gradient hold something already? If not, the first that comes need not be added.
    touched: bool,
    /// If it does, where it stands among the gradients, with the same stride.
    slope: usize,
}

impl Stored {
    fn at(&self, row: usize, col: usize) -> usize {
        self.start + row * self.stride + col
    }

    /// As `at`, where one row may stand for all rows, and one column for all columns.
    fn spread(&self, row: usize, col: usize) -> usize {
        self.at(if self.shape.rows > 1 { row } else { 0 }, if self.shape.cols > 1 { col } else { 0 })
    }

    fn row(&self, row: usize) -> std::ops::Range<usize> {
        let start = self.start + row * self.stride;
        start..start + self.shape.cols
    }

    /// All its numbers, which stand without gaps.
    fn all(&self) -> std::ops::Range<usize> {
        assert_eq!(self.stride, self.shape.cols, "{:?}: a tensor without gaps", self.op);
        self.start..self.start + self.shape.len()
    }
}

/// Tensors begin at multiples of a register.
const LINE: usize = 16;

impl Fast {
    /// An engine with these parameters.
    pub fn new(params: Vec<f32>) -> Fast {
        let (params, param_grads) = (Buffer::from(&params[..]), sums::Sums::zeros(params.len()));
        Fast { tape: RefCell::new(Tape { params, param_grads, fuse: true, keep: true, ..Tape::default() }) }
    }

    /// An engine that takes no shortcuts: every composite by its definition. Slow; for tests of the shortcuts.
    pub fn without_shortcuts(params: Vec<f32>) -> Fast {
        let mut engine = Fast::new(params);
        engine.tape.get_mut().fuse = false;
        engine
    }

    /// The tape, with all numbers where they are looked for.
    fn settled(&self) -> Ref<'_, Tape> {
        if self.tape.borrow().turned.is_some() {
            self.tape.borrow_mut().settle();
        }
        self.tape.borrow()
    }
}

impl Engine for Fast {
    fn eval(&self, op: Op, shape: Shape) -> Id {
        self.tape.borrow_mut().eval(op, shape)
    }

    fn fuses(&self, op: &Op) -> bool {
        self.tape.borrow_mut().fuses(*op)
    }

    fn order(&self, _tensor: Id, _order: Order) {}

    fn label(&self, tensor: Id, layer: Option<usize>, name: &'static str) {
        self.tape.borrow_mut().labels.push((tensor, Label { layer, name }));
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
        tape.batch.decoding.then_some(tape.memory_rows)
    }

    fn number(&self, tensor: Id, row: usize, col: usize) -> f64 {
        let tape = self.settled();
        let stored = tape.get(tensor);
        f64::from(tape.numbers(stored.place)[stored.row(row)][col])
    }

    fn draws(&self) -> bool {
        true
    }

    fn draw(&self, tensor: Id, rows: &[usize], temperature: f64, us: &[f64], found: &mut [u32]) -> bool {
        if let Some(good) = self.tape.borrow().draw_turned(tensor, rows, temperature, us, found) {
            return good;
        }
        let tape = self.settled();
        let stored = tape.get(tensor);
        let logits = &tape.numbers(stored.place)[stored.all()];
        sample::draw(logits, stored.shape.cols, rows, temperature.recip() as f32, us, found)
    }

    fn read_row(&self, tensor: Id, row: usize, out: &mut Vec<f64>) {
        let tape = self.settled();
        let stored = tape.get(tensor);
        out.extend(tape.numbers(stored.place)[stored.row(row)].iter().map(|&x| f64::from(x)));
    }

    fn values(&self, tensor: Id) -> Vec<f64> {
        let mut out = Vec::new();
        (0..self.tape.borrow().get(tensor).shape.rows).for_each(|row| self.read_row(tensor, row, &mut out));
        out
    }

    fn grads(&self, tensor: Id) -> Vec<f64> {
        let tape = self.tape.borrow();
        let stored = tape.get(tensor);
        if stored.place == Place::Step && !tape.get(tape.owner(tensor)).touched {
            return vec![0.0; stored.shape.len()];
        }
        // Before the first way back there are none, which is as good as 0.
        let number = |i| match stored.place {
            Place::Params => f64::from(tape.param_grads.number(i)),
            _ => tape.slopes.get(i).map_or(0.0, |&g| f64::from(g)),
        };
        let place = match stored.place {
            Place::Params => stored,
            _ => {
                let (all, part) = tape.slopes_around(tensor);
                Stored { start: all.start + part.start, ..part }
            }
        };
        (0..stored.shape.rows).flat_map(|row| place.row(row)).map(number).collect()
    }

    fn nodes(&self) -> Vec<Node> {
        let tape = self.tape.borrow();
        let label = |id| tape.labels.iter().rev().find(|(named, _)| *named == id).map(|(_, label)| *label);
        let node = |(i, t): (usize, &Stored)| {
            let id = Id(i as u32);
            Node { id, op: t.op, shape: t.shape, label: label(id) }
        };
        tape.tensors.iter().enumerate().map(node).collect()
    }
}

impl Learner<f32> for Fast {
    fn begin(&mut self, batch: &Batch) {
        let tape = self.tape.get_mut();
        tape.tensors.clear();
        tape.labels.clear();
        tape.used = 0;
        tape.slopes.clear();
        if !batch.decoding {
            tape.param_grads.clear();
        }
        tape.batch.clone_from(batch);
        (tape.chance, tape.turned) = (None, None);
        tape.segments.clear();
        tape.segments.extend(batch.segments.iter().map(|s| attention::Segment {
            q_start: s.start,
            q_len: s.len,
            kv_start: if batch.decoding { s.memory } else { s.start },
            past: s.past,
        }));
        tape.clock.skip();
    }

    fn leave_to(&mut self, chance: u64) {
        self.tape.get_mut().chance = Some(chance);
    }

    fn backward(&mut self, loss: Id) {
        self.tape.get_mut().backward(loss);
    }

    fn backward_while(&mut self, loss: Id, aside: usize, ready: &mut dyn FnMut(Range<usize>, &[f32])) {
        self.tape.get_mut().backward_while(loss, aside, ready);
    }

    fn spare_memory(&mut self) {
        self.tape.get_mut().keep = false;
    }

    fn params(&self) -> Ref<'_, [f32]> {
        Ref::map(self.tape.borrow(), |tape| &*tape.params)
    }

    fn slices(&mut self) -> (&mut [f32], &mut [f32]) {
        let tape = self.tape.get_mut();
        // The weights are about to change.
        tape.packed.forget();
        (&mut tape.params, tape.param_grads.all())
    }

    fn put_aside(&mut self, i: usize) {
        let tape = self.tape.get_mut();
        while tape.aside.len() <= i {
            let len = tape.params.len();
            tape.aside.push(Buffer::zeros(len));
        }
        tape.param_grads.swap(&mut tape.aside[i]);
    }

    fn add_aside(&mut self, i: usize) {
        let tape = self.tape.get_mut();
        slices::add_into(tape.param_grads.all(), &tape.aside[i]);
    }

    fn watch(&mut self, now: fn() -> u64) {
        self.tape.get_mut().clock.watch(now);
    }

    fn watched(&self) -> Vec<(Op, [u64; 2])> {
        self.tape.borrow().clock.spent()
    }

    fn reserve_memory(&mut self, slots: usize, rows: usize, cols: usize) {
        let tape = self.tape.get_mut();
        tape.tensors.clear();
        tape.labels.clear();
        tape.turned = None;
        (tape.memory_rows, tape.memory_cols) = (rows, cols);
        tape.memory.grow(slots * rows * cols);
    }
}

impl Tape {
    fn get(&self, id: Id) -> Stored {
        self.tensors[id.0 as usize]
    }

    fn numbers(&self, place: Place) -> &[f32] {
        match place {
            Place::Params => &self.params,
            Place::Memory => &self.memory,
            Place::Step => &self.values,
        }
    }

    /// Room for `len` numbers of this step, wherever they happen to be: what stands there is old.
    fn room(&mut self, len: usize) -> usize {
        let start = self.used;
        self.used += len.next_multiple_of(LINE);
        if self.values.len() < self.used {
            self.values.grow_amply(self.used);
        }
        start
    }

    fn eval(&mut self, op: Op, shape: Shape) -> Id {
        self.settle();
        let id = Id(self.tensors.len() as u32);
        if let Op::Param { offset } = op {
            assert!(offset + shape.len() <= self.params.len(), "no such parameters");
            let (place, start, stride) = (Place::Params, offset, shape.cols);
            self.tensors.push(Stored { op, shape, place, start, stride, kept: 0, touched: false, slope: 0 });
            return id;
        }
        // Some tensors are other names for numbers that are there; the others get room.
        let (place, start, stride) = match op {
            Op::Columns { x, start } => {
                let x = self.get(x);
                (x.place, x.start + start, x.stride)
            }
            Op::Remember { slot, .. } => {
                (Place::Memory, slot * self.memory_rows * self.memory_cols, self.memory_cols)
            }
            _ => (Place::Step, self.room(shape.len()), shape.cols),
        };
        if let Op::Model { .. } = op {
            assert!(self.plan(op).is_some(), "{op:?} has no kernel here");
        }
        let kept = self.used;
        let kept_len = self.kept_len(op, shape);
        self.room(kept_len);
        let stored = Stored { op, shape, place, start, stride, kept, touched: false, slope: 0 };
        self.tensors.push(stored);
        self.forward(&stored);
        self.clock.ended(op, 0);
        id
    }

    /// How many numbers the kernel of this operation keeps for the way back.
    fn kept_len(&self, op: Op, shape: Shape) -> usize {
        match op {
            Op::RmsNorm(_) | Op::RmsNormGain { .. } | Op::Embed { .. } => shape.rows,
            Op::LayerNorm { .. } => 2 * shape.rows,
            Op::DynamicTanh { .. } => shape.len(),
            Op::Layer { .. } => self.layer_kept_len(op, shape),
            Op::Recur { .. } => self.recur_kept_len(op, shape),
            Op::Model { .. } => self.plan.as_ref().map_or(0, |(_, plan)| plan.scratch_len()),
            Op::CrossEntropy(logits) => self.get(logits).shape.rows,
            Op::Attention { sight, .. } | Op::LinearAttention { sight, .. } => {
                attention::saved_len(&self.segments, sight.heads(), shape.cols / sight.heads())
            }
            _ => 0,
        }
    }

    /// Which rows of keys and values row p of a segment sees: the row that they are counted from, and which.
    fn context(&self, segment: &Segment, p: usize, sight: Sight) -> (usize, Range<usize>) {
        (if self.batch.decoding { segment.memory } else { segment.start }, sight.keys(segment.past + p))
    }
}
