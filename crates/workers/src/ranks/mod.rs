//! Workers that are processes, on one machine or on many, and meet by MPI (the Message Passing Interface, version 3).
//!
//! `mpirun` starts as many copies of the program as are wanted; each has a rank. Rank 0 is the program that the user sees:
//! it alone reads settings and data, prints, and writes. The others wait for its orders.
//!
//! ```text
//! rank 0                              rank 1, 2, ...
//! hire: settings, step, numbers  -->  a trainer in the same place
//! step: to each its documents    -->  works on its parts
//! gradients: to each rank those of its range, which it sums in the order of the ranks
//! each rank updates its range, and gives it to all
//! look: to each some batches     -->  the loss on them   <--
//! gather: what the optimisers remember of their ranges  <--
//! end                            -->  done
//! ```
//!
//! The sum is that of [`microgpt::exchange`]: so many ranks give the bits of as many parts on one. It costs no more than
//! MPI's own reduction does when messages are long: each rank sends and gets (n - 1) / n of the gradient, and as much of
//! the parameters. What the optimiser remembers is written by the rank that updates it alone; of the rest, a rank has
//! zeros that were never touched, so on systems that give memory when it is first written it takes n times less.

mod hire;
mod launcher;
mod orders;
mod post;
pub mod probe;
mod pulse;
mod seat;
mod trial;

pub use hire::BUCKET_VARIABLE;
pub(crate) use hire::share;
pub use pulse::{VARIABLE, asked_to_end, to_go_on};
pub use trial::trial;

use hire::{Hire, work};
use microgpt::Error;
use microgpt::engine::Precision;
use mpi::Threading;
use mpi::environment::{Universe, processor_name};
use mpi::traits::*;
use orders::{Order, heard, say};
use post::{by_post, place, world};
use pulse::Pulse;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Numbers that MPI can carry.
pub trait Carried: Precision + Equivalence {}
impl Carried for f32 {}
impl Carried for f64 {}

/// This process as one of several that MPI started. There can be one of it; to go out of scope is to leave for good.
pub struct Ranks {
    pulse: Option<Pulse>,
    _universe: Universe,
}

/// Is this process one of several?
static JOINED: AtomicBool = AtomicBool::new(false);
/// How many of them are on this machine.
static LOCAL: AtomicUsize = AtomicUsize::new(1);
/// Are they on several machines?
static SPREAD: AtomicBool = AtomicBool::new(false);

impl Ranks {
    /// Joins the others, that an MPI launcher (`mpirun`, `srun --mpi=pmix`) has started: [`crate::launched`] tells how many.
    /// When one of them is lost, a sentence about it is given to `tell`, and the process ends.
    ///
    /// # Errors
    /// A number of ranks that is no power of two, or [`VARIABLE`] is no number.
    pub fn join(tell: fn(&str)) -> Result<Ranks, Error> {
        let (universe, threading) = mpi::initialize_with_threading(Threading::Serialized)
            .ok_or_else(|| Error::peer("MPI: expected to begin, found it begun"))?;
        let (rank, size) = place();
        let neighbours = Neighbours::meet();
        let timeout = match neighbours.timeout {
            _ if !size.is_power_of_two() => {
                Err(Error::config(format!("mpirun -n: expected a power of two, found {size}")))
            }
            Some(timeout) => Ok(timeout),
            None => Err(Error::config(format!("{VARIABLE}: expected seconds, found something else"))),
        };
        // All have found the same.
        let timeout =
            timeout.map_err(|error| if rank == 0 { error } else { Error::peer("rank 0 says why") })?;
        JOINED.store(size > 1, Relaxed);
        let local = world().split_shared(rank as i32).size() as usize;
        LOCAL.store(local, Relaxed);
        SPREAD.store(local < size, Relaxed);
        let may = matches!(threading, Threading::Serialized | Threading::Multiple);
        let pulse =
            (may && size > 1).then(|| Pulse::start(neighbours.hosts, neighbours.first, tell, timeout));
        Ok(Ranks { pulse, _universe: universe })
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
        say(Order::End, &[]);
    }

    /// The life of a rank other than 0: it returns when rank 0 leaves.
    ///
    /// # Errors
    /// Settings that cannot be.
    pub fn follow(&self) -> Result<(), Error> {
        let mut next = match heard() {
            (Order::Hire, words) => Some(words),
            _ => None,
        };
        while let Some(words) = next {
            next = match Hire::read(words).bits {
                32 => work::<f32>(words)?,
                _ => work::<f64>(words)?,
            };
        }
        Ok(())
    }
}

/// Rank 0 sends the others home, whether all went well or not.
impl Drop for Ranks {
    fn drop(&mut self) {
        let (rank, size) = place();
        if std::thread::panicking() && size > 1 {
            // The others may be in the middle of a step that will not go on.
            world().abort(1);
        }
        if rank == 0 {
            say(Order::End, &[]);
        }
        if let Some(pulse) = &mut self.pulse {
            pulse.stop();
        }
    }
}

/// What the ranks know of each other.
struct Neighbours {
    /// The name of each one's machine.
    hosts: Vec<String>,
    /// The number of rank 0's process, if it is one of this machine.
    first: Option<u32>,
    /// For how long nothing may be heard of one, as rank 0 was told; none if that was no time.
    timeout: Option<Duration>,
}

impl Neighbours {
    fn meet() -> Neighbours {
        const LONG: usize = 64;
        let (name, timeout) = (processor_name().unwrap_or_default(), pulse::timeout().unwrap_or_default());
        let mut card = [0_u8; LONG + 4 + 8];
        let short = name.len().min(LONG);
        card[..short].copy_from_slice(&name.as_bytes()[..short]);
        card[LONG..LONG + 4].copy_from_slice(&std::process::id().to_le_bytes());
        card[LONG + 4..].copy_from_slice(&timeout.as_secs_f64().to_le_bytes());
        let mut cards = vec![0; card.len() * place().1];
        by_post(|letters| letters.gather(&card, &mut cards));
        let name = |card: &[u8]| String::from_utf8_lossy(&card[..LONG]).trim_end_matches('\0').to_string();
        let hosts: Vec<String> = cards.chunks_exact(card.len()).map(name).collect();
        let first = u32::from_le_bytes(std::array::from_fn(|i| cards[LONG + i]));
        let seconds = f64::from_le_bytes(std::array::from_fn(|i| cards[LONG + 4 + i]));
        let here = hosts[place().0] == hosts[0] && Path::new(&format!("/proc/{first}")).exists();
        // More than there are is for ever.
        let timeout = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        Neighbours { hosts, first: here.then_some(first), timeout: (seconds > 0.0).then_some(timeout) }
    }
}

/// Is each step to be shared by ranks?
pub(crate) fn joined() -> bool {
    JOINED.load(Relaxed)
}

/// How many ranks there are, and how many of them on this machine.
pub(crate) fn count() -> (usize, usize) {
    (place().1, LOCAL.load(Relaxed))
}
