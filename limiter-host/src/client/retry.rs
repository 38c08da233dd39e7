//! Retries of refused requests.

use http::{Method, Request};
use limiter_pacer::ResponseInfo;

/// A strategy for retrying a request.
///
/// Only requests that were refused before execution, or that may be executed twice, are retried:
/// any request after a 429 of the window, once the wait is over; a request of an idempotent method
/// (RFC 9110, section 9.2.2) after a 503 with `retry-after`. Never a request after a 403.
pub trait Replay<B> {
    /// Copies the request for a retry; `None` if that is impossible.
    fn copy(&self, request: &Request<B>) -> Option<Request<B>>;

    /// The largest number of retries of one request.
    fn most(&self) -> u32;
}

/// No retries: every response is passed on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Never;

impl<B> Replay<B> for Never {
    fn copy(&self, _: &Request<B>) -> Option<Request<B>> {
        None
    }

    fn most(&self) -> u32 {
        0
    }
}

/// Retries requests whose body can be cloned, up to this number of times.
#[derive(Clone, Copy, Debug)]
pub struct Retries(pub u32);

impl<B: Clone> Replay<B> for Retries {
    fn copy(&self, request: &Request<B>) -> Option<Request<B>> {
        Some(request.clone())
    }

    fn most(&self) -> u32 {
        self.0
    }
}

/// Returns `true` if a request with this response may be retried when the pacer allows it.
pub(super) fn may_repeat(method: &Method, answer: &ResponseInfo) -> bool {
    match answer.status {
        429 => true,
        503 => answer.retry_after_ms.is_some() && method.is_idempotent(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_what_was_not_executed_or_may_be_twice() {
        let refused = ResponseInfo::bare(429);
        let mut busy = ResponseInfo::bare(503);
        assert!(may_repeat(&Method::POST, &refused));
        assert!(!may_repeat(&Method::GET, &busy), "no retry-after");
        busy.retry_after_ms = Some(1_000);
        assert!(may_repeat(&Method::PUT, &busy));
        assert!(!may_repeat(&Method::POST, &busy));
        for status in [200, 401, 403, 500] {
            assert!(!may_repeat(&Method::GET, &ResponseInfo::bare(status)));
        }
    }
}
