//! One decision: the script makes it on the store, and the core makes it once more on the records
//! that the script found. The core's has all that a response reports; that both agree is checked
//! every time.

use super::error::StoreError;
use super::link::Connection;
use super::local::Ahead;
use super::packed::{Ask, LOOKED, Pending, Permits, Reply, UNREADABLE, WAIT};
use super::records::{TokenRecord, UserRecord, new_calendar, unpack_calendar};
use super::recovery::MOST_WAITS;
use super::registry::Entry;
use super::script::{self, CHECK};
use super::share::Share;
use super::{Inner, OnStoreFailure, StoreTime};
use limiter_core::calendar::Calendar;
use limiter_core::rules::{self, Account};
use limiter_core::timeline::TimeLine;
use limiter_core::{Decision, Instant, Now, Outage, Outcome, Policy, Reason, Request};
use redis::{Cmd, RedisResult, Value};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// What one decision needs of the registry.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) policy: Policy,
    pub(super) packed_policy: Arc<[u8]>,
    pub(super) entry: Entry,
    /// Whether the request counts daily (D1).
    pub(super) daily: bool,
}

/// What the store held when a script looked, and what the script decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) now: Now,
    pub(super) token: TokenRecord,
    pub(super) line: TimeLine,
    pub(super) calendar: Calendar,
    pub(super) user: UserRecord,
    pub(super) granted: Permits,
    /// When the calendar was born.
    pub(super) born: u64,
}

impl Inner {
    /// What of a request can be told without the store: that it is exempt, or nobody's (O1, O2).
    pub(super) fn case(&self, request: &Request) -> Result<Case, Decision> {
        if request.origin == limiter_core::Origin::Webhook {
            return Err(Decision::EXEMPT);
        }
        let registry = self.registry();
        let entry = request.token.and_then(|token| registry.known(token));
        let Some(entry) = entry else {
            return Err(Decision::refused(Reason::Unauthenticated, 0));
        };
        let policy = registry.policy;
        Ok(Case {
            daily: rules::counts_daily(&policy, entry.terms.kind(), request),
            packed_policy: Arc::clone(&registry.packed_policy),
            entry: entry.clone(),
            policy,
        })
    }

    /// Says what a check would say.
    pub(super) async fn peek(self: &Arc<Self>, request: &Request, now: Now) -> Decision {
        let case = match self.case(request) {
            Ok(case) => case,
            Err(decision) => return decision,
        };
        let asked = if self.outage.lasts(case.entry.keys.slot) {
            Err(StoreError::NotConnected)
        } else {
            self.ask(&case, request, now, true, &Ahead::default()).await
        };
        match asked {
            Ok(answer) => answer.decision.without_receipt(),
            Err(_) => Outage::StoreFailed.decide(request),
        }
    }

    /// Decides a request while the store cannot be used.
    pub(super) fn decide_without_store(
        &self,
        case: &Case,
        request: &Request,
        now: Now,
    ) -> Decision {
        let figure = &self.figures.decided_without_store;
        figure.fetch_add(1, Ordering::Relaxed);
        match self.on_store_failure {
            OnStoreFailure::Refuse => Outage::StoreFailed.decide(request),
            OnStoreFailure::Admit => Decision::EXEMPT,
            OnStoreFailure::Local { .. } => self.share(&case.policy, |share| {
                share.map_or_else(
                    || Outage::StoreFailed.decide(request),
                    |share| share.decide(case, request, now),
                )
            }),
        }
    }

    /// Lends the share of a policy's limits.
    fn share<R>(&self, policy: &Policy, with: impl FnOnce(Option<&Share>) -> R) -> R {
        let read = || self.share.read().unwrap_or_else(PoisonError::into_inner);
        let share = read();
        if share.as_ref().is_none_or(|share| share.is_of(policy)) {
            return with(share.as_ref());
        }
        drop(share);
        if let Some(share) = &mut *self.share.write().unwrap_or_else(PoisonError::into_inner) {
            share.set_policy(policy);
        }
        with(read().as_ref())
    }

