//! Tokens that are known: registering, updating, revoking them (SPEC 8 and 9), by one thread at a
//! time. Room for new ones is the matter of `newcomers.rs`.
//!
//! Decisions go on meanwhile. The lock is held for a few steps only, but by [`Concurrent::set_policy`]
//! and what makes an image.

use super::Concurrent;
use super::newcomers::Registering;
use super::row::{Row, abuse_bits, swap};
use super::sync::{Ordering, lock};
use super::users::Index;
use limiter_core::abuse::Abuse;
use limiter_core::limiter::Terms;
use limiter_core::{
    Now, Policy, PolicyError, RegisterError, Registered, Registration, Statistics, TokenId,
    TokenLimit, UpdateError, rules,
};

/// What only its lock's holder reads and writes.
pub(super) struct Registry {
    pub(super) users: Index,
    /// Rows that tokens have.
    pub(super) occupied: usize,
    pub(super) evicted_tokens: u64,
    pub(super) evicted_users: u64,
    pub(super) table_full: u64,
}

impl Registry {
    pub(super) fn new(users: u32, token_rows: usize) -> Self {
        Self {
            users: Index::new(users, token_rows),
            occupied: 0,
            evicted_tokens: 0,
            evicted_users: 0,
            table_full: 0,
        }
    }

    pub(super) fn user(&self, place: u32) -> u64 {
        self.users.id(place)
    }

    /// Whether a user has a row.
    #[cfg(feature = "persist")]
    pub(super) fn knows(&self, user: u64) -> bool {
        self.users.find(user).is_some()
    }

    /// The user's place, given to him if he has none; `None` if no row was never used.
    #[cfg(feature = "persist")]
    pub(super) fn place_of(&mut self, user: u64) -> Option<u32> {
        self.users.find(user).or_else(|| {
            let place = self.users.unused()?;
            self.users.enter(place, user);
            Some(place)
        })
    }

    /// Users' rows that were never used, of `rows` in all.
    #[cfg(feature = "persist")]
    pub(super) fn room(&self, rows: usize) -> usize {
        rows.saturating_sub(self.users.occupied() as usize)
    }

    /// Rows that tokens have.
    #[cfg(feature = "persist")]
    pub(super) fn rows(&self) -> usize {
        self.occupied
    }

    /// Rows that were taken from tokens and from users.
    fn evicted(&self) -> (u64, u64) {
        (self.evicted_tokens, self.evicted_users)
    }

    pub(super) fn statistics(&self) -> Statistics {
        let mut statistics = Statistics::default();
        statistics.evicted_tokens = self.evicted_tokens;
        statistics.evicted_users = self.evicted_users;
        statistics.table_full = self.table_full;
        statistics.tokens = u32::try_from(self.occupied).unwrap_or(u32::MAX);
        statistics.users = self.users.occupied();
        statistics.longest_user_probe = self.users.longest_probe();
        statistics
    }
}

impl Concurrent {
    /// Makes a token known.
    ///
    /// As the core's [`register`](limiter_core::LimiterIn::register): a token that is registered
    /// already takes over the limit and the pin, a revoked one is resumed (P4), and in a full table
    /// a new token takes the row of an idle one, a new user that of an unused one (T2). Takes a
    /// lock for a few steps, which no decision waits for.
    ///
    /// Newcomers to a full table search one after the other, under a lock of their own. A search
    /// looks at blocks of 64 rows, and only at those in which one may be idle by now: as many as it
    /// takes to find it, and each at most once for a window or block that began there since.
    /// [`Statistics::searched_rows`] counts the rows.
    ///
    /// # Errors
    ///
    /// [`RegisterError`]; nothing that counts is changed.
    pub fn register(
        &self,
        token: TokenId,
        registration: Registration,
        now: Now,
    ) -> Result<Registered, RegisterError> {
        let at_once = Registering::begin(self).at_once(token, &registration);
        let registered = at_once.unwrap_or_else(|| {
            let evicted = lock(&self.registry).evicted();
            let registered = self.make_room(token, &registration, now);
            if lock(&self.registry).evicted() != evicted {
                // What a row was thrown away by is a reading of the time line's (M1).
                self.calendar.take_time(now.monotonic());
            }
            registered
        });
        if registered == Err(RegisterError::TableFull) {
            lock(&self.registry).table_full += 1;
        }
        registered
    }

    /// Changes what sets a token's window limit; what is used stays (P3). Decisions that are under
    /// way may still go by the old limit. Waits for no registration.
    ///
    /// # Errors
    ///
    /// [`UpdateError`]; nothing is changed.
    pub fn update(&self, token: TokenId, limit: TokenLimit) -> Result<(), UpdateError> {
        let _terms = lock(&self.terms);
        loop {
            let row = self.row(token).ok_or(UpdateError::UnknownToken)?;
            let lease = row.lease();
            if !row.is_still(token.as_u64(), lease) {
                continue;
            }
            if lease.terms().is_revoked() {
                return Err(UpdateError::UnknownToken);
            }
            let permits = limit.permits(self.policies.current(), lease.terms().kind())?;
            let terms = lease.terms().with_limit(limit, permits);
            // The row may change hands meanwhile, and with it the lease.
            if row.swap_lease(lease, lease.with_terms(terms)) {
                return Ok(());
            }
        }
    }

