//! From a tick counter of any width and rate, wraps included, to milliseconds (SPEC W7).

use super::{ClockError, MonotonicClock};
use crate::math;
use crate::time::Instant;

/// How long a tick is and how wide the counter.
///
/// ```
/// use limiter_core::clock::{TickRate, TickRateError};
///
/// const MICROSECONDS: TickRate = match TickRate::from_hz(1_000_000, 32) {
///     Ok(rate) => rate,
///     Err(_) => panic!("not a rate"),
/// };
/// assert_eq!(TickRate::from_hz(0, 32), Err(TickRateError::ZeroHertz));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TickRate {
    /// Milliseconds per tick, as a fraction in lowest terms.
    numerator: u32,
    denominator: u32,
    bits: u8,
}

impl TickRate {
    /// A counter of `bits` bits that runs at `hz` ticks a second.
    ///
    /// # Errors
    ///
    /// [`TickRateError`] names what is out of range.
    pub const fn from_hz(hz: u32, bits: u8) -> Result<Self, TickRateError> {
        if hz == 0 {
            return Err(TickRateError::ZeroHertz);
        }
        Self::from_seconds_per_tick(1, hz, bits)
    }

    /// A counter of `bits` bits whose tick lasts `numerator / denominator` seconds.
    ///
    /// # Errors
    ///
    /// [`TickRateError`] names what is out of range.
    pub const fn from_seconds_per_tick(
        numerator: u32,
        denominator: u32,
        bits: u8,
    ) -> Result<Self, TickRateError> {
        if numerator == 0 || denominator == 0 {
            return Err(TickRateError::ZeroFraction);
        }
        if bits < 2 || bits > 64 {
            return Err(TickRateError::Bits { bits });
        }
        let shared = greatest_common_divisor(1000, denominator);
        let (denominator, _) = math::div_rem(math::widen(denominator), shared);
        let (thousand, _) = math::div_rem(1000, shared);
        let millis = thousand.saturating_mul(math::widen(numerator));
        if millis > math::widen(u32::MAX) {
            return Err(TickRateError::TickTooLong);
        }
        Ok(Self {
            numerator: math::low32(millis),
            denominator: math::low32(denominator),
            bits,
        })
    }
}

/// Why a [`TickRate`] was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TickRateError {
    /// A rate of 0 Hz: the counter never moves.
    ZeroHertz,
    /// A tick of no length, or of no known length.
    ZeroFraction,
    /// A tick of 2^32 ms or more.
    TickTooLong,
    /// A counter must have 2 to 64 bits.
    Bits {
        /// What was asked for.
        bits: u8,
    },
}

impl core::fmt::Display for TickRateError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::ZeroHertz => f.write_str("a clock of 0 Hz never moves"),
            Self::ZeroFraction => {
                f.write_str("numerator and denominator of a tick's length must not be 0")
            }
            Self::TickTooLong => f.write_str("a tick must be shorter than 2^32 ms"),
            Self::Bits { bits } => write!(f, "a counter has 2 to 64 bits, not {bits}"),
        }
    }
}

impl core::error::Error for TickRateError {}

/// Extends a counter that wraps to an [`Instant`] (SPEC W7).
///
/// The difference from the last reading, modulo the counter's range, is time passed if it is below
/// half the range, and else a step back. So one reading per half range is needed (35 minutes for
/// 32 bits at 1 MHz). A missed one is taken for a step back: it may delay a reset and never brings
/// one forward.
///
/// Time counts from the first reading, which is [`Instant::ZERO`].
///
/// ```
/// use limiter_core::clock::{TickCounter, TickRate};
///
/// let mut counter = TickCounter::new(TickRate::from_hz(1_000_000, 32).unwrap());
/// counter.extend(u64::from(u32::MAX - 999));
/// assert_eq!(counter.extend(1_000).as_millis(), 2); // 2 000 ticks later, over the wrap
/// assert_eq!(counter.extend(0).as_millis(), 1); // 1 000 ticks back
/// ```
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TickCounter {
    rate: TickRate,
    last: Option<u64>,
    millis: u64,
    /// What is left of a millisecond, in units of 1 / `rate.denominator` ms.
    fraction: u32,
}

