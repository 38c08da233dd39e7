//! What the limiter answers (SPEC 7).

use crate::daily::Day;
use crate::time::Instant;
use crate::token::TokenId;
use crate::window::Window;
use core::fmt;

/// The answer to one request. A refusal is a value, not an error.
///
/// ```
/// use limiter_core::{HashKey, Instant, Kind, Limiter, Method, Now, Plan, Policy};
/// use limiter_core::{Outcome, Reason, Registration, Request};
///
/// let key = HashKey::new([1; 16]);
/// let token = key.token(b"a1b2");
/// let mut limiter = Limiter::<4, 4>::new(Policy::pipedrive());
/// let now = Now::new(Instant::ZERO, None);
/// limiter
///     .register(token, Registration::new(key.user(b"u"), Kind::ApiToken, Plan::ESSENTIAL), now)
///     .unwrap();
///
/// for left in (0..20).rev() {
///     let decision = limiter.check(&Request::new(token, Method::Get), now);
///     assert_eq!(decision.quota().unwrap().remaining, left);
/// }
/// let decision = limiter.check(&Request::new(token, Method::Get), now);
/// assert_eq!(decision.outcome(), Outcome::Refused(Reason::Window));
/// assert_eq!((decision.status(), decision.retry_after_ms()), (Some(429), Some(2_000)));
/// ```
///
/// Two decisions are equal if they report the same, receipts aside.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "a decision that is not looked at limits nobody"]
pub struct Decision {
    /// Means something if the request was admitted and the receipt has a token.
    pub(crate) receipt: Receipt,
    /// Means something if the outcome reports one.
    pub(crate) quota: Quota,
    /// 0 where no time is told.
    pub(crate) retry_after_ms: u32,
    pub(crate) outcome: Outcome,
}

impl Decision {
    /// What was decided.
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Whether the service may answer: the request was admitted, or is exempt.
    #[must_use]
    pub const fn is_admitted(&self) -> bool {
        !matches!(self.outcome, Outcome::Refused(_))
    }

    /// Why the request was refused, `None` if it was not.
    #[must_use]
    pub const fn reason(&self) -> Option<Reason> {
        match self.outcome {
            Outcome::Refused(reason) => Some(reason),
            Outcome::Admitted | Outcome::Exempt => None,
        }
    }

    /// The HTTP status of a refusal, `None` where the service answers.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self.reason() {
            Some(reason) => Some(reason.status()),
            None => None,
        }
    }

    /// The token's quota after the decision; reported for every request that was admitted or
    /// refused by a limit.
    #[must_use]
    pub const fn quota(&self) -> Option<Quota> {
        match self.outcome {
            Outcome::Admitted
            | Outcome::Refused(Reason::Window | Reason::Daily | Reason::CostExceedsLimit) => {
                Some(self.quota)
            }
            _ => None,
        }
    }

    /// Milliseconds until a refused request may come back, at least 1; `None` where waiting does
    /// not help, and where the request was not refused.
    #[must_use]
    pub const fn retry_after_ms(&self) -> Option<u32> {
        if self.retry_after_ms == 0 {
            None
        } else {
            Some(self.retry_after_ms)
        }
    }

    /// The receipt of an admission, with which its permits can be given back (P2); `None` for a
    /// decision that charged nothing.
    #[must_use]
    pub fn into_receipt(self) -> Option<Receipt> {
        if self.outcome == Outcome::Admitted && self.receipt.token != 0 {
            Some(self.receipt)
        } else {
            None
        }
    }

    /// The receipt, to look at; `None` as for [`Decision::into_receipt`].
    #[must_use]
    pub fn receipt(&self) -> Option<&Receipt> {
        if self.outcome == Outcome::Admitted && self.receipt.token != 0 {
            Some(&self.receipt)
        } else {
            None
        }
    }

    /// Not counted, not reported (O1). For homes of the state, as are the next three.
    pub const EXEMPT: Self = Self::bare(Outcome::Exempt, 0);

    /// A refusal that reports no quota.
    pub const fn refused(reason: Reason, retry_after_ms: u32) -> Self {
        Self::bare(Outcome::Refused(reason), retry_after_ms)
    }

    /// The same decision with what is left of a day that others charged meanwhile. Where no day is
    /// reported none will be.
    pub const fn with_daily_left(mut self, permits: u32) -> Self {
        if self.quota.daily_left.is_some() {
            self.quota.daily_left = Some(permits);
        }
        self
    }

    /// The same decision without a receipt: it charged nothing.
    pub const fn without_receipt(self) -> Self {
        Self {
            receipt: Receipt::NONE,
            ..self
        }
    }

    const fn bare(outcome: Outcome, retry_after_ms: u32) -> Self {
        Self {
            receipt: Receipt::NONE,
            quota: Quota {
                limit: 0,
                remaining: 0,
                reset_ms: 0,
                daily_left: None,
            },
            retry_after_ms,
            outcome,
        }
    }
}

