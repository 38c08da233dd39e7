//! Room for newcomers: the rows of a new token and a new user, and the tokens evicted for them (SPEC
//! T2, T3).
//!
//! All that has to go is found *before* anything is changed, so a registration that fails leaves
//! all as it was.

use super::LimiterIn;
use super::idle::{self, PARTS};
use super::registry::{RegisterError, Registered};
use super::rows::{Terms, TokenRow, UserRow};
use crate::table::{Row, home};
use crate::time::{Instant, Now};
use crate::token::TokenId;
use core::num::NonZeroU64;

/// Tokens that were evicted for a newcomer: the first that was known, and the number of others.
#[derive(Clone, Copy)]
struct Gone {
    first: Option<TokenId>,
    others: u32,
}

impl<T, U> LimiterIn<T, U>
where
    T: AsRef<[TokenRow]> + AsMut<[TokenRow]>,
    U: AsRef<[UserRow]> + AsMut<[UserRow]>,
{
    /// Registers a token that has no row.
    pub(super) fn newcomer(
        &mut self,
        token: TokenId,
        user: u64,
        terms: Terms,
        now: Now,
    ) -> Result<Registered, RegisterError> {
        let mut gone = Gone::NOBODY;
        let mut room = self
            .users
            .position(user)
            .or_else(|| self.users.vacant(user));
        if room.is_none() {
            room = self.find_place(user, None, now);
        }
        let Some(place) = room else {
            return Err(self.refuse_newcomer(token));
        };
        // Tokens go with a user whose row another takes; if there are any, there is room after that.
        if self.is_taken_over(place, user) {
            self.evict_tokens_of(place, token, &mut gone);
        }
        let mut victim = None;
        if self.tokens.is_full::<TokenRow>() {
            victim = self.find_idle(token.as_u64(), now.monotonic());
            if victim.is_none() {
                return Err(self.refuse_newcomer(token));
            }
        }
        let place = self.settle_user(place, user);
        let row = TokenRow::new(token, place, terms);
        let changed = match victim {
            Some(index) => {
                self.note_eviction(index, &mut gone);
                self.tokens.replace(index, row)
            }
            None => self.tokens.insert(row),
        };
        self.changed(changed);
        Ok(match gone.first {
            Some(token) => Registered::NewInPlaceOf {
                token,
                others: gone.others,
            },
            None => Registered::New,
        })
    }

    /// Finds a place for the new user of the revoked token at `index`, and lets go of the old one.
    pub(super) fn change_user(
        &mut self,
        index: usize,
        user: u64,
        now: Now,
    ) -> Result<u32, RegisterError> {
        let Some(&row) = self.tokens.rows::<TokenRow>().get(index) else {
            return Err(RegisterError::TableFull);
        };
        let room = self
            .users
            .position(user)
            .or_else(|| self.users.vacant(user));
        let room = room.or_else(|| self.find_place(user, Some(index), now));
        let Some(place) = room else {
            self.counts.table_full = self.counts.table_full.wrapping_add(1);
            return Err(RegisterError::TableFull);
        };
        self.drop_reference(row.user);
        if self.is_taken_over(place, user)
            && let Some(id) = NonZeroU64::new(row.id())
        {
            let mut gone = Gone::NOBODY;
            self.evict_tokens_of(place, TokenId::from_hash(id), &mut gone);
        }
        Ok(self.settle_user(place, user))
    }

    /// Takes a row out, and counts one token less of its user.
    pub(super) fn remove_token(&mut self, index: usize) {
        let row = self.tokens.rows::<TokenRow>().get(index);
        if let Some(place) = row.map(|row| row.user) {
            self.drop_reference(place);
            let changed = self.tokens.remove::<TokenRow>(index);
            self.changed(changed);
        }
    }

    /// Notes that rows between two places are others, or may be evicted sooner than they could.
    pub(super) fn changed(&mut self, places: (usize, usize)) {
        let rows = self.tokens.rows::<TokenRow>().len();
        self.idle.forget(places, rows);
    }

    fn refuse_newcomer(&mut self, token: TokenId) -> RegisterError {
        self.counts.table_full = self.counts.table_full.wrapping_add(1);
        crate::fmt::warn!("no row for {}", token);
        let _ = token;
        RegisterError::TableFull
    }

    /// Returns whether the row at a place is another user's.
    fn is_taken_over(&self, place: u32, user: u64) -> bool {
        let row = self.users.get(place);
        row.is_some_and(|row| row.id() != 0 && row.id() != user)
    }

    /// The token row to evict for a new token: near its home, so that it need not go far. Of a few
    /// idle ones the one whose last window began first; one that was never used is likely to be
    /// used next. Visits no part of the table in which none can be idle yet.
    fn find_idle(&mut self, token: u64, now: Instant) -> Option<usize> {
        let rows = self.tokens.rows::<TokenRow>();
        let home = home(token, rows.len());
        let first = idle::part(home, rows.len());
        let mut visited = 0_u64;
        let mut found = None;
        for step in 0..PARTS {
            let part = first.wrapping_add(step) & (PARTS.wrapping_sub(1));
            if !self.idle.is_due(part, now) {
                continue;
            }
            let places = idle::places(part, rows.len());
            let begin = if step == 0 { home } else { places.start };
            let mut order = (begin..places.end).chain(places.start..begin);
            let mut from = Instant::MAX;
            found = order.find(|&index| {
                visited = visited.wrapping_add(1);
                let Some(row) = rows.get(index).filter(|row| row.id() != 0) else {
                    return false;
                };
                if row.is_evictable(&self.policy, now) {
                    return true;
                }
                from = from.min(row.evictable_from(&self.policy, now));
                false
            });
            if let Some(index) = found {
                let near = (index..places.end).take(NEAR).filter(|&index| {
                    let row = rows.get(index).filter(|row| row.id() != 0);
                    row.is_some_and(|row| row.is_evictable(&self.policy, now))
                });
                found = near.min_by_key(|&index| rows.get(index).map(TokenRow::last_began));
                break;
            }
            self.idle.learn(part, from.max(now.saturating_add(1)));
        }
        self.counts.searched_rows = self.counts.searched_rows.wrapping_add(visited);
        found
    }

    /// The place of a user whose row a new user may take: nothing is used there on the accounting
    /// day that `now` makes it, and all its tokens may go, but for the one at `leaving`, which
    /// leaves that user. *O*(rows).
    fn find_place(&mut self, user: u64, leaving: Option<usize>, now: Now) -> Option<u32> {
        let at = now.monotonic();
        let mut calendar = self.calendar;
        calendar.feed(now.with_floor(self.policy.utc_floor));
        let refills = calendar.refills();
        let (from, on) = self.idle.users;
        if leaving.is_none() && on == refills && at < from {
            return None;
        }
        for row in self.users.rows_mut() {
            row.leaving = 0;
        }
        let mut from = Instant::MAX;
        for (index, row) in self.tokens.rows::<TokenRow>().iter().enumerate() {
            let Some(user) = self.users.get_mut(row.user).filter(|_| row.id() != 0) else {
                continue;
            };
            if leaving == Some(index) || row.is_evictable(&self.policy, at) {
                user.leaving = user.leaving.saturating_add(1);
            } else if user.is_like_new(&self.policy, refills) {
                from = from.min(row.evictable_from(&self.policy, at));
            }
        }
        let rows = self.tokens.rows::<TokenRow>().len();
        let visited = rows.saturating_add(self.users.rows().len());
        self.counts.searched_rows = self
            .counts
            .searched_rows
            .wrapping_add(u64::try_from(visited).unwrap_or(u64::MAX));
        let found = self.users.search(user, |row| {
            row.all_leave() && row.is_like_new(&self.policy, refills)
        });
        if found.is_none() && leaving.is_none() {
            self.idle.users = (from.max(at.saturating_add(1)), refills);
        }
        found
    }

    /// Gives the user a row at `place`, unless it is the user's already, and counts one token more.
    fn settle_user(&mut self, place: u32, user: u64) -> u32 {
        let refills = self.calendar.refills();
        if self.users.get(place).is_none_or(|row| row.id() != user)
            && self.users.take(place, user, refills)
        {
            self.counts.evicted_users = self.counts.evicted_users.wrapping_add(1);
        }
        if let Some(row) = self.users.get_mut(place) {
            row.add_token();
        }
        place
    }

    /// Evicts the tokens of the user at `place`, but for one. *O*(rows), unless there are none.
    fn evict_tokens_of(&mut self, place: u32, but: TokenId, gone: &mut Gone) {
        let mut index = 0;
        while self.users.get(place).is_some_and(UserRow::has_tokens) {
            let Some(row) = self.tokens.rows::<TokenRow>().get(index) else {
                return;
            };
            if row.id() != 0 && row.user == place && row.id() != but.as_u64() {
                self.note_eviction(index, gone);
                // The row behind it may be in its place now.
                let changed = self.tokens.remove::<TokenRow>(index);
                self.changed(changed);
            } else {
                index = index.saturating_add(1);
            }
        }
    }

    /// Counts the eviction of the row at `index`, which its user no longer has.
    fn note_eviction(&mut self, index: usize, gone: &mut Gone) {
        let Some(&row) = self.tokens.rows::<TokenRow>().get(index) else {
            return;
        };
        self.drop_reference(row.user);
        self.counts.evicted_tokens = self.counts.evicted_tokens.wrapping_add(1);
        if !row.terms().is_revoked()
            && let Some(id) = NonZeroU64::new(row.id())
        {
            gone.add(TokenId::from_hash(id));
        }
    }

    fn drop_reference(&mut self, place: u32) {
        if let Some(row) = self.users.get_mut(place) {
            row.drop_token();
        }
    }
}

impl Gone {
    const NOBODY: Self = Self {
        first: None,
        others: 0,
    };

    fn add(&mut self, token: TokenId) {
        if self.first.is_none() {
            self.first = Some(token);
        } else {
            self.others = self.others.saturating_add(1);
        }
    }
}

/// Rows among which the one to evict is chosen.
const NEAR: usize = 4;
