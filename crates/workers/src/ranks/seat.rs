//! A rank's place in the exchange.

use super::Carried;
use super::orders::{self, Order};
use super::post::{BUCKET, Letters, NUMBERS, by_post, place};
use crate::tree::{CHUNK, room, tree, tree_of};
use microgpt::Error;
use microgpt::exchange::{Call, Exchange, Ready};
use microgpt::train::Trainer;
use mpi::Tag;
use mpi::request::scope;
use std::ops::Range;

/// Which numbers each rank sums and updates, and room for them.
pub(super) struct Seat<R> {
    ranges: Vec<Range<usize>>,
    parts: usize,
    /// Threads of each rank.
    threads: usize,
    /// Numbers in a message of gradients.
    bucket: usize,
    /// Are the pieces those of the gradients that are to be summed next?
    early: bool,
    /// Everybody's gradients in this rank's range. Its own piece it keeps to itself.
    pieces: Vec<R>,
    /// Gradients on their way to the others.
    outbox: Vec<R>,
    spare: Vec<R>,
    losses: Vec<f64>,
}

/// Gradients for one rank, that go when the last of them is there.
struct Bucket<'a, R> {
    start: usize,
    room: Option<&'a mut [R]>,
    len: usize,
    missing: usize,
    to: usize,
    tag: Tag,
}

impl<R: Carried> Seat<R> {
    pub(super) fn new(trainer: &Trainer<R>, threads: usize, bucket: usize) -> Seat<R> {
        let size = place().1;
        let ranges = (0..size).map(|rank| trainer.range(rank, size)).collect();
        Seat::of(ranges, trainer.config.parts(trainer.num_params()), threads, bucket)
    }

    /// A seat for numbers that are cut so.
    pub(super) fn of(ranges: Vec<Range<usize>>, parts: usize, threads: usize, bucket: usize) -> Seat<R> {
        let (pieces, outbox, spare) = (Vec::new(), Vec::new(), Vec::new());
        let losses = vec![0.0; ranges.len()];
        Seat { ranges, parts, threads, bucket, early: false, pieces, outbox, spare, losses }
    }

    fn mine(&self) -> Range<usize> {
        self.ranges[place().0].clone()
    }

    /// Gives to each rank the gradients of its range, as `work` says that they are ready, and gets those of this one.
    fn swap_while(&mut self, work: &mut dyn FnMut(&mut Ready<'_, R>)) {
        let ((me, size), mine) = (place(), self.mine());
        let Seat { ranges, bucket: most, pieces, outbox, .. } = self;
        let len = ranges.last().map_or(0, |range| range.end);
        pieces.resize(size * mine.len(), R::default());
        outbox.resize(len, R::default());
        // The nearest in the order of the ranks are first, so that not all begin with the same.
        let (mut rooms, mut buckets) = (&mut outbox[..], Vec::new());
        for (to, range) in ranges.iter().enumerate() {
            let (room, rest) = rooms.split_at_mut(range.len());
            rooms = rest;
            for (i, room) in room.chunks_mut(*most).enumerate().filter(|_| to != me) {
                let (start, len) = (range.start + i * *most, room.len());
                buckets.push(Bucket {
                    start,
                    room: Some(room),
                    len,
                    missing: len,
                    to,
                    tag: BUCKET + i as Tag,
                });
            }
        }
        scope(|scope| {
            let mut letters = Letters::new(scope);
            for (from, piece) in pieces.chunks_mut(mine.len().max(1)).enumerate().filter(|&(i, _)| i != me) {
                for (i, chunk) in piece.chunks_mut(*most).enumerate() {
                    letters.receive(from, BUCKET + i as Tag, chunk);
                }
            }
            work(&mut |range, numbers| {
                let first = buckets.partition_point(|bucket| bucket.start + bucket.len <= range.start);
                for bucket in buckets[first..].iter_mut().take_while(|bucket| bucket.start < range.end) {
                    let (from, to) =
                        (bucket.start.max(range.start), (bucket.start + bucket.len).min(range.end));
                    let room = bucket.room.as_deref_mut().expect("each gradient is told once");
                    let numbers = &numbers[from - range.start..to - range.start];
                    room[from - bucket.start..to - bucket.start].copy_from_slice(numbers);
                    bucket.missing -= to - from;
                    if bucket.missing == 0 {
                        letters.send(bucket.to, bucket.tag, bucket.room.take().expect("it is there"));
                    }
                }
                letters.nudge();
            });
            letters.finish(false);
        });
    }
}

impl<R: Carried> Exchange<R> for Seat<R> {
    fn place(&self) -> (usize, usize) {
        place()
    }

