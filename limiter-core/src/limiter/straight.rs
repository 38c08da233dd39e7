//! The usual decision in one straight line, for 64-bit hosts: a request that fits all limits, on a
//! day that goes on, is charged from registers and its answer written once.
//!
//! All else goes the whole way, which is not inlined. That would be dear on a Cortex-M: its code is
//! there twice, and 64-bit values have no registers.

use super::{LimiterIn, Statistics, Terms, TokenRow, UserRow};
use crate::calendar::Calendar;
use crate::decision::{Decision, Outcome, Reason};
use crate::policy::Policy;
use crate::request::{Origin, Request};
use crate::rules::{self, Charge, Standing};
use crate::time::{Instant, Now};
use crate::timeline::TimeLine;

impl<T, U> LimiterIn<T, U>
where
    T: AsRef<[TokenRow]> + AsMut<[TokenRow]>,
    U: AsRef<[UserRow]> + AsMut<[UserRow]>,
{
    /// [`LimiterIn::check`]. Methods that may count daily go their own way, for both together need
    /// more registers than there are.
    #[inline(always)]
    pub(super) fn check_straight(&mut self, request: &Request, now: Now) -> Decision {
        if self.policy.writes.contains(request.method) {
            self.check_write(request, now)
        } else {
            self.check_read(request, now)
        }
    }

    /// Decides a request that does not count daily.
    #[inline(always)]
    fn check_read(&mut self, request: &Request, now: Now) -> Decision {
        let Some(token) = request.token else {
            return self.check_far(request, now);
        };
        let Some(row) = self.tokens.find_near_mut::<TokenRow>(token.as_u64()) else {
            return self.check_far(request, now);
        };
        if is_usual(&self.policy, &self.calendar, row.terms(), request, now)
            && let Some(at) = self.line.steady(now.monotonic())
            && let Some(charge) = row.admit(&self.policy, 0, None, request, at)
        {
            self.counts.count(Outcome::Admitted);
            return charge.decision(token, 0, request);
        }
        let clocks = (&mut self.line, &mut self.calendar);
        judge(
            clocks,
            &self.policy,
            &mut self.counts,
            row,
            None,
            request,
            now,
        )
    }

    /// Decides a request whose method counts daily.
    #[inline(always)]
    fn check_write(&mut self, request: &Request, now: Now) -> Decision {
        let Some(token) = request.token else {
            return self.check_far(request, now);
        };
        let Some(row) = self.tokens.find_near_mut::<TokenRow>(token.as_u64()) else {
            return self.check_far(request, now);
        };
        let place = row.user;
        let Some(user) = self.users.get_mut(place) else {
            return self.check_far(request, now);
        };
        if request.origin != Origin::Api || !row.terms().is_api_token_in_force() {
            return self.check_far(request, now);
        }
        let refills = self.calendar.refills();
        if is_steady(&self.policy, &self.calendar, now)
            && let Some(at) = self.line.steady(now.monotonic())
            && let Some(charge) = row.admit(&self.policy, refills, Some(user), request, at)
        {
            self.counts.count(Outcome::Admitted);
            return charge.decision(token, place, request);
        }
        judge(
            (&mut self.line, &mut self.calendar),
            &self.policy,
            &mut self.counts,
            row,
            Some(user),
            request,
            now,
        )
    }

    /// Decides a request of a token that is not near its home, or not here.
    #[inline(never)]
    fn check_far(&mut self, request: &Request, now: Now) -> Decision {
        let known = request.token.and_then(|token| {
            let row = self.tokens.find_mut::<TokenRow>(token.as_u64())?;
            Some((token, row))
        });
        let Some((token, row)) = known else {
            let decision = if request.origin == Origin::Webhook {
                Decision::EXEMPT
            } else {
                Decision::refused(Reason::Unauthenticated, 0)
            };
            self.counts.count(decision.outcome());
            return decision;
        };
        let (place, mut user) = (row.user, None);
        if rules::counts_daily(&self.policy, row.terms().kind(), request) {
            user = self.users.get_mut(place);
        }
        let refills = self.calendar.refills();
        if is_usual(&self.policy, &self.calendar, row.terms(), request, now)
            && let Some(at) = self.line.steady(now.monotonic())
            && let Some(charge) = row.admit(&self.policy, refills, user.as_deref_mut(), request, at)
        {
            self.counts.count(Outcome::Admitted);
            return charge.decision(token, place, request);
        }
        let clocks = (&mut self.line, &mut self.calendar);
        judge(
            clocks,
            &self.policy,
            &mut self.counts,
            row,
            user,
            request,
            now,
        )
    }
}

/// Decides a request whose token's row was found, whatever comes of it.
#[inline(never)]
fn judge(
    (line, calendar): (&mut TimeLine, &mut Calendar),
    policy: &Policy,
    counts: &mut Statistics,
    row: &mut TokenRow,
    user: Option<&mut UserRow>,
    request: &Request,
    now: Now,
) -> Decision {
    let decision = match request.token {
        _ if request.origin == Origin::Webhook => Decision::EXEMPT,
        Some(token) if !row.terms().is_revoked() => {
            let time = line.take(now.monotonic());
            let now = super::feed(calendar, policy, now, time);
            let account = row.account(token, user);
            rules::decide(policy, calendar, account, request, now)
        }
        _ => Decision::refused(Reason::Unauthenticated, 0),
    };
    counts.count(decision.outcome());
    decision
}

/// Whether nothing but the block and the limits can stand in a request's way, and the calendar
/// stays as it is.
#[inline(always)]
fn is_usual(
    policy: &Policy,
    calendar: &Calendar,
    terms: Terms,
    request: &Request,
    now: Now,
) -> bool {
    request.origin != Origin::Webhook && !terms.is_revoked() && is_steady(policy, calendar, now)
}

#[inline(always)]
fn is_steady(policy: &Policy, calendar: &Calendar, now: Now) -> bool {
    now.reaches(policy.utc_floor) && calendar.is_steady(now)
}

impl TokenRow {
    /// Charges a request that no block stops and all limits have room for, or changes nothing.
    #[inline(always)]
    fn admit(
        &mut self,
        policy: &Policy,
        refills: u32,
        user: Option<&mut UserRow>,
        request: &Request,
        at: Instant,
    ) -> Option<Charge> {
        let standing = Standing {
            limit: self.terms().limit(),
            window: self.window,
            abuse: self.abuse,
            day: user.as_ref().map(|user| user.day),
        };
        let charge = rules::admit(policy, refills, standing, request, at)?;
        self.window = charge.window;
        if let (Some(user), Some(day)) = (user, charge.day) {
            user.day = day;
        }
        Some(charge)
    }
}
