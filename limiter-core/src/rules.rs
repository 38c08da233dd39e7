//! The one place where the rules meet (SPEC 3, O3 to O7).
//!
//! [`decide`] is a pure transition: it looks at the policy, a calendar that has been fed, and one
//! token's [`Account`], and changes the account alone. Each home of the state loads an account its
//! own way, calls this, and stores it back; `peek` does not store it back.

use crate::abuse::Abuse;
use crate::calendar::Calendar;
use crate::daily::{DailyMode, Day, Strikes};
use crate::decision::{Decision, Outcome, Quota, Reason, Receipt};
use crate::math;
use crate::policy::Policy;
use crate::request::{Kind, Origin, Request};
use crate::time::{Instant, MILLIS_PER_DAY, Now};
use crate::token::TokenId;
use crate::window::Window;

/// All that one decision may look at or change of a token and its user.
#[derive(Debug)]
pub struct Account<'a> {
    /// Whose it is.
    pub token: TokenId,
    /// The token's kind.
    pub kind: Kind,
    /// Permits per window.
    pub limit: u32,
    /// The token's window.
    pub window: &'a mut Window,
    /// The token's offences or block.
    pub abuse: &'a mut Abuse,
    /// Where the home keeps the user, for the receipt; below `u32::MAX`.
    pub user: u32,
    /// The user's day and strikes, if and only if the request counts daily ([`counts_daily`]).
    pub daily: Option<(&'a mut Day, &'a mut Strikes)>,
}

/// Whether a request of a token of `kind` counts daily (D1).
#[must_use]
#[inline]
pub fn counts_daily(policy: &Policy, kind: Kind, request: &Request) -> bool {
    kind == Kind::ApiToken
        && request.origin == Origin::Api
        && policy.writes.contains(request.method)
}

/// Decides a request of a registered token, charging the account if it is admitted.
///
/// O1 and O2 come before this, and so do the time line ([`Now::at`], M1) and feeding the calendar (D6)
/// with a `now` whose UTC has been held against the policy's floor. *O*(1); does not allocate or block.
#[cfg_attr(target_pointer_width = "64", inline(always))]
#[cfg_attr(not(target_pointer_width = "64"), inline)]
pub fn decide(
    policy: &Policy,
    calendar: &Calendar,
    mut account: Account<'_>,
    request: &Request,
    now: Now,
) -> Decision {
    let at = now.monotonic();
    if account.abuse.is_blocked() {
        let wait = blocked_ms(policy, account.kind, account.abuse, now);
        if wait > 0 {
            return Decision::refused(Reason::Blocked, wait);
        }
    }

    let mut window = account.window.settle(at, policy.window_ms);
    let cost = request.cost.get();
    let mut fits = window.fits(account.limit, cost);
    if let Some((day, _)) = &mut account.daily {
        **day = day.settle(calendar.refills());
        fits &= policy.daily.has_room(**day, cost);
    }

    // What fits all limits need not be held against O4: it costs no more than each of them.
    let (mut outcome, mut retry_after_ms) = (Outcome::Admitted, 0);
    if !fits {
        let mut excess = Excess {
            kind: account.kind,
            limit: account.limit,
            window,
            abuse: account.abuse,
            daily: None,
        };
        if let Some((day, strikes)) = &mut account.daily {
            excess.daily = Some((day, strikes));
        }
        (outcome, retry_after_ms) = excess.judge(policy, calendar, request, now);
    }
    if let Outcome::Admitted = outcome {
        window = window.charge(at, cost);
        if let Some((day, _)) = &mut account.daily {
            **day = day.charge(cost);
        }
    }

    *account.window = window;
    let mut daily_left = None;
    let mut charged_day = None;
    if let Some((day, _)) = &account.daily {
        daily_left = Some(policy.daily.limit.saturating_sub(day.used()));
        charged_day = Some((account.user, day.refills()));
    }
    Decision {
        receipt: Receipt::new(account.token, window, cost, charged_day),
        quota: Quota {
            limit: account.limit,
            remaining: window.remaining(account.limit),
            reset_ms: window.reset_ms(at, policy.window_ms),
            daily_left,
        },
        retry_after_ms,
        outcome,
    }
}

/// What [`admit`] goes by of a token and its user, by value.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Permits per window.
    pub limit: u32,
    /// The token's window.
    pub window: Window,
    /// The token's offences or block.
    pub abuse: Abuse,
    /// The user's day, if and only if the request counts daily ([`counts_daily`]).
    pub day: Option<Day>,
}

