//! The operating system's clocks, read cheaply: the only file that reads them.
//!
//! A decision costs a few nanoseconds, reading `std::time::Instant` three times that. So
//! [`SystemClock`] reads the processor's cycle counter, and holds it against the operating system's
//! clocks every half second.
//!
//! Nanoseconds a reading, medians of 800 interleaved rounds on a 2-vCPU virtual machine (Zen 4), on
//! which the bare counter takes 9.49:
//!
//! | source | ns | correct to |
//! |---|---|---|
//! | `Instant::elapsed` in ms | 25.5 | 1 ns |
//! | `SystemTime::now` | 23.1 | 1 ns |
//! | `quanta::Clock::now`, `minstant` (cycle counter) | 9.49 | 1 µs, and drifts |
//! | `CLOCK_MONOTONIC_COARSE` | 4.6 to 6.5 | 4 ms, the kernel's tick: too coarse |
//! | `quanta`'s and `coarsetime`'s `recent` | 0.6, 1.4 | when a thread of theirs last ran |
//! | [`SystemClock`], both clocks in one [`Now`] | 9.49 | 1 ms |
//! | [`SharedClock`] over it | 9.6 | 1 ms |

mod shared;
mod steps;
#[cfg(any(feature = "redis", feature = "tower"))]
mod stopwatch;

pub use self::shared::SharedClock;
pub use self::steps::{UtcGuard, UtcStep};
#[cfg(any(feature = "redis", feature = "tower"))]
pub(crate) use self::stopwatch::{Started, Stopwatch};

use limiter_core::clock::{Clock, ClockError, MonotonicClock, UtcClock};
use limiter_core::{Instant, Now, UnixTime};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Monotonic milliseconds since construction, and UTC; shared by reference between threads.
///
/// - A step of the system's UTC is seen within half a second, or at the first reading after a
///   longer pause. Between two such looks UTC goes on with the monotonic clock.
/// - Time spent suspended does not count, as for `std::time::Instant`: windows and blocks are that
///   much longer for the world outside, and UTC still tells the right day.
/// - Two readings, of one thread or of several, may go backwards by at most a millisecond where the
///   counter is set right. The time line (SPEC M1 to M3) is written for more than that.
///
/// ```
/// use limiter_host::SystemClock;
/// let clock = SystemClock::new();
/// let now = clock.now();
/// assert!(now.utc().is_some(), "this machine knows the date");
/// ```
#[derive(Debug)]
pub struct SystemClock(Disciplined<OsClocks>);

impl SystemClock {
    /// A clock that starts at 0. The first one of a process measures the cycle counter's rate, which
    /// takes up to 200 ms.
    #[must_use]
    pub fn new() -> Self {
        Self(Disciplined::new(OsClocks::new()))
    }

