//! The blocking form, for programs without an executor and with any client.

use super::error::CallError;
use super::pacing::Pacing;
use super::retry::may_repeat;
use super::shared::SharedPacer;
use limiter_core::Now;
use limiter_pacer::ResponseInfo;

/// A response that a pacer can read.
pub trait Reply {
    /// Reads the limits that it reports; `now` is the moment of the response.
    fn answer(&self, now: Now) -> ResponseInfo;
}

impl<T> Reply for http::Response<T> {
    fn answer(&self, now: Now) -> ResponseInfo {
        super::answer(self.status(), self.headers(), now)
    }
}

impl SharedPacer {
    /// Blocks until a request may be sent, sends it, learns from its response, and sends it again
    /// up to `retries` times where that is safe; see [`Replay`](super::Replay).
    ///
    /// `send` sends one request of this method and waits for its response.
    ///
    /// ```
    /// use limiter_host::SharedClock;
    /// use limiter_host::client::{Pacing, SharedPacer};
    /// use limiter_host::pacer::PacerPolicy;
    ///
    /// let pacer = SharedPacer::new(PacerPolicy::ADAPTIVE, SharedClock::system());
    /// let response = pacer.send_blocking(&http::Method::GET, Pacing::new(), 3, || {
    ///     // ... with any client ...
    ///     http::Response::builder().status(204).body(())
    /// })?;
    /// assert_eq!(response.status(), 204);
    /// # Ok::<(), limiter_host::client::CallError<http::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`CallError`]: the pacer's if nothing was sent, else that of `send`. A refusal is a response,
    /// not an error.
    pub fn send_blocking<R: Reply, E>(
        &self,
        method: &http::Method,
        pacing: Pacing,
        retries: u32,
        mut send: impl FnMut() -> Result<R, E>,
    ) -> Result<R, CallError<E>> {
        let deadline = self.deadline(pacing)?;
        let ours = limiter_core::Method::from_name(method.as_str());
        let mut refused: Option<R> = None;
        let mut repeated = 0;
        loop {
            let acquired = self.acquire_blocking_until(ours, pacing, deadline);
            let mut permit = match (acquired, refused.take()) {
                (Ok(permit), _) => permit,
                (Err(_), Some(reply)) => return Ok(reply),
                (Err(error), None) => return Err(error.into()),
            };
            permit.sending();
            let reply = send().map_err(CallError::Call)?;
            let answer = permit.on_response(|now| reply.answer(now));
            if repeated >= retries || !may_repeat(method, &answer) {
                return Ok(reply);
            }
            refused = Some(reply);
            repeated += 1;
        }
    }
}
