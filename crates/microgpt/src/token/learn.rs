//! Pieces -> merges: byte-pair encoding is learnt by joining the pair of tokens that stands side by side most often,
//! again and again.
//!
//! Gage, "A New Algorithm for Data Compression" (1994); Sennrich, Haddow and Birch, "Neural Machine Translation of Rare
//! Words with Subword Units" (2016). Of pairs that are as frequent the one with the smaller tokens comes first, as in
//! the `tokenizers` library, so the merges are the same.

use super::bpe::{ByPair, Pair};
use super::words::Words;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The first `wanted` merges of these pieces, of which byte `b` is token `tokens[b]`; merge `i` makes token 256 + i.
/// Fewer, if nothing is left to merge. [`naive_merges`] is the definition.
///
/// Time: that of the places where pairs are merged, each found at once. A pair's count is kept, not counted again, and
/// a heap has the largest; a count that has fallen since it came there is put right when it comes up. Only new tokens
/// bring new pairs, so no count ever rises.
pub(super) fn merges(words: &Words, tokens: &[u8; 256], wanted: usize) -> Vec<Pair> {
    let mut text = Text::new(words, tokens);
    let mut pairs = text.pairs();
    let mut heap: BinaryHeap<(u64, Reverse<Pair>)> =
        pairs.iter().map(|(&pair, seen)| (seen.count, Reverse(pair))).collect();
    let mut merges = Vec::new();
    while merges.len() < wanted
        && let Some((count, Reverse(pair))) = heap.pop()
    {
        let now = pairs[&pair].count;
        if now == 0 {
            pairs.remove(&pair);
            continue;
        }
        if now < count {
            heap.push((now, Reverse(pair)));
            continue;
        }
        let seen = pairs.remove(&pair).expect("it was there");
        let mut new = Vec::new();
        text.merge(pair, &seen.places, &mut pairs, &mut new);
        heap.extend(new.into_iter().map(|pair| (pairs[&pair].count, Reverse(pair))));
        merges.push(pair);
    }
    merges
}

/// How often a pair stands side by side, and where: some of the places may be gone.
#[derive(Debug, Default)]
struct Seen {
    count: u64,
    places: Vec<u32>,
}