    /// Reads both clocks; a UTC before 1970 is unknown.
    ///
    /// *O*(1), about as long as the processor takes to read its counter; every half second one
    /// reading asks the operating system. Does not allocate or lock.
    #[inline]
    #[must_use]
    pub fn now(&self) -> Now {
        self.0.now()
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl MonotonicClock for &SystemClock {
    fn now(&mut self) -> Result<Instant, ClockError> {
        Ok(SystemClock::now(self).monotonic())
    }
}

impl UtcClock for &SystemClock {
    fn unix_time(&mut self) -> Result<UnixTime, ClockError> {
        SystemClock::now(self).utc().ok_or(ClockError::NotRunning)
    }
}

impl Clock for &SystemClock {
    fn read(&mut self) -> Result<Now, ClockError> {
        Ok(SystemClock::now(self))
    }
}

impl MonotonicClock for SystemClock {
    fn now(&mut self) -> Result<Instant, ClockError> {
        MonotonicClock::now(&mut &*self)
    }
}

impl UtcClock for SystemClock {
    fn unix_time(&mut self) -> Result<UnixTime, ClockError> {
        (&*self).unix_time()
    }
}

impl Clock for SystemClock {
    fn read(&mut self) -> Result<Now, ClockError> {
        (&*self).read()
    }
}

/// Where the readings come from.
trait Source {
    /// A counter that costs little; it may drift, and jump over a suspension.
    fn ticks(&self) -> u64;
    /// Nanoseconds of 2^32 ticks, about.
    fn ns_per_2_pow_32_ticks(&self) -> u64;
    /// Nanoseconds of the trusted monotonic clock.
    fn monotonic_ns(&self) -> u64;
    /// Milliseconds since 1970, `None` before that.
    fn utc_ms(&self) -> Option<u64>;
}

/// A cheap counter, held against trusted clocks at least every [`LOOK_NS`].
///
/// The three words are written one by one, so a reading may see one look's lead beside another's;
/// each is right on its own. Any reading that finds the last look too old, or in the future, takes
/// the trusted clocks' word, so a counter that jumped is never believed.
#[derive(Debug)]
struct Disciplined<S> {
    source: S,
    rate: Rate,
    /// [`LOOK_NS`] in ticks.
    look_ticks: u64,
    /// The counter at the last look.
    looked_at: AtomicU64,
    /// Monotonic minus counter, in ticks modulo 2^64.
    lead_ticks: AtomicU64,
    /// UTC minus monotonic, in milliseconds modulo 2^64, or `UNKNOWN`.
    utc_lead_ms: AtomicU64,
}

impl<S: Source> Disciplined<S> {
    fn new(source: S) -> Self {
        let rate = Rate::new(source.ns_per_2_pow_32_ticks());
        let look_ticks = rate.ticks(LOOK_NS);
        let never = source.ticks().wrapping_sub(look_ticks);
        let clock = Self {
            source,
            rate,
            look_ticks,
            looked_at: AtomicU64::new(never),
            lead_ticks: AtomicU64::new(0),
            utc_lead_ms: AtomicU64::new(UNKNOWN),
        };
        clock.look();
        clock
    }

    #[inline]
    fn now(&self) -> Now {
        let ticks = self.source.ticks();
        // Acquire: whoever sees a look's time sees its leads too.
        let looked_at = self.looked_at.load(Ordering::Acquire);
        if ticks.wrapping_sub(looked_at) >= self.look_ticks {
            return self.look();
        }
        let monotonic_ticks = ticks.wrapping_add(self.lead_ticks.load(Ordering::Relaxed));
        let millis = self.rate.millis(monotonic_ticks);
        join(millis, self.utc_lead_ms.load(Ordering::Relaxed))
    }

    /// Reads the trusted clocks, and keeps what they say unless the thread was held up meanwhile.
    #[cold]
    fn look(&self) -> Now {
        let before = self.source.ticks();
        let monotonic_ns = self.source.monotonic_ns();
        let millis = monotonic_ns / NS_PER_MS;
        let utc_lead_ms = match self.source.utc_ms() {
            Some(utc_ms) => utc_ms.wrapping_sub(millis),
            None => UNKNOWN,
        };
        let after = self.source.ticks();
        if after.wrapping_sub(before) <= self.rate.ticks(HELD_UP_NS) {
            let lead = self.rate.ticks(monotonic_ns).wrapping_sub(before);
            self.lead_ticks.store(lead, Ordering::Relaxed);
            self.utc_lead_ms.store(utc_lead_ms, Ordering::Relaxed);
            self.looked_at.store(before, Ordering::Release);
        }
        join(millis, utc_lead_ms)
    }
}

/// How fast the counter counts: milliseconds of a tick, times 2^64, rounded up.
///
/// One multiplication makes milliseconds of ticks. Both ways round up, so that a time made ticks and
/// milliseconds again is what it was; what is rounded too far between two looks is less than a tick.
#[derive(Clone, Copy, Debug)]
struct Rate(u64);

impl Rate {
    /// From the nanoseconds of 2^32 ticks; none is taken for one.
    fn new(ns_per_2_pow_32_ticks: u64) -> Self {
        let numerator = u128::from(ns_per_2_pow_32_ticks.max(1)) << 32;
        let rate = numerator.div_ceil(NS_PER_MS.into());
        Self(u64::try_from(rate).unwrap_or(u64::MAX))
    }

    #[inline]
    fn millis(self, ticks: u64) -> u64 {
        high_half(u128::from(ticks) * u128::from(self.0))
    }

    /// The fewest ticks of so many nanoseconds.
    fn ticks(self, ns: u64) -> u64 {
        let ticks = (u128::from(ns) << 64).div_ceil(u128::from(self.0) * u128::from(NS_PER_MS));
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }
}

/// The upper 64 bits.
#[inline]
fn high_half(product: u128) -> u64 {
    u64::try_from(product >> 64).unwrap_or(u64::MAX)
}

/// A reading from the monotonic time and UTC's lead.
#[inline]
fn join(millis: u64, utc_lead_ms: u64) -> Now {
    let utc = if utc_lead_ms == UNKNOWN {
        None
    } else {
        UnixTime::from_secs(millis.wrapping_add(utc_lead_ms) / MS_PER_S)
    };
    Now::new(Instant::from_millis(millis), utc)
}

/// The cycle counter where it can be trusted (else quanta asks the operating system each time), and
/// the operating system's clocks.
#[derive(Debug)]
struct OsClocks {
    counter: quanta::Clock,
    origin: std::time::Instant,
}

impl OsClocks {
    #[allow(clippy::disallowed_methods, reason = "this file reads the clocks")]
    fn new() -> Self {
        Self {
            counter: quanta::Clock::new(),
            origin: std::time::Instant::now(),
        }
    }
}

impl Source for OsClocks {
    #[inline]
    fn ticks(&self) -> u64 {
        self.counter.raw()
    }

    fn ns_per_2_pow_32_ticks(&self) -> u64 {
        self.counter.delta_as_nanos(0, 1 << 32)
    }

    fn monotonic_ns(&self) -> u64 {
        nanos(self.origin.elapsed())
    }

    #[allow(clippy::disallowed_methods, reason = "this file reads the clocks")]
    fn utc_ms(&self) -> Option<u64> {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        u64::try_from(since_1970.ok()?.as_millis()).ok()
    }
}

/// 584 years fit.
#[inline]
fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// How old a look may be: the counter drifts by less than half a millisecond in that time, even
/// while the system's clock is slewed at its fastest, 500 ppm.
const LOOK_NS: u64 = 500_000_000;
/// A look that took longer is not kept: its clocks were not read at one time.
const HELD_UP_NS: u64 = 50_000;
const NS_PER_MS: u64 = 1_000_000;
const MS_PER_S: u64 = 1_000;
/// Stored for an unknown UTC; no lead, for that would put UTC 1 ms behind the monotonic clock.
const UNKNOWN: u64 = u64::MAX;

#[cfg(test)]
mod tests;
