//! The model: where the rules meet (SPEC 3), and the other operations (SPEC 9).

use std::collections::BTreeMap;

use crate::abuse::Abuse;
use crate::calendar::{Calendar, DAY_MS};
use crate::daily::{UserDay, counts_daily};
use crate::decision::{Decision, Outcome, Reason, Receipt, Refunded, UNAVAILABLE_RETRY_MS};
use crate::policy::{Kind, Limit, Now, Origin, Policy, Request};
use crate::timeline::TimeLine;
use crate::window::{self, Window};

/// Decides as the specification says, over unbounded tables.
///
/// Register tokens, then [`check`](Self::check) requests. Nothing reads a clock. Readings may come
/// late, step back or be those of two clocks (M1 to M3). Costs O(log tokens) per call.
#[derive(Clone, Debug)]
pub struct Model {
    pub(crate) policy: Policy,
    pub(crate) line: TimeLine,
    pub(crate) calendar: Calendar,
    pub(crate) tokens: BTreeMap<u64, Token>,
    pub(crate) users: BTreeMap<u64, UserDay>,
}

/// A token's row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) user: u64,
    pub(crate) kind: Kind,
    pub(crate) limit: Limit,
    /// P4: unknown, but its row stays.
    pub(crate) revoked: bool,
    pub(crate) window: Option<Window>,
    pub(crate) abuse: Abuse,
}

/// What the state becomes by one decision that gets past O2.
struct After {
    id: u64,
    line: TimeLine,
    calendar: Calendar,
    token: Token,
    user: UserDay,
}

