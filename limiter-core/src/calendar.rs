//! From (monotonic, UTC) to the accounting day (SPEC 5, D5 to D10; over a restart R4 and R5).
//!
//! One small state machine for the whole limiter. It alone refills daily quotas, and it is paced
//! by monotonic time, so that a wall clock that jumps cannot mint quota. It knows no user and no
//! limit.

mod restart;

pub use self::restart::{OffTime, SavedCalendar};
use self::restart::{flags_of_restart, restart_from_flags};

use crate::math;
use crate::time::{Instant, MILLIS_PER_DAY, Now, SECONDS_PER_DAY, UNITS_PER_DAY, UnixTime};

/// The accounting day of a limiter.
///
/// Marks are instants in signed milliseconds. OK to add and subtract modulo 2^64 everywhere in
/// this file: instants are below 2^43 and spans at most days, so no true result comes near 2^63.
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
    /// From here on, until the next change, time that goes backwards moves no mark (D10c): the
    /// later of `last_change_ms` and 23 h before `earliest_next_ms`. Never, on the last day, while
    /// there is no day, and while there is something of a restart to heed.
    steady_from_ms: i64,
    /// The accounting day's first 128 s unit; `NO_DAY` until a UTC was known.
    day_units: u32,
    refills: u32,
    /// Whether `earliest_next_ms` bounds anything yet.
    paced: bool,
    started: bool,
    /// What a restart left to heed: `TRUSTS`, `LOST`. Mostly nothing.
    restart: u8,
}

impl Calendar {
    /// Words of the packed form.
    pub const WORDS: usize = 5;

