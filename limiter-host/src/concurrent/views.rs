//! What operators read of the rows.

use super::Concurrent;
use super::row::{GONE, Row};
use super::sync::{Ordering, lock};
use limiter_core::abuse::Abuse;
use limiter_core::daily::Day;
use limiter_core::limiter::Terms;
use limiter_core::window::Window;
use limiter_core::{Instant, Kind, TokenId, UserId, rules};
use std::fmt;
use std::num::NonZeroU64;

/// One token, as it stood at one moment. See [`Concurrent::rows`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenView {
    /// The token's keyed id, never the token (T4).
    pub token: TokenId,
    /// Its kind.
    pub kind: Kind,
    /// Permits per window.
    pub limit: u32,
    /// Permits used in the open window; 0 if none is open.
    pub used: u32,
    /// When its block ends, `None` if it is not blocked.
    pub blocked_until: Option<Instant>,
    /// The user whose token it is.
    pub user: UserId,
    /// Permits of the user's day that are used.
    pub used_today: u32,
    /// Whether it is revoked, and only its row is left (P4).
    pub revoked: bool,
    /// Whether its row stays, however idle it is (T2).
    pub pinned: bool,
}

/// The tables in numbers, as they stood at one moment. See [`Concurrent::survey`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Survey {
    /// Rows for tokens.
    pub token_rows: usize,
    /// Rows for users.
    pub user_rows: usize,
    /// Tokens that are blocked.
    pub blocked_tokens: usize,
    /// Strikes that are not forgiven (D3).
    pub strikes: usize,
    /// Users who have any.
    pub users_with_strikes: usize,
}

/// What [`Concurrent::view`] reads under no lock.
pub(super) struct View {
    id: NonZeroU64,
    terms: Terms,
    pub(super) window: Window,
    pub(super) blocked_until: Option<Instant>,
    place: u32,
    used_today: u32,
}

impl Concurrent {
    /// The tokens that have a row, revoked ones included, in no particular order, as they stand at
    /// `now`.
    ///
    /// Each is consistent in itself; tokens registered or evicted meanwhile may or may not be among
    /// them. Takes the registry's lock for a moment for each.
    #[must_use]
    pub fn rows(&self, now: Instant) -> Rows<'_> {
        Rows {
            limiter: self,
            now,
            next: 0,
        }
    }

    /// Counts what only the rows tell. *O*(rows); takes no lock, so what changes meanwhile may or
    /// may not be counted.
    #[must_use]
    pub fn survey(&self, now: Instant) -> Survey {
        let rows = (0..self.table.rows()).filter_map(|index| self.table.row(index));
        let at = self.calendar.time_of(now);
        let views = rows.filter_map(|row| self.view(row, now, at));
        let mut survey = Survey {
            token_rows: self.tokens,
            user_rows: self.users.len(),
            blocked_tokens: views.filter(|view| view.blocked_until.is_some()).count(),
            ..Survey::default()
        };
        let (policy, refills) = (self.policies.current(), self.calendar.calendar().refills());
        for user in self.users.iter() {
            let standing = rules::standing_strikes(policy, user.record().strikes(), refills);
            survey.strikes += usize::from(standing.count());
            survey.users_with_strikes += usize::from(!standing.is_none());
        }
        survey
    }

    /// What a row holds at the reading `now`, which stands for `at`; `None` if it is vacant or changed
    /// hands meanwhile.
    pub(super) fn view(&self, row: Row<'_>, now: Instant, at: Instant) -> Option<View> {
        let id = NonZeroU64::new(row.head.id.load(Ordering::Acquire))?;
        let lease = row.lease();
        let policy = self.policies.current();
        let bits = row.state.window.load(Ordering::Acquire);
        let abuse = Abuse::from_bits(row.state.abuse.load(Ordering::Acquire));
        let user = self.users.get(lease.user() as usize)?;
        let day = Day::from_bits(user.day.load(Ordering::Acquire));
        if bits == GONE || !row.is_still(id.get(), lease) {
            return None;
        }
        let rule = policy
            .block()
            .filter(|_| lease.terms().kind() == Kind::ApiToken);
        let blocked_ms = rule.map_or(0, |_| abuse.blocked_ms(at));
        Some(View {
            id,
            terms: lease.terms(),
            window: Window::from_bits(bits).settle(at, policy.window_ms()),
            blocked_until: (blocked_ms > 0).then(|| now.saturating_add(blocked_ms.into())),
            place: lease.user(),
            used_today: day.settle(self.calendar.calendar().refills()).used(),
        })
    }
}

/// Iterates over the tokens that have a row. See [`Concurrent::rows`].
pub struct Rows<'a> {
    limiter: &'a Concurrent,
    now: Instant,
    next: usize,
}

impl Iterator for Rows<'_> {
    type Item = TokenView;

    fn next(&mut self) -> Option<TokenView> {
        while let Some(row) = self.limiter.table.row(self.next) {
            self.next += 1;
            if row.head.id.load(Ordering::Relaxed) == 0 {
                continue;
            }
            // Nobody's row changes hands while the registry is locked.
            let registry = lock(&self.limiter.registry);
            let at = self.limiter.calendar.time_of(self.now);
            let Some(view) = self.limiter.view(row, self.now, at) else {
                continue;
            };
            let Some(user) = NonZeroU64::new(registry.user(view.place)) else {
                continue;
            };
            return Some(TokenView {
                token: TokenId::from_hash(view.id),
                kind: view.terms.kind(),
                limit: view.terms.limit(),
                used: view.window.used(),
                blocked_until: view.blocked_until,
                user: UserId::from_hash(user),
                used_today: view.used_today,
                revoked: view.terms.is_revoked(),
                pinned: view.terms.is_pinned(),
            });
        }
        None
    }
}

impl fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").finish_non_exhaustive()
    }
}