    /// Asks the script, and decides again.
    pub(super) async fn ask(
        &self,
        case: &Case,
        request: &Request,
        now: Now,
        peek: bool,
        ahead: &Ahead,
    ) -> Result<Answer, StoreError> {
        let question = self.question(case, request, now, peek, ahead);
        let mut value = self.send(&question, case).await?;
        // Where counts were lost just now, the store makes all requests wait until it hands out new ones.
        for _ in 0..MOST_WAITS {
            let Some(pause) = Reply::wait(&value) else {
                break;
            };
            tokio::time::sleep(pause).await;
            value = self.send(&question, case).await?;
        }
        Answer::read(&value, case, request, self.time)
    }

    /// Asks the script: once more, on a new connection, if the current one is closed. If it was
    /// closed after the request was sent, the request may be charged twice; permits and offences that
    /// it takes along count once.
    async fn send(&self, question: &Question, case: &Case) -> Result<Value, StoreError> {
        let mut shared = self.link.shared().ok_or(StoreError::NotConnected)?;
        self.figures.round_trips.fetch_add(1, Ordering::Relaxed);
        match question.run(case, &mut shared.connection).await {
            Err(error) if self.link.was_closed(&error) => {
                let mut connection = self.link.renew(&shared).await?;
                Ok(question.run(case, &mut connection).await?)
            }
            result => Ok(result?),
        }
    }

    /// What the script is asked.
    pub(super) fn question(
        &self,
        case: &Case,
        request: &Request,
        now: Now,
        peek: bool,
        ahead: &Ahead,
    ) -> Question {
        let ask = Ask {
            peek,
            take: false,
            offends: case.entry.offends(request),
            immune: case.entry.terms.kind() != limiter_core::Kind::ApiToken,
            limit: case.entry.terms.limit(),
            cost: request.cost.get(),
            now: self.injected(now),
            want: ahead.want,
            back: ahead.back,
            fenced: self.is_fenced(),
            pending: ahead.pending,
        };
        Question {
            once: ask.takes_along().then(|| case.entry.keys.once()),
            ask: ask.pack(&case.packed_policy),
            more: ask.pack_more(),
            pending: ahead.pending.as_ref().map(Pending::pack),
        }
    }

    /// Returns true if this instance's requests wait where counts may have been lost just now. In a cluster
    /// every user's first request would, so there only if permits are held ahead at all.
    pub(super) const fn is_fenced(&self) -> bool {
        matches!(self.time, StoreTime::Server)
            && (!self.link.is_cluster() || self.autonomy.lease > 1)
    }

    /// The moment that a script is told, `None` if it is to read its server's clock.
    pub(super) const fn injected(&self, now: Now) -> Option<Now> {
        match self.time {
            StoreTime::Server => None,
            StoreTime::Injected => Some(now),
        }
    }
}

/// The packed arguments of a script call.
pub(super) struct Question {
    ask: Vec<u8>,
    more: Option<Vec<u8>>,
    /// A key that no other question has, if the store must know this one again.
    once: Option<String>,
    pending: Option<Vec<u8>>,
}

impl Question {
    /// The command that asks it.
    pub(super) fn call(&self, case: &Case) -> Cmd {
        self.with(case, |keys, arguments| CHECK.call(keys, arguments))
    }

    /// Asks it alone.
    pub(super) async fn run(&self, case: &Case, to: &mut Connection) -> RedisResult<Value> {
        match self.call(case).query_async(to).await {
            Err(error) if script::is_forgotten(&error) => {
                let in_full =
                    |keys: &[&str], arguments: &[&[u8]]| CHECK.call_in_full(keys, arguments);
                self.with(case, in_full).query_async(to).await
            }
            result => result,
        }
    }

