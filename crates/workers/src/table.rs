//! The table that threads sit at: what they show each other, and when who may look.

use crate::meeting::{Meeting, Over, held};
use crate::tree::{CHUNK, room, tree, tree_of};
use microgpt::batch::Batch;
use microgpt::exchange::Call;
use microgpt::real::Real;
use microgpt_kernels::lent::Lent;
use std::any::Any;
use std::ops::Range;
use std::sync::{Arc, Mutex};

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
    /// What each worker lends the others while they are all in the same call: what stands before its range and behind it,
    /// or its range alone.
    shown: Vec<[Lent<R>; 2]>,
    losses: Vec<Mutex<f64>>,
    /// Which numbers each worker sums.
    ranges: Vec<Range<usize>>,
    /// Why a worker has gone.
    pub(crate) panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl<R: Real> Table<R> {
    pub(crate) fn new(ranges: Vec<Range<usize>>) -> Table<R> {
        let workers = ranges.len();
        Table {
            meeting: Meeting::new(workers),
            task: Mutex::default(),
            batches: Mutex::default(),
            shown: (0..workers).map(|_| Default::default()).collect(),
            losses: (0..workers).map(|_| Mutex::default()).collect(),
            ranges,
            panic: Mutex::default(),
        }
    }

    /// Does `work` when all have come to it, and waits until all have done theirs.
    fn together(&self, work: impl FnOnce()) -> Result<(), Over> {
        self.meeting.wait()?;
        work();
        self.meeting.wait()
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
}

impl<R: Real> Seat<R> {
    pub(crate) fn new(table: &Arc<Table<R>>, place: usize) -> Seat<R> {
        Seat { table: table.clone(), place, spare: Vec::new() }
    }

    /// The sums of the range that is this worker's.
    pub(crate) fn sum(&mut self, grads: &mut [R], loss: &mut f64) -> Result<Range<usize>, Over> {
        let Seat { table, place, spare } = self;
        let (me, ranges) = (*place, &table.ranges);
        let mine = ranges[me].clone();
        spare.resize(room(ranges.len()), R::default());
        *held(table.losses[me].lock()) = *loss;
        let [before, sums, behind] = around(grads, &mine);
        let add = || {
            for (i, sums) in sums.chunks_mut(CHUNK).enumerate() {
                let (start, len) = (mine.start + i * CHUNK, sums.len());
                let see = |worker: usize, look: &mut dyn FnMut(&[R])| {
                    // What this worker sums stands before the other's range, or behind it.
                    let behind = worker < me;
                    let start = start - if behind { ranges[worker].end } else { 0 };
                    table.shown[worker][usize::from(behind)].look(|all| look(&all[start..][..len]));
                };
                tree(0..ranges.len(), me, &see, sums, spare);
            }
        };
        let [first, second] = &table.shown[me];
        first.lend(before, || second.lend(behind, || table.together(add)))?;
        *loss = tree_of(0..ranges.len(), &|worker| *held(table.losses[worker].lock()));
        Ok(mine)
    }

    /// Gives the others what stands in this worker's range, and takes what stands in theirs.
    pub(crate) fn share(&mut self, numbers: &mut [R]) -> Result<(), Over> {
        let table = self.table.clone();
        self.pass(numbers, &table.ranges, true)
    }

    /// Shows what stands in this worker's range of these; the caller takes everybody's.
    pub(crate) fn bring(&mut self, numbers: &mut [R], ranges: &[Range<usize>]) -> Result<(), Over> {
        self.pass(numbers, ranges, self.place == 0)
    }

    /// The same of what each has just summed.
    pub(crate) fn bring_sums(&mut self, grads: &mut [R]) -> Result<(), Over> {
        let table = self.table.clone();
        self.bring(grads, &table.ranges)
    }

    /// Shows what stands in this worker's range; `take`: and takes what the others show.
    fn pass(&mut self, numbers: &mut [R], ranges: &[Range<usize>], take: bool) -> Result<(), Over> {
        let (table, me) = (&self.table, self.place);
        let [before, mine, behind] = around(numbers, &ranges[me]);
        table.shown[me][0].lend(mine, || {
            table.together(|| {
                for worker in (0..if take { ranges.len() } else { 0 }).filter(|&worker| worker != me) {
                    let Range { start, end } = ranges[worker];
                    let to = if worker < me {
                        &mut before[start..end]
                    } else {
                        &mut behind[start - ranges[me].end..end - ranges[me].end]
                    };
                    table.shown[worker][0].look(|from| to.copy_from_slice(from));
                }
            })
        })
    }

    /// The caller shows to each worker what stands in its range of these, and its loss; they take it.
    pub(crate) fn deal(
        &mut self,
        numbers: &mut [R],
        loss: &mut f64,
        ranges: &[Range<usize>],
    ) -> Result<(), Over> {
        if self.place == 0 {
            *held(self.table.losses[0].lock()) = *loss;
        }
        self.hand_out(numbers, ranges[self.place].clone())?;
        *loss = *held(self.table.losses[0].lock());
        Ok(())
    }

    /// The caller shows all of its numbers, and the others take them.
    pub(crate) fn spread(&mut self, numbers: &mut [R]) -> Result<(), Over> {
        self.hand_out(numbers, 0..numbers.len())
    }

    /// The caller shows all of its numbers, and the others take those in `range`.
    fn hand_out(&mut self, numbers: &mut [R], range: Range<usize>) -> Result<(), Over> {
        let (table, shown) = (&self.table, &self.table.shown[0][0]);
        if self.place == 0 {
            return shown.lend(numbers, || table.together(|| ()));
        }
        table.together(|| {
            shown.look(|from| numbers[range.clone()].copy_from_slice(&from[range]));
        })
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

/// What stands before a range, in it, and behind it.
fn around<'a, R>(numbers: &'a mut [R], range: &Range<usize>) -> [&'a mut [R]; 3] {
    let (numbers, behind) = numbers.split_at_mut(range.end);
    let (before, inside) = numbers.split_at_mut(range.start);
    [before, inside, behind]
}
