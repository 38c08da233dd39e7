//! From (monotonic, UTC) to the accounting day (SPEC 5, D5 to D10; over a restart R4 and R5).
//!
//! One small state machine for the whole limiter. It alone refills daily quotas, and it is paced
//! by monotonic time, so that a wall clock that jumps cannot mint quota. It knows no user and no
//! limit.

mod restart;

pub use self::restart::{OffTime, SavedCalendar};

use crate::math;
use crate::time::{Instant, MILLIS_PER_DAY, Now, SECONDS_PER_DAY, UNITS_PER_DAY, UnixTime};

/// The accounting day of a limiter.
///
/// Marks are instants in signed milliseconds. OK to add and subtract modulo 2^64 everywhere in
/// this file: instants are below 2^43 and spans at most days, so no true result comes near 2^63.
/// Time may be a little behind a mark (M2); the sums hold as they stand.
///
/// ```
/// use limiter_core::{Instant, Now, UnixTime, calendar::Calendar};
///
/// let at = |ms, utc| Now::new(Instant::from_millis(ms), UnixTime::from_secs(utc));
/// let mut calendar = Calendar::new();
/// calendar.feed(at(0, 86_399)); // adopts day 0; not a refill
/// calendar.feed(at(1_000, 86_400)); // midnight
/// assert_eq!((calendar.day(), calendar.refills()), (Some(1), 1));
/// calendar.feed(at(2_000, 86_399)); // stepped back over midnight: stays, no refill
/// assert_eq!((calendar.day(), calendar.refills()), (Some(1), 1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Calendar {
    /// The last advance or adoption, or the first reading; signed, since a restored mark may lie
    /// before the clock's origin.
    last_change_ms: i64,
    /// No advance before this (D10b).
    earliest_next_ms: i64,
    /// The accounting day, `NO_DAY` until a UTC was known. D10 may lead it past the last one that UTC
    /// can name.
    day: u32,
    /// The day's first 128 s unit, modulo 2^32.
    day_units: u32,
    refills: u32,
    /// Whether `earliest_next_ms` bounds anything yet.
    paced: bool,
    started: bool,
    /// What keeps the day from being the usual case: `TRUSTS`, `LOST`, `ODD`. Mostly nothing.
    unusual: u8,
}

impl Calendar {
    /// Words of the packed form.
    pub const WORDS: usize = 4;

