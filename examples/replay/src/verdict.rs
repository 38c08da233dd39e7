//! What a backend answers, and the line that says it (SPEC 11).

use std::fmt;

use limiter_core::{Decision, Outcome};

/// A decision, free of the backend that made it. A field that is not reported is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What was decided.
    pub outcome: Outcome,
    /// Permits per window.
    pub limit: Option<u32>,
    /// Permits left in the window.
    pub remaining: Option<u32>,
    /// Milliseconds until the window ends.
    pub reset_ms: Option<u32>,
    /// Permits left of the user's day.
    pub daily_left: Option<u32>,
    /// Milliseconds until a retry makes sense.
    pub retry_after_ms: Option<u32>,
}

impl Verdict {
    /// The HTTP status; 200 where the service would answer.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self.outcome {
            Outcome::Admitted | Outcome::Exempt => 200,
            Outcome::Refused(reason) => reason.status(),
        }
    }

    /// The line of the request with the 0-based index `i`, without its end.
    ///
    /// ```
    /// use limiter_core::{Outcome, Reason};
    /// use replay::verdict::Verdict;
    ///
    /// let blocked = Verdict {
    ///     outcome: Outcome::Refused(Reason::Blocked),
    ///     limit: None,
    ///     remaining: None,
    ///     reset_ms: None,
    ///     daily_left: None,
    ///     retry_after_ms: Some(300_000),
    /// };
    /// assert_eq!(
    ///     blocked.line(7).to_string(),
    ///     r#"{"i": 7, "status": 403, "reason": "blocked", "limit": null, "remaining": null, "reset_ms": null, "daily_left": null, "retry_after_ms": 300000}"#
    /// );
    /// ```
    #[must_use]
    pub const fn line(&self, i: usize) -> Line<'_> {
        Line { verdict: self, i }
    }
}

impl From<&Decision> for Verdict {
    fn from(decision: &Decision) -> Self {
        let quota = decision.quota();
        Self {
            outcome: decision.outcome(),
            limit: quota.map(|quota| quota.limit),
            remaining: quota.map(|quota| quota.remaining),
            reset_ms: quota.map(|quota| quota.reset_ms),
            daily_left: quota.and_then(|quota| quota.daily_left),
            retry_after_ms: decision.retry_after_ms(),
        }
    }
}

/// A decision line, to be written with `{}`.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    verdict: &'a Verdict,
    i: usize,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict {
            outcome,
            limit,
            remaining,
            reset_ms,
            daily_left,
            retry_after_ms,
        } = *self.verdict;
        write!(f, "{{\"i\": {}, ", self.i)?;
        write!(f, "\"status\": {}, ", self.verdict.status())?;
        match outcome {
            Outcome::Admitted => f.write_str("\"reason\": null")?,
            Outcome::Exempt => f.write_str("\"reason\": \"exempt\"")?,
            Outcome::Refused(reason) => write!(f, "\"reason\": \"{}\"", reason.word())?,
        }
        for (name, value) in [
            ("limit", limit),
            ("remaining", remaining),
            ("reset_ms", reset_ms),
            ("daily_left", daily_left),
            ("retry_after_ms", retry_after_ms),
        ] {
            match value {
                Some(value) => write!(f, ", \"{name}\": {value}")?,
                None => write!(f, ", \"{name}\": null")?,
            }
        }
        f.write_str("}")
    }
}
