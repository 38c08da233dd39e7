//! One token's fixed window (SPEC 4), packed into a `u64`.
//!
//! This file decides when a window is open, what fits and what is left. It knows no table, no
//! clock and no other rule, so that every home of the state (plain slots, atomics, a remote store)
//! calls the same transitions.

use crate::math;
use crate::time::Instant;

/// The state of one token's window: closed, or open since a start with so many permits used.
///
/// A window is half-open, `[start, start + length)`: a request exactly at its end finds it closed
/// (W1). The layout of [`Window::to_bits`]: the start in milliseconds in bits 0 to 42, bit 43 set
/// while open, the permits used in bits 44 to 63; 0 is a closed window.
///
/// ```
/// use limiter_core::{Instant, window::Window};
///
/// let opened = Window::CLOSED.charge(Instant::from_millis(500), 3);
/// let last = opened.settle(Instant::from_millis(2_499), 2_000);
/// assert_eq!((last.used(), last.reset_ms(Instant::from_millis(2_499), 2_000)), (3, 1));
/// assert_eq!(opened.settle(Instant::from_millis(2_500), 2_000), Window::CLOSED);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Window(u64);

impl Window {
    /// No window is open.
    pub const CLOSED: Self = Self(0);

    /// The largest limit, 2^20 - 1: what the 20 bits of the count hold.
    pub const MAX_LIMIT: u32 = (1 << 20) - 1;

    /// The state from its packed form. Every `u64` is a state.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        if bits & OPEN == 0 {
            Self::CLOSED
        } else {
            Self(bits)
        }
    }

    /// The packed form.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Whether a window is open, as of the last [`Window::settle`].
    #[must_use]
    pub const fn is_open(self) -> bool {
        self.0 & OPEN != 0
    }

    /// Permits used in the open window; 0 if none is open.
    #[must_use]
    pub const fn used(self) -> u32 {
        math::high32(self.0) >> 12
    }

    /// When the open window began; [`Instant::ZERO`] if none is open.
    #[must_use]
    pub const fn start(self) -> Instant {
        Instant::from_millis(self.0 & START)
    }

    /// The state at `now`: closed once `length_ms` have passed (W1). Time may be a little behind the
    /// start; the window stands then (W6).
    #[must_use]
    #[inline]
    pub const fn settle(self, now: Instant, length_ms: u32) -> Self {
        if !self.is_open() {
            return self;
        }
        // The signed difference from the start, in two halves: 32-bit comparisons are all a
        // Cortex-M0 has.
        let elapsed = now.as_millis().wrapping_sub(self.0 & START);
        let high = math::high32(elapsed).cast_signed();
        if high < 0 || (high == 0 && math::low32(elapsed) < length_ms) {
            self
        } else {
            Self::CLOSED
        }
    }

    /// The state at `now` with a window that is open: [`Window::settle`]'s, or one that opens at
    /// `now` with nothing used. For 64-bit hosts: no branch asks whether a window is open.
    #[inline(always)]
    pub(crate) const fn opened(self, now: Instant, length_ms: u32) -> Self {
        let new = OPEN | now.as_millis();
        // Where no window is open the difference is as if it had opened at 0 and 2^43 ms more had
        // passed.
        let elapsed = new.wrapping_sub(self.0 & (OPEN | START)).cast_signed();
        if elapsed < math::widen(length_ms).cast_signed() {
            self
        } else {
            Self(new)
        }
    }

    /// What is left of `limit` after `cost` more permits in an open window, and the window then;
    /// `None` if they do not fit.
    #[inline(always)]
    pub(crate) const fn charge_open(self, limit: u32, cost: u32) -> Option<(u32, Self)> {
        let used = (self.0 >> USED_SHIFT).wrapping_add(math::widen(cost));
        if used > math::widen(limit) {
            return None;
        }
        // OK because `used` is at most `limit`.
        let left = limit.wrapping_sub(math::low32(used));
        let charged = self.0.wrapping_add(math::widen(cost) << USED_SHIFT);
        Some((left, Self(charged)))
    }

    /// Whether `cost` more permits stay within `limit` (W2). Settle first.
    #[must_use]
    #[inline]
    pub const fn fits(self, limit: u32, cost: u32) -> bool {
        match self.used().checked_add(cost) {
            Some(used) => used <= limit,
            None => false,
        }
    }

    /// Spends `cost` permits, opening a window at `now` if none is open (W1). Settle first, and
    /// charge only what [`Window::fits`].
    #[must_use]
    #[inline]
    pub const fn charge(self, now: Instant, cost: u32) -> Self {
        let base = if self.is_open() {
            self.0
        } else {
            OPEN | now.as_millis()
        };
        // OK because what fits is at most MAX_LIMIT: the sum stays within its 20 bits.
        Self(base.wrapping_add(math::widen(cost) << USED_SHIFT))
    }

    /// Gives `cost` permits back, never below 0 used (P2). An open window stays open.
    #[must_use]
    pub const fn give_back(self, cost: u32) -> Self {
        self.with_used(self.used().saturating_sub(cost))
    }

    /// The same window with other permits used, at most [`Window::MAX_LIMIT`].
    #[inline]
    pub(crate) const fn with_used(self, used: u32) -> Self {
        Self((self.0 & (OPEN | START)) | (math::widen(used) << USED_SHIFT))
    }

    /// Permits left of `limit`, never below 0 (W3).
    #[must_use]
    #[inline]
    pub const fn remaining(self, limit: u32) -> u32 {
        limit.saturating_sub(self.used())
    }

    /// Milliseconds until the window ends, `length_ms` if none is open (W3). Settle first; then
    /// the result is at least 1, and at most `length_ms` and 2 s more (W6).
    #[must_use]
    #[inline]
    pub const fn reset_ms(self, now: Instant, length_ms: u32) -> u32 {
        if !self.is_open() {
            return length_ms;
        }
        self.reset_open_ms(now, length_ms)
    }

    /// The same of a window that is known to be open.
    #[inline]
    pub(crate) const fn reset_open_ms(self, now: Instant, length_ms: u32) -> u32 {
        // OK modulo 2^32 because a settled window's true answer is a day and 2 s at most.
        math::low32(self.0)
            .wrapping_add(length_ms)
            .wrapping_sub(math::low32(now.as_millis()))
    }
}

