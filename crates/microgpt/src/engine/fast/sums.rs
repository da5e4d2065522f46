//! The gradients of the parameters, which become zero right before something is added to them.
//!
//! A slice as long as the model that is set to zero in one go has left the cache when the first product comes.

use microgpt_kernels::buffer::Buffer;
use std::ops::Range;

/// One flat slice of sums.
#[derive(Debug, Default)]
pub(super) struct Sums {
    numbers: Buffer,
    /// Where there are sums already, from first to last and not touching; what is between is old, and counts as 0.
    begun: Vec<Range<usize>>,
}

impl Sums {
    /// `len` zeros.
    pub(super) fn zeros(len: usize) -> Sums {
        Sums { numbers: Buffer::zeros(len), begun: Vec::new() }
    }

    /// All become 0.
    pub(super) fn clear(&mut self) {
        self.begun.clear();
    }

    /// One of them.
    pub(super) fn number(&self, i: usize) -> f32 {
        if self.begun.iter().any(|range| range.contains(&i)) { self.numbers[i] } else { 0.0 }
    }

    /// All of them.
    pub(super) fn all(&mut self) -> &mut [f32] {
        self.begin(0..self.numbers.len());
        &mut self.numbers
    }

    /// All of them, of which only those in `ranges` may be looked at.
    pub(super) fn with<const N: usize>(&mut self, ranges: [Range<usize>; N]) -> &mut [f32] {
        ranges.into_iter().for_each(|range| self.begin(range));
        &mut self.numbers
    }

    /// Those in `range`.
    pub(super) fn at(&mut self, range: Range<usize>) -> &mut [f32] {
        self.begin(range.clone());
        &mut self.numbers[range]
    }

    /// Those in `range`, and whether there is something to add to: if not, all of them are to be replaced.
    pub(super) fn first(&mut self, range: Range<usize>) -> (&mut [f32], bool) {
        let i = self.begun.partition_point(|begun| begun.end <= range.start);
        let add = self.begun.get(i).is_some_and(|begun| begun.start < range.end);
        if add {
            self.begin(range.clone());
        } else {
            self.note(range.clone());
        }
        (&mut self.numbers[range], add)
    }

    /// Changes places with others, that are all sums.
    pub(super) fn swap(&mut self, others: &mut Buffer) {
        self.all();
        std::mem::swap(&mut self.numbers, others);
    }

    fn begin(&mut self, range: Range<usize>) {
        let mut from = range.start;
        let first = self.begun.partition_point(|begun| begun.end < range.start);
        for begun in self.begun[first..].iter().take_while(|begun| begun.start <= range.end) {
            if from < begun.start {
                self.numbers[from..begun.start].fill(0.0);
            }
            from = from.max(begun.end);
        }
        if from < range.end {
            self.numbers[from..range.end].fill(0.0);
        }
        self.note(range);
    }

    /// From now on there are sums in `range`.
    fn note(&mut self, mut range: Range<usize>) {
        let first = self.begun.partition_point(|begun| begun.end < range.start);
        let mut last = first;
        while let Some(begun) = self.begun.get(last).filter(|begun| begun.start <= range.end) {
            range = range.start.min(begun.start)..range.end.max(begun.end);
            last += 1;
        }
        self.begun.splice(first..last, [range]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_begin_at_zero_once() {
        let ranges = [3..5, 9..12, 4..10, 0..1, 20..20, 14..16, 12..14, 1..2, 19..20, 2..19, 7..8];
        for rotated in 0..ranges.len() {
            let mut sums = Sums::zeros(20);
            sums.all().fill(7.0);
            sums.clear();
            let mut wanted = [0.0; 20];
            for range in ranges.iter().cycle().skip(rotated).take(5) {
                let (numbers, add) = sums.first(range.clone());
                numbers.iter_mut().for_each(|sum| *sum = if add { *sum + 1.0 } else { 1.0 });
                wanted[range.clone()].iter_mut().for_each(|sum| *sum += 1.0);
                assert!((0..20).all(|i| sums.number(i) == wanted[i]), "{range:?} of {sums:?}");
            }
            assert_eq!(*sums.all(), wanted);
        }
    }
}
