//! The usual decision in one straight line: a request that fits all limits, on a day that goes on.
//!
//! It keeps the protocol at the top of `concurrent.rs`, and leaves all that is rare to `decide.rs`:
//! it gives up, having changed nothing, as soon as it meets anything but the usual. Methods that may
//! count daily go a line of their own, for both together need more registers than there are.

use super::Concurrent;
use super::charge::Charged;
use super::row::{GONE, Lease, Row, swap};
use super::sync::{Ordering, spin_loop};
use limiter_core::abuse::Abuse;
use limiter_core::daily::Day;
use limiter_core::rules::{self, Charge, Standing};
use limiter_core::window::Window;
use limiter_core::{Decision, Now, Origin, Outcome, Policy, Request, TokenId};

/// Why a request was not admitted at once.
enum Not {
    /// The token's window was charged by another meanwhile.
    YetCharged,
    /// Something is unusual: it is for [`Concurrent::judge`].
    Unusual,
    /// The request does not count daily, whatever its method.
    Windowed,
}

impl Concurrent {
    /// Decides a request.
    #[inline]
    pub(super) fn decide(&self, request: &Request, now: Now) -> Decision {
        let policy = self.policies.current();
        if policy.writes().contains(request.method) {
            self.decide_write(policy, request, now)
        } else {
            self.decide_read(policy, request, now)
        }
    }

    /// Decides a request that does not count daily.
    #[inline(never)]
    fn decide_read(&self, policy: &Policy, request: &Request, now: Now) -> Decision {
        let Some(token) = asker(request) else {
            return self.decide_slowly(request, now);
        };
        match self.admit_read(policy, token, request, now) {
            Ok(charge) => {
                self.counts.count(Outcome::Admitted);
                charge.decision(token, 0, request)
            }
            Err(Not::YetCharged) => self.decide_patiently(policy, request, now),
            Err(_) => self.decide_slowly(request, now),
        }
    }

    /// Decides a request whose method counts daily.
    #[inline(never)]
    fn decide_write(&self, policy: &Policy, request: &Request, now: Now) -> Decision {
        let Some(token) = asker(request) else {
            return self.decide_slowly(request, now);
        };
        match self.admit_write(policy, token, request, now) {
            Ok((charge, user)) => {
                self.counts.count(Outcome::Admitted);
                charge.decision(token, user, request)
            }
            Err(Not::YetCharged) => self.decide_patiently(policy, request, now),
            Err(Not::Unusual) => self.decide_slowly(request, now),
            Err(Not::Windowed) => self.decide_read(policy, request, now),
        }
    }

    /// Decides a request once another core's charge has come between, and until none does.
    ///
    /// A failed swap has brought the token's cache line to this core, so another attempt at once is
    /// likely to succeed. Where cores fight for a token all the time, each attempt but that one is
    /// made after a pause, so that they make runs of decisions rather than hand the line to and fro.
    #[cold]
    #[inline(never)]
    fn decide_patiently(&self, policy: &Policy, request: &Request, now: Now) -> Decision {
        let Some(token) = asker(request) else {
            return self.decide_slowly(request, now);
        };
        let mut losses = 1_u32;
        loop {
            if losses % 2 == 1 {
                for _ in 0..self.counts.pauses_after_loss(losses > 1) {
                    spin_loop();
                }
            }
            let admitted = if policy.writes().contains(request.method) {
                self.admit_write(policy, token, request, now)
            } else {
                let charged = self.admit_read(policy, token, request, now);
                charged.map(|charge| (charge, 0))
            };
            match admitted {
                Ok((charge, user)) => {
                    self.counts.count(Outcome::Admitted);
                    return charge.decision(token, user, request);
                }
                Err(Not::YetCharged) => losses = losses.wrapping_add(1),
                Err(Not::Unusual) => return self.decide_slowly(request, now),
                Err(Not::Windowed) => return self.decide_read(policy, request, now),
            }
        }
    }

