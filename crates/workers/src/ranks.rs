//! Workers that are processes, on one machine or on many, and meet by MPI (the Message Passing Interface, version 3).
//!
//! `mpirun` starts as many copies of the program as are wanted; each has a rank. Rank 0 is the program that the user sees:
//! it alone reads settings and data, prints, and writes. The others wait for its orders.
//!
//! ```text
//! rank 0                              rank 1, 2, ...
//! hire: settings, step, numbers  -->  a trainer in the same place
//! step: a batch                  -->  works on its parts of it
//! gradients: to each rank those of its range, which it sums in the order of the ranks    (all to all)
//! each rank updates its range, and gives it to all                                       (all gather)
//! gather: what the optimisers remember of their ranges  <--
//! end                            -->  done
//! ```
//!
//! The sum is that of [`microgpt::exchange`]: so many ranks give the bits of as many parts on one. It costs no more than
//! MPI's own reduction does when messages are long: each rank sends and gets (n - 1) / n of the gradient, and as much of
//! the parameters. What the optimiser remembers is written by the rank that updates it alone; of the rest, a rank has
//! zeros that were never touched, so on systems that give memory when it is first written it takes n times less.

use crate::tree::{CHUNK, tree, tree_of};
use microgpt::batch::{Batch, Segment};
use microgpt::engine::Precision;
use microgpt::exchange::Exchange;
use microgpt::train::Trainer;
use microgpt::{Config, Error, ErrorKind};
use mpi::datatype::{Partition, PartitionMut};
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use mpi::{Count, Threading};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Numbers that MPI can carry.
pub trait Carried: Precision + Equivalence {}
impl Carried for f32 {}
impl Carried for f64 {}

/// What rank 0 says to the others, as the first of four numbers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    End,
    /// Precision (32 or 64), vocab_size, bytes of the settings; then these.
    Hire,
    /// Rows, segments, loss_rows; then these.
    Step,
    Gather,
}

/// This process as one of several that MPI started. There can be one of it; to go out of scope is to leave for good.
pub struct Ranks {
    _universe: Universe,
}

/// Is this process one of several?
static JOINED: AtomicBool = AtomicBool::new(false);
/// Is it between the first and the last message of a step? Then the others wait for it.
static IN_STEP: AtomicBool = AtomicBool::new(false);

fn world() -> SimpleCommunicator {
    SimpleCommunicator::world()
}

/// Rank and number of ranks.
fn place() -> (usize, usize) {
    (world().rank() as usize, world().size() as usize)
}

/// Rank 0's numbers, for all.
fn broadcast<T: Equivalence>(numbers: &mut [T]) {
    // MPI counts in 32 bits.
    for chunk in numbers.chunks_mut(1 << 30) {
        world().process_at_rank(0).broadcast_into(chunk);
    }
}

fn order(what: Order, numbers: [usize; 3]) {
    let [a, b, c] = numbers.map(|n| n as u64);
    broadcast(&mut [what as u64, a, b, c]);
}

impl Ranks {
    /// Joins the others, that an MPI launcher (`mpirun`, `srun --mpi=pmix`) has started: [`crate::launched`] tells how many.
    ///
    /// # Errors
    /// A number of ranks that is no power of two.
    pub fn join() -> Result<Ranks, Error> {
        let (universe, _) = mpi::initialize_with_threading(Threading::Serialized)
            .ok_or_else(|| Error::peer("MPI: expected to begin, found it begun"))?;
        let (rank, size) = place();
        if !size.is_power_of_two() {
            return Err(match rank {
                0 => Error::config(format!("mpirun -n: expected a power of two, found {size}")),
                _ => Error::peer("rank 0 says why"),
            });
        }
        JOINED.store(size > 1, Relaxed);
        Ok(Ranks { _universe: universe })
    }

    /// This one's rank: 0 is the one that speaks.
    pub fn rank(&self) -> usize {
        place().0
    }

    /// How many there are.
    pub fn size(&self) -> usize {
        place().1
    }

    /// Rank 0 lets the others go from [`Ranks::follow`], to which they may come back.
    pub fn dismiss(&self) {
        order(Order::End, [0; 3]);
    }

    /// The life of a rank other than 0: it returns when rank 0 leaves.
    ///
    /// # Errors
    /// A rank that is gone.
    pub fn follow(&self) -> Result<(), Error> {
        let mut next = match heard() {
            (Order::Hire, numbers) => Some(numbers),
            _ => None,
        };
        while let Some([bits, vocab_size, bytes]) = next {
            next = match bits {
                32 => work::<f32>(vocab_size, bytes)?,
                _ => work::<f64>(vocab_size, bytes)?,
            };
        }
        Ok(())
    }
}

