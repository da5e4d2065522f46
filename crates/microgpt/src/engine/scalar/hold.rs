//! What if: numbers that are held at a value, whatever would have been computed; and a backward pass that can be
//! stopped at any operation.

use super::{Scalar, Stored, Tape};
use crate::tensor::{Id, Op};

/// A number of a named tensor, and the value that takes its place before anything is computed from it.
///
/// It has a gradient, as any number; but none goes through it to what it would have been computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct Hold {
    /// The tensor's name, as [`crate::op::Label`] writes it: `layer0.attn_found`.
    pub name: String,
    /// Where in it.
    pub row: usize,
    /// Where in it.
    pub col: usize,
    /// What it is.
    pub value: f64,
}

impl Scalar {
    /// Holds these numbers from the next step on, as soon as a tensor gets its name. Places outside of it are ignored.
    pub fn hold(&mut self, holds: Vec<Hold>) {
        self.tape.get_mut().holds = holds;
    }

    /// Is this number held?
    pub fn is_held(&self, tensor: Id, row: usize, col: usize) -> bool {
        let tape = self.tape.borrow();
        tape.held.contains(&tape.get(tensor).at(row, col))
    }

    /// Sets all gradients but the parameters' to 0, that of the loss to 1: what [`Scalar::hand_on`] goes on from.
    ///
    /// # Panics
    /// If the loss is not one number.
    pub fn begin_backward(&mut self, loss: Id) {
        self.tape.get_mut().begin_backward(loss);
    }

    /// One operation backward: hands the gradient of a tensor on to its operands. From the loss to the first tensor, one
    /// after the other, this is [`crate::tensor::Learner::backward`].
    pub fn hand_on(&mut self, tensor: Id) {
        let tape = self.tape.get_mut();
        tape.hand_on_unless_held(tape.get(tensor));
    }
}

impl Tape {
    /// Puts the values that are held in their places.
    pub(super) fn hold(&mut self, tensor: Id) {
        let stored = self.get(tensor);
        let Some(name) = stored.label.map(|label| label.to_string()) else { return };
        for hold in &self.holds {
            if hold.name == name && hold.row < stored.shape.rows && hold.col < stored.shape.cols {
                let place = stored.at(hold.row, hold.col);
                self.values[place] = hold.value;
                self.held.push(place);
            }
        }
    }

    /// Hands on the gradient of all its numbers but those that are held.
    pub(super) fn hand_on_unless_held(&mut self, y: Stored) {
        let aside: Vec<(usize, f64)> = match y.op {
            _ if self.held.is_empty() => Vec::new(),
            // These have no numbers of their own.
            Op::Param { .. } | Op::Columns { .. } | Op::Remember { .. } => Vec::new(),
            _ => {
                let own = y.start..y.start + y.shape.len();
                let held = self.held.iter().filter(|place| own.contains(place));
                held.map(|&place| (place, std::mem::take(&mut self.grads[place]))).collect()
            }
        };
        self.hand_on(y);
        // A number that was held twice was put aside as it is first, and as 0 then.
        aside.iter().rev().for_each(|&(place, grad)| self.grads[place] = grad);
    }
}
