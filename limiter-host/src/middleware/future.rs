//! The answer to come: waits for the decision if it must, for the service, for a refund if it must.
//!
//! What waits for a limiter is boxed, for a limiter that does not make callers wait would carry the
//! room for it in every future otherwise. So it costs nothing where nothing waits, and one
//! allocation where a look-up or another machine is waited for.

use super::Settings;
use super::body::{Answers, OwnBody};
use super::response::report_plainly;
use super::service::Verdict;
use crate::awaited::DecideAsync;
use crate::clock::Started;
use http::{Request, Response};
use pin_project_lite::pin_project;
use std::borrow::Borrow as _;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tower_service::Service;

pin_project! {
    /// The answer to come.
    ///
    /// Dropped while it waits for a decision, it leaves what [`DecideAsync`] says; the service has
    /// not been called. Dropped later, the request stays charged.
    pub struct LimitedFuture<S, B, R, D, A = OwnBody>
    where
        S: Service<Request<B>>,
        D: DecideAsync,
    {
        #[pin]
        state: State<S, B, R, D>,
        // None where only the page's headers are left to be written: a count that all threads
        // share is not touched for nothing.
        settings: Option<Arc<Settings<D>>>,
        answers: PhantomData<fn() -> A>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, B, R, D>
    where
        S: Service<Request<B>>,
        D: DecideAsync,
    {
        // Without a decision nothing is reported.
        Passed { #[pin] future: S::Future, decided: Option<D::Decided> },
        Refused { response: Option<Response<&'static str>> },
        Deciding { waiting: Pin<Box<Deciding<S, B, D::Deciding>>> },
        GivingBack { waiting: Pin<Box<GivingBack<Result<Response<R>, S::Error>, D::GivingBack>>> },
    }
}

/// What was asked for, and when, if that is measured.
type Asked = (limiter_core::Request, Option<Started>);

pin_project! {
    /// A request that waits for its decision, and the service that is ready for it.
    struct Deciding<S, B, F> {
        #[pin]
        future: F,
        asked: Asked,
        // Taken when the decision is there.
        held: Option<(S, Request<B>)>,
    }
}

pin_project! {
    /// An answer that waits for a refund.
    struct GivingBack<T, F> {
        #[pin]
        future: F,
        answer: Option<T>,
    }
}

impl<S, B, R, D, A> LimitedFuture<S, B, R, D, A>
where
    S: Service<Request<B>>,
    D: DecideAsync,
{
    #[inline]
    pub(super) fn passed(
        future: S::Future,
        decided: D::Decided,
        settings: &Arc<Settings<D>>,
    ) -> Self {
        let plain = settings.is_plain();
        let reports = !plain || settings.quota_headers;
        Self {
            state: State::Passed {
                future,
                decided: reports.then_some(decided),
            },
            settings: (!plain).then(|| Arc::clone(settings)),
            answers: PhantomData,
        }
    }

    pub(super) const fn refused(response: Response<&'static str>) -> Self {
        Self {
            state: State::Refused {
                response: Some(response),
            },
            settings: None,
            answers: PhantomData,
        }
    }

    pub(super) fn deciding(
        future: D::Deciding,
        asked: Asked,
        held: (S, Request<B>),
        settings: &Arc<Settings<D>>,
    ) -> Self {
        let waiting = Box::pin(Deciding {
            future,
            asked,
            held: Some(held),
        });
        Self {
            state: State::Deciding { waiting },
            settings: Some(Arc::clone(settings)),
            answers: PhantomData,
        }
    }
}

impl<S, B, R, D, A> Future for LimitedFuture<S, B, R, D, A>
where
    S: Service<Request<B>, Response = Response<R>>,
    D: DecideAsync,
    A: Answers<R>,
{
    type Output = Result<Response<A::Body>, S::Error>;

    /// # Panics
    ///
    /// When it is polled again after it was ready, as futures may.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProjection::Refused { response } => {
                    let response = response.take().expect(AGAIN);
                    return Poll::Ready(Ok(response.map(A::refusal)));
                }
                StateProjection::Passed { future, decided } => {
                    let mut answer = ready!(future.poll(context));
                    if let (Ok(response), Some(decided)) = (&mut answer, &*decided) {
                        let headers = response.headers_mut();
                        match &this.settings {
                            Some(settings) => settings.report(headers, decided.borrow()),
                            None => report_plainly(headers, decided.borrow()),
                        }
                    }
                    let Some(future) = refund(&answer, this.settings.as_deref(), decided) else {
                        return Poll::Ready(answer.map(served::<A, R>));
                    };
                    let answer = Some(answer);
                    State::GivingBack {
                        waiting: Box::pin(GivingBack { future, answer }),
                    }
                }
                StateProjection::Deciding { waiting } => {
                    let deciding = waiting.as_mut().project();
                    let decided = ready!(deciding.future.poll(context));
                    let (mut inner, request) = deciding.held.take().expect(AGAIN);
                    let (asked, started) = deciding.asked;
                    let settings = this.settings.as_ref().expect("it was kept for this");
                    match settings.conclude(asked, decided.borrow(), *started) {
                        Verdict::Pass => State::Passed {
                            future: inner.call(request),
                            decided: Some(decided),
                        },
                        Verdict::Answer(response) => State::Refused {
                            response: Some(response),
                        },
                    }
                }
                StateProjection::GivingBack { waiting } => {
                    let waiting = waiting.as_mut().project();
                    ready!(waiting.future.poll(context));
                    let answer = waiting.answer.take().expect(AGAIN);
                    return Poll::Ready(answer.map(served::<A, R>));
                }
            };
            this.state.set(next);
        }
    }
}

#[inline]
fn served<A: Answers<R>, R>(response: Response<R>) -> Response<A::Body> {
    response.map(A::service)
}

/// Begins to give the permits of a request back whose service failed; the refund, if it takes time.
#[inline]
fn refund<R, E, D: DecideAsync>(
    answer: &Result<Response<R>, E>,
    settings: Option<&Settings<D>>,
    decided: &mut Option<D::Decided>,
) -> Option<D::GivingBack> {
    match answer {
        Ok(response) if !response.status().is_server_error() => None,
        _ => settings?.give_back(decided.take()),
    }
}

impl<S, B, R, D, A> fmt::Debug for LimitedFuture<S, B, R, D, A>
where
    S: Service<Request<B>>,
    D: DecideAsync,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LimitedFuture(..)")
    }
}

const AGAIN: &str = "polled after it was ready";
