//! The trace format (SPEC 11): the strict reader, the writer, and the driver that replays.
//!
//! Lines are written exactly as the shared vectors have them: one space after `:` and `,`.
//!
//! ```
//! use limiter_model::{Policy, trace::{Event, Replay, decision_line}};
//!
//! let line = r#"{"t_ms":1000,"utc":1716000000,"token":"a","plan":"advanced","method":"POST"}"#;
//! let decision = Replay::new(Policy::pipedrive()).decide(&Event::read(line)?);
//! assert_eq!(
//!     decision_line(0, &decision),
//!     r#"{"i": 0, "status": 200, "reason": null, "limit": 40, "remaining": 39, "reset_ms": 2000, "daily_left": 9999, "retry_after_ms": null}"#
//! );
//! # Ok::<(), limiter_model::trace::TraceError>(())
//! ```

mod read;
mod replay;
mod write;

pub use read::TraceError;
pub use replay::Replay;
pub use write::decision_line;

use crate::policy::{Kind, Method, Now, Origin};

/// Holds one line of a trace, with defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Both clocks.
    pub now: Now,
    /// The caller, if there is a `token`.
    pub caller: Option<Caller>,
    /// The kind, which counts when the token is first seen.
    pub kind: Kind,
    /// The plan, an index into [`PLAN_WORDS`] and [`crate::Policy::plans`].
    pub plan: usize,
    /// The method.
    pub method: Method,
    /// The origin.
    pub origin: Origin,
    /// The cost in permits, from 1 to 2^32 - 1.
    pub cost: u64,
}

/// Names who sends a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token.
    pub token: String,
    /// The user, by default the token.
    pub user: String,
}

/// The words of the plans, in the order of [`crate::Policy::plans`].
pub const PLAN_WORDS: [&str; 4] = ["essential", "advanced", "professional", "enterprise"];
const KIND_WORDS: [(&str, Kind); 2] = [
    ("api_token", Kind::ApiToken),
    ("access_token", Kind::AccessToken),
];
const ORIGIN_WORDS: [(&str, Origin); 3] = [
    ("api", Origin::Api),
    ("ui", Origin::Ui),
    ("webhook", Origin::Webhook),
];
const METHOD_WORDS: [(&str, Method); 9] = [
    ("GET", Method::Get),
    ("HEAD", Method::Head),
    ("POST", Method::Post),
    ("PUT", Method::Put),
    ("PATCH", Method::Patch),
    ("DELETE", Method::Delete),
    ("CONNECT", Method::Connect),
    ("OPTIONS", Method::Options),
    ("TRACE", Method::Trace),
];
