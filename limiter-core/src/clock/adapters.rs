//! Adapters to time crates: the only file that names one, each behind its feature.
//!
//! They take from those crates nothing but the raw tick count and the tick's length. Order,
//! subtraction and conversion of `embedded_time` instants are not safe over a wrap, so
//! [`TickCounter`](super::TickCounter) does that work.

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
    /// let mut clock = EmbeddedTimeClock::new(Timer(Cell::new(32_768))).unwrap();
    /// assert_eq!(clock.now().unwrap().as_millis(), 1_500);
    /// assert_eq!(clock.now().unwrap().as_millis(), 2_000);
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
        /// Wraps a clock. Time counts from the clock's own zero; see [`TickCounter`].
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

#[cfg(feature = "embassy-time")]
mod embassy_clock {
    use super::super::{ClockError, MonotonicClock, TickCounter, TickRate};
    use crate::math;
    use crate::time::Instant;

    /// The time of embassy, through its driver: `embassy_time_driver::now()` at `TICK_HZ`.
    ///
    /// It never fails. Time counts from the driver's zero, which is the start of the device, so all
    /// `EmbassyClock`s agree. The type holds the last reading, since a short span is converted with
    /// fewer instructions than a long one.
    #[derive(Clone, Copy, Debug)]
    pub struct EmbassyClock {
        counter: TickCounter,
    }

    impl EmbassyClock {
        /// A clock that was not read yet.
        #[must_use]
        pub const fn new() -> Self {
            const RATE: TickRate = {
                let hz = embassy_time_driver::TICK_HZ;
                assert!(hz >> 32 == 0, "embassy's tick rate must be below 2^32 Hz");
                match TickRate::from_hz(math::low32(hz), 64) {
                    Ok(rate) => rate,
                    Err(_) => panic!("embassy's tick rate must not be 0"),
                }
            };
            Self {
                counter: TickCounter::new(RATE),
            }
        }
    }

    impl Default for EmbassyClock {
        fn default() -> Self {
            Self::new()
        }
    }

    impl MonotonicClock for EmbassyClock {
        // Inlined into its caller, so that a program without a time driver links.
        #[inline]
        fn now(&mut self) -> Result<Instant, ClockError> {
            Ok(self.counter.extend(embassy_time_driver::now()))
        }
    }
}

#[cfg(feature = "embassy-time")]
pub use embassy_clock::EmbassyClock;
#[cfg(feature = "embedded-time")]
pub use embedded_time_clock::EmbeddedTimeClock;
