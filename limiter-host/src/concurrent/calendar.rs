//! The time line and the calendar, read as one consistent value by everybody and changed by one at a
//! time.
//!
//! There are two copies, and a version that says which one stands. A writer fills the other copy
//! and then raises the version, so readers never wait for it; a reader that was overtaken by a
//! writer reads again. The usual decision needs three of the words alone, which stand here once more:
//! it loads four times from a cache line that a core writes once a second, and stores nothing.
//!
//! *Why a read is consistent.* A copy is written only while the version points at the other one.
//! A reader that loads a word of the next filling but one has, by the two fences, also seen the
//! version in between, so its second look at the version fails.
//!
//! *Why three words are.* They are written in this order: the end becomes 0, the day, the shift, the
//! end. Who loads the end, then the others, and finds the same end again has loaded them while that
//! end stood, or since, up to a moment at which an equal one stood again. Each of the three then was
//! right at some moment of that time. Nothing ties the day to the other two, and a reading that is
//! less than a second from a mark is worth the same whenever the shift was read. The day that stands
//! here is always one that is steady.

use super::sync::{AtomicU64, AtomicUsize, Mutex, Ordering, fence, lock};
use limiter_core::calendar::Calendar;
use limiter_core::timeline::TimeLine;
use limiter_core::{Instant, Now};

/// The state of both, packed.
type Words = [u64; TimeLine::WORDS + Calendar::WORDS];

#[repr(align(128))]
pub(super) struct SharedCalendar {
    version: AtomicUsize,
    /// Three of the words once more: the end of the span in which readings are steady, 0 while a
    /// writer is at work or nothing is steady...
    end: AtomicU64,
    /// ... what is added to a reading...
    shift: AtomicU64,
    /// ... and the last day that was steady.
    today: AtomicU64,
    copies: [[AtomicU64; TimeLine::WORDS + Calendar::WORDS]; 2],
    writer: Mutex<()>,
}

/// The time line and the calendar at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Clocks {
    pub(super) line: TimeLine,
    pub(super) calendar: Calendar,
}

impl Clocks {
    const NEW: Self = Self {
        line: TimeLine::new(),
        calendar: Calendar::new(),
    };

    fn from_words(words: Words) -> Self {
        let [end, shift, outlier, calendar @ ..] = words;
        Self {
            line: TimeLine::from_words([end, shift, outlier]),
            calendar: Calendar::from_words(calendar),
        }
    }

    fn to_words(self) -> Words {
        let [end, shift, outlier] = self.line.to_words();
        let [today, last_change, earliest_next, day] = self.calendar.to_words();
        [end, shift, outlier, today, last_change, earliest_next, day]
    }

    /// Takes a reading (M1, D6); the reading at the time that it stands for.
    pub(super) fn take(&mut self, reading: Now) -> Now {
        let now = reading.at(self.line.take(reading.monotonic()));
        self.calendar.feed(now);
        now
    }
}

impl SharedCalendar {
    pub(super) fn new() -> Self {
        let words = Clocks::NEW.to_words();
        let copy = || words.map(AtomicU64::new);
        Self {
            version: AtomicUsize::new(0),
            end: AtomicU64::new(0),
            shift: AtomicU64::new(0),
            today: AtomicU64::new(0),
            copies: [copy(), copy()],
            writer: Mutex::new(()),
        }
    }

