//! `95+17=15`: a sum modulo 97, which a network may learn by heart, or understand long after
//! (Power et al., "Grokking: Generalization Beyond Overfitting on Small Algorithmic Datasets", 2022).

use super::{Draws, Maker};

pub(super) const MAKER: Maker = Maker { alphabet: "0123456789+=", mark: '=', least: 8, write };

const MODULUS: usize = 97;

fn write(_room: usize, draws: &mut Draws, text: &mut String) {
    let (a, b) = (draws.below(MODULUS), draws.below(MODULUS));
    *text += &format!("{a}+{b}={}", (a + b) % MODULUS);
}
