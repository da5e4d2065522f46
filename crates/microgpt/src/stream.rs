//! A text that is one stream of tokens, with no BOS in it, learnt in windows.

use crate::{error::Error, rng::nth_below, token::Tokenizer};
use std::ops::Range;

/// The tokens of a text, one after the other.
///
/// They are in memory. Nothing else here depends on it: whoever learns asks for one window at a time, and a window is
/// known by its number alone.
#[derive(Debug, Clone)]
pub struct Stream {
    tokens: Vec<u32>,
}

impl Stream {
    /// The stream of this text.
    ///
    /// # Errors
    /// A character that the tokenizer does not know.
    pub fn new(text: &str, tokenizer: &Tokenizer) -> Result<Stream, Error> {
        // As many tokens as there are characters, and no room behind them.
        let mut tokens = Vec::with_capacity(text.chars().count());
        tokenizer.encode_into(text, &mut tokens)?;
        Ok(Stream { tokens })
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
    /// Every place is as likely, whatever came before. All of a part that is shorter.
    ///
    /// # Panics
    /// If the part is empty, or not within the stream.
    pub fn random_window(&self, part: Range<usize>, length: usize, seed: u64, number: u64) -> &[u32] {
        let length = length.min(part.len());
        let start = part.start + nth_below(seed, number, part.len() - length + 1);
        &self.tokens[start..start + length]
    }

    /// Window `i` of `count` that are spread evenly over `part`: the first begins where it begins, the last ends where
    /// it ends. They overlap only if there are more than fit beside one another.
    ///
    /// # Panics
    /// If there are not that many windows, or the part is not within the stream.
    pub fn even_window(&self, part: Range<usize>, length: usize, i: usize, count: usize) -> &[u32] {
        assert!(i < count, "window {i} of {count}");
        let length = length.min(part.len());
        let start = part.start + i * (part.len() - length) / (count - 1).max(1);
        &self.tokens[start..start + length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(len: usize) -> Stream {
        Stream { tokens: (0..len as u32).collect() }
    }

    #[test]
    fn random_windows_stay_in_their_part_and_reach_all_of_it() {
        let stream = stream(30);
        let mut starts = [0; 30];
        for number in 0..4000 {
            let window = stream.random_window(5..25, 4, 1, number);
            assert_eq!(window, (window[0]..window[0] + 4).collect::<Vec<_>>());
            starts[window[0] as usize] += 1;
        }
        let (inside, outside) = (&starts[5..22], [&starts[..5], &starts[22..]].concat());
        assert!(inside.iter().all(|&n| n > 150) && outside.iter().all(|&n| n == 0), "{starts:?}");
        assert_eq!(stream.random_window(7..9, 4, 1, 3), [7, 8]);
    }

    #[test]
    fn even_windows_cover_their_part() {
        let stream = stream(30);
        let starts = |length, count| -> Vec<u32> {
            (0..count).map(|i| stream.even_window(10..30, length, i, count)[0]).collect()
        };
        assert_eq!(starts(5, 4), [10, 15, 20, 25]);
        assert_eq!(starts(6, 2), [10, 24]);
        assert_eq!(starts(6, 1), [10]);
        assert_eq!(starts(100, 1), [10]);
    }
}
