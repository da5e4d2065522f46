//! One source of chance: the Mersenne Twister (MT19937), and what Python's `random` module draws from it.
//!
//! Source: Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 8 (1998); the derived draws are CPython's.

use std::f64::consts::PI;

/// A generator of random numbers whose every draw equals that of Python's `random` under the same seed.
///
/// ```
/// let mut rng = microgpt::rng::Rng::new(42);
/// assert_eq!(rng.random(), 0.6394267984578837);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Rng {
    state: [u32; 624],
    /// The word of `state` to hand out next; 624: all are used up.
    next: usize,
    /// The second of a pair of normal numbers.
    spare: Option<f64>,
}

/// Everything that a generator remembers, to be saved and restored.
#[derive(Debug, Clone, PartialEq)]
pub struct RngState {
    /// The 624 words of the twister.
    pub words: Vec<u32>,
    /// Which word comes next, 0 to 624.
    pub next: usize,
    /// The normal number that is left of the last pair.
    pub spare: Option<f64>,
}

impl Rng {
    /// The generator that Python's `random.seed(seed)` gives.
    pub fn new(seed: u64) -> Rng {
        // The key is the seed in words of 32 bits, the lowest first, without leading zeros.
        let key = [seed as u32, (seed >> 32) as u32];
        let key = if key[1] == 0 { &key[..1] } else { &key[..] };
        let mut s = [0u32; 624];
        s[0] = 19650218;
        let mixed = |s: &[u32; 624], i: usize, by: u32| (s[i - 1] ^ (s[i - 1] >> 30)).wrapping_mul(by);
        for i in 1..624 {
            s[i] = mixed(&s, i, 1812433253).wrapping_add(i as u32);
        }
        // Once around the state to mix in the key, then once more to spread it.
        for k in 0..624 + 623 {
            let i = k % 623 + 1;
            let (by, extra) = if k < 624 {
                (1664525, key[k % key.len()].wrapping_add((k % key.len()) as u32))
            } else {
                (1566083941, (i as u32).wrapping_neg())
            };
            s[i] = (s[i] ^ mixed(&s, i, by)).wrapping_add(extra);
            s[0] = s[623];
        }
        s[0] = 1 << 31;
        Rng { state: s, next: 624, spare: None }
    }

    /// The next 624 words.
    fn twist(&mut self) {
        let s = &mut self.state;
        let twist = |this: u32, next: u32, far: u32| {
            let y = (this & (1 << 31)) | (next & !(1 << 31));
            far ^ (y >> 1) ^ ((y & 1) * 0x9908b0df)
        };
        // s[i] from s[i], s[i + 1] and s[i + 397], around the end.
        for i in 0..227 {
            s[i] = twist(s[i], s[i + 1], s[i + 397]);
        }
        for i in 227..623 {
            s[i] = twist(s[i], s[i + 1], s[i - 227]);
        }
        s[623] = twist(s[623], s[0], s[396]);
        self.next = 0;
    }

    /// 32 random bits.
    pub fn u32(&mut self) -> u32 {
        if self.next == 624 {
            self.twist();
        }
        self.next += 1;
        tempered(self.state[self.next - 1])
    }

    /// A number of at least 0 and less than 1, with 53 random bits: Python's `random()`.
    pub fn random(&mut self) -> f64 {
        fraction(self.u32(), self.u32())
    }

    /// As many of them: what [`Rng::random`] would give one after the other.
    pub fn fill(&mut self, mut numbers: &mut [f64]) {
        while !numbers.is_empty() {
            let words = &self.state[self.next..];
            let there = (words.len() / 2).min(numbers.len());
            let (now, later) = numbers.split_at_mut(there);
            for (number, words) in now.iter_mut().zip(words.as_chunks::<2>().0) {
                *number = fraction(tempered(words[0]), tempered(words[1]));
            }
            self.next += 2 * there;
            numbers = later;
            if let [next, rest @ ..] = numbers {
                // From what is left of these words and the next.
                *next = self.random();
                numbers = rest;
            }
        }
    }

    /// A whole number below `n`, each as likely: Python's `randrange(n)`.
    ///
    /// # Panics
    /// If `n` is 0 or more than 2^32 - 1.
    pub fn below(&mut self, n: usize) -> usize {
        let n = u32::try_from(n).expect("a number below 2^32");
        assert!(n > 0, "below: expected at least 1, found 0");
        loop {
            let r = self.u32() >> n.leading_zeros();
            if r < n {
                return r as usize;
            }
        }
    }

    /// Puts the items in a random order: Python's `shuffle`.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// A normal number with mean 0 and standard deviation `std`: Python's `gauss(0, std)`.
    pub fn gauss(&mut self, std: f64) -> f64 {
        let z = self.spare.take().unwrap_or_else(|| {
            let angle = self.random() * (2.0 * PI);
            let radius = (-2.0 * (1.0 - self.random()).ln()).sqrt();
            self.spare = Some(angle.sin() * radius);
            angle.cos() * radius
        });
        0.0 + z * std
    }

    /// An index into `weights`, each as likely as its weight: Python's `choices(range(n), weights)`.
    ///
    /// # Panics
    /// If there are no weights.
    pub fn choice(&mut self, weights: &[f64]) -> usize {
        choice(weights, self.random())
    }

    /// What to save in order to go on later as if nothing had happened.
    pub fn state(&self) -> RngState {
        RngState { words: self.state.to_vec(), next: self.next, spare: self.spare }
    }