    #[inline(always)]
    fn admit_read(
        &self,
        policy: &Policy,
        token: TokenId,
        request: &Request,
        now: Now,
    ) -> Result<Charge, Not> {
        let now = now.with_floor(policy.utc_floor());
        let (row, lease) = self.at_hand(token)?;
        let (_, at) = self.calendar.steady(now).ok_or(Not::Unusual)?;
        let (before, standing) = standing(token, row, lease)?;
        let charge = rules::admit(policy, 0, standing, request, at).ok_or(Not::Unusual)?;
        if !swap(&row.state.window, before, charge.window.to_bits()) {
            return Err(Not::YetCharged);
        }
        if !row.is_still(token.as_u64(), lease) {
            return Err(Not::Unusual);
        }
        Ok(charge)
    }

    /// The charge, and the user's place.
    #[inline(always)]
    fn admit_write(
        &self,
        policy: &Policy,
        token: TokenId,
        request: &Request,
        now: Now,
    ) -> Result<(Charge, u32), Not> {
        let now = now.with_floor(policy.utc_floor());
        let (row, lease) = self.at_hand(token)?;
        if !rules::counts_daily(policy, lease.terms().kind(), request) {
            return Err(Not::Windowed);
        }
        let (refills, at) = self.calendar.steady(now).ok_or(Not::Unusual)?;
        let place = lease.user();
        let user = self.users.get(place as usize).ok_or(Not::Unusual)?;
        let day = user.day.load(Ordering::Acquire);
        let (before, mut standing) = standing(token, row, lease)?;
        standing.day = Some(Day::from_bits(day));
        let charge = rules::admit(policy, refills, standing, request, at).ok_or(Not::Unusual)?;
        let Some(after) = charge.day else {
            return Err(Not::Unusual);
        };
        if !swap(&row.state.window, before, charge.window.to_bits()) {
            return Err(Not::YetCharged);
        }
        let charged = || Charged {
            limiter: self,
            policy,
            refills,
            token,
            request,
            at,
            row,
            lease,
            before,
        };
        if !swap(&user.day, day, after.to_bits()) {
            let left = charged().finish(user).ok_or(Not::Unusual)?;
            return Ok((charge.with_daily_left(left), place));
        }
        if !row.is_still(token.as_u64(), lease) {
            charged().give_back_day(user);
            return Err(Not::Unusual);
        }
        Ok((charge, place))
    }

    /// A token's row, and what was agreed on.
    #[inline(always)]
    fn at_hand(&self, token: TokenId) -> Result<(Row<'_>, Lease), Not> {
        let home = self.table.home(token.as_u64());
        // Both halves of the row at once: where memory is far, it is waited for once.
        self.table.touch_state(home);
        let row = self.table.find(home, token.as_u64());
        let row = row.ok_or(Not::Unusual)?;
        Ok((row, row.lease()))
    }

    #[cold]
    #[inline(never)]
    fn decide_slowly(&self, request: &Request, now: Now) -> Decision {
        let decision = match request.token {
            _ if request.origin == Origin::Webhook => Decision::EXEMPT,
            Some(token) => self.judge(token, request, now),
            None => Decision::refused(limiter_core::Reason::Unauthenticated, 0),
        };
        self.counts.count(decision.outcome());
        decision
    }
}

/// Who asks, if the request is to be decided by limits (O1, O2).
#[inline(always)]
fn asker(request: &Request) -> Option<TokenId> {
    request.token.filter(|_| request.origin != Origin::Webhook)
}

/// The window's word, and what a token's own words say: loaded, and looked at once more whose they
/// are.
#[inline(always)]
fn standing(token: TokenId, row: Row<'_>, lease: Lease) -> Result<(u64, Standing), Not> {
    let abuse = row.state.abuse.load(Ordering::Acquire);
    let window = row.state.window.load(Ordering::Acquire);
    let is_own = row.is_still(token.as_u64(), lease);
    if window == GONE || lease.terms().is_revoked() || !is_own {
        return Err(Not::Unusual);
    }
    let standing = Standing {
        limit: lease.terms().limit(),
        window: Window::from_bits(window),
        abuse: Abuse::from_bits(abuse),
        day: None,
    };
    Ok((window, standing))
}
