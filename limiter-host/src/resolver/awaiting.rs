//! The resolver whose look-ups are awaited.

use super::flights::{Boarded, Flights, Seat};
use super::known::{Known, LookupCounts, Resolution};
use super::{Lookups, Shown};
use crate::awaited::{Caller, DecideAsync, Step};
use crate::clock::SharedClock;
use crate::manage::Manage;
use futures_util::FutureExt as _;
use futures_util::future::{AbortHandle, Abortable, Aborted, Either, Shared, pending, select};
use limiter_core::{Decision, Now, Outage, Policy, Registration, Request, TokenId};
use pin_project_lite::pin_project;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
#[cfg(feature = "tracing")]
use tracing::Instrument as _;

/// A limiter that looks unknown tokens up, by your future. See [the module](super).
pub struct Resolver<D, F> {
    known: Arc<Known<D>>,
    flights: Arc<Flights<Handle>>,
    look_up: Arc<F>,
    timeout: Duration,
    sleep: Sleep,
}

/// A look-up, with what it changes, as many wait for it.
#[derive(Clone)]
struct Handle {
    looking: Looked,
    /// Ends it early, with a failure.
    end: AbortHandle,
}

type Looked = Shared<Boxed<Resolution>>;
type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Sleep = Arc<dyn Fn(Duration) -> Boxed<()> + Send + Sync>;

impl<D, F> Resolver<D, F>
where
    D: Manage + Send + Sync + 'static,
{
    /// Puts a resolver before a limiter. `clock` is the one with which tokens are registered.
    ///
    /// `look_up` gives what the token is to be registered with, `None` if there is no such token,
    /// or an error if the answer is unknown. Its future is polled by those who wait for it, and dropped
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
            flights: Flights::new(lookups.room()),
            look_up: Arc::new(look_up),
            timeout: lookups.timeout,
            sleep: Arc::new(sleep_by_tokio),
        }
    }

    /// Waits for [`Lookups::timeout`] by another timer than tokio's.
    ///
    /// By default a look-up that is first polled within a tokio runtime waits by that runtime's timer,
    /// which must be enabled. Without a timer a look-up ends late when another request needs its
    /// place, or its token.
    #[must_use]
    pub fn sleep_by<Slept>(
        mut self,
        sleep: impl Fn(Duration) -> Slept + Send + Sync + 'static,
    ) -> Self
    where
        Slept: Future<Output = ()> + Send + 'static,
    {
        self.sleep = Arc::new(move |length| Box::pin(sleep(length)));
        self
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
        self.check_for(request, credential, None, now).await
    }

    /// Decides a request of a caller, who has a share of the look-ups ([`Lookups::per_caller`]).
    pub async fn check_for<Answer, Error>(
        &self,
        request: &Request,
        credential: Option<&[u8]>,
        caller: Option<Caller>,
        now: Now,
    ) -> Decision
    where
        F: Fn(Shown) -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Result<Option<Registration>, Error>> + Send + 'static,
    {
        match self.decide_for(request, credential, caller, now) {
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

    /// Counts of look-ups, by outcome.
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
        self.decide_for(request, credential, None, now)
    }

    fn decide_for(
        &self,
        request: &Request,
        credential: Option<&[u8]>,
        caller: Option<Caller>,
        now: Now,
    ) -> Step<Decision, Looking<D>> {
        let token = match self.known.decide(request, credential, now) {
            Ok(decision) => return Step::Done(decision),
            Err(token) => token,
        };
        let caller = self.known.hash(caller);
        let now_ms = now.monotonic().as_millis();
        for overdue in self.flights.take_overdue(token, caller, now_ms) {
            self.known.timed_out(overdue.token, overdue.caller);
            overdue.handle.end.abort();
        }
        let gate = self.known.gate(token, caller);
        let begin = |number| self.begin(token, credential.unwrap_or_default(), caller, number);
        let resolution = match self.flights.board(token, caller, now_ms, gate, begin) {
            Boarded::Seat { seat, handle, .. } => {
                return Step::Awaits(Looking {
                    looking: handle.looking,
                    _seat: seat,
                    known: Arc::clone(&self.known),
                    request: *request,
                });
            }
            Boarded::Answered(resolution) => resolution,
            Boarded::TurnedAway => self.known.turn_away(),
            Boarded::BackedOff => self.known.back_off(),
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

impl<D, F> Resolver<D, F>
where
    D: Manage + Send + Sync + 'static,
{
    /// Makes a look-up, of which nothing runs until it is polled.
    fn begin<Answer, Error>(
        &self,
        token: TokenId,
        credential: &[u8],
        caller: Option<u64>,
        number: u64,
    ) -> Handle
    where
        F: Fn(Shown) -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Result<Option<Registration>, Error>> + Send + 'static,
    {
        let (known, flights) = (Arc::clone(&self.known), Arc::downgrade(&self.flights));
        let (sleep, timeout) = (Arc::clone(&self.sleep), self.timeout);
        let (look_up, shown) = (Arc::clone(&self.look_up), Shown::new(token, credential));
        // Your code runs when this is polled, and so under no lock of ours.
        let asking = async move { look_up(shown).await };
        #[cfg(feature = "tracing")]
        let asking = asking.instrument(tracing::debug_span!("look_up", ?token));
        let (end, ended) = AbortHandle::new_pair();
        let looking: Boxed<Resolution> = Box::pin(async move {
            let asking = Abortable::new(AssertUnwindSafe(asking).catch_unwind(), ended);
            let late = async move { sleep(timeout).await };
            let resolution = match select(pin!(asking), pin!(late)).await {
                Either::Left((Ok(Ok(answer)), _)) => known.settle(token, caller, answer),
                Either::Left((Ok(Err(_)), _)) => known.failed(token, caller),
                // It is counted already.
                Either::Left((Err(Aborted), _)) => Resolution::Failed,
                Either::Right(((), _)) => known.timed_out(token, caller),
            };
            // A request that comes before this joins; one that comes after it finds the answer.
            if let Some(flights) = flights.upgrade() {
                flights.land(token, number);
            }
            resolution
        });
        Handle {
            looking: looking.shared(),
            end,
        }
    }
}

/// Sleeps by the tokio runtime that polls first; for ever without one.
fn sleep_by_tokio(length: Duration) -> Boxed<()> {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => Box::pin(tokio::time::sleep(length)),
        Err(_) => Box::pin(pending()),
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
        looking: Looked,
        // Declared after the look-up and so dropped after it: the last one to leave takes the
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
        let resolution = ready!(this.looking.poll(context));
        Poll::Ready(this.known.decide_after(resolution, this.request))
    }
}

impl<D> fmt::Debug for Looking<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Looking(..)")
    }
}
