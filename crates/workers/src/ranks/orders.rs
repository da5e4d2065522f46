//! What rank 0 says to the others.

use super::post::{Letters, ORDER, by_post, place};
use microgpt::batch::{Batch, Segment};
use microgpt::{Config, Error};
use mpi::request::scope;
use std::ops::Range;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    End,
    /// See [`super::Hire`]; then settings, hint and what the trainer holds.
    Hire,
    /// How long the letter is that comes next; what is in it: [`write()`].
    Step,
    Gather,
    Swap,
    /// As a step; how many batches there are.
    Look,
}

const ALL: [Order; 6] = [Order::End, Order::Hire, Order::Step, Order::Gather, Order::Swap, Order::Look];

/// What belongs to an order, in so many numbers.
pub(super) const WORDS: usize = 8;
pub(super) type Words = [usize; WORDS];

fn line(order: Order, words: &[usize]) -> [u64; 1 + WORDS] {
    let mut line = [order as u64; 1 + WORDS];
    line[1..].iter_mut().zip(words).for_each(|(to, &from)| *to = from as u64);
    line
}

/// Rank 0's order, for all others.
pub(super) fn say(order: Order, words: &[usize]) {
    let line = line(order, words);
    by_post(|letters| (1..place().1).for_each(|rank| letters.send(rank, ORDER, &line)));
}

/// What rank 0 says next, however long that takes.
pub(super) fn heard() -> (Order, Words) {
    let mut line = [0_u64; 1 + WORDS];
    scope(|scope| {
        let mut letters = Letters::new(scope);
        letters.receive(0, ORDER, &mut line);
        letters.finish(true);
    });
    let [order, words @ ..] = line;
    (ALL[order as usize], words.map(|n| n as usize))
}

/// Settings as text, `name=value` by lines.
pub(super) fn written(config: &Config) -> String {
    let line = |name: &str| format!("{name}={}\n", config.get(name).unwrap_or_default());
    Config::knobs().iter().map(|knob| line(knob.name)).collect()
}

pub(super) fn read(text: &[u8]) -> Result<Config, Error> {
    let mut config = Config::default();
    for line in String::from_utf8_lossy(text).lines() {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        config.set(name, value)?;
    }
    Ok(config)
}

/// Gives to each rank its letter, with an order to read it and one number more.
pub(super) fn send(order: Order, number: usize, letter: impl Fn(usize) -> Vec<u32>) {
    let letters: Vec<Vec<u32>> = (1..place().1).map(letter).collect();
    let lines: Vec<_> = letters.iter().map(|letter| line(order, &[letter.len(), number])).collect();
    scope(|scope| {
        let (mut first, mut then) = (Letters::new(scope), Letters::new(scope));
        for (i, (line, letter)) in lines.iter().zip(&letters).enumerate() {
            first.send(i + 1, ORDER, line);
            then.send(i + 1, ORDER, letter);
        }
        first.finish(false);
        then.finish(false);
    });
}

pub(super) fn receive([len, ..]: Words) -> Vec<u32> {
    let mut letter = vec![0; len];
    by_post(|letters| letters.receive(0, ORDER, &mut letter));
    letter
}

/// Adds to a letter: how many documents a batch has, what its loss is divided by, which rows are sent; how long all
/// documents are, for from that it follows which parts are whose; the tokens and the targets of these rows.
///
/// # Panics
/// If it is no batch to learn from.
pub(super) fn write(letter: &mut Vec<u32>, batch: &Batch, rows: Range<usize>) {
    let Batch { tokens, targets, segments, .. } = batch;
    let whole = |(i, s): (usize, &Segment)| (s.past, s.memory, s.number) == (0, 0, i);
    assert!(segments.iter().enumerate().all(whole), "a batch of whole documents");
    letter.extend([segments.len(), batch.loss_rows, rows.start, rows.end].map(|n| n as u32));
    letter.extend(segments.iter().map(|segment| segment.len as u32));
    letter.extend_from_slice(&tokens[rows.clone()]);
    letter.extend_from_slice(&targets[rows]);
}

/// The other end of [`write()`]: takes a batch from the beginning of a letter. The rows that were not sent are zeros.
pub(super) fn take(letter: &mut &[u32], batch: &mut Batch) {
    let mut next = |count: usize| {
        let (numbers, rest) = letter.split_at(count);
        *letter = rest;
        numbers
    };
    let head: [u32; 4] = std::array::from_fn(|_| next(1)[0]);
    let [documents, loss_rows, from, to] = head.map(|n| n as usize);
    batch.clear();
    batch.loss_rows = loss_rows;
    let mut start = 0;
    for (number, &len) in next(documents).iter().enumerate() {
        batch.segments.push(Segment { start, len: len as usize, past: 0, memory: 0, number });
        batch.positions.extend(0..len);
        start += len as usize;
    }
    for numbers in [&mut batch.tokens, &mut batch.targets] {
        numbers.resize(start, 0);
        numbers[from..to].copy_from_slice(next(to - from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_holds_the_rows_of_some_parts_of_each_batch() {
        let mut whole = Batch::default();
        for len in [3, 1, 5, 2, 2] {
            let first = 10 * len as u32;
            whole.push_document(&(first..=first + len as u32).collect::<Vec<u32>>(), 8);
        }
        let (mut letter, mut first, mut second) = (Vec::new(), Batch::default(), Batch::default());
        let rows = whole.rows_of(2..4, 4);
        write(&mut letter, &whole, rows);
        write(&mut letter, &whole, 0..whole.rows());
        let mut rest = &letter[..];
        take(&mut rest, &mut first);
        take(&mut rest, &mut second);
        assert!(rest.is_empty());
        assert_eq!(second, whole);
        let (mut found, mut wanted) = (Batch::default(), Batch::default());
        for part in 2..4 {
            assert_eq!(first.part(part, 4, &mut found), whole.part(part, 4, &mut wanted));
        }
    }
}
