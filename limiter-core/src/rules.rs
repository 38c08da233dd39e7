//! The one place where the rules meet (SPEC 3, O3 to O7).
//!
//! [`decide`] is a pure transition: it looks at the policy, a calendar that has been fed, and one
//! token's [`Account`], and changes the account alone. Each home of the state loads an account its
//! own way, calls this, and stores it back; `peek` does not store it back.

use crate::abuse::Abuse;
use crate::calendar::Calendar;
use crate::daily::{Day, Strikes};
use crate::decision::{Decision, Outcome, Quota, Reason, Receipt};
use crate::policy::Policy;
use crate::request::{Kind, Origin, Request};
use crate::time::{MILLIS_PER_DAY, Now};
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

    let mut retry_after_ms = 0;
    let outcome = if can_never_fit {
        Outcome::Refused(Reason::CostExceedsLimit)
    } else {
        let window_fits = account.window.fits(account.limit, cost);
        let day_fits = !daily || judge_day(policy, calendar, account, cost);
        if window_fits && day_fits {
            account.window = account.window.charge(at, cost);
            if daily {
                account.day = account.day.charge(cost);
            }
            Outcome::Admitted
        } else {
            count_offence(policy, account, request, now);
            if !window_fits {
                retry_after_ms = account.window.reset_ms(at, policy.window_ms);
            }
            if day_fits {
                Outcome::Refused(Reason::Window)
            } else {
                // The longest of all waits, so that nobody is told to come back too early (D5).
                retry_after_ms = retry_after_ms
                    .max(calendar.wait_ms(now))
                    .min(MILLIS_PER_DAY);
                Outcome::Refused(Reason::Daily)
            }
        }
    };

    let day_left = policy.daily.limit.saturating_sub(account.day.used());
    Decision {
        receipt: Receipt::new(account, cost, daily),
        quota: Quota {
            limit: account.limit,
            remaining: account.window.remaining(account.limit),
            reset_ms: account.window.reset_ms(at, policy.window_ms),
            daily_left: if daily { Some(day_left) } else { None },
        },
        retry_after_ms,
        outcome,
        has_quota: true,
    }
}

/// Whether the daily rule has room for a request that counts daily (D3). Takes down a strike.
#[inline]
fn judge_day(policy: &Policy, calendar: &Calendar, account: &mut Account, cost: u32) -> bool {
    let refills = calendar.refills();
    let (fits, strikes) = policy
        .daily
        .judge(account.day, account.strikes, refills, cost);
    account.strikes = strikes;
    fits
}

/// O7: a refusal of an `api_token` of origin `api` by a limit is an offence.
#[inline]
fn count_offence(policy: &Policy, account: &mut Account, request: &Request, now: Now) {
    if let Some(rule) = &policy.block
        && account.kind == Kind::ApiToken
        && request.origin == Origin::Api
    {
        account.abuse = account.abuse.offend(now.monotonic(), rule);
    }
}
