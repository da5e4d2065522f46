//! Tasks with exact answers: problems that are made, not read, as many as are asked for. Learnt or not is then no
//! matter of taste: of problems that were held back, how many are answered right?
//!
//! A document is a problem, a mark and its answer: `cab>bac`. It is learnt like any other, all of it: that is enough,
//! as the README shows, though no one can guess the problem, and so the loss keeps a floor. Whoever answers sees all up
//! to the mark.

mod add;
mod brackets;
mod copy;
mod modular;
mod reverse;
mod sort;

use crate::error::Error;
use crate::rng::nth_below;

choices! {
    /// What is to be learnt.
    pub enum Task: "task" {
        /// No task: the text of --data
        None = "none",
        /// The same letters again: cab>cab
        Copy = "copy",
        /// The letters from last to first: cab>bac
        Reverse = "reverse",
        /// The letters in the order of the alphabet: cab>abc
        Sort = "sort",
        /// The sum of two numbers: 95+17=112
        Add = "add",
        /// The sum of two numbers below 97, modulo 97: 95+17=15
        Modular = "modular",
        /// What closes the brackets that are open, the last first: {()[>]}
        Brackets = "brackets",
    }
}

/// What there is to say of a task: a file each.
struct Maker {
    /// All characters that its problems may have.
    alphabet: &'static str,
    /// The end of the problem, after which comes the answer.
    mark: char,
    /// The length of the longest problem that must have room, with its answer.
    least: usize,
    /// Writes a problem, its mark and its answer: at most as many characters as there is room for.
    write: fn(room: usize, draws: &mut Draws, text: &mut String),
}

/// The letters of the tasks that are about letters.
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";

impl Task {
    fn maker(self) -> Option<Maker> {
        Some(match self {
            Task::None => return None,
            Task::Copy => copy::MAKER,
            Task::Reverse => reverse::MAKER,
            Task::Sort => sort::MAKER,
            Task::Add => add::MAKER,
            Task::Modular => modular::MAKER,
            Task::Brackets => brackets::MAKER,
        })
    }

    /// The least `block_size` for it; 0 for none.
    pub fn least_block(self) -> usize {
        self.maker().map_or(0, |maker| maker.least + 1)
    }
}

/// A list of random numbers of one problem.
struct Draws {
    seed: u64,
    number: u64,
}

impl Draws {
    fn below(&mut self, n: usize) -> usize {
        self.number += 1;
        nth_below(self.seed, self.number - 1, n)
    }

    fn letters(&mut self, count: usize, text: &mut String) {
        text.extend((0..count).map(|_| char::from(LETTERS.as_bytes()[self.below(LETTERS.len())])));
    }
}

/// The problems of a task, without end: those to learn and those that are held back have none in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Problems {
    /// The task.
    pub task: Task,
    room: usize,
    /// Of 2^32 problems so many are held back.
    held_back: u64,
    seed: u64,
}

impl Problems {
    /// Problems that fit in `block_size`, of which the part `held_back` is held back. The same seed, the same problems.
    ///
    /// # Errors
    /// No task; or no room for it, or for problems both to learn and to hold back.
    pub fn new(task: Task, block_size: usize, held_back: f64, seed: u64) -> Result<Problems, Error> {
        let least = task.least_block();
        if least == 0 || block_size < least {
            return Err(Error::config(format!(
                "block_size: expected at least {least} for the task {task}, found {block_size}"
            )));
        }
        let held_back = (held_back * (1u64 << 32) as f64) as u64;
        let problems = Problems { task, room: block_size - 1, held_back, seed };
        // Of few problems all may be on one side.
        let both = [false, true]
            .map(|held_back| (0..10_000).any(|i| problems.is_held_back(&problems.draft(i).0) == held_back));
        if both != [true, true] {
            return Err(Error::config(format!(
                "val_fraction: expected problems of the task {task} both to learn and to hold back, found none (another val_fraction, a larger block_size?)"
            )));
        }
        Ok(problems)
    }

    /// All characters of the task.
    pub fn alphabet(&self) -> impl Iterator<Item = char> {
        self.maker().alphabet.chars()
    }

    /// The character after which comes the answer.
    pub fn mark(&self) -> char {
        self.maker().mark
    }

    fn maker(&self) -> Maker {
        self.task.maker().expect("there is a task")
    }

