//! The limiter: tables, calendar and policy, and the journey of a request through them.
//!
//! | family | methods | changes state |
//! |---|---|---|
//! | decide | [`check`](Limiter::check), [`check_with`](Limiter::check_with), [`refuse_for`](Limiter::refuse_for) | yes |
//! | look | [`peek`](Limiter::peek), [`next_reset`](Limiter::next_reset), [`statistics`](Limiter::statistics), [`calendar`](Limiter::calendar) | no |
//! | give back | [`refund`](Limiter::refund) | yes |
//! | restart | [`snapshot`](Limiter::snapshot); [`restore`](Limiter::restore) | no; yes |
//! | manage | [`register`](Limiter::register), [`update`](Limiter::update), [`revoke`](Limiter::revoke), [`unblock`](Limiter::unblock), [`set_policy`](Limiter::set_policy) | yes |

#[cfg(feature = "critical-section")]
mod blank;
mod idle;
mod newcomer;
mod registry;
mod reserved;
mod restart;
mod rows;
mod statistics;
mod steps;
#[cfg(target_pointer_width = "64")]
mod straight;
mod users;

#[cfg(feature = "critical-section")]
pub use self::blank::Blank;
pub use self::registry::{BadLimit, RegisterError, Registered, UpdateError};
pub use self::reserved::{
    Draft, OnLostState, ReserveCounts, Reserved, ReservedIn, Verdict, WriteDue,
};
pub use self::restart::Restored;
pub use self::rows::{Terms, TokenRow, UserRow};
pub use self::statistics::Statistics;

use self::idle::Idle;
use self::users::Users;
use crate::calendar::Calendar;
use crate::clock::Clock;
use crate::decision::{Decision, Reason, Receipt};
use crate::policy::Policy;
use crate::request::{Origin, Request};
use crate::rules;
use crate::table::Table;
use crate::time::{Instant, Now};
use crate::timeline::TimeLine;
use crate::token::TokenId;

/// A limiter for up to `TOKENS` tokens of up to `USERS` users, all in one value of
/// `32 * TOKENS + 24 * USERS` bytes and a fixed rest; it can be a `static`. One that is built with a
/// policy lies in `.data`, so flash holds its empty rows too; `Shared::new` (feature
/// `critical-section`) is all zeros.
///
/// ```
/// use core::cell::RefCell;
/// use critical_section::Mutex;
/// use limiter_core::{Limiter, Policy};
///
/// static LIMITER: Mutex<RefCell<Limiter<32, 16>>> =
///     Mutex::new(RefCell::new(Limiter::new(Policy::pipedrive())));
/// ```
pub type Limiter<const TOKENS: usize, const USERS: usize> =
    LimiterIn<[TokenRow; TOKENS], [UserRow; USERS]>;

/// A limiter over rows in memory of your choice: arrays ([`Limiter`]), boxed slices sized at run
/// time, slices in a memory region of their own.
///
/// Every operation is bounded by the number of rows and most by much less; none allocates, blocks,
/// panics, or reads a clock.
///
/// ```
/// use limiter_core::{LimiterIn, Policy, TokenRow, UserRow};
///
/// let tokens = vec![TokenRow::VACANT; 1000].into_boxed_slice();
/// let users = vec![UserRow::VACANT; 200].into_boxed_slice();
/// let limiter = LimiterIn::with_rows(Policy::pipedrive(), tokens, users);
/// assert_eq!(limiter.statistics().tokens, 0);
/// ```
#[derive(Clone, Debug)]
pub struct LimiterIn<T, U> {
    line: TimeLine,
    calendar: Calendar,
    policy: Policy,
    counts: Statistics,
    tokens: Table<T>,
    users: Users<U>,
    idle: Idle,
}

impl<const TOKENS: usize, const USERS: usize> Limiter<TOKENS, USERS> {
    /// An empty limiter.
    #[must_use]
    pub const fn new(policy: Policy) -> Self {
        const {
            assert!(
                TOKENS >= 1 && USERS >= 1,
                "a limiter needs at least one row of each kind"
            );
            assert!(
                TOKENS <= MAX_ROWS && USERS <= MAX_ROWS,
                "a limiter has at most 2^24 rows of each kind"
            );
        }
        Self {
            line: TimeLine::new(),
            calendar: Calendar::new(),
            policy,
            counts: Statistics::ZERO,
            tokens: Table::new([TokenRow::VACANT; TOKENS]),
            users: Users::new([UserRow::VACANT; USERS]),
            idle: Idle::UNKNOWN,
        }
    }
}

