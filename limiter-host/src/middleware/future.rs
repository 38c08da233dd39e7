//! The answer to come: waits for the decision if it must, for the service, for a refund if it must.
//!
//! What waits for a limiter is boxed, for a limiter that does not make callers wait would carry the
//! room for it in every future otherwise. So it costs nothing where nothing waits, and one
//! allocation where a look-up or another machine is waited for.

use super::body::{Answers, OwnBody};
use super::fields::write_quota;
use super::refusal::is_refusal;
use super::service::Verdict;
use super::settings::Settings;
use crate::awaited::DecideAsync;
use crate::clock::Started;
use http::{Request, Response};
use limiter_core::Quota;
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
        Passed { #[pin] future: S::Future, report: Report<D> },
        Refused { response: Option<Response<&'static str>> },
        Deciding { waiting: Pin<Box<Deciding<S, B, D>>> },
        GivingBack { waiting: Pin<Box<GivingBack<Result<Response<R>, S::Error>, D::GivingBack>>> },
    }
}

/// What is left to do when the service has answered.
pub(super) enum Report<D: DecideAsync> {
    Nothing,
    /// The page's headers alone: the decision is not kept, and a count that all threads share is
    /// not touched.
    Quota(Quota),
    /// What the settings say. The decision is taken when its permits are given back.
    Whole(Option<D::Decided>, Arc<Settings<D>>),
}

/// What was asked for, and when, if that is measured.
type Asked = (limiter_core::Request, Option<Started>);

pin_project! {
    /// A request that waits for its decision, and the service that is ready for it.
    struct Deciding<S, B, D>
    where
        D: DecideAsync,
    {
        #[pin]
        future: D::Deciding,
        asked: Asked,
        settings: Arc<Settings<D>>,
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
    pub(super) fn passed(future: S::Future, report: Report<D>) -> Self {
        Self {
            state: State::Passed { future, report },
            answers: PhantomData,
        }
    }

    pub(super) const fn refused(response: Response<&'static str>) -> Self {
        let response = Some(response);
        Self {
            state: State::Refused { response },
            answers: PhantomData,
        }
    }

    pub(super) fn deciding(
        future: D::Deciding,
        asked: Asked,
        held: (S, Request<B>),
        settings: Arc<Settings<D>>,
    ) -> Self {
        let waiting = Box::pin(Deciding {
            future,
            asked,
            settings,
            held: Some(held),
        });
        Self {
            state: State::Deciding { waiting },
            answers: PhantomData,
        }
    }
}

impl<D: DecideAsync> Report<D> {
    /// What is left to do for a request that passes.
    #[inline]
    pub(super) fn of(decided: D::Decided, settings: &Arc<Settings<D>>) -> Self {
        if !settings.is_plain() {
            return Self::Whole(Some(decided), Arc::clone(settings));
        }
        match decided.borrow().quota() {
            Some(quota) if settings.quota_headers => Self::Quota(quota),
            _ => Self::Nothing,
        }
    }

    /// Writes the headers and begins to give permits back; the refund, if it takes time.
    #[inline]
    fn finish<R, E>(&mut self, answer: &mut Result<Response<R>, E>) -> Option<D::GivingBack> {
        match (self, answer) {
            (Self::Quota(quota), Ok(response)) if !is_refusal(response) => {
                write_quota(response.headers_mut(), quota);
            }
            (Self::Whole(decided, settings), answer) => return settings.finish(decided, answer),
            _ => {}
        }
        None
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
                StateProjection::Passed { future, report } => {
                    let mut answer = ready!(future.poll(context));
                    let Some(future) = report.finish(&mut answer) else {
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
                    let settings = &*deciding.settings;
                    match settings.conclude(asked, decided.borrow(), *started, request.headers()) {
                        Verdict::Pass => State::Passed {
                            future: inner.call(request),
                            report: Report::of(decided, settings),
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
