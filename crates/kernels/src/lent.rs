//! Slices that threads read of each other without a copy: lent by their owner for as long as a call takes.
#![expect(
    unsafe_code,
    reason = "a slice that outlives no call, though no lifetime can say so to another thread"
)]

use std::sync::{LockResult, PoisonError, RwLock};

/// A place where one thread lends a slice, and others may look at it.
///
/// ```
/// use microgpt_kernels::lent::Lent;
/// let place = Lent::default();
/// let numbers = [1.0, 2.0];
/// let sum = place.lend(&numbers, || place.look(|numbers| numbers.iter().sum::<f64>()));
/// assert_eq!((sum, place.look(|_| ())), (Some(3.0), None));
/// ```
#[derive(Debug)]
pub struct Lent<T>(RwLock<Option<Slice<T>>>);

/// What is lent: it can be read while it stands in its place.
#[derive(Debug)]
struct Slice<T>(*const [T]);

// SAFETY: it is a `&[T]` without its lifetime, and that may go to other threads where T may be seen by several.
unsafe impl<T: Sync> Send for Slice<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Slice<T> {}

impl<T> Default for Lent<T> {
    fn default() -> Lent<T> {
        Lent(RwLock::new(None))
    }
}

impl<T: Sync> Lent<T> {
    /// Others may look at `slice` while `work` is done; then waits until nobody does any more.
    ///
    /// # Panics
    /// If something is lent here already.
    pub fn lend<R>(&self, slice: &[T], work: impl FnOnce() -> R) -> R {
        let mut place = held(self.0.write());
        assert!(place.is_none(), "lent already");
        *place = Some(Slice(slice));
        drop(place);
        // However `work` ends, by a panic too.
        struct Back<'a, T>(&'a Lent<T>);
        impl<T> Drop for Back<'_, T> {
            fn drop(&mut self) {
                *held(self.0.0.write()) = None;
            }
        }
        let _back = Back(self);
        work()
    }

    /// What `see` makes of the slice that is lent; none if there is none.
    pub fn look<R>(&self, see: impl FnOnce(&[T]) -> R) -> Option<R> {
        let place = held(self.0.read());
        // SAFETY: the slice is borrowed by `lend`, which takes it away before it returns: not while `place` is held.
        place.as_ref().map(|&Slice(slice)| see(unsafe { &*slice }))
    }
}

/// The lock, whoever has panicked while he held it: a place is as it should be at any time.
fn held<T>(lock: LockResult<T>) -> T {
    lock.unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    #[test]
    fn what_is_lent_is_seen_while_it_is_and_given_back_after() {
        let (place, seen) = (Lent::<u64>::default(), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while seen.load(SeqCst) < 300 {
                        let whole = place.look(|slice| {
                            let first = slice[0];
                            assert!((1..=100).contains(&first) && slice.iter().all(|&x| x == first));
                        });
                        if whole.is_some() {
                            seen.fetch_add(1, SeqCst);
                        }
                        std::thread::yield_now();
                    }
                });
            }
            for turn in (1..=100).cycle() {
                // Memory that is given back: nobody may look at it when it goes.
                let mut numbers = vec![turn; 64];
                place.lend(&numbers, std::thread::yield_now);
                numbers.fill(0);
                if seen.load(SeqCst) >= 300 {
                    break;
                }
            }
        });
        assert_eq!(place.look(|_| ()), None);
    }

    #[test]
    fn a_panic_gives_it_back_and_nothing_is_lent_twice() {
        let place = Lent::default();
        let twice = catch_unwind(AssertUnwindSafe(|| place.lend(&[1], || place.lend(&[2], || ()))));
        let why = twice.unwrap_err();
        assert_eq!(why.downcast_ref::<&str>(), Some(&"lent already"));
        assert_eq!(place.look(|_| ()), None);
        assert_eq!(place.lend(&[3], || place.look(|slice| slice[0])), Some(3));
    }
}
