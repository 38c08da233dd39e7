//! A mark on responses by which a layer knows the refusal of another one.

use http::{Response, StatusCode};
use limiter_core::Reason;

/// A mark, among a response's extensions, of a refusal whose headers stand.
///
/// A layer puts it on every answer that it gives itself. A layer further out finds it, and leaves
/// the headers of that answer as they are: they are the numbers of the limit that refused.
/// [`LimiterLayer::refund_on`](super::LimiterLayer::refund_on) goes by its status.
///
/// Extensions do not cross a connection. A service that forwards requests to a limited server marks
/// that server's refusals itself:
///
/// ```
/// use http::{Response, StatusCode};
/// use limiter_host::middleware::Refusal;
///
/// fn forwarded(mut answer: Response<String>) -> Response<String> {
///     if answer.status() == StatusCode::TOO_MANY_REQUESTS {
///         let refusal = Refusal::with_status(answer.status());
///         answer.extensions_mut().insert(refusal);
///     }
///     answer
/// }
/// # let answer = Response::builder().status(429).body(String::new()).unwrap();
/// # assert!(forwarded(answer).extensions().get::<Refusal>().is_some());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    status: StatusCode,
    reason: Option<Reason>,
}

impl Refusal {
    /// A refusal by another program, of which only the status is known.
    #[must_use]
    pub const fn with_status(status: StatusCode) -> Self {
        let reason = None;
        Self { status, reason }
    }

    pub(super) const fn new(status: StatusCode, reason: Option<Reason>) -> Self {
        Self { status, reason }
    }

    /// The status of the refusal as HTTP has it, also where gRPC is answered with 200.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The limiter's reason; `None` for two different credentials in one request, and for a refusal
    /// by another program.
    #[must_use]
    pub const fn reason(&self) -> Option<Reason> {
        self.reason
    }
}

/// The status that an answer stands for: a refusal's, else that of a gRPC status in its head, else
/// its own.
pub(super) fn status_of<R>(answer: &Response<R>) -> StatusCode {
    if let Some(refusal) = answer.extensions().get::<Refusal>() {
        return refusal.status;
    }
    match answer.headers().get(super::grpc::STATUS) {
        Some(code) => super::grpc::http_status(code.as_bytes()),
        None => answer.status(),
    }
}

/// Returns true for the answer of a limiter that has refused the request.
#[inline]
pub(super) fn is_refusal<R>(answer: &Response<R>) -> bool {
    answer.extensions().get::<Refusal>().is_some()
}