    /// Makes a token unknown from now on; says whether it was known. As the core's
    /// [`revoke`](limiter_core::LimiterIn::revoke), it lifts nothing (P4). A decision that is under
    /// way may still admit.
    pub fn revoke(&self, token: TokenId, now: Now) -> bool {
        let registering = &mut Registering::begin(self);
        let place = self.table.position(token.as_u64());
        let Some((place, row)) = place.and_then(|place| Some((place, self.table.row(place)?)))
        else {
            return false;
        };
        if row.lease().terms().is_revoked() {
            return false;
        }
        let at = self.calendar.take_time(now.monotonic());
        if !registering.vacate(place, at) {
            // A revoked row is no longer worth a pin.
            let lease = row.lease();
            row.set_lease(lease.with_terms(lease.terms().revoked(true).unpinned()));
            registering.wake(place);
        }
        true
    }

    /// Ends a token's block, which leaves it without offences; one that is not blocked keeps those
    /// it has.
    ///
    /// # Errors
    ///
    /// [`UpdateError::UnknownToken`].
    pub fn unblock(&self, token: TokenId) -> Result<(), UpdateError> {
        let registering = Registering::begin(self);
        let row = self.known(token).ok_or(UpdateError::UnknownToken)?;
        loop {
            let bits = row.state.abuse.load(Ordering::Acquire);
            if !Abuse::from_bits(bits).is_blocked() {
                return Ok(());
            }
            let clean = abuse_bits(Abuse::CLEAN, token.as_u64());
            if swap(&row.state.abuse, bits, clean) {
                if let Some(place) = self.table.position(token.as_u64()) {
                    registering.wake(place);
                }
                return Ok(());
            }
        }
    }

    /// Puts another policy in force; what is used stays (P3). Under a policy without a block nobody
    /// is blocked. *O*(rows); decisions made meanwhile go by either policy, each by one alone.
    ///
    /// Every policy that was ever in force is kept, some 130 bytes, for a decision may still go by
    /// it. This is the one thing that allocates after construction.
    ///
    /// # Errors
    ///
    /// [`PolicyError::PlanInUse`] if a token has a plan that the new policy lacks; nothing is
    /// changed.
    pub fn set_policy(&self, policy: Policy) -> Result<(), PolicyError> {
        let _registering = Registering::begin(self);
        let _terms = lock(&self.terms);
        let before = self.policies.current();
        let limit_of = |terms: Terms| {
            let plan = terms.plan()?;
            Some((plan, policy.window_limit(plan, terms.kind())))
        };
        for row in self.occupied_rows() {
            let terms = row.lease().terms();
            if let Some((plan, None)) = limit_of(terms)
                && !terms.is_revoked()
            {
                return Err(PolicyError::PlanInUse {
                    index: plan.index(),
                });
            }
        }
        for row in self.occupied_rows() {
            let lease = row.lease();
            if let Some((plan, Some(limit))) = limit_of(lease.terms()) {
                let terms = lease.terms().with_limit(TokenLimit::Plan(plan), limit);
                row.set_lease(lease.with_terms(terms));
            }
        }
        // What is forgiven by now stays so, however long the new policy remembers (D3).
        let refills = self.calendar.calendar().refills();
        for user in self.users.iter() {
            loop {
                let record = user.record();
                let standing = rules::standing_strikes(before, record.strikes(), refills);
                if standing == record.strikes() || user.swap_strikes(record, standing) {
                    break;
                }
            }
        }
        self.policies.push(policy);
        self.token_wakes.wake_all();
        self.user_wakes.wake_all();
        Ok(())
    }

    /// The token's row, also if it is revoked.
    fn row(&self, token: TokenId) -> Option<Row<'_>> {
        let token = token.as_u64();
        self.table.find(self.table.home(token), token)
    }

    /// The row of a registered token that is not revoked.
    pub(super) fn known(&self, token: TokenId) -> Option<Row<'_>> {
        self.row(token)
            .filter(|row| !row.lease().terms().is_revoked())
    }

    /// Says that a token's row may be idle sooner than was known.
    pub(super) fn wake_token(&self, token: u64) {
        if let Some(place) = self.table.position(token) {
            self.token_wakes.wake(place);
            if let Some(row) = self.table.row(place) {
                self.user_wakes.wake(row.lease().user() as usize);
            }
        }
    }

    fn occupied_rows(&self) -> impl Iterator<Item = Row<'_>> {
        let rows = (0..self.table.rows()).filter_map(|index| self.table.row(index));
        rows.filter(|row| row.head.id.load(Ordering::Acquire) != 0)
    }
}
