//! What both resolvers know and do: when to look up, what an answer changes, how to decide then.

use super::backoff::{Backoff, Backoffs, Waits};
use super::expiring::Expiring;
use super::flights::Gate;
use super::{Lookups, Shown};
use crate::awaited::Caller;
use crate::clock::SharedClock;
use crate::manage::Manage;
use limiter_core::{
    Decision, Instant, Now, Origin, Outage, Reason, RegisterError, Registration, Request, TokenId,
};
use std::hash::{BuildHasher as _, RandomState};
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
    /// The store failed, or its answer is none that the limiter can take, or it is not asked: too many
    /// look-ups are under way, or have just failed.
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
    /// Requests that were refused because too many look-ups were under way, of all or of the caller.
    pub turned_away: u64,
    /// Look-ups that took too long.
    pub timed_out: u64,
    /// Requests for which the store was not asked, since look-ups had just failed.
    pub backed_off: u64,
}

/// The limiter, and what is remembered of look-ups.
pub(super) struct Known<D> {
    pub(super) limiter: Arc<D>,
    clock: SharedClock,
    memory: Mutex<Memory>,
    absent_for_ms: u64,
    full_for_ms: u64,
    /// Tokens that need not be looked up again yet, and for how long that holds.
    fresh: Option<(Mutex<Expiring>, u64)>,
    /// Hashes callers, so that none can aim at the place of another.
    hasher: RandomState,
    counts: [AtomicU64; KINDS],
}

/// The reasons not to ask the store now.
struct Memory {
    absent: Expiring,
    full: Expiring,
    /// By token.
    failed: Backoffs,
    /// By the hash of a caller.
    callers: Backoffs,
    store: Backoff,
}

impl<D: Manage> Known<D> {
    pub(super) fn new(limiter: Arc<D>, clock: SharedClock, lookups: &Lookups) -> Self {
        Self {
            limiter,
            clock,
            memory: Mutex::new(Memory {
                absent: Expiring::new(lookups.absent),
                full: Expiring::new(REMEMBERED),
                failed: Backoffs::new(REMEMBERED),
                callers: Backoffs::new(REMEMBERED),
                store: Backoff::default(),
            }),
            absent_for_ms: millis(lookups.absent_for),
            full_for_ms: millis(lookups.full_for),
            fresh: lookups
                .again_after
                .map(|(length, tokens)| (Mutex::new(Expiring::new(tokens)), millis(length))),
            hasher: RandomState::new(),
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
        if stale && self.remembered(token, now.monotonic()).is_none() {
            return Err(token);
        }
        let decision = self.limiter.check(request, now);
        if decision.reason() != Some(Reason::Unauthenticated) {
            return Ok(decision);
        }
        match self.remembered(token, now.monotonic()) {
            None => Err(token),
            Some(Resolution::Full) => Ok(self.limiter.refuse_for(request, Outage::TableFull)),
            Some(Resolution::Failed) => {
                self.counted(Resolution::Failed, BACKED_OFF);
                Ok(self.limiter.refuse_for(request, Outage::StoreFailed))
            }
            Some(Resolution::Absent | Resolution::Found) => Ok(decision),
        }
    }

    /// The hash under which a caller is remembered.
    pub(super) fn hash(&self, caller: Option<Caller>) -> Option<u64> {
        caller.map(|caller| self.hasher.hash_one(caller))
    }

    /// The gate before a look-up for a token.
    pub(super) const fn gate(&self, token: TokenId, caller: Option<u64>) -> KnownGate<'_, D> {
        KnownGate {
            known: self,
            token,
            caller,
        }
    }

    /// Does what the store's answer asks for. A token is registered, or remembered as absent, when
    /// this returns.
    pub(super) fn settle<E>(
        &self,
        token: TokenId,
        caller: Option<u64>,
        answer: Result<Option<Registration>, E>,
    ) -> Resolution {
        let Ok(now) = self.clock.now() else {
            return self.counted(Resolution::Failed, FAILED);
        };
        let Ok(found) = answer else {
            return self.failed(token, caller);
        };
        lock(&self.memory).note_answer(caller);
        if let Some(registration) = found {
            return self.register(token, registration, now);
        }
        if self.fresh.is_some() {
            self.limiter.revoke(token, now);
        }
        let mut memory = lock(&self.memory);
        memory.forget(token);
        let absent = &mut memory.absent;
        absent.insert(token, now.monotonic(), self.absent_for_ms);
        drop(memory);
        self.counted(Resolution::Absent, ABSENT)
    }

    /// Notes a look-up that failed: a known token stays known.
    pub(super) fn failed(&self, token: TokenId, caller: Option<u64>) -> Resolution {
        self.note_failure(token, caller);
        self.counted(Resolution::Failed, FAILED)
    }

    /// Notes a look-up that took too long.
    pub(super) fn timed_out(&self, token: TokenId, caller: Option<u64>) -> Resolution {
        self.note_failure(token, caller);
        self.counted(Resolution::Failed, TIMED_OUT)
    }

