//! The most arithmetic that one core does: multiply-adds that depend on nothing in memory.
//!
//! What a kernel's speed is held against. Whoever asks owns the clock: [`spin`] works, and says how much.

use crate::vector::Vector;

/// Multiply-adds that do not wait for one another: more than a core has in flight (2 units of 4 cycles each), and
/// few enough to stay in 16 registers together with their two factors.
const CHAINS: usize = 12;

/// Floating-point operations of a round at the current level: a multiply-add is two, in every lane of every chain.
pub fn flops_of(rounds: usize) -> f64 {
    rounds as f64 * (2 * CHAINS * crate::level::current().lanes()) as f64
}

simd! {
    /// `rounds` rounds of multiply-adds in registers; the result is of no use but to be used.
    ///
    /// Each chain goes x = x a + b, which approaches b / (1 - a): it neither overflows nor becomes subnormal.
    pub fn spin(rounds: usize, a: f32, b: f32) -> f32 = body;
}

#[inline(always)]
fn body<V: Vector>(rounds: usize, a: f32, b: f32) -> f32 {
    let (a, b) = (V::splat(a), V::splat(b));
    let mut chains = [b; CHAINS];
    for _ in 0..rounds {
        for x in &mut chains {
            *x = x.fma(a, b);
        }
    }
    chains.into_iter().fold(V::zero(), |sum, x| sum + x).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level;

    #[test]
    fn each_chain_approaches_its_limit() {
        level::at_each(|level| {
            let found = spin(200, 0.5, 1.0);
            assert_eq!(found, 2.0 * (CHAINS * level.lanes()) as f32, "{level:?}");
            assert_eq!(flops_of(10), (240 * level.lanes()) as f64);
        });
    }
}
