//! What both resolvers know and do: when to look up, what an answer changes, how to decide then.

use super::expiring::Expiring;
use super::{Lookups, Shown};
use crate::clock::SharedClock;
use crate::manage::Manage;
use limiter_core::{
    Decision, Instant, Now, Origin, Outage, Reason, RegisterError, Registration, Request, TokenId,
};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What became of a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resolution {
    /// The limiter knows the token now.
    Found,
    /// The store does not know it.
    Absent,
    /// The limiter has no row for it.
    Full,
    /// The store failed, or said what the limiter cannot take, or too many look-ups are under way.
    Failed,
}

/// How often look-ups were made, and how they ended; since construction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LookupCounts {
    /// Tokens that were found.
    pub found: u64,
    /// Tokens that the store does not know.
    pub absent: u64,
    /// Look-ups that failed.
    pub failed: u64,
    /// Answers that the limiter cannot take: a plan that the policy lacks, a limit out of range.
    pub unusable: u64,
    /// Tokens that were found and had no room in the table.
    pub table_full: u64,
    /// Requests that were refused because too many look-ups were under way.
    pub turned_away: u64,
}

/// The limiter, and what is remembered of look-ups.
pub(super) struct Known<D> {
    pub(super) limiter: Arc<D>,
    clock: SharedClock,
    absent: Mutex<Expiring>,
    absent_for_ms: u64,
    /// Tokens that need not be looked up again yet, and for how long that holds.
    fresh: Option<(Mutex<Expiring>, u64)>,
    counts: [AtomicU64; KINDS],
}

impl<D: Manage> Known<D> {
    pub(super) fn new(limiter: Arc<D>, clock: SharedClock, lookups: &Lookups) -> Self {
        Self {
            limiter,
            clock,
            absent: Mutex::new(Expiring::new(lookups.absent)),
            absent_for_ms: millis(lookups.absent_for),
            fresh: lookups
                .again_after
                .map(|(length, tokens)| (Mutex::new(Expiring::new(tokens)), millis(length))),
            counts: Default::default(),
        }
    }

    /// The decision, or the token that must be looked up first.
    #[inline]
    pub(super) fn decide(
        &self,
        request: &Request,
        credential: Option<&[u8]>,
        now: Now,
    ) -> Result<Decision, TokenId> {
        let token = match (request.token, credential, request.origin) {
            (Some(token), Some(_), Origin::Api | Origin::Ui) => token,
            _ => return Ok(self.limiter.check(request, now)),
        };
        let stale = match &self.fresh {
            Some((fresh, _)) => !lock(fresh).holds(token, now.monotonic()),
            None => false,
        };
        if stale && !self.is_absent(token, now.monotonic()) {
            return Err(token);
        }
        let decision = self.limiter.check(request, now);
        let unknown = decision.reason() == Some(Reason::Unauthenticated);
        if unknown && !self.is_absent(token, now.monotonic()) {
            return Err(token);
        }
        Ok(decision)
    }

    /// Whether a look-up that ended meanwhile has answered for this token.
    pub(super) fn answered(&self, token: TokenId) -> Option<Resolution> {
        let now = self.clock.now().ok()?;
        if self.is_absent(token, now.monotonic()) {
            return Some(Resolution::Absent);
        }
        let fresh = match &self.fresh {
            Some((fresh, _)) => lock(fresh).holds(token, now.monotonic()),
            None => true,
        };
        (fresh && self.knows(token, now)).then_some(Resolution::Found)
    }

    /// Does what the store's answer asks for. A token is registered, or remembered as absent, when
    /// this returns.
    pub(super) fn settle<E>(
        &self,
        token: TokenId,
        answer: Result<Option<Registration>, E>,
    ) -> Resolution {
        let Ok(now) = self.clock.now() else {
            return self.failed(token);
        };
        match answer {
            Ok(Some(registration)) => self.register(token, registration, now),
            Ok(None) => {
                if self.fresh.is_some() {
                    self.limiter.revoke(token, now);
                }
                lock(&self.absent).insert(token, now.monotonic(), self.absent_for_ms);
                self.counted(Resolution::Absent, ABSENT)
            }
            Err(_) => self.failed(token),
        }
    }