    fn begin(&mut self, call: Call<'_>) -> Result<(), Error> {
        let ((rank, ranks), parts, threads) = (place(), self.parts, self.threads);
        match call {
            _ if rank > 0 => {}
            Call::Step(batch) => orders::send(Order::Step, 1, |rank| {
                let (mut letter, share) = (Vec::new(), parts / ranks);
                let rows = batch.rows_of(rank * share..(rank + 1) * share, parts);
                orders::write(&mut letter, batch, rows);
                letter
            }),
            Call::Look(batches) => orders::send(Order::Look, batches.len(), |rank| {
                let mut letter = Vec::new();
                for batch in batches.iter().skip(rank * threads).take(threads) {
                    orders::write(&mut letter, batch, 0..batch.rows());
                }
                letter
            }),
            Call::Gather => orders::say(Order::Gather, &[]),
            Call::Swap => orders::say(Order::Swap, &[]),
        }
        Ok(())
    }

    fn sends_early(&self) -> bool {
        self.mine().len() > self.bucket
    }

    fn sum_while(&mut self, work: &mut dyn FnMut(&mut Ready<'_, R>)) -> Result<(), Error> {
        self.swap_while(work);
        self.early = true;
        Ok(())
    }

    fn sum(&mut self, grads: &mut [R], loss: &mut f64) -> Result<Range<usize>, Error> {
        let (mine, (me, size)) = (self.mine(), place());
        if !std::mem::take(&mut self.early) {
            self.swap_while(&mut |ready| ready(0..grads.len(), grads));
        }

        let Seat { pieces, spare, losses, .. } = self;
        spare.resize(room(size), R::default());
        for (i, sums) in grads[mine.clone()].chunks_mut(CHUNK).enumerate() {
            let here = i * CHUNK..i * CHUNK + sums.len();
            let see = |rank: usize, look: &mut dyn FnMut(&[R])| {
                look(&pieces[rank * mine.len()..][here.clone()]);
            };
            tree(0..size, me, &see, sums, spare);
        }
        let now = [*loss];
        by_post(|letters| letters.gather(&now, losses));
        *loss = tree_of(0..size, &|rank| losses[rank]);
        Ok(mine)
    }

    fn share(&mut self, numbers: &mut [R]) -> Result<(), Error> {
        let (me, size) = place();
        let mut slices = cut(numbers, &self.ranges);
        let mine = &*std::mem::take(&mut slices[me]);
        by_post(|letters| {
            for (from, slice) in slices.into_iter().enumerate().filter(|&(from, _)| from != me) {
                letters.receive(from, NUMBERS, slice);
            }
            (1..size).for_each(|i| letters.send((me + i) % size, NUMBERS, mine));
        });
        Ok(())
    }

    fn collect(&mut self, numbers: &mut [R]) -> Result<(), Error> {
        let me = place().0;
        let mut slices = cut(numbers, &self.ranges);
        by_post(|letters| match me {
            0 => slices
                .into_iter()
                .enumerate()
                .skip(1)
                .for_each(|(from, slice)| letters.receive(from, NUMBERS, slice)),
            _ => letters.send(0, NUMBERS, slices.swap_remove(me)),
        });
        Ok(())
    }

    fn each(&mut self, mine: &[f64]) -> Result<Vec<f64>, Error> {
        let mut all = vec![0.0; mine.len() * place().1];
        by_post(|letters| letters.gather(mine, &mut all));
        Ok(all)
    }
}

/// The ranges, which follow one another, of a slice.
pub(super) fn cut<'a, R>(mut numbers: &'a mut [R], ranges: &[Range<usize>]) -> Vec<&'a mut [R]> {
    let mut next = |range: &Range<usize>| {
        let (slice, rest) = std::mem::take(&mut numbers).split_at_mut(range.len());
        numbers = rest;
        slice
    };
    ranges.iter().map(&mut next).collect()
}
