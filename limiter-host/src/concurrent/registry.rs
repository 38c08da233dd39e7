//! Who is known: registration, eviction, revocation (SPEC 8 and 9), by one thread at a time.
//!
//! Decisions go on meanwhile. A registration that fails leaves all as it was (T3), but that an
//! idle row may have been given up for a user whose row was used at that very moment.

use super::Concurrent;
use super::row::{Lease, Row, abuse_bits, swap};
use super::sync::{MutexGuard, Ordering, lock};
use super::users::Index;
use limiter_core::abuse::Abuse;
use limiter_core::daily::Day;
use limiter_core::limiter::Terms;
use limiter_core::window::Window;
use limiter_core::{
    Instant, Now, Policy, PolicyError, RegisterError, Registered, Registration, Statistics,
    TokenId, TokenLimit, UpdateError, rules,
};

/// What only its lock's holder reads and writes.
pub(super) struct Registry {
    users: Index,
    /// Rows that tokens have.
    occupied: usize,
    evicted_tokens: u64,
    evicted_users: u64,
    table_full: u64,
}

impl Registry {
    pub(super) fn new(users: u32) -> Self {
        Self {
            users: Index::new(users),
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
            let place = self.users.find_room(|_, _| false)?;
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
    /// lock, which no decision waits for; *O*(rows) at worst, when a table is full.
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
        let registering = &mut Registering::begin(self);
        let limit = registration
            .limit
            .permits(registering.policy, registration.kind)?;
        let terms = Terms::new(&registration, limit);
        let registered = match self.row(token) {
            Some(row) => registering.again(row, &registration, terms),
            None => registering.first(token, registration.user.as_u64(), terms, now.monotonic()),
        };
        if registered == Err(RegisterError::TableFull) {
            registering.registry.table_full += 1;
        }
        registered
    }

    /// Changes what sets a token's window limit; what is used stays (P3). Decisions that are under
    /// way may still go by the old limit.
    ///
    /// # Errors
    ///
    /// [`UpdateError`]; nothing is changed.
    pub fn update(&self, token: TokenId, limit: TokenLimit) -> Result<(), UpdateError> {
        let registering = Registering::begin(self);
        let row = self.known(token).ok_or(UpdateError::UnknownToken)?;
        let lease = row.lease();
        let permits = limit.permits(registering.policy, lease.terms().kind())?;
        row.set_lease(lease.with_terms(lease.terms().with_limit(limit, permits)));
        Ok(())
    }

    /// Makes a token unknown from now on; says whether it was known. As the core's
    /// [`revoke`](limiter_core::LimiterIn::revoke), it lifts nothing (P4). A decision that is under
    /// way may still admit.
    pub fn revoke(&self, token: TokenId, now: Now) -> bool {
        let registering = &mut Registering::begin(self);
        let Some(row) = self.known(token) else {
            return false;
        };
        if !registering.vacate(row, now.monotonic()) {
            // A revoked row is no longer worth a pin.
            let lease = row.lease();
            row.set_lease(lease.with_terms(lease.terms().revoked(true).unpinned()));
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
        let _registering = Registering::begin(self);
        let row = self.known(token).ok_or(UpdateError::UnknownToken)?;
        loop {
            let bits = row.state.abuse.load(Ordering::Acquire);
            if !Abuse::from_bits(bits).is_blocked()
                || swap(
                    &row.state.abuse,
                    bits,
                    abuse_bits(Abuse::CLEAN, token.as_u64()),
                )
            {
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
        let registering = Registering::begin(self);
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
        let refills = self.calendar.read().refills();
        for user in self.users.iter() {
            loop {
                let record = user.record();
                let standing =
                    rules::standing_strikes(registering.policy, record.strikes(), refills);
                if standing == record.strikes() || user.swap_strikes(record, standing) {
                    break;
                }
            }
        }
        self.policies.push(policy);
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

    fn occupied_rows(&self) -> impl Iterator<Item = Row<'_>> {
        let rows = (0..self.table.rows()).filter_map(|index| self.table.row(index));
        rows.filter(|row| row.head.id.load(Ordering::Acquire) != 0)
    }
}

/// The lock, and what is looked at under it.
struct Registering<'a> {
    limiter: &'a Concurrent,
    registry: MutexGuard<'a, Registry>,
    policy: &'a Policy,
}

impl<'a> Registering<'a> {
    fn begin(limiter: &'a Concurrent) -> Self {
        let registry = lock(&limiter.registry);
        Self {
            limiter,
            registry,
            policy: limiter.policies.current(),
        }
    }

    /// Registers a token whose row is still there, live or revoked.
    fn again(
        &mut self,
        row: Row<'_>,
        registration: &Registration,
        terms: Terms,
    ) -> Result<Registered, RegisterError> {
        let lease = row.lease();
        let revoked = lease.terms().is_revoked();
        let user = registration.user.as_u64();
        if !revoked && lease.terms().kind() != registration.kind {
            return Err(RegisterError::OtherKind);
        }
        if self.registry.users.id(lease.user()) == user {
            row.set_lease(lease.with_terms(terms));
        } else {
            if !revoked {
                return Err(RegisterError::OtherUser);
            }
            self.change_user(row, user, terms)?;
        }
        Ok(if revoked {
            Registered::Resumed
        } else {
            Registered::Updated
        })
    }

    /// Resumes a revoked row with another user, who may take the old one's row.
    fn change_user(&mut self, row: Row<'_>, user: u64, terms: Terms) -> Result<(), RegisterError> {
        let lease = row.lease();
        loop {
            let place = self
                .place_for_user(user, Some(lease))
                .ok_or(RegisterError::TableFull)?;
            // Whoever decides on this row now finds afterwards that it was not the old user's.
            let next = row.lease().in_tenancy(row.lease().tenancy() + 1);
            row.set_lease(next);
            self.registry.users.drop_token(lease.user());
            if self.settle_user(place, user) {
                row.set_lease(Lease::new(terms, place, next.tenancy()));
                return Ok(());
            }
            self.registry.users.add_token(lease.user());
        }
    }

    /// Registers a token that has no row.
    fn first(
        &mut self,
        token: TokenId,
        user: u64,
        terms: Terms,
        at: Instant,
    ) -> Result<Registered, RegisterError> {
        loop {
            let (victim, place) = self
                .rooms_for(token.as_u64(), user, at)
                .ok_or(RegisterError::TableFull)?;
            if let Some(row) = victim {
                if !self.vacate(row, at) {
                    continue;
                }
                self.registry.evicted_tokens += 1;
            }
            if !self.settle_user(place, user) {
                continue;
            }
            if !self.limiter.table.insert(token.as_u64(), terms, place) {
                self.registry.users.drop_token(place);
                return Err(RegisterError::TableFull);
            }
            self.registry.occupied += 1;
            return Ok(Registered::New);
        }
    }

    /// The token row to evict, if one must go, and the place of the user's row; `None` if there is
    /// no room for either. Changes nothing.
    fn rooms_for(&mut self, token: u64, user: u64, at: Instant) -> Option<(Option<Row<'a>>, u32)> {
        let full = self.registry.occupied >= self.limiter.tokens;
        // At first any idle row will do, if one must go at all. If that leaves no room for the
        // user, the idle row must be the last one of an unused user, who goes with it.
        for with_user in [false, true] {
            let victim = if full || with_user {
                Some(self.find_idle(token, at, with_user)?)
            } else {
                None
            };
            if let Some(place) = self.place_for_user(user, victim.map(Row::lease)) {
                return Some((victim, place));
            }
        }
        None
    }

    /// The idle row nearest behind the home of `token` that may be evicted (T2), if asked the last
    /// one of an unused user. *O*(rows).
    ///
    /// Nearest, so that the newcomer takes that row or one nearer: were rows given up elsewhere,
    /// vacancies would gather there, and newcomers to full parts of the table go ever farther.
    fn find_idle(&self, token: u64, at: Instant, with_user: bool) -> Option<Row<'a>> {
        let table = &self.limiter.table;
        let mut rows = table.rows_from(table.home(token));
        rows.find(|row| {
            let lease = row.lease();
            row.head.id.load(Ordering::Acquire) != 0
                && !lease.terms().is_pinned()
                && is_idle(*row, self.policy, at)
                && (!with_user || self.goes_with_user(lease))
        })
    }

    /// Whether the user's row is free once the row with this lease is gone.
    fn goes_with_user(&self, lease: Lease) -> bool {
        let tokens = self.registry.users.tokens(lease.user());
        is_free(self.limiter, self.policy, lease.user(), tokens, Some(lease))
    }

    /// Where a user is, or where its row can go once the row with the lease `leaving` is gone.
    fn place_for_user(&mut self, user: u64, leaving: Option<Lease>) -> Option<u32> {
        let (limiter, policy) = (self.limiter, self.policy);
        let users = &mut self.registry.users;
        users.find(user).or_else(|| {
            users.find_room(|place, tokens| is_free(limiter, policy, place, tokens, leaving))
        })
    }

    /// Gives the user the row at `place`, unless it has it already, and counts one token more; says
    /// no, and changes nothing, if the row was used at this very moment.
    fn settle_user(&mut self, place: u32, user: u64) -> bool {
        let (limiter, policy) = (self.limiter, self.policy);
        if self.registry.users.id(place) != user {
            let refills = limiter.calendar.read().refills();
            let unused = |day, strikes| rules::is_unused_user(policy, day, strikes, refills);
            let row = limiter.users.get(place as usize);
            if !row.is_some_and(|row| row.take_over(unused)) {
                return false;
            }
            if self.registry.users.enter(place, user) {
                self.registry.evicted_users += 1;
            }
        }
        self.registry.users.add_token(place);
        true
    }

    /// Takes the row from its token; says no if it is not idle, or is used at this very moment.
    fn vacate(&mut self, row: Row<'_>, at: Instant) -> bool {
        let (token, lease) = (row.head.id.load(Ordering::Relaxed), row.lease());
        let policy = self.policy;
        if !row.vacate(|window, abuse| rules::is_idle_token(policy, window, abuse, at)) {
            return false;
        }
        let table = &self.limiter.table;
        table.shorten_reach(table.home(token));
        self.registry.users.drop_token(lease.user());
        self.registry.occupied -= 1;
        true
    }
}

/// Whether nothing is left of a token's row (T2), pins aside.
fn is_idle(row: Row<'_>, policy: &Policy, at: Instant) -> bool {
    let window = Window::from_bits(row.state.window.load(Ordering::Acquire));
    let abuse = Abuse::from_bits(row.state.abuse.load(Ordering::Acquire));
    rules::is_idle_token(policy, window, abuse, at)
}

/// Whether a user's row with so many tokens could be taken over (T2) if the token row with the
/// lease `leaving` were gone.
fn is_free(
    limiter: &Concurrent,
    policy: &Policy,
    place: u32,
    tokens: u32,
    leaving: Option<Lease>,
) -> bool {
    let leaving = u32::from(leaving.is_some_and(|lease| lease.user() == place));
    tokens <= leaving
        && limiter.users.get(place as usize).is_some_and(|user| {
            let day = Day::from_bits(user.day.load(Ordering::Acquire));
            let refills = limiter.calendar.read().refills();
            rules::is_unused_user(policy, day, user.record().strikes(), refills)
        })
}
