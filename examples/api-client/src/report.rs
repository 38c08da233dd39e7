//! What came of it.

use std::fmt;
use std::time::Duration;

/// What came of a run; written as one line of JSON.
///
/// ```
/// use api_client::Report;
/// use std::time::Duration;
///
/// let report = Report { sent: 40, refused: 0, took: Duration::from_millis(2_008) };
/// assert_eq!(report.to_string(), r#"{"sent":40,"refused":0,"seconds":2.008}"#);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Requests that were sent, those sent again included.
    pub sent: u64,
    /// Of these, answered with 403, 429 or 503.
    pub refused: u64,
    /// From before the first request to the last answer.
    pub took: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sent,
            refused,
            took,
        } = self;
        let (seconds, millis) = (took.as_secs(), took.subsec_millis());
        write!(
            f,
            r#"{{"sent":{sent},"refused":{refused},"seconds":{seconds}.{millis:03}}}"#
        )
    }
}
