//! What rank 0 says to the others.

use super::post::{Letters, ORDER, by_post, place};
use microgpt::batch::Batch;
use microgpt::{Config, Error};
use mpi::request::scope;
use std::ops::Range;

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    End,
    /// Precision (32 or 64), size of the vocabulary, bytes of the settings and of the hint, steps done, every how many
    /// steps gradients are measured; then these bytes, and what the trainer holds.
    Hire,
    /// Documents, rows that the loss is divided by, rows of this rank; then these.
    Step,
    Gather,
}

const ALL: [Order; 4] = [Order::End, Order::Hire, Order::Step, Order::Gather];

/// What belongs to an order, in so many numbers.
pub(super) type Words = [u64; 6];

fn line(order: Order, words: Words) -> [u64; 7] {
    let mut line = [order as u64; 7];
    line[1..].copy_from_slice(&words);
    line
}

/// Rank 0's order, for all others.
pub(super) fn say(order: Order, words: Words) {
    let line = line(order, words);
    by_post(|letters| (1..place().1).for_each(|rank| letters.send(rank, ORDER, &line)));
}

/// What rank 0 says next, however long that takes.
pub(super) fn heard() -> (Order, [usize; 6]) {
    let mut line = [0_u64; 7];
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

/// Gives to each rank the tokens of its parts of a batch, and of all documents how long they are: from that it follows
/// which parts are whose.
pub(super) fn send_parts(batch: &Batch, parts: usize) {
    let ranks = place().1;
    let lengths = batch.segments.iter().map(|segment| segment.len as u32);
    let letter = |rank: usize| -> Vec<u32> {
        let rows = rows_of(batch, rank, ranks, parts);
        let (tokens, targets) = (&batch.tokens[rows.clone()], &batch.targets[rows]);
        lengths.clone().chain(tokens.iter().copied()).chain(targets.iter().copied()).collect()
    };
    let letters: Vec<Vec<u32>> = (1..ranks).map(letter).collect();
    let documents = batch.segments.len();
    let line = |letter: &Vec<u32>| {
        let rows = (letter.len() - documents) / 2;
        line(Order::Step, [documents, batch.loss_rows, rows, 0, 0, 0].map(|n| n as u64))
    };
    let lines: Vec<[u64; 7]> = letters.iter().map(line).collect();
    scope(|scope| {
        scope_of_two(scope, &lines, &letters);
    });
}

fn scope_of_two<'a>(scope: &mpi::request::LocalScope<'a>, lines: &'a [[u64; 7]], letters: &'a [Vec<u32>]) {
    let (mut first, mut second) = (Letters::new(scope), Letters::new(scope));
    for (i, (line, letter)) in lines.iter().zip(letters).enumerate() {
        first.send(i + 1, ORDER, line);
        second.send(i + 1, ORDER, letter);
    }
    first.finish(false);
    second.finish(false);
}

/// The other end of [`send_parts`]: a batch in which the tokens of others are zeros.
pub(super) fn receive_parts(batch: &mut Batch, [documents, loss_rows, rows, ..]: [usize; 6], parts: usize) {
    let (rank, ranks) = place();
    let mut letter = vec![0_u32; documents + 2 * rows];
    by_post(|letters| letters.receive(0, ORDER, &mut letter));
    let (lengths, numbers) = letter.split_at(documents);
    batch.clear();
    for &len in lengths {
        batch.push_document(&vec![0; len as usize + 1], len as usize);
    }
    batch.loss_rows = loss_rows;
    let here = rows_of(batch, rank, ranks, parts);
    assert_eq!(here.len(), rows, "rows of a batch");
    let (tokens, targets) = numbers.split_at(rows);
    batch.tokens[here.clone()].copy_from_slice(tokens);
    batch.targets[here].copy_from_slice(targets);
}

fn rows_of(batch: &Batch, rank: usize, ranks: usize, parts: usize) -> Range<usize> {
    let share = parts / ranks;
    batch.rows_of(rank * share..(rank + 1) * share, parts)
}
