//! `95+17=112`: the first digit of the answer may hang on the last ones of the problem.

use super::{Draws, Maker};

pub(super) const MAKER: Maker = Maker { alphabet: "0123456789+=", mark: '=', least: 6, write };

/// Two numbers of as many digits as there is room for, or less; short ones are as frequent as long ones.
fn write(room: usize, draws: &mut Draws, text: &mut String) {
    // The sum may have a digit more than either.
    let digits = ((room - 3) / 3).min(18);
    let mut number = || {
        let len = 1 + draws.below(digits);
        draws.below(10usize.pow(len as u32))
    };
    let (a, b) = (number(), number());
    *text += &format!("{a}+{b}={}", a + b);
}
