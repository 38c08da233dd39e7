//! The answer to come: waits for the decision if it must, for the service, for a refund if it must.
//!
//! What waits for a limiter is boxed, for a limiter that does not make callers wait would carry the
//! room for it in every future otherwise. So it costs nothing where nothing waits, and one
//! allocation where a look-up or another machine is waited for.

use super::Settings;
use super::body::LimitedBody;
use super::service::Verdict;
use crate::awaited::DecideAsync;
use crate::clock::Started;
use http::{Request, Response};
use pin_project_lite::pin_project;
use std::borrow::Borrow as _;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tower_service::Service;

pin_project! {
    /// The answer to come.
    ///
    /// Dropped while it waits for a decision, it leaves what [`DecideAsync`] says; the service has
    /// not been called. Dropped later, the request stays charged.
    pub struct LimitedFuture<S, B, R, D>
    where
        S: Service<Request<B>>,
        D: DecideAsync,
    {
        #[pin]
        state: State<S, B, R, D>,
        settings: Arc<Settings<D>>,
    }
}

pin_project! {
    #[project = StateProjection]
    pub(super) enum State<S, B, R, D>
    where
        S: Service<Request<B>>,
        D: DecideAsync,
    {
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
    pub(super) struct Deciding<S, B, F> {
        #[pin]
        future: F,
        asked: Asked,
        // Taken when the decision is there.
        held: Option<(S, Request<B>)>,
    }
}

pin_project! {
    /// An answer that waits for a refund.
    pub(super) struct GivingBack<A, F> {
        #[pin]
        future: F,
        answer: Option<A>,
    }
}

impl<S, B, R, D> State<S, B, R, D>
where
    S: Service<Request<B>>,
    D: DecideAsync,
{
    pub(super) const fn passed(future: S::Future, decided: D::Decided) -> Self {
        Self::Passed {
            future,
            decided: Some(decided),
        }
    }

    pub(super) const fn refused(response: Response<&'static str>) -> Self {
        Self::Refused {
            response: Some(response),
        }
    }

    pub(super) fn deciding(
        future: D::Deciding,
        asked: Asked,
        inner: S,
        request: Request<B>,
    ) -> Self {
        Self::Deciding {
            waiting: Box::pin(Deciding {
                future,
                asked,
                held: Some((inner, request)),
            }),
        }
    }
}

impl<S, B, R, D> LimitedFuture<S, B, R, D>
where
    S: Service<Request<B>>,
    D: DecideAsync,
{
    pub(super) const fn new(state: State<S, B, R, D>, settings: Arc<Settings<D>>) -> Self {
        Self { state, settings }
    }
}

impl<S, B, R, D> Future for LimitedFuture<S, B, R, D>
where
    S: Service<Request<B>, Response = Response<R>>,
    D: DecideAsync,
{
    type Output = Result<Response<LimitedBody<R>>, S::Error>;

    /// # Panics
    ///
    /// When it is polled again after it was ready, as futures may.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProjection::Refused { response } => {
                    let response = response.take().expect(AGAIN);
                    return Poll::Ready(Ok(response.map(LimitedBody::refusal)));
                }
                StateProjection::Passed { future, decided } => {
                    let mut answer = ready!(future.poll(context));
                    let decided = decided.take();
                    if let (Ok(response), Some(decided)) = (&mut answer, &decided) {
                        this.settings
                            .report(response.headers_mut(), decided.borrow());
                    }
                    if !has_failed(&answer) {
                        return Poll::Ready(answer.map(served));
                    }
                    let Some(future) = this.settings.give_back(decided) else {
                        return Poll::Ready(answer.map(served));
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
                    match this.settings.conclude(asked, decided.borrow(), *started) {
                        Verdict::Pass => State::passed(inner.call(request), decided),
                        Verdict::Answer(response) => State::refused(response),
                    }
                }
                StateProjection::GivingBack { waiting } => {
                    let waiting = waiting.as_mut().project();
                    ready!(waiting.future.poll(context));
                    let answer = waiting.answer.take().expect(AGAIN);
                    return Poll::Ready(answer.map(served));
                }
            };
            this.state.set(next);
        }
    }
}

fn served<R>(response: Response<R>) -> Response<LimitedBody<R>> {
    response.map(LimitedBody::service)
}

/// Whether the service failed, so that the request's permits may go back.
fn has_failed<R, E>(answer: &Result<Response<R>, E>) -> bool {
    answer
        .as_ref()
        .map_or(true, |response| response.status().is_server_error())
}

impl<S, B, R, D> fmt::Debug for LimitedFuture<S, B, R, D>
where
    S: Service<Request<B>>,
    D: DecideAsync,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LimitedFuture(..)")
    }
}

const AGAIN: &str = "polled after it was ready";