const OPEN: u64 = 1 << 43;
const START: u64 = OPEN - 1;
const USED_SHIFT: u32 = 44;

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: u32 = 2_000;

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn w1_opens_at_the_first_charge_and_ends_exactly_at_its_length() {
        let window = Window::CLOSED.charge(at(0), 1);
        assert!(window.is_open());
        assert_eq!(window.settle(at(1_999), LENGTH), window);
        assert_eq!(window.settle(at(2_000), LENGTH), Window::CLOSED);
    }

    #[test]
    fn w2_fits_up_to_the_limit_and_not_beyond() {
        let window = Window::CLOSED.charge(at(9), 39);
        assert!(window.fits(40, 1));
        assert!(!window.fits(40, 2));
        assert!(!window.fits(38, 1), "a lowered limit");
        assert!(!window.fits(40, u32::MAX));
        assert_eq!(window.remaining(38), 0);
    }

    #[test]
    fn w6_stands_as_it_is_while_time_is_behind_its_start() {
        let window = Window::CLOSED.charge(at(10_000), 5);
        for behind in [9_999, 8_001, 8_000] {
            assert_eq!(window.settle(at(behind), LENGTH), window);
            assert_eq!(window.opened(at(behind), LENGTH), window);
        }
        assert_eq!(window.reset_ms(at(8_001), LENGTH), 3_999);
    }

    #[test]
    fn w6_a_window_of_a_millisecond_stands_too() {
        let window = Window::CLOSED.charge(at(10_000), 5);
        assert_eq!(window.settle(at(9_001), 1), window);
        assert_eq!(window.reset_ms(at(9_001), 1), 1_000);
        assert_eq!(window.settle(at(10_001), 1), Window::CLOSED);
    }

    #[test]
    fn keeps_an_open_window_open_when_all_is_given_back() {
        let window = Window::CLOSED.charge(at(0), 2).give_back(5);
        assert!(window.is_open());
        assert_eq!(
            (window.used(), window.reset_ms(at(500), LENGTH)),
            (0, 1_500)
        );
    }

    #[test]
    fn holds_the_largest_start_and_count() {
        let window = Window::CLOSED.charge(Instant::MAX, Window::MAX_LIMIT);
        assert_eq!(
            (window.start(), window.used()),
            (Instant::MAX, Window::MAX_LIMIT)
        );
        assert_eq!(Window::from_bits(window.to_bits()), window);
        assert_eq!(
            Window::from_bits(7 << USED_SHIFT),
            Window::CLOSED,
            "never opened"
        );
    }
}
