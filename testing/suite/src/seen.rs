//! A decision as a caller sees it: what the core and the model must agree on.

use limiter_core::{Decision, Outcome};
use limiter_model as model;

/// Every field that a decision reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The word of the trace format, `None` for admitted.
    pub word: Option<&'static str>,
    /// The HTTP status, 200 where the service answers.
    pub status: u16,
    /// Permits per window.
    pub limit: Option<u64>,
    /// Permits left of the window.
    pub remaining: Option<u64>,
    /// Milliseconds until the window ends.
    pub reset_ms: Option<u64>,
    /// Permits left of the day.
    pub daily_left: Option<u64>,
    /// Milliseconds until a retry makes sense.
    pub retry_after_ms: Option<u64>,
}

impl From<&Decision> for Seen {
    fn from(decision: &Decision) -> Self {
        let quota = decision.quota();
        Self {
            word: match decision.outcome() {
                Outcome::Admitted => None,
                Outcome::Exempt => Some("exempt"),
                Outcome::Refused(reason) => Some(reason.word()),
            },
            status: decision.status().unwrap_or(200),
            limit: quota.map(|quota| quota.limit.into()),
            remaining: quota.map(|quota| quota.remaining.into()),
            reset_ms: quota.map(|quota| quota.reset_ms.into()),
            daily_left: quota.and_then(|quota| quota.daily_left).map(u64::from),
            retry_after_ms: decision.retry_after_ms().map(u64::from),
        }
    }
}

impl From<&model::Decision> for Seen {
    fn from(decision: &model::Decision) -> Self {
        Self {
            word: decision.word(),
            status: decision.status(),
            limit: decision.limit,
            remaining: decision.remaining,
            reset_ms: decision.reset_ms,
            daily_left: decision.daily_left,
            retry_after_ms: decision.retry_after_ms,
        }
    }
}

impl Seen {
    /// Writes the decision of the request with the 0-based index `i` as the trace format has it.
    #[must_use]
    pub fn line(&self, i: usize) -> String {
        let text = |word: Option<&str>| word.map_or("null".into(), |word| format!("\"{word}\""));
        let number = |value: Option<u64>| value.map_or("null".into(), |value| value.to_string());
        format!(
            r#"{{"i": {i}, "status": {}, "reason": {}, "limit": {}, "remaining": {}, "reset_ms": {}, "daily_left": {}, "retry_after_ms": {}}}"#,
            self.status,
            text(self.word),
            number(self.limit),
            number(self.remaining),
            number(self.reset_ms),
            number(self.daily_left),
            number(self.retry_after_ms),
        )
    }
}