    /// Does what a look-up that failed asks for: a known token goes on.
    pub(super) fn failed(&self, token: TokenId) -> Resolution {
        if let Ok(now) = self.clock.now() {
            self.stays_fresh(token, now.monotonic(), AGAIN_MS);
        }
        self.counted(Resolution::Failed, FAILED)
    }

    /// Decides after a look-up, by a new reading of the clock.
    pub(super) fn decide_after(&self, resolution: Resolution, request: &Request) -> Decision {
        let Ok(now) = self.clock.now() else {
            return self.limiter.refuse_for(request, Outage::ClockFailed);
        };
        let known = request.token.is_some_and(|token| self.knows(token, now));
        match resolution {
            _ if known => self.limiter.check(request, now),
            Resolution::Absent => self.limiter.check(request, now),
            // Found, and evicted since: there is no room to speak of.
            Resolution::Full | Resolution::Found => {
                self.limiter.refuse_for(request, Outage::TableFull)
            }
            Resolution::Failed => self.limiter.refuse_for(request, Outage::StoreFailed),
        }
    }

    /// Counts a request that was turned away.
    pub(super) fn turn_away(&self) -> Resolution {
        self.counted(Resolution::Failed, TURNED_AWAY)
    }

    /// Forgets what is remembered of a token.
    pub(super) fn forget(&self, token: TokenId) {
        lock(&self.absent).remove(token);
        if let Some((fresh, _)) = &self.fresh {
            lock(fresh).remove(token);
        }
    }

    pub(super) fn counts(&self) -> LookupCounts {
        let at = |kind: usize| self.counts[kind].load(Ordering::Relaxed);
        LookupCounts {
            found: at(FOUND),
            absent: at(ABSENT),
            failed: at(FAILED),
            unusable: at(UNUSABLE),
            table_full: at(FULL),
            turned_away: at(TURNED_AWAY),
        }
    }

    fn register(&self, token: TokenId, registration: Registration, now: Now) -> Resolution {
        let registered = match self.limiter.register(token, registration, now) {
            // The store's word is newer than the table's.
            Err(RegisterError::OtherUser | RegisterError::OtherKind) => {
                self.limiter.revoke(token, now);
                self.limiter.register(token, registration, now)
            }
            registered => registered,
        };
        match registered {
            Ok(_) => {
                lock(&self.absent).remove(token);
                self.stays_fresh(token, now.monotonic(), u64::MAX);
                self.counted(Resolution::Found, FOUND)
            }
            Err(RegisterError::TableFull) => self.counted(Resolution::Full, FULL),
            Err(_) => {
                self.stays_fresh(token, now.monotonic(), AGAIN_MS);
                self.counted(Resolution::Failed, UNUSABLE)
            }
        }
    }

    /// Lets a token go without a look-up, at most that long.
    fn stays_fresh(&self, token: TokenId, now: Instant, most_ms: u64) {
        if let Some((fresh, length_ms)) = &self.fresh {
            lock(fresh).insert(token, now, most_ms.min(*length_ms));
        }
    }

    fn knows(&self, token: TokenId, now: Now) -> bool {
        let request = Request::new(token, limiter_core::Method::Get);
        self.limiter.peek(&request, now).reason() != Some(Reason::Unauthenticated)
    }

    fn is_absent(&self, token: TokenId, now: Instant) -> bool {
        lock(&self.absent).holds(token, now)
    }

    fn counted(&self, resolution: Resolution, kind: usize) -> Resolution {
        self.counts[kind].fetch_add(1, Ordering::Relaxed);
        resolution
    }
}

impl Shown {
    pub(super) fn new(token: TokenId, credential: &[u8]) -> Self {
        Self {
            token,
            credential: credential.into(),
        }
    }
}

/// What these locks guard is whole at any moment.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// After a look-up that failed a known token is asked for again.
const AGAIN_MS: u64 = 1_000;

const FOUND: usize = 0;
const ABSENT: usize = 1;
const FAILED: usize = 2;
const UNUSABLE: usize = 3;
const FULL: usize = 4;
const TURNED_AWAY: usize = 5;
const KINDS: usize = 6;
