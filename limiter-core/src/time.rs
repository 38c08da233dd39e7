//! Time as the core sees it: plain numbers that come in as arguments.
//!
//! The core never reads a clock. A decision takes a [`Now`]: one monotonic reading, which windows,
//! blocks and the calendar's pacing use, and one UTC reading, which tells the day and may be
//! unknown (SPEC 2). [`crate::clock`] turns the clocks of a device into such readings.

use crate::math;

/// A monotonic reading in milliseconds from an arbitrary origin, below 2^43 (278 years).
///
/// Readings of one limiter come from one clock. One that comes late or steps back grants nothing: the
/// limiter decides at a time of its own, which such a reading does not move (SPEC 2, M1 to M3;
/// [`crate::timeline`]). Readings of two clocks mixed by mistake pass no limit either, but time stands
/// still for whoever reads the one that is behind; and where the leading clock is silent for 10 s and
/// more, again and again, time moves on by the difference each time. So keep one clock with the limiter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant(u64);

impl Instant {
    /// The clock's origin.
    pub const ZERO: Self = Self(0);

    /// The last instant that can be told, 2^43 - 1 ms.
    pub const MAX: Self = Self((1 << 43) - 1);

    /// The instant `millis` after the clock's origin; everything past [`Instant::MAX`] is
    /// [`Instant::MAX`], so that a clock that runs over stands still instead of wrapping.
    ///
    /// ```
    /// # use limiter_core::Instant;
    /// assert_eq!(Instant::from_millis(1500).as_millis(), 1500);
    /// assert_eq!(Instant::from_millis(1 << 43), Instant::MAX);
    /// ```
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        if millis > Self::MAX.0 {
            Self::MAX
        } else {
            Self(millis)
        }
    }

    /// A sum that is known to be below 2^43.
    pub(crate) const fn from_sum(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the clock's origin.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The instant `millis` later, at most [`Instant::MAX`].
    #[must_use]
    pub const fn saturating_add(self, millis: u64) -> Self {
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to `self`, 0 if `earlier` is later.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A UTC reading: whole seconds since 1970-01-01T00:00:00Z without leap seconds, below 2^39.
///
/// There is no value for "unknown": that is the `None` of an `Option<UnixTime>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct UnixTime(u64);

impl UnixTime {
    /// 2020-01-01T00:00:00Z: the floor of the `pipedrive` preset. An RTC that was never set shows
    /// 1970 or 2000, which is below it and therefore *unknown*.
    pub const Y2020: Self = Self(1_577_836_800);

    /// The epoch itself: as a floor it lets every time from 1970 on count as known.
    pub const EPOCH: Self = Self(0);

    /// The time `secs` after the epoch, or `None` for 2^39 (about the year 19 391) and later.
    ///
    /// ```
    /// # use limiter_core::UnixTime;
    /// assert_eq!(UnixTime::from_secs(86_400).map(UnixTime::day), Some(1));
    /// assert_eq!(UnixTime::from_secs(1 << 39), None);
    /// ```
    #[must_use]
    pub const fn from_secs(secs: u64) -> Option<Self> {
        if secs >> 39 == 0 {
            Some(Self(secs))
        } else {
            None
        }
    }

    /// Seconds since the epoch.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// The number of the UTC day, counted from 1970-01-01, which is day 0.
    #[must_use]
    pub const fn day(self) -> u32 {
        // 86 400 = 128 * 675, and below 2^39 the quotient by 128 fits 32 bits.
        divide_by_675(self.units())
    }

    /// The reading in units of 128 s, the largest power of two that divides a day.
    pub(crate) const fn units(self) -> u32 {
        math::low32(self.0 >> 7)
    }

    /// Seconds since the last UTC midnight.
    #[cfg(test)]
    const fn second_of_day(self) -> u32 {
        // OK modulo 2^32 because the true difference is below 86 400.
        math::low32(self.0).wrapping_sub(self.day().wrapping_mul(SECONDS_PER_DAY))
    }
}

/// One reading of both clocks: the `now` of every decision.
///
/// ```
/// # use limiter_core::{Instant, Now, UnixTime};
/// let now = Now::new(Instant::from_millis(5_000), UnixTime::from_secs(1_716_000_000));
/// let rtc_unset = Now::new(Instant::from_millis(5_000), None);
/// assert_eq!(now.monotonic(), rtc_unset.monotonic());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    monotonic: Instant,
    /// Unix seconds, or `UNKNOWN`: one word instead of a discriminant and a word.
    utc: u64,
}

impl Now {
    /// Joins a monotonic and a UTC reading; `None` is an unknown UTC.
    #[must_use]
    pub const fn new(monotonic: Instant, utc: Option<UnixTime>) -> Self {
        let utc = match utc {
            Some(time) => time.0,
            None => UNKNOWN,
        };
        Self { monotonic, utc }
    }

    /// The monotonic reading.
    #[must_use]
    pub const fn monotonic(self) -> Instant {
        self.monotonic
    }

    /// The same reading of UTC at the time that the monotonic one stands for (M1, M3). For homes of
    /// the state: [`crate::calendar`] and [`crate::rules`] want it so.
    #[must_use]
    #[inline]
    pub const fn at(self, time: Instant) -> Self {
        Self {
            monotonic: time,
            utc: self.utc,
        }
    }

    /// The UTC reading, `None` if it is unknown.
    #[must_use]
    pub const fn utc(self) -> Option<UnixTime> {
        UnixTime::from_secs(self.utc)
    }

    /// Whether no UTC is known, or one that is not below `floor`.
    #[cfg(target_pointer_width = "64")]
    pub(crate) const fn reaches(self, floor: UnixTime) -> bool {
        self.utc >= floor.0
    }

    /// The UTC reading in units of 128 s; 2^32 or more if it is unknown.
    #[cfg(target_pointer_width = "64")]
    pub(crate) const fn units(self) -> u64 {
        self.utc >> 7
    }

    /// The same reading with a UTC below `floor` made unknown (SPEC 2), as [`crate::calendar`] and
    /// [`crate::rules`] want it.
    #[must_use]
    pub const fn with_floor(self, floor: UnixTime) -> Self {
        if self.utc < floor.0 {
            Self {
                monotonic: self.monotonic,
                utc: UNKNOWN,
            }
        } else {
            self
        }
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Now {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "Now({=u64} ms, utc {})", self.monotonic.0, self.utc());
    }
}

/// `units / 675` for every 32-bit number, by multiplication with the reciprocal
/// `ceil(2^41 / 675)`: its error, `units * 373 / (675 * 2^41)`, stays below `1 / 675`.
const fn divide_by_675(units: u32) -> u32 {
    const RECIPROCAL: u32 = 3_257_812_231;
    math::scale(units, RECIPROCAL) >> 9
}

/// Units of 128 s in a day.
pub(crate) const UNITS_PER_DAY: u32 = 675;
/// Seconds in a day.
pub(crate) const SECONDS_PER_DAY: u32 = 86_400;
/// Milliseconds in a day.
pub(crate) const MILLIS_PER_DAY: u32 = 86_400_000;

/// Stored in `Now` for an unknown UTC; not a `UnixTime`, since those end at 2^39.
const UNKNOWN: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_day_at_both_sides_of_every_midnight() {
        // The day is monotone in the time, so exact edges prove every time between them.
        for day in 1..=6_363_000_u64 {
            let midnight = day * 86_400;
            let (Some(before), Some(at)) = (
                UnixTime::from_secs(midnight - 1),
                UnixTime::from_secs(midnight),
            ) else {
                break;
            };
            assert_eq!(u64::from(before.day()), day - 1);
            assert_eq!(u64::from(at.day()), day);
            assert_eq!((before.second_of_day(), at.second_of_day()), (86_399, 0));
        }
        assert_eq!(
            UnixTime::from_secs((1 << 39) - 1).map(UnixTime::day),
            Some(6_362_914)
        );
    }

    #[test]
    fn treats_a_time_below_the_floor_as_unknown() {
        let at = |secs| Now::new(Instant::ZERO, UnixTime::from_secs(secs));
        assert_eq!(at(1_577_836_799).with_floor(UnixTime::Y2020).utc(), None);
        assert_eq!(
            at(1_577_836_800).with_floor(UnixTime::Y2020).utc(),
            Some(UnixTime::Y2020)
        );
        assert_eq!(at(1 << 39).utc(), None);
    }

    #[test]
    fn stands_still_at_the_end_of_monotonic_time() {
        assert_eq!(Instant::MAX.saturating_add(1), Instant::MAX);
        assert_eq!(Instant::from_millis(u64::MAX), Instant::MAX);
        assert_eq!(Instant::ZERO.saturating_since(Instant::MAX), 0);
    }
}
