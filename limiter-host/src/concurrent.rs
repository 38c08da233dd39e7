//! The limiter for all cores of a server: [`Concurrent`].
//!
//! It decides what the core's [`Limiter`](limiter_core::Limiter) decides (both call
//! [`limiter_core::rules::decide`]); this file and those below it are about keeping the state in
//! words that many threads change at once.
//!
//! | file | what it is about |
//! |---|---|
//! | `admit` | the usual decision: what fits all limits, in one straight line |
//! | `decide`, `commit`, `charge` | any decision: load, let the core decide, swap in; what is done if that comes too late |
//! | `row`, `table` | a token's words, and where they are |
//! | `users` | a user's words, and where they are |
//! | `spread` | how far apart the words are that cores change |
//! | `calendar`, `policies` | what every decision reads and next to none changes |
//! | `registry` | who is known: registering, updating, revoking, under a lock |
//! | `newcomers`, `idle` | who goes for a newcomer to a full table, and where such rows may be |
//! | `batch`, `views`, `counts` | many decisions at once; what operators read |
//!
//! # The protocol
//!
//! A token's row is four words: id, lease (terms, user, number of the tenancy), abuse and window.
//! Id and lease are written under the registry's lock only, but for other terms of the same token,
//! which are swapped in. A decision
//!
//! 1. finds the row by its id, loads lease, abuse and window, and the day and strikes of the user
//!    if the request counts daily;
//! 2. looks once more whether id and tenancy are still the same, else it begins again: so what it
//!    loaded in between is the token's own;
//! 3. lets the core decide on copies, and swaps in what that changed, if nobody was quicker: to
//!    admit, strikes and abuse, then the window, then the day; to refuse, strikes and window, then
//!    abuse. If a swap fails it begins again;
//! 4. looks once more whether id and tenancy are the same, else it begins again.
//!
//! *Never more than L in a window, never more than D in a day.* A permit is spent by one successful
//! swap of the word that counts it, from the very value that was found to have room.
//!
//! *Both or none (O5).* The window is charged first. If the day has no room left when its turn
//! comes, the window gets its permits back, by a swap of a word with the same start: a newer window
//! is never touched. The day is charged last and so needs no such thing. A day's word holds the
//! number of its refills, and a decision that meets a later one than its calendar's reads the
//! calendar again: a newer day is never charged for, or reset by, an older one.
//!
//! *Nothing lost.* What a failed swap would have written is decided anew. An offence is written by
//! the last swap of a refusal, and so counts once.
//!
//! *Spurious refusals.* A charge that is given back was in the window for a moment, and in that
//! moment others may be refused by it, which counts as their offence (O7). This takes a request of
//! the same token that is then refused by the day; the day itself never shows such a charge. A
//! window opened by such a request may stay open, from that moment on, with nothing used.
//!
//! # Rows that change hands
//!
//! A row is taken from an idle token by two swaps: abuse to `LEAVING`, then window to `GONE`. Each
//! fails if the token was used since it was found idle. No decision swaps either value for another:
//! who finds the window `GONE` answers that the token is unknown; who finds `LEAVING` and has an
//! offence to count looks again until the second swap is done, and goes on without counting it only
//! if the other thread is held up between the two for a thousand looks.
//!
//! Then a decision that was prepared on the old token may still be about to swap. It finds other
//! values: closed windows and clean records carry bits of the token's id; a new user's day and
//! strikes carry a number that no earlier user of the row had. That leaves words in use. A window
//! is the same for two tokens only if both began in the same millisecond; the second began after
//! the first had ended by the clock of the one who evicted it, so its reading was older than that
//! by a whole window or more, and the preparation was held up as long. A day is the same only if the
//! first user spent and was given back as much as the second has spent since. Should it come to
//! that, step 4 finds the other tenancy: the day is given back, to whoever has it (with permits used
//! on that day the row cannot change hands again), the window's permits are left to end with it, and
//! the request is decided anew. So a charge may stand on another's row for that moment, and is
//! never gained by anyone.
//!
//! The rows of users are taken over in the same way, and only when no token refers to them.

mod admit;
mod batch;
mod calendar;
mod charge;
mod commit;
mod counts;
mod decide;
mod idle;
mod newcomers;
mod policies;
mod registry;
#[cfg(feature = "persist")]
pub(crate) mod restart;
mod row;
mod spread;
mod sync;
mod table;
mod users;
mod views;

pub use self::batch::Located;
pub use self::views::{Rows, Survey, TokenView};

