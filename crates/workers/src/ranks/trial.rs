//! What an exchange costs, beside MPI's own reduction.

use super::post::{place, turn, world};
use super::seat::Seat;
use microgpt::exchange::Exchange;
use mpi::collective::SystemOperation;
use mpi::traits::*;
use std::time::Instant;

/// Sums `len` numbers of each rank in the order of the ranks and gives the sums to all, as a step does; then the same by
/// `MPI_Allreduce`, in another order. So often, in turns; returns the seconds of each. All ranks call it at once.
///
/// # Panics
/// If the two differ by more than rounding.
pub fn trial(len: usize, turns: usize) -> Vec<[f64; 2]> {
    let (rank, size) = place();
    let cut = |rank: usize| len * rank / size;
    let ranges = (0..size).map(|rank| cut(rank)..cut(rank + 1)).collect();
    let mut seat = Seat::<f32>::of(ranges, size, 1, usize::MAX);
    let numbers: Vec<f32> = (0..len).map(|i| ((i * 7919 + rank * 104_729) % 1000) as f32 / 999.0).collect();
    let (mut ours, mut theirs) = (numbers.clone(), vec![0.0_f32; len]);
    let time = |work: &mut dyn FnMut()| {
        {
            let _turn = turn();
            world().barrier();
        }
        let begun = Instant::now();
        work();
        begun.elapsed().as_secs_f64()
    };
    (0..turns)
        .map(|_| {
            ours.copy_from_slice(&numbers);
            let exchange = time(&mut || {
                seat.sum(&mut ours, &mut 0.0).expect("all are here");
                seat.share(&mut ours).expect("all are here");
            });
            let reduce = time(&mut || {
                let _turn = turn();
                world().all_reduce_into(&numbers[..], &mut theirs[..], SystemOperation::sum());
            });
            let near = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4;
            assert!(ours.iter().zip(&theirs).all(near), "the two sums");
            [exchange, reduce]
        })
        .collect()
}
