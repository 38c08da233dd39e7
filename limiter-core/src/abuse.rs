//! One token's offences and block (SPEC 6), packed into a `u64`.
//!
//! This file decides when refusals become a block and when the block ends. Whether a refusal is an
//! offence at all (O7) is decided where the rules meet.

use crate::math;
use crate::policy::BlockRule;
use crate::time::Instant;

/// The state of one token's conduct: clean, a running offence period, or blocked.
///
/// The layout of [`Abuse::to_bits`]: an instant in milliseconds in bits 0 to 43 (the period's
/// start, or the block's end), the offences in bits 44 to 62, bit 63 set while blocked; 0 is clean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Abuse(u64);

impl Abuse {
    /// No offence counts.
    pub const CLEAN: Self = Self(0);

    /// The largest number of offences a block can be made to take: 2^19 - 1.
    pub const MAX_OFFENCES: u32 = (1 << 19) - 1;

    /// The state from its packed form. Every `u64` is a state.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        if bits & (BLOCKED | COUNT) == 0 {
            Self::CLEAN
        } else {
            Self(bits)
        }
    }

    /// The packed form.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Whether the token is blocked, as of the last [`Abuse::settle`].
    #[must_use]
    pub const fn is_blocked(self) -> bool {
        self.0 & BLOCKED != 0
    }

    /// Offences counted in the running period; 0 while blocked.
    #[must_use]
    pub const fn offences(self) -> u32 {
        if self.is_blocked() {
            0
        } else {
            math::high32(self.0 & COUNT) >> 12
        }
    }

    /// The state at `now` as far as the block goes: one that has ended is forgotten (B4, B6).
    /// Offences stay.
    #[must_use]
    #[inline]
    pub const fn settle(self, now: Instant) -> Self {
        if self.is_blocked() && self.0 & MARK <= now.as_millis() {
            Self::CLEAN
        } else {
            self
        }
    }

    /// Milliseconds until the block ends (B3): 0 if it has, or there is none; at most 2^32 - 1.
    #[must_use]
    pub const fn blocked_ms(self, now: Instant) -> u32 {
        if !self.is_blocked() {
            return 0;
        }
        let left = (self.0 & MARK).saturating_sub(now.as_millis());
        if math::high32(left) == 0 {
            math::low32(left)
        } else {
            u32::MAX
        }
    }

    /// Takes a request made while blocked: it lengthens the block if the policy says so (B3).
    #[must_use]
    pub const fn hit(self, now: Instant, rule: &BlockRule) -> Self {
        if rule.extend_on_hit {
            Self::blocked(now, rule)
        } else {
            self
        }
    }

    /// Counts one offence at `now` (B1); the one that completes the number starts a block (B2).
    /// Not while blocked.
    #[must_use]
    #[cfg_attr(target_pointer_width = "64", inline)]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub const fn offend(self, now: Instant, rule: &BlockRule) -> Self {
        let mut start = self.0 & MARK;
        let mut count = 0;
        if self.is_counting(now, rule) {
            count = self.offences();
        }
        if count == 0 {
            start = now.as_millis();
        }
        // OK because a count below `rule.offences` is below 2^19.
        count = count.wrapping_add(1);
        if count >= rule.offences {
            return Self::blocked(now, rule);
        }
        Self((math::widen(count) << COUNT_SHIFT) | start)
    }

    /// Whether nothing that a later decision could see is left: no block, and no offence period
    /// that still runs (T2).
    #[must_use]
    pub const fn is_forgotten(self, now: Instant, rule: &BlockRule) -> bool {
        let settled = self.settle(now);
        !settled.is_blocked() && !settled.is_counting(now, rule)
    }

    /// The earliest moment at which nothing may be left ([`Abuse::is_forgotten`]), whatever is
    /// decided from `now` on.
    ///
    /// An offence may turn the period into a shorter block, and a hit may set a block's end, at a
    /// reading that is somewhat older than the last one.
    pub(crate) const fn forgotten_from(self, now: Instant, rule: &BlockRule) -> Instant {
        let settled = self.settle(now);
        let mark = settled.0 & MARK;
        if settled.is_blocked() {
            let late = if rule.extend_on_hit { LATE_MS } else { 0 };
            return Instant::from_millis(mark.saturating_sub(late));
        }
        if !settled.is_counting(now, rule) {
            return Instant::ZERO;
        }
        // OK because all are below 2^44.
        let ends = mark.wrapping_add(math::widen(rule.within_ms));
        let shortest = now
            .as_millis()
            .saturating_sub(LATE_MS)
            .wrapping_add(math::widen(rule.duration_ms));
        Instant::from_millis(if shortest < ends { shortest } else { ends })
    }

    /// Whether an offence period runs. Time may be a little behind its start.
    const fn is_counting(self, now: Instant, rule: &BlockRule) -> bool {
        let start = self.0 & MARK;
        let now = now.as_millis();
        self.offences() > 0
            && (start > now || now.wrapping_sub(start) < math::widen(rule.within_ms))
    }

    /// Blocked for `left_ms` from `now` on: a block that a restart resumes (R3).
    #[must_use]
    pub const fn blocked_for(left_ms: u32, now: Instant) -> Self {
        // OK because 2^43 + 2^32 is below 2^44.
        Self(BLOCKED | now.as_millis().wrapping_add(math::widen(left_ms)))
    }

    const fn blocked(now: Instant, rule: &BlockRule) -> Self {
        Self::blocked_for(rule.duration_ms, now)
    }
}

