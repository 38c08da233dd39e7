//! A subject beside the model: every operation on both, every answer compared.

mod restart;
mod table;

use std::collections::BTreeMap;
use std::fmt::Debug;

use limiter_core::{Instant, Outage, Receipt, Registered, Registration};
use limiter_model::{self as model, Kind, Limit, Method, Model, Origin};

use crate::decode::{Choices, Clocks, decode_cost, decode_policy, pick};
use crate::twin::{core_kind, core_limit, core_request, model_policy};
use crate::{Seen, Subject, now, token, user};

/// What is known of a token, as its host would keep it.
#[derive(Clone, Copy, Debug)]
struct Terms {
    user: u64,
    kind: Kind,
    limit: Limit,
    pinned: bool,
}

impl Terms {
    fn registration(self) -> Registration {
        Registration {
            user: user(self.user),
            kind: core_kind(self.kind),
            limit: core_limit(self.limit),
            pinned: self.pinned,
        }
    }
}

/// A subject and the model, which have seen the same operations.
#[derive(Debug)]
pub struct Pair<S> {
    subject: S,
    model: Model,
    /// What the policy in force was decoded from.
    policy: [u8; 8],
    clocks: Clocks,
    now: model::Now,
    ids: Vec<u64>,
    terms: BTreeMap<u64, Terms>,
    receipts: Vec<(Receipt, model::Receipt)>,
    /// How often each outcome was answered, by its word.
    counts: BTreeMap<&'static str, u64>,
    table_full: u64,
    log: Vec<String>,
}

/// Why a run failed, with all that was done.
pub type Failure = String;

impl<S: Subject> Pair<S> {
    /// A pair that knows every token: two `api_token`s and an `access_token` of one user, and
    /// others of users of their own.
    ///
    /// # Panics
    ///
    /// If the subject has no room for them.
    #[must_use]
    pub fn new(policy: [u8; 8], blocks: bool) -> Self {
        let mut pair = Self::unregistered(policy, blocks, (1..=6).collect(), false);
        for id in pair.ids.clone() {
            let terms = pair.terms[&id];
            let registered = pair
                .subject
                .register(token(id), terms.registration(), now(0, None));
            assert_eq!(registered, Ok(Registered::New));
            pair.model.register(id, terms.user, terms.kind, terms.limit);
        }
        pair
    }

    fn unregistered(choices: [u8; 8], blocks: bool, ids: Vec<u64>, forward_only: bool) -> Self {
        let terms = ids.iter().zip(0_u8..).map(|(&id, i)| {
            let kind = if i == 2 {
                Kind::AccessToken
            } else {
                Kind::ApiToken
            };
            let terms = Terms {
                user: [1, 1, 1, 2, 3, 3, 4, 5][usize::from(i)],
                kind,
                limit: Limit::Plan((i / 3 % 2).into()),
                pinned: false,
            };
            (id, terms)
        });
        let policy = decode_policy(choices, blocks);
        Self {
            policy: choices,
            subject: S::new(policy),
            model: Model::new(model_policy(&policy)),
            clocks: Clocks::new(forward_only),
            now: model::Now { t_ms: 0, utc: None },
            terms: terms.collect(),
            ids,
            receipts: Vec::new(),
            counts: BTreeMap::new(),
            table_full: 0,
            log: vec![format!("{policy:?}")],
        }
    }

    /// The subject.
    #[must_use]
    pub fn subject(&self) -> &S {
        &self.subject
    }

    /// How often an outcome was answered, by its word; `admitted` and `exempt` are words too.
    #[must_use]
    pub fn count(&self, word: &str) -> u64 {
        self.counts.get(word).copied().unwrap_or_default()
    }

    /// Does one operation on both.
    ///
    /// # Errors
    ///
    /// What differs, and the operations that led there.
    pub fn apply(&mut self, choices: Choices) -> Result<(), Failure> {
        let id = self.step(choices);
        match choices.act % 20 {
            0..=12 => self.check(id, choices)?,
            13 | 14 => self.refund(choices)?,
            15 => self.register(id, choices)?,
            16 => self.update(id, choices)?,
            17 => self.revoke(id)?,
            18 if choices.act < 128 => self.set_policy(choices)?,
            18 => self.unblock(id)?,
            _ => self.fail_to_decide(id, choices)?,
        }
        self.compare_what_is_left(id)
    }

    /// Moves the clocks; answers the token that acts.
    fn step(&mut self, choices: Choices) -> u64 {
        // The first ones act most often, so that something adds up.
        let index = usize::from(pick(&[0, 1, 2, 3, 0, 0, 1, 4, 5, 0, 6, 7_u8], choices.who));
        let id = self.ids[index % self.ids.len()];
        let utc = self.clocks.step(&self.model, id, choices);
        self.now = model::Now {
            t_ms: self.clocks.t_ms,
            utc,
        };
        id
    }

