//! Workers that are threads of this process, and meet in its memory.
//!
//! ```text
//! worker 0 (the caller)              worker 1, 2, ...
//! shows the batch  ---- meeting ---- looks at it
//! works on its parts                 works on its parts
//! shows its gradients  - meeting --- shows its gradients
//! sums a range of them               sums another range
//! updates that range                 updates that range
//! shows the range  ---- meeting ---- shows the range
//! takes the other                    takes the other
//! ```

use crate::meeting::{Meeting, Over, held};
use crate::tree::{CHUNK, tree, tree_of};
use microgpt::engine::Precision;
use microgpt::exchange::{Alone, Exchange};
use microgpt::real::Real;
use microgpt::train::Trainer;
use microgpt::{Error, ErrorKind, batch::Batch};
use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::JoinHandle;

/// What the workers show each other. The meetings say when who may look: no lock is ever waited for.
struct Table<R> {
    meeting: Meeting,
    batch: Mutex<Batch>,
    /// Is there a step to make? If not, only what the optimisers remember is wanted.
    step: AtomicBool,
    /// Each worker's gradients, in as many pieces as there are workers. Its own piece it keeps to itself; there, it shows
    /// what else stands in its range.
    pieces: Vec<Vec<RwLock<Vec<R>>>>,
    losses: Vec<Mutex<f64>>,
    /// Which numbers each worker sums and updates.
    ranges: Vec<Range<usize>>,
    /// Why a worker has gone.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl<R: Real> Table<R> {
    fn new(ranges: Vec<Range<usize>>) -> Table<R> {
        let workers = ranges.len();
        let piece = |i: usize| RwLock::new(vec![R::default(); ranges[i].len()]);
        Table {
            meeting: Meeting::new(workers),
            batch: Mutex::default(),
            step: AtomicBool::new(true),
            pieces: (0..workers).map(|_| (0..workers).map(piece).collect()).collect(),
            losses: (0..workers).map(|_| Mutex::default()).collect(),
            ranges,
            panic: Mutex::default(),
        }
    }
}

/// How many of `wanted` workers can share `parts` evenly: a power of two.
pub fn possible(wanted: usize, parts: usize) -> usize {
    1 << wanted.clamp(1, parts).ilog2()
}

/// The trainer's part in an exchange of `workers` threads; the other threads, with copies of it, wait for its steps.
///
/// # Panics
/// If the parts of a batch cannot be shared evenly by so many, or the system has no more threads.
pub fn exchange<R: Precision>(trainer: &Trainer<R>, workers: usize) -> Box<dyn Exchange<R>> {
    let parts = trainer.config.parts(trainer.num_params());
    assert!(workers == possible(workers, parts), "{workers} workers for {parts} parts");
    if workers == 1 {
        return Box::new(Alone);
    }
    let table = Arc::new(Table::new((0..workers).map(|worker| trainer.range(worker, workers)).collect()));
    let seat = |place| Seat { table: table.clone(), place, spare: Vec::new(), shown: false };
    let mut host = Host { seat: seat(0), others: Vec::new(), in_step: false };
    for place in 1..workers {
        let (mut twin, seat) = (trainer.twin(), seat(place));
        let table = table.clone();
        twin.exchange_by(Box::new(seat));
        let work = move || {
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| follow(twin, &table))) {
                held(table.panic.lock()).get_or_insert(panic);
            }
            table.meeting.end();
        };
        let thread = std::thread::Builder::new().name(format!("worker {place}"));
        host.others.push(thread.spawn(work).expect("a thread"));
    }
    Box::new(host)
}

/// The life of a worker that is not the caller.
fn follow<R: Precision>(mut trainer: Trainer<R>, table: &Table<R>) {
    let mut batch = Batch::default();
    while table.meeting.wait().is_ok() {
        let done = if table.step.load(Ordering::Relaxed) {
            batch.clone_from(&*held(table.batch.lock()));
            trainer.step(&batch).map(|_| ())
        } else {
            trainer.gather()
        };
        match done {
            Err(error) if error.kind() == ErrorKind::Peer => return,
            // A loss that is no number: the caller has found the same, and nothing was updated.
            _ => {}
        }
    }
}

/// One worker's place at the table.
struct Seat<R> {
    table: Arc<Table<R>>,
    place: usize,
    spare: Vec<R>,
    /// Has it shown something in its own piece that others may still be looking at?
    shown: bool,
}