/// What [`admit`] charged.
#[derive(Clone, Copy, Debug)]
pub struct Charge {
    /// The token's window after it.
    pub window: Window,
    /// The user's day after it, if the request counts daily.
    pub day: Option<Day>,
    quota: Quota,
}

/// The straight way through [`decide`], for homes that cannot lend their words: charges a request
/// that no block stops and all limits have room for. Abuse and strikes stay as they are then.
///
/// `None` for any other request: it is [`decide`]'s to judge, whatever comes of it. `refills` is a
/// fed calendar's, `at` the time line's. *O*(1).
#[must_use]
#[inline(always)]
pub fn admit(
    policy: &Policy,
    refills: u32,
    standing: Standing,
    request: &Request,
    at: Instant,
) -> Option<Charge> {
    let cost = request.cost.get();
    if standing.abuse.is_blocked() {
        return None;
    }
    let window = standing.window.opened(at, policy.window_ms);
    let (remaining, window) = window.charge_open(standing.limit, cost)?;
    let (mut day, mut daily_left) = (None, None);
    if let Some(before) = standing.day {
        let (left, after) = before.charge_within(refills, policy.daily.limit, cost)?;
        (day, daily_left) = (Some(after), Some(left));
    }
    let reset_ms = window.reset_open_ms(at, policy.window_ms);
    Some(Charge {
        window,
        day,
        quota: Quota {
            limit: standing.limit,
            remaining,
            reset_ms,
            daily_left,
        },
    })
}

impl Charge {
    /// The same with what is left of a day that others charged meanwhile.
    #[must_use]
    pub fn with_daily_left(mut self, permits: u32) -> Self {
        self.quota.daily_left = Some(permits);
        self
    }

    /// The decision on the request that was charged. `user` is as in [`Account::user`].
    #[inline(always)]
    pub fn decision(self, token: TokenId, user: u32, request: &Request) -> Decision {
        let charged_day = self.day.map(|day| (user, day.refills()));
        Decision {
            receipt: Receipt::new(token, self.window, request.cost.get(), charged_day),
            quota: self.quota,
            retry_after_ms: 0,
            outcome: Outcome::Admitted,
        }
    }
}

/// Decides a request that counts daily while the counts of its accounting day are lost
/// ([`Calendar::is_lost`]): [`decide`]'s place is taken by this then. The day refuses in every mode,
/// and that is no offence (R5); O3 and O4 come before, and W6 holds.
#[cold]
#[inline(never)]
pub fn decide_lost(
    policy: &Policy,
    calendar: &Calendar,
    account: Account<'_>,
    request: &Request,
    now: Now,
) -> Decision {
    let at = now.monotonic();
    if account.abuse.is_blocked() {
        let wait = blocked_ms(policy, account.kind, account.abuse, now);
        if wait > 0 {
            return Decision::refused(Reason::Blocked, wait);
        }
    }
    let window = account.window.settle(at, policy.window_ms);
    *account.window = window;
    let cost = request.cost.get();
    let reset_ms = window.reset_ms(at, policy.window_ms);
    let (reason, retry_after_ms) = if cost > account.limit || policy.daily.can_never_fit(cost) {
        (Reason::CostExceedsLimit, 0)
    } else {
        let fits = window.fits(account.limit, cost);
        let wait = calendar.wait_ms(now).max(if fits { 0 } else { reset_ms });
        (Reason::Daily, wait.min(MILLIS_PER_DAY))
    };
    let mut decision = Decision::refused(reason, retry_after_ms);
    decision.quota = Quota {
        limit: account.limit,
        remaining: window.remaining(account.limit),
        reset_ms,
        daily_left: Some(0),
    };
    decision
}

/// Whether nothing is left of a token that a later decision could see: no open window, no block, no
/// running offence period (T2). Whether its row is pinned is for the home to know.
#[must_use]
pub const fn is_idle_token(policy: &Policy, window: Window, abuse: Abuse, now: Instant) -> bool {
    let window_closed = !window.settle(now, policy.window_ms).is_open();
    let forgotten = match &policy.block {
        Some(rule) => abuse.is_forgotten(now, rule),
        None => true,
    };
    window_closed && forgotten
}

