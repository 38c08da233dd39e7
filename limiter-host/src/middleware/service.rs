//! The service: decides, and answers or passes on.

use super::credential::{ConflictingCredentials, credential};
use super::future::{LimitedFuture, State};
use super::head::Head;
use super::response::conflict;
use super::{Event, Settings};
use crate::awaited::{DecideAsync, Step};
use crate::clock::{Started, Stopwatch};
use http::{Request, Response};
use http_body::Body;
use limiter_core::{Method, Origin, Outage};
use std::borrow::{Borrow as _, Cow};
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll};
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

/// The inner service is cloned when a decision has to be awaited, and only then: the one that was
/// ready goes with the request, its clone stays behind.
impl<S, D, B, R> Service<Request<B>> for Limited<S, D>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    D: DecideAsync,
    R: Body,
    R::Data: From<&'static str>,
{
    type Response = Response<super::LimitedBody<R>>;
    type Error = S::Error;
    type Future = LimitedFuture<S, B, R, D>;

    /// Ready when the inner service is: also a refusal waits for that.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let started = self.settings.stopwatch.as_ref().map(Stopwatch::start);
        let state = match self.settings.ask(&Head::of(&request)) {
            Err(ConflictingCredentials) => State::refused(conflict()),
            Ok((asked, Step::Done(decided))) => {
                match self.settings.conclude(&asked, decided.borrow(), started) {
                    Verdict::Pass => State::passed(self.inner.call(request), decided),
                    Verdict::Answer(response) => State::refused(response),
                }
            }
            Ok((asked, Step::Awaits(deciding))) => {
                let clone = self.inner.clone();
                let inner = std::mem::replace(&mut self.inner, clone);
                State::deciding(deciding, (asked, started), inner, request)
            }
        };
        LimitedFuture::new(state, Arc::clone(&self.settings))
    }
}

/// What becomes of a request.
pub(super) enum Verdict {
    Pass,
    Answer(Response<&'static str>),
}

/// A request as the limiter sees it, and what the limiter says.
type Asked<D> = (
    limiter_core::Request,
    Step<<D as DecideAsync>::Decided, <D as DecideAsync>::Deciding>,
);

impl<D: DecideAsync> Settings<D> {
    /// Finds out what is asked for, and asks the limiter.
    #[inline]
    fn ask(&self, head: &Head<'_>) -> Result<Asked<D>, ConflictingCredentials> {
        let origin = self.origin.as_ref().map_or(Origin::Api, |of| of(head));
        let shown = self.shown(head, origin)?;
        let request = limiter_core::Request {
            token: shown.as_deref().map(|shown| self.key.token(shown)),
            cost: self.cost.as_ref().map_or(NonZeroU32::MIN, |of| of(head)),
            method: match &self.method {
                Some(of) => of(head),
                None => Method::from_name(head.method.as_str()),
            },
            origin,
        };
        let step = match self.clock.now() {
            Ok(now) => self.limiter.decide(&request, shown.as_deref(), now),
            Err(_) => Step::Done(self.limiter.refuse(&request, Outage::ClockFailed)),
        };
        Ok((request, step))
    }

    /// Tells the hook, and answers a request that does not pass.
    #[inline]
    pub(super) fn conclude(
        &self,
        request: &limiter_core::Request,
        decision: &limiter_core::Decision,
        started: Option<Started>,
    ) -> Verdict {
        let passes = decision.is_admitted() || self.shadow;
        if let Some(hook) = &self.hook {
            let timed = self.stopwatch.as_ref().zip(started);
            hook(&Event {
                request,
                decision,
                passes,
                took: timed.map(|(stopwatch, started)| stopwatch.since(started)),
            });
        }
        if passes {
            Verdict::Pass
        } else {
            Verdict::Answer(self.refusal(decision, request.token))
        }
    }

    /// The credential shown; a webhook's is not looked at (O1).
    fn shown<'a>(
        &self,
        head: &Head<'a>,
        origin: Origin,
    ) -> Result<Option<Cow<'a, [u8]>>, ConflictingCredentials> {
        if origin == Origin::Webhook {
            return Ok(None);
        }
        let shown = match &self.credential {
            Some(find) => find(head),
            None => credential(head),
        };
        match shown {
            Err(_) if self.shadow => Ok(None),
            shown => shown,
        }
    }

    /// Gives back what a failed request took, if that is wanted; the refund, if it takes time.
    pub(super) fn give_back(&self, decided: Option<D::Decided>) -> Option<D::GivingBack> {
        if self.refund
            && let Some(decided) = decided
            && let Ok(now) = self.clock.now()
            && let Step::Awaits(giving_back) = self.limiter.give_back(decided, now)
        {
            return Some(giving_back);
        }
        None
    }
}
