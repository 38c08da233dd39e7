//! What a pacer shows of itself: numbers for metrics, and a denial for a person.

/// What a pacer knows at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PacerStatus {
    /// Permits per window, told or learned, and never above the cap.
    pub limit: Option<u32>,
    /// Length of a window in milliseconds, told or learned.
    pub window_ms: Option<u32>,
    /// Permits of requests that may share a window with the next one.
    pub held: u32,
    /// Requests without an answer.
    pub in_flight: u32,
    /// Permits of a window that are left to others.
    pub others: u32,
    /// Writes left of the day, those under way taken off; `None` until an answer tells.
    pub daily_left: Option<u32>,
}

/// Access that the service has denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DenialState {
    /// Denials in a row, up to 255.
    pub times: u8,
    /// Milliseconds until one request may try again, 0 when that time has come.
    pub retry_ms: u32,
    /// Whether nobody has acknowledged it yet.
    pub unacknowledged: bool,
}
