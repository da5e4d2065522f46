//! Positions: how the model is told where a token stands. The formulas, once for all engines; what the model does with
//! them is in `tensor/position.rs`.

use crate::real::pow;

choices! {
    /// How the model is told where a token stands. Attention alone sees a set of tokens, without order.
    pub enum Position: "position" {
        /// A learnt row for each position is added to the token's (Gehring et al., 2017; GPT-2)
        Learned = "learned",
        /// Fixed sines and cosines are added to the token's row (Vaswani et al., 2017)
        Sinusoidal = "sinusoidal",
        /// Queries and keys are turned by an angle that grows with the position (Su et al., "RoFormer", 2021)
        Rotary = "rotary",
        /// A score falls with the distance, in each head by another slope (Press et al., "ALiBi", 2021)
        Alibi = "alibi",
        /// Not at all: only what attention may not see tells of the order (Kazemnejad et al., "NoPE", 2023)
        None = "none",
    }
}

/// The angle of a pair of numbers at a position: `position / base^(2 pair / width)`, in radians.
///
/// Pair 0 turns by one radian a step; each next one more slowly.
pub fn angle(position: u32, pair: usize, width: usize, base: f64) -> f64 {
    f64::from(position) * pow(base, -2.0 * pair as f64 / width as f64)
}

/// Two numbers of a row of heads that rotary positions turn together: number j of a head, and number j + D/2.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    /// Where the first stands in the row.
    pub a: usize,
    /// Where the second does.
    pub b: usize,
    /// j.
    pub number: usize,
    /// D.
    pub head_dim: usize,
}

impl Pair {
    /// Its [`angle`] at a position.
    pub fn angle(self, position: u32, base: f64) -> f64 {
        angle(position, self.number, self.head_dim, base)
    }
}

/// The pairs of a row of `cols` numbers, head by head.
pub fn pairs(cols: usize, heads: u32) -> impl Iterator<Item = Pair> {
    let head_dim = cols / heads as usize;
    let pair = move |first, number| {
        let a = first + number;
        Pair { a, b: a + head_dim / 2, number, head_dim }
    };
    (0..cols).step_by(head_dim).flat_map(move |first| (0..head_dim / 2).map(move |j| pair(first, j)))
}

/// What sinusoidal positions begin with, as [`angle`]'s base.
pub const SINUSOIDAL_BASE: f64 = 10_000.0;

/// Number `channel` of a position's row of `width`: `sin(angle)` of pair `channel / 2` where it is even, else `cos(angle)`.
///
/// Vaswani et al., "Attention Is All You Need" (2017), section 3.5.
pub fn sinusoid(position: u32, channel: usize, width: usize) -> f64 {
    let angle = angle(position, channel / 2, width, SINUSOIDAL_BASE);
    if channel.is_multiple_of(2) { angle.sin() } else { angle.cos() }
}

/// What a score of head `head` loses with each step of distance: `2^(-8 (head + 1) / heads)`.
///
/// If the heads are no power of two, those of the next lower power n come first, then every other one of 2n.
/// Press, Smith and Lewis, "Train Short, Test Long" (2021), section 3 and appendix.
pub fn alibi_slope(head: usize, heads: usize) -> f64 {
    let n = 1 << heads.ilog2();
    let exponent = match head < n {
        true => (head + 1) as f64 / n as f64,
        false => (2 * (head - n) + 1) as f64 / (2 * n) as f64,
    };
    pow(2.0, -8.0 * exponent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_those_of_the_paper() {
        let slopes = |heads| (0..heads).map(|h| alibi_slope(h, heads)).collect::<Vec<f64>>();
        assert_eq!(slopes(8), [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.00390625]);
        // Of two thirds of 6: those of 4, then the first and third of 8.
        assert_eq!(slopes(6), [0.25, 0.0625, 0.015625, 0.00390625, 0.5, 0.125]);
        assert_eq!(slopes(1), [0.00390625]);
    }

    #[test]
    fn angles_slow_down_from_one_radian_a_step() {
        assert_eq!(angle(7, 0, 64, 10_000.0), 7.0);
        assert!((angle(7, 16, 64, 10_000.0) - 0.07).abs() < 1e-15);
        assert_eq!(sinusoid(3, 0, 16), 3f64.sin());
        assert_eq!(sinusoid(3, 1, 16), 3f64.cos());
    }
}
