//! How often each outcome was decided, counted without a cache line that cores fight for.
//!
//! Every thread has a number of its own while it lives, and counts in the shard of that number with
//! plain loads and stores. Threads beyond the [`SHARDS`] first share one more shard, by atomic
//! addition.
//!
//! Beside its counts stands what a thread remembers of races that it lost for a token's words.

use super::sync::{AtomicU64, Ordering};
use limiter_core::{Outcome, Statistics};

pub(super) struct Counts {
    own: Box<[Shard; SHARDS]>,
    shared: Shard,
}

/// Two cache lines, since processors prefetch pairs of them.
#[repr(align(128))]
struct Shard {
    counts: [AtomicU64; Statistics::OUTCOMES],
    /// How many requests had been admitted when the thread last lost a race.
    lost_at: AtomicU64,
    /// For how long it waited then.
    pauses: AtomicU64,
}

impl Shard {
    fn new() -> Self {
        Self {
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
            lost_at: AtomicU64::new(0),
            pauses: AtomicU64::new(0),
        }
    }
}

impl Counts {
    pub(super) fn new() -> Self {
        Self {
            own: Box::new(std::array::from_fn(|_| Shard::new())),
            shared: Shard::new(),
        }
    }

    #[inline]
    pub(super) fn count(&self, outcome: Outcome) {
        self.add(outcome, 1);
    }

    #[inline]
    pub(super) fn add(&self, outcome: Outcome, times: u64) {
        let place = Statistics::place(outcome);
        if let Some(Shard { counts, .. }) = self.own.get(number()) {
            let count = counts[place].load(Ordering::Relaxed);
            counts[place].store(count.wrapping_add(times), Ordering::Relaxed);
        } else {
            self.shared.counts[place].fetch_add(times, Ordering::Relaxed);
        }
    }

    /// How many pauses this thread is to make, having lost a race for a token's words, before it
    /// tries again; `again` if it had lost one for this very request. None if its last loss is more
    /// than [`NEAR`] admissions ago, else four times as many as then, within bounds.
    ///
    /// Two cores that decide for one token all the time hand its cache line to and fro, which takes
    /// several times as long as deciding. If the one that lost stays away for a while, the other
    /// decides by the hundred meanwhile. A core that meets another by chance once in a while must
    /// not pay for that.
    #[cold]
    pub(super) fn pauses_after_loss(&self, again: bool) -> u64 {
        let Some(shard) = self.own.get(number()) else {
            return if again { FIRST_PAUSES } else { 0 };
        };
        let admitted = &shard.counts[Statistics::place(Outcome::Admitted)];
        let now = admitted.load(Ordering::Relaxed);
        let since = now.wrapping_sub(shard.lost_at.load(Ordering::Relaxed));
        shard.lost_at.store(now, Ordering::Relaxed);
        let pauses = if since > NEAR {
            0
        } else {
            let before = shard.pauses.load(Ordering::Relaxed);
            (4 * before).clamp(FIRST_PAUSES, MOST_PAUSES)
        };
        shard.pauses.store(pauses, Ordering::Relaxed);
        pauses
    }

    /// The sums, by [`Statistics::place`]. What threads count meanwhile may be missing.
    pub(super) fn sums(&self) -> [u64; Statistics::OUTCOMES] {
        let shards = || self.own.iter().chain([&self.shared]);
        std::array::from_fn(|place| {
            let counts = shards().map(|shard| shard.counts[place].load(Ordering::Relaxed));
            counts.fold(0, u64::wrapping_add)
        })
    }
}

/// The number of this thread; at least [`SHARDS`] if it has none of its own.
#[cfg(not(limiter_loom))]
#[inline]
fn number() -> usize {
    match numbers::MINE.get() {
        numbers::NONE_YET => numbers::first(),
        number => number,
    }
}

/// Loom's threads are all one to the operating system.
#[cfg(limiter_loom)]
fn number() -> usize {
    SHARDS
}

#[cfg(not(limiter_loom))]
mod numbers {
    use super::SHARDS;
    use std::cell::Cell;
    use std::sync::{Mutex, PoisonError};

