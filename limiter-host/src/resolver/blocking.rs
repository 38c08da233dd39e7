//! The resolver whose look-ups block the thread that asks.

use super::flights::{Boarded, Flights, Seat};
use super::known::{Known, LookupCounts, Resolution, lock};
use super::{Lookups, Shown};
use crate::awaited::{DecideAsync, Never, Step};
use crate::clock::SharedClock;
use crate::manage::Manage;
use limiter_core::{Decision, Now, Outage, Policy, Registration, Request, TokenId};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A limiter that looks unknown tokens up by a call of yours. See [the module](super).
///
/// It may stand in a [`LimiterLayer`](crate::LimiterLayer) as well, and then blocks the runtime's
/// thread: for look-ups in memory. For others there is [`Resolver`](super::Resolver).
pub struct BlockingResolver<D, F> {
    known: Known<D>,
    flights: Arc<Flights<Handle>>,
    look_up: F,
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
    /// or an error if nobody can say. It is called by the first of those who ask; the others wait.
    /// If it panics, those are answered as if it had failed.
    pub fn new(limiter: Arc<D>, clock: SharedClock, lookups: Lookups, look_up: F) -> Self {
        Self {
            known: Known::new(limiter, clock, &lookups),
            flights: Flights::new(lookups.at_once),
            look_up,
        }
    }

    /// Decides a request, which shows this credential.
    pub fn check(&self, request: &Request, credential: Option<&[u8]>, now: Now) -> Decision {
        let token = match self.known.decide(request, credential, now) {
            Ok(decision) => return decision,
            Err(token) => token,
        };
        let boarded = self.flights.board(
            token,
            || self.known.answered(token),
            |_| Arc::new(Landing::default()),
        );
        let resolution = match boarded {
            Boarded::Seat {
                seat,
                handle,
                begun: true,
            } => self.look_up(token, credential.unwrap_or_default(), seat, &handle),
            Boarded::Seat { handle, .. } => handle.wait(),
            Boarded::Answered(resolution) => resolution,
            Boarded::TurnedAway => self.known.turn_away(),
        };
        self.known.decide_after(resolution, request)
    }

    fn look_up(
        &self,
        token: TokenId,
        credential: &[u8],
        seat: Seat<Handle>,
        landing: &Landing,
    ) -> Resolution {
        let mut pilot = Pilot {
            seat,
            landing,
            resolution: Resolution::Failed,
        };
        #[cfg(feature = "tracing")]
        let _span = tracing::debug_span!("look_up", ?token).entered();
        let answer = (self.look_up)(&Shown::new(token, credential));
        pilot.resolution = self.known.settle(token, answer);
        pilot.resolution
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

/// Who looks up; tells the others when it is done, or has panicked.
struct Pilot<'a> {
    seat: Seat<Handle>,
    landing: &'a Landing,
    resolution: Resolution,
}

impl Drop for Pilot<'_> {
    fn drop(&mut self) {
        self.seat.land();
        *lock(&self.landing.resolution) = Some(self.resolution);
        self.landing.landed.notify_all();
    }
}

impl Landing {
    fn wait(&self) -> Resolution {
        let mut resolution = lock(&self.resolution);
        loop {
            match *resolution {
                Some(resolution) => return resolution,
                None => {
                    let woken = self.landed.wait(resolution);
                    resolution = woken.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
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