    /// Both as they stand. Lock-free: reads again only if they changed meanwhile.
    #[inline]
    pub(super) fn read(&self) -> Clocks {
        loop {
            let version = self.version.load(Ordering::Acquire);
            let copy = &self.copies[version % 2];
            let words = copy.each_ref().map(|word| word.load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if self.version.load(Ordering::Relaxed) == version {
                return Clocks::from_words(words);
            }
        }
    }

    /// The calendar as it stands.
    pub(super) fn calendar(&self) -> Calendar {
        self.read().calendar
    }

    /// The time that a reading stands for, for what only looks.
    pub(super) fn time_of(&self, reading: Instant) -> Instant {
        self.read().line.peek(reading)
    }

    /// The number of refills, and the time that the reading stands for, if taking it is sure to change
    /// nothing: the usual case, in which three words tell all.
    #[inline]
    pub(super) fn steady(&self, reading: Now) -> Option<(u32, Instant)> {
        let end = self.end.load(Ordering::Acquire);
        let shift = self.shift.load(Ordering::Acquire);
        let today = self.today.load(Ordering::Acquire);
        let is_still = self.end.load(Ordering::Relaxed) == end;
        let line = TimeLine::from_words([end, shift, 0]);
        let time = line.steady(reading.monotonic())?;
        let refills = Calendar::steady_refills(today, reading)?;
        is_still.then_some((refills, time))
    }

    /// Takes a reading, as every decision past O2 does (M1, D6), and returns the calendar after it
    /// and the reading at the time that it stands for.
    ///
    /// Locks only if the reading changes something: when the mark moves, once a second at most, when
    /// time stands still, and when a day begins.
    #[inline]
    pub(super) fn take(&self, reading: Now) -> (Calendar, Now) {
        let Clocks { line, calendar } = self.read();
        if let Some(time) = line.steady(reading.monotonic())
            && calendar.is_steady(reading)
        {
            return (calendar, reading.at(time));
        }
        self.change(|clocks| clocks.take(reading))
    }

    /// Feeds the calendar with a reading at a time that the time line gave before.
    pub(super) fn feed(&self, now: Now) -> Calendar {
        let calendar = self.calendar();
        if calendar.is_steady(now) {
            return calendar;
        }
        let (calendar, _) = self.change(|clocks| clocks.calendar.feed(now));
        calendar
    }

    /// Takes a reading for an operation that is no decision; the time that it stands for.
    pub(super) fn take_time(&self, reading: Instant) -> Instant {
        match self.read().line.steady(reading) {
            Some(time) => time,
            None => self.change(|clocks| clocks.line.take(reading)).1,
        }
    }

    /// Begins anew with another calendar, and a time line whose first reading this is: for a restart.
    #[cfg(feature = "persist")]
    pub(super) fn restore(&self, first: Instant, calendar: impl Fn(Instant) -> Calendar) {
        self.change(|clocks| {
            clocks.line = TimeLine::new();
            clocks.calendar = calendar(clocks.line.take(first));
        });
    }

    /// Makes the counts of the accounting day lost (R5).
    #[cfg(feature = "persist")]
    pub(super) fn lose(&self) {
        self.change(|clocks| clocks.calendar.lose());
    }

    /// Changes both; the calendar after that, and what `change` returned. Locks only if there is
    /// something to change.
    #[cold]
    #[inline(never)]
    fn change<R>(&self, change: impl Fn(&mut Clocks) -> R) -> (Calendar, R) {
        let before = self.read();
        let mut after = before;
        let made = change(&mut after);
        if after == before {
            return (after.calendar, made);
        }
        let writing = lock(&self.writer);
        let before = self.read();
        let mut after = before;
        let made = change(&mut after);
        if after != before {
            self.publish(after);
        }
        drop(writing);
        (after.calendar, made)
    }

    /// By the holder of `writer` alone.
    fn publish(&self, clocks: Clocks) {
        let next = self.version.load(Ordering::Relaxed).wrapping_add(1);
        let words = clocks.to_words();
        let [end, shift, _, today, ..] = words;
        self.end.store(0, Ordering::Release);
        fence(Ordering::Release);
        for (word, value) in self.copies[next % 2].iter().zip(words) {
            word.store(value, Ordering::Relaxed);
        }
        self.version.store(next, Ordering::Release);
        if clocks.calendar.can_be_steady() {
            self.today.store(today, Ordering::Release);
            self.shift.store(shift, Ordering::Release);
            self.end.store(end, Ordering::Release);
        }
    }
}
