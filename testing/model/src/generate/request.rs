//! What a line asks for: method, origin, and a cost around what is left.

use super::{Generator, Profile};
use crate::policy::{Method, Now, Origin};
use crate::trace::Event;

impl Generator {
    /// The line of the member with this index.
    pub(super) fn request_at(&mut self, now: Now, member: usize) -> Event {
        let cost = self.cost(now, member);
        let writes = if self.profile == Profile::Days {
            60
        } else {
            30
        };
        let random = &mut self.random;
        let method = random.weighted(&[
            (writes, Method::Post),
            (writes / 3, Method::Put),
            (20, Method::Get),
            (5, Method::Patch),
            (5, Method::Delete),
            (1, Method::Head),
            (1, Method::Options),
        ]);
        let origin = random.weighted(&[(90, Origin::Api), (5, Origin::Ui), (5, Origin::Webhook)]);
        let anonymous = self.burst.is_none() && random.chance(5);
        let who = &self.cast[member];
        Event {
            now,
            caller: (!anonymous).then(|| who.caller.clone()),
            kind: who.kind,
            plan: who.plan,
            method,
            origin,
            cost,
        }
    }

    /// A cost that is small, or at, below or beyond what is left of the window or the day.
    fn cost(&mut self, now: Now, member: usize) -> u64 {
        let who = &self.cast[member];
        let model = self.replay.model();
        let policy = model.policy();
        let limit = policy.window_limit(who.kind, crate::Limit::Plan(who.plan));
        let used = self
            .replay
            .token(&who.caller.token)
            .map_or(0, |id| model.used_in_window(id, now));
        let left = limit.saturating_sub(used);
        let used_today = self
            .replay
            .user(&who.caller.user)
            .map_or(0, |id| model.used_today(id));
        let left_today = policy.daily_limit.saturating_sub(used_today);
        let daily_limit = policy.daily_limit;

        let spending = self.burst.is_some() && self.profile == Profile::Days;
        let whole = if spending { 1_500 } else { 8 };
        let near_the_days_end = if left_today <= limit {
            40 * whole / 8
        } else {
            0
        };
        let random = &mut self.random;
        let small = random.between(1, (limit / 4).max(1));
        let cost = random.weighted(&[
            (30, 1),
            (20, small),
            (whole, left.min(left_today)),
            (8, left),
            (8, left + 1),
            (4, limit),
            (3, limit + 1),
            (near_the_days_end, left_today),
            (near_the_days_end, left_today + 1),
            (1, daily_limit),
            (1, daily_limit + 1),
            (1, u32::MAX.into()),
        ]);
        cost.clamp(1, u32::MAX.into())
    }
}
