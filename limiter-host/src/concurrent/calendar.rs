//! The calendar, read as one consistent value by everybody and changed by one at a time.
//!
//! There are two copies, and a version that says which one stands. A writer fills the other copy
//! and then raises the version, so readers never wait for it; a reader that was overtaken by a
//! writer reads again. The usual decision loads eight words of two cache lines that no core writes,
//! and stores nothing.
//!
//! *Why a read is consistent.* A copy is written only while the version points at the other one.
//! A reader that loads a word of the next filling but one has, by the two fences, also seen the
//! version in between, so its second look at the version fails.

use super::sync::{AtomicU64, AtomicUsize, Mutex, Ordering, fence, lock};
use limiter_core::Now;
use limiter_core::calendar::Calendar;

#[repr(align(128))]
pub(super) struct SharedCalendar {
    version: AtomicUsize,
    copies: [[AtomicU64; Calendar::WORDS]; 2],
    writer: Mutex<()>,
}

impl SharedCalendar {
    pub(super) fn new() -> Self {
        let copy = || Calendar::new().to_words().map(AtomicU64::new);
        Self {
            version: AtomicUsize::new(0),
            copies: [copy(), copy()],
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
        loop {
            let version = self.version.load(Ordering::Acquire);
            let [.., steady_from, day, _] = &self.copies[version % 2];
            let words = [steady_from, day].map(|word| word.load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if self.version.load(Ordering::Relaxed) == version {
                let [steady_from, day] = words;
                let calendar = Calendar::from_words([0, 0, steady_from, day, 0]);
                return calendar.is_steady(now).then_some(calendar.refills());
            }
        }
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
        fence(Ordering::Release);
        for (word, value) in self.copies[next % 2].iter().zip(calendar.to_words()) {
            word.store(value, Ordering::Relaxed);
        }
        self.version.store(next, Ordering::Release);
    }
}
