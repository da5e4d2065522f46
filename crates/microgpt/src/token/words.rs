//! Text -> its different pieces and how often each stands in it: all that byte-pair encoding has to know of a text.

use super::split::pieces;

/// Pieces and their counts, in the order in which they were met.
///
/// Memory: that of the different pieces, however long the text is. When they take [`Words::ROOM`] bytes, no new ones
/// are taken up, only counted if they are known.
#[derive(Debug, Clone, Default)]
pub struct Words {
    /// All pieces, one after the other.
    bytes: Vec<u8>,
    ends: Vec<u32>,
    counts: Vec<u64>,
    /// Open addressing: half of a piece's hash, and its number plus 1; 0 is a free place.
    table: Vec<(u32, u32)>,
}

impl Words {
    /// How many bytes of different pieces are taken up.
    pub const ROOM: usize = 64 << 20;

    /// Counts the pieces of a text; see [`pieces`].
    pub fn count(&mut self, text: &[u8]) {
        pieces(text).for_each(|piece| self.add(piece, 1));
    }

    /// Adds what another has counted.
    pub fn absorb(&mut self, other: &Words) {
        other.iter().for_each(|(word, count)| self.add(word, count));
    }

    /// How many different pieces there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Each piece with its count.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], u64)> {
        (0..self.len()).map(|i| (self.word(i), self.counts[i]))
    }

    fn word(&self, i: usize) -> &[u8] {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        &self.bytes[start as usize..self.ends[i] as usize]
    }

    fn add(&mut self, word: &[u8], count: u64) {
        if self.table.len() < 2 * (self.len() + 1) {
            self.grow();
        }
        let hash = hash(word);
        let mask = self.table.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let (half, number) = self.table[at];
            if number == 0 {
                break;
            }
            let i = number as usize - 1;
            if half == (hash >> 32) as u32 && self.word(i) == word {
                self.counts[i] += count;
                return;
            }
            at = (at + 1) & mask;
        }
        if self.bytes.len() < Words::ROOM {
            self.bytes.extend_from_slice(word);
            self.ends.push(self.bytes.len() as u32);
            self.counts.push(count);
            self.table[at] = ((hash >> 32) as u32, self.len() as u32);
        }
    }

    fn grow(&mut self) {
        let size = (2 * self.table.len()).max(1 << 10);
        let mut table = vec![(0, 0); size];
        for i in 0..self.len() {
            let hash = hash(self.word(i));
            let mut at = hash as usize & (size - 1);
            while table[at].1 != 0 {
                at = (at + 1) & (size - 1);
            }
            table[at] = ((hash >> 32) as u32, i as u32 + 1);
        }
        self.table = table;
    }
}

/// Eight bytes at a time: turned, mixed in, multiplied.
fn hash(word: &[u8]) -> u64 {
    const ODD: u64 = 0x9e3779b97f4a7c15;
    let mut hash = word.len() as u64;
    let (eights, rest) = word.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    for eight in eights.iter().chain([&last]) {
        hash = (hash.rotate_left(29) ^ u64::from_le_bytes(*eight)).wrapping_mul(ODD);
    }
    hash ^ (hash >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_piece_is_counted() {
        let text: String = (0..20_000).map(|i| format!("w{} ", i * i % 7001)).collect();
        let mut expected = BTreeMap::new();
        pieces(text.as_bytes()).for_each(|piece| *expected.entry(piece).or_insert(0) += 1);
        let mut whole = Words::default();
        whole.count(text.as_bytes());
        let (left, right) = text.as_bytes().split_at(super::super::split::safe_cut(text.as_bytes(), 70_000));
        let (mut halves, mut other) = (Words::default(), Words::default());
        halves.count(left);
        other.count(right);
        halves.absorb(&other);
        for words in [&whole, &halves] {
            assert_eq!(words.iter().collect::<BTreeMap<_, _>>(), expected);
            assert_eq!(words.len(), expected.len());
        }
        assert!(Words::default().is_empty());
    }
}