use self::calendar::SharedCalendar;
use self::counts::Counts;
use self::idle::Wakes;
use self::newcomers::Searching;
use self::policies::Policies;
use self::registry::Registry;
use self::row::{GONE, MAX_USER, swap};
use self::spread::Spread;
use self::sync::{AtomicU64, Mutex, Ordering, lock};
use self::table::Table;
use self::users::UserRow;
use crate::decide::Decide;
use limiter_core::calendar::Calendar;
use limiter_core::daily::Day;
use limiter_core::window::Window;
use limiter_core::{
    Decision, Instant, Now, Origin, Outage, Policy, Reason, Receipt, Refunded, Request, Statistics,
    TokenId,
};
use std::fmt;

/// A limiter that any number of threads use at once, through a shared reference.
///
/// | family | methods |
/// |---|---|
/// | decide | [`check`](Self::check), [`check_many`](Self::check_many), [`locate`](Self::locate) and [`check_located`](Self::check_located), [`refuse_for`](Self::refuse_for) |
/// | look | [`peek`](Self::peek), [`next_reset`](Self::next_reset), [`rows`](Self::rows), [`statistics`](Self::statistics), [`calendar`](Self::calendar), [`policy`](Self::policy) |
/// | give back | [`refund`](Self::refund) |
/// | manage | [`register`](Self::register), [`update`](Self::update), [`revoke`](Self::revoke), [`unblock`](Self::unblock), [`set_policy`](Self::set_policy) |
///
/// Deciding, looking and giving back are lock-free and allocate nothing; only a reading that moves
/// time on, once a second, or changes the calendar takes a lock for a moment. Managing takes a lock that
/// no decision waits for. All memory is allocated and written to by [`Concurrent::new`]: 51 bytes for
/// each of many tokens and 36 for each of many users; up to 190 and 148 where there are at most 13 000 of them,
/// so that cores do not get into each other's way; and 10 KiB.
///
/// ```
/// use limiter_host::Concurrent;
/// use limiter_host::core::{HashKey, Instant, Kind, Method, Now, Plan, Policy};
/// use limiter_host::core::{Registration, Request};
///
/// let key = HashKey::new(*b"provisioned once");
/// let token = key.token(b"a1b2c3");
/// let now = Now::new(Instant::ZERO, None);
/// let limiter = Concurrent::new(Policy::pipedrive(), 1_000, 200);
/// let martin = Registration::new(key.user(b"martin"), Kind::ApiToken, Plan::ADVANCED);
/// limiter.register(token, martin, now)?;
///
/// let admitted: usize = std::thread::scope(|scope| {
///     let ask = || {
///         let request = Request::new(token, Method::Get);
///         (0..30).filter(|_| limiter.check(&request, now).is_admitted()).count()
///     };
///     let threads = [scope.spawn(ask), scope.spawn(ask)];
///     threads.map(|thread| thread.join().expect("it does not panic")).iter().sum()
/// });
/// assert_eq!(admitted, 40);
/// # Ok::<(), limiter_host::core::RegisterError>(())
/// ```
pub struct Concurrent {
    calendar: SharedCalendar,
    policies: Policies,
    table: Table,
    users: Spread<UserRow>,
    /// How many tokens may have a row.
    tokens: usize,
    counts: Counts,
    registry: Mutex<Registry>,
    /// Held by who changes terms: one token's, or all for another policy. Taken after the registry's.
    terms: Mutex<()>,
    /// Held by a newcomer to a full table. Taken before the registry's.
    searching: Mutex<Searching>,
    token_wakes: Wakes,
    user_wakes: Wakes,
    /// Rows that newcomers looked at.
    searched: AtomicU64,
}

impl Concurrent {
    /// An empty limiter for up to `tokens` tokens, at most 2^28, of up to `users` users, at most
    /// 2^24. Without room for one of each, every registration finds the table full.
    #[must_use]
    pub fn new(policy: Policy, tokens: usize, users: usize) -> Self {
        let tokens = tokens.min(MAX_TOKENS);
        let users = u32::try_from(users).unwrap_or(u32::MAX).min(MAX_USER + 1);
        let table = Table::new(tokens);
        let rows = table.rows();
        Self {
            calendar: SharedCalendar::new(),
            policies: Policies::new(policy),
            table,
            users: Spread::new(users as usize, UserRow::vacant),
            tokens,
            counts: Counts::new(),
            registry: Mutex::new(Registry::new(users, rows)),
            terms: Mutex::new(()),
            searching: Mutex::new(Searching::new(rows, users as usize)),
            token_wakes: Wakes::new(rows),
            user_wakes: Wakes::new(users as usize),
            searched: AtomicU64::new(0),
        }
    }

    /// Decides a request and charges what it admits.
    ///
    /// As the core's [`check`](limiter_core::LimiterIn::check). *O*(1) but for the look-up, which
    /// visits at most [`Statistics::longest_probe`] rows (T5) and for most ids four.
    #[inline]
    pub fn check(&self, request: &Request, now: Now) -> Decision {
        self.decide(request, now)
    }

