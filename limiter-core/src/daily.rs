//! One user's day (SPEC 5, D1 to D4): what was used this accounting day, and the strikes.
//!
//! This file decides what fits the daily limit in each mode. Which day it is, and when a refused
//! caller may come back, is the [`crate::calendar`]'s to say.

use crate::math;

/// What happens when a user's daily limit is passed (D3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum DailyMode {
    /// Refuse what does not fit.
    Strict,
    /// Never refuse; count on.
    Advisory,
    /// Refuse only those who pass the limit on many days.
    FairUse {
        /// Days over the limit on which nothing is refused yet; at most 254.
        tolerated_days: u8,
        /// Refills after the last such day at which all are forgotten; at least 1.
        forgiven_after_days: u16,
    },
}

/// The daily part of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DailyRule {
    /// Permits per user and accounting day, `D`.
    pub limit: u32,
    /// What happens beyond it.
    pub mode: DailyMode,
}

impl DailyRule {
    /// Whether a request of `cost` could never fit, on any day (O4).
    #[must_use]
    #[inline]
    pub const fn can_never_fit(&self, cost: u32) -> bool {
        matches!(self.mode, DailyMode::Strict) && cost > self.limit
    }

    /// Whether `cost` more permits on a settled `day` stay within the limit, whatever the mode.
    #[must_use]
    #[inline]
    pub const fn has_room(&self, day: Day, cost: u32) -> bool {
        match day.used().checked_add(cost) {
            Some(used) => used <= self.limit,
            None => false,
        }
    }

    /// Judges `cost` more permits on a settled `day`, on which the calendar has counted `refills`:
    /// whether they fit, and the strikes after that.
    #[must_use]
    #[inline]
    pub const fn judge(
        &self,
        day: Day,
        strikes: Strikes,
        refills: u32,
        cost: u32,
    ) -> (bool, Strikes) {
        let within = self.has_room(day, cost);
        match self.mode {
            DailyMode::Strict => (within, strikes),
            DailyMode::Advisory => (true, strikes),
            DailyMode::FairUse {
                tolerated_days,
                forgiven_after_days,
            } => {
                if within {
                    return (true, strikes);
                }
                let strikes = strikes.settle(refills, forgiven_after_days).strike(refills);
                (strikes.count() <= tolerated_days, strikes)
            }
        }
    }
}

/// What a user has used on one accounting day; the day is known by its number of refills (D6).
///
/// The layout of [`Day::to_bits`]: permits used in the low, refills in the high 32 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Day(u64);

impl Day {
    /// A day on which `used` permits are spent.
    #[must_use]
    pub const fn new(refills: u32, used: u32) -> Self {
        Self((math::widen(refills) << 32) | math::widen(used))
    }

    /// The state from its packed form. Every `u64` is a state.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The packed form.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Permits used.
    #[must_use]
    pub const fn used(self) -> u32 {
        math::low32(self.0)
    }

    /// The accounting day, as the calendar's number of refills.
    #[must_use]
    pub const fn refills(self) -> u32 {
        math::high32(self.0)
    }

    /// The record as of the accounting day `refills`: one of another day starts at 0 (D6).
    #[must_use]
    #[inline]
    pub const fn settle(self, refills: u32) -> Self {
        if self.refills() == refills {
            self
        } else {
            Self::new(refills, 0)
        }
    }

    /// Spends `cost` permits, at most up to the largest number (D3, advisory).
    #[must_use]
    #[inline]
    pub const fn charge(self, cost: u32) -> Self {
        Self::new(self.refills(), self.used().saturating_add(cost))
    }

    /// What is left of `limit` after `cost` more permits on the accounting day `refills`, and the
    /// day then; `None` if they do not fit, or the record is of another day.
    #[inline(always)]
    pub(crate) const fn charge_within(
        self,
        refills: u32,
        limit: u32,
        cost: u32,
    ) -> Option<(u32, Self)> {
        if self.refills() != refills {
            return None;
        }
        let used = math::widen(self.used()).wrapping_add(math::widen(cost));
        if used > math::widen(limit) {
            return None;
        }
        // OK because `used` is at most `limit`: neither wraps.
        let left = limit.wrapping_sub(math::low32(used));
        Some((left, Self(self.0.wrapping_add(math::widen(cost)))))
    }

    /// Gives `cost` permits back, never below 0 used (P2). A count at the largest number stays there
    /// until the day ends: more may have been charged than it says, so more receipts may be out than
    /// it could pay back, and its row must not pass to another user while they are.
    #[must_use]
    pub const fn give_back(self, cost: u32) -> Self {
        if self.used() == u32::MAX {
            return self;
        }
        Self::new(self.refills(), self.used().saturating_sub(cost))
    }
}

/// On how many accounting days a user went over the limit, in the mode fair use.
///
/// The layout of [`Strikes::to_bits`]: the calendar's number of refills on the last such day,
/// modulo 2^24 (44 000 years), in the low 24 bits, the count in the high 8; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Strikes(u32);

impl Strikes {
    /// None.
    pub const NONE: Self = Self(0);

