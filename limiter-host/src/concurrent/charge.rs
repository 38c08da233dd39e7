//! A window that was charged, and a day that others charged meanwhile: whether the day still has
//! room is found out again, and if it has none the window gets its permits back.

use super::Concurrent;
use super::row::{Lease, Row, swap, window_bits};
use super::sync::Ordering;
use super::users::{UserRow, is_later};
use limiter_core::daily::Day;
use limiter_core::window::Window;
use limiter_core::{Instant, Policy, Request, TokenId};

/// A window's charge that is not confirmed yet.
pub(super) struct Charged<'a> {
    pub(super) limiter: &'a Concurrent,
    pub(super) policy: &'a Policy,
    /// The accounting day that it was decided on.
    pub(super) refills: u32,
    pub(super) token: TokenId,
    pub(super) request: &'a Request,
    /// The time of the decision.
    pub(super) at: Instant,
    pub(super) row: Row<'a>,
    pub(super) lease: Lease,
    /// The window's word before the charge.
    pub(super) before: u64,
}

impl Charged<'_> {
    /// Charges the day, whatever others made of it, and says what is left of it; gives the window
    /// its permits back, and `None`, if that cannot be done.
    #[cold]
    #[inline(never)]
    pub(super) fn finish(&self, user: &UserRow) -> Option<u32> {
        let left = self.charge_day(user);
        if left.is_none() {
            self.give_back_window();
        }
        left
    }

    /// Charges a day that others charged meanwhile; says what is left of it, or `None` if there is
    /// no room any more or the day is over.
    fn charge_day(&self, user: &UserRow) -> Option<u32> {
        let refills = self.refills;
        let rule = self.policy.daily();
        let cost = self.request.cost.get();
        loop {
            let strikes = user.record().strikes();
            let bits = user.day.load(Ordering::Acquire);
            if !self.row.is_still(self.token.as_u64(), self.lease)
                || is_later(Day::from_bits(bits).refills(), refills)
            {
                return None;
            }
            let day = Day::from_bits(bits).settle(refills);
            // A strike that is still to be made is for a new decision to make.
            if rule.judge(day, strikes, refills, cost) != (true, strikes) {
                return None;
            }
            let day = day.charge(cost);
            if !swap(&user.day, bits, day.to_bits()) {
                continue;
            }
            if !self.row.is_still(self.token.as_u64(), self.lease) {
                self.give_back_day(user);
                return None;
            }
            return Some(rule.limit.saturating_sub(day.used()));
        }
    }

    /// Takes this request's charge off the day that it was charged to. Whosever row it is now, the
    /// charge is in it: nobody can take over a row with permits used that day.
    #[cold]
    #[inline(never)]
    pub(super) fn give_back_day(&self, user: &UserRow) {
        loop {
            let bits = user.day.load(Ordering::Acquire);
            let day = Day::from_bits(bits);
            if day.refills() != self.refills {
                return;
            }
            let less = day.give_back(self.request.cost.get());
            if swap(&user.day, bits, less.to_bits()) {
                if less.used() == 0 {
                    self.limiter.user_wakes.wake(self.lease.user() as usize);
                }
                return;
            }
        }
    }

    /// Takes this request's charge off the window that it was charged to, if that still is the
    /// token's: known by its start, so that no newer window is touched.
    fn give_back_window(&self) {
        let (token, cost) = (self.token.as_u64(), self.request.cost.get());
        let before = Window::from_bits(self.before).settle(self.at, self.policy.window_ms());
        let start = before.charge(self.at, cost).start();
        loop {
            let bits = self.row.state.window.load(Ordering::Acquire);
            let window = Window::from_bits(bits);
            if !window.is_open() || window.start() != start || !self.row.is_still(token, self.lease)
            {
                return;
            }
            let less = if !before.is_open() && window.used() == cost {
                Window::CLOSED
            } else {
                window.give_back(cost)
            };
            if swap(&self.row.state.window, bits, window_bits(less, token)) {
                if !less.is_open() {
                    self.limiter.wake_token(token);
                }
                return;
            }
        }
    }
}
