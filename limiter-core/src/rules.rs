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
/// O1 and O2 come before this, and so does feeding the calendar (D6) with a `now` whose UTC has
/// been held against the policy's floor. *O*(1); does not allocate or block.
#[inline]
pub fn decide(
    policy: &Policy,
    calendar: &Calendar,
    account: &mut Account<'_>,
    request: &Request,
    now: Now,
) -> Decision {
    let at = now.monotonic();
    if let Some(rule) = &policy.block {
        *account.abuse = account.abuse.settle(at, rule);
        if account.abuse.is_blocked() {
            *account.abuse = account.abuse.hit(at, rule);
            return Decision::refused(Reason::Blocked, account.abuse.blocked_ms(at));
        }
    }

    let mut window = account.window.settle(at, policy.window_ms);
    let cost = request.cost.get();
    let mut can_never_fit = cost > account.limit;
    let mut day = Day::new(0, 0);
    if let Some((record, _)) = &account.daily {
        day = record.settle(calendar.refills());
        can_never_fit |= policy.daily.can_never_fit(cost);
    }

    let mut retry_after_ms = 0;
    let outcome = if can_never_fit {
        Outcome::Refused(Reason::CostExceedsLimit)
    } else {
        let window_fits = window.fits(account.limit, cost);
        let day_fits = match &mut account.daily {
            Some((_, strikes)) => {
                let (fits, after) = policy.daily.judge(day, **strikes, calendar.refills(), cost);
                **strikes = after;
                fits
            }
            None => true,
        };
        if window_fits && day_fits {
            window = window.charge(at, cost);
            day = day.charge(cost);
            Outcome::Admitted
        } else {
            count_offence(policy, account, request, now);
            if !window_fits {
                retry_after_ms = window.reset_ms(at, policy.window_ms);
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

    *account.window = window;
    let mut daily_left = None;
    let mut user = None;
    if let Some((record, _)) = &mut account.daily {
        **record = day;
        daily_left = Some(policy.daily.limit.saturating_sub(day.used()));
        user = Some(account.user);
    }
    Decision {
        receipt: Receipt::new(account.token, window, cost, user, day),
        quota: Quota {
            limit: account.limit,
            remaining: window.remaining(account.limit),
            reset_ms: window.reset_ms(at, policy.window_ms),
            daily_left,
        },
        retry_after_ms,
        outcome,
        has_quota: true,
    }
}

/// O7: a refusal of an `api_token` of origin `api` by a limit is an offence.
#[inline]
fn count_offence(policy: &Policy, account: &mut Account<'_>, request: &Request, now: Now) {
    if let Some(rule) = &policy.block
        && account.kind == Kind::ApiToken
        && request.origin == Origin::Api
    {
        *account.abuse = account.abuse.offend(now.monotonic(), rule);
    }
}
