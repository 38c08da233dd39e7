//! One decision: words are loaded, the core decides on copies of them, and what it changed is
//! swapped in, word by word. The protocol and why it holds are at the top of `concurrent.rs`.

use super::Concurrent;
use super::row::{GONE, LEAVING, Lease, Row, abuse_bits, swap, window_bits};
use super::sync::{Ordering, spin_loop};
use super::users::{Record, UserRow, is_later, is_later_strike};
use limiter_core::abuse::Abuse;
use limiter_core::calendar::Calendar;
use limiter_core::daily::{Day, Strikes};
use limiter_core::rules::{self, Account};
use limiter_core::window::Window;
use limiter_core::{Decision, Now, Policy, Reason, Request, TokenId};

/// What one attempt to decide a request goes by.
struct Case<'a> {
    policy: &'a Policy,
    calendar: Calendar,
    token: TokenId,
    request: &'a Request,
    now: Now,
    row: &'a Row,
    lease: Lease,
    /// The words of the row, as loaded.
    window: u64,
    abuse: u64,
    /// Those of the user's row, if the request counts daily.
    daily: Option<Daily<'a>>,
}

struct Daily<'a> {
    row: &'a UserRow,
    day: u64,
    record: Record,
}

/// What the core made of the words.
struct After {
    window: Window,
    abuse: Abuse,
    day: Day,
    strikes: Strikes,
}

/// Something changed meanwhile: decide again.
struct Overtaken;

impl Concurrent {
    /// Decides a request of a token whose home is known (O2 to O7).
    #[inline]
    pub(super) fn judge(
        &self,
        token: TokenId,
        home: usize,
        request: &Request,
        now: Now,
    ) -> Decision {
        let policy = self.policies.current();
        let now = now.with_floor(policy.utc_floor());
        let mut patience = PATIENCE;
        loop {
            let feed = || self.calendar.feed(now);
            let case = match self.look(policy, token, home, request, now, feed) {
                Ok(Some(case)) => case,
                Ok(None) => return Decision::refused(Reason::Unauthenticated, 0),
                Err(Overtaken) => continue,
            };
            let (decision, after) = case.decide();
            match case.commit(decision, &after, &mut patience) {
                Ok(decision) => return decision,
                Err(Overtaken) => spin_loop(),
            }
        }
    }

    /// What [`Concurrent::judge`] would decide.
    pub(super) fn foresee(&self, token: TokenId, request: &Request, now: Now) -> Decision {
        let policy = self.policies.current();
        let now = now.with_floor(policy.utc_floor());
        let feed = || {
            let mut calendar = self.calendar.read();
            calendar.feed(now);
            calendar
        };
        let home = self.table.home(token.as_u64());
        loop {
            match self.look(policy, token, home, request, now, feed) {
                Ok(Some(case)) => return case.decide().0.without_receipt(),
                Ok(None) => return Decision::refused(Reason::Unauthenticated, 0),
                Err(Overtaken) => {}
            }
        }
    }

    /// Loads what a decision goes by; `None` if the token is not registered.
    #[inline]
    fn look<'a>(
        &'a self,
        policy: &'a Policy,
        token: TokenId,
        home: usize,
        request: &'a Request,
        now: Now,
        feed: impl FnOnce() -> Calendar,
    ) -> Result<Option<Case<'a>>, Overtaken> {
        let Some(row) = self.table.find(home, token.as_u64()) else {
            return Ok(None);
        };
        let lease = row.lease();
        let abuse = row.abuse.load(Ordering::Acquire);
        let window = row.window.load(Ordering::Acquire);
        if lease.terms().is_revoked() || window == GONE {
            return Ok(None);
        }
        let calendar = feed();
        let mut daily = None;
        if rules::counts_daily(policy, lease.terms().kind(), request)
            && let Some(user) = self.users.get(lease.user() as usize)
        {
            let record = user.record();
            let day = user.day.load(Ordering::Acquire);
            // Somebody has seen the next day already, and so will this, looking again.
            if is_later(Day::from_bits(day).refills(), calendar.refills())
                || is_later_strike(record.strikes(), calendar.refills())
            {
                return Err(Overtaken);
            }
            daily = Some(Daily {
                row: user,
                day,
                record,
            });
        }
        if !row.is_still(token.as_u64(), lease) {
            return Err(Overtaken);
        }
        Ok(Some(Case {
            policy,
            calendar,
            token,
            request,
            now,
            row,
            lease,
            window,
            abuse,
            daily,
        }))
    }
}