    /// A calendar that was never fed: no day, no refills.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            last_change_ms: 0,
            earliest_next_ms: 0,
            day: NO_DAY,
            day_units: 0,
            refills: 0,
            paced: false,
            started: false,
            unusual: ODD,
        }
    }

    /// The UTC day of the accounting day, `None` until a UTC was known.
    #[must_use]
    pub const fn day(&self) -> Option<u32> {
        if self.day == NO_DAY {
            None
        } else {
            Some(self.day)
        }
    }

    /// How many advances there were: what tells accounting days apart (D6).
    #[must_use]
    pub const fn refills(&self) -> u32 {
        self.refills
    }

    /// Takes a reading and says whether the accounting day advanced, which refills every user.
    ///
    /// The time line must have taken it before ([`Now::at`]), and a UTC below the policy's floor must
    /// have been made unknown. *O*(1).
    #[inline]
    pub const fn feed(&mut self, now: Now) -> bool {
        if self.is_steady(now) {
            return false;
        }
        self.feed_slowly(now)
    }

    /// Whether feeding `now` is sure to change nothing: the usual case, a UTC of the same day. Else it
    /// may.
    #[must_use]
    #[inline]
    pub const fn is_steady(&self, now: Now) -> bool {
        self.can_be_steady() && is_within_day(now, self.day_units)
    }

    /// Whether every reading of the same UTC day is steady: not on the last day, nor while there is
    /// none, nor while there is something of a restart to heed.
    #[must_use]
    #[inline]
    pub const fn can_be_steady(&self) -> bool {
        self.unusual == 0
    }

    /// The number of refills, of a calendar that can be steady and whose first word is this, if
    /// feeding `now` is sure to change nothing.
    #[must_use]
    #[inline]
    pub const fn steady_refills(first_word: u64, now: Now) -> Option<u32> {
        if is_within_day(now, math::high32(first_word)) {
            Some(math::low32(first_word))
        } else {
            None
        }
    }

    /// The calendar from its packed form. Every such array is a calendar.
    #[must_use]
    #[inline]
    pub const fn from_words(words: [u64; Self::WORDS]) -> Self {
        let [today, last_change, earliest_next, day] = words;
        let flags = math::low32(day);
        let [unusual, ..] = ((flags & UNUSUAL) >> UNUSUAL_SHIFT).to_le_bytes();
        Self {
            last_change_ms: last_change.cast_signed(),
            earliest_next_ms: earliest_next.cast_signed(),
            day: math::high32(day),
            day_units: math::high32(today),
            refills: math::low32(today),
            paced: flags & PACED != 0,
            started: flags & STARTED != 0,
            unusual,
        }
    }

    /// The packed form, for homes that keep the calendar in words: atomics, say. The first word is
    /// all that a steady calendar is asked for.
    #[must_use]
    pub const fn to_words(&self) -> [u64; Self::WORDS] {
        let paced = if self.paced { PACED } else { 0 };
        let started = if self.started { STARTED } else { 0 };
        let unusual = u32::from_le_bytes([self.unusual, 0, 0, 0]) << UNUSUAL_SHIFT;
        [
            (math::widen(self.day_units) << 32) | math::widen(self.refills),
            self.last_change_ms.cast_unsigned(),
            self.earliest_next_ms.cast_unsigned(),
            (math::widen(self.day) << 32) | math::widen(paced | started | unusual),
        ]
    }

    /// The calendar whose marks and day are these, with nothing of a restart to heed: for homes that
    /// keep them in a form of their own. `earliest_next_ms` may lie beyond the last [`Instant`]: there
    /// no further advance comes (D10b).
    #[must_use]
    pub const fn from_parts(
        last_change: Instant,
        earliest_next_ms: Option<u64>,
        day: Option<u32>,
        refills: u32,
    ) -> Self {
        let mut calendar = Self::new();
        calendar.started = true;
        calendar.last_change_ms = signed(last_change);
        if let Some(earliest_next_ms) = earliest_next_ms {
            calendar.paced = true;
            calendar.earliest_next_ms = earliest_next_ms.cast_signed();
        }
        calendar.refills = refills;
        calendar.set_day(match day {
            Some(day) => day,
            None => NO_DAY,
        });
        calendar
    }

    /// How long a caller refused by the daily rule has to wait, in milliseconds (D5, without the
    /// window's part): at most 24 h. Feed first.
    #[must_use]
    #[inline(never)]
    pub const fn wait_ms(&self, now: Now) -> u32 {
        let at = signed(now.monotonic());
        let wait = match now.utc() {
            Some(utc) => self.seconds_left(utc).wrapping_mul(1000),
            None => millis_until(at, self.last_change_ms.wrapping_add(DAY_MS)),
        };
        let paced = if self.paced {
            millis_until(at, self.earliest_next_ms)
        } else {
            0
        };
        if paced > wait { paced } else { wait }
    }

    #[cold]
    #[inline(never)]
    const fn feed_slowly(&mut self, now: Now) -> bool {
        let at = signed(now.monotonic());
        if !self.started {
            self.started = true;
            self.last_change_ms = at;
        }
        match now.utc() {
            Some(utc) => self.feed_utc(at, utc.day()),
            // D10.
            None => self.is_stale(at) && self.advance(at, self.following_day()),
        }
    }

    /// Takes the current UTC day.
    const fn feed_utc(&mut self, at: i64, today: u32) -> bool {
        if self.unusual & TRUSTS != 0 {
            self.unusual &= !TRUSTS;
            if today > self.day {
                // R4: advances as if nothing bounded it.
                self.paced = false;
            }
        }
        if self.day == NO_DAY {
            // D7: an adoption is not a refill.
            self.last_change_ms = at;
            self.set_day(today);
            return false;
        }
        // D8, D9.
        (today > self.day || (today < self.day && self.is_stale(at))) && self.advance(at, today)
    }

    /// Whether 24 h of monotonic time have passed since the last change (D9, D10).
    const fn is_stale(&self, at: i64) -> bool {
        at.wrapping_sub(self.last_change_ms) >= DAY_MS
    }

    /// Advances to the day `to`, unless it is too early (D10b).
    const fn advance(&mut self, at: i64, to: u32) -> bool {
        if self.paced {
            if at < self.earliest_next_ms {
                return false;
            }
            self.earliest_next_ms = self.earliest_next_ms.wrapping_add(PACE_MS);
        }
        if !self.paced || self.earliest_next_ms < at {
            self.earliest_next_ms = at;
        }
        self.paced = true;
        self.unusual &= !LOST;
        self.last_change_ms = at;
        self.refills = self.refills.wrapping_add(1);
        self.set_day(to);
        true
    }

    const fn set_day(&mut self, day: u32) {
        self.day = day;
        // Of a day that UTC cannot name in full nobody asks for the units.
        self.day_units = day.wrapping_mul(UNITS_PER_DAY);
        if day < LAST_DAY {
            self.unusual &= !ODD;
        } else {
            self.unusual |= ODD;
        }
    }

    /// The day after the accounting day (D10). An unknown day stays unknown, and so does the last one
    /// that can be told, 4 billion days on.
    const fn following_day(&self) -> u32 {
        if self.day >= NO_DAY.wrapping_sub(1) {
            self.day
        } else {
            self.day.wrapping_add(1)
        }
    }

    /// Seconds until the accounting day ends by `utc`: 0 if past, at most 24 h.
    const fn seconds_left(&self, utc: UnixTime) -> u32 {
        let today = utc.day();
        if today < self.day {
            return SECONDS_PER_DAY;
        }
        if today > self.day {
            return 0;
        }
        // OK because fewer than 675 units of 128 s have passed: the result is 1 to 86 400.
        let passed = utc.units().wrapping_sub(self.day_units);
        SECONDS_PER_DAY.wrapping_sub((passed << 7) | (math::low32(utc.as_secs()) & 127))
    }
}

