//! One decision: the script makes it on the store, and the core makes it once more on the records
//! that the script found. The core's has all that a response reports; that both agree is checked
//! every time.

use super::local::Ahead;
use super::packed::{Ask, Pending, Permits, TokenRecord, UserRecord, unpack_calendar};
use super::registry::Entry;
use super::script::CHECK;
use super::share::Share;
use super::{Inner, OnStoreFailure, StoreError, StoreTime};
use limiter_core::calendar::Calendar;
use limiter_core::rules::{self, Account};
use limiter_core::{Decision, Instant, Now, Outage, Outcome, Policy, Request, UnixTime};
use redis::Value;
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
    pub(super) calendar: Calendar,
    pub(super) user: UserRecord,
    pub(super) granted: Permits,
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
            let reason = limiter_core::Reason::Unauthenticated;
            return Err(Decision::refused(reason, 0));
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
        let mut connection = self.link.connection().ok_or(StoreError::NotConnected)?;
        let question = self.question(case, request, now, peek, ahead);
        self.figures.round_trips.fetch_add(1, Ordering::Relaxed);
        let (keys, arguments) = (question.keys(case), question.arguments(case));
        let value = CHECK.run(&mut connection, &keys, &arguments).await?;
        Answer::read(value, case, request)
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
            offends: case.entry.offends(request),
            limit: case.entry.terms.limit(),
            cost: request.cost.get(),
            now: self.injected(now),
            want: ahead.want,
            back: ahead.back,
            pending: ahead.pending,
        };
        Question {
            ask: ask.pack(),
            pending: ahead.pending.as_ref().map(Pending::pack),
        }
    }

    /// The moment that a script is told, `None` if it is to read its server's clock.
    pub(super) const fn injected(&self, now: Now) -> Option<Now> {
        match self.time {
            StoreTime::Server => None,
            StoreTime::Injected => Some(now),
        }
    }
}

/// The packed arguments of a script call, beside the policy.
pub(super) struct Question {
    ask: Vec<u8>,
    pending: Option<Vec<u8>>,
}

impl Question {
    /// The keys that the decision touches.
    pub(super) fn keys<'a>(&self, case: &'a Case) -> Vec<&'a str> {
        let keys = &case.entry.keys;
        let mut all: Vec<&str> = vec![&keys.token, &keys.calendar];
        if case.daily {
            all.push(&keys.user);
        }
        all
    }

    /// The arguments of the call.
    pub(super) fn arguments<'a>(&'a self, case: &'a Case) -> Vec<&'a [u8]> {
        let mut all: Vec<&[u8]> = vec![&case.packed_policy, &self.ask];
        all.extend(self.pending.as_deref());
        all
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
    pub(super) fn read(value: Value, case: &Case, request: &Request) -> Result<Self, StoreError> {
        let (before, decided) = Found::read(value)?;
        let (decision, after) = before.decide(case, request);
        match decided {
            Some(decided) if decided != word(decision.outcome()) => Err(StoreError::Foreign),
            _ => Ok(Self {
                decision,
                before,
                after,
            }),
        }
    }
}

impl Found {
    /// Reads an answer of `check.lua`: what it found, and what it decided unless it only looked.
    pub(super) fn read(value: Value) -> Result<(Self, Option<Vec<u8>>), StoreError> {
        let Value::Array(values) = value else {
            return Err(StoreError::Foreign);
        };
        let [at, utc, token, calendar, user, rest @ ..] = &values[..] else {
            return Err(StoreError::Foreign);
        };
        let number = |value: &Value| match value {
            Value::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        };
        let granted = |value: Option<&Value>| {
            let number = value.and_then(number).unwrap_or(0);
            u32::try_from(number).unwrap_or(0)
        };
        let (at, utc) = (number(at), number(utc));
        let found = Self {
            now: Now::new(
                Instant::from_millis(at.ok_or(StoreError::Foreign)?),
                UnixTime::from_secs(utc.ok_or(StoreError::Foreign)?),
            ),
            token: record(token, TokenRecord::unpack, TokenRecord::default())?,
            calendar: record(calendar, unpack_calendar, Calendar::new())?,
            user: record(user, UserRecord::unpack, UserRecord::default())?,
            granted: Permits {
                window: granted(rest.get(1)),
                day: granted(rest.get(2)),
            },
        };
        let decided = match rest.first() {
            Some(Value::BulkString(word)) => Some(word.clone()),
            Some(_) => return Err(StoreError::Foreign),
            None => None,
        };
        Ok((found, decided))
    }

    /// The core's decision on what was found, and what that is afterwards.
    pub(super) fn decide(mut self, case: &Case, request: &Request) -> (Decision, Self) {
        self.calendar.feed(self.now);
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
        let decision = rules::decide(&case.policy, &self.calendar, account, request, self.now);
        (decision, self)
    }
}

/// A record, the `empty` one where the store has none.
fn record<T>(
    value: &Value,
    unpack: impl FnOnce(&[u8]) -> Option<T>,
    empty: T,
) -> Result<T, StoreError> {
    match value {
        Value::Nil => Ok(empty),
        Value::BulkString(bytes) => unpack(bytes).ok_or(StoreError::Foreign),
        _ => Err(StoreError::Foreign),
    }
}

/// The script's word for an outcome.
pub(super) const fn word(outcome: Outcome) -> &'static [u8] {
    match outcome {
        Outcome::Refused(reason) => reason.word().as_bytes(),
        Outcome::Admitted | Outcome::Exempt => b"admitted",
    }
}