impl Case<'_> {
    #[inline]
    fn decide(&self) -> (Decision, After) {
        let mut after = After {
            window: Window::from_bits(self.window),
            abuse: Abuse::from_bits(self.abuse),
            day: Day::new(0, 0),
            strikes: Strikes::NONE,
        };
        if let Some(daily) = &self.daily {
            after.day = Day::from_bits(daily.day);
            after.strikes = daily.record.strikes();
        }
        let account = Account {
            token: self.token,
            kind: self.lease.terms().kind(),
            limit: self.lease.terms().limit(),
            window: &mut after.window,
            abuse: &mut after.abuse,
            user: self.lease.user(),
            daily: self
                .daily
                .is_some()
                .then_some((&mut after.day, &mut after.strikes)),
        };
        let decision = rules::decide(self.policy, &self.calendar, account, self.request, self.now);
        (decision, after)
    }

    /// Stores what was decided, if all that it was decided by still stands.
    #[inline]
    fn commit(
        &self,
        decision: Decision,
        after: &After,
        patience: &mut u32,
    ) -> Result<Decision, Overtaken> {
        if !decision.is_admitted() {
            return self.commit_refusal(decision, after, patience);
        }
        // Settling changes nothing that a later decision could tell, so it may stay alone.
        self.store_strikes(after)?;
        self.store_abuse(after, patience)?;
        let charged = after.window.to_bits();
        if !swap(&self.row.window, self.window, charged) {
            return Err(Overtaken);
        }
        let Some(daily) = &self.daily else {
            return self.still(decision);
        };
        if swap(&daily.row.day, daily.day, after.day.to_bits()) {
            return match self.still(decision) {
                Ok(decision) => Ok(decision),
                Err(Overtaken) => {
                    self.give_back_day(daily);
                    self.give_back_window(charged);
                    Err(Overtaken)
                }
            };
        }
        match self.charge_day(daily, after) {
            Some(left) => Ok(decision.with_daily_left(left)),
            None => {
                self.give_back_window(charged);
                Err(Overtaken)
            }
        }
    }

    /// W6 and D3 first, which may stay alone; the offence last, which counts once.
    #[inline(never)]
    fn commit_refusal(
        &self,
        decision: Decision,
        after: &After,
        patience: &mut u32,
    ) -> Result<Decision, Overtaken> {
        self.store_strikes(after)?;
        if after.window != Window::from_bits(self.window)
            && !swap(
                &self.row.window,
                self.window,
                window_bits(after.window, self.token.as_u64()),
            )
        {
            return Err(Overtaken);
        }
        self.store_abuse(after, patience)?;
        self.still(decision)
    }

    #[inline]
    fn store_strikes(&self, after: &After) -> Result<(), Overtaken> {
        match &self.daily {
            Some(daily)
                if daily.record.strikes() != after.strikes
                    && !daily.row.swap_strikes(daily.record, after.strikes) =>
            {
                Err(Overtaken)
            }
            _ => Ok(()),
        }
    }

    #[inline]
    fn store_abuse(&self, after: &After, patience: &mut u32) -> Result<(), Overtaken> {
        if after.abuse == Abuse::from_bits(self.abuse) {
            return Ok(());
        }
        if self.abuse == LEAVING {
            // The row is being taken from its idle token, which takes two swaps. Should that
            // thread be held up between them, this one goes on without it.
            *patience -= 1;
            return if *patience == 0 {
                Ok(())
            } else {
                Err(Overtaken)
            };
        }
        let bits = abuse_bits(after.abuse, self.token.as_u64());
        if swap(&self.row.abuse, self.abuse, bits) {
            Ok(())
        } else {
            Err(Overtaken)
        }
    }

    /// The decision, if the row was the token's all the time.
    #[inline]
    fn still(&self, decision: Decision) -> Result<Decision, Overtaken> {
        if self.row.is_still(self.token.as_u64(), self.lease) {
            Ok(decision)
        } else {
            Err(Overtaken)
        }
    }

    /// Charges a day that others charged meanwhile; says what is left of it, or `None` if there is
    /// no room any more or the day is over.
    #[cold]
    fn charge_day(&self, daily: &Daily<'_>, after: &After) -> Option<u32> {
        let refills = self.calendar.refills();
        let rule = self.policy.daily();
        let cost = self.request.cost.get();
        loop {
            let bits = daily.row.day.load(Ordering::Acquire);
            if !self.row.is_still(self.token.as_u64(), self.lease)
                || is_later(Day::from_bits(bits).refills(), refills)
            {
                return None;
            }
            let day = Day::from_bits(bits).settle(refills);
            if rule.judge(day, after.strikes, refills, cost) != (true, after.strikes) {
                return None;
            }
            let day = day.charge(cost);
            if !swap(&daily.row.day, bits, day.to_bits()) {
                continue;
            }
            if !self.row.is_still(self.token.as_u64(), self.lease) {
                self.give_back_day(daily);
                return None;
            }
            return Some(rule.limit.saturating_sub(day.used()));
        }
    }

    /// Takes this request's charge off the day that it was charged to. Whosever row it is now, the
    /// charge is in it: nobody can take over a row with permits used that day.
    #[cold]
    fn give_back_day(&self, daily: &Daily<'_>) {
        loop {
            let bits = daily.row.day.load(Ordering::Acquire);
            let day = Day::from_bits(bits);
            if day.refills() != self.calendar.refills() {
                return;
            }
            let less = day.give_back(self.request.cost.get());
            if swap(&daily.row.day, bits, less.to_bits()) {
                return;
            }
        }
    }

    /// Takes this request's charge off the window that it was charged to, if that still is the
    /// token's: known by its start, so that no newer window is touched.
    #[cold]
    fn give_back_window(&self, charged: u64) {
        let (token, cost) = (self.token.as_u64(), self.request.cost.get());
        let opened_here = !Window::from_bits(self.window)
            .settle(self.now.monotonic(), self.policy.window_ms())
            .is_open();
        loop {
            let bits = self.row.window.load(Ordering::Acquire);
            let window = Window::from_bits(bits);
            if !window.is_open()
                || window.start() != Window::from_bits(charged).start()
                || !self.row.is_still(token, self.lease)
            {
                return;
            }
            let less = if opened_here && window.used() == cost {
                Window::CLOSED
            } else {
                window.give_back(cost)
            };
            if swap(&self.row.window, bits, window_bits(less, token)) {
                return;
            }
        }
    }
}

/// How often a decision looks again at a row that is being taken from its token, before it answers
/// without having counted an offence.
const PATIENCE: u32 = 1_000;
