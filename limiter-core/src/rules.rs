//! The one place where the rules meet (SPEC 3, O3 to O7).
//!
//! [`decide`] is a pure transition: it looks at the policy, a calendar that has been fed, and one
//! token's [`Account`], and changes the account alone. Each home of the state loads an account its
//! own way, calls this, and stores it back; `peek` does not store it back.

use crate::abuse::Abuse;
use crate::calendar::Calendar;
use crate::daily::{Day, Strikes};
use crate::decision::{Decision, Quota, Reason, Receipt};
use crate::policy::Policy;
use crate::request::{Kind, Origin, Request};
use crate::time::Now;
use crate::token::TokenId;
use crate::window::Window;

/// All that one decision may look at or change of a token and its user.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    /// Whose it is.
    pub token: TokenId,
    /// The token's kind.
    pub kind: Kind,
    /// Permits per window.
    pub limit: u32,
    /// The token's window.
    pub window: Window,
    /// The token's offences or block.
    pub abuse: Abuse,
    /// Where the home keeps the user, for the receipt; below `u32::MAX`.
    pub user: u32,
    /// The user's day. Looked at only if the request counts daily.
    pub day: Day,
    /// The user's strikes. Looked at only if the request counts daily.
    pub strikes: Strikes,
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
/// O1 and O2 come before this, and so does feeding the calendar (D6) with a `now` whose UTC has
/// been held against the policy's floor. *O*(1); does not allocate or block.
#[inline]
pub fn decide(
    policy: &Policy,
    calendar: &Calendar,
    account: &mut Account,
    request: &Request,
    now: Now,
) -> Decision {
    let at = now.monotonic();
    if let Some(rule) = &policy.block {
        account.abuse = account.abuse.settle(at, rule);
        if account.abuse.is_blocked() {
            account.abuse = account.abuse.hit(at, rule);
            return Decision::refused(Reason::Blocked, account.abuse.blocked_ms(at));
        }
    }

    account.window = account.window.settle(at, policy.window_ms);
    let cost = request.cost.get();
    let daily = counts_daily(policy, account.kind, request);
    let mut can_never_fit = cost > account.limit;
    if daily {
        account.day = account.day.settle(calendar.refills());
        can_never_fit |= policy.daily.can_never_fit(cost);
    }
    if can_never_fit {
        let quota = quota(policy, account, daily, now);
        return Decision::limited(Reason::CostExceedsLimit, quota, 0);
    }

    let window_fits = account.window.fits(account.limit, cost);
    let day_fits = !daily || {
        let (fits, strikes) =
            policy
                .daily
                .judge(account.day, account.strikes, calendar.refills(), cost);
        account.strikes = strikes;
        fits
    };
    if !(window_fits && day_fits) {
        return refuse(
            policy,
            calendar,
            account,
            request,
            now,
            Refusal {
                window_fits,
                day_fits,
            },
        );
    }

    account.window = account.window.charge(at, cost);
    let mut day_charged = None;
    if daily {
        account.day = account.day.charge(cost);
        day_charged = Some((account.user, account.day.refills()));
    }
    let receipt = Receipt::new(account.token, account.window, cost, day_charged);
    Decision::admitted(quota(policy, account, daily, now), receipt)
}

/// Which limits had room for a request that is refused.
#[derive(Clone, Copy)]
struct Refusal {
    window_fits: bool,
    day_fits: bool,
}

/// O6, O7: the reason, the wait and the offence of a refusal by a limit.
#[inline(never)]
fn refuse(
    policy: &Policy,
    calendar: &Calendar,
    account: &mut Account,
    request: &Request,
    now: Now,
    refusal: Refusal,
) -> Decision {
    let at = now.monotonic();
    if let Some(rule) = &policy.block
        && account.kind == Kind::ApiToken
        && request.origin == Origin::Api
    {
        account.abuse = account.abuse.offend(at, rule);
    }
    let daily = counts_daily(policy, account.kind, request);
    let quota = quota(policy, account, daily, now);
    let window_wait = if refusal.window_fits {
        0
    } else {
        quota.reset_ms
    };
    if refusal.day_fits {
        Decision::limited(Reason::Window, quota, window_wait)
    } else {
        // The longest of all waits, so that nobody is told to come back too early (D5).
        let wait = calendar.wait_ms(now).max(window_wait);
        Decision::limited(Reason::Daily, quota, wait.min(crate::time::MILLIS_PER_DAY))
    }
}

/// W3, D4.
#[inline]
fn quota(policy: &Policy, account: &Account, daily: bool, now: Now) -> Quota {
    let daily_left = if daily {
        Some(policy.daily.limit.saturating_sub(account.day.used()))
    } else {
        None
    };
    Quota {
        limit: account.limit,
        remaining: account.window.remaining(account.limit),
        reset_ms: account.window.reset_ms(now.monotonic(), policy.window_ms),
        daily_left,
    }
}
