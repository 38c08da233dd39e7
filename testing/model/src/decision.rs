//! What comes out: a decision, its reason, the receipt of an admission (SPEC 7, P2).

/// Holds the answer to one request (SPEC 7). A field that is not reported is `None`.
#[derive(Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether the request may pass, and if not, why.
    pub outcome: Outcome,
    /// The token's permits per window (W3).
    pub limit: Option<u64>,
    /// The permits left in the window after this decision (W3).
    pub remaining: Option<u64>,
    /// The time until the window ends, in milliseconds (W3).
    pub reset_ms: Option<u64>,
    /// The permits left on this accounting day (D4).
    pub daily_left: Option<u64>,
    /// The time after which a retry makes sense, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// The receipt of an admission that was charged (P2). [`crate::Model::peek`] gives none.
    pub receipt: Option<Receipt>,
}

impl Decision {
    /// Returns the HTTP status; 200 stands for the service's own.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.outcome {
            Outcome::Admitted | Outcome::Exempt => 200,
            Outcome::Refused(reason) => reason.status(),
        }
    }

    /// Returns the word of the trace format: none for admitted (SPEC 11).
    #[must_use]
    pub fn word(&self) -> Option<&'static str> {
        match self.outcome {
            Outcome::Admitted => None,
            Outcome::Exempt => Some("exempt"),
            Outcome::Refused(reason) => Some(reason.word()),
        }
    }

    /// Returns the reset time as a header says it: whole seconds, rounded up, never 0 (H2).
    #[must_use]
    pub fn reset_s(&self) -> Option<u64> {
        self.reset_ms.map(header_seconds)
    }

    /// Returns the retry time as a header says it: whole seconds, rounded up, never 0 (H2).
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u64> {
        self.retry_after_ms.map(header_seconds)
    }

    /// A decision that reports nothing but its outcome.
    pub(crate) fn bare(outcome: Outcome) -> Self {
        Self {
            outcome,
            limit: None,
            remaining: None,
            reset_ms: None,
            daily_left: None,
            retry_after_ms: None,
            receipt: None,
        }
    }

    /// A refusal without quota, to be retried after `retry_after_ms`.
    pub(crate) fn refused(reason: Reason, retry_after_ms: Option<u64>) -> Self {
        Self {
            retry_after_ms,
            ..Self::bare(Outcome::Refused(reason))
        }
    }
}

/// Says what became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passes and was charged.
    Admitted,
    /// It passes uncounted (O1).
    Exempt,
    /// It does not pass.
    Refused(Reason),
}

/// Says why a request was refused (SPEC 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The window has too few permits left (W2).
    Window,
    /// The accounting day has too few permits left (D3).
    Daily,
    /// The cost can never fit (O4).
    CostExceedsLimit,
    /// The token is blocked (B3).
    Blocked,
    /// There is no token, or nobody knows it (O2).
    Unauthenticated,
    /// There is no row for the token (T3). The model's table is unbounded; a test asks for it.
    TableFull,
    /// A clock could not be read (O8).
    ClockFailed,
    /// The store could not be reached or written (O8).
    StoreFailed,
}

impl Reason {
    /// Returns the HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Window | Self::Daily | Self::CostExceedsLimit => 429,
            Self::Blocked => 403,
            Self::Unauthenticated => 401,
            Self::TableFull | Self::ClockFailed | Self::StoreFailed => 503,
        }
    }

    /// Returns the word of the table in SPEC 7.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Daily => "daily",
            Self::CostExceedsLimit => "cost_exceeds_limit",
            Self::Blocked => "blocked",
            Self::Unauthenticated => "unauthenticated",
            Self::TableFull => "table_full",
            Self::ClockFailed => "clock_failed",
            Self::StoreFailed => "store_failed",
        }
    }
}

/// Proves one charged admission and can be refunded once: it is neither `Clone` nor `Copy` (P2).
#[derive(Debug, PartialEq, Eq)]
pub struct Receipt {
    pub(crate) token: u64,
    pub(crate) user: u64,
    pub(crate) cost: u64,
    /// The window, known by its start.
    pub(crate) window_start_ms: i128,
    /// The accounting day, known by the number of refills (D6).
    pub(crate) day: u64,
    pub(crate) counted_daily: bool,
}

/// Says how many permits a refund gave back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Refunded {
    /// Permits that went back to the window.
    pub window: u64,
    /// Permits that went back to the accounting day.
    pub daily: u64,
}

/// H2: whole seconds, rounded up, never 0.
fn header_seconds(ms: u64) -> u64 {
    ms.div_ceil(1_000).max(1)
}

/// What a 503 asks for: `retry-after: 1` (SPEC 7).
pub(crate) const UNAVAILABLE_RETRY_MS: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h2_seconds_are_rounded_up_and_never_0() {
        let seconds = [0, 1, 999, 1_000, 1_001, 2_000, 2_001].map(header_seconds);
        assert_eq!(seconds, [1, 1, 1, 1, 2, 2, 3]);
    }

    #[test]
    fn every_reason_has_the_status_and_the_word_of_the_table() {
        let table = [
            (Reason::Window, 429, "window"),
            (Reason::Daily, 429, "daily"),
            (Reason::CostExceedsLimit, 429, "cost_exceeds_limit"),
            (Reason::Blocked, 403, "blocked"),
            (Reason::Unauthenticated, 401, "unauthenticated"),
            (Reason::TableFull, 503, "table_full"),
            (Reason::ClockFailed, 503, "clock_failed"),
            (Reason::StoreFailed, 503, "store_failed"),
        ];
        for (reason, status, word) in table {
            let decision = Decision::refused(reason, None);
            assert_eq!((decision.status(), decision.word()), (status, Some(word)));
        }
        let exempt = Decision::bare(Outcome::Exempt);
        assert_eq!((exempt.status(), exempt.word()), (200, Some("exempt")));
        let admitted = Decision::bare(Outcome::Admitted);
        assert_eq!((admitted.status(), admitted.word()), (200, None));
    }
}
