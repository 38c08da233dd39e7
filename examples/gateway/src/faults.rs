//! Counts of what went wrong, each on the side that caused it.

use serde::{Serialize, Serializer};
use std::array;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of both sides' faults since the start.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    upstream: [AtomicU64; 3],
    client: [AtomicU64; 5],
    retries: AtomicU64,
}

/// A way in which the upstream failed a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpstreamFault {
    /// It could not be reached, closed the connection, or sent what is no answer: 502.
    Failed,
    /// It took too long without any progress: 504.
    TimedOut,
    /// It did not bring an answer that it had begun to its end.
    BrokenOff,
}

/// A way in which a client failed its own request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientFault {
    /// Its head was refused.
    BadHead,
    /// Its body is not in the form that its head announces.
    BadBody,
    /// Its body is too long.
    LongBody,
    /// Its body comes too slowly.
    SlowBody,
    /// It went away, or was closed, before the end of its body or of its answer.
    Cancelled,
}

impl Faults {
    pub(crate) fn note_upstream(&self, fault: UpstreamFault) {
        add_one(&self.upstream[fault as usize]);
    }

    pub(crate) fn note_client(&self, fault: ClientFault) {
        add_one(&self.client[fault as usize]);
    }

    pub(crate) fn note_retry(&self) {
        add_one(&self.retries);
    }

    /// Requests that the upstream failed, by kind.
    pub(crate) fn upstream(&self) -> Counts<3> {
        Counts::of(["failed", "timed_out", "broken_off"], &self.upstream)
    }

    /// Requests that their clients failed, by kind.
    pub(crate) fn client(&self) -> Counts<5> {
        let kinds = [
            "bad_head",
            "bad_body",
            "long_body",
            "slow_body",
            "cancelled",
        ];
        Counts::of(kinds, &self.client)
    }

    /// Requests that were sent to the upstream a second time.
    pub(crate) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }
}

/// Counts by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts<const N: usize>(pub(crate) [(&'static str, u64); N]);

impl<const N: usize> Counts<N> {
    fn of(names: [&'static str; N], counters: &[AtomicU64; N]) -> Self {
        let count = |index: usize| counters[index].load(Ordering::Relaxed);
        Self(array::from_fn(|index| (names[index], count(index))))
    }
}

impl<const N: usize> Serialize for Counts<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0)
    }
}

fn add_one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
