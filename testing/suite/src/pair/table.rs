//! A small table beside the model's unbounded one: nobody may see that rows are evicted (T2), and
//! a full table is full exactly when no row may go (T3).

use std::collections::BTreeSet;

use limiter_core::{RegisterError, Registered, Statistics};

use super::{Choices, Failure, Kind, Pair, decode_limit};
use crate::{TellsRows, token};

impl<S: TellsRows> Pair<S> {
    /// A pair that knows nobody. Monotonic time never goes back, since T2 promises nothing then.
    ///
    /// `ids` are up to eight.
    #[must_use]
    pub fn with_small_table(policy: [u8; 8], ids: Vec<u64>) -> Self {
        Self::unregistered(policy, true, ids, true)
    }

    /// Registers the token as a careful host does, and then does one operation on both.
    ///
    /// # Errors
    ///
    /// What differs, and the operations that led there.
    pub fn apply_registered(&mut self, choices: Choices) -> Result<(), Failure> {
        let id = self.step(choices);
        let mut terms = self.terms[&id];
        if choices.act % 20 == 14 {
            terms.limit = decode_limit(choices.what);
            terms.pinned = choices.cost.is_multiple_of(3);
        }
        if choices.act % 20 == 15 && !self.model.is_known(id) {
            terms.user = 1 + u64::from(choices.cost % 5);
            terms.kind = Kind::ApiToken;
        }
        self.note(&("register", id, terms));
        let wanted = self.has_room(id, terms.user);
        let before = self.subject.statistics();
        let (evicted, rows) = (before.evicted_tokens, before.tokens);
        let given = self
            .subject
            .register(token(id), terms.registration(), self.core_now());
        self.same("room", given != Err(RegisterError::TableFull), wanted)?;
        if !wanted {
            self.table_full += 1;
            return self.compare_what_is_left_but(id);
        }
        self.same("registered", given.is_ok(), true)?;
        let after = self.subject.statistics();
        let evictions = |of: &Statistics| (of.evicted_tokens, of.evicted_users);
        if evictions(&after) != evictions(&before) {
            // What a row was thrown away by is a reading of the time line's (M1).
            self.model.read(self.now);
        }
        if given.is_ok_and(Registered::is_new) {
            let grown = u64::from(after.tokens) + after.evicted_tokens;
            self.same(
                "a row more, or others evicted",
                grown,
                u64::from(rows) + evicted + 1,
            )?;
        }
        self.model.register(id, terms.user, terms.kind, terms.limit);
        self.terms.insert(id, terms);
        if self.model.refills_at(self.now) != self.model.refills() {
            // The row may be that of a user of the day before. A clock that went back now would
            // show it, so the host decides at once.
            let read = Choices {
                what: 1,
                ..Choices::default()
            };
            self.check(id, read)?;
        }
        match choices.act % 20 {
            0..=11 => self.check(id, choices)?,
            12 | 13 => self.refund(choices)?,
            16 | 17 => {
                self.revoke(id)?;
                self.terms
                    .entry(id)
                    .and_modify(|terms| terms.pinned = false);
            }
            18 => self.unblock(id)?,
            _ => {}
        }
        self.compare_what_is_left(id)
    }

    /// Like the other, for a token whose row the subject may have evicted.
    fn compare_what_is_left_but(&self, id: u64) -> Result<(), Failure> {
        let known = self.ids.iter().find(|&&other| self.has_row(other));
        self.compare_what_is_left(known.copied().unwrap_or(id))
    }

    /// Whether the subject has a row for a token, live or revoked.
    fn has_row(&self, id: u64) -> bool {
        let registration = self.terms[&id].registration();
        self.subject
            .has_row(token(id), registration, self.core_now())
    }

    /// Whether there is room for a token of `user` by T2: rows that could not be told from new
    /// ones are as good as vacant, and a user's may go with its tokens'.
    fn has_room(&self, id: u64, user: u64) -> bool {
        let has_row = |&id: &u64| self.has_row(id);
        let rows: Vec<u64> = self.ids.iter().copied().filter(has_row).collect();
        if rows.contains(&id) {
            // Only a revoked token's user may change; its own row then refers to the old one no
            // more.
            return self.terms[&id].user == user || self.user_has_room(&rows, Some(id), user);
        }
        // Whoever goes with a user leaves room for a token too.
        let is_evictable = |&id: &u64| self.is_evictable(id);
        let token_room = rows.len() < S::TOKENS || rows.iter().any(is_evictable);
        token_room && self.user_has_room(&rows, None, user)
    }

    fn is_evictable(&self, id: u64) -> bool {
        !self.terms[&id].pinned && self.model.token_is_like_new(id, self.now)
    }

    /// Whether there is room for a user once the token `leaving` has left its own.
    fn user_has_room(&self, rows: &[u64], leaving: Option<u64>, user: u64) -> bool {
        // Users who must stay, for what was used or for a token.
        let staying = rows
            .iter()
            .filter(|&&id| Some(id) != leaving && !self.is_evictable(id));
        let mut users: BTreeSet<u64> = staying.map(|id| self.terms[id].user).collect();
        users.extend((1..=5).filter(|&user| !self.model.user_is_unused(user, self.now)));
        // The user may be known already. If nothing holds its row, there is room for it anyway.
        users.contains(&user) || users.len() < S::USERS
    }
}
