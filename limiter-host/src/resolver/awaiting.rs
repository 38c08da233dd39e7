//! The resolver whose look-ups are awaited.

use super::flights::{Boarded, Flights, Seat};
use super::known::{Known, LookupCounts, Resolution};
use super::{Lookups, Shown};
use crate::awaited::{DecideAsync, Step};
use crate::clock::SharedClock;
use crate::manage::Manage;
use futures_util::FutureExt as _;
use futures_util::future::Shared;
use limiter_core::{Decision, Now, Outage, Policy, Registration, Request, TokenId};
use pin_project_lite::pin_project;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
#[cfg(feature = "tracing")]
use tracing::Instrument as _;

/// A limiter that looks unknown tokens up, by a future of yours. See [the module](super).
pub struct Resolver<D, F> {
    known: Arc<Known<D>>,
    flights: Arc<Flights<Handle>>,
    look_up: Arc<F>,
}

/// A look-up, with what it changes, as many wait for it.
type Handle = Shared<Pin<Box<dyn Future<Output = Resolution> + Send>>>;

impl<D, F> Resolver<D, F>
where
    D: Manage + Send + Sync + 'static,
{
    /// Puts a resolver before a limiter. `clock` is the one with which tokens are registered.
    ///
    /// `look_up` gives what the token is to be registered with, `None` if there is no such token,
    /// or an error if nobody can say. Its future is polled by those who wait for it, and dropped
    /// when there are none left. If either panics, the look-up has failed.
    pub fn new<Answer, Error>(
        limiter: Arc<D>,
        clock: SharedClock,
        lookups: Lookups,
        look_up: F,
    ) -> Self
    where
        F: Fn(Shown) -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Result<Option<Registration>, Error>> + Send + 'static,
    {
        Self {
            known: Arc::new(Known::new(limiter, clock, &lookups)),
            flights: Flights::new(lookups.at_once),
            look_up: Arc::new(look_up),
        }
    }

    /// Decides a request, which shows this credential. Where a front wants to poll by itself it
    /// uses [`DecideAsync::decide`].
    pub async fn check<Answer, Error>(
        &self,
        request: &Request,
        credential: Option<&[u8]>,
        now: Now,
    ) -> Decision
    where
        F: Fn(Shown) -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Result<Option<Registration>, Error>> + Send + 'static,
    {
        match self.decide(request, credential, now) {
            Step::Done(decision) => decision,
            Step::Awaits(looking) => looking.await,
        }
    }

    /// The limiter behind.
    #[must_use]
    pub fn limiter(&self) -> &Arc<D> {
        &self.known.limiter
    }

    /// Forgets what is remembered of a token: that it is absent, and when it was looked up. Say so
    /// when a credential was just issued, or changed.
    pub fn forget(&self, token: TokenId) {
        self.known.forget(token);
    }

    /// How often look-ups were made, and how they ended.
    #[must_use]
    pub fn counts(&self) -> LookupCounts {
        self.known.counts()
    }

    #[cfg(test)]
    pub(super) fn waiting(&self, token: TokenId) -> usize {
        self.flights.waiting(token)
    }
}

impl<D, F, Answer, Error> DecideAsync for Resolver<D, F>
where
    D: Manage + Send + Sync + 'static,
    F: Fn(Shown) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<Option<Registration>, Error>> + Send + 'static,
{
    type Decided = Decision;
    type Deciding = Looking<D>;
    type GivingBack = crate::awaited::Never<()>;

    fn decide(
        &self,
        request: &Request,
        credential: Option<&[u8]>,
        now: Now,
    ) -> Step<Decision, Looking<D>> {
        let token = match self.known.decide(request, credential, now) {
            Ok(decision) => return Step::Done(decision),
            Err(token) => token,
        };
        let (known, flights) = (Arc::clone(&self.known), Arc::downgrade(&self.flights));
        let look_up = Arc::clone(&self.look_up);
        let begin = move |number| {
            let shown = Shown::new(token, credential.unwrap_or_default());
            // Your code runs when this is polled, and so under no lock of ours.
            let asking = async move { look_up(shown).await };
            #[cfg(feature = "tracing")]
            let asking = asking.instrument(tracing::debug_span!("look_up", ?token));
            let looking: Pin<Box<dyn Future<Output = Resolution> + Send>> = Box::pin(async move {
                let resolution = match AssertUnwindSafe(asking).catch_unwind().await {
                    Ok(answer) => known.settle(token, answer),
                    Err(_) => known.failed(token),
                };
                // Who comes before this joins; who comes after it finds the answer.
                if let Some(flights) = flights.upgrade() {
                    flights.land(token, number);
                }
                resolution
            });
            looking.shared()
        };
        let boarded = self
            .flights
            .board(token, || self.known.answered(token), begin);
        let resolution = match boarded {
            Boarded::Seat { seat, handle, .. } => {
                return Step::Awaits(Looking {
                    handle,
                    _seat: seat,
                    known: Arc::clone(&self.known),
                    request: *request,
                });
            }
            Boarded::Answered(resolution) => resolution,
            Boarded::TurnedAway => self.known.turn_away(),
        };
        Step::Done(self.known.decide_after(resolution, request))
    }

    fn refuse(&self, request: &Request, outage: Outage) -> Decision {
        self.known.limiter.refuse_for(request, outage)
    }

    fn give_back(&self, decided: Decision, now: Now) -> Step<(), crate::awaited::Never<()>> {
        self.known.limiter.give_back(decided, now)
    }

    fn current_policy(&self) -> Policy {
        self.known.limiter.policy()
    }
}

impl<D: fmt::Debug, F> fmt::Debug for Resolver<D, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver")
            .field("limiter", &self.known.limiter)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// A decision that waits for a look-up. Dropped, it has charged nothing; others who wait for
    /// the same look-up go on with it.
    pub struct Looking<D> {
        #[pin]
        handle: Handle,
        // Declared after the handle and so dropped after it: the last one to leave takes the
        // look-up along.
        _seat: Seat<Handle>,
        known: Arc<Known<D>>,
        request: Request,
    }
}

impl<D: Manage> Future for Looking<D> {
    type Output = Decision;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Decision> {
        let this = self.project();
        let resolution = ready!(this.handle.poll(context));
        Poll::Ready(this.known.decide_after(resolution, this.request))
    }
}

impl<D> fmt::Debug for Looking<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Looking(..)")
    }
}
