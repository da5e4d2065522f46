//! Where the gradients of a step's tensors are.
//!
//! A tensor's gradient gets room when something is first handed to it. Once it has been handed on itself, nothing needs
//! it, and a learner that is not looked at gives its room to another: so a few layers' worth is all there is, and stays
//! in the cache.

use super::{LINE, Place, Stored, Tape};
use crate::tensor::{Id, Op};
use microgpt_kernels::buffer::Buffer;
use std::ops::Range;

/// The gradients' memory.
#[derive(Debug, Default)]
pub(super) struct Slopes {
    numbers: Buffer,
    /// What nobody has, from first to last and not touching; behind the last is `end`, and all is free from there on.
    free: Vec<Range<usize>>,
    end: usize,
}

impl Slopes {
    /// Nobody has anything.
    pub(super) fn clear(&mut self) {
        self.free.clear();
        self.end = 0;
    }

    /// Room for `len` numbers, which are old ones.
    fn take(&mut self, len: usize) -> usize {
        let len = len.next_multiple_of(LINE);
        if let Some(i) = self.free.iter().position(|free| free.len() >= len) {
            let start = self.free[i].start;
            self.free[i].start += len;
            if self.free[i].is_empty() {
                self.free.remove(i);
            }
            return start;
        }
        let start = self.end;
        self.end += len;
        if self.numbers.len() < self.end {
            self.numbers.grow_amply(self.end);
        }
        start
    }

    /// Gives back what was taken.
    fn give(&mut self, start: usize, len: usize) {
        let mut back = start..start + len.next_multiple_of(LINE);
        let i = self.free.partition_point(|free| free.end < back.start);
        while let Some(free) = self.free.get(i).filter(|free| free.start <= back.end) {
            back = back.start.min(free.start)..back.end.max(free.end);
            self.free.remove(i);
        }
        if back.end == self.end {
            self.end = back.start;
        } else {
            self.free.insert(i, back);
        }
    }

    /// Those of several tensors.
    pub(super) fn each<const N: usize>(&mut self, places: [Range<usize>; N]) -> [&mut [f32]; N] {
        self.numbers.get_disjoint_mut(places).expect("different tensors")
    }
}

impl std::ops::Deref for Slopes {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.numbers
    }
}

impl std::ops::DerefMut for Slopes {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.numbers
    }
}

impl Stored {
    /// The place of its gradient, which it has once something was handed to it.
    pub(super) fn slope(self) -> Stored {
        Stored { start: self.slope, ..self }
    }

    /// Where its gradient is, as a whole.
    pub(super) fn slopes(self) -> Range<usize> {
        self.slope().all()
    }
}

impl Tape {
    /// The tensor whose numbers these are: that of which `id` is some columns.
    pub(super) fn owner(&self, mut id: Id) -> Id {
        while let Op::Columns { x, .. } = self.get(id).op {
            id = x;
        }
        id
    }

    /// Is there something in the gradient of `id`, or of the tensor that all these columns are, to add to? After this
    /// there is.
    pub(super) fn touch(&mut self, id: Id) -> bool {
        let owner = self.owner(id);
        let stored = self.get(owner);
        let (start, slope) = (
            stored.start,
            match stored.touched || stored.place != Place::Step {
                true => stored.slope,
                false => self.slopes.take(self.slope_len(&stored)),
            },
        );
        for id in [owner, id] {
            let stored = &mut self.tensors[id.0 as usize];
            stored.touched = true;
            stored.slope = slope + (stored.start - start);
        }
        stored.touched
    }

    /// Makes sure that the gradient of `id` can be added to: what was not touched is 0.
    pub(super) fn ready(&mut self, id: Id) {
        let owner = self.owner(id);
        let stored = self.get(owner);
        assert_eq!(
            stored.place,
            Place::Step,
            "{:?}: gradients of parameters come from gather, linear and +",
            stored.op
        );
        if !self.touch(id) {
            let all = self.get(owner).slopes();
            self.slopes[all].fill(0.0);
        }
    }

    /// The gradient of a tensor that was handed on is wanted no more.
    pub(super) fn let_go(&mut self, y: &Stored) {
        if !self.keep && y.place == Place::Step && !matches!(y.op, Op::Columns { .. }) {
            self.slopes.give(y.slope, self.slope_len(y));
        }
    }

    /// Where in the gradients the whole tensor is of which `id` is some columns; and in this, those of `id`.
    pub(super) fn slopes_around(&self, id: Id) -> (Range<usize>, Stored) {
        let (all, part) = (self.get(self.owner(id)), self.get(id));
        (all.slopes(), Stored { start: part.start - all.start, ..part })
    }

    /// How much room a gradient takes: some kernels write notes behind it on the way back.
    fn slope_len(&self, y: &Stored) -> usize {
        match y.op {
            Op::Layer { .. } | Op::Recur { .. } => y.kept - y.start + self.kept_len(y.op, y.shape),
            _ => y.shape.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_once() {
        let mut slopes = Slopes::default();
        let mut taken: Vec<(usize, usize)> = Vec::new();
        let mut state = 1_u32;
        for _ in 0..2000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let number = (state >> 16) as usize;
            if number.is_multiple_of(3) && !taken.is_empty() {
                let (start, len) = taken.swap_remove(number / 3 % taken.len());
                slopes.give(start, len);
            } else if taken.len() < 20 {
                let len = 1 + number % 100;
                let start = slopes.take(len);
                assert!(start + len <= slopes.len() && start.is_multiple_of(LINE));
                assert!(taken.iter().all(|(s, l)| start + len <= *s || s + l <= start), "{slopes:?}");
                taken.push((start, len));
            }
        }
        taken.into_iter().for_each(|(start, len)| slopes.give(start, len));
        assert_eq!((slopes.end, slopes.free.len()), (0, 0));
        // What is free is taken before more is.
        assert!(slopes.len() <= 1 << 18 | 20 * 112 * 4);
    }
}