    /// Problem `i` of those to learn, or of those that are held back, with its answer.
    pub fn get(&self, i: usize, held_back: bool) -> String {
        // Each has a list of its own, which is drawn from until a problem is on the right side.
        let place = 2 * i as u64 + u64::from(held_back);
        let mut draws = self.draws(place);
        loop {
            let text = self.draw(&mut draws);
            if self.is_held_back(&text) == held_back {
                return text;
            }
        }
    }

    fn draft(&self, place: u64) -> (String, Draws) {
        let mut draws = self.draws(place);
        (self.draw(&mut draws), draws)
    }

    fn draws(&self, place: u64) -> Draws {
        Draws { seed: nth_below(self.seed, place, usize::MAX) as u64, number: 0 }
    }

    fn draw(&self, draws: &mut Draws) -> String {
        let mut text = String::with_capacity(self.room);
        (self.maker().write)(self.room, draws, &mut text);
        debug_assert!(text.len() <= self.room, "{text:?} in {}", self.room);
        text
    }

    /// It depends on the problem alone, so what is held back is never learnt.
    fn is_held_back(&self, text: &str) -> bool {
        let problem = text.split(self.mark()).next().unwrap_or_default();
        let hash =
            problem.bytes().fold(self.seed, |hash, byte| nth_below(hash, byte.into(), usize::MAX) as u64);
        hash >> 32 < self.held_back
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choices::Choice;
    use std::collections::HashSet;

    /// The answer, found in another way than the maker's.
    fn answer(task: Task, problem: &str) -> String {
        let sum = || problem.split('+').map(|n| n.parse::<u64>().unwrap()).sum::<u64>();
        match task {
            Task::None => unreachable!(),
            Task::Copy => problem.to_string(),
            Task::Reverse => problem.chars().rev().collect(),
            Task::Sort => ('a'..='z').flat_map(|c| problem.matches(c)).collect(),
            Task::Add => sum().to_string(),
            Task::Modular => (sum() % 97).to_string(),
            Task::Brackets => {
                let mut open = problem.to_string();
                while let Some(at) = ["()", "[]", "{}"].iter().find_map(|pair| open.find(pair)) {
                    open.replace_range(at..at + 2, "");
                }
                open.chars()
                    .rev()
                    .map(|c| match c {
                        '(' => ')',
                        '[' => ']',
                        '{' => '}',
                        c => panic!("{c}"),
                    })
                    .collect()
            }
        }
    }

    #[test]
    fn answers_are_right_and_what_is_held_back_is_never_learnt() {
        for &task in &Task::ALL[1..] {
            for block_size in [task.least_block(), 13, 33] {
                let problems = Problems::new(task, block_size, 0.2, 7).unwrap();
                let alphabet: HashSet<char> = problems.alphabet().collect();
                let all = [false, true].map(|held_back| -> HashSet<String> {
                    (0..2000).map(|i| problems.get(i, held_back)).collect()
                });
                assert!(all[0].is_disjoint(&all[1]), "{task}");
                for text in all.iter().flatten() {
                    assert!(text.len() < block_size && text.chars().all(|c| alphabet.contains(&c)), "{text}");
                    let (problem, found) = text.split_once(problems.mark()).unwrap();
                    assert_eq!(found, answer(task, problem), "{text}");
                }
                let longest = all[0].iter().map(String::len).max().unwrap();
                assert!(longest + 4 >= block_size.min(10), "{task} {block_size}: {longest}");
                // Another seed, other problems.
                let other = Problems::new(task, block_size, 0.2, 8).unwrap();
                assert!((0..50).any(|i| other.get(i, false) != problems.get(i, false)));
                assert_eq!(problems.get(3, true), problems.clone().get(3, true));
            }
        }
    }

    #[test]
    fn a_fifth_is_a_fifth() {
        let problems = Problems::new(Task::Sort, 20, 0.2, 1).unwrap();
        let held_back = (0..5000).filter(|&i| problems.is_held_back(&problems.draft(i).0)).count();
        assert!((900..1100).contains(&held_back), "{held_back}");
    }

    #[test]
    fn too_little_room_is_an_error() {
        let error = |task, block_size, held_back| {
            Problems::new(task, block_size, held_back, 1).unwrap_err().to_string()
        };
        assert_eq!(error(Task::Copy, 3, 0.1), "block_size: expected at least 4 for the task copy, found 3");
        assert_eq!(
            error(Task::Modular, 8, 0.1),
            "block_size: expected at least 9 for the task modular, found 8"
        );
        assert!(
            error(Task::Copy, 4, 1e-9)
                .starts_with("val_fraction: expected problems of the task copy both to")
        );
    }
}
