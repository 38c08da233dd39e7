//! The service: decides, and answers or passes on.

use super::body::LimitedBody;
use super::credential::{ConflictingCredentials, credential};
use super::head::Head;
use super::response::conflict;
use super::{Event, Settings};
use crate::decide::Decide;
use http::{Request, Response};
use http_body::Body;
use limiter_core::{Decision, Method, Origin, Outage, TokenId};
use pin_project_lite::pin_project;
use std::fmt;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tower_service::Service;

/// A service behind a limiter; built by [`LimiterLayer`](super::LimiterLayer).
pub struct Limited<S, D> {
    inner: S,
    settings: Arc<Settings<D>>,
}

impl<S, D> Limited<S, D> {
    pub(super) const fn new(inner: S, settings: Arc<Settings<D>>) -> Self {
        Self { inner, settings }
    }
}

impl<S: Clone, D> Clone for Limited<S, D> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            settings: Arc::clone(&self.settings),
        }
    }
}

impl<S: fmt::Debug, D> fmt::Debug for Limited<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limited")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

impl<S, D, B, R> Service<Request<B>> for Limited<S, D>
where
    S: Service<Request<B>, Response = Response<R>>,
    D: Decide,
    R: Body,
    R::Data: From<&'static str>,
{
    type Response = Response<LimitedBody<R>>;
    type Error = S::Error;
    type Future = LimitedFuture<S::Future, D>;

    /// Ready when the inner service is: also a refusal waits for that.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let state = match self.settings.judge(&Head::of(&request)) {
            Verdict::Pass(decision) => State::Passed {
                future: self.inner.call(request),
                decision: Some(decision),
            },
            Verdict::Answer(response) => State::Refused {
                response: Some(response),
            },
        };
        LimitedFuture {
            state,
            settings: Arc::clone(&self.settings),
        }
    }
}

/// What becomes of a request.
enum Verdict {
    Pass(Decision),
    Answer(Response<&'static str>),
}

impl<D: Decide> Settings<D> {
    fn judge(&self, head: &Head<'_>) -> Verdict {
        let origin = self.origin.as_ref().map_or(Origin::Api, |of| of(head));
        let token = match self.token(head, origin) {
            Ok(token) => token,
            Err(ConflictingCredentials) => return Verdict::Answer(conflict()),
        };
        let request = limiter_core::Request {
            token,
            cost: self.cost.as_ref().map_or(NonZeroU32::MIN, |of| of(head)),
            method: match &self.method {
                Some(of) => of(head),
                None => Method::from_name(head.method.as_str()),
            },
            origin,
        };
        let decision = match self.clock.now() {
            Ok(now) => self.limiter.check(&request, now),
            Err(_) => self.limiter.refuse_for(&request, Outage::ClockFailed),
        };
        let passes = decision.is_admitted() || self.shadow;
        if let Some(hook) = &self.hook {
            hook(&Event {
                request: &request,
                decision: &decision,
                passes,
            });
        }
        if passes {
            Verdict::Pass(decision)
        } else {
            Verdict::Answer(self.refusal(&decision, token))
        }
    }

    /// The id of the credential shown; a webhook's is not looked at (O1).
    fn token(
        &self,
        head: &Head<'_>,
        origin: Origin,
    ) -> Result<Option<TokenId>, ConflictingCredentials> {
        if origin == Origin::Webhook {
            return Ok(None);
        }
        let shown = match &self.credential {
            Some(find) => find(head),
            None => credential(head),
        };
        match shown {
            Ok(shown) => Ok(shown.map(|shown| self.key.token(&shown))),
            Err(_) if self.shadow => Ok(None),
            Err(conflict) => Err(conflict),
        }
    }

    /// Gives back what a failed request took, if that is wanted.
    fn refund(&self, decision: Option<Decision>) {
        if self.refund
            && let Some(receipt) = decision.and_then(Decision::into_receipt)
            && let Ok(now) = self.clock.now()
        {
            self.limiter.refund(receipt, now);
        }
    }
}

pin_project! {
    /// The answer to come.
    pub struct LimitedFuture<F, D> {
        #[pin]
        state: State<F>,
        settings: Arc<Settings<D>>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F> {
        Passed { #[pin] future: F, decision: Option<Decision> },
        Refused { response: Option<Response<&'static str>> },
    }
}

impl<F, D, R, E> Future for LimitedFuture<F, D>
where
    F: Future<Output = Result<Response<R>, E>>,
    D: Decide,
{
    type Output = Result<Response<LimitedBody<R>>, E>;

    /// # Panics
    ///
    /// When it is polled again after it was ready, as futures may.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.state.project() {
            StateProjection::Refused { response } => {
                let response = response.take().expect("polled after it was ready");
                Poll::Ready(Ok(response.map(LimitedBody::refusal)))
            }
            StateProjection::Passed { future, decision } => {
                let answer = ready!(future.poll(context));
                let decision = decision.take();
                match answer {
                    Ok(mut response) => {
                        if let Some(decision) = &decision {
                            this.settings.report(response.headers_mut(), decision);
                        }
                        if response.status().is_server_error() {
                            this.settings.refund(decision);
                        }
                        Poll::Ready(Ok(response.map(LimitedBody::service)))
                    }
                    Err(error) => {
                        this.settings.refund(decision);
                        Poll::Ready(Err(error))
                    }
                }
            }
        }
    }
}

impl<F, D> fmt::Debug for LimitedFuture<F, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LimitedFuture(..)")
    }
}