impl PartialEq for Decision {
    fn eq(&self, other: &Self) -> bool {
        self.outcome == other.outcome
            && self.quota() == other.quota()
            && self.retry_after_ms == other.retry_after_ms
    }
}

impl Eq for Decision {}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Outcome {
    /// All limits had room; the request was charged to them.
    Admitted,
    /// The request is not subject to limits: nothing was looked up, counted or reported (O1).
    Exempt,
    /// The request was refused and charged to nothing.
    Refused(Reason),
}

/// Why a request was refused (SPEC 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Reason {
    /// The token's window has no room for it.
    Window,
    /// The user's day has no room for it.
    Daily,
    /// It costs more than a limit allows in all, so it can never fit.
    CostExceedsLimit,
    /// The token is blocked for hammering.
    Blocked,
    /// No credential, or one that is not registered.
    Unauthenticated,
    /// The token could not be registered: the table is full.
    TableFull,
    /// The clock could not be read.
    ClockFailed,
    /// The store of the limiter's state could not be reached.
    StoreFailed,
}

impl Reason {
    /// Every reason, in the order of SPEC 7.
    pub const ALL: [Self; 8] = [
        Self::Window,
        Self::Daily,
        Self::CostExceedsLimit,
        Self::Blocked,
        Self::Unauthenticated,
        Self::TableFull,
        Self::ClockFailed,
        Self::StoreFailed,
    ];

    /// The HTTP status: 401, 403, 429 or 503.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Window | Self::Daily | Self::CostExceedsLimit => 429,
            Self::Blocked => 403,
            Self::Unauthenticated => 401,
            Self::TableFull | Self::ClockFailed | Self::StoreFailed => 503,
        }
    }

    /// The word that names it in traces, logs and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Daily => "daily",
            Self::CostExceedsLimit => "cost_exceeds_limit",
            Self::Blocked => "blocked",
            Self::Unauthenticated => "unauthenticated",
            Self::TableFull => "table_full",
            Self::ClockFailed => "clock_failed",
            Self::StoreFailed => "store_failed",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What is left of a token's allowance (W3, D4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Quota {
    /// Permits per window.
    pub limit: u32,
    /// Permits left in the window, after the decision.
    pub remaining: u32,
    /// Milliseconds until the window ends; a whole window if none is open.
    pub reset_ms: u32,
    /// Permits left of the user's day, for requests that count daily; `None` for all others.
    pub daily_left: Option<u32>,
}

/// The right to give an admission's permits back, once: [`crate::Limiter::refund`] takes it.
///
/// It cannot be copied, and [`crate::Limiter::peek`] gives none.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Receipt {
    /// 0 where there is nothing to give back.
    token: u64,
    /// The window that was charged, with the request's cost as its count.
    charged: Window,
    /// The accounting day, as the calendar's number of refills.
    refills: u32,
    /// The user's row, `NOT_DAILY` if the request did not count daily.
    user: u32,
}

impl Receipt {
    const NONE: Self = Self {
        token: 0,
        charged: Window::CLOSED,
        refills: 0,
        user: NOT_DAILY,
    };

    /// The receipt of a charge: the window after it, and the user's row and the accounting day if
    /// it counted daily.
    #[inline]
    pub(crate) const fn new(
        token: TokenId,
        window: Window,
        cost: u32,
        day: Option<(u32, u32)>,
    ) -> Self {
        let charged = window.with_used(cost);
        let (user, refills) = match day {
            Some(row_and_refills) => row_and_refills,
            None => (NOT_DAILY, 0),
        };
        Self {
            token: token.as_u64(),
            charged,
            refills,
            user,
        }
    }

    /// Permits that the admission took.
    #[must_use]
    pub const fn cost(&self) -> u32 {
        self.charged.used()
    }

    /// The token that was charged, as [`TokenId::as_u64`] has it. For homes of the state, as are
    /// the methods that follow.
    #[must_use]
    pub const fn token(&self) -> u64 {
        self.token
    }

    /// The user's place that [`Account::user`](crate::rules::Account::user) told, if the request
    /// counted daily.
    #[must_use]
    pub const fn user(&self) -> Option<u32> {
        if self.user == NOT_DAILY {
            None
        } else {
            Some(self.user)
        }
    }

