//! One decision: the script makes it on the store, and the core makes it once more on the records
//! that the script found. The core's has all that a response reports; that both agree is checked
//! every time.

use super::local::{Ahead, Here};
use super::packed::{
    Ask, Held, Pending, Permits, TokenRecord, UserRecord, pack_back, unpack_calendar,
};
use super::registry::{Entry, Keys};
use super::script::{CHECK, GIVE_BACK};
use super::share::Share;
use super::{Inner, OnStoreFailure, StoreError, StoreTime};
use limiter_core::calendar::Calendar;
use limiter_core::rules::{self, Account};
use limiter_core::{
    Decision, Instant, Now, Outage, Outcome, Policy, Receipt, Refunded, Request, UnixTime,
};
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

/// A decision that was begun.
pub(super) enum Begun {
    Decided(Decision),
    Trip(Trip),
}

/// A decision that takes a round trip. If it is dropped before it arrived, what it took along is
/// lost.
pub(super) struct Trip {
    inner: Arc<Inner>,
    case: Case,
    ahead: Ahead,
    arrived: bool,
}

impl Trip {
    /// Decides on the store, or without it if it fails.
    pub(super) async fn finish(mut self, request: &Request, now: Now) -> Decision {
        let inner = Arc::clone(&self.inner);
        let asked = inner.ask(&self.case, request, now, false, &self.ahead);
        match asked.await {
            Ok((decision, before, after)) => {
                self.arrived = true;
                let local = &self.case.entry.local;
                local.learn(&self.case, now.monotonic(), &before, after, &self.ahead);
                decision
            }
            Err(error) => {
                let keys = &self.case.entry.keys;
                inner.failed(keys.slot, &keys.probe, &error);
                inner.decide_without_store(&self.case, request, now)
            }
        }
    }
}

impl Drop for Trip {
    fn drop(&mut self) {
        if !self.arrived {
            let lost = self.case.entry.local.lose(&self.ahead);
            let figure = &self.inner.figures.lost_permits;
            figure.fetch_add(u64::from(lost), Ordering::Relaxed);
        }
    }
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

