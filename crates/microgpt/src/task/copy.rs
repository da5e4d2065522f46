//! `cab>cab`: each answer stands as far behind the mark as its letter stood behind the beginning.

use super::{Draws, Maker};

pub(super) const MAKER: Maker = Maker { alphabet: "abcdefghijklmnopqrstuvwxyz>", mark: '>', least: 3, write };

/// As many letters as fit twice, or less.
fn write(room: usize, draws: &mut Draws, text: &mut String) {
    let count = 1 + draws.below((room - 1) / 2);
    draws.letters(count, text);
    let problem = text.clone();
    *text += ">";
    *text += &problem;
}
