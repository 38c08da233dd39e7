//! How long something took, by the processor's cycle counter.

use std::fmt;
use std::time::Duration;

/// Measures spans; cheap to clone. Two readings cost what two of a
/// [`SystemClock`](super::SystemClock) do.
#[derive(Clone)]
pub(crate) struct Stopwatch(quanta::Clock);

/// A moment, for the stopwatch that gave it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Started(u64);

impl Stopwatch {
    pub(crate) fn new() -> Self {
        Self(quanta::Clock::new())
    }

    #[inline]
    pub(crate) fn start(&self) -> Started {
        Started(self.0.raw())
    }

    /// Since then; zero where the counter went back.
    #[inline]
    pub(crate) fn since(&self, started: Started) -> Duration {
        Duration::from_nanos(self.0.delta_as_nanos(started.0, self.0.raw()))
    }
}

impl fmt::Debug for Stopwatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stopwatch(..)")
    }
}
