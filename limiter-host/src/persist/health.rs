//! How things stand with the writes of a durable limiter, for who watches it.

use super::state::Counts;
use limiter_core::Instant;

/// How things stand with the writes of a [`Durable`](super::Durable).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// How the writes went since the start.
    pub counts: Counts,
    /// The moment that the newest stored image is of; `None` before the first one of this process.
    pub stored_at: Option<Instant>,
    /// Why the last write failed; `None` if it did not.
    pub error: Option<String>,
    /// Permits that are reserved and not used: what a crash now would cost all users together.
    pub reserved_permits: u64,
    /// Permits that may have been handed out though no stored image covers them: as many a crash
    /// now would let be used a second time. 0 unless writes fail and
    /// [`OnFailedWrite::GoOn`](limiter_core::OnFailedWrite::GoOn) is chosen.
    pub unprotected_permits: u64,
}