    fn note_failure(&self, token: TokenId, caller: Option<u64>) {
        if let Ok(now) = self.clock.now() {
            lock(&self.memory).note_failure(token, caller, now.monotonic());
        }
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

    /// Counts a request for which the store was not asked, since look-ups fail.
    pub(super) fn back_off(&self) -> Resolution {
        self.counted(Resolution::Failed, BACKED_OFF)
    }

    /// Forgets what is remembered of a token.
    pub(super) fn forget(&self, token: TokenId) {
        lock(&self.memory).forget(token);
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
            timed_out: at(TIMED_OUT),
            backed_off: at(BACKED_OFF),
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
                lock(&self.memory).forget(token);
                if let Some((fresh, length_ms)) = &self.fresh {
                    lock(fresh).insert(token, now.monotonic(), *length_ms);
                }
                self.counted(Resolution::Found, FOUND)
            }
            Err(RegisterError::TableFull) => {
                let full = &mut lock(&self.memory).full;
                full.insert(token, now.monotonic(), self.full_for_ms);
                self.counted(Resolution::Full, FULL)
            }
            Err(_) => {
                let failed = &mut lock(&self.memory).failed;
                failed.fail(token.as_u64(), now.monotonic(), &OF_A_TOKEN);
                self.counted(Resolution::Failed, UNUSABLE)
            }
        }
    }

    fn knows(&self, token: TokenId, now: Now) -> bool {
        let request = Request::new(token, limiter_core::Method::Get);
        self.limiter.peek(&request, now).reason() != Some(Reason::Unauthenticated)
    }

    /// The last answer for a token, while it holds.
    fn remembered(&self, token: TokenId, now: Instant) -> Option<Resolution> {
        lock(&self.memory).remembered(token, now)
    }

    fn counted(&self, resolution: Resolution, kind: usize) -> Resolution {
        self.counts[kind].fetch_add(1, Ordering::Relaxed);
        resolution
    }
}

impl Memory {
    fn remembered(&mut self, token: TokenId, now: Instant) -> Option<Resolution> {
        if self.absent.holds(token, now) {
            return Some(Resolution::Absent);
        }
        if self.full.holds(token, now) {
            return Some(Resolution::Full);
        }
        let failed = self.failed.find(token.as_u64())?;
        failed.holds(now).then_some(Resolution::Failed)
    }

    fn forget(&mut self, token: TokenId) {
        self.absent.remove(token);
        self.full.remove(token);
        self.failed.remove(token.as_u64());
    }

    fn may_begin(&mut self, caller: Option<u64>, now: Instant) -> bool {
        let caller = caller.and_then(|caller| self.callers.find(caller));
        let allowed = caller.is_none_or(|caller| caller.allows(now, &OF_A_CALLER));
        allowed && self.store.allows(now, &OF_THE_STORE)
    }

    /// Notes that the store has answered. One that had failed is well again: what failed meanwhile is
    /// no fault of those who asked.
    fn note_answer(&mut self, caller: Option<u64>) {
        if self.store.is_failing(&OF_THE_STORE) {
            self.failed.clear();
            self.callers.clear();
        }
        self.store = Backoff::default();
        if let Some(caller) = caller {
            self.callers.remove(caller);
        }
    }

    /// Notes a failure. It counts against the caller unless the store fails for others too.
    fn note_failure(&mut self, token: TokenId, caller: Option<u64>, now: Instant) {
        self.failed.fail(token.as_u64(), now, &OF_A_TOKEN);
        self.store.fail(now, &OF_THE_STORE);
        if let Some(caller) = caller
            && !self.store.is_failing(&OF_THE_STORE)
        {
            self.callers.fail(caller, now, &OF_A_CALLER);
        }
    }
}

/// What is known of a token where a look-up for it might begin.
pub(super) struct KnownGate<'a, D> {
    known: &'a Known<D>,
    token: TokenId,
    caller: Option<u64>,
}

impl<D: Manage> Gate for KnownGate<'_, D> {
    fn answered(&self) -> Option<Resolution> {
        let now = self.known.clock.now().ok()?;
        if let Some(resolution) = self.known.remembered(self.token, now.monotonic()) {
            return Some(resolution);
        }
        let fresh = match &self.known.fresh {
            Some((fresh, _)) => lock(fresh).holds(self.token, now.monotonic()),
            None => true,
        };
        (fresh && self.known.knows(self.token, now)).then_some(Resolution::Found)
    }

    fn may_begin(&self) -> bool {
        match self.known.clock.now() {
            Ok(now) => lock(&self.known.memory).may_begin(self.caller, now.monotonic()),
            Err(_) => false,
        }
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

pub(super) fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

/// After a look-up that failed its token is looked up again a second later, then less and less often.
const OF_A_TOKEN: Waits = Waits {
    free: 0,
    first_ms: 1_000,
    most_ms: 30_000,
};
/// A caller of whom this many look-ups failed in a row waits the same way.
const OF_A_CALLER: Waits = Waits {
    free: 3,
    first_ms: 1_000,
    most_ms: 30_000,
};
/// A store that fails again and again is tried by one look-up at a time; it is noticed at most two
/// seconds late that it is well again.
const OF_THE_STORE: Waits = Waits {
    free: 15,
    first_ms: 250,
    most_ms: 2_000,
};
/// The number of tokens and callers that are remembered for each of these reasons.
const REMEMBERED: usize = 1_024;

const FOUND: usize = 0;
const ABSENT: usize = 1;
const FAILED: usize = 2;
const UNUSABLE: usize = 3;
const FULL: usize = 4;
const TURNED_AWAY: usize = 5;
const TIMED_OUT: usize = 6;
const BACKED_OFF: usize = 7;
const KINDS: usize = 8;
