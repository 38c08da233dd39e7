//! Adapters to time crates: the only file that names one, each behind its feature.
//!
//! They take from those crates nothing but the raw tick count and the tick's length. Order,
//! subtraction and conversion of `embedded_time` and of older `fugit` instants are not safe over a
//! wrap, so [`TickCounter`](super::TickCounter) does that work.

#[cfg(feature = "embedded-time")]
mod embedded_time_clock {
    use super::super::{ClockError, MonotonicClock, TickCounter, TickRate, TickRateError};
    use crate::time::Instant;
    use embedded_time::clock::Error;

    /// Any [`embedded_time::Clock`], of 32- or 64-bit ticks and any scaling factor.
    ///
    /// A reading fails as the clock's own does: `NotRunning` stays that, any other error is
    /// [`ClockError::Failed`].
    ///
    /// ```
    /// use embedded_time::{Clock as _, Instant, clock::Error, fraction::Fraction};
    /// use limiter_core::clock::{EmbeddedTimeClock, MonotonicClock as _};
    /// # use core::cell::Cell;
    ///
    /// struct Timer(Cell<u32>);
    ///
    /// impl embedded_time::Clock for Timer {
    ///     type T = u32;
    ///     const SCALING_FACTOR: Fraction = Fraction::new(1, 32_768);
    ///     fn try_now(&self) -> Result<Instant<Self>, Error> {
    ///         self.0.set(self.0.get().wrapping_add(16_384)); // stands for a register
    ///         Ok(Instant::new(self.0.get()))
    ///     }
    /// }
    ///
    /// let mut clock = EmbeddedTimeClock::new(Timer(Cell::new(u32::MAX))).unwrap();
    /// assert_eq!(clock.now().unwrap().as_millis(), 0);
    /// assert_eq!(clock.now().unwrap().as_millis(), 500);
    /// ```
    #[derive(Debug)]
    pub struct EmbeddedTimeClock<C> {
        clock: C,
        counter: TickCounter,
    }

    impl<C: embedded_time::Clock> EmbeddedTimeClock<C>
    where
        u64: From<C::T>,
    {
        /// Wraps a clock. Time counts from its first reading.
        ///
        /// # Errors
        ///
        /// [`TickRateError`] when the clock's `SCALING_FACTOR` is not a length of time.
        pub fn new(clock: C) -> Result<Self, TickRateError> {
            let bits = if size_of::<C::T>() > 4 { 64 } else { 32 };
            let factor = C::SCALING_FACTOR;
            let rate =
                TickRate::from_seconds_per_tick(*factor.numerator(), *factor.denominator(), bits)?;
            Ok(Self {
                clock,
                counter: TickCounter::new(rate),
            })
        }

        /// The clock inside.
        pub fn inner(&self) -> &C {
            &self.clock
        }
    }

    impl<C: embedded_time::Clock> MonotonicClock for EmbeddedTimeClock<C>
    where
        u64: From<C::T>,
    {
        fn now(&mut self) -> Result<Instant, ClockError> {
            let reading = self.clock.try_now().map_err(|error| match error {
                Error::NotRunning => ClockError::NotRunning,
                _ => ClockError::Failed,
            })?;
            let ticks = reading.duration_since_epoch().integer();
            Ok(self.counter.extend(u64::from(ticks)))
        }
    }
}

#[cfg(feature = "embedded-time")]
pub use embedded_time_clock::EmbeddedTimeClock;
