//! The resolver whose look-ups block the thread that asks.

use super::flights::{Boarded, Flights, Seat};
use super::known::{Known, LookupCounts, Resolution, lock};
use super::{Lookups, Shown};
use crate::awaited::{Caller, DecideAsync, Never, Step};
use crate::clock::SharedClock;
use crate::manage::Manage;
use limiter_core::{Decision, Now, Outage, Policy, Registration, Request, TokenId};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// A limiter that looks unknown tokens up by a call of yours. See [the module](super).
///
/// It may stand in a [`LimiterLayer`](crate::LimiterLayer) as well, and then blocks the runtime's
/// thread: for look-ups in memory. For others there is [`Resolver`](super::Resolver).
pub struct BlockingResolver<D, F> {
    known: Known<D>,
    flights: Arc<Flights<Handle>>,
    look_up: F,
    timeout: Duration,
}

/// Where the others learn what became of a look-up.
type Handle = Arc<Landing>;

#[derive(Default)]
struct Landing {
    resolution: Mutex<Option<Resolution>>,
    landed: Condvar,
}

impl<D, F, Error> BlockingResolver<D, F>
where
    D: Manage,
    F: Fn(&Shown) -> Result<Option<Registration>, Error>,
{
    /// Puts a resolver before a limiter. `clock` is the one with which tokens are registered.
    ///
    /// `look_up` gives what the token is to be registered with, `None` if there is no such token,
    /// or an error if the answer is unknown. It is called by the first of those who ask; the others wait.
    /// If it panics, those are answered as if it had failed.
    pub fn new(limiter: Arc<D>, clock: SharedClock, lookups: Lookups, look_up: F) -> Self {
        Self {
            known: Known::new(limiter, clock, &lookups),
            flights: Flights::new(lookups.room()),
            look_up,
            timeout: lookups.timeout,
        }
    }

    /// Decides a request, which shows this credential.
    pub fn check(&self, request: &Request, credential: Option<&[u8]>, now: Now) -> Decision {
        self.check_for(request, credential, None, now)
    }

    /// Decides a request of a caller, who has a share of the look-ups ([`Lookups::per_caller`]).
    pub fn check_for(
        &self,
        request: &Request,
        credential: Option<&[u8]>,
        caller: Option<Caller>,
        now: Now,
    ) -> Decision {
        let token = match self.known.decide(request, credential, now) {
            Ok(decision) => return decision,
            Err(token) => token,
        };
        let caller = self.known.hash(caller);
        let now_ms = now.monotonic().as_millis();
        for overdue in self.flights.take_overdue(token, caller, now_ms) {
            let resolution = self.known.timed_out(overdue.token, overdue.caller);
            overdue.handle.end(resolution);
        }
        let gate = self.known.gate(token, caller);
        let begin = |_| Arc::new(Landing::default());
        let resolution = match self.flights.board(token, caller, now_ms, gate, begin) {
            Boarded::Seat {
                seat,
                handle,
                begun: true,
            } => {
                let pilot = Pilot {
                    known: &self.known,
                    token,
                    caller,
                    seat,
                    landing: &handle,
                    resolution: None,
                };
                self.look_up(pilot, credential.unwrap_or_default())
            }
            Boarded::Seat { handle, .. } => handle.wait(self.timeout),
            Boarded::Answered(resolution) => resolution,
            Boarded::TurnedAway => self.known.turn_away(),
            Boarded::BackedOff => self.known.back_off(),
        };
        self.known.decide_after(resolution, request)
    }

    fn look_up(&self, mut pilot: Pilot<'_, D>, credential: &[u8]) -> Resolution {
        let (token, caller) = (pilot.token, pilot.caller);
        #[cfg(feature = "tracing")]
        let _span = tracing::debug_span!("look_up", ?token).entered();
        let answer = (self.look_up)(&Shown::new(token, credential));
        let resolution = self.known.settle(token, caller, answer);
        pilot.resolution = Some(resolution);
        resolution
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
}

/// A look-up under way in this thread; when it is dropped the others learn how it ended, a panic
/// included.
struct Pilot<'a, D: Manage> {
    known: &'a Known<D>,
    token: TokenId,
    caller: Option<u64>,
    seat: Seat<Handle>,
    landing: &'a Landing,
    resolution: Option<Resolution>,
}

impl<D: Manage> Drop for Pilot<'_, D> {
    fn drop(&mut self) {
        let failed = || self.known.failed(self.token, self.caller);
        let resolution = self.resolution.unwrap_or_else(failed);
        self.seat.land();
        self.landing.end(resolution);
    }
}

impl Landing {
    fn end(&self, resolution: Resolution) {
        *lock(&self.resolution) = Some(resolution);
        self.landed.notify_all();
    }

    /// Waits for the end, `timeout` at most.
    fn wait(&self, timeout: Duration) -> Resolution {
        let under_way = |resolution: &mut Option<Resolution>| resolution.is_none();
        let waited = self
            .landed
            .wait_timeout_while(lock(&self.resolution), timeout, under_way);
        let (resolution, _) = waited.unwrap_or_else(PoisonError::into_inner);
        resolution.unwrap_or(Resolution::Failed)
    }
}

impl<D, F, Error> DecideAsync for BlockingResolver<D, F>
where
    D: Manage,
    F: Fn(&Shown) -> Result<Option<Registration>, Error>,
{
    type Decided = Decision;
    type Deciding = Never<Decision>;
    type GivingBack = Never<()>;

    #[inline]
    fn decide(
        &self,
        request: &Request,
        credential: Option<&[u8]>,
        now: Now,
    ) -> Step<Decision, Never<Decision>> {
        Step::Done(self.check(request, credential, now))
    }

    fn decide_for(
        &self,
        request: &Request,
        credential: Option<&[u8]>,
        caller: Option<Caller>,
        now: Now,
    ) -> Step<Decision, Never<Decision>> {
        Step::Done(self.check_for(request, credential, caller, now))
    }

    fn refuse(&self, request: &Request, outage: Outage) -> Decision {
        self.known.limiter.refuse_for(request, outage)
    }

    fn give_back(&self, decided: Decision, now: Now) -> Step<(), Never<()>> {
        self.known.limiter.give_back(decided, now)
    }

    fn current_policy(&self) -> Policy {
        self.known.limiter.policy()
    }
}

impl<D: fmt::Debug, F> fmt::Debug for BlockingResolver<D, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingResolver")
            .field("limiter", &self.known.limiter)
            .finish_non_exhaustive()
    }
}
