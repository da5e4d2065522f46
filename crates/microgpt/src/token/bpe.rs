//! Bytes -> tokens by merges: byte-pair encoding. Without merges a token is a byte.

use super::split::pieces;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// Two tokens that stand side by side.
pub type Pair = (u32, u32);

/// Something for each pair.
pub(crate) type ByPair<T> = HashMap<Pair, T, BuildHasherDefault<PairHasher>>;

/// Tokens of bytes: one for each byte, then one for each merge, in the order in which they were learnt; BOS comes last.
#[derive(Debug, Clone)]
pub struct Bpe {
    /// The token of each byte.
    bytes: Box<[u8; 256]>,
    merges: Vec<Pair>,
    /// The token that a pair makes. The earlier a merge, the smaller it is.
    made: ByPair<u32>,
    /// The bytes of all tokens, one token after the other, and where each ends.
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl PartialEq for Bpe {
    fn eq(&self, other: &Bpe) -> bool {
        (&self.bytes, &self.merges) == (&other.bytes, &other.merges)
    }
}

impl Eq for Bpe {}

impl Bpe {
    /// A token for each byte, its value.
    pub fn plain() -> Bpe {
        Bpe::new(std::array::from_fn(|byte| byte as u8), &[]).expect("no merges")
    }

    /// Byte `b` is token `bytes[b]`; merge `i` makes token 256 + i.
    ///
    /// # Errors
    /// Bytes that share a token; a merge of tokens that are not made yet, or one that stands twice: what is wrong with
    /// it, and which it is.
    pub fn new(bytes: [u8; 256], merges: &[Pair]) -> Result<Bpe, String> {
        let (mut text, mut ends) = (vec![0; 256], (1..=256).collect::<Vec<usize>>());
        let mut seen = [false; 256];
        for (byte, &token) in bytes.iter().enumerate() {
            if std::mem::replace(&mut seen[usize::from(token)], true) {
                return Err(format!("expected a token of its own for each byte, found {token} twice"));
            }
            text[usize::from(token)] = byte as u8;
        }
        let mut made = ByPair::default();
        for (i, &(a, b)) in merges.iter().enumerate() {
            let token = 256 + i as u32;
            if a.max(b) >= token {
                return Err(format!("merge {}: expected tokens below {token}, found {a} and {b}", i + 1));
            }
            if made.insert((a, b), token).is_some() {
                return Err(format!("merge {}: expected each pair once, found {a} and {b} again", i + 1));
            }
            for part in [a, b] {
                let start = if part == 0 { 0 } else { ends[part as usize - 1] };
                text.extend_from_within(start..ends[part as usize]);
            }
            ends.push(text.len());
        }
        Ok(Bpe { bytes: Box::new(bytes), merges: merges.to_vec(), made, text, ends })
    }

    /// The token of each byte.
    pub fn bytes(&self) -> &[u8; 256] {
        &self.bytes
    }

    /// The pairs that are merged, the first learnt first.
    pub fn merges(&self) -> &[Pair] {
        &self.merges
    }

    /// How many tokens there are, without BOS.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Never: every byte is a token.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The bytes of a token, if it is one.
    pub fn piece(&self, token: u32) -> Option<&[u8]> {
        let end = *self.ends.get(token as usize)?;
        let start = if token == 0 { 0 } else { self.ends[token as usize - 1] };
        Some(&self.text[start..end])
    }

    /// Appends the tokens of these bytes, whatever they are.
    pub fn encode_into(&self, text: &[u8], tokens: &mut Vec<u32>) {
        if self.merges.is_empty() {
            tokens.extend(text.iter().map(|&byte| u32::from(self.bytes[usize::from(byte)])));
            return;
        }
        for piece in pieces(text) {
            if piece.len() <= SHORT {
                self.encode_short(piece, tokens)
            } else {
                self.encode_long(piece, tokens)
            }
        }
    }

    fn made(&self, a: u32, b: u32) -> u32 {
        self.made.get(&(a, b)).copied().unwrap_or(NONE)
    }

    /// A piece of few bytes: the pair that was learnt first is merged, until there is none.
    fn encode_short(&self, piece: &[u8], out: &mut Vec<u32>) {
        let (mut tokens, mut made, mut len) = ([0; SHORT], [NONE; SHORT], piece.len());
        for (token, &byte) in tokens.iter_mut().zip(piece) {
            *token = u32::from(self.bytes[usize::from(byte)]);
        }
        for i in 1..len {
            made[i - 1] = self.made(tokens[i - 1], tokens[i]);
        }
        while len > 1 {
            let (i, token) =
                (0..len - 1).map(|i| (i, made[i])).min_by_key(|&(_, token)| token).expect("pairs");
            if token == NONE {
                break;
            }
            tokens[i] = token;
            tokens.copy_within(i + 2..len, i + 1);
            made.copy_within(i + 1..len, i);
            len -= 1;
            made[len - 1] = NONE;
            if i > 0 {
                made[i - 1] = self.made(tokens[i - 1], token);
            }
            if i + 1 < len {
                made[i] = self.made(token, tokens[i + 1]);
            }
        }
        out.extend_from_slice(&tokens[..len]);
    }

