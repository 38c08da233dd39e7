//! Events and counts, where the features ask for them; nothing otherwise.
//!
//! | metric | meaning |
//! |---|---|
//! | `limiter_client_wait_seconds` | histogram: time that requests waited before they were sent |
//! | `limiter_client_responses_total` | counter by `status`: responses |
//! | `limiter_client_stops_total` | counter by `reason`: requests that were not sent |
//! | `limiter_client_held_permits`, `limiter_client_limit` | gauges: of the pacer's window |
#![cfg_attr(
    not(all(feature = "tracing", feature = "metrics")),
    allow(unused_variables, reason = "either observes what the other does not")
)]

use limiter_pacer::{DenialState, PacerStatus, ResponseInfo, SendRequest, Stop};
use std::time::Duration;

/// A request goes out, after a wait.
pub(super) fn waited(request: &SendRequest, wait: Duration) {
    #[cfg(feature = "tracing")]
    if !wait.is_zero() {
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(method = ?request.method, wait_ms = millis, "waited for the limit");
    }
    #[cfg(feature = "metrics")]
    metrics::histogram!("limiter_client_wait_seconds").record(wait.as_secs_f64());
}

/// A request was not sent.
pub(super) fn stopped(stop: &Stop) {
    #[cfg(feature = "tracing")]
    tracing::warn!(reason = %stop.reason, retry_ms = stop.retry_ms, "not sent");
    #[cfg(feature = "metrics")]
    metrics::counter!("limiter_client_stops_total", "reason" => stop.reason.to_string())
        .increment(1);
}

/// A response was received.
pub(super) fn on_response(
    answer: &ResponseInfo,
    status: &PacerStatus,
    denial: Option<DenialState>,
) {
    #[cfg(feature = "tracing")]
    match (answer.status, denial) {
        (403, Some(denial)) => tracing::error!(
            times = denial.times,
            retry_ms = denial.retry_ms,
            "the service denied access; a person should look into it"
        ),
        (429 | 503, _) => tracing::warn!(
            status = answer.status,
            retry_after_ms = answer.retry_after_ms,
            daily_left = answer.daily_left,
            "refused"
        ),
        _ => tracing::trace!(
            status = answer.status,
            held = status.held,
            limit = status.limit,
            "answered"
        ),
    }
    #[cfg(feature = "metrics")]
    {
        let code = answer.status.to_string();
        metrics::counter!("limiter_client_responses_total", "status" => code).increment(1);
        metrics::gauge!("limiter_client_held_permits").set(f64::from(status.held));
        if let Some(limit) = status.limit {
            metrics::gauge!("limiter_client_limit").set(f64::from(limit));
        }
    }
}
