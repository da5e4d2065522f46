//! Messages between ranks. None is waited for inside of MPI, which would not come back if the other has gone: all are
//! begun, and looked after until they are done.

use crate::meeting::held;
use mpi::Tag;
use mpi::request::{LocalScope, Request, scope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What a message is about.
pub(super) const HELLO: Tag = 1;
pub(super) const PULSE: Tag = 2;
pub(super) const ORDER: Tag = 3;
pub(super) const NUMBERS: Tag = 4;
/// Gradients, and from here on each bucket of them.
pub(super) const BUCKET: Tag = 16;

/// MPI counts in 32 bits.
const MOST: usize = 1 << 30;

/// MPI is called by one thread at a time: by the one that holds this.
static TURN: Mutex<()> = Mutex::new(());

pub(super) fn turn() -> MutexGuard<'static, ()> {
    held(TURN.lock())
}

pub(super) fn world() -> SimpleCommunicator {
    SimpleCommunicator::world()
}

/// Rank and number of ranks.
pub(super) fn place() -> (usize, usize) {
    (world().rank() as usize, world().size() as usize)
}

/// Messages under way.
pub(super) struct Letters<'a, 'b, T> {
    scope: &'b LocalScope<'a>,
    under_way: Vec<Request<'a, [T], &'b LocalScope<'a>>>,
}

impl<'a, 'b, T: Equivalence> Letters<'a, 'b, T> {
    pub(super) fn new(scope: &'b LocalScope<'a>) -> Self {
        Letters { scope, under_way: Vec::new() }
    }

    pub(super) fn send(&mut self, to: usize, tag: Tag, numbers: &'a [T]) {
        let _turn = turn();
        for chunk in numbers.chunks(MOST) {
            let world = world();
            let to = world.process_at_rank(to as i32);
            self.under_way.push(to.immediate_send_with_tag(self.scope, chunk, tag));
        }
    }

    pub(super) fn receive(&mut self, from: usize, tag: Tag, numbers: &'a mut [T]) {
        let _turn = turn();
        for chunk in numbers.chunks_mut(MOST) {
            let world = world();
            let from = world.process_at_rank(from as i32);
            self.under_way.push(from.immediate_receive_into_with_tag(self.scope, chunk, tag));
        }
    }

    /// Rank 0's numbers, for all.
    pub(super) fn broadcast(&mut self, numbers: &'a mut [T]) {
        let _turn = turn();
        for chunk in numbers.chunks_mut(MOST) {
            let request = world().process_at_rank(0).immediate_broadcast_into(self.scope, chunk);
            self.under_way.push(request);
        }
    }

    /// Everybody's numbers, as many of each, in the order of the ranks.
    pub(super) fn gather(&mut self, mine: &'a [T], all: &'a mut [T]) {
        let _turn = turn();
        self.under_way.push(world().immediate_all_gather_into(self.scope, mine, all));
    }

    /// Moves them on. Are all of them done?
    pub(super) fn nudge(&mut self) -> bool {
        let _turn = turn();
        while let Some(request) = self.under_way.pop() {
            if let Err(request) = request.test() {
                self.under_way.push(request);
                return false;
            }
        }
        true
    }

    /// Waits until all are done. `idle`: what comes next may take long, and leaves the processor to others.
    pub(super) fn finish(mut self, idle: bool) {
        let begun = Instant::now();
        WAITS.fetch_add(1, Relaxed);
        let spins = SPINS.load(Relaxed);
        while !self.nudge() {
            let waited = begun.elapsed();
            if idle && waited > SOON {
                std::thread::sleep(SOON / 10);
            } else if spins && waited < SOON {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
        WAITS.fetch_add(1, Relaxed);
    }
}

/// How often this rank has begun and ended to wait for others: while it waits, an odd number.
pub(super) static WAITS: AtomicU64 = AtomicU64::new(0);

/// Has each rank of this machine a processor? Who gives way to others on a busy machine is late for what comes soon.
pub(super) static SPINS: AtomicBool = AtomicBool::new(false);

/// What takes longer is not worth looking for all the time.
const SOON: Duration = Duration::from_millis(2);

/// Begins what `write` says, and waits until all of it is done.
pub(super) fn by_post<'a, T: Equivalence + 'a>(write: impl FnOnce(&mut Letters<'a, '_, T>)) {
    scope(|scope| {
        let mut letters = Letters::new(scope);
        write(&mut letters);
        letters.finish(false);
    });
}