    /// A calendar that was never fed: no day, no refills.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            last_change_ms: 0,
            earliest_next_ms: 0,
            steady_from_ms: i64::MAX,
            day_units: NO_DAY,
            refills: 0,
            paced: false,
            started: false,
            restart: 0,
        }
    }

    /// The UTC day of the accounting day, `None` until a UTC was known.
    #[must_use]
    pub const fn day(&self) -> Option<u32> {
        if self.day_units == NO_DAY {
            None
        } else {
            Some(self.unix_day())
        }
    }

    /// How many advances there were: what tells accounting days apart (D6).
    #[must_use]
    pub const fn refills(&self) -> u32 {
        self.refills
    }

    /// Takes a reading and says whether the accounting day advanced, which refills every user.
    ///
    /// A UTC below the policy's floor must have been made unknown before. *O*(1).
    #[inline]
    pub const fn feed(&mut self, now: Now) -> bool {
        if self.is_steady(now) {
            return false;
        }
        self.feed_slowly(now)
    }

    /// Whether feeding `now` is sure to change nothing: the usual case, the same UTC day and
    /// monotonic time that has not gone back. Else it may.
    #[must_use]
    #[inline]
    pub const fn is_steady(&self, now: Now) -> bool {
        #[cfg(target_pointer_width = "64")]
        // An unknown UTC is 2^32 units or more, and so beyond any day that goes on.
        let is_today =
            now.units().wrapping_sub(math::widen(self.day_units)) < math::widen(UNITS_PER_DAY);
        #[cfg(not(target_pointer_width = "64"))]
        let is_today = match now.utc() {
            Some(utc) => utc.units().wrapping_sub(self.day_units) < UNITS_PER_DAY,
            None => false,
        };
        is_today && signed(now.monotonic()) >= self.steady_from_ms
    }

    /// The calendar from its packed form. Every such array is a calendar.
    #[must_use]
    #[inline]
    pub const fn from_words(words: [u64; Self::WORDS]) -> Self {
        let [last_change, earliest_next, steady_from, day, flags] = words;
        Self {
            last_change_ms: last_change.cast_signed(),
            earliest_next_ms: earliest_next.cast_signed(),
            steady_from_ms: steady_from.cast_signed(),
            day_units: math::high32(day),
            refills: math::low32(day),
            paced: flags & PACED != 0,
            started: flags & STARTED != 0,
            restart: restart_from_flags(flags),
        }
    }

    /// The packed form, for homes that keep the calendar in words: atomics, say.
    #[must_use]
    pub const fn to_words(&self) -> [u64; Self::WORDS] {
        let paced = if self.paced { PACED } else { 0 };
        let started = if self.started { STARTED } else { 0 };
        [
            self.last_change_ms.cast_unsigned(),
            self.earliest_next_ms.cast_unsigned(),
            self.steady_from_ms.cast_unsigned(),
            (math::widen(self.day_units) << 32) | math::widen(self.refills),
            paced | started | flags_of_restart(self.restart),
        ]
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
        self.follow(at);
        let refilled = match now.utc() {
            Some(utc) => self.feed_utc(at, utc.day().wrapping_mul(UNITS_PER_DAY)),
            None => self.is_stale(at) && self.advance(at, self.following_day()),
        };
        let paced_from = self.earliest_next_ms.wrapping_sub(PACE_MS);
        self.steady_from_ms = if self.day_units >= LAST_DAY_UNITS || self.restart != 0 {
            // No day, or the last, whose end the units wrap around, or something to heed: never
            // the usual case.
            i64::MAX
        } else if self.paced && paced_from > self.last_change_ms {
            paced_from
        } else {
            self.last_change_ms
        };
        refilled
    }

    /// Lets the marks follow monotonic time that went backwards (D10c).
    const fn follow(&mut self, at: i64) {
        if !self.started || self.last_change_ms > at {
            self.started = true;
            self.last_change_ms = at;
        }
        let latest = at.wrapping_add(PACE_MS);
        if self.earliest_next_ms > latest {
            self.earliest_next_ms = latest;
        }
    }

    /// Takes the first unit of the current UTC day.
    const fn feed_utc(&mut self, at: i64, today: u32) -> bool {
        if self.restart & TRUSTS != 0 {
            self.restart &= LOST;
            if today > self.day_units {
                // R4: advances as if nothing bounded it.
                self.paced = false;
            }
        }
        if self.day_units == NO_DAY {
            // D7: an adoption is not a refill.
            self.last_change_ms = at;
            self.day_units = today;
            return false;
        }
        // D8, D9.
        (today > self.day_units || (today < self.day_units && self.is_stale(at)))
            && self.advance(at, today)
    }

    /// Whether 24 h of monotonic time have passed since the last change (D9, D10).
    const fn is_stale(&self, at: i64) -> bool {
        at.wrapping_sub(self.last_change_ms) >= DAY_MS
    }

    /// Advances to the UTC day that begins with the unit `to`, unless it is too early (D10b).
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
        self.restart &= TRUSTS;
        self.last_change_ms = at;
        self.refills = self.refills.wrapping_add(1);
        self.day_units = to;
        true
    }

    /// The day after the accounting day (D10). An unknown day stays unknown, the last one last.
    const fn following_day(&self) -> u32 {
        if self.day_units >= LAST_DAY_UNITS {
            self.day_units
        } else {
            self.day_units.wrapping_add(UNITS_PER_DAY)
        }
    }

    /// Seconds until the accounting day ends by `utc`: 0 if past, at most 24 h.
    const fn seconds_left(&self, utc: UnixTime) -> u32 {
        let units = utc.units();
        if units < self.day_units {
            return SECONDS_PER_DAY;
        }
        let passed = units.wrapping_sub(self.day_units);
        if passed >= UNITS_PER_DAY {
            return 0;
        }
        // OK because fewer than 675 units of 128 s have passed: the result is 1 to 86 400.
        SECONDS_PER_DAY.wrapping_sub((passed << 7) | (math::low32(utc.as_secs()) & 127))
    }

    const fn unix_day(&self) -> u32 {
        let (day, _) = math::div_rem(math::widen(self.day_units), UNITS_PER_DAY);
        math::low32(day)
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

/// Not a multiple of 675, and above every day's first unit.
const NO_DAY: u32 = u32::MAX;
const LAST_DAY_UNITS: u32 = 6_362_914 * UNITS_PER_DAY;
const PACED: u64 = 1;
const STARTED: u64 = 2;
/// The next known UTC is the first one after a restart, and trusted (R4).
const TRUSTS: u8 = 1;
/// What was used in the accounting day is not known (R5).
const LOST: u8 = 2;
const DAY_MS: i64 = 24 * 3_600_000;
/// Advances are at least this far apart on average (D10b): an hour less than a day, so that a sane
/// clock is never held up.
const PACE_MS: i64 = 23 * 3_600_000;

#[cfg(test)]
mod tests;