    /// Hands the keys that the decision touches, and the arguments, to `make`.
    fn with(&self, case: &Case, make: impl Fn(&[&str], &[&[u8]]) -> Cmd) -> Cmd {
        let keys = &case.entry.keys;
        let keys: [&str; 3] = [&keys.token, &keys.calendar, &keys.user];
        let mut keys = keys[..if case.daily { 3 } else { 2 }].to_vec();
        keys.extend(self.once.as_deref());
        let keys = &keys[..];
        match (&self.more, &self.pending) {
            (None, _) => make(keys, &[&self.ask]),
            (Some(more), None) => make(keys, &[&self.ask, more]),
            (Some(more), Some(pending)) => make(keys, &[&self.ask, more, pending]),
        }
    }
}

/// A decision of script and core, and the records around it.
pub(super) struct Answer {
    pub(super) decision: Decision,
    pub(super) before: Found,
    pub(super) after: Found,
}

impl Answer {
    /// Reads the script's answer, and decides again.
    pub(super) fn read(
        value: &Value,
        case: &Case,
        request: &Request,
        time: StoreTime,
    ) -> Result<Self, StoreError> {
        let (before, decided) = Found::read(value, time)?;
        let (decision, after) = before.decide(case, request);
        if decided != LOOKED && Some(decided) != number(decision.outcome()) {
            return Err(StoreError::Foreign);
        }
        Ok(Self {
            decision,
            before,
            after,
        })
    }
}

impl Found {
    /// Reads an answer of `check.lua`: what it found, and its number for what it decided.
    pub(super) fn read(value: &Value, time: StoreTime) -> Result<(Self, u8), StoreError> {
        let Value::BulkString(bytes) = value else {
            return Err(StoreError::Foreign);
        };
        let reply = Reply::unpack(bytes).ok_or(StoreError::Foreign)?;
        if matches!(reply.decided, UNREADABLE | WAIT) {
            return Err(StoreError::Foreign);
        }
        let no_calendar = new_calendar(reply.now, time == StoreTime::Server);
        let none = (TimeLine::new(), no_calendar);
        let (line, calendar) = record(reply.calendar, unpack_calendar, none)?;
        let found = Self {
            now: reply.now,
            token: record(reply.token, TokenRecord::unpack, TokenRecord::default())?,
            line,
            calendar,
            user: record(reply.user, UserRecord::unpack, UserRecord::default())?,
            granted: reply.granted,
            born: reply.born,
        };
        Ok((found, reply.decided))
    }

    /// The time that the reading stands for (M1).
    pub(super) fn time(&self) -> Instant {
        self.line.peek(self.now.monotonic())
    }

    /// The core's decision on what was found, and what that is afterwards.
    pub(super) fn decide(mut self, case: &Case, request: &Request) -> (Decision, Self) {
        let now = self.now.at(self.line.take(self.now.monotonic()));
        self.calendar.feed(now);
        let UserRecord { day, strikes } = &mut self.user;
        let account = Account {
            // OK because a case has a token.
            token: request
                .token
                .unwrap_or(limiter_core::TokenId::from_hash(std::num::NonZeroU64::MIN)),
            kind: case.entry.terms.kind(),
            limit: case.entry.terms.limit(),
            window: &mut self.token.window,
            abuse: &mut self.token.abuse,
            user: case.entry.place,
            daily: case.daily.then_some((day, strikes)),
        };
        let decision = rules::decide(&case.policy, &self.calendar, account, request, now);
        (decision, self)
    }
}

/// A record, the `empty` one where the store has none.
fn record<T>(
    bytes: &[u8],
    unpack: impl FnOnce(&[u8]) -> Option<T>,
    empty: T,
) -> Result<T, StoreError> {
    if bytes.is_empty() {
        return Ok(empty);
    }
    unpack(bytes).ok_or(StoreError::Foreign)
}

/// The script's number for an outcome; `None` if it decides no such.
pub(super) const fn number(outcome: Outcome) -> Option<u8> {
    match outcome {
        Outcome::Admitted | Outcome::Exempt => Some(0),
        Outcome::Refused(Reason::Window) => Some(1),
        Outcome::Refused(Reason::Daily) => Some(2),
        Outcome::Refused(Reason::CostExceedsLimit) => Some(3),
        Outcome::Refused(Reason::Blocked) => Some(4),
        Outcome::Refused(_) => None,
    }
}