impl TickCounter {
    /// A counter that has not been read yet.
    #[must_use]
    pub const fn new(rate: TickRate) -> Self {
        Self {
            rate,
            last: None,
            millis: 0,
            fraction: 0,
        }
    }

    /// Takes a raw reading and returns the extended time. Bits above the counter's width are
    /// ignored. A step back past the first reading gives [`Instant::ZERO`].
    ///
    /// *O*(bits of the elapsed ticks), at most 64 steps; 32-bit division is not used.
    pub fn extend(&mut self, raw: u64) -> Instant {
        let unused = 64_u32.wrapping_sub(u32::from(self.rate.bits));
        let range_mask = u64::MAX.wrapping_shr(unused);
        let raw = raw & range_mask;
        let elapsed = raw.wrapping_sub(self.last.unwrap_or(raw)) & range_mask;
        self.last = Some(raw);
        // OK because bits >= 2: half the range is at least 2.
        if elapsed <= range_mask >> 1 {
            self.advance(elapsed);
        } else {
            self.step_back(elapsed.wrapping_neg() & range_mask);
        }
        Instant::from_millis(self.millis)
    }

    fn advance(&mut self, ticks: u64) {
        let (millis, fraction) = self.convert(ticks);
        // Both are below the denominator, so the sum is below twice that.
        let sum = math::widen(self.fraction).wrapping_add(math::widen(fraction));
        let denominator = math::widen(self.rate.denominator);
        let (carry, fraction) = if sum >= denominator {
            (1, sum.wrapping_sub(denominator))
        } else {
            (0, sum)
        };
        self.fraction = math::low32(fraction);
        self.millis = self.millis.saturating_add(millis).saturating_add(carry);
    }

    fn step_back(&mut self, ticks: u64) {
        let (millis, fraction) = self.convert(ticks);
        let (borrow, fraction) = match self.fraction.checked_sub(fraction) {
            Some(rest) => (0, rest),
            // OK modulo 2^32: the true value lies between 0 and the denominator.
            None => (
                1,
                self.fraction
                    .wrapping_add(self.rate.denominator)
                    .wrapping_sub(fraction),
            ),
        };
        match self.millis.checked_sub(millis.saturating_add(borrow)) {
            Some(rest) => (self.millis, self.fraction) = (rest, fraction),
            None => (self.millis, self.fraction) = (0, 0),
        }
    }

    /// Whole milliseconds in `ticks`, and the rest in 1 / denominator ms.
    fn convert(&self, ticks: u64) -> (u64, u32) {
        let scaled = ticks.saturating_mul(math::widen(self.rate.numerator));
        if self.rate.denominator == 1 {
            (scaled, 0)
        } else {
            math::div_rem(scaled, self.rate.denominator)
        }
    }
}

/// A monotonic clock over a closure that reads a raw tick counter.
///
/// ```
/// use limiter_core::clock::{MonotonicClock, TickClock, TickRate};
///
/// let mut ticks = 32_768_u32 - 5;
/// let mut clock = TickClock::new(TickRate::from_hz(32_768, 32).unwrap(), || {
///     ticks = ticks.wrapping_add(32_768); // stands for reading a timer's register
///     Ok(u64::from(ticks))
/// });
/// assert_eq!(clock.now().unwrap().as_millis(), 0);
/// assert_eq!(clock.now().unwrap().as_millis(), 1_000);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TickClock<F> {
    counter: TickCounter,
    read: F,
}

impl<F: FnMut() -> Result<u64, ClockError>> TickClock<F> {
    /// Joins a rate and a way to read the counter.
    pub const fn new(rate: TickRate, read: F) -> Self {
        Self {
            counter: TickCounter::new(rate),
            read,
        }
    }
}