    fn core_now(&self) -> limiter_core::Now {
        now(self.now.t_ms, self.now.utc)
    }

    /// Peeks twice and checks; all three must say what the model says.
    fn check(&mut self, id: u64, choices: Choices) -> Result<(), Failure> {
        if !self.model.is_known(id) && choices.cost % 8 != 1 {
            self.register(id, Choices::default())?;
        }
        let request = self.request(id, choices);
        self.note(&request);
        let (core, at) = (core_request(&request), self.core_now());
        let wanted = self.model.check(&request, self.now);
        let wanted_seen = Seen::from(&wanted);
        for _ in 0..2 {
            let peeked = self.subject.peek(&core, at);
            self.same("peek", Seen::from(&peeked), wanted_seen)?;
            self.same("no receipt", peeked.into_receipt(), None)?;
        }
        let given = self.subject.check(&core, at);
        self.same("check", Seen::from(&given), wanted_seen)?;
        self.count_one(wanted_seen);
        match (given.into_receipt(), wanted.receipt) {
            (Some(given), Some(wanted)) => {
                self.same("the receipt's cost", u64::from(given.cost()), request.cost)?;
                self.receipts.push((given, wanted));
            }
            (given, wanted) => {
                self.same("a receipt", given.is_some(), wanted.is_some())?;
            }
        }
        Ok(())
    }

    fn request(&self, id: u64, choices: Choices) -> model::Request {
        let [method, other] = [choices.what % 8, choices.what / 8];
        let method = pick(
            &[
                Method::Post,
                Method::Get,
                Method::Post,
                Method::Put,
                Method::Post,
                Method::Get,
                Method::Delete,
                Method::Patch,
            ],
            method,
        );
        let origin = match other % 16 {
            13 | 14 => Origin::Ui,
            15 => Origin::Webhook,
            _ => Origin::Api,
        };
        let token = match other {
            12 => None,
            28 => Some(u64::MAX),
            _ => Some(id),
        };
        let limit = self.model.limit(id).unwrap_or(1);
        let left = limit.saturating_sub(self.model.used_in_window(id, self.now));
        let daily = self.model.policy().daily_limit;
        let used_today = self.model.used_today(self.terms[&id].user);
        let left_today = daily.saturating_sub(used_today);
        model::Request {
            token,
            method,
            origin,
            cost: decode_cost(choices.cost, limit, left, left_today, daily),
        }
    }

    /// Refunds any earlier receipt, in any order.
    fn refund(&mut self, choices: Choices) -> Result<(), Failure> {
        if self.receipts.is_empty() {
            return Ok(());
        }
        // The last ones are the likeliest to be worth something.
        let back = usize::from(choices.what) % self.receipts.len();
        let index = self.receipts.len() - 1 - back;
        let (core, model) = self.receipts.remove(index);
        self.note(&("refund", &core));
        let given = self.subject.refund(core, self.core_now());
        let wanted = self.model.refund(model, self.now);
        self.same(
            "refunded",
            (u64::from(given.window), u64::from(given.daily)),
            (wanted.window, wanted.daily),
        )
    }

    /// Registers a token, again or for the first time; only a revoked one may change user or kind.
    fn register(&mut self, id: u64, choices: Choices) -> Result<(), Failure> {
        let mut terms = self.terms[&id];
        terms.limit = decode_limit(choices.what);
        if !self.model.is_known(id) && choices.cost % 3 == 1 {
            terms.user = 1 + u64::from(choices.cost / 3 % 3);
        }
        if !self.model.is_known(id) && choices.cost % 3 == 2 {
            terms.kind = Kind::ApiToken;
        }
        self.note(&("register", id, terms));
        let wanted = if self.model.is_known(id) {
            Registered::Updated
        } else if self.model.limit(id).is_some() {
            Registered::Resumed
        } else {
            Registered::New
        };
        let given = self
            .subject
            .register(token(id), terms.registration(), self.core_now());
        self.same("registered", given, Ok(wanted))?;
        self.model.register(id, terms.user, terms.kind, terms.limit);
        self.terms.insert(id, terms);
        Ok(())
    }

    fn update(&mut self, id: u64, choices: Choices) -> Result<(), Failure> {
        let limit = decode_limit(choices.what);
        self.note(&("update", id, limit));
        let given = self.subject.update(token(id), core_limit(limit));
        let wanted = self.model.update(id, limit);
        if wanted && let Some(terms) = self.terms.get_mut(&id) {
            terms.limit = limit;
        }
        self.same("updated", given.is_ok(), wanted)
    }