/// Whether UTC is known and of the day that begins with the unit `day_units`, which is not the last
/// one: its end would wrap around.
#[inline]
const fn is_within_day(now: Now, day_units: u32) -> bool {
    #[cfg(target_pointer_width = "64")]
    {
        // An unknown UTC is 2^32 units or more, and so beyond any day that goes on.
        now.units().wrapping_sub(math::widen(day_units)) < math::widen(UNITS_PER_DAY)
    }
    #[cfg(not(target_pointer_width = "64"))]
    match now.utc() {
        Some(utc) => utc.units().wrapping_sub(day_units) < UNITS_PER_DAY,
        None => false,
    }
}

impl Default for Calendar {
    fn default() -> Self {
        Self::new()
    }
}

/// OK because an `Instant` is below 2^43.
const fn signed(instant: Instant) -> i64 {
    instant.as_millis().cast_signed()
}

/// Milliseconds from `at` to `mark`: 0 if that is past, at most 24 h (D5).
const fn millis_until(at: i64, mark: i64) -> u32 {
    let left = mark.wrapping_sub(at);
    if left <= 0 {
        0
    } else if left >= DAY_MS {
        MILLIS_PER_DAY
    } else {
        math::low32(left.cast_unsigned())
    }
}

/// Above every day that can be told.
const NO_DAY: u32 = u32::MAX;
/// The last day that UTC can name, if not to its end.
const LAST_DAY: u32 = 6_362_914;
const PACED: u32 = 1;
const STARTED: u32 = 2;
const UNUSUAL: u32 = 0xff << UNUSUAL_SHIFT;
const UNUSUAL_SHIFT: u32 = 8;
/// The next known UTC is the first one after a restart, and trusted (R4).
const TRUSTS: u8 = 1;
/// What was used in the accounting day is not known (R5).
const LOST: u8 = 2;
/// There is no day, or it is the last one that UTC can name, or beyond.
const ODD: u8 = 4;
const DAY_MS: i64 = 24 * 3_600_000;
/// Advances are at least this far apart on average (D10b): an hour less than a day, so that a sane
/// clock is never held up.
const PACE_MS: i64 = 23 * 3_600_000;

#[cfg(test)]
mod tests;