impl<T, U> LimiterIn<T, U>
where
    T: AsRef<[TokenRow]> + AsMut<[TokenRow]>,
    U: AsRef<[UserRow]> + AsMut<[UserRow]>,
{
    /// An empty limiter over rows in your memory, which are cleared. Users' rows beyond 2^24 are
    /// never used, since a snapshot holds no more; without any of a kind, every registration finds
    /// the table full.
    #[must_use]
    pub fn with_rows(policy: Policy, mut tokens: T, mut users: U) -> Self {
        tokens.as_mut().fill(TokenRow::VACANT);
        users.as_mut().fill(UserRow::VACANT);
        Self {
            line: TimeLine::new(),
            calendar: Calendar::new(),
            policy,
            counts: Statistics::ZERO,
            tokens: Table::new(tokens),
            users: Users::new(users),
            idle: Idle::UNKNOWN,
        }
    }

    /// Decides a request and charges what it admits.
    ///
    /// The journey: a webhook is exempt (O1); an unknown token is refused (O2); `now` becomes the time
    /// of the decision (M1); the calendar takes that and may refill every user's day (D6); then the
    /// token's block, window and day are judged together, and charged together or not at all (O3 to
    /// O7).
    ///
    /// All readings of one limiter come from one pair of clocks. A reading that comes a second late or
    /// more, a clock that steps back, and one that jumps two years ahead make time stand still until
    /// readings have agreed for 10 s, and grant nothing. So do two clocks mixed by mistake: a span of a
    /// window of 2 s or more holds at most three times the limit (twice, with one clock). But for
    /// readings of the clock that is behind no window ends, and if the leading clock is silent for 10 s
    /// and more again and again, each of its readings moves time on by the difference (SPEC 2).
    ///
    /// *O*(1) but for the look-up, which visits at most [`Statistics::longest_probe`] rows (T5).
    #[inline]
    pub fn check(&mut self, request: &Request, now: Now) -> Decision {
        #[cfg(target_pointer_width = "64")]
        let decision = self.check_straight(request, now);
        #[cfg(not(target_pointer_width = "64"))]
        let decision = {
            let decision = self.judge(request, now);
            self.counts.count(decision.outcome());
            decision
        };
        decision
    }

    /// Reads the clock and decides; a clock that cannot be read refuses with
    /// [`Reason::ClockFailed`] and changes nothing (O8).
    pub fn check_with(&mut self, request: &Request, clock: &mut impl Clock) -> Decision {
        match clock.read() {
            Ok(now) => self.check(request, now),
            Err(_) => self.refuse_for(request, Outage::ClockFailed),
        }
    }

    /// Decides a request that cannot be judged: a webhook is exempt all the same (O1), any other
    /// is refused with 503. Nothing is looked up or charged (O8).
    pub fn refuse_for(&mut self, request: &Request, outage: Outage) -> Decision {
        let decision = outage.decide(request);
        self.counts.count(decision.outcome());
        decision
    }

    /// What [`LimiterIn::check`] would say, without any change that a later decision could see
    /// (P1). The decision has no receipt.
    pub fn peek(&self, request: &Request, now: Now) -> Decision {
        self.foresee(request, self.time_of(now))
    }

    /// The same at a time of the time line.
    fn foresee(&self, request: &Request, now: Now) -> Decision {
        if request.origin == Origin::Webhook {
            return Decision::EXEMPT;
        }
        let Some((token, row)) = request
            .token
            .and_then(|token| Some((token, self.row(token)?)))
        else {
            return Decision::refused(Reason::Unauthenticated, 0);
        };
        let mut calendar = self.calendar;
        calendar.feed(now);
        // Copies of the rows take what a decision changes.
        let (mut row, mut user) = (*row, None);
        if rules::counts_daily(&self.policy, row.terms().kind(), request) {
            user = self.users.get(row.user).copied();
        }
        let account = row.account(token, user.as_mut());
        rules::decide(&self.policy, &calendar, account, request, now).without_receipt()
    }

    /// Gives the permits of an admission back, to the very window and accounting day that were
    /// charged, if they still last (P2). Says what went back.
    ///
    /// Use it when the service failed after the limiter admitted. An offence is not taken back,
    /// and no other decision is changed.
    #[allow(clippy::needless_pass_by_value, reason = "a receipt is used up")]
    pub fn refund(&mut self, receipt: Receipt, now: Now) -> Refunded {
        let mut refunded = Refunded {
            window: 0,
            daily: 0,
        };
        if let Some(row) = self.tokens.find_mut::<TokenRow>(receipt.token()) {
            let at = self.line.take(now.monotonic());
            if let Some((window, permits)) =
                receipt.give_back_window(row.window, at, self.policy.window_ms)
            {
                refunded.window = permits;
                row.window = window;
            }
        }
        if let Some(user) = receipt.user().and_then(|place| self.users.get_mut(place))
            && let Some((day, permits)) = receipt.give_back_day(user.day, self.calendar.refills())
        {
            refunded.daily = permits;
            user.day = day;
            if day.used() == 0 {
                // It is as good as unused again.
                self.idle.users.0 = Instant::ZERO;
            }
        }
        refunded
    }

    /// When the token next gets something back, by the clock of `now`: the end of its block, else of
    /// its open window. `None` if neither is running, or the token is not registered.
    #[must_use]
    pub fn next_reset(&self, token: TokenId, now: Instant) -> Option<Instant> {
        let row = self.row(token)?;
        let at = self.line.peek(now);
        let blocked_ms = row.abuse.blocked_ms(at);
        let can_be_blocked =
            self.policy.block.is_some() && row.terms().kind() == crate::request::Kind::ApiToken;
        if can_be_blocked && blocked_ms > 0 {
            return Some(now.saturating_add(u64::from(blocked_ms)));
        }
        let window = row.window.settle(at, self.policy.window_ms);
        if window.is_open() {
            Some(now.saturating_add(u64::from(window.reset_ms(at, self.policy.window_ms))))
        } else {
            None
        }
    }

    /// The counts, and what the tables hold.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics {
            tokens: self.tokens.occupied(),
            users: self.users.occupied(),
            longest_probe: self.tokens.longest_probe(),
            longest_user_probe: self.users.longest_probe(),
            ..self.counts
        }
    }

    /// The calendar, for its day and its number of refills.
    #[must_use]
    pub const fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// The policy in force.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Decides a request of a registered token at a time that the calendar was fed with.
    fn check_fed(&mut self, request: &Request, now: Now) -> Decision {
        let known = request.token.and_then(|token| {
            let row = self.tokens.find_mut::<TokenRow>(token.as_u64())?;
            Some((token, row))
        });
        let decision = match known {
            Some((token, row)) => {
                let mut user = None;
                if rules::counts_daily(&self.policy, row.terms().kind(), request) {
                    user = self.users.get_mut(row.user);
                }
                let account = row.account(token, user);
                rules::decide(&self.policy, &self.calendar, account, request, now)
            }
            None => Decision::refused(Reason::Unauthenticated, 0),
        };
        self.counts.count(decision.outcome());
        decision
    }

    /// Feeds the calendar with a reading that stands for `time`; the reading at that time.
    fn feed(&mut self, reading: Now, time: Instant) -> Now {
        feed(&mut self.calendar, &self.policy, reading, time)
    }

    #[cfg(not(target_pointer_width = "64"))]
    #[inline]
    fn judge(&mut self, request: &Request, now: Now) -> Decision {
        if request.origin == Origin::Webhook {
            return Decision::EXEMPT;
        }
        let Some(token) = request.token else {
            return Decision::refused(Reason::Unauthenticated, 0);
        };
        let row = match self.tokens.find_mut::<TokenRow>(token.as_u64()) {
            Some(row) if !row.terms().is_revoked() => row,
            _ => return Decision::refused(Reason::Unauthenticated, 0),
        };
        let time = self.line.take(now.monotonic());
        let now = feed(&mut self.calendar, &self.policy, now, time);
        let user = if rules::counts_daily(&self.policy, row.terms().kind(), request) {
            self.users.get_mut(row.user)
        } else {
            None
        };
        let account = row.account(token, user);
        rules::decide(&self.policy, &self.calendar, account, request, now)
    }

    /// A reading at the time that it stands for, as [`rules`] wants it; nothing is stored.
    fn time_of(&self, reading: Now) -> Now {
        let time = self.line.peek(reading.monotonic());
        reading.with_floor(self.policy.utc_floor).at(time)
    }

    /// The row of a registered token that is not revoked.
    fn row(&self, token: TokenId) -> Option<&TokenRow> {
        let index = self.tokens.position::<TokenRow>(token.as_u64())?;
        self.tokens
            .rows::<TokenRow>()
            .get(index)
            .filter(|row| !row.terms().is_revoked())
    }
}

