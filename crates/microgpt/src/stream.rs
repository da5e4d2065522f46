//! A text that is one stream of tokens, with no BOS in it, learnt in windows.

use crate::packed::{Packed, pack, width_below};
use crate::{error::Error, rng::nth_below, token::Tokenizer};
use std::ops::Range;
use std::sync::Arc;

/// The tokens of a text, one after the other, in as many bytes each as the largest needs.
///
/// Nothing here depends on where they are kept: whoever learns asks for one window at a time, and a window is known
/// by its number alone.
#[derive(Debug, Clone)]
pub struct Stream {
    tokens: Packed,
}

impl Stream {
    /// The stream of this text, in memory.
    ///
    /// # Errors
    /// A character that the tokenizer does not know; bytes that are no UTF-8, if it needs them to be.
    pub fn new(text: &[u8], tokenizer: &Tokenizer) -> Result<Stream, Error> {
        let mut tokens = Vec::with_capacity(text.len());
        tokenizer.encode_bytes_into(text, &mut tokens)?;
        Ok(Stream::of(&tokens, tokenizer.vocab_size()))
    }

    fn of(tokens: &[u32], vocab_size: usize) -> Stream {
        let width = width_below(vocab_size as u64);
        let mut bytes = Vec::with_capacity(tokens.len() * width);
        pack(tokens.iter().map(|&token| token.into()), width, &mut bytes);
        Stream::kept(Packed::new(Arc::new(bytes), width))
    }

    /// A stream whose tokens are there already.
    pub fn kept(tokens: Packed) -> Stream {
        Stream { tokens }
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Is there nothing in it?
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Window `number` of those that belong to `seed`: `length` tokens from a random place on, all within `part`.
    /// Every place is as likely, whatever came before. All of a part that is shorter. `out` takes them.
    ///
    /// # Errors
    /// They cannot be read where they are kept.
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
    ) -> Result<(), Error> {
        let length = length.min(part.len());
        let start = part.start + nth_below(seed, number, part.len() - length + 1);
        self.read(start..start + length, out)
    }

    /// Window `i` of `count` that are spread evenly over `part`: the first begins where it begins, the last ends where
    /// it ends. They overlap only if there are more than fit beside one another. `out` takes it.
    ///
    /// # Errors
    /// They cannot be read where they are kept.
    ///
    /// # Panics
    /// If there are not that many windows, or the part is not within the stream.
    pub fn even_window(
        &self,
        part: Range<usize>,
        length: usize,
        i: usize,
        count: usize,
        out: &mut Vec<u32>,
    ) -> Result<(), Error> {
        assert!(i < count, "window {i} of {count}");
        let length = length.min(part.len());
        let start = part.start + i * (part.len() - length) / (count - 1).max(1);
        self.read(start..start + length, out)
    }

    /// The tokens at these places, to `out`.
    ///
    /// # Errors
    /// They cannot be read where they are kept.
    ///
    /// # Panics
    /// If they are not within the stream.
    pub fn read(&self, places: Range<usize>, out: &mut Vec<u32>) -> Result<(), Error> {
        out.clear();
        self.tokens.read(places, |token| out.push(token as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `len` tokens: 100 times their places.
    fn stream(len: u32) -> Stream {
        let stream = Stream::of(&(0..len).map(|i| i * 100).collect::<Vec<_>>(), 100 * len as usize);
        assert_eq!((stream.len(), stream.is_empty()), (len as usize, false));
        stream
    }

    #[test]
    fn random_windows_stay_in_their_part_and_reach_all_of_it() {
        let (stream, mut window) = (stream(30), Vec::new());
        let mut starts = [0; 30];
        for number in 0..4000 {
            stream.random_window(5..25, 4, 1, number, &mut window).unwrap();
            assert_eq!(window, [0, 100, 200, 300].map(|more| window[0] + more));
            starts[window[0] as usize / 100] += 1;
        }
        let (inside, outside) = (&starts[5..22], [&starts[..5], &starts[22..]].concat());
        assert!(inside.iter().all(|&n| n > 150) && outside.iter().all(|&n| n == 0), "{starts:?}");
        stream.random_window(7..9, 4, 1, 3, &mut window).unwrap();
        assert_eq!(window, [700, 800]);
    }

    #[test]
    fn even_windows_cover_their_part() {
        let (stream, mut window) = (stream(30), Vec::new());
        let mut starts = |length, count| -> Vec<u32> {
            let mut start = |i| {
                stream.even_window(10..30, length, i, count, &mut window).unwrap();
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
