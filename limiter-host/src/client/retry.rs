//! What may be sent again.

use http::{Method, Request};
use limiter_pacer::ResponseInfo;

/// Whether, and how, a layer sends a request again.
///
/// Sent again is only what was refused before it was executed or may be executed twice: any
/// request after a 429 of the window, once the gate opens; after a 503 that tells when to come
/// back, one of an idempotent method (RFC 9110, section 9.2.2). Never one after a 403.
pub trait Replay<B> {
    /// A copy to send again, `None` if there can be none.
    fn copy(&self, request: &Request<B>) -> Option<Request<B>>;

    /// How many times at most a request is sent again.
    fn most(&self) -> u32;
}

/// Sends nothing again: answers are passed on as they come.
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

/// Sends a request whose body can be cloned again up to so many times.
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

/// Whether a request that was answered so may be sent again, once the pacer lets it go.
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
        assert!(!may_repeat(&Method::GET, &busy), "no time is told");
        busy.retry_after_ms = Some(1_000);
        assert!(may_repeat(&Method::PUT, &busy));
        assert!(!may_repeat(&Method::POST, &busy));
        for status in [200, 401, 403, 500] {
            assert!(!may_repeat(&Method::GET, &ResponseInfo::bare(status)));
        }
    }
}
