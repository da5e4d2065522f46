//! `{()[>]}`: the brackets that are still open have to be remembered, the last one first (the Dyck language).

use super::{Draws, Maker};

pub(super) const MAKER: Maker = Maker { alphabet: "()[]{}>", mark: '>', least: 5, write };

/// Brackets that open and close at random, none wrongly; half of the room, for all might be open.
fn write(room: usize, draws: &mut Draws, text: &mut String) {
    let count = 1 + draws.below((room - 1) / 2);
    let mut open = Vec::new();
    for _ in 0..count {
        if draws.below(2) == 0
            && let Some(close) = open.pop()
        {
            text.push(close);
        } else {
            let (opening, close) = [('(', ')'), ('[', ']'), ('{', '}')][draws.below(3)];
            text.push(opening);
            open.push(close);
        }
    }
    text.push('>');
    text.extend(open.into_iter().rev());
}
