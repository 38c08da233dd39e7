//! Clocks: what turns a device's timers into the [`Now`] of a decision.
//!
//! The core's decisions take the time as an argument. These traits and adapters stand one level
//! above, for applications that want to inject a clock once and forget it: `Shared` keeps one with
//! its limiter, and [`crate::Limiter::check_with`] reads one.
//!
//! A limiter needs *one* clock: two whose origins differ take turns at being an outlier (SPEC M3).
//! All adapters here count from the origin of what they read, so two of them over one counter
//! agree, with the one exception of a narrow counter that wraps between their first readings
//! ([`TickCounter`]).
//!
//! | you have | use |
//! |---|---|
//! | a millisecond counter of 64 bits | [`FnClock`] over a closure |
//! | a tick counter of any width and rate that wraps | [`TickClock`] over a closure |
//! | a type that implements `embedded_time::Clock` | `EmbeddedTimeClock` (feature `embedded-time`) |
//! | embassy | `EmbassyClock` (feature `embassy-time`) |
//! | RTIC or a HAL on fugit, any version | [`TickClock`] over a closure that returns the ticks |
//! | an RTC | [`FnUtc`] over a closure that reads Unix seconds |
//! | no RTC | [`NoUtc`] |
//! | a test | [`TestClock`] |

mod adapters;
mod counter;
mod test_clock;

#[cfg(feature = "embassy-time")]
pub use self::adapters::EmbassyClock;
#[cfg(feature = "embedded-time")]
pub use self::adapters::EmbeddedTimeClock;
pub use self::counter::{TickClock, TickCounter, TickRate, TickRateError, TickReading};
pub use self::test_clock::{TestClock, TestTicks};

use crate::time::{Instant, Now, UnixTime};

/// A source of monotonic time.
///
/// `now` takes `&mut self` because a reading may have to carry state: the wraps of a 32-bit
/// counter, a driver behind a bus. A clock without state implements the trait for its reference
/// too.
pub trait MonotonicClock {
    /// Reads the clock.
    ///
    /// # Errors
    ///
    /// [`ClockError`] when there is no trustworthy reading; the limiter then refuses with
    /// [`crate::Reason::ClockFailed`] (SPEC O8).
    fn now(&mut self) -> Result<Instant, ClockError>;
}

/// A source of UTC.
pub trait UtcClock {
    /// Reads the clock.
    ///
    /// # Errors
    ///
    /// [`ClockError`] when UTC is not known: an RTC that was never set, a failed read. That is no
    /// reason to refuse; the calendar goes on by monotonic time (SPEC D10).
    fn unix_time(&mut self) -> Result<UnixTime, ClockError>;
}

/// Both clocks of a limiter, read together.
pub trait Clock {
    /// Reads both clocks; a UTC that cannot be read is unknown.
    ///
    /// # Errors
    ///
    /// [`ClockError`] when the monotonic clock cannot be read.
    fn read(&mut self) -> Result<Now, ClockError>;
}

/// Why a clock gave no reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ClockError {
    /// The clock is stopped, or was never set.
    NotRunning,
    /// The reading failed, or is not plausible.
    Failed,
}

impl core::fmt::Display for ClockError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NotRunning => "the clock is not running",
            Self::Failed => "the clock could not be read",
        })
    }
}

impl core::error::Error for ClockError {}

/// A pair of clocks.
///
/// ```
/// use limiter_core::{Instant, UnixTime, clock::{Clock, Clocks, FnClock, FnUtc}};
///
/// let mut clocks = Clocks {
///     monotonic: FnClock(|| Ok(Instant::from_millis(12))),
///     utc: FnUtc(|| Ok(1_716_000_000)),
/// };
/// let now = clocks.read().unwrap();
/// assert_eq!(now.utc(), UnixTime::from_secs(1_716_000_000));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Clocks<M, U> {
    /// Times windows, blocks and the calendar's pace.
    pub monotonic: M,
    /// Tells the day.
    pub utc: U,
}

/// A function or closure that reads both clocks.
impl<F: FnMut() -> Result<Now, ClockError>> Clock for F {
    fn read(&mut self) -> Result<Now, ClockError> {
        self()
    }
}

impl<M: MonotonicClock, U: UtcClock> Clock for Clocks<M, U> {
    fn read(&mut self) -> Result<Now, ClockError> {
        let monotonic = self.monotonic.now()?;
        Ok(Now::new(monotonic, self.utc.unix_time().ok()))
    }
}

/// A monotonic clock from a closure that returns an [`Instant`].
#[derive(Clone, Copy, Debug)]
pub struct FnClock<F>(pub F);

impl<F: FnMut() -> Result<Instant, ClockError>> MonotonicClock for FnClock<F> {
    fn now(&mut self) -> Result<Instant, ClockError> {
        (self.0)()
    }
}

/// A UTC clock from a closure that returns Unix seconds, negative ones included.
#[derive(Clone, Copy, Debug)]
pub struct FnUtc<F>(pub F);

impl<F: FnMut() -> Result<i64, ClockError>> UtcClock for FnUtc<F> {
    fn unix_time(&mut self) -> Result<UnixTime, ClockError> {
        let secs = u64::try_from((self.0)()?).map_err(|_| ClockError::Failed)?;
        UnixTime::from_secs(secs).ok_or(ClockError::Failed)
    }
}

/// The UTC of a device that has none: always unknown. The day then lasts 24 h of monotonic time
/// (SPEC D10).
#[derive(Clone, Copy, Debug, Default)]
pub struct NoUtc;

impl UtcClock for NoUtc {
    fn unix_time(&mut self) -> Result<UnixTime, ClockError> {
        Err(ClockError::NotRunning)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_a_monotonic_failure_on_and_forgives_a_utc_failure() {
        let mut broken = Clocks {
            monotonic: FnClock(|| Err(ClockError::NotRunning)),
            utc: NoUtc,
        };
        assert_eq!(broken.read(), Err(ClockError::NotRunning));

        let mut no_rtc = Clocks {
            monotonic: FnClock(|| Ok(Instant::from_millis(7))),
            utc: NoUtc,
        };
        assert_eq!(no_rtc.read(), Ok(Now::new(Instant::from_millis(7), None)));
    }

    #[test]
    fn rejects_a_date_before_1970_and_after_the_range() {
        assert_eq!(FnUtc(|| Ok(-1)).unix_time(), Err(ClockError::Failed));
        assert_eq!(FnUtc(|| Ok(1 << 39)).unix_time(), Err(ClockError::Failed));
        assert_eq!(FnUtc(|| Ok(0)).unix_time(), Ok(UnixTime::EPOCH));
    }

    #[test]
    fn names_the_error_in_words() {
        use std::string::ToString;
        assert_eq!(
            ClockError::NotRunning.to_string(),
            "the clock is not running"
        );
        assert_eq!(
            ClockError::Failed.to_string(),
            "the clock could not be read"
        );
    }
}