/// Rank 0 sends the others home, whether all went well or not.
impl Drop for Ranks {
    fn drop(&mut self) {
        let (rank, size) = place();
        if !size.is_power_of_two() {
            return;
        }
        if IN_STEP.load(Relaxed) {
            // The others wait in the middle of a step that will not go on.
            world().abort(1);
        }
        if rank == 0 {
            order(Order::End, [0; 3]);
        }
    }
}

/// Is each step to be shared by ranks?
pub(crate) fn joined() -> bool {
    JOINED.load(Relaxed)
}

/// From now on each step of this trainer (of rank 0) is shared by all ranks.
///
/// # Errors
/// A batch that does not have as many parts. A rank that is gone.
pub(crate) fn share<R: Carried>(trainer: &mut Trainer<R>) -> Result<(), Error> {
    let parts = trainer.config.parts(trainer.num_params());
    if !parts.is_multiple_of(place().1) {
        return Err(Error::config(format!(
            "mpirun -n: expected at most as many ranks as a step has parts ({parts}; --micro-batches, --batch-size), found {}",
            place().1
        )));
    }
    trainer.gather()?;
    let mut text = written(&trainer.config).into_bytes();
    let bits = 8 * size_of::<R>();
    order(Order::Hire, [bits, trainer.model.vocab_size(), text.len()]);
    broadcast(&mut text);
    broadcast(&mut [trainer.steps_done() as u64, trainer.measures_gradients() as u64]);
    for slice in trainer.state() {
        broadcast(slice);
    }
    let seat = Seat::new(trainer);
    trainer.exchange_by(Box::new(seat));
    Ok(())
}

/// What a rank other than 0 does for one trainer; returns what is said of the next, if there is one.
fn work<R: Carried>(vocab_size: usize, bytes: usize) -> Result<Option<[usize; 3]>, Error> {
    let mut text = vec![0; bytes];
    broadcast(&mut text);
    let mut numbers = [0_u64; 2];
    broadcast(&mut numbers);
    let [steps_done, measured] = numbers.map(|n| n as usize);
    let mut trainer = Trainer::<R>::at(read(&text)?, vocab_size, steps_done)?;
    trainer.measure_gradients(measured);
    let (rank, size) = place();
    let mine = trainer.range(rank, size);
    let mut room = Vec::new();
    for (i, slice) in trainer.state().into_iter().enumerate() {
        if i == 0 {
            broadcast(slice);
            continue;
        }
        // Of what is remembered, only what is updated here.
        room.resize(slice.len(), R::default());
        broadcast(&mut room);
        slice[mine.clone()].copy_from_slice(&room[mine.clone()]);
    }
    drop(room);
    let seat = Seat::new(&trainer);
    trainer.exchange_by(Box::new(seat));
    let mut batch = Batch::default();
    loop {
        let done = match heard() {
            (Order::Step, sizes) => {
                receive(&mut batch, sizes);
                trainer.step(&batch).map(|_| ())
            }
            (Order::Gather, _) => trainer.gather(),
            (Order::Hire, numbers) => return Ok(Some(numbers)),
            (Order::End, _) => return Ok(None),
        };
        match done {
            Err(error) if error.kind() == ErrorKind::Peer => return Err(error),
            // A loss that is no number: rank 0 has found the same, and nothing was updated.
            _ => {}
        }
    }
}

fn heard() -> (Order, [usize; 3]) {
    let mut numbers = [0_u64; 4];
    broadcast(&mut numbers);
    let [what, rest @ ..] = numbers;
    let what = [Order::End, Order::Hire, Order::Step, Order::Gather][what as usize];
    (what, rest.map(|n| n as usize))
}

/// Settings as text, `name=value` by lines.
fn written(config: &Config) -> String {
    let line = |name: &str| format!("{name}={}\n", config.get(name).unwrap_or_default());
    Config::knobs().iter().map(|knob| line(knob.name)).collect()
}

fn read(text: &[u8]) -> Result<Config, Error> {
    let mut config = Config::default();
    for line in String::from_utf8_lossy(text).lines() {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        config.set(name, value)?;
    }
    Ok(config)
}

/// Gives a batch to all.
fn send(batch: &Batch) {
    let mut copy = batch.clone();
    order(Order::Step, [batch.rows(), batch.segments.len(), batch.loss_rows]);
    for numbers in [&mut copy.tokens, &mut copy.positions, &mut copy.targets] {
        broadcast(numbers);
    }
    let numbers = |s: &Segment| [s.start, s.len, s.past, s.memory, s.number].map(|n| n as u64);
    let mut segments: Vec<u64> = batch.segments.iter().flat_map(numbers).collect();
    broadcast(&mut segments);
}

