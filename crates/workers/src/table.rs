//! The table that threads sit at: what they show each other, and when who may look.

use crate::meeting::{Meeting, Over, held};
use crate::tree::{CHUNK, tree, tree_of};
use microgpt::batch::Batch;
use microgpt::exchange::Call;
use microgpt::real::Real;
use std::any::Any;
use std::ops::Range;
use std::sync::{Arc, Mutex, RwLock};

/// What is to be done, for those who were not called themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Task {
    #[default]
    Step,
    Gather,
    Swap,
    Look,
}

/// What the workers show each other. The meetings say when who may look: no lock is ever waited for.
pub(crate) struct Table<R> {
    pub(crate) meeting: Meeting,
    pub(crate) task: Mutex<Task>,
    /// The batch of a step, or those to look at.
    pub(crate) batches: Mutex<Vec<Batch>>,
    /// Each worker's gradients, in as many pieces as there are workers. Its own piece it keeps to itself; there, it shows
    /// what else stands in its range.
    pieces: Vec<Vec<RwLock<Vec<R>>>>,
    losses: Vec<Mutex<f64>>,
    /// Which numbers each worker sums.
    ranges: Vec<Range<usize>>,
    /// Why a worker has gone.
    pub(crate) panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl<R: Real> Table<R> {
    pub(crate) fn new(ranges: Vec<Range<usize>>) -> Table<R> {
        let workers = ranges.len();
        let piece = |i: usize| RwLock::new(vec![R::default(); ranges[i].len()]);
        Table {
            meeting: Meeting::new(workers),
            task: Mutex::default(),
            batches: Mutex::default(),
            pieces: (0..workers).map(|_| (0..workers).map(piece).collect()).collect(),
            losses: (0..workers).map(|_| Mutex::default()).collect(),
            ranges,
            panic: Mutex::default(),
        }
    }

    /// Shows what is to be done.
    pub(crate) fn call(&self, call: Call<'_>) {
        let mut batches = held(self.batches.lock());
        *held(self.task.lock()) = match call {
            Call::Step(batch) => {
                batches.resize_with(1, Batch::default);
                batches[0].clone_from(batch);
                Task::Step
            }
            Call::Gather => Task::Gather,
            Call::Swap => Task::Swap,
            Call::Look(all) => {
                all.clone_into(&mut batches);
                Task::Look
            }
        };
    }
}

/// One worker's place at the table.
pub(crate) struct Seat<R> {
    pub(crate) table: Arc<Table<R>>,
    pub(crate) place: usize,
    spare: Vec<R>,
    /// Has it shown something in its own piece that others may still be looking at?
    shown: bool,
}

impl<R: Real> Seat<R> {
    pub(crate) fn new(table: &Arc<Table<R>>, place: usize) -> Seat<R> {
        Seat { table: table.clone(), place, spare: Vec::new(), shown: false }
    }

    /// The sums of the range that is this worker's.
    pub(crate) fn sum(&mut self, grads: &mut [R], loss: &mut f64) -> Result<Range<usize>, Over> {
        let Seat { table, place, spare, .. } = self;
        let workers = table.ranges.len();
        for piece in (0..workers).filter(|piece| piece != place) {
            let theirs = &grads[table.ranges[piece].clone()];
            put(&table.pieces[*place][piece], theirs);
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

    /// Gives the others what stands in this worker's range, and takes what stands in theirs.
    pub(crate) fn share(&mut self, numbers: &mut [R]) -> Result<(), Over> {
        let table = self.table.clone();
        self.bring(numbers, &table.ranges)?;
        if self.place > 0 {
            self.take(0..table.ranges.len(), numbers, &table.ranges);
        }
        Ok(())
    }

    /// Shows what stands in this worker's range of these; the caller takes everybody's.
    pub(crate) fn bring(&mut self, numbers: &mut [R], ranges: &[Range<usize>]) -> Result<(), Over> {
        let Seat { table, place, shown, .. } = self;
        if std::mem::replace(shown, true) {
            table.meeting.wait()?;
        }
        put(&table.pieces[*place][*place], &numbers[ranges[*place].clone()]);
        table.meeting.wait()?;
        if self.place == 0 {
            self.take(1..ranges.len(), numbers, ranges);
        }
        Ok(())
    }

    /// The same of what each has just summed.
    pub(crate) fn bring_sums(&mut self, grads: &mut [R]) -> Result<(), Over> {
        let table = self.table.clone();
        self.bring(grads, &table.ranges)
    }

    /// Takes what these workers have shown.
    fn take(&self, workers: Range<usize>, numbers: &mut [R], ranges: &[Range<usize>]) {
        for worker in workers.filter(|&worker| worker != self.place) {
            let piece = held(self.table.pieces[worker][worker].read());
            numbers[ranges[worker].clone()].copy_from_slice(&piece);
        }
    }

    /// The caller shows to each worker what stands in its range of these, and its loss; they take it.
    pub(crate) fn deal(
        &mut self,
        numbers: &mut [R],
        loss: &mut f64,
        ranges: &[Range<usize>],
    ) -> Result<(), Over> {
        let Seat { table, place, shown, .. } = self;
        if *place == 0 {
            for (piece, range) in table.pieces[0].iter().zip(ranges).skip(1) {
                put(piece, &numbers[range.clone()]);
            }
            *held(table.losses[0].lock()) = *loss;
        }
        table.meeting.wait()?;
        if *place > 0 {
            numbers[ranges[*place].clone()].copy_from_slice(&held(table.pieces[0][*place].read()));
            *loss = *held(table.losses[0].lock());
        }
        *shown = false;
        Ok(())
    }

    /// The caller shows all of its numbers, and the others take them.
    pub(crate) fn spread(&mut self, numbers: &mut [R]) -> Result<(), Over> {
        let Seat { table, place, .. } = self;
        if *place == 0 {
            for (piece, range) in table.pieces[0].iter().zip(&table.ranges) {
                put(piece, &numbers[range.clone()]);
            }
        }
        table.meeting.wait()?;
        if *place > 0 {
            for (piece, range) in table.pieces[0].iter().zip(&table.ranges) {
                numbers[range.clone()].copy_from_slice(&held(piece.read()));
            }
        }
        Ok(())
    }

    /// Everybody's number, for the caller.
    pub(crate) fn each(&mut self, mine: &[f64]) -> Result<Vec<f64>, Over> {
        let table = &self.table;
        *held(table.losses[self.place].lock()) = mine[0];
        table.meeting.wait()?;
        let all = if self.place == 0 { &table.losses[..] } else { &[] };
        Ok(all.iter().map(|loss| *held(loss.lock())).collect())
    }
}

fn put<R: Copy>(piece: &RwLock<Vec<R>>, numbers: &[R]) {
    let mut piece = held(piece.write());
    piece.clear();
    piece.extend_from_slice(numbers);
}
