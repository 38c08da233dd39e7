//! The service: decides, and answers or passes on.

use super::credential::{ConflictingCredentials, credential};
use super::future::{LimitedFuture, Report};
use super::head::Head;
use super::response::conflict;
use super::settings::Settings;
use super::{Answers, Event, OwnBody};
use crate::awaited::{DecideAsync, Step};
use crate::clock::{Started, Stopwatch};
use http::{HeaderMap, Request, Response};
use limiter_core::{Method, Origin, Outage};
use std::borrow::{Borrow as _, Cow};
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_service::Service;

/// A service behind a limiter; built by [`LimiterLayer`](super::LimiterLayer).
pub struct Limited<S, D, A = OwnBody> {
    inner: S,
    settings: Arc<Settings<D>>,
    answers: PhantomData<fn() -> A>,
}

impl<S, D, A> Limited<S, D, A> {
    pub(super) const fn new(inner: S, settings: Arc<Settings<D>>) -> Self {
        let answers = PhantomData;
        Self {
            inner,
            settings,
            answers,
        }
    }
}

impl<S: Clone, D, A> Clone for Limited<S, D, A> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), Arc::clone(&self.settings))
    }
}

impl<S: fmt::Debug, D, A> fmt::Debug for Limited<S, D, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limited")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

/// The inner service is cloned when a decision has to be awaited, and only then: the one that was
/// ready goes with the request, its clone stays behind.
impl<S, D, A, B, R> Service<Request<B>> for Limited<S, D, A>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    D: DecideAsync,
    A: Answers<R>,
{
    type Response = Response<A::Body>;
    type Error = S::Error;
    type Future = LimitedFuture<S, B, R, D, A>;

    /// Ready when the inner service is: also a refusal waits for that.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let started = self.settings.stopwatch.as_ref().map(Stopwatch::start);
        match self.settings.ask(&Head::of(&request)) {
            Err(ConflictingCredentials) => LimitedFuture::refused(conflict(request.headers())),
            Ok((asked, Step::Done(decided))) => {
                let headers = request.headers();
                match self
                    .settings
                    .conclude(&asked, decided.borrow(), started, headers)
                {
                    Verdict::Pass => {
                        let future = self.inner.call(request);
                        LimitedFuture::passed(future, Report::of(decided, &self.settings))
                    }
                    Verdict::Answer(response) => LimitedFuture::refused(response),
                }
            }
            Ok((asked, Step::Awaits(deciding))) => {
                let clone = self.inner.clone();
                let ready = std::mem::replace(&mut self.inner, clone);
                let (asked, held) = ((asked, started), (ready, request));
                LimitedFuture::deciding(deciding, asked, held, Arc::clone(&self.settings))
            }
        }
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
        let origin = self.origin_of(head);
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
            Ok(now) => {
                let caller = self.caller.as_ref().and_then(|of| of(head));
                let shown = shown.as_deref();
                self.limiter.decide_for(&request, shown, caller, now)
            }
            Err(_) => Step::Done(self.limiter.refuse(&request, Outage::ClockFailed)),
        };
        Ok((request, step))
    }

    /// Calls the hook, and answers a request, with these headers, that does not pass.
    #[inline]
    pub(super) fn conclude(
        &self,
        request: &limiter_core::Request,
        decision: &limiter_core::Decision,
        started: Option<Started>,
        headers: &HeaderMap,
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
            Verdict::Answer(self.refusal(decision, request.token, headers))
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

    /// Reports on the service's answer, and gives permits back where the settings say so; the refund,
    /// if it takes time.
    pub(super) fn finish<R, E>(
        &self,
        decided: &mut Option<D::Decided>,
        answer: &mut Result<Response<R>, E>,
    ) -> Option<D::GivingBack> {
        if let (Ok(response), Some(decided)) = (&mut *answer, &*decided) {
            self.report(response, decided.borrow());
        }
        if self.gives_back(answer.as_ref().ok())
            && let Some(decided) = decided.take()
            && let Ok(now) = self.clock.now()
            && let Step::Awaits(giving_back) = self.limiter.give_back(decided, now)
        {
            return Some(giving_back);
        }
        None
    }
}
