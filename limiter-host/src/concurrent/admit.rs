//! The usual decision in one straight line: a request that fits all limits, on a day that goes on.
//!
//! It keeps the protocol at the top of `concurrent.rs`, and leaves all that is rare to `decide.rs`:
//! it gives up, having changed nothing, as soon as it meets anything but the usual.

use super::Concurrent;
use super::charge::Charged;
use super::row::{GONE, swap};
use super::sync::Ordering;
use super::users::is_later;
use limiter_core::abuse::Abuse;
use limiter_core::daily::Day;
use limiter_core::rules::{self, Standing};
use limiter_core::window::Window;
use limiter_core::{Decision, Now, Request, TokenId};

/// Why a request was not admitted at once.
pub(super) enum Not {
    /// The token's window was charged by another meanwhile. The next attempt is likely to succeed,
    /// since its cache line is this core's now.
    YetCharged,
    /// Something is unusual: it is for [`Concurrent::judge`].
    Unusual,
}

impl Concurrent {
    /// Admits a request, or leaves it to [`Concurrent::judge`].
    #[inline]
    pub(super) fn admit(
        &self,
        token: TokenId,
        home: usize,
        request: &Request,
        now: Now,
    ) -> Result<Decision, Not> {
        let policy = self.policies.current();
        let now = now.with_floor(policy.utc_floor());
        let id = token.as_u64();
        // Both halves of the row at once: where memory is far, it is waited for once.
        self.table.touch_state(home);
        let row = self.table.find(home, id).ok_or(Not::Unusual)?;
        let lease = row.lease();
        let refills = self.calendar.steady(now).ok_or(Not::Unusual)?;
        let abuse = row.state.abuse.load(Ordering::Acquire);
        let window = row.state.window.load(Ordering::Acquire);
        let (mut user, mut day) = (None, None);
        if rules::counts_daily(policy, lease.terms().kind(), request) {
            let row = self.users.get(lease.user() as usize).ok_or(Not::Unusual)?;
            let bits = row.day.load(Ordering::Acquire);
            if is_later(Day::from_bits(bits).refills(), refills) {
                return Err(Not::Unusual);
            }
            (user, day) = (Some((row, bits)), Some(Day::from_bits(bits)));
        }
        if window == GONE || lease.terms().is_revoked() || !row.is_still(id, lease) {
            return Err(Not::Unusual);
        }
        let standing = Standing {
            limit: lease.terms().limit(),
            window: Window::from_bits(window),
            abuse: Abuse::from_bits(abuse),
            day,
        };
        let charge = rules::admit(policy, refills, standing, request, now).ok_or(Not::Unusual)?;
        if !swap(&row.state.window, window, charge.window.to_bits()) {
            return Err(Not::YetCharged);
        }
        let charged = || Charged {
            policy,
            refills,
            token,
            request,
            now,
            row,
            lease,
            before: window,
        };
        if let (Some((user, before)), Some(after)) = (user, charge.day) {
            if !swap(&user.day, before, after.to_bits()) {
                let decision = charge.decision(policy, token, lease.user(), request, now);
                return charged().finish(user, decision).ok_or(Not::Unusual);
            }
            if !row.is_still(id, lease) {
                charged().give_back_day(user);
                return Err(Not::Unusual);
            }
        } else if !row.is_still(id, lease) {
            return Err(Not::Unusual);
        }
        Ok(charge.decision(policy, token, lease.user(), request, now))
    }
}
