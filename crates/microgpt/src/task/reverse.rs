//! `cab>bac`: the answer goes back from the mark as it goes on.

use super::{Draws, Maker};

pub(super) const MAKER: Maker = Maker { alphabet: "abcdefghijklmnopqrstuvwxyz>", mark: '>', least: 3, write };

/// As many letters as fit twice, or less.
fn write(room: usize, draws: &mut Draws, text: &mut String) {
    let count = 1 + draws.below((room - 1) / 2);
    draws.letters(count, text);
    let answer: String = text.chars().rev().collect();
    *text += ">";
    *text += &answer;
}