impl<F: FnMut() -> Result<u64, ClockError>> MonotonicClock for TickClock<F> {
    fn now(&mut self) -> Result<Instant, ClockError> {
        let raw = (self.read)()?;
        Ok(self.counter.extend(raw))
    }
}

/// Euclid's algorithm; both arguments are positive. At most 15 steps for `a <= 1000`.
const fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        let (_, rest) = math::div_rem(math::widen(a), b);
        (a, b) = (b, rest);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    fn counter(hz: u32, bits: u8) -> TickCounter {
        TickCounter::new(TickRate::from_hz(hz, bits).unwrap())
    }

    #[test]
    fn counts_every_tick_of_an_odd_rate_exactly_once() {
        // 7 ticks a second, read at every tick for 1000 s: no rounding may accumulate.
        let mut counter = counter(7, 16);
        let mut last = Instant::ZERO;
        for tick in 0..=7_000_u64 {
            last = counter.extend(tick);
            assert_eq!(last.as_millis(), tick * 1000 / 7);
        }
        assert_eq!(last.as_millis(), 1_000_000);
    }

    #[test]
    fn takes_half_the_range_or_more_for_a_step_back() {
        let mut forward = counter(1_000, 8);
        forward.extend(0);
        assert_eq!(forward.extend(127).as_millis(), 127);
        let mut back = counter(1_000, 8);
        back.extend(200);
        back.extend(60); // 116 on, over the wrap
        assert_eq!(back.extend(188).as_millis(), 0); // 128 on is 128 back
    }

    #[test]
    fn reads_a_counter_of_the_full_64_bits() {
        let mut wide = counter(1_000_000_000, 64);
        wide.extend(u64::MAX - 5);
        assert_eq!(wide.extend(1_999_999_994).as_millis(), 2_000);
    }

    #[test]
    fn ignores_bits_above_the_width() {
        let mut narrow = counter(1_000, 24);
        narrow.extend(0xFF00_0000);
        assert_eq!(narrow.extend(0xAB00_0005).as_millis(), 5);
    }

    #[test]
    fn refuses_rates_that_mean_nothing() {
        let text = |e: TickRateError| e.to_string();
        assert_eq!(
            TickRate::from_hz(0, 32).map_err(text),
            Err("a clock of 0 Hz never moves".into())
        );
        assert_eq!(
            TickRate::from_hz(1, 65).map_err(text),
            Err("a counter has 2 to 64 bits, not 65".into())
        );
        assert_eq!(
            TickRate::from_hz(1, 1),
            Err(TickRateError::Bits { bits: 1 })
        );
        assert_eq!(
            TickRate::from_seconds_per_tick(1, 0, 32).map_err(text),
            Err("numerator and denominator of a tick's length must not be 0".into())
        );
        assert_eq!(
            TickRate::from_seconds_per_tick(u32::MAX, 1, 32).map_err(text),
            Err("a tick must be shorter than 2^32 ms".into())
        );
    }

    proptest! {
        #[test]
        fn agrees_with_wide_arithmetic_over_wraps_and_steps_back(
            hz in 1_u32..=u32::MAX,
            bits in 8_u8..=64,
            steps in prop::collection::vec((any::<u64>(), any::<bool>()), 1..60),
        ) {
            let mut counter = counter(hz, bits);
            let half = u64::MAX >> (64 - u32::from(bits)) >> 1;
            let (mut raw, mut ticks) = (12_345_u64, 0_i128);
            counter.extend(raw);
            for (size, forward) in steps {
                let size = size & half & 0xFFFF_FFFF_FFFF;
                if forward {
                    raw = raw.wrapping_add(size);
                    ticks += i128::from(size);
                } else if ticks >= i128::from(size) {
                    raw = raw.wrapping_sub(size);
                    ticks -= i128::from(size);
                }
                let millis = u64::try_from(ticks * 1000 / i128::from(hz)).unwrap();
                prop_assert_eq!(counter.extend(raw), Instant::from_millis(millis));
            }
        }
    }
}