    /// Begins a decision: makes it if no round trip is needed.
    pub(super) fn begin(self: &Arc<Self>, request: &Request, now: Now) -> Begun {
        let case = match self.case(request) {
            Ok(case) => case,
            Err(decision) => return Begun::Decided(decision),
        };
        if self.outage.lasts(case.entry.keys.slot) {
            return Begun::Decided(self.decide_without_store(&case, request, now));
        }
        match case.entry.local.decide(&case, request, now, &self.autonomy) {
            Here::Decided { decision, held } => {
                let figure = if held {
                    &self.figures.admitted_ahead
                } else {
                    &self.figures.refused_here
                };
                figure.fetch_add(1, Ordering::Relaxed);
                Begun::Decided(decision)
            }
            Here::Ask(ahead) => Begun::Trip(Trip {
                inner: Arc::clone(self),
                case,
                ahead,
                arrived: false,
            }),
        }
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
            Ok((decision, ..)) => decision.without_receipt(),
            Err(_) => Outage::StoreFailed.decide(request),
        }
    }

    /// Decides a request while the store cannot be used.
    fn decide_without_store(&self, case: &Case, request: &Request, now: Now) -> Decision {
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

    async fn ask(
        &self,
        case: &Case,
        request: &Request,
        now: Now,
        peek: bool,
        ahead: &Ahead,
    ) -> Result<(Decision, Found, Found), StoreError> {
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
        let mut connection = self.link.connection().ok_or(StoreError::NotConnected)?;
        let (keys, count) = case.keys();
        let pending = ask.pending.as_ref().map(Pending::pack);
        let packed = ask.pack();
        let arguments: [&[u8]; 3] = [
            &case.packed_policy,
            &packed,
            pending.as_deref().unwrap_or_default(),
        ];
        let arguments = &arguments[..if pending.is_some() { 3 } else { 2 }];
        self.figures.round_trips.fetch_add(1, Ordering::Relaxed);
        let value = CHECK
            .run(&mut connection, &keys[..count], arguments)
            .await?;
        let (found, decided) = Found::read(value)?;
        let (decision, after) = found.decide(case, request);
        match decided {
            Some(decided) if decided != word(decision.outcome()) => Err(StoreError::Foreign),
            _ => Ok((decision, found, after)),
        }
    }

    /// Gives the permits of an admission back (P2).
    pub(super) async fn refund(&self, receipt: &Receipt, now: Now) -> Result<Refunded, StoreError> {
        let (policy, token_entry, user_keys) = {
            let registry = self.registry();
            let token = std::num::NonZeroU64::new(receipt.token());
            let token = token.map(limiter_core::TokenId::from_hash);
            let row = token.and_then(|token| registry.row(token));
            (
                registry.policy,
                row.cloned(),
                receipt
                    .user()
                    .and_then(|place| registry.user_to_change(place)),
            )
        };
        let mut refunded = Refunded {
            window: 0,
            daily: 0,
        };
        // A receipt does not tell its window and day, only whether one shown to it is the one.
        if let Some(Entry { keys, local, .. }) = token_entry {
            local.forget();
            let found = self.look(&keys, now).await?;
            let at = found.now.monotonic();
            let window = found.token.window;
            if receipt
                .give_back_window(window, at, policy.window_ms())
                .is_some()
            {
                let mark = window.start().as_millis();
                let cost = receipt.cost();
                refunded.window = self
                    .give_back(&[&keys.token], now, policy.window_ms(), mark, cost)
                    .await?;
            }
        }
        if let Some(keys) = user_keys {
            let found = self.look(&keys, now).await?;
            let refills = found.calendar.refills();
            if receipt.give_back_day(found.user.day, refills).is_some() {
                let (mark, cost) = (u64::from(refills), receipt.cost());
                refunded.daily = self
                    .give_back(&[&keys.user, &keys.calendar], now, 0, mark, cost)
                    .await?;
            }
        }
        Ok(refunded)
    }

    /// Gives permits back to the window that starts at `mark`, or to the day that is number `mark`;
    /// says how many went back.
    pub(super) async fn give_back(
        &self,
        keys: &[&str],
        now: Now,
        window_ms: u32,
        mark: u64,
        cost: u32,
    ) -> Result<u32, StoreError> {
        let now = self.injected(now).map(Now::monotonic);
        let mut connection = self.link.connection().ok_or(StoreError::NotConnected)?;
        let packed = pack_back(now, window_ms, mark, cost);
        self.figures.round_trips.fetch_add(1, Ordering::Relaxed);
        match GIVE_BACK.run(&mut connection, keys, &[&packed]).await? {
            Value::Int(back) => u32::try_from(back).map_err(|_| StoreError::Foreign),
            _ => Err(StoreError::Foreign),
        }
    }

    /// Reads the records behind a token's keys, and the moment.
    pub(super) async fn look(&self, keys: &Keys, now: Now) -> Result<Found, StoreError> {
        let ask = Ask {
            peek: true,
            offends: false,
            limit: 0,
            cost: 0,
            now: self.injected(now),
            want: Permits::default(),
            back: Held::default(),
            pending: None,
        };
        let packed_policy = Arc::clone(&self.registry().packed_policy);
        let packed = ask.pack();
        let arguments: [&[u8]; 2] = [&packed_policy, &packed];
        let keys: [&str; 3] = [&keys.token, &keys.calendar, &keys.user];
        let mut connection = self.link.connection().ok_or(StoreError::NotConnected)?;
        self.figures.round_trips.fetch_add(1, Ordering::Relaxed);
        let value = CHECK.run(&mut connection, &keys, &arguments).await?;
        Ok(Found::read(value)?.0)
    }

    /// The moment that a script is told, `None` if it is to read its server's clock.
    pub(super) const fn injected(&self, now: Now) -> Option<Now> {
        match self.time {
            StoreTime::Server => None,
            StoreTime::Injected => Some(now),
        }
    }
}

impl Case {
    /// The keys that the decision touches, and how many they are.
    pub(super) fn keys(&self) -> ([&str; 3], usize) {
        let keys = &self.entry.keys;
        let count = if self.daily { 3 } else { 2 };
        ([&keys.token, &keys.calendar, &keys.user], count)
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