/// Feeds the calendar with a reading that stands for `time` (D6); the reading at that time, as [`rules`]
/// wants it.
#[inline]
fn feed(calendar: &mut Calendar, policy: &Policy, reading: Now, time: Instant) -> Now {
    let now = reading.with_floor(policy.utc_floor).at(time);
    if calendar.feed(now) {
        crate::fmt::info!("refill {=u32}, {}", calendar.refills(), calendar.day());
    }
    now
}

/// Why a request cannot be judged (O8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Outage {
    /// Its token could not be registered: see [`RegisterError::TableFull`].
    TableFull,
    /// The clock could not be read.
    ClockFailed,
    /// The store of the state could not be reached.
    StoreFailed,
}

impl Outage {
    /// The decision on a request: a webhook is exempt all the same, any other is refused (O8).
    pub fn decide(self, request: &Request) -> Decision {
        if request.origin == Origin::Webhook {
            Decision::EXEMPT
        } else {
            Decision::refused(self.reason(), RETRY_OUTAGE_MS)
        }
    }

    const fn reason(self) -> Reason {
        match self {
            Self::TableFull => Reason::TableFull,
            Self::ClockFailed => Reason::ClockFailed,
            Self::StoreFailed => Reason::StoreFailed,
        }
    }
}

/// What a refund gave back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Refunded {
    /// Permits given back to the window; 0 if it is over.
    pub window: u32,
    /// Permits given back to the user's day; 0 if it is over, or was not charged.
    pub daily: u32,
}

/// A row's place fits 24 bits.
const MAX_ROWS: usize = 1 << 24;

/// SPEC 7: `retry-after: 1`.
const RETRY_OUTAGE_MS: u32 = 1_000;

#[cfg(test)]
mod tests;
