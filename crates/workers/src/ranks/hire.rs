//! How the others get a trainer of their own, and what they do with it.

use super::orders::{self, Order, Words, heard, read, say, written};
use super::post::{HELLO, by_post, place};
use super::pulse::{self, to_go_on};
use super::seat::{Seat, cut};
use super::{Carried, SPREAD};
use crate::threads;
use microgpt::batch::Batch;
use microgpt::train::Trainer;
use microgpt::{Error, ErrorKind};
use std::sync::atomic::Ordering::Relaxed;

/// What the others have to know of a trainer, beside its settings: lengths are of texts that come next.
pub(super) struct Hire {
    pub(super) bits: usize,
    vocab_size: usize,
    settings: usize,
    hint: usize,
    steps_done: usize,
    measured: usize,
    threads: usize,
    bucket: usize,
}

impl Hire {
    fn words(&self) -> Words {
        let &Hire { bits, vocab_size, settings, hint, steps_done, measured, threads, bucket } = self;
        [bits, vocab_size, settings, hint, steps_done, measured, threads, bucket]
    }

    pub(super) fn read(
        [bits, vocab_size, settings, hint, steps_done, measured, threads, bucket]: Words,
    ) -> Hire {
        Hire { bits, vocab_size, settings, hint, steps_done, measured, threads, bucket }
    }
}

/// From now on each step of this trainer (of rank 0) is shared by all ranks, with so many threads each.
///
/// # Errors
/// A batch that does not have as many parts.
pub(crate) fn share<R: Carried>(trainer: &mut Trainer<R>, threads: usize) -> Result<(), Error> {
    let (parts, size) = (trainer.config.parts(trainer.num_params()), place().1);
    if !parts.is_multiple_of(size) {
        return Err(Error::config(format!(
            "mpirun -n: expected at most as many ranks as a step has parts ({parts}; --micro-batches, --batch-size), found {size}"
        )));
    }
    let bucket = bucket()?;
    trainer.gather()?;
    let (mut text, mut hint) = (written(&trainer.config).into_bytes(), pulse::hint().into_bytes());
    let hire = Hire {
        bits: 8 * size_of::<R>(),
        vocab_size: trainer.model.vocab_size(),
        settings: text.len(),
        hint: hint.len(),
        steps_done: trainer.steps_done(),
        measured: trainer.measures_gradients(),
        threads,
        bucket,
    };
    say(Order::Hire, &hire.words());
    by_post(|letters| {
        letters.broadcast(&mut text);
        letters.broadcast(&mut hint);
    });
    let ranges: Vec<_> = (0..size).map(|rank| trainer.range(rank, size)).collect();
    for (i, slice) in trainer.state().into_iter().enumerate() {
        by_post(|letters| match i {
            0 => letters.broadcast(slice),
            // Of what is remembered, a rank needs what it updates.
            _ => cut(slice, &ranges)
                .into_iter()
                .enumerate()
                .skip(1)
                .for_each(|(to, slice)| letters.send(to, HELLO, slice)),
        });
    }
    sit_down(trainer, threads, bucket);
    Ok(())
}

fn sit_down<R: Carried>(trainer: &mut Trainer<R>, threads: usize, bucket: usize) {
    let seat = Box::new(Seat::new(trainer, threads, bucket));
    let exchange = threads::exchange_within(trainer, threads, seat);
    trainer.exchange_by(exchange);
}

/// What a rank other than 0 does for one trainer; returns what is said of the next, if there is one.
pub(super) fn work<R: Carried>(words: Words) -> Result<Option<Words>, Error> {
    let hire = Hire::read(words);
    let (mut text, mut hint) = (vec![0; hire.settings], vec![0; hire.hint]);
    by_post(|letters| {
        letters.broadcast(&mut text);
        letters.broadcast(&mut hint);
    });
    to_go_on(&String::from_utf8_lossy(&hint));
    let mut trainer = Trainer::<R>::at(read(&text)?, hire.vocab_size, hire.steps_done)?;
    trainer.measure_gradients(hire.measured);
    let (rank, size) = place();
    let mine = trainer.range(rank, size);
    for (i, slice) in trainer.state().into_iter().enumerate() {
        by_post(|letters| match i {
            0 => letters.broadcast(slice),
            _ => letters.receive(0, HELLO, &mut slice[mine.clone()]),
        });
    }
    sit_down(&mut trainer, hire.threads, hire.bucket);
    let (mut batch, first) = (Batch::default(), rank * hire.threads);
    loop {
        let done = match heard() {
            (Order::Step, words) => {
                orders::take(&mut &orders::receive(words)[..], &mut batch);
                trainer.step(&batch).map(|_| ())
            }
            (Order::Look, words) => {
                let letter = orders::receive(words);
                let (mut letter, mut batches) = (&letter[..], vec![Batch::default(); words[1]]);
                for batch in batches.iter_mut().skip(first).take(hire.threads) {
                    orders::take(&mut letter, batch);
                }
                trainer.losses(&batches).map(|_| ())
            }
            (Order::Gather, _) => trainer.gather(),
            (Order::Swap, _) => trainer.swap_average(),
            (Order::Hire, words) => return Ok(Some(words)),
            (Order::End, _) => return Ok(None),
        };
        match done {
            Err(error) if error.kind() == ErrorKind::Peer => return Err(error),
            // A loss that is no number: rank 0 has found the same, and nothing was updated.
            _ => {}
        }
    }
}

/// The environment variable that says how many gradients are in a message. Where a rank is to have more of them, the
/// first are sent while the last are computed.
pub const BUCKET_VARIABLE: &str = "MICROGPT_RANK_BUCKET";

/// Of a message this long, the way over a network takes much longer than the first byte of it.
const BUCKET: usize = 1 << 18;

/// On one machine, to send is work for the processors that compute: all goes at once, at the end.
fn bucket() -> Result<usize, Error> {
    let Ok(text) = std::env::var(BUCKET_VARIABLE) else {
        return Ok(if SPREAD.load(Relaxed) { BUCKET } else { usize::MAX });
    };
    match text.parse() {
        Ok(bucket) if bucket > 0 => Ok(bucket),
        _ => Err(Error::config(format!("{BUCKET_VARIABLE}: expected how many numbers, found {text:?}"))),
    }
}