    /// `count` strikes, the last one on the accounting day `last`.
    #[must_use]
    pub const fn new(count: u8, last: u32) -> Self {
        match count {
            0 => Self::NONE,
            count => Self((widen8(count) << COUNT_SHIFT) | (last & LAST)),
        }
    }

    /// The state from its packed form. Every `u32` is a state.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        if bits <= LAST { Self::NONE } else { Self(bits) }
    }

    /// The packed form.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        self.0
    }

    /// How many, as of the last [`Strikes::settle`]; stays at 255.
    #[must_use]
    pub const fn count(self) -> u8 {
        let [.., count] = self.0.to_le_bytes();
        count
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The strikes as of the accounting day `refills`: all are forgotten once
    /// `forgiven_after_days` refills have followed the last one.
    #[must_use]
    pub const fn settle(self, refills: u32, forgiven_after_days: u16) -> Self {
        let since = refills.wrapping_sub(self.0) & LAST;
        if since >= widen16(forgiven_after_days) {
            Self::NONE
        } else {
            self
        }
    }

    /// Makes the day `refills` a strike, if it is not one already.
    const fn strike(self, refills: u32) -> Self {
        if !self.is_none() && self.0 & LAST == refills & LAST {
            return self;
        }
        Self::new(self.count().saturating_add(1), refills)
    }
}

const COUNT_SHIFT: u32 = 24;
const LAST: u32 = (1 << COUNT_SHIFT) - 1;

#[allow(clippy::as_conversions, reason = "lossless; `u32::from` is not const")]
const fn widen16(value: u16) -> u32 {
    value as u32
}

#[allow(clippy::as_conversions, reason = "lossless; `u32::from` is not const")]
const fn widen8(value: u8) -> u32 {
    value as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: DailyRule = DailyRule {
        limit: 10,
        mode: DailyMode::Strict,
    };
    const FAIR: DailyRule = DailyRule {
        limit: 10,
        mode: DailyMode::FairUse {
            tolerated_days: 2,
            forgiven_after_days: 3,
        },
    };

    /// Spends past the limit on each of `days`; says which of those attempts were refused.
    fn over_limit_on(days: &[u32]) -> std::vec::Vec<bool> {
        let mut strikes = Strikes::NONE;
        let mut refused = std::vec::Vec::new();
        for &day in days {
            let (fits, after) = FAIR.judge(Day::new(day, 10), strikes, day, 1);
            strikes = after;
            refused.push(!fits);
        }
        refused
    }

    #[test]
    fn d3_strict_refuses_exactly_what_does_not_fit() {
        let day = Day::new(4, 9);
        assert!(STRICT.judge(day, Strikes::NONE, 4, 1).0);
        assert!(!STRICT.judge(day, Strikes::NONE, 4, 2).0);
        assert!(
            !STRICT
                .judge(Day::new(4, u32::MAX), Strikes::NONE, 4, u32::MAX)
                .0
        );
        assert!(STRICT.can_never_fit(11) && !STRICT.can_never_fit(10));
    }

    #[test]
    fn d3_advisory_never_refuses_and_counts_to_the_end() {
        let rule = DailyRule {
            limit: 10,
            mode: DailyMode::Advisory,
        };
        let day = Day::new(0, u32::MAX - 1);
        assert!(rule.judge(day, Strikes::NONE, 0, 5).0);
        assert_eq!(day.charge(5).used(), u32::MAX);
        assert!(!rule.can_never_fit(u32::MAX));
    }

    #[test]
    fn p2_a_count_that_stopped_at_its_largest_number_gives_nothing_back() {
        let day = Day::new(0, u32::MAX - 1);
        assert_eq!(day.give_back(1).used(), u32::MAX - 2);
        assert_eq!(day.charge(1).give_back(1).used(), u32::MAX);
        assert_eq!(day.charge(9).give_back(u32::MAX).used(), u32::MAX);
    }

    #[test]
    fn d3_fair_use_refuses_from_the_third_day_over_the_limit() {
        assert_eq!(
            over_limit_on(&[1, 1, 2, 2, 3, 3]),
            [false, false, false, false, true, true]
        );
    }

    #[test]
    fn d3_fair_use_forgives_when_enough_refills_follow_the_last_strike() {
        assert_eq!(over_limit_on(&[1, 2, 4]), [false, false, true]);
        assert_eq!(over_limit_on(&[1, 2, 5]), [false, false, false]);
    }

    #[test]
    fn d6_a_record_of_another_day_starts_at_zero() {
        let day = Day::new(7, 9_999);
        assert_eq!(day.settle(7), day);
        assert_eq!(day.settle(8), Day::new(8, 0));
        assert_eq!(day.settle(6).used(), 0);
    }

    #[test]
    fn keeps_strikes_over_the_wrap_of_the_refill_count() {
        let strikes = Strikes::new(1, u32::MAX);
        assert_eq!(strikes.settle(1, 3).count(), 1);
        assert_eq!(strikes.settle(2, 3), Strikes::NONE);
    }
}
