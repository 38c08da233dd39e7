//! What tests read of a model, and what an eviction may take (T2). Nothing here decides.

use crate::calendar::Calendar;
use crate::daily::UserDay;
use crate::model::Model;
use crate::policy::{Mode, Now, Policy};
use crate::timeline::TimeLine;
use crate::window;

impl Model {
    /// Returns the policy in force.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Returns the time line as the last reading left it.
    #[must_use]
    pub fn time_line(&self) -> &TimeLine {
        &self.line
    }

    /// Returns the time that a reading stands for, in monotonic milliseconds (M1). Stores nothing.
    #[must_use]
    pub fn time_ms(&self, now: Now) -> i128 {
        self.line.peek(now.t_ms)
    }

    /// Takes a reading as an operation does that this model need not have (M1): one that makes room.
    pub fn read(&mut self, now: Now) {
        self.line.take(now.t_ms);
    }

    /// Returns the calendar as the last decision left it.
    #[must_use]
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// Returns the number of refills so far.
    #[must_use]
    pub fn refills(&self) -> u64 {
        self.calendar.refills()
    }

    /// Returns the number of refills that a decision at `now` would go by.
    #[must_use]
    pub fn refills_at(&self, now: Now) -> u64 {
        let mut calendar = self.calendar;
        calendar.feed(self.policy.known_utc(now.utc), self.line.peek(now.t_ms));
        calendar.refills()
    }

    /// Returns whether a request of `token` would get past O2.
    #[must_use]
    pub fn is_known(&self, token: u64) -> bool {
        self.known(token).is_some()
    }

    /// Returns the permits per window of `token`, if it has a row.
    #[must_use]
    pub fn limit(&self, token: u64) -> Option<u64> {
        self.tokens
            .get(&token)
            .map(|row| self.policy.window_limit(row.kind, row.limit))
    }

    /// Returns what `token` has used of the window that stands at `now`; 0 if none is open.
    #[must_use]
    pub fn used_in_window(&self, token: u64, now: Now) -> u64 {
        let window = self.tokens.get(&token).and_then(|row| row.window);
        window::used(window::standing(
            window,
            self.policy.window_ms,
            self.line.peek(now.t_ms),
        ))
    }

    /// Returns the start of the window that is stored for `token`, in monotonic milliseconds.
    #[must_use]
    pub fn window_start_ms(&self, token: u64) -> Option<i128> {
        self.tokens
            .get(&token)?
            .window
            .map(|window| window.start_ms)
    }

    /// Returns what `user` has used on the calendar's accounting day.
    #[must_use]
    pub fn used_today(&self, user: u64) -> u64 {
        self.user_now(user).used()
    }

    /// Returns the strikes of `user` that are not yet forgiven (D3).
    #[must_use]
    pub fn strikes(&self, user: u64) -> u64 {
        self.user_now(user).strikes()
    }

    /// Returns the end of the block that is stored for `token`, in monotonic milliseconds.
    #[must_use]
    pub fn blocked_until_ms(&self, token: u64) -> Option<i128> {
        self.tokens.get(&token)?.abuse.blocked_until_ms
    }

    /// Returns the start and the count of the offence period that is stored for `token`.
    #[must_use]
    pub fn offence_period(&self, token: u64) -> Option<(i128, u64)> {
        self.tokens
            .get(&token)?
            .abuse
            .period
            .map(|period| (period.start_ms, period.count))
    }

    /// Returns whether the token's row could not be told from a new one: no open window, no
    /// block, no running offence period (T2). True if there is no row.
    #[must_use]
    pub fn token_is_like_new(&self, token: u64, now: Now) -> bool {
        let now_ms = self.line.peek(now.t_ms);
        self.tokens.get(&token).is_none_or(|row| {
            window::standing(row.window, self.policy.window_ms, now_ms).is_none()
                && row.abuse.is_like_new(self.policy.block, now_ms)
        })
    }

    /// Returns whether the user's row could be told from a new one by nothing but the tokens that
    /// refer to it: nothing used on the accounting day that `now` makes it, no strikes that count
    /// under the policy in force (T2). True if there is no row.
    #[must_use]
    pub fn user_is_unused(&self, user: u64, now: Now) -> bool {
        let record = self.users.get(&user).copied().unwrap_or_default();
        let record = record.on(self.refills_at(now)).forgiven(self.policy.mode);
        let strikes_count = matches!(self.policy.mode, Mode::FairUse { .. });
        record.used() == 0 && !(strikes_count && record.strikes() > 0)
    }

    /// Returns whether the user's row could not be told from a new one: it is unused, and no token's
    /// row refers to it (T2). True if there is no row.
    #[must_use]
    pub fn user_is_like_new(&self, user: u64, now: Now) -> bool {
        self.tokens.values().all(|row| row.user != user) && self.user_is_unused(user, now)
    }

    /// Drops the token's row as an eviction would; answers whether it may (T2). What a row is
    /// judged by is a reading of the time line's (M1).
    pub fn evict_token(&mut self, token: u64, now: Now) -> bool {
        let may = self.token_is_like_new(token, now);
        self.line.take(now.t_ms);
        if may {
            self.tokens.remove(&token);
        }
        may
    }

    /// Drops the user's row as an eviction would, and with it its tokens; answers whether it may:
    /// the user is unused, and each of its tokens like new (T2).
    pub fn evict_user(&mut self, user: u64, now: Now) -> bool {
        let tokens = self.tokens.iter().filter(|(_, row)| row.user == user);
        let tokens: Vec<u64> = tokens.map(|(&token, _)| token).collect();
        let may = self.user_is_unused(user, now)
            && tokens
                .iter()
                .all(|&token| self.token_is_like_new(token, now));
        if may {
            tokens.iter().for_each(|token| {
                self.tokens.remove(token);
            });
            self.users.remove(&user);
        }
        may
    }

    /// The user's record as it stands on the calendar's accounting day.
    fn user_now(&self, user: u64) -> UserDay {
        let record = self.users.get(&user).copied().unwrap_or_default();
        record
            .on(self.calendar.refills())
            .forgiven(self.policy.mode)
    }
}
