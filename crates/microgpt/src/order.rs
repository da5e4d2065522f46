//! The order of very many things, without a list of them.

use crate::rng::{Rng, nth_below};

/// A random order of `len` things.
///
/// Up to [`Order::LISTED`] it is a list that `rng` shuffles as it shuffles anything else. Of more, the list itself would
/// be too large: then it is a Feistel network on the numbers (Luby and Rackoff, "How to Construct Pseudorandom
/// Permutations from Pseudorandom Functions", 1988), which maps each to another and takes no memory.
#[derive(Debug, Clone)]
pub struct Order {
    len: usize,
    listed: Vec<u32>,
    seed: u64,
}

impl Order {
    /// How long a list may be: its numbers take 64 MiB.
    pub const LISTED: usize = 1 << 24;

    /// A random order of so many.
    pub fn new(len: usize, rng: &mut Rng) -> Order {
        Order::with_list(len, Order::LISTED, rng)
    }

    fn with_list(len: usize, longest: usize, rng: &mut Rng) -> Order {
        if len > longest {
            let seed = u64::from(rng.u32()) << 32 | u64::from(rng.u32());
            return Order { len, listed: Vec::new(), seed };
        }
        let mut listed: Vec<u32> = (0..len as u32).collect();
        rng.shuffle(&mut listed);
        Order { len, listed, seed: 0 }
    }

    /// How many there are.
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Which comes at place `i`.
    ///
    /// # Panics
    /// If there are not that many.
    pub fn get(&self, i: usize) -> usize {
        assert!(i < self.len, "{i} of {}", self.len);
        if !self.listed.is_empty() {
            return self.listed[i] as usize;
        }
        // A number of two halves; what it is mapped to may be too large, and is then mapped on. It ends at the latest
        // at `i` itself, for the map is one to one.
        let half = self.len.ilog2() / 2 + 1;
        let mask = (1 << half) - 1;
        let mut number = i;
        loop {
            for round in 0..4 {
                let (left, right) = (number >> half, number & mask);
                let mixed = nth_below(self.seed.wrapping_add(round), right as u64, 1 << half);
                number = right << half | (left ^ mixed);
            }
            if number < self.len {
                return number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_once_whether_it_is_listed_or_not() {
        for len in [1, 2, 3, 4, 63, 64, 65, 1000, 5000] {
            for longest in [0, 10_000] {
                let order = Order::with_list(len, longest, &mut Rng::new(1));
                let mut found: Vec<usize> = (0..order.len()).map(|i| order.get(i)).collect();
                let still = found.iter().enumerate().filter(|(i, place)| i == *place).count();
                assert!(still < 5 + len / 10, "{len}: {still}");
                found.sort_unstable();
                assert!(found.into_iter().eq(0..len), "{len}");
            }
        }
    }

    #[test]
    fn a_list_is_shuffled_as_anything_else() {
        let mut letters: Vec<char> = ('a'..='z').collect();
        let order = Order::new(26, &mut Rng::new(9));
        Rng::new(9).shuffle(&mut letters);
        assert!((0..26).all(|i| char::from(b'a' + order.get(i) as u8) == letters[i]));
    }
}
