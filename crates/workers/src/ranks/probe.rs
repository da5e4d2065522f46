//! How fast ranks hear each other: for benches. All ranks make the same calls.

use super::post::{Letters, NUMBERS, by_post, place, turn, world};
use mpi::request::scope;
use mpi::traits::*;
use std::time::Instant;

/// Waits until all ranks are here. It sleeps meanwhile, and leaves the processor to those that work.
pub fn meet() {
    let (here, mut all) = ([0_u8], vec![0; place().1]);
    scope(|scope| {
        let mut letters = Letters::new(scope);
        letters.gather(&here, &mut all);
        letters.finish(true);
    });
}

/// Everybody's number, in the order of the ranks.
pub fn told_by_all(number: f64) -> Vec<f64> {
    let (mine, mut all) = ([number], vec![0.0; place().1]);
    by_post(|letters| letters.gather(&mine, &mut all));
    all
}

/// How many ranks there are on this host, this one included.
pub fn beside() -> usize {
    let _turn = turn();
    world().split_shared(0).size() as usize
}

/// Seconds that it takes to send so many messages, each of so many bytes, from rank 0 to the last one, on whose host it is
/// least likely to be, and to get one back: each of `times`. On the other ranks, which sleep meanwhile, nothing.
pub fn journeys(messages: usize, bytes: usize, times: usize) -> Vec<f64> {
    let (rank, last) = (place().0, place().1 - 1);
    let (out, mut back, mut inbox) = (vec![0_u8; bytes], vec![0_u8; bytes], vec![0_u8; messages * bytes]);
    let mut seconds = Vec::new();
    // One more, after which everything has its place in memory.
    for _ in 0..=times {
        let start = Instant::now();
        if rank == 0 {
            by_post(|letters| (0..messages).for_each(|_| letters.send(last, NUMBERS, &out)));
            by_post(|letters| letters.receive(last, NUMBERS, &mut back));
        } else if rank == last {
            by_post(|letters| inbox.chunks_mut(bytes).for_each(|part| letters.receive(0, NUMBERS, part)));
            by_post(|letters| letters.send(0, NUMBERS, &out));
        }
        seconds.push(start.elapsed().as_secs_f64());
    }
    meet();
    if rank == 0 { seconds.split_off(1) } else { Vec::new() }
}
