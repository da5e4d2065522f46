//! Workers that are threads of this process, and meet in its memory.
//!
//! ```text
//! worker 0 (the caller)              worker 1, 2, ...
//! shows the batch  ---- meeting ---- looks at it
//! works on its parts                 works on its parts
//! lends its gradients  - meeting --- lends its gradients
//! sums a range of all                sums another range of all
//!                  ---- meeting ----
//! updates that range                 updates that range
//! lends the range  ---- meeting ---- lends the range
//! copies the other                   copies the other
//!                  ---- meeting ----
//! ```
//!
//! Where the process is one of several, they are a branch of the tree. Then the caller alone deals with the other processes:
//! it takes what all threads have summed, sums that with the others, and deals out what each thread is to update.

use crate::meeting::{Over, held};
use crate::table::{Seat, Table, Task};
use microgpt::Error;
use microgpt::ErrorKind;
use microgpt::engine::Precision;
use microgpt::exchange::{Alone, Call, Exchange};
use microgpt::real::Real;
use microgpt::train::Trainer;
use std::any::Any;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

/// How many of `wanted` workers can share `parts` evenly: a power of two.
pub fn possible(wanted: usize, parts: usize) -> usize {
    1 << wanted.clamp(1, parts).ilog2()
}

/// The trainer's part in an exchange of `workers` threads; the other threads, with copies of it, wait for its steps.
///
/// # Panics
/// If the parts of a batch cannot be shared evenly by so many, or the system has no more threads.
pub fn exchange<R: Precision>(trainer: &Trainer<R>, workers: usize) -> Box<dyn Exchange<R>> {
    exchange_within(trainer, workers, Box::new(Alone))
}

