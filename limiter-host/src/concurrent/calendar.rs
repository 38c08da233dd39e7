//! The calendar, read as one consistent value by everybody and changed by one at a time.
//!
//! There are two copies, and a version that says which one stands. A writer fills the other copy
//! and then raises the version, so readers never wait for it; a reader that was overtaken by a
//! writer reads again. The usual decision needs two of the words alone, which stand here once more:
//! it loads three times from a cache line that no core writes, and stores nothing.
//!
//! *Why a read is consistent.* A copy is written only while the version points at the other one.
//! A reader that loads a word of the next filling but one has, by the two fences, also seen the
//! version in between, so its second look at the version fails.
//!
//! *Why two words are.* They are written in this order: steady never, the day, steady from. Who
//! loads the day and then a mark has the mark of that day, none, or a later one; with a later one
//! its second look at the day finds another, unless the day is the same and the mark alone moved.

use super::sync::{AtomicU64, AtomicUsize, Mutex, Ordering, fence, lock};
use limiter_core::Now;
use limiter_core::calendar::Calendar;

#[repr(align(128))]
pub(super) struct SharedCalendar {
    version: AtomicUsize,
    copies: [[AtomicU64; Calendar::WORDS]; 2],
    /// Two of the words once more: the day, which no later calendar has again...
    today: AtomicU64,
    /// ... and from when on it is steady: never, while a writer is at work.
    steady_from: AtomicU64,
    writer: Mutex<()>,
}

impl SharedCalendar {
    pub(super) fn new() -> Self {
        let words = Calendar::new().to_words();
        let copy = || words.map(AtomicU64::new);
        let [.., steady_from, today, _] = words;
        Self {
            version: AtomicUsize::new(0),
            copies: [copy(), copy()],
            today: AtomicU64::new(today),
            steady_from: AtomicU64::new(steady_from),
            writer: Mutex::new(()),
        }
    }

    /// The calendar as it stands. Lock-free: reads again only if it changed meanwhile.
    #[inline]
    pub(super) fn read(&self) -> Calendar {
        loop {
            let version = self.version.load(Ordering::Acquire);
            let copy = &self.copies[version % 2];
            let words = copy.each_ref().map(|word| word.load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if self.version.load(Ordering::Relaxed) == version {
                return Calendar::from_words(words);
            }
        }
    }

    /// The number of refills, if feeding `now` is sure to change nothing: the usual case, in which
    /// two words tell all.
    #[inline]
    pub(super) fn steady(&self, now: Now) -> Option<u32> {
        let today = self.today.load(Ordering::Acquire);
        let steady_from = self.steady_from.load(Ordering::Acquire);
        let calendar = Calendar::from_words([0, 0, steady_from, today, 0]);
        let is_still = self.today.load(Ordering::Relaxed) == today;
        (is_still && calendar.is_steady(now)).then_some(calendar.refills())
    }

    /// Takes a reading, as every decision past O2 does (D6), and returns the calendar after it.
    ///
    /// Locks only if the reading changes the calendar: when a day begins, and when monotonic time
    /// has gone back behind the last change.
    #[inline]
    pub(super) fn feed(&self, now: Now) -> Calendar {
        let calendar = self.read();
        if calendar.is_steady(now) {
            calendar
        } else {
            self.feed_slowly(now)
        }
    }

    #[cold]
    #[inline(never)]
    fn feed_slowly(&self, now: Now) -> Calendar {
        let before = self.read();
        let mut after = before;
        after.feed(now);
        if after == before {
            return before;
        }
        let writing = lock(&self.writer);
        let before = self.read();
        let mut after = before;
        after.feed(now);
        if after != before {
            self.publish(&after);
        }
        drop(writing);
        after
    }

    /// Puts another calendar in the place of this one, for a restart.
    #[cfg(feature = "persist")]
    pub(super) fn replace(&self, calendar: &Calendar) {
        let _writing = lock(&self.writer);
        self.publish(calendar);
    }

    /// By the holder of `writer` alone.
    fn publish(&self, calendar: &Calendar) {
        let next = self.version.load(Ordering::Relaxed).wrapping_add(1);
        let words = calendar.to_words();
        let [.., steady_from, today, _] = words;
        self.steady_from.store(NEVER, Ordering::Release);
        fence(Ordering::Release);
        for (word, value) in self.copies[next % 2].iter().zip(words) {
            word.store(value, Ordering::Relaxed);
        }
        self.version.store(next, Ordering::Release);
        self.today.store(today, Ordering::Release);
        self.steady_from.store(steady_from, Ordering::Release);
    }
}

/// As [`Calendar::to_words`] has it: no instant is as late.
const NEVER: u64 = i64::MAX.cast_unsigned();
