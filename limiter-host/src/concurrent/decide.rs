//! One decision: words are loaded, and the core decides on copies of them; `commit.rs` stores what
//! it changed. The protocol and why it holds are at the top of `concurrent.rs`.

use super::Concurrent;
use super::row::{GONE, Lease, Row};
use super::sync::{Ordering, spin_loop};
use super::users::{Record, UserRow, is_later, is_later_strike};
use limiter_core::abuse::Abuse;
use limiter_core::calendar::Calendar;
use limiter_core::daily::{Day, Strikes};
use limiter_core::rules::{self, Account};
use limiter_core::window::Window;
use limiter_core::{Decision, Now, Policy, Reason, Request, TokenId};

/// What one attempt to decide a request goes by.
pub(super) struct Case<'a> {
    pub(super) limiter: &'a Concurrent,
    pub(super) policy: &'a Policy,
    pub(super) calendar: Calendar,
    pub(super) token: TokenId,
    pub(super) request: &'a Request,
    /// The reading at the time of the decision.
    pub(super) now: Now,
    pub(super) row: Row<'a>,
    pub(super) lease: Lease,
    /// The words of the row, as loaded.
    pub(super) window: u64,
    pub(super) abuse: u64,
    /// Those of the user's row, if the request counts daily.
    pub(super) daily: Option<Daily<'a>>,
}

pub(super) struct Daily<'a> {
    pub(super) row: &'a UserRow,
    pub(super) day: u64,
    pub(super) record: Record,
}

/// What the core made of the words.
pub(super) struct After {
    pub(super) window: Window,
    pub(super) abuse: Abuse,
    pub(super) day: Day,
    pub(super) strikes: Strikes,
}

/// Something changed meanwhile: decide again.
pub(super) struct Overtaken;

impl Concurrent {
    /// Decides a request of a token (O2 to O7).
    #[inline]
    pub(super) fn judge(&self, token: TokenId, request: &Request, now: Now) -> Decision {
        let policy = self.policies.current();
        let reading = now.with_floor(policy.utc_floor());
        let mut patience = PATIENCE;
        // The time line takes the reading once, however often the request is decided (M1).
        let mut taken = None;
        loop {
            let feed = || match taken {
                Some(now) => (self.calendar.feed(now), now),
                None => {
                    let (calendar, now) = self.calendar.take(reading);
                    taken = Some(now);
                    (calendar, now)
                }
            };
            let case = match self.look(policy, token, request, feed) {
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
        let reading = now.with_floor(policy.utc_floor());
        let feed = || {
            let mut clocks = self.calendar.read();
            let now = clocks.take(reading);
            (clocks.calendar, now)
        };
        loop {
            match self.look(policy, token, request, feed) {
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
        request: &'a Request,
        feed: impl FnOnce() -> (Calendar, Now),
    ) -> Result<Option<Case<'a>>, Overtaken> {
        let home = self.table.home(token.as_u64());
        let Some(row) = self.table.find(home, token.as_u64()) else {
            return Ok(None);
        };
        let lease = row.lease();
        let abuse = row.state.abuse.load(Ordering::Acquire);
        let window = row.state.window.load(Ordering::Acquire);
        if lease.terms().is_revoked() || window == GONE {
            return Ok(None);
        }
        let (calendar, now) = feed();
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
            limiter: self,
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
}

/// How often a decision looks again at a row that is being taken from its token, before it answers
/// without having counted an offence.
const PATIENCE: u32 = 1_000;