    /// The same for a piece of many bytes, in time that does not grow with their square: a heap has the pairs. A token
    /// stands at its first byte's place; `next` and `before` say where its neighbours stand.
    fn encode_long(&self, piece: &[u8], out: &mut Vec<u32>) {
        let n = piece.len();
        let mut tokens: Vec<u32> =
            piece.iter().map(|&byte| u32::from(self.bytes[usize::from(byte)])).collect();
        let mut next: Vec<usize> = (1..=n).collect();
        let mut before: Vec<usize> = (0..n).map(|i| i.wrapping_sub(1)).collect();
        let mut heap = BinaryHeap::new();
        let push = |heap: &mut BinaryHeap<_>, tokens: &[u32], i: usize, j: usize| {
            let token = self.made(tokens[i], tokens[j]);
            if token != NONE {
                heap.push(Reverse((token, i, j)));
            }
        };
        (1..n).for_each(|i| push(&mut heap, &tokens, i - 1, i));
        while let Some(Reverse((token, i, j))) = heap.pop() {
            // Has one of the two been merged since?
            if tokens[i] == NONE || next[i] != j || self.made(tokens[i], tokens[j]) != token {
                continue;
            }
            (tokens[i], tokens[j]) = (token, NONE);
            next[i] = next[j];
            if next[i] < n {
                before[next[i]] = i;
                push(&mut heap, &tokens, i, next[i]);
            }
            if i > 0 {
                push(&mut heap, &tokens, before[i], i);
            }
        }
        out.extend(tokens.into_iter().filter(|&token| token != NONE));
    }
}

/// No token.
const NONE: u32 = u32::MAX;
/// The longest piece for which a heap is not worth it.
const SHORT: usize = 32;

/// Bytes in the order of GPT-2's tokens, which is that of the letters that stand for them in its files: first those
/// that can be seen, then the others. Byte `b` is token `gpt2_order()[b]`.
pub fn gpt2_order() -> [u8; 256] {
    let mut order = [0; 256];
    let (seen, unseen): (Vec<u8>, Vec<u8>) = (0..=255).partition(|&byte| is_seen(byte));
    for (token, byte) in seen.into_iter().chain(unseen).enumerate() {
        order[usize::from(byte)] = token as u8;
    }
    order
}

/// The letter that stands for a byte in the files of byte-level encodings: itself, if it can be seen; else those from
/// U+0100 on.
pub fn letter_of(byte: u8) -> char {
    if is_seen(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&byte| !is_seen(byte)).count() as u32;
    char::from_u32(0x100 + before).expect("a letter of Latin Extended-A")
}

fn is_seen(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..)
}

/// A hash of two tokens: both in one number, multiplied. The table takes its highest and its lowest bits.
#[derive(Debug, Default)]
pub(crate) struct PairHasher(u64);

impl Hasher for PairHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u32(u32::from(byte)));
    }

    fn write_u32(&mut self, x: u32) {
        self.0 = (self.0.rotate_left(32) ^ u64::from(x)).wrapping_mul(0x9e3779b97f4a7c15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::token::learn::{join, merges};
    use crate::token::words::Words;

    /// Of words of few letters, so that many pairs overlap.
    fn learnt(rng: &mut Rng) -> Bpe {
        let mut words = Words::default();
        (0..80).for_each(|_| words.count(&word(rng, 12)));
        Bpe::new(gpt2_order(), &merges(&words, &gpt2_order(), 60)).unwrap()
    }

    fn word(rng: &mut Rng, longest: usize) -> Vec<u8> {
        let len = 1 + (rng.random() * longest as f64) as usize;
        (0..len).map(|_| b"aab"[(rng.random() * 3.0) as usize]).collect()
    }

    #[test]
    fn encoding_is_all_merges_one_after_the_other() {
        let mut rng = Rng::new(3);
        let bpe = learnt(&mut rng);
        for longest in [3, 20, 80, 400] {
            let word = word(&mut rng, longest);
            let mut expected: Vec<u32> =
                word.iter().map(|&byte| bpe.bytes[usize::from(byte)].into()).collect();
            for (i, &pair) in bpe.merges().iter().enumerate() {
                join(&mut expected, pair, 256 + i as u32);
            }
            let (mut found, mut long) = (Vec::new(), Vec::new());
            bpe.encode_into(&word, &mut found);
            bpe.encode_long(&word, &mut long);
            assert_eq!((&found, &long), (&expected, &expected));
            assert_eq!(
                found.iter().flat_map(|&token| bpe.piece(token).unwrap()).copied().collect::<Vec<_>>(),
                word
            );
        }
    }

    #[test]
    fn a_piece_of_a_million_bytes_takes_no_square_of_it() {
        let bpe = learnt(&mut Rng::new(3));
        let mut tokens = Vec::new();
        bpe.encode_into(&b"ab".repeat(500_000), &mut tokens);
        assert!(tokens.len() < 500_000);
    }

    #[test]
    fn the_order_of_bytes_is_gpt2s() {
        let order = gpt2_order();
        // Of vocab.json: "!": 0, "A": 32, "\u{a1}": 94, "\u{100}" (byte 0): 188, "\u{120}" (a space): 220.
        assert_eq!([b'!', b'A', 0xa1, 0, b' '].map(|byte| order[usize::from(byte)]), [0, 32, 94, 188, 220]);
        assert_eq!([0, b' ', b'A', 0xad].map(letter_of), ['\u{100}', 'Ġ', 'A', '\u{143}']);
        let mut letters: Vec<(char, u8)> = (0..=255).map(|byte| (letter_of(byte), byte)).collect();
        letters.sort();
        assert!(
            letters
                .iter()
                .enumerate()
                .all(|(token, (_, byte))| usize::from(order[usize::from(*byte)]) == token)
        );
    }

    #[test]
    fn impossible_merges_are_errors() {
        let error = |merges: &[Pair]| Bpe::new(gpt2_order(), merges).unwrap_err();
        assert_eq!(error(&[(1, 256)]), "merge 1: expected tokens below 256, found 1 and 256");
        assert_eq!(error(&[(1, 2), (1, 2)]), "merge 2: expected each pair once, found 1 and 2 again");
        assert_eq!(
            Bpe::new([7; 256], &[]).unwrap_err(),
            "expected a token of its own for each byte, found 7 twice"
        );
    }
}