    /// Decides a request that cannot be judged: a webhook is exempt all the same (O1), any other is
    /// refused with 503. Nothing is looked up or charged (O8).
    pub fn refuse_for(&self, request: &Request, outage: Outage) -> Decision {
        let decision = outage.decide(request);
        self.counts.count(decision.outcome());
        decision
    }

    /// What [`Concurrent::check`] would say, without any change that a later decision could see
    /// (P1). The decision has no receipt.
    pub fn peek(&self, request: &Request, now: Now) -> Decision {
        if request.origin == Origin::Webhook {
            return Decision::EXEMPT;
        }
        match request.token {
            Some(token) => self.foresee(token, request, now),
            None => Decision::refused(Reason::Unauthenticated, 0),
        }
    }

    /// Gives the permits of an admission back, to the very window and accounting day that were
    /// charged, if they still last (P2). Says what went back.
    #[allow(clippy::needless_pass_by_value, reason = "a receipt is used up")]
    pub fn refund(&self, receipt: Receipt, now: Now) -> Refunded {
        Refunded {
            window: self.refund_window(&receipt, now),
            daily: self.refund_day(&receipt),
        }
    }

    /// When the token next gets something back, by the clock of `now`: the end of its block, else of
    /// its open window. `None` if neither is running, or the token is not registered.
    #[must_use]
    pub fn next_reset(&self, token: TokenId, now: Instant) -> Option<Instant> {
        let policy = self.policies.current();
        let at = self.calendar.time_of(now);
        let view = self.view(self.known(token)?, now, at)?;
        if let Some(until) = view.blocked_until {
            return Some(until);
        }
        let left = u64::from(view.window.reset_ms(at, policy.window_ms()));
        view.window.is_open().then(|| now.saturating_add(left))
    }

    /// The counts, and what the tables hold. *O*(rows); takes the registry's lock.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let mut statistics = lock(&self.registry).statistics();
        statistics.longest_probe = u32::try_from(self.table.longest_probe()).unwrap_or(u32::MAX);
        statistics.searched_rows = self.searched.load(Ordering::Relaxed);
        statistics.with_decisions(self.counts.sums())
    }

    /// The calendar, for its day and its number of refills.
    #[must_use]
    pub fn calendar(&self) -> Calendar {
        self.calendar.calendar()
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        self.policies.current()
    }

    fn refund_window(&self, receipt: &Receipt, now: Now) -> u32 {
        let token = receipt.token();
        let mut taken = None;
        while let Some(row) = self.table.find(self.table.home(token), token) {
            let at = *taken.get_or_insert_with(|| self.calendar.take_time(now.monotonic()));
            let lease = row.lease();
            let bits = row.state.window.load(Ordering::Acquire);
            if bits == GONE {
                break;
            }
            if !row.is_still(token, lease) {
                continue;
            }
            let window_ms = self.policies.current().window_ms();
            let window = Window::from_bits(bits);
            let Some((window, permits)) = receipt.give_back_window(window, at, window_ms) else {
                break;
            };
            if swap(&row.state.window, bits, window.to_bits()) {
                return permits;
            }
        }
        0
    }

    /// While a receipt of this day is out, its user has permits used and so keeps the row.
    fn refund_day(&self, receipt: &Receipt) -> u32 {
        let place = receipt.user().map(|place| place as usize);
        let Some(user) = place.and_then(|place| self.users.get(place)) else {
            return 0;
        };
        loop {
            let bits = user.day.load(Ordering::Acquire);
            let refills = self.calendar.calendar().refills();
            let Some((day, permits)) = receipt.give_back_day(Day::from_bits(bits), refills) else {
                return 0;
            };
            if swap(&user.day, bits, day.to_bits()) {
                if day.used() == 0 {
                    // The user's row is as good as unused again.
                    self.user_wakes.wake(place.unwrap_or(usize::MAX));
                }
                return permits;
            }
        }
    }
}

impl Decide for Concurrent {
    #[inline]
    fn check(&self, request: &Request, now: Now) -> Decision {
        self.check(request, now)
    }

    fn refuse_for(&self, request: &Request, outage: Outage) -> Decision {
        self.refuse_for(request, outage)
    }

    fn refund(&self, receipt: Receipt, now: Now) -> Refunded {
        self.refund(receipt, now)
    }

    fn policy(&self) -> Policy {
        *self.policy()
    }
}

impl fmt::Debug for Concurrent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Concurrent")
            .field("calendar", &self.calendar())
            .field("policy", self.policy())
            .finish_non_exhaustive()
    }
}

/// Whether atomics are accessed by read-modify-writes alone, for the checks in `tests/loom.rs`.
#[cfg(limiter_loom)]
#[doc(hidden)]
pub fn let_all_modify(modify: bool) {
    sync::checked::ALL_MODIFY.set(modify);
}

/// What keeps the number of buckets below 2^32.
const MAX_TOKENS: usize = 1 << 28;
