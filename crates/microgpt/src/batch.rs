//! Tokens -> what one step works on: inputs, targets and where each document begins. Ragged: nothing is padded.

use crate::rng::mix;
use std::ops::Range;

/// One document's part of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Its first row.
    pub start: usize,
    /// How many rows it has.
    pub len: usize,
    /// How many of its tokens came in earlier batches, and are remembered (decoding); 0 in training.
    pub past: usize,
    /// The first row of where its keys and values are remembered (decoding).
    pub memory: usize,
    /// Its number in the whole batch, of which this may be a part.
    pub number: usize,
}

/// The rows of one step: documents one after the other, a row for each token that has something to predict.
#[derive(Debug, Default, PartialEq)]
pub struct Batch {
    /// The token of each row.
    pub tokens: Vec<u32>,
    /// Its position in its document.
    pub positions: Vec<u32>,
    /// The token that comes after it; empty where nothing is to be learnt.
    pub targets: Vec<u32>,
    /// Which rows belong together: attention stays within a segment.
    pub segments: Vec<Segment>,
    /// By how many rows the loss is to be divided: those of this batch, and of any that are summed with it.
    pub loss_rows: usize,
    /// Are the keys and values of earlier batches remembered (decoding), or is each segment a whole document?
    pub decoding: bool,
}

impl Clone for Batch {
    fn clone(&self) -> Batch {
        let mut copy = Batch::default();
        copy.clone_from(self);
        copy
    }

    /// Its memory is used again, which the derived one would not.
    fn clone_from(&mut self, other: &Batch) {
        let Batch { tokens, positions, targets, segments, loss_rows, decoding } = other;
        self.tokens.clone_from(tokens);
        self.positions.clone_from(positions);
        self.targets.clone_from(targets);
        self.segments.clone_from(segments);
        (self.loss_rows, self.decoding) = (*loss_rows, *decoding);
    }
}

impl Batch {
    /// Empties it; the memory stays.
    pub fn clear(&mut self) {
        self.tokens.clear();
        self.positions.clear();
        self.targets.clear();
        self.segments.clear();
        self.loss_rows = 0;
        self.decoding = false;
    }

    /// How many rows there are: T.
    pub fn rows(&self) -> usize {
        self.tokens.len()
    }

    /// Adds a document to learn from: `tokens` with BOS at both ends, of which at most `block_size` are predicted.
    pub fn push_document(&mut self, tokens: &[u32], block_size: usize) {
        let len = block_size.min(tokens.len().saturating_sub(1));
        self.push_segment(&tokens[..len], 0, 0);
        self.targets.extend_from_slice(&tokens[1..len + 1]);
        self.loss_rows += len;
    }

    /// Adds the next token of each of several documents: it, how many came before, and where they are remembered.
    pub(crate) fn push_each(&mut self, each: impl Iterator<Item = (u32, usize, usize)> + Clone) {
        let (rows, segments) = (self.rows(), self.segments.len());
        self.tokens.extend(each.clone().map(|(token, ..)| token));
        self.positions.extend(each.clone().map(|(_, past, _)| past as u32));
        self.segments.extend(each.enumerate().map(|(i, (_, past, memory))| Segment {
            start: rows + i,
            len: 1,
            past,
            memory,
            number: segments + i,
        }));
    }

    /// Adds tokens after `past` others, whose keys and values are remembered from row `memory` on.
    #[inline]
    pub fn push_segment(&mut self, tokens: &[u32], past: usize, memory: usize) {
        let (start, number) = (self.rows(), self.segments.len());
        self.segments.push(Segment { start, len: tokens.len(), past, memory, number });
        if let [token] = tokens {
            // As decoding does it, token by token.
            self.positions.push(past as u32);
            return self.tokens.push(*token);
        }
        self.positions.extend((past..past + tokens.len()).map(|p| p as u32));
        self.tokens.extend_from_slice(tokens);
    }

