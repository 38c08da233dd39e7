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

#[cfg(feature = "embassy-time")]
mod embassy_clock {
    use super::super::{ClockError, MonotonicClock, TickCounter, TickRate};
    use crate::math;
    use crate::time::Instant;

    /// The time of embassy, through its driver: `embassy_time_driver::now()` at `TICK_HZ`.
    ///
    /// It never fails. Time counts from the first reading.
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

#[cfg(feature = "fugit")]
mod fugit_clock {
    use super::super::{ClockError, MonotonicClock, TickCounter, TickRate, TickRateError};
    use crate::time::Instant;
    use core::marker::PhantomData;

    /// A closure that returns a [`fugit::Instant`], of 32 or 64 bits and any rate: an RTIC
    /// monotonic, a HAL's timer.
    ///
    /// Only the ticks are used. For other versions of fugit use
    /// [`TickClock`](super::super::TickClock) with a closure that returns the ticks.
    ///
    /// ```
    /// use limiter_core::clock::{FugitClock, MonotonicClock as _};
    ///
    /// let mut ticks = u32::MAX;
    /// let mut clock = FugitClock::new(|| {
    ///     ticks = ticks.wrapping_add(500_000); // stands for `Mono::now()`
    ///     fugit::WrappingInstant::<u32, 1, 1_000_000>::from_ticks(ticks)
    /// })
    /// .unwrap();
    /// assert_eq!(clock.now().unwrap().as_millis(), 0);
    /// assert_eq!(clock.now().unwrap().as_millis(), 500);
    /// ```
    #[derive(Clone, Copy, Debug)]
    pub struct FugitClock<F, I> {
        counter: TickCounter,
        read: F,
        instant: PhantomData<I>,
    }

    impl<F: FnMut() -> I, I: FugitInstant> FugitClock<F, I> {
        /// Joins the closure and the rate that its result's type tells.
        ///
        /// # Errors
        ///
        /// [`TickRateError`] when the type's tick is no length of time.
        pub fn new(read: F) -> Result<Self, TickRateError> {
            let part = |part: u64| u32::try_from(part).map_err(|_| TickRateError::TickTooLong);
            let rate = TickRate::from_seconds_per_tick(
                part(I::NUMERATOR)?,
                part(I::DENOMINATOR)?,
                I::BITS,
            )?;
            Ok(Self {
                counter: TickCounter::new(rate),
                read,
                instant: PhantomData,
            })
        }
    }

    impl<F: FnMut() -> I, I: FugitInstant> MonotonicClock for FugitClock<F, I> {
        fn now(&mut self) -> Result<Instant, ClockError> {
            let reading = (self.read)();
            Ok(self.counter.extend(reading.ticks()))
        }
    }

    /// The instants of fugit: of 32 and of 64 bits.
    pub trait FugitInstant {
        /// Numerator of a tick in seconds.
        const NUMERATOR: u64;
        /// Denominator of a tick in seconds.
        const DENOMINATOR: u64;
        /// Bits of the counter.
        const BITS: u8;

        /// The raw ticks.
        fn ticks(&self) -> u64;
    }

    impl<const N: u64, const D: u64, K: fugit::kind::Kind> FugitInstant
        for fugit::Instant<u32, N, D, K>
    {
        const NUMERATOR: u64 = N;
        const DENOMINATOR: u64 = D;
        const BITS: u8 = 32;

        fn ticks(&self) -> u64 {
            u64::from(self.as_ticks())
        }
    }

    impl<const N: u64, const D: u64, K: fugit::kind::Kind> FugitInstant
        for fugit::Instant<u64, N, D, K>
    {
        const NUMERATOR: u64 = N;
        const DENOMINATOR: u64 = D;
        const BITS: u8 = 64;

        fn ticks(&self) -> u64 {
            self.as_ticks()
        }
    }
}

#[cfg(feature = "embassy-time")]
pub use embassy_clock::EmbassyClock;
#[cfg(feature = "embedded-time")]
pub use embedded_time_clock::EmbeddedTimeClock;
#[cfg(feature = "fugit")]
pub use fugit_clock::{FugitClock, FugitInstant};
