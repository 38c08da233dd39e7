//! Virtual time, the same for all subjects that accept any: a static that a run advances once per
//! block of requests. Reading it costs a load.

use governor::clock::Clock as GovernorClock;
use governor::nanos::Nanos;
use limiter_core::{Instant, Now, UnixTime};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

static NANOS: AtomicU64 = AtomicU64::new(0);
static MILLIS: AtomicU64 = AtomicU64::new(0);
static UTC: AtomicU64 = AtomicU64::new(NOON);

/// Lets [`BLOCK_MS`] pass. Two threads that call it at once may lose a step, which harms nobody.
#[inline]
pub fn advance() {
    let millis = MILLIS.load(Ordering::Relaxed) + BLOCK_MS;
    MILLIS.store(millis, Ordering::Relaxed);
    NANOS.store(millis * 1_000_000, Ordering::Relaxed);
    UTC.store(NOON + millis / 1_000, Ordering::Relaxed);
}

/// The reading for our own limiters.
#[inline]
pub fn now() -> Now {
    Now::new(
        Instant::from_millis(MILLIS.load(Ordering::Relaxed)),
        UnixTime::from_secs(UTC.load(Ordering::Relaxed)),
    )
}

/// Nanoseconds since the beginning.
#[inline]
pub fn nanos() -> u64 {
    NANOS.load(Ordering::Relaxed)
}

/// The reading for peers that take a `SystemTime`.
#[inline]
pub fn system_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(NOON * 1_000_000_000 + nanos())
}

/// The reading for peers that take a `std::time::Instant`.
#[inline]
#[allow(
    clippy::disallowed_methods,
    reason = "an origin; virtual time is added to it"
)]
pub fn std_instant() -> std::time::Instant {
    static ORIGIN: OnceLock<std::time::Instant> = OnceLock::new();
    *ORIGIN.get_or_init(std::time::Instant::now) + Duration::from_nanos(nanos())
}

/// Virtual time behind the peers' own clock traits.
#[derive(Clone, Copy, Debug)]
pub struct Virtual {
    origin: clock_lib::Monotonic,
}

impl Virtual {
    /// The one virtual clock.
    #[must_use]
    pub fn new() -> Self {
        Self {
            origin: clock_lib::Monotonic::now(),
        }
    }
}

impl Default for Virtual {
    fn default() -> Self {
        Self::new()
    }
}

impl GovernorClock for Virtual {
    type Instant = Nanos;

    #[inline]
    fn now(&self) -> Nanos {
        Nanos::new(nanos())
    }
}

impl ratelimit::Clock for Virtual {
    #[inline]
    fn elapsed(&self) -> Duration {
        Duration::from_nanos(nanos())
    }
}

impl clock_lib::Clock for Virtual {
    #[inline]
    fn now(&self) -> clock_lib::Monotonic {
        self.origin.saturating_add(Duration::from_nanos(nanos()))
    }

    fn wall(&self) -> clock_lib::Wall {
        clock_lib::Wall::now()
    }
}

/// How far a block of requests advances time: 1 024 requests in 4 ms are half a million in a window
/// of two seconds, so a limit of a million refuses nothing.
pub const BLOCK_MS: u64 = 4;

/// Noon of some day: a run lasts minutes of virtual time and meets no midnight.
const NOON: u64 = 1_780_000_000 / 86_400 * 86_400 + 43_200;
