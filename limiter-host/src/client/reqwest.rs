//! The adapter for `reqwest-middleware`.

use super::pacing::Pacing;
use super::retry::may_repeat;
use super::shared::SharedPacer;
use ::reqwest::{Request, Response};
use async_trait::async_trait;
use http::Extensions;
use reqwest_middleware::{Error, Middleware, Next, Result};

/// A middleware that paces the requests of a reqwest client.
///
/// ```
/// use limiter_host::SharedClock;
/// use limiter_host::client::{PacerMiddleware, SharedPacer};
/// use limiter_host::pacer::PacerPolicy;
///
/// let pacer = SharedPacer::new(PacerPolicy::ADAPTIVE, SharedClock::system());
/// let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
///     .with(PacerMiddleware::new(pacer).retries(3))
///     .build();
/// # let _ = client;
/// ```
///
/// A request's [`Pacing`] comes from its extensions
/// (`reqwest_middleware::RequestBuilder::with_extension`). A streaming body cannot be retried. [`PaceError`](super::PaceError) comes as [`Error::Middleware`].
#[derive(Clone, Debug)]
pub struct PacerMiddleware {
    pacer: SharedPacer,
    pacing: Pacing,
    retries: u32,
}

impl PacerMiddleware {
    /// Creates a middleware that waits, sends and learns, without retries.
    #[must_use]
    pub const fn new(pacer: SharedPacer) -> Self {
        Self {
            pacer,
            pacing: Pacing::new(),
            retries: 0,
        }
    }

    /// Sets the pacing of requests that have none in their extensions.
    #[must_use]
    pub const fn pacing(mut self, pacing: Pacing) -> Self {
        self.pacing = pacing;
        self
    }

    /// Retries a refused request up to this number of times; see [`Replay`](super::Replay).
    #[must_use]
    pub const fn retries(mut self, most: u32) -> Self {
        self.retries = most;
        self
    }
}

#[async_trait]
impl Middleware for PacerMiddleware {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let pacing = extensions.get::<Pacing>().copied().unwrap_or(self.pacing);
        let deadline = self.pacer.deadline(pacing).map_err(Error::middleware)?;
        let method = request.method().clone();
        let ours = limiter_core::Method::from_name(method.as_str());
        let mut refused: Option<Response> = None;
        let mut repeated = 0;
        loop {
            let acquired = self.pacer.acquire_until(ours, pacing, deadline).await;
            let mut permit = match (acquired, refused.take()) {
                (Ok(permit), _) => permit,
                // The service's own answer says more than that it cannot be asked again.
                (Err(_), Some(response)) => return Ok(response),
                (Err(error), None) => return Err(Error::middleware(error)),
            };
            let again = (repeated < self.retries)
                .then(|| request.try_clone())
                .flatten();
            permit.sending();
            let response = match next.clone().run(request, extensions).await {
                Ok(response) => response,
                Err(error) => {
                    if error.is_connect() {
                        permit.not_sent();
                    }
                    return Err(error);
                }
            };
            let answer =
                permit.on_response(|now| super::answer(response.status(), response.headers(), now));
            match again {
                Some(again) if may_repeat(&method, &answer) => {
                    request = again;
                    refused = Some(response);
                    repeated += 1;
                }
                _ => return Ok(response),
            }
        }
    }
}