/// So far behind an earlier decision's time may a later one's lie (M2).
const LATE_MS: u64 = 2_000;
const BLOCKED: u64 = 1 << 63;
const MARK: u64 = (1 << COUNT_SHIFT) - 1;
const COUNT: u64 = !BLOCKED & !MARK;
const COUNT_SHIFT: u32 = 44;

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: BlockRule = BlockRule {
        offences: 3,
        within_ms: 60_000,
        duration_ms: 300_000,
        extend_on_hit: false,
    };

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    fn offend_at(times: &[u64]) -> Abuse {
        times.iter().fold(Abuse::CLEAN, |abuse, &t| {
            abuse.settle(at(t)).offend(at(t), &RULE)
        })
    }

    #[test]
    fn b1_an_offence_at_the_end_of_the_period_opens_a_new_one() {
        assert!(offend_at(&[0, 1, 59_999]).is_blocked());
        assert_eq!(offend_at(&[0, 1, 60_000]).offences(), 1);
    }

    #[test]
    fn b2_the_completing_offence_starts_the_block_at_its_own_moment() {
        let abuse = offend_at(&[0, 10, 20]);
        assert_eq!(abuse.blocked_ms(at(20)), 300_000);
    }

    #[test]
    fn b3_hits_lengthen_a_block_only_if_the_policy_says_so() {
        let abuse = offend_at(&[0, 0, 0]);
        assert_eq!(
            abuse.hit(at(100_000), &RULE).blocked_ms(at(100_000)),
            200_000
        );
        let extending = BlockRule {
            extend_on_hit: true,
            ..RULE
        };
        assert_eq!(
            abuse.hit(at(100_000), &extending).blocked_ms(at(100_000)),
            300_000
        );
    }

    #[test]
    fn b4_a_block_ends_exactly_at_its_end_with_no_offences() {
        let abuse = offend_at(&[0, 0, 0]);
        assert!(abuse.settle(at(299_999)).is_blocked());
        assert_eq!(abuse.settle(at(300_000)), Abuse::CLEAN);
        assert_eq!(abuse.blocked_ms(at(300_001)), 0);
    }

    #[test]
    fn b1_a_period_runs_while_time_is_behind_its_start() {
        let two = offend_at(&[50_000, 49_000]);
        assert_eq!(two.offences(), 2);
        // It still ends within after its own start.
        assert!(two.offend(at(109_999), &RULE).is_blocked());
        assert_eq!(two.offend(at(110_000), &RULE).offences(), 1);
    }

    #[test]
    fn b3_the_longest_block_met_a_little_early_has_a_wait() {
        let abuse = Abuse::blocked_for(u32::MAX, at(5_000));
        assert_eq!(abuse.blocked_ms(at(5_001)), u32::MAX - 1);
        assert_eq!(abuse.blocked_ms(at(3_001)), u32::MAX, "the word is full");
    }

    #[test]
    fn t2_is_forgotten_when_the_period_is_over_but_not_before() {
        let abuse = offend_at(&[1_000]);
        assert!(!abuse.is_forgotten(at(60_999), &RULE));
        assert!(abuse.is_forgotten(at(61_000), &RULE));
        assert!(
            !abuse.is_forgotten(at(0), &RULE),
            "a period in the future counts on"
        );
        assert!(Abuse::CLEAN.is_forgotten(at(0), &RULE));
        assert!(!offend_at(&[0, 0, 0]).is_forgotten(at(299_999), &RULE));
    }

    #[test]
    fn blocks_at_the_first_offence_when_one_is_enough() {
        let strict = BlockRule {
            offences: 1,
            ..RULE
        };
        assert!(Abuse::CLEAN.offend(Instant::MAX, &strict).is_blocked());
        assert_eq!(
            Abuse::CLEAN
                .offend(Instant::MAX, &strict)
                .blocked_ms(Instant::MAX),
            300_000
        );
    }
}