/// The same, where `outer` is this process's place among others, who each have as many threads.
///
/// # Panics
/// As [`exchange`].
pub fn exchange_within<R: Precision>(
    trainer: &Trainer<R>,
    workers: usize,
    outer: Box<dyn Exchange<R>>,
) -> Box<dyn Exchange<R>> {
    let (process, processes) = outer.place();
    let parts = trainer.config.parts(trainer.num_params());
    assert!(
        parts.is_multiple_of(processes) && workers == possible(workers, parts / processes),
        "{processes} times {workers} workers for {parts} parts"
    );
    if workers == 1 {
        return outer;
    }
    let table = Arc::new(Table::new((0..workers).map(|worker| trainer.range(worker, workers)).collect()));
    let (first, all) = (process * workers, processes * workers);
    let own: Vec<_> = (first..first + workers).map(|worker| trainer.range(worker, all)).collect();
    let member = |place| Member { seat: Seat::new(&table, place), first, all, own: own.clone() };
    let mut host = Host { member: member(0), outer, others: Vec::new(), in_step: false };
    for place in 1..workers {
        let mut twin = trainer.twin();
        twin.exchange_by(Box::new(member(place)));
        let table = table.clone();
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
    let mut batches = Vec::new();
    while table.meeting.wait().is_ok() {
        let task = *held(table.task.lock());
        if matches!(task, Task::Step | Task::Look) {
            batches.clone_from(&*held(table.batches.lock()));
        }
        let done = match task {
            Task::Step => trainer.step(&batches[0]).map(|_| ()),
            Task::Gather => trainer.gather(),
            Task::Swap => trainer.swap_average(),
            Task::Look => trainer.losses(&batches).map(|_| ()),
        };
        match done {
            Err(error) if error.kind() == ErrorKind::Peer => return,
            // A loss that is no number: the caller has found the same, and nothing was updated.
            _ => {}
        }
    }
}

/// A thread among all: its seat, and what it is in the eyes of the trainer.
struct Member<R> {
    seat: Seat<R>,
    /// The place of this process's first worker, of how many in all processes.
    first: usize,
    all: usize,
    /// Which numbers each worker of this process updates.
    own: Vec<Range<usize>>,
}

impl<R: Real> Member<R> {
    fn alone(&self) -> bool {
        self.all == self.own.len()
    }

    fn place(&self) -> (usize, usize) {
        (self.first + self.seat.place, self.all)
    }
}

/// A worker that was called by another: what is to be done has come with the call.
impl<R: Real> Exchange<R> for Member<R> {
    fn place(&self) -> (usize, usize) {
        self.place()
    }

    fn begin(&mut self, _call: Call<'_>) -> Result<(), Error> {
        Ok(())
    }

    fn sum(&mut self, grads: &mut [R], loss: &mut f64) -> Result<Range<usize>, Error> {
        let alone = self.alone();
        let Member { seat, own, .. } = self;
        let mut sum = || -> Result<Range<usize>, Over> {
            let here = seat.sum(grads, loss)?;
            if alone {
                return Ok(here);
            }
            seat.bring_sums(grads)?;
            seat.deal(grads, loss, own)?;
            Ok(own[seat.place].clone())
        };
        sum().map_err(|Over| gone())
    }

    fn share(&mut self, numbers: &mut [R]) -> Result<(), Error> {
        let done = match self.alone() {
            true => self.seat.share(numbers),
            false => self.seat.bring(numbers, &self.own).and_then(|()| self.seat.spread(numbers)),
        };
        done.map_err(|Over| gone())
    }

    fn collect(&mut self, numbers: &mut [R]) -> Result<(), Error> {
        self.seat.bring(numbers, &self.own).map_err(|Over| gone())
    }

    fn each(&mut self, mine: &[f64]) -> Result<Vec<f64>, Error> {
        self.seat.each(mine).map_err(|Over| gone())
    }
}

/// The caller's place, the threads that wait for it, and the other processes.
struct Host<R: Real> {
    member: Member<R>,
    outer: Box<dyn Exchange<R>>,
    others: Vec<JoinHandle<()>>,
    in_step: bool,
}

impl<R: Real> Host<R> {
    /// Sends the others away, and waits until they have gone. Returns why one went by itself, if it did.
    fn end(&mut self) -> Option<Box<dyn Any + Send>> {
        let table = &self.member.seat.table;
        table.meeting.end();
        for thread in self.others.drain(..) {
            // It has caught its own panic.
            let _ = thread.join();
        }
        held(table.panic.lock()).take()
    }

    /// Another worker has gone in the middle of a step: its panic is the caller's.
    fn lost(&mut self) -> Error {
        match self.end() {
            Some(panic) => resume_unwind(panic),
            None => gone(),
        }
    }

    fn sum_with_all(&mut self, grads: &mut [R], loss: &mut f64) -> Result<Result<Range<usize>, Error>, Over> {
        let alone = self.member.alone();
        let Member { seat, own, .. } = &mut self.member;
        let here = seat.sum(grads, loss)?;
        if alone {
            return Ok(Ok(here));
        }
        seat.bring_sums(grads)?;
        if let Err(error) = self.outer.sum(grads, loss) {
            return Ok(Err(error));
        }
        seat.deal(grads, loss, own)?;
        Ok(Ok(own[0].clone()))
    }

    fn share_with_all(&mut self, numbers: &mut [R]) -> Result<Result<(), Error>, Over> {
        let Member { seat, own, .. } = &mut self.member;
        seat.bring(numbers, own)?;
        if let Err(error) = self.outer.share(numbers) {
            return Ok(Err(error));
        }
        seat.spread(numbers)?;
        Ok(Ok(()))
    }
}

impl<R: Real> Exchange<R> for Host<R> {
    fn place(&self) -> (usize, usize) {
        self.member.place()
    }

    fn begin(&mut self, call: Call<'_>) -> Result<(), Error> {
        // The caller has caught a panic of its own: the others are still waiting in the step before.
        if std::mem::replace(&mut self.in_step, true) {
            return Err(self.lost());
        }
        self.outer.begin(call)?;
        self.member.seat.table.call(call);
        self.member.seat.table.meeting.wait().map_err(|Over| self.lost())
    }

    fn sum(&mut self, grads: &mut [R], loss: &mut f64) -> Result<Range<usize>, Error> {
        let done = self.sum_with_all(grads, loss);
        self.in_step = loss.is_finite();
        done.unwrap_or_else(|Over| Err(self.lost()))
    }

    fn share(&mut self, numbers: &mut [R]) -> Result<(), Error> {
        let done = match self.member.alone() {
            true => self.member.seat.share(numbers).map(Ok),
            false => self.share_with_all(numbers),
        };
        self.in_step = false;
        done.unwrap_or_else(|Over| Err(self.lost()))
    }

    fn collect(&mut self, numbers: &mut [R]) -> Result<(), Error> {
        let done = self.member.seat.bring(numbers, &self.member.own);
        self.in_step = false;
        done.map_err(|Over| self.lost())?;
        self.outer.collect(numbers)
    }

    fn each(&mut self, mine: &[f64]) -> Result<Vec<f64>, Error> {
        let done = self.member.seat.each(mine);
        self.in_step = false;
        let all = done.map_err(|Over| self.lost())?;
        self.outer.each(&all)
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
