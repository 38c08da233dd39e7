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
use crate::token::TokenId;

/// A limiter for up to `TOKENS` tokens of up to `USERS` users, all in one value of
/// `32 * TOKENS + 24 * USERS` bytes and a fixed rest; it can be a `static`.
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
    /// The journey: a webhook is exempt (O1); an unknown token is refused (O2); the calendar takes
    /// `now` and may refill every user's day (D6); then the token's block, window and day are
    /// judged together, and charged together or not at all (O3 to O7). Time that goes backwards is
    /// dealt with by W6, B6 and D10c; it grants nothing.
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
        if request.origin == Origin::Webhook {
            return Decision::EXEMPT;
        }
        let Some((token, row)) = request
            .token
            .and_then(|token| Some((token, self.row(token)?)))
        else {
            return Decision::refused(Reason::Unauthenticated, 0);
        };
        let now = now.with_floor(self.policy.utc_floor);
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
        if let Some(row) = self.tokens.find_mut::<TokenRow>(receipt.token())
            && let Some((window, permits)) =
                receipt.give_back_window(row.window, now.monotonic(), self.policy.window_ms)
        {
            refunded.window = permits;
            row.window = window;
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

    /// When the token next gets something back: the end of its block, else of its open window.
    /// `None` if neither is running, or the token is not registered.
    #[must_use]
    pub fn next_reset(&self, token: TokenId, now: Instant) -> Option<Instant> {
        let row = self.row(token)?;
        if let Some(rule) = &self.policy.block
            && row.terms().kind() == crate::request::Kind::ApiToken
        {
            let abuse = row.abuse.settle(now, rule);
            if abuse.is_blocked() {
                return Some(now.saturating_add(u64::from(abuse.blocked_ms(now))));
            }
        }
        let window = row.window.settle(now, self.policy.window_ms);
        if window.is_open() {
            Some(now.saturating_add(u64::from(window.reset_ms(now, self.policy.window_ms))))
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
        let now = now.with_floor(self.policy.utc_floor);
        feed(&mut self.calendar, now);
        let user = if rules::counts_daily(&self.policy, row.terms().kind(), request) {
            self.users.get_mut(row.user)
        } else {
            None
        };
        let account = row.account(token, user);
        rules::decide(&self.policy, &self.calendar, account, request, now)
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

/// Feeds the calendar (D6).
#[inline]
fn feed(calendar: &mut Calendar, now: Now) {
    if calendar.feed(now) {
        crate::fmt::info!("refill {=u32}, {}", calendar.refills(), calendar.day());
    }
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
