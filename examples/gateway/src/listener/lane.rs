//! The speed of a client in one direction of a request: its body, or the answer to it.
//!
//! One task writes a lane, that of the connection; the search for a connection to close reads it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// A direction of a connection, with what its client moved of the transfer under way, and how long it was
/// waited for in that.
#[derive(Debug)]
pub(crate) struct Lane {
    began: Instant,
    transfer: AtomicU32,
    bytes: AtomicU64,
    waited_ms: AtomicU64,
    /// When the present wait began; [`NOT`] while there is none.
    waiting_since_ms: AtomicU64,
    /// Transfers that were broken off, of all connections.
    timed_out: Arc<AtomicU64>,
}

impl Lane {
    /// A client that was slower while it was waited for than this is a slow one.
    pub(crate) const SLOW_BYTES_PER_S: u32 = 64 * 1_024;

    pub(crate) const fn new(began: Instant, timed_out: Arc<AtomicU64>) -> Self {
        Self {
            began,
            timed_out,
            transfer: AtomicU32::new(0),
            bytes: AtomicU64::new(0),
            waited_ms: AtomicU64::new(0),
            waiting_since_ms: AtomicU64::new(NOT),
        }
    }

    /// The number of the transfer under way.
    pub(super) fn transfer(&self) -> u32 {
        self.transfer.load(Ordering::Relaxed)
    }

    /// A transfer begins.
    pub(super) fn begin(&self) {
        self.transfer.fetch_add(1, Ordering::Relaxed);
        // The end of the answer before may still be waited for.
        if self.waiting_since_ms.load(Ordering::Relaxed) != NOT {
            self.waits();
        }
        self.bytes.store(0, Ordering::Relaxed);
        self.waited_ms.store(0, Ordering::Relaxed);
    }

    /// The client moved bytes after it was waited for.
    pub(super) fn moved(&self, bytes: u64, waited: Duration) {
        self.waiting_since_ms.store(NOT, Ordering::Relaxed);
        let waited = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        let mut bytes = self.bytes.load(Ordering::Relaxed).saturating_add(bytes);
        let mut waited = self
            .waited_ms
            .load(Ordering::Relaxed)
            .saturating_add(waited);
        // The distant past counts less and less, so that a quick start buys no slow end.
        while waited > REMEMBERED_MS {
            bytes /= 2;
            waited /= 2;
        }
        self.bytes.store(bytes, Ordering::Relaxed);
        self.waited_ms.store(waited, Ordering::Relaxed);
    }

    /// The client is waited for from now on.
    pub(super) fn waits(&self) {
        let now_ms = self.began.elapsed().as_millis();
        let now_ms = u64::try_from(now_ms).unwrap_or(NOT - 1);
        self.waiting_since_ms.store(now_ms, Ordering::Relaxed);
    }

    /// The transfer is broken off, since the client was waited for too long.
    pub(super) fn times_out(&self) {
        self.timed_out.fetch_add(1, Ordering::Relaxed);
    }

    /// The bytes a second of a client that is waited for and is slow; `None` of all others.
    pub(super) fn slow_rate(&self, now_ms: u64) -> Option<u64> {
        let since = self.waiting_since_ms.load(Ordering::Relaxed);
        let waiting = (since != NOT).then(|| now_ms.saturating_sub(since))?;
        let waited = self
            .waited_ms
            .load(Ordering::Relaxed)
            .saturating_add(waiting);
        let bytes = self.bytes.load(Ordering::Relaxed);
        let rate = bytes.saturating_mul(1_000) / waited.max(1);
        (waited >= SLOW_AFTER_MS && rate < u64::from(Self::SLOW_BYTES_PER_S)).then_some(rate)
    }
}

const NOT: u64 = u64::MAX;
/// Before a client was waited for that long, nothing is known of its rate.
const SLOW_AFTER_MS: u64 = 1_000;
/// The time over which a rate is measured.
const REMEMBERED_MS: u64 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_a_client_slow_after_a_second_of_waiting_and_by_its_rate_alone() {
        let lane = Lane::new(Instant::now(), Arc::default());
        assert_eq!(lane.slow_rate(5_000), None, "it is not waited for");
        lane.waits();
        assert_eq!(lane.slow_rate(999), None);
        assert_eq!(lane.slow_rate(1_000), Some(0));
        lane.moved(3_000, Duration::from_secs(1));
        assert_eq!(lane.slow_rate(1_000), None, "it is not waited for");
        lane.waits();
        assert_eq!(lane.slow_rate(2_000), Some(1_000));
        let fast = u64::from(Lane::SLOW_BYTES_PER_S) * 3;
        lane.moved(fast, Duration::from_secs(2));
        lane.waits();
        assert_eq!(lane.slow_rate(0), None);
        lane.begin();
        assert_eq!(lane.slow_rate(1_000), Some(0), "another transfer");
    }

    #[tokio::test(start_paused = true)]
    async fn forgets_a_quick_start_in_a_slow_end() {
        let lane = Lane::new(Instant::now(), Arc::default());
        lane.moved(64 << 20, Duration::ZERO);
        for _ in 0..180 {
            lane.waits();
            lane.moved(1_400, Duration::from_secs(1));
        }
        lane.waits();
        let rate = lane.slow_rate(0).unwrap();
        assert!(rate < 2_000, "{rate}");
    }
}
