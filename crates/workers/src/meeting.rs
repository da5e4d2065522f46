//! Where threads wait for each other.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, LockResult, Mutex, PoisonError};

/// A barrier that all can leave when one has gone for good.
///
/// Whoever comes early looks around for a short while, which is quickest where everybody has a processor, then gives
/// way to others, and then sleeps: on a busy machine a thread that goes on looking takes its place from the very one
/// it is waiting for.
#[derive(Debug)]
pub struct Meeting {
    workers: usize,
    here: AtomicUsize,
    round: AtomicUsize,
    over: AtomicBool,
    door: Mutex<()>,
    bell: Condvar,
}

/// Somebody has gone: there will be no more meetings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over;

/// Looks before giving way: some 20 us.
const LOOKS: usize = 400;
/// How often it gives way before it sleeps.
const YIELDS: usize = 50;

impl Meeting {
    /// Of so many.
    pub fn new(workers: usize) -> Meeting {
        Meeting {
            workers,
            here: AtomicUsize::new(0),
            round: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            door: Mutex::new(()),
            bell: Condvar::new(),
        }
    }

    /// Waits until all are here.
    ///
    /// # Errors
    /// Somebody has gone, or goes while the others wait.
    pub fn wait(&self) -> Result<(), Over> {
        let round = self.round.load(Ordering::Acquire);
        if self.here.fetch_add(1, Ordering::AcqRel) + 1 == self.workers {
            // The last one: nobody else can be counting now.
            self.here.store(0, Ordering::Relaxed);
            self.ring(|| self.round.store(round.wrapping_add(1), Ordering::Release));
        } else {
            self.until(|| self.round.load(Ordering::Acquire) != round);
        }
        if self.over.load(Ordering::Acquire) { Err(Over) } else { Ok(()) }
    }

    /// Goes for good.
    pub fn end(&self) {
        self.ring(|| self.over.store(true, Ordering::Release));
    }

    fn ring(&self, news: impl FnOnce()) {
        // Under the lock, so that nobody falls asleep between a last look and the bell.
        let door = held(self.door.lock());
        news();
        drop(door);
        self.bell.notify_all();
    }

    fn until(&self, done: impl Fn() -> bool) {
        let done = || done() || self.over.load(Ordering::Acquire);
        for look in 0..LOOKS + YIELDS {
            if done() {
                return;
            }
            if look < LOOKS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
        let mut door = held(self.door.lock());
        while !done() {
            door = held(self.bell.wait(door));
        }
    }
}

/// A lock whatever has happened to others who held it: that they are gone is told by the meeting.
pub(crate) fn held<T>(lock: LockResult<T>) -> T {
    lock.unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn nobody_leaves_before_all_have_come() {
        let (meeting, arrived) = (Meeting::new(4), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let (meeting, arrived) = (&meeting, &arrived);
                scope.spawn(move || {
                    for round in 0..200 {
                        if round % 50 == worker * 7 {
                            std::thread::sleep(Duration::from_millis(2)); // the others fall asleep
                        }
                        arrived.fetch_add(1, Ordering::SeqCst);
                        meeting.wait().unwrap();
                        assert!(arrived.load(Ordering::SeqCst) >= 4 * (round + 1));
                        meeting.wait().unwrap();
                    }
                });
            }
        });
        assert_eq!(arrived.into_inner(), 800);
    }

    #[test]
    fn all_leave_when_one_has_gone() {
        for late in [0, 20] {
            let meeting = Meeting::new(3);
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| assert_eq!(meeting.wait(), Err(Over)));
                }
                std::thread::sleep(Duration::from_millis(late));
                meeting.end();
            });
            assert_eq!(meeting.wait(), Err(Over));
        }
    }
}
