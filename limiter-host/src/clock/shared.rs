//! One clock for all who decide with one limiter.

use super::SystemClock;
use super::steps::{Steps, UtcGuard};
use limiter_core::Now;
use limiter_core::clock::{Clock, ClockError};
use std::fmt;
use std::sync::Arc;

/// A handle on the one pair of clocks of a limiter; cheap to clone.
///
/// All readings of one limiter must come from one pair (SPEC 2): the middleware that decides, and
/// the code that registers tokens beside it, hold clones of one handle. [`SystemClock`] is the
/// usual one; a test gives a closure.
///
/// ```
/// use limiter_host::core::{Instant, Now};
/// use limiter_host::SharedClock;
///
/// let system = SharedClock::system();
/// assert!(system.now().is_ok());
/// let stopped = SharedClock::from_fn(|| Ok(Now::new(Instant::from_millis(7), None)));
/// assert_eq!(stopped.now().unwrap().monotonic().as_millis(), 7);
/// ```
#[derive(Clone)]
pub struct SharedClock(Arc<dyn Fn() -> Result<Now, ClockError> + Send + Sync>);

impl SharedClock {
    /// A new [`SystemClock`].
    #[must_use]
    pub fn system() -> Self {
        let clock = SystemClock::new();
        Self::from_fn(move || Ok(clock.now()))
    }

    /// A clock that calls `read` for each reading.
    pub fn from_fn(read: impl Fn() -> Result<Now, ClockError> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The same clock, whose UTC is unknown after a large step until that has stood for a while; see
    /// [`UtcGuard`]. All clones of the clock that is returned share what is known of it.
    ///
    /// ```
    /// use limiter_host::{SharedClock, UtcGuard};
    /// let clock = SharedClock::system().guarded(UtcGuard::default());
    /// assert!(clock.now().unwrap().utc().is_some());
    /// ```
    #[must_use]
    pub fn guarded(self, guard: UtcGuard) -> Self {
        let steps = Steps::new(guard);
        Self::from_fn(move || self.now().map(|now| steps.judge(now)))
    }

    /// Reads both clocks.
    ///
    /// # Errors
    ///
    /// What the closure returned; a [`SystemClock`] never fails.
    #[inline]
    pub fn now(&self) -> Result<Now, ClockError> {
        (self.0)()
    }
}

impl From<Arc<SystemClock>> for SharedClock {
    fn from(clock: Arc<SystemClock>) -> Self {
        Self::from_fn(move || Ok(clock.now()))
    }
}

impl Clock for SharedClock {
    fn read(&mut self) -> Result<Now, ClockError> {
        self.now()
    }
}

impl fmt::Debug for SharedClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedClock(..)")
    }
}
