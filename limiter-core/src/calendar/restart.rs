//! What of the calendar survives a restart, and how it goes on (R4, R5).

use super::{Calendar, LOST, NO_DAY, PACE_MS, TRUSTS, signed};
use crate::time::Instant;

/// A calendar as an image holds it: marks relative to the moment it was saved, since a restart
/// begins another monotonic time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SavedCalendar {
    /// The UTC day of the accounting day, `None` if UTC was never known.
    pub day: Option<u32>,
    /// The number of refills.
    pub refills: u32,
    /// Milliseconds since the last advance or adoption, or the first reading; negative if time was a
    /// little behind that (M2), `None` if there was no reading.
    pub age_ms: Option<i64>,
    /// Milliseconds until the next advance is allowed (D10b), negative if that is past; `None` if
    /// nothing bounds it yet.
    pub left_ms: Option<i64>,
    /// Whether the counts of the accounting day are lost (R5).
    pub lost: bool,
}

impl SavedCalendar {
    /// Whether every number is one that a calendar can have.
    pub(crate) const fn is_sane(&self) -> bool {
        let day = match self.day {
            Some(day) => day != NO_DAY,
            None => true,
        };
        let age = match self.age_ms {
            Some(age) => age >= BEHIND_MS.wrapping_neg() && age <= MAX_SPAN_MS,
            // It cannot have a day or refills without a reading.
            None => self.day.is_none() && self.refills == 0 && self.left_ms.is_none(),
        };
        let left = match self.left_ms {
            Some(left) => {
                left <= PACE_MS.wrapping_add(BEHIND_MS) && left >= MAX_SPAN_MS.wrapping_neg()
            }
            None => true,
        };
        day && age && left
    }
}

/// What the first known UTC after a restart may do (R4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum OffTime {
    /// Advance the calendar to a greater day at once, since only UTC knows how long the power was
    /// off.
    #[default]
    Trust,
    /// Nothing that any other may not: for a device whose clock an adversary may set, and whom he
    /// may also restart.
    Ignore,
}

impl Calendar {
    /// Whether the calendar was ever fed, or restored from one that was.
    #[must_use]
    pub const fn is_started(&self) -> bool {
        self.started
    }

    /// Whether the counts of the accounting day are lost, so that nothing of it may be spent (R5).
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        self.unusual & LOST != 0
    }

    /// Makes the counts of the accounting day lost, until the next advance (R5).
    pub const fn lose(&mut self) {
        self.unusual |= LOST;
    }

    /// The calendar for an image that is made at `now`, a time of the time line.
    #[must_use]
    pub const fn save(&self, now: Instant) -> SavedCalendar {
        let at = signed(now);
        SavedCalendar {
            day: self.day(),
            refills: self.refills,
            age_ms: if self.started {
                Some(cut(at.wrapping_sub(self.last_change_ms)))
            } else {
                None
            },
            left_ms: if self.paced {
                Some(cut(self.earliest_next_ms.wrapping_sub(at)))
            } else {
                None
            },
            lost: self.is_lost(),
        }
    }

    /// The calendar of an image that was verified, its marks re-based on `now`, signed (R4).
    ///
    /// Its day is not adopted again: the first known UTC is judged by D8 and D9, and under
    /// [`OffTime::Trust`] may advance it whatever D10b says. A day that is unknown is adopted (D7).
    #[must_use]
    pub const fn restore(saved: &SavedCalendar, off_time: OffTime, now: Instant) -> Self {
        let at = signed(now);
        let mut calendar = Self::new();
        calendar.refills = saved.refills;
        if let Some(age) = saved.age_ms {
            calendar.started = true;
            calendar.last_change_ms = at.wrapping_sub(age);
        }
        if let Some(left) = saved.left_ms {
            calendar.paced = true;
            calendar.earliest_next_ms = at.wrapping_add(left);
        }
        if let Some(day) = saved.day {
            calendar.set_day(day);
        }
        if let OffTime::Trust = off_time {
            calendar.unusual |= TRUSTS;
        }
        if saved.lost {
            calendar.lose();
        }
        calendar
    }
}

/// A span, cut to one that an image may hold.
const fn cut(span_ms: i64) -> i64 {
    if span_ms > MAX_SPAN_MS {
        MAX_SPAN_MS
    } else if span_ms < MAX_SPAN_MS.wrapping_neg() {
        MAX_SPAN_MS.wrapping_neg()
    } else {
        span_ms
    }
}

/// Twice the longest monotonic time, 2^44 ms: spans beyond it are cut to it.
const MAX_SPAN_MS: i64 = 1 << 44;
/// How far time may be behind a mark (M2).
const BEHIND_MS: i64 = 2_000;
