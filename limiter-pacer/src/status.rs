//! The observable state of a pacer: numbers for metrics, and a denial for a person.

/// A summary of a pacer's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PacerStatus {
    /// Permits per window, configured or learned, at most the cap.
    pub limit: Option<u32>,
    /// Length of a window in milliseconds, configured or learned.
    pub window_ms: Option<u32>,
    /// Permits of requests that may share a window with the next one.
    pub held: u32,
    /// Requests without a response.
    pub in_flight: u32,
    /// Permits of a window that are reserved for others.
    pub others: u32,
    /// Writes left of the day, less those in flight; `None` until a response reports them.
    pub daily_left: Option<u32>,
}

/// A denial of access by the service (403).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DenialState {
    /// Denials in a row, up to 255.
    pub times: u8,
    /// Milliseconds until one request may try again; 0 from then on.
    pub retry_ms: u32,
    /// `true` until [`Pacer::acknowledge_denial`](super::Pacer::acknowledge_denial).
    pub unacknowledged: bool,
}