    fn revoke(&mut self, id: u64) -> Result<(), Failure> {
        self.note(&("revoke", id));
        let given = self.subject.revoke(token(id), self.core_now());
        let wanted = self.model.revoke(id, self.now);
        self.same("revoked", given, wanted)
    }

    /// Another policy, which blocks if this one does.
    fn set_policy(&mut self, choices: Choices) -> Result<(), Failure> {
        match usize::from(choices.which) % 9 {
            8 => self.policy = [choices.which; 8].map(|all| all.wrapping_mul(choices.what)),
            one => self.policy[one] = choices.what,
        }
        let policy = decode_policy(self.policy, self.model.policy().block.is_some());
        self.note(&policy);
        let given = self.subject.set_policy(policy);
        self.model.set_policy(model_policy(&policy));
        self.same("set", given, Ok(()))
    }

    fn unblock(&mut self, id: u64) -> Result<(), Failure> {
        self.note(&("unblock", id));
        let known = self.model.is_known(id);
        self.model.unblock(id);
        let given = self.subject.unblock(token(id));
        self.same("unblocked", given.is_ok(), known)
    }

    /// O8: decides without looking.
    fn fail_to_decide(&mut self, id: u64, choices: Choices) -> Result<(), Failure> {
        let request = self.request(id, choices);
        self.note(&("failing", &request));
        let core = core_request(&request);
        let (given, wanted) = match choices.act / 20 % 3 {
            0 => (
                self.subject.check_with_failed_clock(&core),
                self.model.check_clock_failed(&request),
            ),
            1 => (
                self.subject.refuse_for(&core, Outage::TableFull),
                self.model.check_table_full(&request),
            ),
            _ => (
                self.subject.refuse_for(&core, Outage::StoreFailed),
                self.model.check_store_failed(&request),
            ),
        };
        let wanted = Seen::from(&wanted);
        self.count_one(wanted);
        self.same("failed", Seen::from(&given), wanted)
    }

    /// The calendar, the next reset and the statistics.
    fn compare_what_is_left(&self, id: u64) -> Result<(), Failure> {
        let (day, refills) = self.subject.accounting_day();
        let calendar = self.model.calendar();
        self.same("the day", day.map(i64::from), calendar.day())?;
        self.same("refills", u64::from(refills), calendar.refills())?;
        let at = Instant::from_millis(self.now.t_ms);
        let reset = self.subject.next_reset(token(id), at);
        let reset = reset.map(|reset| i128::from(reset.as_millis()));
        self.same("the next reset", reset, self.next_reset(id))?;
        let statistics = self.subject.statistics();
        let mut given = BTreeMap::from([
            ("admitted", statistics.admitted()),
            ("exempt", statistics.exempt()),
        ]);
        for reason in limiter_core::Reason::ALL {
            given.insert(reason.word(), statistics.refused(reason));
        }
        given.retain(|_, &mut count| count > 0);
        self.same("statistics", &given, &self.counts)?;
        self.same(
            "registrations without room",
            statistics.table_full,
            self.table_full,
        )
    }

    /// When the block, else the open window, ends by the model's state.
    fn next_reset(&self, id: u64) -> Option<i128> {
        if !self.model.is_known(id) {
            return None;
        }
        let (policy, at) = (self.model.policy(), self.model.time_ms(self.now));
        let blocked = self.model.blocked_until_ms(id).filter(|&until| at < until);
        let end = match (blocked, policy.block) {
            (Some(until), Some(_)) => until,
            _ => {
                let start = self.model.window_start_ms(id)?;
                let end = start + i128::from(policy.window_ms);
                Some(end).filter(|&end| at < end)?
            }
        };
        // By the clock that was read.
        Some((i128::from(self.now.t_ms) + end - at).min((1 << 43) - 1))
    }

    fn count_one(&mut self, seen: Seen) {
        *self
            .counts
            .entry(seen.word.unwrap_or("admitted"))
            .or_default() += 1;
    }

    fn note(&mut self, what: &impl Debug) {
        self.log.push(format!("{:?} {what:?}", self.now));
    }

    fn same<T: PartialEq + Debug>(&self, what: &str, given: T, wanted: T) -> Result<(), Failure> {
        if given == wanted {
            return Ok(());
        }
        let log = self.log.join("\n  ");
        Err(format!(
            "{what}: given {given:?}, wanted {wanted:?}, after\n  {log}"
        ))
    }
}

fn decode_limit(choice: u8) -> Limit {
    pick(
        &[
            Limit::Plan(0),
            Limit::Plan(1),
            Limit::Own(1),
            Limit::Own(4),
            Limit::Own(1_048_575),
        ],
        choice,
    )
}