    /// The accounting day that was charged, as the calendar's number of refills; 0 if the request
    /// did not count daily.
    #[must_use]
    pub const fn refills(&self) -> u32 {
        self.refills
    }

    /// The token's window with the permits given back, and how many those are; `None` if it is not
    /// the very window that was charged, or no longer open at `now` (P2).
    #[must_use]
    pub fn give_back_window(
        &self,
        window: Window,
        now: Instant,
        window_ms: u32,
    ) -> Option<(Window, u32)> {
        let this_one = window.is_open() && window.start() == self.charged.start();
        if !this_one || !window.settle(now, window_ms).is_open() {
            return None;
        }
        let cost = self.cost();
        Some((window.give_back(cost), cost.min(window.used())))
    }

    /// The user's day with the permits given back, and how many those are; `None` if the request
    /// did not count daily, or `day` or the accounting day `refills` is not the one that was
    /// charged (P2).
    #[must_use]
    pub fn give_back_day(&self, day: Day, refills: u32) -> Option<(Day, u32)> {
        if self.user == NOT_DAILY || refills != self.refills || day.refills() != refills {
            return None;
        }
        let after = day.give_back(self.cost());
        // OK because giving back never adds.
        Some((after, day.used().wrapping_sub(after.used())))
    }
}

/// Above every row index.
const NOT_DAILY: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_each_reason_its_status_and_word() {
        let table = Reason::ALL.map(|reason| (reason.status(), reason.word()));
        assert_eq!(
            table,
            [
                (429, "window"),
                (429, "daily"),
                (429, "cost_exceeds_limit"),
                (403, "blocked"),
                (401, "unauthenticated"),
                (503, "table_full"),
                (503, "clock_failed"),
                (503, "store_failed"),
            ]
        );
    }

    fn receipt(user: Option<u32>) -> Receipt {
        let token = TokenId::from_hash(core::num::NonZeroU64::MIN);
        let window = Window::CLOSED.charge(Instant::from_millis(100), 9);
        Receipt::new(token, window, 4, user.map(|place| (place, 7)))
    }

    #[test]
    fn p2_gives_back_to_the_very_window_alone_while_it_is_open() {
        let window = |start, used| Window::CLOSED.charge(Instant::from_millis(start), used);
        let give_back =
            |window, now| receipt(None).give_back_window(window, Instant::from_millis(now), 2_000);
        assert_eq!(give_back(window(100, 9), 2_099), Some((window(100, 5), 4)));
        assert_eq!(
            give_back(window(100, 3), 100).map(|(_, back)| back),
            Some(3)
        );
        assert_eq!(give_back(window(100, 9), 2_100), None, "it is over");
        assert_eq!(give_back(window(101, 9), 101), None, "a newer one");
        assert_eq!(give_back(Window::CLOSED, 100), None);
        assert_eq!(give_back(window(3_000, 9), 1_100), None, "a newer one");
        let early = give_back(window(100, 9), 99);
        assert_eq!(early, Some((window(100, 5), 4)), "W6: it stands");
    }

    #[test]
    fn p2_gives_back_to_the_very_day_alone_if_it_counted_daily() {
        let give_back = |day, refills| receipt(Some(0)).give_back_day(day, refills);
        assert_eq!(give_back(Day::new(7, 30), 7), Some((Day::new(7, 26), 4)));
        assert_eq!(give_back(Day::new(7, 1), 7), Some((Day::new(7, 0), 1)));
        assert_eq!(give_back(Day::new(7, 30), 8), None, "the calendar went on");
        assert_eq!(give_back(Day::new(8, 30), 8), None, "a newer one");
        assert_eq!(receipt(None).give_back_day(Day::new(7, 30), 7), None);
    }

    #[test]
    fn tells_what_is_left_of_the_day_only_where_a_day_is_reported() {
        let bare = Decision::refused(Reason::Blocked, 5).with_daily_left(3);
        assert_eq!(bare.quota(), None);
        let counted = Decision {
            outcome: Outcome::Admitted,
            quota: Quota {
                daily_left: Some(9),
                ..bare.quota
            },
            ..Decision::EXEMPT
        };
        let quota = counted.with_daily_left(3).quota().unwrap();
        assert_eq!(quota.daily_left, Some(3));
    }

    #[test]
    fn charges_without_a_receipt_where_nothing_was_charged() {
        assert!(Decision::EXEMPT.is_admitted());
        assert_eq!(Decision::EXEMPT.into_receipt(), None);
        let refused = Decision::refused(Reason::Blocked, 5);
        assert_eq!((refused.quota(), refused.retry_after_ms()), (None, Some(5)));
    }
}