/// The strikes that still count on the accounting day `refills` (D3).
#[must_use]
pub const fn standing_strikes(policy: &Policy, strikes: Strikes, refills: u32) -> Strikes {
    match policy.daily.mode {
        DailyMode::FairUse {
            forgiven_after_days,
            ..
        } => strikes.settle(refills, forgiven_after_days),
        _ => strikes,
    }
}

/// The earliest moment at which nothing may be left of a token ([`is_idle_token`]), whatever is
/// decided from `now` on. Of one that is idle now, that is `now` or earlier.
///
/// Not the moment at which it will be idle if nothing is decided: an offence may turn a long period
/// into a short block. Other changes (a refund leaves a window open; a policy, an end put to a
/// block by hand) are for the home to know.
#[must_use]
pub const fn idle_from(policy: &Policy, window: Window, abuse: Abuse, now: Instant) -> Instant {
    let window = window.settle(now, policy.window_ms);
    let mut from = Instant::ZERO;
    if window.is_open() {
        from = window.start().saturating_add(math::widen(policy.window_ms));
    }
    if let Some(rule) = &policy.block {
        let forgotten = abuse.forgotten_from(now, rule);
        if forgotten.as_millis() > from.as_millis() {
            from = forgotten;
        }
    }
    from
}

/// Whether nothing is left of a user that a later decision on the accounting day `refills` could
/// see: nothing used, no strikes that count under the policy (T2). Whether tokens refer to it is for
/// the home to know.
#[must_use]
pub const fn is_unused_user(policy: &Policy, day: Day, strikes: Strikes, refills: u32) -> bool {
    let forgiven = match policy.daily.mode {
        DailyMode::FairUse { .. } => standing_strikes(policy, strikes, refills).is_none(),
        _ => true,
    };
    forgiven && day.settle(refills).used() == 0
}

/// O3: the time that a block still lasts after a request that meets it, in milliseconds; 0 if it is
/// over (B3, B4, B6), or the token is of a kind that is never blocked: then it stays (B5).
#[inline(never)]
fn blocked_ms(policy: &Policy, kind: Kind, abuse: &mut Abuse, now: Now) -> u32 {
    let Some(rule) = &policy.block else { return 0 };
    let at = now.monotonic();
    *abuse = abuse.settle(at);
    if kind != Kind::ApiToken {
        return 0;
    }
    if abuse.is_blocked() {
        *abuse = abuse.hit(at, rule);
    }
    abuse.blocked_ms(at)
}

/// A request that some limit has no room for, and what it may change.
struct Excess<'a> {
    kind: Kind,
    limit: u32,
    /// Settled.
    window: Window,
    abuse: &'a mut Abuse,
    daily: Option<(&'a mut Day, &'a mut Strikes)>,
}

impl Excess<'_> {
    /// Refuses the request, unless the daily mode tolerates it (O4, O6, D3): the outcome, and the
    /// wait in milliseconds. Expects window and day settled; charges nothing.
    #[inline]
    fn judge(
        &mut self,
        policy: &Policy,
        calendar: &Calendar,
        request: &Request,
        now: Now,
    ) -> (Outcome, u32) {
        let at = now.monotonic();
        let cost = request.cost.get();
        let mut can_never_fit = cost > self.limit;
        if self.daily.is_some() {
            can_never_fit |= policy.daily.can_never_fit(cost);
        }
        if can_never_fit {
            return (Outcome::Refused(Reason::CostExceedsLimit), 0);
        }

        let window_fits = self.window.fits(self.limit, cost);
        let mut day_fits = true;
        if let Some((day, strikes)) = &mut self.daily {
            let refills = calendar.refills();
            (day_fits, **strikes) =
                policy
                    .daily
                    .judge(day.settle(refills), **strikes, refills, cost);
        }
        if window_fits && day_fits {
            return (Outcome::Admitted, 0);
        }

        // O7: a refusal of an `api_token` of origin `api` by a limit is an offence.
        if let Some(rule) = &policy.block
            && self.kind == Kind::ApiToken
            && request.origin == Origin::Api
        {
            *self.abuse = self.abuse.offend(at, rule);
        }
        let wait = if window_fits {
            0
        } else {
            self.window.reset_ms(at, policy.window_ms)
        };
        if day_fits {
            return (Outcome::Refused(Reason::Window), wait);
        }
        // The longest of all waits, so that nobody is told to come back too early (D5).
        let wait = calendar.wait_ms(now).max(wait).min(MILLIS_PER_DAY);
        (Outcome::Refused(Reason::Daily), wait)
    }
}