    /// Part `i` of `parts`: whole documents, one after the other, nearly as many rows as the other parts; none where
    /// there are too few documents. `room` takes them, unless the whole is the part. The loss of a part is divided by
    /// the rows of the whole, so that the losses and the gradients of all parts add up to those of the whole.
    ///
    /// # Panics
    /// If there is no such part, or if this is decoding, which goes on from what the whole batch left.
    pub fn part<'a>(&'a self, i: usize, parts: usize, room: &'a mut Batch) -> &'a Batch {
        assert!(i < parts && !self.decoding, "part {i} of {parts}");
        if parts == 1 {
            return self;
        }
        let segments = &self.segments[self.cut(i, parts)..self.cut(i + 1, parts)];
        let rows = self.rows_of(i..i + 1, parts);
        let first = rows.start;
        room.clear();
        room.tokens.extend_from_slice(&self.tokens[rows.clone()]);
        room.positions.extend_from_slice(&self.positions[rows.clone()]);
        room.targets.extend_from_slice(&self.targets[rows]);
        room.segments.extend(segments.iter().map(|s| Segment { start: s.start - first, ..*s }));
        room.loss_rows = self.loss_rows;
        room
    }

    /// The rows of some of so many parts that follow one another.
    pub fn rows_of(&self, some: Range<usize>, parts: usize) -> Range<usize> {
        let segments = &self.segments[self.cut(some.start, parts)..self.cut(some.end, parts)];
        let first = segments.first().map_or(0, |s| s.start);
        first..segments.last().map_or(first, |s| s.start + s.len)
    }

    /// The first document of part `k`: one belongs to the part that its middle lies in.
    fn cut(&self, k: usize, parts: usize) -> usize {
        let before = |s: &Segment| (2 * s.start + s.len) * parts < 2 * k * self.rows();
        if k == parts { self.segments.len() } else { self.segments.partition_point(before) }
    }

    /// A number for each row from which it follows what falls out of it (see [`crate::tensor::Tensor::dropout`]): mixed
    /// from the step's `chance`, a `place` in the model, the document's number in the whole batch, and the position.
    pub fn row_keys(&self, chance: u64, place: u32) -> impl Iterator<Item = u32> + '_ {
        let here = mix(chance, u64::from(place));
        self.segments.iter().flat_map(move |s| {
            let document = mix(here, s.number as u64);
            (s.past..s.past + s.len).map(move |position| mix(document, position as u64) as u32)
        })
    }

    /// The longest context that a row of it sees: its own segment and that segment's past.
    pub fn longest(&self) -> usize {
        self.segments.iter().map(|s| s.past + s.len).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_batch_are_its_documents_once_each_and_nearly_equal() {
        let lengths = [[7, 1, 1, 1, 9, 3, 0, 5].as_slice(), &[4; 12], &[16], &[1, 2], &[0, 3, 0], &[]];
        for (lengths, parts) in lengths.into_iter().flat_map(|l| [1, 2, 4, 8].map(|parts| (l, parts))) {
            let mut batch = Batch::default();
            for (i, &len) in lengths.iter().enumerate() {
                let tokens: Vec<u32> = (0..=len as u32).map(|t| 100 * i as u32 + t).collect();
                batch.push_document(&tokens, 16);
            }
            let (mut whole, mut room) = (Batch::default(), Batch::default());
            let longest = lengths.iter().max().copied().unwrap_or(0);
            for i in 0..parts {
                let part = batch.part(i, parts, &mut room);
                assert_eq!(part.loss_rows, batch.loss_rows);
                let share = batch.rows() as f64 / parts as f64;
                assert!((part.rows() as f64 - share).abs() <= longest as f64, "{lengths:?} {i}/{parts}");
                for s in &part.segments {
                    let rows = s.start..s.start + s.len;
                    let mut tokens = part.tokens[rows.clone()].to_vec();
                    tokens.extend(part.targets[rows.clone()].last().or(Some(&0)));
                    assert!(part.positions[rows].iter().copied().eq(0..s.len as u32));
                    whole.push_document(&tokens, 16);
                }
            }
            assert_eq!(whole, batch, "{lengths:?} in {parts}");
        }
    }
}
