//! Time travel: the parameters of every step, or of every k-th if memory is short.
//!
//! Training is deterministic, so a step that is not kept can be made again, to the same bits, from a kept one before it
//! with what the optimiser remembered there.

use crate::pupil::Memory;
use crate::weights::Weights;
use std::collections::BTreeMap;

/// So much memory a run's history takes at most.
pub const BUDGET: usize = 256 << 20;
/// With every so-many-th kept step goes what the optimiser remembered.
const KEY: usize = 4;

/// What is kept of a step.
#[derive(Debug, Clone)]
pub struct Moment {
    /// The parameters.
    pub weights: Weights,
    /// What the optimiser remembered, if training can go on from here.
    pub memory: Option<Memory>,
    /// Stays, whatever else has to go.
    pinned: bool,
}

/// A run's past.
#[derive(Debug)]
pub struct History {
    every: usize,
    budget: usize,
    bytes: usize,
    last: usize,
    kept: BTreeMap<usize, Moment>,
}

impl Moment {
    fn bytes(&self) -> usize {
        let memory = self.memory.iter().flatten().map(|(_, weights)| weights.bytes()).sum::<usize>();
        self.weights.bytes() + memory
    }
}

impl History {
    /// Nothing yet.
    pub fn new(budget: usize) -> History {
        History { every: 1, budget, bytes: 0, last: 0, kept: BTreeMap::new() }
    }

    /// The steps that are kept are multiples of this.
    pub fn every(&self) -> usize {
        self.every
    }

    /// How much memory it takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many steps are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Is nothing kept?
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The newest step.
    pub fn last(&self) -> usize {
        self.last
    }

    /// The steps that are kept, in order.
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = usize> + '_ {
        self.kept.keys().copied()
    }

    /// Shall the optimiser's memory of this step come with it?
    pub fn wants_memory(&self, step: usize) -> bool {
        step.is_multiple_of(self.every.saturating_mul(KEY))
    }

    /// Keeps the newest step.
    pub fn push(&mut self, step: usize, weights: Weights, memory: Option<Memory>) {
        let before = self.last;
        if before != step
            && !before.is_multiple_of(self.every)
            && self.kept.get(&before).is_some_and(|m| !m.pinned)
        {
            self.drop_step(before);
        }
        self.last = self.last.max(step);
        self.insert(step, Moment { weights, memory, pinned: step == 0 });
    }

    /// Keeps a step for good: the first, or one that was saved.
    pub fn pin(&mut self, step: usize, weights: Weights, memory: Option<Memory>) {
        self.last = self.last.max(step);
        self.insert(step, Moment { weights, memory, pinned: true });
    }

    /// Keeps an earlier step that was made again, if it belongs to those that are kept.
    pub fn fill(&mut self, step: usize, weights: Weights, memory: Option<Memory>) {
        if step.is_multiple_of(self.every) && !self.kept.contains_key(&step) {
            self.insert(step, Moment { weights, memory, pinned: false });
        }
    }

    /// The parameters after that step, if they are kept.
    pub fn get(&self, step: usize) -> Option<Weights> {
        self.kept.get(&step).map(|moment| moment.weights.clone())
    }

    /// From where step `step` can be made again: the nearest before it whose memory is kept.
    pub fn nearest(&self, step: usize) -> Option<(usize, Weights, Memory)> {
        let mut before = self.kept.range(..=step).rev();
        before.find_map(|(step, moment)| Some((*step, moment.weights.clone(), moment.memory.clone()?)))
    }

    fn insert(&mut self, step: usize, moment: Moment) {
        self.drop_step(step);
        self.bytes += moment.bytes();
        self.kept.insert(step, moment);
        while self.bytes > self.budget
            && self.every < 1 << 40
            && self.kept.values().any(|moment| !moment.pinned)
        {
            self.every *= 2;
            self.thin();
            if self.kept.range(..self.last).all(|(_, moment)| moment.pinned) {
                break;
            }
        }
    }

    /// Lets go of what is not to be kept.
    fn thin(&mut self) {
        let (every, key, last) = (self.every, self.every.saturating_mul(KEY), self.last);
        self.kept.retain(|&step, moment| moment.pinned || step == last || step.is_multiple_of(every));
        for (&step, moment) in &mut self.kept {
            if !moment.pinned && !step.is_multiple_of(key) {
                moment.memory = None;
            }
        }
        self.bytes = self.kept.values().map(Moment::bytes).sum();
    }

    fn drop_step(&mut self, step: usize) {
        if let Some(moment) = self.kept.remove(&step) {
            self.bytes -= moment.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Kept;

    fn weights(x: f64) -> Weights {
        f64::keep(&[x; 10])
    }

    #[test]
    fn beyond_the_budget_every_second_goes_and_the_ends_stay() {
        // 80 bytes a step, and as much memory with every fourth.
        let mut history = History::new(2000);
        for step in 0..=100 {
            let memory = history.wants_memory(step).then(|| vec![("m", weights(0.5))]);
            history.push(step, weights(step as f64), memory);
            assert!(history.bytes() <= 2000, "step {step}: {} bytes", history.bytes());
            assert_eq!(history.get(step), Some(weights(step as f64)), "the newest is there");
        }
        assert_eq!((history.every(), history.last()), (8, 100));
        let steps: Vec<usize> = history.steps().collect();
        assert_eq!(steps, (0..=96).step_by(8).chain([100]).collect::<Vec<_>>());
        for step in 0..=100 {
            let (from, weights_there, _) = history.nearest(step).unwrap();
            assert!(from <= step && step - from < 32, "{step} from {from}");
            assert_eq!(weights_there, weights(from as f64));
        }
        history.fill(7, weights(7.0), None);
        assert_eq!(history.get(7), None);
    }

    #[test]
    fn one_step_alone_may_be_larger_than_the_budget() {
        let mut history = History::new(10);
        (0..50).for_each(|step| history.push(step, weights(1.0), None));
        assert_eq!(history.steps().collect::<Vec<_>>(), [0, 49]);
    }
}
