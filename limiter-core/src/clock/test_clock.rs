//! A clock for tests: set it, step it back, stop it, break it, let it wrap.

use super::{Clock, ClockError, MonotonicClock, UtcClock};
use crate::time::{Instant, Now, UnixTime};
use core::cell::Cell;

/// Both clocks of a limiter under a test's control.
///
/// The trait implementations are on `&TestClock`, so that a test keeps its hands on the clock it
/// has lent out. Nothing moves unless it is told to.
///
/// ```
/// use limiter_core::clock::{Clock, ClockError, TestClock};
///
/// let clock = TestClock::new(5_000, Some(1_716_000_000));
/// clock.advance(1_500); // both clocks
/// assert_eq!((&clock).read().unwrap().monotonic().as_millis(), 6_500);
/// clock.step_back(2_000); // the monotonic clock alone
/// clock.set_utc(None);
/// assert_eq!((&clock).read().unwrap().utc(), None);
/// clock.fail_with(Some(ClockError::NotRunning));
/// assert_eq!((&clock).read(), Err(ClockError::NotRunning));
/// ```
#[derive(Debug, Default)]
pub struct TestClock {
    millis: Cell<u64>,
    utc: Cell<Option<UnixTime>>,
    /// Milliseconds of the current UTC second that have passed.
    utc_millis: Cell<u64>,
    frozen: Cell<bool>,
    failure: Cell<Option<ClockError>>,
}

impl TestClock {
    /// A clock that shows `millis` of monotonic time and a UTC of `utc` seconds; a UTC past the
    /// range is unknown.
    #[must_use]
    pub const fn new(millis: u64, utc: Option<u64>) -> Self {
        let utc = match utc {
            Some(secs) => UnixTime::from_secs(secs),
            None => None,
        };
        Self {
            millis: Cell::new(millis),
            utc: Cell::new(utc),
            utc_millis: Cell::new(0),
            frozen: Cell::new(false),
            failure: Cell::new(None),
        }
    }

    /// Lets both clocks go on by `millis`, unless they are frozen.
    pub fn advance(&self, millis: u64) {
        if self.frozen.get() {
            return;
        }
        self.millis.set(self.millis.get().saturating_add(millis));
        let (seconds, rest) =
            crate::math::div_rem(self.utc_millis.get().saturating_add(millis), 1000);
        self.utc_millis.set(u64::from(rest));
        let moved = self
            .utc
            .get()
            .and_then(|t| UnixTime::from_secs(t.as_secs().saturating_add(seconds)));
        self.utc.set(moved);
    }

    /// Puts the monotonic clock back by `millis`, to 0 at most.
    pub fn step_back(&self, millis: u64) {
        self.millis.set(self.millis.get().saturating_sub(millis));
    }

    /// Sets UTC in seconds, or makes it unknown; a UTC past the range is unknown.
    pub fn set_utc(&self, secs: Option<u64>) {
        self.utc.set(secs.and_then(UnixTime::from_secs));
        self.utc_millis.set(0);
    }

    /// Stops or starts both clocks: while frozen, [`TestClock::advance`] does nothing.
    pub fn freeze(&self, frozen: bool) {
        self.frozen.set(frozen);
    }

    /// Makes every reading fail, or work again.
    pub fn fail_with(&self, failure: Option<ClockError>) {
        self.failure.set(failure);
    }

    /// The monotonic clock as a bare 32-bit counter of milliseconds, which wraps after 49.7 days.
    #[must_use]
    pub fn ticks(&self) -> TestTicks<'_> {
        TestTicks(self)
    }
}

/// [`TestClock`] as a 32-bit counter of milliseconds. Under the feature `embedded-time` it is an
/// `embedded_time::Clock`.
#[derive(Clone, Copy, Debug)]
pub struct TestTicks<'a>(&'a TestClock);

impl TestTicks<'_> {
    /// The low 32 bits of the milliseconds.
    ///
    /// # Errors
    ///
    /// What [`TestClock::fail_with`] was told.
    pub fn read(&self) -> Result<u32, ClockError> {
        match self.0.failure.get() {
            Some(error) => Err(error),
            None => Ok(crate::math::low32(self.0.millis.get())),
        }
    }
}

impl MonotonicClock for &TestClock {
    fn now(&mut self) -> Result<Instant, ClockError> {
        match self.failure.get() {
            Some(error) => Err(error),
            None => Ok(Instant::from_millis(self.millis.get())),
        }
    }
}

impl UtcClock for &TestClock {
    fn unix_time(&mut self) -> Result<UnixTime, ClockError> {
        match self.failure.get() {
            Some(error) => Err(error),
            None => self.utc.get().ok_or(ClockError::NotRunning),
        }
    }
}

impl Clock for &TestClock {
    fn read(&mut self) -> Result<Now, ClockError> {
        Ok(Now::new(MonotonicClock::now(self)?, self.unix_time().ok()))
    }
}

#[cfg(feature = "embedded-time")]
impl embedded_time::Clock for TestTicks<'_> {
    type T = u32;
    const SCALING_FACTOR: embedded_time::fraction::Fraction =
        embedded_time::fraction::Fraction::new(1, 1000);

    fn try_now(&self) -> Result<embedded_time::Instant<Self>, embedded_time::clock::Error> {
        match self.read() {
            Ok(ticks) => Ok(embedded_time::Instant::new(ticks)),
            Err(ClockError::NotRunning) => Err(embedded_time::clock::Error::NotRunning),
            Err(ClockError::Failed) => Err(embedded_time::clock::Error::Unspecified),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_both_clocks_together_and_carries_milliseconds() {
        let clock = TestClock::new(0, Some(100));
        for _ in 0..3 {
            clock.advance(999);
        }
        let now = (&clock).read().unwrap();
        assert_eq!(
            now,
            Now::new(Instant::from_millis(2_997), UnixTime::from_secs(102))
        );
        clock.freeze(true);
        clock.advance(10_000);
        assert_eq!((&clock).read(), Ok(now));
    }

    #[cfg(feature = "embedded-time")]
    #[test]
    fn wraps_and_fails_through_embedded_time() {
        use crate::clock::EmbeddedTimeClock;
        let start = u64::from(u32::MAX) - 499;
        let clock = TestClock::new(start, None);
        let mut adapter = EmbeddedTimeClock::new(clock.ticks()).unwrap();
        assert_eq!(adapter.now(), Ok(Instant::from_millis(start)));
        clock.advance(1_500);
        assert_eq!(adapter.now(), Ok(Instant::from_millis(start + 1_500)));
        clock.fail_with(Some(ClockError::NotRunning));
        assert_eq!(adapter.now(), Err(ClockError::NotRunning));
        clock.fail_with(Some(ClockError::Failed));
        assert_eq!(adapter.now(), Err(ClockError::Failed));
        clock.fail_with(None);
        clock.step_back(1_000);
        assert_eq!(adapter.now(), Ok(Instant::from_millis(start + 500)));
    }
}
