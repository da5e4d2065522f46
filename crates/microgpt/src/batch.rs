//! Tokens -> what one step works on: inputs, targets and where each document begins. Ragged: nothing is padded.

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
}

/// The rows of one step: documents one after the other, a row for each token that has something to predict.
#[derive(Debug, Clone, Default, PartialEq)]
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

    /// Adds tokens after `past` others, whose keys and values are remembered from row `memory` on.
    pub fn push_segment(&mut self, tokens: &[u32], past: usize, memory: usize) {
        self.segments.push(Segment { start: self.rows(), len: tokens.len(), past, memory });
        self.positions.extend((past..past + tokens.len()).map(|p| p as u32));
        self.tokens.extend_from_slice(tokens);
    }

    /// The longest context that a row of it sees: its own segment and that segment's past.
    pub fn longest(&self) -> usize {
        self.segments.iter().map(|s| s.past + s.len).max().unwrap_or(0)
    }
}
