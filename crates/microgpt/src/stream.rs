//! A text that is one stream of tokens, with no BOS in it, learnt in windows.

use crate::{error::Error, rng::nth_below, token::Tokenizer};
use std::ops::Range;

/// The tokens of a text, one after the other.
///
/// They are in memory, in as many bytes each as the largest needs. Nothing else here depends on it: whoever learns
/// asks for one window at a time, and a window is known by its number alone.
#[derive(Debug, Clone)]
pub struct Stream {
    bytes: Vec<u8>,
    /// Of one token, the lowest byte first: 1, 2 or 4.
    width: usize,
}

impl Stream {
    /// The stream of this text.
    ///
    /// # Errors
    /// A character that the tokenizer does not know.
    pub fn new(text: &str, tokenizer: &Tokenizer) -> Result<Stream, Error> {
        Ok(Stream::of(&tokenizer.encode(text)?, tokenizer.vocab_size()))
    }

    fn of(tokens: &[u32], vocab_size: usize) -> Stream {
        let width = match vocab_size {
            ..=0x100 => 1,
            0x101..=0x10000 => 2,
            _ => 4,
        };
        let mut bytes = Vec::with_capacity(tokens.len() * width);
        tokens.iter().for_each(|token| bytes.extend_from_slice(&token.to_le_bytes()[..width]));
        Stream { bytes, width }
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.width
    }

    /// Is there nothing in it?
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Window `number` of those that belong to `seed`: `length` tokens from a random place on, all within `part`.
    /// Every place is as likely, whatever came before. All of a part that is shorter. `out` takes them.
    ///
    /// # Panics
    /// If the part is empty, or not within the stream.
    pub fn random_window(
        &self,
        part: Range<usize>,
        length: usize,
        seed: u64,
        number: u64,
        out: &mut Vec<u32>,
    ) {
        let length = length.min(part.len());
        let start = part.start + nth_below(seed, number, part.len() - length + 1);
        self.read(start..start + length, out);
    }

    /// Window `i` of `count` that are spread evenly over `part`: the first begins where it begins, the last ends where
    /// it ends. They overlap only if there are more than fit beside one another. `out` takes it.
    ///
    /// # Panics
    /// If there are not that many windows, or the part is not within the stream.
    pub fn even_window(&self, part: Range<usize>, length: usize, i: usize, count: usize, out: &mut Vec<u32>) {
        assert!(i < count, "window {i} of {count}");
        let length = length.min(part.len());
        let start = part.start + i * (part.len() - length) / (count - 1).max(1);
        self.read(start..start + length, out);
    }

    fn read(&self, tokens: Range<usize>, out: &mut Vec<u32>) {
        let bytes = self.bytes[tokens.start * self.width..tokens.end * self.width].chunks_exact(self.width);
        out.clear();
        out.extend(
            bytes.map(|bytes| bytes.iter().rev().fold(0, |token, &byte| token << 8 | u32::from(byte))),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `len` tokens of `width` bytes: 100 times their places.
    fn stream(len: u32, width: usize) -> Stream {
        let tokens: Vec<u32> = (0..len).map(|i| i * 100 % (1 << (8 * width.min(3)))).collect();
        let stream = Stream::of(&tokens, 1 << (7 * width));
        assert_eq!((stream.len(), stream.width), (len as usize, width));
        stream
    }

    #[test]
    fn tokens_of_every_width_come_back() {
        for width in [1, 2, 4] {
            let mut out = vec![7];
            stream(9000, width).read(300..303, &mut out);
            assert_eq!(out, [30000, 30100, 30200].map(|token| token % (1 << (8 * width.min(3)))), "{width}");
        }
    }

    #[test]
    fn random_windows_stay_in_their_part_and_reach_all_of_it() {
        let (stream, mut window) = (stream(30, 2), Vec::new());
        let mut starts = [0; 30];
        for number in 0..4000 {
            stream.random_window(5..25, 4, 1, number, &mut window);
            assert_eq!(window, [0, 100, 200, 300].map(|more| window[0] + more));
            starts[window[0] as usize / 100] += 1;
        }
        let (inside, outside) = (&starts[5..22], [&starts[..5], &starts[22..]].concat());
        assert!(inside.iter().all(|&n| n > 150) && outside.iter().all(|&n| n == 0), "{starts:?}");
        stream.random_window(7..9, 4, 1, 3, &mut window);
        assert_eq!(window, [700, 800]);
    }

    #[test]
    fn even_windows_cover_their_part() {
        let (stream, mut window) = (stream(30, 2), Vec::new());
        let mut starts = |length, count| -> Vec<u32> {
            let mut start = |i| {
                stream.even_window(10..30, length, i, count, &mut window);
                window[0] / 100
            };
            (0..count).map(&mut start).collect()
        };
        assert_eq!(starts(5, 4), [10, 15, 20, 25]);
        assert_eq!(starts(6, 2), [10, 24]);
        assert_eq!(starts(6, 1), [10]);
        assert_eq!(starts(100, 1), [10]);
    }
}
