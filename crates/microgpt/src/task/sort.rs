//! `cab>abc`: the answer is the least letter that is left, again and again.

use super::{Draws, Maker};

pub(super) const MAKER: Maker = Maker { alphabet: "abcdefghijklmnopqrstuvwxyz>", mark: '>', least: 3, write };

/// As many letters as fit twice, or less.
fn write(room: usize, draws: &mut Draws, text: &mut String) {
    let count = 1 + draws.below((room - 1) / 2);
    draws.letters(count, text);
    let mut answer: Vec<char> = text.chars().collect();
    answer.sort_unstable();
    text.push('>');
    text.extend(answer);
}
