//! From a tick counter of any width and rate, wraps included, to milliseconds (SPEC W7).

use super::{ClockError, MonotonicClock};
use crate::math;
use crate::time::Instant;

/// The length of a tick and the width of the counter.
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

/// The reason that a [`TickRate`] was refused.
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
/// Time counts from the counter's own zero, so two `TickCounter`s of one counter agree:
///
/// - A counter of 64 bits is read as it is. The time is a function of the reading alone.
/// - A narrower one wraps, and its wraps are counted here, from the first reading on. Two
///   `TickCounter`s agree as long as the counter did not wrap between their first readings; keep
///   one, with the limiter ([`Shared`](crate#features) holds its clock).
///
/// Of a counter that wraps, the difference from the last reading, modulo the counter's range, is
/// time passed if it is below half the range, and else a step back. So one reading per half range
/// is needed (35 minutes for 32 bits at 1 MHz). A missed one is taken for a step back: it may delay
/// a reset and never brings one forward.
///
/// The conversion is exact: no rounding accumulates, at any rate and over any span.
///
/// ```
/// use limiter_core::clock::{TickCounter, TickRate};
///
/// let mut counter = TickCounter::new(TickRate::from_hz(1_000_000, 32).unwrap());
/// assert_eq!(counter.extend(4_294_967_000).as_millis(), 4_294_967);
/// assert_eq!(counter.extend(704).as_millis(), 4_294_968); // 1 000 ticks later, over the wrap
/// assert_eq!(counter.extend(4_294_966_704).as_millis(), 4_294_966); // 1 296 ticks back
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
    /// ignored. A step back past the counter's zero gives [`Instant::ZERO`].
    ///
    /// *O*(bits of the elapsed ticks), at most 96 steps; 32-bit division is not used.
    pub fn extend(&mut self, raw: u64) -> Instant {
        let unused = 64_u32.wrapping_sub(u32::from(self.rate.bits));
        let range_mask = u64::MAX.wrapping_shr(unused);
        let raw = raw & range_mask;
        match self.last.replace(raw) {
            None => self.advance(raw),
            Some(last) if unused == 0 => {
                // A counter of 64 bits does not wrap. Backward it is read anew, so that its past
                // leaves no trace.
                let elapsed = raw.checked_sub(last).unwrap_or_else(|| {
                    (self.millis, self.fraction) = (0, 0);
                    raw
                });
                self.advance(elapsed);
            }
            Some(last) => {
                let elapsed = raw.wrapping_sub(last) & range_mask;
                // OK because bits >= 2: half the range is at least 2.
                if elapsed <= range_mask >> 1 {
                    self.advance(elapsed);
                } else {
                    self.step_back(elapsed.wrapping_neg() & range_mask);
                }
            }
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

    /// Whole milliseconds in `ticks`, at most 2^64 - 1, and the rest in 1 / denominator ms.
    ///
    /// Long division of the 96-bit product `ticks * numerator`, 32 bits at a time.
    fn convert(&self, ticks: u64) -> (u64, u32) {
        let (numerator, denominator) = (math::widen(self.rate.numerator), self.rate.denominator);
        // OK because (2^32 - 1)^2 + 2^32 - 1 is below 2^64.
        let low = math::widen(math::low32(ticks)).wrapping_mul(numerator);
        let high = math::widen(math::high32(ticks))
            .wrapping_mul(numerator)
            .wrapping_add(low >> 32);
        let (above, rest) = math::div_rem(high, denominator);
        // OK because the rest is below the denominator: the quotient is below 2^32.
        let (below, fraction) = math::div_rem(
            (math::widen(rest) << 32) | math::widen(math::low32(low)),
            denominator,
        );
        if math::high32(above) == 0 {
            ((above << 32) | below, fraction)
        } else {
            (u64::MAX, fraction)
        }
    }
}

/// A monotonic clock over a closure that reads a raw tick counter.
///
/// The closure returns `u32` or `u64`, or a `Result` of one where reading can fail. So it fits a
/// register, a HAL's timer, and the `ticks()` of any version of fugit: nothing but the number
/// matters. See [`TickCounter`] for what is counted from.
///
/// ```
/// use limiter_core::clock::{MonotonicClock, TickClock};
///
/// fn timer() -> u32 {
///     32_768 * 5 // stands for a timer's register, for `Mono::now().ticks()`
/// }
///
/// let mut clock = TickClock::from_hz::<32_768>(timer);
/// assert_eq!(clock.now().unwrap().as_millis(), 5_000);
/// ```
///
/// A `static` needs the type's name: `TickClock<fn() -> u32>`.
#[derive(Clone, Copy, Debug)]
pub struct TickClock<F> {
    counter: TickCounter,
    read: F,
}

impl<F: FnMut() -> R, R: TickReading> TickClock<F> {
    /// Joins a rate and a way to read the counter: for a width that is not the type's, such as the
    /// 52 bits of a system timer, and for a tick that is no whole part of a second.
    pub const fn new(rate: TickRate, read: F) -> Self {
        Self {
            counter: TickCounter::new(rate),
            read,
        }
    }

    /// A counter as wide as the closure's number, of `HZ` ticks a second. A rate of 0 does not
    /// compile.
    ///
    /// ```compile_fail
    /// # use limiter_core::clock::TickClock;
    /// TickClock::from_hz::<0>(|| 7_u32);
    /// ```
    pub const fn from_hz<const HZ: u32>(read: F) -> Self {
        let rate = const {
            match TickRate::from_hz(HZ, R::BITS) {
                Ok(rate) => rate,
                Err(_) => panic!("a clock of 0 Hz never moves"),
            }
        };
        Self::new(rate, read)
    }
}

impl<F: FnMut() -> R, R: TickReading> MonotonicClock for TickClock<F> {
    fn now(&mut self) -> Result<Instant, ClockError> {
        let raw = (self.read)().ticks()?;
        Ok(self.counter.extend(raw))
    }
}

/// A raw reading of a tick counter: `u32`, `u64`, or a `Result` of one.
pub trait TickReading: sealed::Reading {
    /// Bits of the number.
    const BITS: u8;

    /// Returns the number.
    ///
    /// # Errors
    ///
    /// The reading's own.
    fn ticks(self) -> Result<u64, ClockError>;
}

impl TickReading for u32 {
    const BITS: u8 = 32;

    fn ticks(self) -> Result<u64, ClockError> {
        Ok(u64::from(self))
    }
}

impl TickReading for u64 {
    const BITS: u8 = 64;

    fn ticks(self) -> Result<u64, ClockError> {
        Ok(self)
    }
}

impl<R: TickReading> TickReading for Result<R, ClockError> {
    const BITS: u8 = R::BITS;

    fn ticks(self) -> Result<u64, ClockError> {
        self?.ticks()
    }
}

mod sealed {
    use super::ClockError;

    pub trait Reading {}

    impl Reading for u32 {}
    impl Reading for u64 {}
    impl<R: Reading> Reading for Result<R, ClockError> {}
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
        assert_eq!(back.extend(60).as_millis(), 316); // 116 on, over the wrap
        assert_eq!(back.extend(188).as_millis(), 188); // 128 on is 128 back
        let mut past_zero = counter(1_000, 8);
        past_zero.extend(5);
        assert_eq!(past_zero.extend(250).as_millis(), 0); // 11 back
    }

    #[test]
    fn a_hundred_days_at_an_odd_rate_of_3_ghz_are_a_hundred_days() {
        // The product of ticks and numerator is beyond 64 bits from 71.2 days on.
        const HZ: u32 = 2_999_999_999;
        let ticks = |days: u64| days * 86_400 * u64::from(HZ);
        let mut counter = counter(HZ, 64);
        counter.extend(ticks(1));
        assert_eq!(counter.extend(ticks(101)).as_millis(), 101 * 86_400_000);
        assert_eq!(counter.extend(ticks(1)).as_millis(), 86_400_000);
        // The whole range of 64 bits, 195 years.
        assert_eq!(counter.extend(u64::MAX).as_millis(), 6_148_914_693_286);
    }

    #[test]
    fn two_counters_of_one_64_bit_counter_agree_whenever_they_were_first_read() {
        let (mut early, mut late) = (counter(999_983, 64), counter(999_983, 64));
        early.extend(7);
        for raw in [10_000_000, 3, u64::MAX, 12, 1 << 63, 40_000_001] {
            assert_eq!(early.extend(raw), late.extend(raw), "{raw}");
        }
    }

    #[test]
    fn two_counters_of_one_narrow_counter_agree_within_a_wrap() {
        let (mut early, mut late) = (counter(1_000_000, 32), counter(1_000_000, 32));
        early.extend(5_000);
        for raw in [2_005_000, 4_000_000_000, 1_000, 900, 2_000_000_000] {
            assert_eq!(early.extend(raw), late.extend(raw), "{raw}");
        }
    }

    #[test]
    fn takes_the_ticks_of_any_version_of_fugit_and_of_a_failing_bus() {
        let micros = || fugit_0_3::Instant::<u32, 1, 1_000_000>::from_ticks(2_000_000).ticks();
        let mut oldest = TickClock::from_hz::<1_000_000>(micros);
        let millis = || fugit_0_5::WrappingInstant::<u64, 1, 1_000>::from_ticks(2_000).as_ticks();
        let mut older = TickClock::from_hz::<1_000>(millis);
        let newest = || fugit_0_6::WrappingInstant::<u32, 1, 32_768>::from_ticks(65_536).as_ticks();
        let mut newest = TickClock::from_hz::<32_768>(newest);
        let all = [oldest.now(), older.now(), newest.now()];
        assert_eq!(all, [Ok(Instant::from_millis(2_000)); 3]);

        let mut failing = TickClock::from_hz::<1_000>(|| Err::<u32, _>(ClockError::Failed));
        assert_eq!(failing.now(), Err(ClockError::Failed));
    }

    #[test]
    fn ignores_bits_above_the_width() {
        let mut narrow = counter(1_000, 24);
        assert_eq!(narrow.extend(0xFF00_0001).as_millis(), 1);
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
            numerator in 1_u32..=4_000_000,
            denominator in 1_u32..=u32::MAX,
            bits in 8_u8..=64,
            first: u64,
            steps in prop::collection::vec((any::<u64>(), any::<bool>(), 0..64_u32), 1..60),
        ) {
            let rate = TickRate::from_seconds_per_tick(numerator, denominator, bits);
            let mut counter = TickCounter::new(rate.unwrap());
            let mask = u64::MAX >> (64 - u32::from(bits));
            let mut ticks = u128::from(first & mask);
            let exact =
                |ticks: u128| ticks * u128::from(numerator) * 1000 / u128::from(denominator);
            // Within what 64 bits of milliseconds hold, and a counter of 64 bits.
            let is_told = |ticks: u128| exact(ticks) >> 63 == 0 && (bits < 64 || ticks >> 64 == 0);
            prop_assume!(is_told(ticks));
            let millis = |ticks| Instant::from_millis(u64::try_from(exact(ticks)).unwrap());
            prop_assert_eq!(counter.extend(first), millis(ticks));
            for (size, forward, less) in steps {
                let size = u128::from((size & mask) >> 1 >> less);
                let next = if forward { ticks + size } else { ticks.saturating_sub(size) };
                if !is_told(next) {
                    continue;
                }
                ticks = next;
                #[allow(clippy::cast_possible_truncation, reason = "that is a wrap")]
                let raw = ticks as u64;
                prop_assert_eq!(counter.extend(raw), millis(ticks));
            }
        }
    }
}