impl<R: Real> Seat<R> {
    fn meet_and_sum(&mut self, grads: &mut [R], loss: &mut f64) -> Result<Range<usize>, Over> {
        let Seat { table, place, spare, .. } = self;
        let workers = table.ranges.len();
        for piece in (0..workers).filter(|piece| piece != place) {
            let theirs = &grads[table.ranges[piece].clone()];
            held(table.pieces[*place][piece].write()).copy_from_slice(theirs);
        }
        *held(table.losses[*place].lock()) = *loss;
        table.meeting.wait()?;
        spare.resize(CHUNK * (1 + workers.ilog2() as usize), R::default());
        let (own, spare) = spare.split_at_mut(CHUNK);
        let mine = table.ranges[*place].clone();
        for (i, sums) in grads[mine.clone()].chunks_mut(CHUNK).enumerate() {
            let here = i * CHUNK..i * CHUNK + sums.len();
            let own = &mut own[..sums.len()];
            own.copy_from_slice(sums);
            let take = |worker: usize, to: &mut [R], add: bool| {
                let copy = |from: &[R], to: &mut [R]| {
                    if add { R::add_into(to, from) } else { to.copy_from_slice(from) }
                };
                if worker == *place {
                    copy(own, to);
                } else {
                    copy(&held(table.pieces[worker][*place].read())[here.clone()], to);
                }
            };
            tree(0..workers, &take, sums, spare);
        }
        *loss = tree_of(0..workers, &|worker| *held(table.losses[worker].lock()));
        self.shown = false;
        Ok(mine)
    }

    fn meet_and_share(&mut self, numbers: &mut [R]) -> Result<(), Over> {
        let Seat { table, place, shown, .. } = self;
        if std::mem::replace(shown, true) {
            table.meeting.wait()?;
        }
        held(table.pieces[*place][*place].write()).copy_from_slice(&numbers[table.ranges[*place].clone()]);
        table.meeting.wait()?;
        for piece in (0..table.ranges.len()).filter(|piece| piece != place) {
            numbers[table.ranges[piece].clone()].copy_from_slice(&held(table.pieces[piece][piece].read()));
        }
        Ok(())
    }
}

/// A worker that was called by another: its batch has come with the call.
impl<R: Real> Exchange<R> for Seat<R> {
    fn place(&self) -> (usize, usize) {
        (self.place, self.table.pieces.len())
    }

    fn begin(&mut self, _batch: Option<&Batch>) -> Result<(), Error> {
        Ok(())
    }

    fn sum(&mut self, grads: &mut [R], loss: &mut f64) -> Result<Range<usize>, Error> {
        self.meet_and_sum(grads, loss).map_err(|Over| gone())
    }

    fn share(&mut self, numbers: &mut [R]) -> Result<(), Error> {
        self.meet_and_share(numbers).map_err(|Over| gone())
    }
}

/// The caller's place, and the threads that wait for it.
struct Host<R: Real> {
    seat: Seat<R>,
    others: Vec<JoinHandle<()>>,
    in_step: bool,
}

impl<R: Real> Host<R> {
    /// Sends the others away, and waits until they have gone. Returns why one went by itself, if it did.
    fn end(&mut self) -> Option<Box<dyn Any + Send>> {
        self.seat.table.meeting.end();
        for thread in self.others.drain(..) {
            // It has caught its own panic.
            let _ = thread.join();
        }
        held(self.seat.table.panic.lock()).take()
    }

    /// Another worker has gone in the middle of a step: its panic is the caller's.
    fn lost(&mut self) -> Error {
        match self.end() {
            Some(panic) => resume_unwind(panic),
            None => gone(),
        }
    }
}

impl<R: Real> Exchange<R> for Host<R> {
    fn place(&self) -> (usize, usize) {
        self.seat.place()
    }

    fn begin(&mut self, batch: Option<&Batch>) -> Result<(), Error> {
        // The caller has caught a panic of its own: the others are still waiting in the step before.
        if std::mem::replace(&mut self.in_step, true) {
            return Err(self.lost());
        }
        self.seat.table.step.store(batch.is_some(), Ordering::Relaxed);
        if let Some(batch) = batch {
            held(self.seat.table.batch.lock()).clone_from(batch);
        }
        self.seat.table.meeting.wait().map_err(|Over| self.lost())
    }

    fn sum(&mut self, grads: &mut [R], loss: &mut f64) -> Result<Range<usize>, Error> {
        let done = self.seat.meet_and_sum(grads, loss);
        self.in_step = loss.is_finite();
        done.map_err(|Over| self.lost())
    }

    fn share(&mut self, numbers: &mut [R]) -> Result<(), Error> {
        let done = self.seat.meet_and_share(numbers);
        self.in_step = false;
        done.map_err(|Over| self.lost())
    }
}

impl<R: Real> Drop for Host<R> {
    fn drop(&mut self) {
        self.end();
    }
}

fn gone() -> Error {
    Error::peer("expected all workers, found one gone")
}
