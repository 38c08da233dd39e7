//! The operating system's clocks, read cheaply: the only file that reads them.
//!
//! A decision costs a few nanoseconds, reading `std::time::Instant` ten times that. So
//! [`SystemClock`] reads the processor's cycle counter, and holds it against the operating system's
//! clocks every half second.
//!
//! Nanoseconds a reading, medians of one run on a 2-vCPU virtual machine (Zen 4) on which `rdtsc`
//! alone takes 11.3; at other times the same machine took 9.5 for it:
//!
//! | source | ns | correct to |
//! |---|---|---|
//! | `Instant::elapsed` in ms | 30.9 | 1 ns |
//! | `SystemTime::now` | 42.3 | 1 ns |
//! | `quanta::Clock::now` (cycle counter) | 11.3 | 1 µs |
//! | `CLOCK_MONOTONIC_COARSE` | 4.4 | 4 ms, the kernel's tick: too coarse |
//! | [`SystemClock`], both clocks in one [`Now`] | 11.3 | 1 ms |
//! | [`SharedClock`] over it | 12.1 | 1 ms |

mod shared;
#[cfg(feature = "tower")]
mod stopwatch;

pub use self::shared::SharedClock;
#[cfg(feature = "tower")]
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
///   counter is set right. SPEC W6, B6 and D10c are written for more than that.
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
    /// Nanoseconds of a counter that costs little; it may drift, and jump over a suspension.
    fn cheap_ns(&self) -> u64;
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
    /// The counter at the last look.
    looked_at: AtomicU64,
    /// Monotonic minus counter, in nanoseconds modulo 2^64.
    lead_ns: AtomicU64,
    /// UTC minus monotonic, in milliseconds modulo 2^64, or `UNKNOWN`.
    utc_lead_ms: AtomicU64,
}

impl<S: Source> Disciplined<S> {
    fn new(source: S) -> Self {
        let never = source.cheap_ns().wrapping_sub(LOOK_NS);
        let clock = Self {
            source,
            looked_at: AtomicU64::new(never),
            lead_ns: AtomicU64::new(0),
            utc_lead_ms: AtomicU64::new(UNKNOWN),
        };
        clock.look();
        clock
    }

    #[inline]
    fn now(&self) -> Now {
        let counter = self.source.cheap_ns();
        // Acquire: whoever sees a look's time sees its leads too.
        let looked_at = self.looked_at.load(Ordering::Acquire);
        if counter.wrapping_sub(looked_at) >= LOOK_NS {
            return self.look();
        }
        let monotonic_ns = counter.wrapping_add(self.lead_ns.load(Ordering::Relaxed));
        join(monotonic_ns, self.utc_lead_ms.load(Ordering::Relaxed))
    }

    /// Reads the trusted clocks, and keeps what they say unless the thread was held up meanwhile.
    #[cold]
    fn look(&self) -> Now {
        let before = self.source.cheap_ns();
        let monotonic_ns = self.source.monotonic_ns();
        let utc_lead_ms = match self.source.utc_ms() {
            Some(utc_ms) => utc_ms.wrapping_sub(monotonic_ns / NS_PER_MS),
            None => UNKNOWN,
        };
        let after = self.source.cheap_ns();
        if after.wrapping_sub(before) <= HELD_UP_NS {
            let lead = monotonic_ns.wrapping_sub(before);
            self.lead_ns.store(lead, Ordering::Relaxed);
            self.utc_lead_ms.store(utc_lead_ms, Ordering::Relaxed);
            self.looked_at.store(before, Ordering::Release);
        }
        join(monotonic_ns, utc_lead_ms)
    }
}

/// A reading from the monotonic time and UTC's lead.
#[inline]
fn join(monotonic_ns: u64, utc_lead_ms: u64) -> Now {
    let millis = monotonic_ns / NS_PER_MS;
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
    fn cheap_ns(&self) -> u64 {
        // From 0 and from no origin: a difference that would be negative, after a suspension that
        // reset the counter, reads as 0, and would stand still.
        self.counter.delta_as_nanos(0, self.counter.raw())
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