fn receive(batch: &mut Batch, [rows, segments, loss_rows]: [usize; 3]) {
    batch.clear();
    batch.loss_rows = loss_rows;
    for numbers in [&mut batch.tokens, &mut batch.positions, &mut batch.targets] {
        numbers.resize(rows, 0);
        broadcast(numbers);
    }
    let mut numbers = vec![0_u64; 5 * segments];
    broadcast(&mut numbers);
    batch.segments.extend(numbers.chunks_exact(5).map(|n| {
        let [start, len, past, memory, number] = std::array::from_fn(|i| n[i] as usize);
        Segment { start, len, past, memory, number }
    }));
}

/// A rank's place in the exchange.
struct Seat<R> {
    ranges: Vec<Range<usize>>,
    /// Everybody's gradients in this rank's range; or a copy of its own piece.
    pieces: Vec<R>,
    spare: Vec<R>,
}

impl<R: Carried> Seat<R> {
    fn new(trainer: &Trainer<R>) -> Seat<R> {
        let size = place().1;
        let ranges = (0..size).map(|rank| trainer.range(rank, size)).collect();
        Seat { ranges, pieces: Vec::new(), spare: Vec::new() }
    }

    /// What MPI calls a partition: how many numbers each rank has, and where they begin.
    fn partition(&self) -> (Vec<Count>, Vec<Count>) {
        let counts = self.ranges.iter().map(|range| range.len() as Count).collect();
        (counts, self.ranges.iter().map(|range| range.start as Count).collect())
    }

    fn mine(&self) -> Range<usize> {
        self.ranges[place().0].clone()
    }
}

impl<R: Carried> Exchange<R> for Seat<R> {
    fn place(&self) -> (usize, usize) {
        place()
    }

    fn begin(&mut self, batch: Option<&Batch>) -> Result<(), Error> {
        if place().0 == 0 {
            match batch {
                Some(batch) => send(batch),
                None => order(Order::Gather, [0; 3]),
            }
        }
        IN_STEP.store(true, Relaxed);
        Ok(())
    }

    fn sum(&mut self, grads: &mut [R], loss: &mut f64) -> Result<Range<usize>, Error> {
        let (mine, size) = (self.mine(), self.ranges.len());
        let (counts, starts) = self.partition();
        self.pieces.resize(size * mine.len(), R::default());
        let lengths = vec![mine.len() as Count; size];
        let places: Vec<Count> = (0..size).map(|rank| (rank * mine.len()) as Count).collect();
        let theirs = Partition::new(&*grads, counts, starts);
        let mut pieces = PartitionMut::new(&mut self.pieces[..], lengths, places);
        world().all_to_all_varcount_into(&theirs, &mut pieces);

        self.spare.resize(CHUNK * (1 + size.ilog2() as usize), R::default());
        for (i, sums) in grads[mine.clone()].chunks_mut(CHUNK).enumerate() {
            let here = i * CHUNK..i * CHUNK + sums.len();
            let take = |rank: usize, to: &mut [R], add: bool| {
                let from = &self.pieces[rank * mine.len()..][here.clone()];
                if add { R::add_into(to, from) } else { to.copy_from_slice(from) }
            };
            tree(0..size, &take, sums, &mut self.spare);
        }
        let mut losses = vec![0.0; size];
        world().all_gather_into(loss, &mut losses[..]);
        *loss = tree_of(0..size, &|rank| losses[rank]);
        IN_STEP.store(loss.is_finite(), Relaxed);
        Ok(mine)
    }

    fn share(&mut self, numbers: &mut [R]) -> Result<(), Error> {
        let (counts, starts) = self.partition();
        self.pieces.clear();
        self.pieces.extend_from_slice(&numbers[self.mine()]);
        let mut all = PartitionMut::new(numbers, counts, starts);
        world().all_gather_varcount_into(&self.pieces[..], &mut all);
        IN_STEP.store(false, Relaxed);
        Ok(())
    }

    fn collect(&mut self, numbers: &mut [R]) -> Result<(), Error> {
        let (counts, starts) = self.partition();
        self.pieces.clear();
        self.pieces.extend_from_slice(&numbers[self.mine()]);
        let world = world();
        let root = world.process_at_rank(0);
        if place().0 == 0 {
            let mut all = PartitionMut::new(numbers, counts, starts);
            root.gather_varcount_into_root(&self.pieces[..], &mut all);
        } else {
            root.gather_varcount_into(&self.pieces[..]);
        }
        IN_STEP.store(false, Relaxed);
        Ok(())
    }
}