/// All pieces, one after the other, a place for each byte.
///
/// A token stands at the places of its first and its last byte, and [`NONE`] between. So from the place after a token
/// or before it its neighbour is found, and with its length the neighbour's other end. After each piece comes [`NONE`].
struct Text {
    tokens: Vec<u32>,
    /// Which piece a place is in.
    piece: Vec<u32>,
    counts: Vec<u64>,
    /// The length of each token.
    lens: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl Text {
    fn new(words: &Words, bytes: &[u8; 256]) -> Text {
        let (mut tokens, mut piece) = (Vec::new(), Vec::new());
        for (i, (word, _)) in words.iter().enumerate() {
            tokens.extend(word.iter().map(|&byte| u32::from(bytes[usize::from(byte)])));
            tokens.push(NONE);
            piece.resize(tokens.len(), i as u32);
        }
        Text { tokens, piece, counts: words.iter().map(|(_, count)| count).collect(), lens: vec![1; 256] }
    }

    /// All pairs there are at first.
    fn pairs(&self) -> ByPair<Seen> {
        let mut pairs = ByPair::<Seen>::default();
        for (at, pair) in self.tokens.windows(2).enumerate() {
            if pair[0] != NONE && pair[1] != NONE {
                self.see(&mut pairs, (pair[0], pair[1]), at);
            }
        }
        pairs
    }

    fn see(&self, pairs: &mut ByPair<Seen>, pair: Pair, at: usize) {
        let seen = pairs.entry(pair).or_default();
        seen.count += self.counts[self.piece[at] as usize];
        seen.places.push(at as u32);
    }

    /// Makes a new token of this pair wherever it stands, from left to right, and tells `pairs` what stands beside it
    /// now, and `new` which of these pairs were not there before.
    fn merge(&mut self, (a, b): Pair, places: &[u32], pairs: &mut ByPair<Seen>, new: &mut Vec<Pair>) {
        let token = self.lens.len() as u32;
        let (a_len, b_len) = (self.lens[a as usize] as usize, self.lens[b as usize] as usize);
        self.lens.push((a_len + b_len) as u32);
        for &start in places {
            let start = start as usize;
            let (second, end) = (start + a_len, start + a_len + b_len);
            if self.tokens[start] != a || self.tokens[second] != b {
                continue;
            }
            let count = self.counts[self.piece[start] as usize];
            let mut instead = |text: &Text, old: Pair, pair: Pair, at: usize| {
                // The pair that is merged is not there any more.
                if let Some(seen) = pairs.get_mut(&old) {
                    seen.count -= count;
                    if seen.count == 0 {
                        seen.places = Vec::new();
                    }
                }
                if !pairs.contains_key(&pair) {
                    new.push(pair);
                }
                text.see(pairs, pair, at);
            };
            let before = start.checked_sub(1).map_or(NONE, |last| self.tokens[last]);
            if before != NONE {
                let at = start - self.lens[before as usize] as usize;
                instead(self, (before, a), (before, token), at);
            }
            let after = self.tokens[end];
            if after != NONE {
                instead(self, (b, after), (token, after), start);
            }
            self.tokens[second - 1] = NONE;
            self.tokens[second] = NONE;
            self.tokens[start] = token;
            self.tokens[end - 1] = token;
        }
    }
}

/// The definition of [`merges`]: counts all pairs anew before each merge.
#[cfg(test)]
pub(super) fn naive_merges(words: &Words, tokens: &[u8; 256], wanted: usize) -> Vec<Pair> {
    let start = |word: &[u8]| word.iter().map(|&byte| u32::from(tokens[usize::from(byte)])).collect();
    let mut texts: Vec<(Vec<u32>, u64)> = words.iter().map(|(word, count)| (start(word), count)).collect();
    let mut merges = Vec::new();
    while merges.len() < wanted {
        let mut pairs = std::collections::BTreeMap::<Pair, u64>::new();
        for (text, count) in &texts {
            text.windows(2).for_each(|pair| *pairs.entry((pair[0], pair[1])).or_default() += count);
        }
        let Some((&pair, _)) = pairs.iter().max_by_key(|(pair, count)| (**count, Reverse(**pair))) else {
            break;
        };
        texts.iter_mut().for_each(|(text, _)| join(text, pair, 256 + merges.len() as u32));
        merges.push(pair);
    }
    merges
}

/// Makes `token` of each `pair` in a text, from left to right.
#[cfg(test)]
pub(super) fn join(text: &mut Vec<u32>, pair: Pair, token: u32) {
    let mut joined = Vec::with_capacity(text.len());
    let mut i = 0;
    while i < text.len() {
        if i + 1 < text.len() && (text[i], text[i + 1]) == pair {
            joined.push(token);
            i += 2;
        } else {
            joined.push(text[i]);
            i += 1;
        }
    }
    *text = joined;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use std::array::from_fn;

    #[test]
    fn the_merges_are_those_of_the_definition() {
        let mut rng = Rng::new(5);
        for letters in [1, 2, 3, 20] {
            let mut words = Words::default();
            for _ in 0..60 {
                let len = 1 + (rng.random() * 14.0) as usize;
                let word: Vec<u8> = (0..len).map(|_| b'a' + (rng.random() * letters as f64) as u8).collect();
                words.count(&word);
            }
            let natural = from_fn(|byte| byte as u8);
            let reversed = from_fn(|byte| 255 - byte as u8);
            for tokens in [natural, reversed] {
                let naive = naive_merges(&words, &tokens, 200);
                assert_eq!(merges(&words, &tokens, 200), naive, "{letters}");
                assert_eq!(merges(&words, &tokens, 3), naive[..3.min(naive.len())]);
            }
        }
        assert_eq!(merges(&Words::default(), &from_fn(|byte| byte as u8), 5), []);
    }
}