    /// The generator that was saved.
    ///
    /// # Errors
    /// A state that is none: not 624 words, or a place past their end.
    pub fn restore(state: &RngState) -> Result<Rng, crate::Error> {
        let words: [u32; 624] = state.words.as_slice().try_into().map_err(|_| {
            crate::Error::checkpoint(format!("rng: expected 624 words, found {}", state.words.len()))
        })?;
        if state.next > 624 {
            return Err(crate::Error::checkpoint(format!(
                "rng: expected a place from 0 to 624, found {}",
                state.next
            )));
        }
        Ok(Rng { state: words, next: state.next, spare: state.spare })
    }
}

/// A word of the state as it is handed out.
fn tempered(mut y: u32) -> u32 {
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    y ^ (y >> 18)
}

/// 53 of these bits as a number of at least 0 and less than 1.
fn fraction(a: u32, b: u32) -> f64 {
    // Below 2^31: as signed numbers they are a single instruction's work.
    let [a, b] = [(a >> 5) as i32, (b >> 6) as i32].map(f64::from);
    (a * 67108864.0 + b) * (1.0 / 9007199254740992.0)
}

/// [`Rng::choice`] by `random`, a number of at least 0 and less than 1.
///
/// # Panics
/// If there are no weights.
pub fn choice(weights: &[f64], random: f64) -> usize {
    assert!(!weights.is_empty(), "choice: expected at least one weight");
    // Two passes of the same sum instead of a list of the partial sums: the same bits, no memory.
    let total: f64 = weights[1..].iter().fold(weights[0], |sum, w| sum + w);
    let u = random * total;
    let mut sum = weights[0];
    for i in 1..weights.len() {
        if u < sum {
            return i - 1;
        }
        sum += weights[i];
    }
    weights.len() - 1
}

/// Random bits that belong to `seed` and `number`: number `number` of a list that is never made.
///
/// SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014), which mixes the seed
/// and the place in the list.
pub fn mix(seed: u64, number: u64) -> u64 {
    let mix = |x: u64| {
        let x = (x ^ (x >> 30)).wrapping_mul(0xbf58476d1ce4e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d049bb133111eb);
        x ^ (x >> 31)
    };
    const STEP: u64 = 0x9e3779b97f4a7c15;
    mix(mix(seed.wrapping_add(STEP)).wrapping_add(number.wrapping_add(1).wrapping_mul(STEP)))
}

/// Number `number` of a list of random numbers below `n` that belongs to `seed`: found without those before it.
///
/// # Panics
/// If `n` is 0.
pub fn nth_below(seed: u64, number: u64, n: usize) -> usize {
    assert!(n > 0, "nth_below: expected at least 1, found 0");
    ((u128::from(mix(seed, number)) * n as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_draws_are_pythons() {
        let mut rng = Rng::new(42);
        assert_eq!([rng.u32(), rng.u32(), rng.u32()], [2746317213, 478163327, 107420369]);
        // random.seed(2**40 + 7): a key of two words.
        let mut rng = Rng::new((1 << 40) + 7);
        assert_eq!(rng.u32(), 2635837658);
        let mut rng = Rng::new(0);
        assert_eq!(rng.random(), 0.8444218515250481);
    }

    #[test]
    fn many_numbers_are_those_that_come_one_after_the_other() {
        for words_before in [0, 1, 2, 623, 624] {
            let mut rng = Rng::new(5);
            for _ in 0..words_before {
                rng.u32();
            }
            let mut again = rng.clone();
            for n in [0, 1, 5, 311, 312, 313, 1000] {
                let mut numbers = vec![0.0; n];
                rng.fill(&mut numbers);
                numbers.iter().for_each(|&x| assert_eq!(x, again.random(), "{words_before} {n}"));
                assert_eq!(rng, again);
            }
        }
    }

    #[test]
    fn a_restored_generator_goes_on_where_it_was() {
        let mut rng = Rng::new(7);
        rng.gauss(1.0);
        let mut again = Rng::restore(&rng.state()).unwrap();
        assert_eq!(rng.gauss(1.0), again.gauss(1.0));
        assert_eq!(rng.u32(), again.u32());
        let mut state = rng.state();
        state.next = 625;
        assert!(Rng::restore(&state).is_err());
    }

    #[test]
    fn numbers_found_by_their_place_are_spread_evenly() {
        let mut counts = [0; 10];
        (0..10_000).for_each(|i| counts[nth_below(42, i, 10)] += 1);
        assert!(counts.iter().all(|&count| (900..1100).contains(&count)), "{counts:?}");
        assert_eq!(nth_below(42, 7, 1000), nth_below(42, 7, 1000));
        assert_ne!(
            (nth_below(42, 7, 1000), nth_below(42, 8, 1000)),
            (nth_below(43, 7, 1000), nth_below(43, 8, 1000))
        );
        assert_eq!(nth_below(u64::MAX, u64::MAX, 1), 0);
    }

    #[test]
    fn a_choice_falls_on_every_weight_but_zero() {
        let mut rng = Rng::new(1);
        let mut seen = [0; 4];
        for _ in 0..1000 {
            seen[rng.choice(&[0.1, 0.0, 0.7, 0.2])] += 1;
        }
        assert!(seen[0] > 50 && seen[1] == 0 && seen[2] > 600 && seen[3] > 100, "{seen:?}");
    }
}