    /// A number below [`SHARDS`] that no other living thread has, or [`SHARDS`].
    pub(super) struct Number(pub(super) usize);

    thread_local! {
        /// Gives the number back when the thread ends.
        static NUMBER: Number = Number::take();
        /// The same number, at the price of one load.
        pub(super) static MINE: Cell<usize> = const { Cell::new(NONE_YET) };
    }

    pub(super) const NONE_YET: usize = usize::MAX;

    /// The number of a thread that counts for the first time.
    #[cold]
    #[inline(never)]
    pub(super) fn first() -> usize {
        let number = NUMBER.try_with(|number| number.0).unwrap_or(SHARDS);
        MINE.set(number);
        number
    }

    /// A bit for each number that is taken. Who takes a number over sees, by this lock, all that
    /// was counted under it.
    static TAKEN: Mutex<u64> = Mutex::new(0);

    impl Number {
        fn take() -> Self {
            let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
            let number = taken.trailing_ones();
            if number < u64::BITS {
                *taken |= 1 << number;
            }
            Self(number as usize)
        }
    }

    impl Drop for Number {
        fn drop(&mut self) {
            // Whatever this thread counts from here on is not under this number.
            MINE.set(SHARDS);
            if self.0 < SHARDS {
                let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
                *taken &= !(1 << self.0);
            }
        }
    }

    const _: () = assert!(SHARDS == u64::BITS as usize);
}

/// Two cores at one token lose several times in so many admissions; of tokens that are asked for
/// as words are used in a language (zipf), a thousand of them, hardly ever.
const NEAR: u64 = 32;

/// Less than a microsecond on most processors: some decisions of another core.
const FIRST_PAUSES: u64 = 64;

/// Some five to twenty microseconds: decisions of another core by the hundred.
const MOST_PAUSES: u64 = 512;

/// Threads that count in a shard of their own.
#[cfg(not(limiter_loom))]
const SHARDS: usize = 64;
#[cfg(limiter_loom)]
const SHARDS: usize = 0;

#[cfg(all(test, not(limiter_loom)))]
mod tests {
    use super::*;
    use limiter_core::Reason;
    use std::sync::Barrier;

    #[test]
    fn loses_no_count_of_more_threads_than_there_are_shards() {
        let counts = Counts::new();
        let threads = SHARDS + 30;
        let all_alive = Barrier::new(threads);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    all_alive.wait();
                    for _ in 0..1_000 {
                        counts.count(Outcome::Admitted);
                        counts.add(Outcome::Refused(Reason::Daily), 2);
                    }
                });
            }
        });
        let sums = counts.sums();
        let at = |outcome| sums[Statistics::place(outcome)];
        assert_eq!(at(Outcome::Admitted), 1_000 * threads as u64);
        assert_eq!(at(Outcome::Refused(Reason::Daily)), 2_000 * threads as u64);
        assert_eq!(at(Outcome::Exempt), 0);
    }

    #[test]
    fn waits_longer_the_more_races_are_lost_and_not_at_all_if_they_are_rare() {
        let counts = Counts::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                counts.add(Outcome::Admitted, NEAR + 1);
                assert_eq!(counts.pauses_after_loss(false), 0, "the first");
                let next = [64, 256, 512, 512];
                assert_eq!(next.map(|_| counts.pauses_after_loss(true)), next);
                counts.add(Outcome::Admitted, NEAR);
                assert_eq!(counts.pauses_after_loss(false), 512, "just near enough");
                counts.add(Outcome::Admitted, NEAR + 1);
                assert_eq!(counts.pauses_after_loss(false), 0, "too long ago");
                counts.count(Outcome::Admitted);
                assert_eq!(counts.pauses_after_loss(false), 64, "from the start again");
            });
        });
    }

    #[test]
    fn threads_that_live_at_the_same_time_have_different_numbers() {
        let mine = number();
        let both = Barrier::new(2);
        let other = std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                both.wait();
                number()
            });
            both.wait();
            other.join().expect("it has a number")
        });
        assert!(mine >= SHARDS || mine != other);
    }
}
