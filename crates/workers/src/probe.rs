//! How fast ranks hear each other: for benches. All ranks make the same calls.

use mpi::datatype::{Partition, PartitionMut};
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use mpi::{Count, Rank};
use std::time::{Duration, Instant};

fn world() -> SimpleCommunicator {
    SimpleCommunicator::world()
}

/// Waits until all ranks are here. It sleeps meanwhile, and leaves the processor to those that work.
pub fn meet() {
    let mut request = world().immediate_barrier();
    while let Err(not_yet) = request.test() {
        request = not_yet;
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Everybody's number, in the order of the ranks.
pub fn told_by_all(number: f64) -> Vec<f64> {
    let mut all = vec![0.0; world().size() as usize];
    world().all_gather_into(&number, &mut all[..]);
    all
}

/// How many ranks there are on this host, this one included.
pub fn beside() -> usize {
    world().split_shared(0).size() as usize
}

/// Seconds that a message of so many bytes takes from rank 0 to the last one, on whose host it is least likely to be:
/// each of `times` journeys there and back, halved. On the other ranks, which sleep meanwhile, nothing.
pub fn journeys(bytes: usize, times: usize) -> Vec<f64> {
    let world = world();
    let (rank, last) = (world.rank(), world.size() - 1);
    let mut message = vec![0_u8; bytes];
    let mut journeys = Vec::new();
    // One more, after which everything has its place in memory.
    for _ in 0..=times {
        let start = Instant::now();
        if rank == 0 {
            world.process_at_rank(last).send(&message[..]);
            world.process_at_rank(last).receive_into(&mut message[..]);
        } else if rank == last {
            world.process_at_rank(0).receive_into(&mut message[..]);
            world.process_at_rank(0).send(&message[..]);
        }
        journeys.push(start.elapsed().as_secs_f64() / 2.0);
    }
    meet();
    if rank == 0 { journeys.split_off(1) } else { Vec::new() }
}

/// Seconds that the exchange of a step takes, without the sum: so many gradients all to all, and the parameters to all.
/// Each of `times`.
pub fn exchanges(numbers: usize, times: usize) -> Vec<f64> {
    let world = world();
    let size = world.size() as usize;
    let cut = |rank: usize| rank * numbers / size;
    let starts: Vec<Count> = (0..size).map(|rank| cut(rank) as Count).collect();
    let counts: Vec<Count> = (0..size).map(|rank| (cut(rank + 1) - cut(rank)) as Count).collect();
    let own = counts[world.rank() as Rank as usize];
    let (mut gradients, mut pieces) = (vec![0.0_f32; numbers], vec![0.0_f32; size * own as usize]);
    let mut seconds = Vec::new();
    for _ in 0..=times {
        world.barrier();
        let start = Instant::now();
        let theirs = Partition::new(&gradients[..], &counts[..], &starts[..]);
        let places: Vec<Count> = (0..size as Count).map(|rank| rank * own).collect();
        let mut mine = PartitionMut::new(&mut pieces[..], vec![own; size], places);
        world.all_to_all_varcount_into(&theirs, &mut mine);
        let mut all = PartitionMut::new(&mut gradients[..], &counts[..], &starts[..]);
        world.all_gather_varcount_into(&pieces[..own as usize], &mut all);
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.split_off(1)
}
