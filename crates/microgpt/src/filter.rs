//! Which tokens may come: probabilities -> probabilities of fewer tokens.
//!
//! The filters work one after the other, each on what the one before left, made to add up to 1 again:
//!
//! - `top_k`: the k likeliest tokens (Fan, Lewis and Dauphin, "Hierarchical Neural Story Generation", 2018);
//! - `top_p`: as few of the likeliest as have probability p together (Holtzman et al., "The Curious Case of Neural Text
//!   Degeneration", 2019);
//! - `min_p`: those at least p times as likely as the likeliest (Nguyen et al., "Turning Up the Heat", 2024);
//! - `greedy`: the likeliest alone.
//!
//! Of equally likely tokens the one with the lower number counts as likelier.

use crate::config::Config;

/// What is asked for; without anything, all tokens may come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Filter {
    /// At most so many tokens; 0: any.
    pub top_k: usize,
    /// As few as have this probability; 1: all.
    pub top_p: f64,
    /// At least this part of the likeliest one's probability; 0: all.
    pub min_p: f64,
    /// The likeliest alone.
    pub greedy: bool,
}

impl Filter {
    /// That of the settings.
    pub fn of(&Config { top_k, top_p, min_p, greedy, .. }: &Config) -> Filter {
        Filter { top_k, top_p, min_p, greedy }
    }

    /// May all tokens come?
    pub fn is_off(&self) -> bool {
        self.top_k == 0 && self.top_p >= 1.0 && self.min_p == 0.0 && !self.greedy
    }

    /// Takes from what may not come its probability, and shares it among the others.
    ///
    /// ```
    /// use microgpt::filter::Filter;
    /// let mut probs = [0.1, 0.5, 0.15, 0.25];
    /// Filter { top_k: 0, top_p: 0.7, min_p: 0.0, greedy: false }.apply(&mut probs);
    /// assert_eq!(probs, [0.0, 0.5 / 0.75, 0.0, 0.25 / 0.75]);
    /// ```
    pub fn apply(&self, probs: &mut [f64]) {
        if self.is_off() {
            return;
        }
        let order = likeliest(probs);
        let most = if self.greedy { 1 } else { self.top_k };
        if most > 0 {
            keep(probs, &order, most);
        }
        if self.top_p < 1.0 {
            let mut sum = 0.0;
            let enough = order.iter().position(|&token| {
                sum += probs[token];
                sum >= self.top_p
            });
            keep(probs, &order, enough.map_or(order.len(), |last| last + 1));
        }
        if self.min_p > 0.0 {
            let least = self.min_p * probs[order[0]];
            keep(probs, &order, order.iter().take_while(|&&token| probs[token] >= least).count());
        }
    }
}

/// The tokens, the likeliest first.
pub fn likeliest(probs: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..probs.len()).collect();
    order.sort_by(|&a, &b| probs[b].total_cmp(&probs[a]));
    order
}

/// Only the first `count` tokens of `order` may come.
fn keep(probs: &mut [f64], order: &[usize], count: usize) {
    let (kept, others) = order.split_at(count.min(order.len()));
    others.iter().for_each(|&token| probs[token] = 0.0);
    let sum: f64 = kept.iter().map(|&token| probs[token]).sum();
    kept.iter().for_each(|&token| probs[token] /= sum);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    const OFF: Filter = Filter { top_k: 0, top_p: 1.0, min_p: 0.0, greedy: false };

    /// Probabilities of `n` tokens, some of them equal.
    fn probs(n: usize, rng: &mut Rng) -> Vec<f64> {
        let weights: Vec<f64> = (0..n).map(|_| (2.0 * rng.gauss(1.0)).round().exp()).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter().map(|w| w / sum).collect()
    }

    /// By the definition of each: token i may come if of the tokens likelier than it there are, have together, ... .
    fn by_definition(filter: Filter, probs: &[f64]) -> Vec<f64> {
        let mut probs = probs.to_vec();
        let mut only = |may_come: &dyn Fn(&[f64], usize) -> bool| {
            let kept: Vec<f64> =
                (0..probs.len()).map(|i| if may_come(&probs, i) { probs[i] } else { 0.0 }).collect();
            let sum: f64 = kept.iter().sum();
            probs = kept.iter().map(|p| p / sum).collect();
        };
        let likelier = |p: &[f64], i: usize| -> Vec<f64> {
            (0..p.len()).filter(|&j| p[j] > p[i] || (p[j] == p[i] && j < i)).map(|j| p[j]).collect()
        };
        if filter.greedy {
            only(&|p, i| likelier(p, i).is_empty());
        }
        if filter.top_k > 0 {
            only(&|p, i| likelier(p, i).len() < filter.top_k);
        }
        only(&|p, i| likelier(p, i).iter().sum::<f64>() < filter.top_p);
        only(&|p, i| p[i] >= filter.min_p * p.iter().copied().fold(0.0, f64::max));
        probs
    }

    #[test]
    fn each_filter_and_all_together_are_their_definitions() {
        let mut rng = Rng::new(1);
        for n in [1, 2, 5, 27, 100] {
            for (top_k, top_p, min_p, greedy) in [
                (1, 1.0, 0.0, false),
                (3, 1.0, 0.0, false),
                (1000, 1.0, 0.0, false),
                (0, 0.333, 0.0, false),
                (0, 0.9, 0.0, false),
                (0, 1.0, 0.0717, false),
                (0, 1.0, 1.0, false),
                (7, 0.777, 0.0717, false),
                (0, 1.0, 0.0, true),
                (4, 0.5, 0.5, true),
            ] {
                let filter = Filter { top_k, top_p, min_p, greedy };
                let before = probs(n, &mut rng);
                let mut found = before.clone();
                filter.apply(&mut found);
                let wanted = by_definition(filter, &before);
                assert!(
                    found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-12),
                    "{filter:?} {before:?}"
                );
                assert!((found.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{filter:?} {before:?}");
            }
        }
    }

    #[test]
    fn without_a_filter_no_bit_changes() {
        let before = probs(50, &mut Rng::new(2));
        let mut found = before.clone();
        OFF.apply(&mut found);
        assert!(found == before && OFF == Filter::of(&Config::default()));
    }
}