impl Model {
    /// Makes a model that knows no token.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            line: TimeLine::default(),
            calendar: Calendar::default(),
            tokens: BTreeMap::new(),
            users: BTreeMap::new(),
        }
    }

    /// Makes `token` known.
    ///
    /// The row of a revoked token is resumed (P4): what it used, its offences and its block are
    /// as they were; user, kind and limit are the new ones, as they would be had its row been
    /// evicted. A token that is known gets the new limit (P3); its user and kind stay.
    pub fn register(&mut self, token: u64, user: u64, kind: Kind, limit: Limit) {
        let fresh = Token {
            user,
            kind,
            limit,
            revoked: false,
            window: None,
            abuse: Abuse::default(),
        };
        let row = self.tokens.entry(token).or_insert(fresh);
        if row.revoked {
            *row = Token {
                window: row.window,
                abuse: row.abuse,
                ..fresh
            };
        }
        row.limit = limit;
        self.users.entry(row.user).or_default();
    }

    /// Changes the limit of a known token and keeps what is used (P3); answers whether it is known.
    pub fn update(&mut self, token: u64, limit: Limit) -> bool {
        let row = self.tokens.get_mut(&token).filter(|row| !row.revoked);
        row.map(|row| row.limit = limit).is_some()
    }

    /// Changes the policy and keeps what is used (P3). Strikes that are forgiven by now stay so,
    /// however long the new policy remembers (D3).
    pub fn set_policy(&mut self, policy: Policy) {
        let (today, mode) = (self.calendar.refills(), self.policy.mode);
        for user in self.users.values_mut() {
            *user = user.on(today).forgiven(mode);
        }
        self.policy = policy;
    }

    /// Makes `token` unknown (P4); answers whether it was known.
    ///
    /// Its row stays if it has an open window, a block or a running offence period at `now`, which
    /// is a reading of the time line's (M1).
    pub fn revoke(&mut self, token: u64, now: Now) -> bool {
        let Some(row) = self.tokens.get_mut(&token).filter(|row| !row.revoked) else {
            return false;
        };
        row.revoked = true;
        self.evict_token(token, now);
        true
    }

    /// Lifts the block of a known token; answers whether there was one. Offences stay.
    pub fn unblock(&mut self, token: u64) -> bool {
        let row = self.tokens.get_mut(&token).filter(|row| !row.revoked);
        row.is_some_and(|row| row.abuse.blocked_until_ms.take().is_some())
    }

    /// Decides and records (SPEC 3).
    pub fn check(&mut self, request: &Request, now: Now) -> Decision {
        let (decision, after) = self.decide(request, now);
        if let Some(after) = after {
            self.store(after);
        }
        decision
    }

    /// Says what [`check`](Self::check) would say and changes nothing (P1). Gives no receipt.
    #[must_use]
    pub fn peek(&self, request: &Request, now: Now) -> Decision {
        Decision {
            receipt: None,
            ..self.decide(request, now).0
        }
    }

    /// Decides when a clock could not be read (O8).
    #[must_use]
    pub fn check_clock_failed(&self, request: &Request) -> Decision {
        unavailable(request, Reason::ClockFailed)
    }

    /// Decides when the table has no row for the token (O8, T3).
    #[must_use]
    pub fn check_table_full(&self, request: &Request) -> Decision {
        unavailable(request, Reason::TableFull)
    }

    /// Decides when the store cannot be reached (O8).
    #[must_use]
    pub fn check_store_failed(&self, request: &Request) -> Decision {
        unavailable(request, Reason::StoreFailed)
    }

    /// Decides a request whose persist fails if it is to be charged (O8): no permit is charged;
    /// time line, calendar and expiry stay. Any other request is decided as by `check`.
    pub fn check_persist_failed(&mut self, request: &Request, now: Now) -> Decision {
        let (decision, after) = self.decide(request, now);
        let Some(mut after) = after else {
            return decision;
        };
        if decision.receipt.is_none() {
            self.store(after);
            return decision;
        }
        let window = self.tokens.get(&after.id).and_then(|row| row.window);
        let now_ms = self.line.peek(now.t_ms);
        after.token.window = window::standing(window, self.policy.window_ms, now_ms);
        after.user = self
            .users
            .get(&after.token.user)
            .copied()
            .unwrap_or_default();
        self.store(after);
        unavailable(request, Reason::StoreFailed)
    }

    /// Gives permits back (P2) and uses the receipt up; answers what went back.
    ///
    /// A refund is no decision: it feeds no calendar and stores no expiry. If there is a row to look
    /// at, the reading is one of the time line's (M1).
    pub fn refund(&mut self, receipt: Receipt, now: Now) -> Refunded {
        let mut back = Refunded::default();
        let Receipt {
            token,
            user,
            cost,
            window_start_ms,
            day,
            counted_daily,
        } = receipt;
        if let Some(row) = self.tokens.get_mut(&token) {
            let now_ms = self.line.take(now.t_ms);
            if let Some(window) = row.window.as_mut()
                && window.start_ms == window_start_ms
                && window.is_open(self.policy.window_ms, now_ms)
            {
                back.window = cost.min(window.used);
                window.used -= back.window;
            }
        }
        if let Some(record) = self.users.get_mut(&user)
            && counted_daily
            && day == self.calendar.refills()
        {
            *record = record.on(day);
            back.daily = record.give_back(cost);
        }
        back
    }

    /// The decision and what it changes; nothing changes at O1 and O2.
    fn decide(&self, request: &Request, now: Now) -> (Decision, Option<After>) {
        // O1: a webhook is exempt; nothing is looked up, counted or reported.
        if request.origin == Origin::Webhook {
            return (Decision::bare(Outcome::Exempt), None);
        }
        // O2: no token, or one that nobody knows.
        let Some((id, token)) = request.token.and_then(|id| Some((id, *self.known(id)?))) else {
            return (Decision::refused(Reason::Unauthenticated, None), None);
        };
        let user = self.users.get(&token.user).copied().unwrap_or_default();
        let mut after = After {
            id,
            line: self.line,
            calendar: self.calendar,
            token,
            user,
        };
        let decision = self.decide_known(request, now, &mut after);
        (decision, Some(after))
    }

    /// O3 to O7, for a token that is known.
    fn decide_known(&self, request: &Request, now: Now, after: &mut After) -> Decision {
        let (policy, cost) = (&self.policy, request.cost);
        // M1: before anything else. UTC is the reading's own (M3).
        let (now_ms, utc) = (after.line.take(now.t_ms), policy.known_utc(now.utc));
        // D6: the calendar is fed once, before anything is evaluated.
        after.calendar.feed(utc, now_ms);
        let today = after.calendar.refills();
        let token = &mut after.token;
        token.abuse.settle(now_ms); // B6

        // O3: the token is blocked. Nothing is counted, not even the window's expiry.
        // B5: an `access_token` is not, whatever its row holds from before.
        if token.kind == Kind::ApiToken
            && let Some(wait) = token.abuse.hit(policy.block, now_ms)
        {
            return Decision::refused(Reason::Blocked, Some(to_ms(wait)));
        }

        // W6: that a window has ended is stored past O3, also by a refusal.
        token.window = window::standing(token.window, policy.window_ms, now_ms);
        let limit = policy.window_limit(token.kind, token.limit);
        let daily = counts_daily(policy, token.kind, request.method, request.origin);
        if daily {
            after.user = after.user.on(today).forgiven(policy.mode);
        }

        // O4: what can never fit. In `strict` mode alone the day's limit is one of these.
        let strict = policy.mode == crate::Mode::Strict;
        if cost > limit || (daily && strict && cost > policy.daily_limit) {
            let reason = Outcome::Refused(Reason::CostExceedsLimit);
            return quota(policy, daily, after, now_ms, Decision::bare(reason));
        }

        // O5: both are evaluated.
        let window_refuses = !window::fits(token.window, limit, cost);
        // R5: lost counts refuse in every mode.
        let lost = daily && after.calendar.is_lost();
        let day_refuses =
            lost || (daily && after.user.evaluate(policy.mode, policy.daily_limit, cost));

        if !window_refuses && !day_refuses {
            // O5: both are charged.
            let charged = window::charged(token.window, now_ms, cost);
            token.window = Some(charged);
            if daily {
                after.user.charge(cost);
            }
            let receipt = Some(Receipt {
                token: after.id,
                user: token.user,
                cost,
                window_start_ms: charged.start_ms,
                day: today,
                counted_daily: daily,
            });
            let admitted = Decision {
                receipt,
                ..Decision::bare(Outcome::Admitted)
            };
            return quota(policy, daily, after, now_ms, admitted);
        }

        // O6: nothing is charged; if both refuse, it is `daily`.
        let reset = window::reset_ms(token.window, policy.window_ms, now_ms);
        let (reason, wait) = if day_refuses {
            // D5: the longest, the window's if that refuses too, and at most 24 h.
            let window_wait = if window_refuses { reset } else { 0 };
            let wait = after
                .calendar
                .wait_ms(utc, now_ms)
                .max(window_wait)
                .min(DAY_MS);
            (Reason::Daily, wait)
        } else {
            (Reason::Window, reset) // W4
        };
        // O7: an `api_token` request of origin `api` has offended (B5: no other is ever blocked).
        // R5: what is refused for lost counts is no offence.
        if let (Kind::ApiToken, Origin::Api, Some(block), false) =
            (token.kind, request.origin, policy.block, lost)
        {
            token.abuse.offend(block, now_ms);
        }
        quota(
            policy,
            daily,
            after,
            now_ms,
            Decision::refused(reason, Some(to_ms(wait))),
        )
    }

    fn store(&mut self, after: After) {
        self.line = after.line;
        self.calendar = after.calendar;
        self.users.insert(after.token.user, after.user);
        self.tokens.insert(after.id, after.token);
    }

    pub(crate) fn known(&self, token: u64) -> Option<&Token> {
        self.tokens.get(&token).filter(|row| !row.revoked)
    }
}

/// W3, D4: adds the quota to a decision, as it is after it.
fn quota(policy: &Policy, daily: bool, after: &After, now_ms: i128, bare: Decision) -> Decision {
    let limit = policy.window_limit(after.token.kind, after.token.limit);
    let window = after.token.window;
    Decision {
        limit: Some(limit),
        remaining: Some(limit.saturating_sub(window::used(window))),
        reset_ms: Some(to_ms(window::reset_ms(window, policy.window_ms, now_ms))),
        daily_left: daily.then(|| match after.calendar.is_lost() {
            true => 0, // R5
            false => after.user.left(policy.daily_limit),
        }),
        ..bare
    }
}

/// O8: decided right after O1.
fn unavailable(request: &Request, reason: Reason) -> Decision {
    if request.origin == Origin::Webhook {
        return Decision::bare(Outcome::Exempt);
    }
    Decision::refused(reason, Some(UNAVAILABLE_RETRY_MS))
}

/// A wait, which is never negative, as it is reported.
fn to_ms(wait_ms: i128) -> u64 {
    u64::try_from(wait_ms).expect("waits are from 0 to a day, or 2 s more than a window or a block")
}
