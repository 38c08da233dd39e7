//! From (monotonic, UTC) to the accounting day (SPEC 5, D5 to D10).
//!
//! One small state machine for the whole limiter. It alone refills daily quotas, and it is paced
//! by monotonic time, so that a wall clock that jumps cannot mint quota. It knows no user and no
//! limit.

use crate::math;
use crate::time::{Instant, MILLIS_PER_DAY, Now, SECONDS_PER_DAY, UNITS_PER_DAY, UnixTime};

/// The accounting day of a limiter.
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
    /// later of `last_change_ms` and 23 h before `earliest_next_ms`.
    steady_from_ms: i64,
    /// The accounting day's first 128 s unit; `NO_DAY` until a UTC was known.
    day_units: u32,
    refills: u32,
    /// Whether `earliest_next_ms` bounds anything yet.
    paced: bool,
    started: bool,
}

impl Calendar {
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
        // The usual case: the same UTC day, and monotonic time that has not gone back.
        if let Some(utc) = now.utc()
            && utc.units().wrapping_sub(self.day_units) < UNITS_PER_DAY
            && self.day_units != NO_DAY
            && signed(now.monotonic()) >= self.steady_from_ms
        {
            return false;
        }
        self.feed_slowly(now)
    }

    /// How long a caller refused by the daily rule has to wait, in milliseconds (D5, without the
    /// window's part): at most 24 h. Feed first.
    #[must_use]
    #[inline(never)]
    pub const fn wait_ms(&self, now: Now) -> u32 {
        let at = signed(now.monotonic());
        let mut wait = match now.utc() {
            Some(utc) => math::widen(self.seconds_left(utc)).wrapping_mul(1000),
            None => span(at, self.last_change_ms.saturating_add(DAY_MS)),
        };
        if self.paced {
            let paced = span(at, self.earliest_next_ms);
            if paced > wait {
                wait = paced;
            }
        }
        if wait > math::widen(MILLIS_PER_DAY) {
            MILLIS_PER_DAY
        } else {
            math::low32(wait)
        }
    }

    #[cold]
    #[inline(never)]
    const fn feed_slowly(&mut self, now: Now) -> bool {
        let at = signed(now.monotonic());
        self.follow(at);
        let refilled = match now.utc() {
            Some(utc) => self.feed_utc(at, utc.day()),
            None => self.is_stale(at) && self.advance(at, None),
        };
        self.steady_from_ms = self.last_change_ms;
        if self.paced && self.earliest_next_ms.saturating_sub(PACE_MS) > self.steady_from_ms {
            self.steady_from_ms = self.earliest_next_ms.saturating_sub(PACE_MS);
        }
        refilled
    }

    /// Lets the marks follow monotonic time that went backwards (D10c).
    const fn follow(&mut self, at: i64) {
        if !self.started {
            self.started = true;
            self.last_change_ms = at;
        }
        if self.last_change_ms > at {
            self.last_change_ms = at;
        }
        if self.earliest_next_ms > at.saturating_add(PACE_MS) {
            self.earliest_next_ms = at.saturating_add(PACE_MS);
        }
    }

    const fn feed_utc(&mut self, at: i64, today: u32) -> bool {
        let Some(day) = self.day() else {
            // D7: an adoption is not a refill.
            self.last_change_ms = at;
            self.day_units = today.wrapping_mul(UNITS_PER_DAY);
            return false;
        };
        // D8, D9.
        (today > day || (today < day && self.is_stale(at))) && self.advance(at, Some(today))
    }

    /// Whether 24 h of monotonic time have passed since the last change (D9, D10).
    const fn is_stale(&self, at: i64) -> bool {
        at.saturating_sub(self.last_change_ms) >= DAY_MS
    }

    /// Advances to the UTC day `to`, or by one day, unless it is too early (D10b).
    const fn advance(&mut self, at: i64, to: Option<u32>) -> bool {
        if self.paced && at < self.earliest_next_ms {
            return false;
        }
        let paced_ms = self.earliest_next_ms.saturating_add(PACE_MS);
        self.earliest_next_ms = if self.paced && paced_ms > at {
            paced_ms
        } else {
            at
        };
        self.paced = true;
        self.last_change_ms = at;
        self.refills = self.refills.wrapping_add(1);
        // OK because days end at 2^39 s, far below the 32 bits of their units; should an unset
        // clock count beyond that, the day stays the last one.
        self.day_units = match to {
            Some(day) => day.wrapping_mul(UNITS_PER_DAY),
            None if self.day_units >= LAST_DAY_UNITS => self.day_units,
            None => self.day_units.wrapping_add(UNITS_PER_DAY),
        };
        true
    }

    /// Seconds until the accounting day ends by `utc`: 0 if past, at most 24 h.
    const fn seconds_left(&self, utc: UnixTime) -> u32 {
        let today = utc.units();
        if self.day_units == NO_DAY || today < self.day_units {
            return SECONDS_PER_DAY;
        }
        if today.wrapping_sub(self.day_units) >= UNITS_PER_DAY {
            return 0;
        }
        SECONDS_PER_DAY.saturating_sub(utc.second_of_day())
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

/// Milliseconds from `from` to `to`, 0 if `to` is earlier.
const fn span(from: i64, to: i64) -> u64 {
    if to > from {
        to.wrapping_sub(from).cast_unsigned()
    } else {
        0
    }
}

/// Not a multiple of 675, and above every day's first unit.
const NO_DAY: u32 = u32::MAX;
const LAST_DAY_UNITS: u32 = 6_362_914 * UNITS_PER_DAY;
const DAY_MS: i64 = 24 * 3_600_000;
/// Advances are at least this far apart on average (D10b): an hour less than a day, so that a sane
/// clock is never held up.
const PACE_MS: i64 = 23 * 3_600_000;

#[cfg(test)]
mod tests;
