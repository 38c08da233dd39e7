//! The calling side: HTTP clients that wait instead of being refused.
//!
//! A [`SharedPacer`] is one [`Pacer`](limiter_pacer::Pacer) for all tasks and threads
//! of a process that use one token. Around it:
//!
//! | you have | use |
//! |---|---|
//! | a tower client (hyper-util's, say) | [`PacerLayer`] |
//! | reqwest with `reqwest-middleware` | `PacerMiddleware` (feature `client-reqwest`) |
//! | any other client in async code | [`SharedPacer::acquire`], and [`Permit::on_response`] |
//! | a simple program without an executor | [`SharedPacer::acquire_blocking`], or [`SharedPacer::send_blocking`] |
//!
//! A wait ends when its time has passed or a response has made it shorter. Dropping the future gives
//! up the place, and nothing stays reserved. With a deadline ([`Pacing::within`]) a longer wait is
//! an error at once.
//!
//! With the feature `tracing`, waits, refusals and denials are events; with the feature `metrics`
//! they are counted through the `metrics` facade. Neither ever sees a header or a token.

mod blocking;
mod error;
mod layer;
mod observe;
mod pacing;
mod permit;
#[cfg(feature = "client-reqwest")]
mod reqwest;
mod retry;
mod shared;

pub use self::blocking::Reply;
pub use self::error::{CallError, PaceError};
pub use self::layer::{Paced, PacerLayer};
pub use self::pacing::Pacing;
pub use self::permit::Permit;
#[cfg(feature = "client-reqwest")]
pub use self::reqwest::PacerMiddleware;
pub use self::retry::{Never, Replay, Retries};
pub use self::shared::{FLIGHTS, SharedPacer};

use limiter_core::Now;
use limiter_pacer::ResponseInfo;

/// Reads the limits that a response's head reports; `now` is the moment of the response.
///
/// ```
/// use limiter_host::client::answer;
/// use limiter_host::core::{Instant, Now};
///
/// let response = http::Response::builder()
///     .status(429)
///     .header("retry-after", "2")
///     .body(())?;
/// let now = Now::new(Instant::ZERO, None);
/// let answer = answer(response.status(), response.headers(), now);
/// assert_eq!((answer.status, answer.retry_after_ms), (429, Some(2_000)));
/// # Ok::<(), http::Error>(())
/// ```
#[must_use]
pub fn answer(status: http::StatusCode, headers: &http::HeaderMap, now: Now) -> ResponseInfo {
    let headers = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    ResponseInfo::read(status.as_u16(), headers, now)
}

#[cfg(test)]
mod tests;
