//! What came of a simulation.

/// Counts of one simulation, and what they are held against.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Requests that the caller sent.
    pub sent: u64,
    /// Of these, admitted.
    pub admitted: u64,
    /// Of the admitted, writes.
    pub writes: u64,
    /// Refused by the window, with 429.
    pub refused_window: u64,
    /// Refused by the day, with 429.
    pub refused_daily: u64,
    /// Refused by a block, with 403.
    pub blocked: u64,
    /// Packets lost on either way.
    pub lost: u64,
    /// Admitted actions of others.
    pub others: u64,
    /// Times that a write was told to stop for the day.
    pub stopped: u64,
    /// Permits that all windows of the time had together.
    pub allowed: u64,
}

impl Outcome {
    /// Requests that were refused for whatever reason.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused_window + self.refused_daily + self.blocked
    }

    /// What was admitted of what the limit allows the caller, in hundredths of a percent: all
    /// windows back to back, each full, less what others took.
    #[must_use]
    pub const fn throughput(&self) -> u64 {
        match (self.admitted * 10_000).checked_div(self.allowed.saturating_sub(self.others)) {
            Some(share) => share,
            None => 0,
        }
    }
}
