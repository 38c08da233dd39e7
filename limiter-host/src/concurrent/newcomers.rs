//! Room for newcomers to a full table: the rows they get, and the tokens evicted for it (SPEC T2, T3).
//!
//! Newcomers search one after the other, under a lock of their own, and take the registry's lock for
//! one block of users, or for one eviction, at a time: so no other operation waits for a search. What was
//! found is looked at once more before it is taken. A registration that fails leaves all as it was
//! (T3), but that an idle row may have been given up for a user whose row was used at that very
//! moment.

use super::Concurrent;
use super::idle::Moments;
use super::registry::Registry;
use super::row::{Lease, Row};
use super::sync::{MutexGuard, Ordering, lock};
use super::table::ROWS;
use limiter_core::abuse::Abuse;
use limiter_core::limiter::Terms;
use limiter_core::window::Window;
use limiter_core::{Instant, Now, Policy, RegisterError, Registered, Registration, TokenId, rules};
use std::num::NonZeroU64;
use std::ops::Range;

/// The state of searches, for one newcomer at a time.
pub(super) struct Searching {
    tokens: Moments,
    users: Moments,
    /// The accounting day of the users' moments.
    refills: u32,
    /// The place at which the last search for a user's row ended.
    hand: usize,
}

impl Searching {
    pub(super) fn new(token_rows: usize, users: usize) -> Self {
        Self {
            tokens: Moments::new(token_rows),
            users: Moments::new(users),
            refills: 0,
            hand: 0,
        }
    }
}

/// Tokens that were evicted for a newcomer: the first that was known, and the number of others.
#[derive(Default)]
struct Gone {
    first: Option<TokenId>,
    others: u32,
}

/// A search for a user's row.
struct Wanted<'a> {
    token: TokenId,
    registration: &'a Registration,
    at: Instant,
    /// The accounting day that the reading makes it.
    refills: u32,
}

/// The outcome of a search for a user's row.
enum Seat {
    Taken(Result<Registered, RegisterError>),
    /// It can be had once some token's row is vacant.
    NeedsToken,
}

impl Concurrent {
    /// Registers a token for which something has to go.
    #[cold]
    pub(super) fn make_room(
        &self,
        token: TokenId,
        registration: &Registration,
        now: Now,
    ) -> Result<Registered, RegisterError> {
        let mut searching = lock(&self.searching);
        let mut gone = Gone::default();
        let mut clocks = self.calendar.read();
        let now = clocks.take(now.with_floor(self.policies.current().utc_floor()));
        let wanted = Wanted {
            token,
            registration,
            at: now.monotonic(),
            refills: clocks.calendar.refills(),
        };
        loop {
            let mut registering = Registering::begin(self);
            if let Some(registered) = registering.at_once(token, registration) {
                return registered.map(|registered| gone.named(registered));
            }
            let lacks_user = registering.room_for_user(registration).is_none();
            drop(registering);
            if lacks_user {
                match self.find_seat(&mut searching, &wanted, &mut gone) {
                    Some(Seat::Taken(registered)) => {
                        return registered.map(|registered| gone.named(registered));
                    }
                    Some(Seat::NeedsToken) => {}
                    None => return Err(RegisterError::TableFull),
                }
            }
            let place = self.find_idle(&mut searching, token.as_u64(), wanted.at);
            let place = place.ok_or(RegisterError::TableFull)?;
            let mut registering = Registering::begin(self);
            if registering.evict(place, wanted.at, &mut gone)
                && let Some(registered) = registering.at_once(token, registration)
            {
                return registered.map(|registered| gone.named(registered));
            }
        }
    }

    /// An idle row that may be evicted (T2), near the home of a new token. Under no lock but that
    /// of newcomers.
    ///
    /// Near, so that the newcomer takes that row or one nearer: were rows given up elsewhere,
    /// vacancies would gather there, and newcomers to full parts of the table go ever farther. Of
    /// those in one bucket it is the one whose last window began first; one that was never used is
    /// likely to be used next.
    fn find_idle(&self, searching: &mut Searching, token: u64, at: Instant) -> Option<usize> {
        let policy = self.policies.current();
        let home = self.table.home(token) * ROWS;
        let mut visited = 0;
        let look = |rows: Range<usize>| {
            let begin = if rows.contains(&home) {
                home
            } else {
                rows.start
            };
            let mut earliest = u64::MAX;
            for place in (begin..rows.end).chain(rows.start..begin) {
                visited += 1;
                let Some(moment) = self.evictable_from(policy, place, at) else {
                    continue;
                };
                if moment <= at.as_millis() {
                    return Ok(self.longest_idle(policy, place, at));
                }
                earliest = earliest.min(moment);
            }
            Err(earliest)
        };
        let wakes = &self.token_wakes;
        let found = searching.tokens.search(wakes, home, at.as_millis(), look);
        self.searched.fetch_add(visited, Ordering::Relaxed);
        found
    }

    /// The earliest moment at which a row may be evicted, `None` of one that is vacant or pinned.
    fn evictable_from(&self, policy: &Policy, place: usize, at: Instant) -> Option<u64> {
        let row = self.table.row(place)?;
        if row.head.id.load(Ordering::Acquire) == 0 || row.lease().terms().is_pinned() {
            return None;
        }
        let (window, abuse) = words(row);
        if rules::is_idle_token(policy, window, abuse, at) {
            return Some(0);
        }
        let from = rules::idle_from(policy, window, abuse, at).as_millis();
        Some(from.max(at.as_millis() + 1))
    }

    /// Of the idle rows in a row's bucket, the one whose last window began first.
    fn longest_idle(&self, policy: &Policy, place: usize, at: Instant) -> usize {
        let bucket = place / ROWS * ROWS;
        let idle = (bucket..bucket + ROWS)
            .filter(|&place| self.evictable_from(policy, place, at) == Some(0));
        let began = |place: &usize| {
            let window = words(self.table.row(*place)?).0;
            window.is_open().then(|| window.start())
        };
        idle.min_by_key(|place| began(place).unwrap_or(Instant::MAX))
            .unwrap_or(place)
    }

    /// Takes the row of a user whose token is near the home of the new one, if there is one that may
    /// be taken over: for the reason that [`Concurrent::find_idle`] has.
    fn find_seat_near(&self, wanted: &Wanted<'_>, gone: &mut Gone) -> Option<Seat> {
        let policy = self.policies.current();
        let home = self.table.home(wanted.token.as_u64()) * ROWS;
        let rows = self.table.rows();
        let mut visited = 0;
        let mut places = (home..rows).chain(0..home).take(NEAR);
        let found = places.find_map(|place| {
            visited += 1;
            if self.evictable_from(policy, place, wanted.at) != Some(0) {
                return None;
            }
            let mut registering = Registering::begin(self);
            let row = self.table.row(place)?;
            // A vacant row is of no user: it has the place 0.
            if row.head.id.load(Ordering::Acquire) == 0 {
                return None;
            }
            let seat = row.lease().user();
            let moment = registering.free_from(seat, wanted, None, &mut visited);
            if moment > wanted.at.as_millis() {
                return None;
            }
            registering.take_seat(seat, wanted, gone)
        });
        self.searched.fetch_add(visited, Ordering::Relaxed);
        found
    }

    /// Finds a user's row that may be taken over (T2), and takes it.
    fn find_seat(
        &self,
        searching: &mut Searching,
        wanted: &Wanted<'_>,
        gone: &mut Gone,
    ) -> Option<Seat> {
        let at = wanted.at.as_millis();
        if searching.refills != wanted.refills {
            searching.refills = wanted.refills;
            searching.users.forget_all();
        }
        // A revoked token may leave the very row that its new user can have.
        let mut registering = Registering::begin(self);
        if let Some(seat) = registering.take_own_seat(wanted, gone) {
            return Some(seat);
        }
        drop(registering);
        if !searching.users.is_due(&self.user_wakes, at) {
            return None;
        }
        let near = self.find_seat_near(wanted, gone);
        if near.is_some() {
            return near;
        }
        let (mut visited, mut hand) = (0, searching.hand);
        let look = |places: Range<usize>| {
            let mut registering = Registering::begin(self);
            let mut earliest = u64::MAX;
            for place in places {
                hand = place;
                let place = u32::try_from(place).unwrap_or(u32::MAX);
                let moment = registering.free_from(place, wanted, None, &mut visited);
                if moment <= at
                    && let Some(seat) = registering.take_seat(place, wanted, gone)
                {
                    return Ok(seat);
                }
                earliest = earliest.min(moment);
            }
            Err(earliest)
        };
        let from = searching.hand;
        let found = searching.users.search(&self.user_wakes, from, at, look);
        searching.hand = hand;
        self.searched.fetch_add(visited, Ordering::Relaxed);
        found
    }
}

/// Rows near the home of a new token among which a user is looked for who may go with its tokens.
const NEAR: usize = 64;

/// The registry's lock, and what is looked at under it.
pub(super) struct Registering<'a> {
    limiter: &'a Concurrent,
    registry: MutexGuard<'a, Registry>,
    policy: &'a Policy,
}

impl<'a> Registering<'a> {
    pub(super) fn begin(limiter: &'a Concurrent) -> Self {
        let registry = lock(&limiter.registry);
        Self {
            limiter,
            registry,
            policy: limiter.policies.current(),
        }
    }

    /// Registers a token for which nothing has to go; `None` if something does.
    pub(super) fn at_once(
        &mut self,
        token: TokenId,
        registration: &Registration,
    ) -> Option<Result<Registered, RegisterError>> {
        let limit = match registration.limit.permits(self.policy, registration.kind) {
            Ok(limit) => limit,
            Err(error) => return Some(Err(error.into())),
        };
        let terms = Terms::new(registration, limit);
        if let Some(place) = self.limiter.table.position(token.as_u64()) {
            return self.again(place, registration, terms);
        }
        if self.registry.occupied >= self.limiter.tokens {
            return None;
        }
        let user = self.room_for_user(registration)?;
        Some(self.seat(user, token, registration, terms))
    }

    /// The place of a user, or one that was never used.
    fn room_for_user(&self, registration: &Registration) -> Option<u32> {
        let users = &self.registry.users;
        users
            .find(registration.user.as_u64())
            .or_else(|| users.unused())
    }

    /// Registers a token whose row is still there, live or revoked; `None` if it needs a user's row.
    fn again(
        &mut self,
        place: usize,
        registration: &Registration,
        terms: Terms,
    ) -> Option<Result<Registered, RegisterError>> {
        let row = self.limiter.table.row(place)?;
        let lease = row.lease();
        let revoked = lease.terms().is_revoked();
        let user = registration.user.as_u64();
        if !revoked && lease.terms().kind() != registration.kind {
            return Some(Err(RegisterError::OtherKind));
        }
        if self.registry.users.id(lease.user()) == user {
            row.set_lease(lease.with_terms(terms));
            if lease.terms().is_pinned() && !terms.is_pinned() {
                self.wake(place);
            }
        } else {
            if !revoked {
                return Some(Err(RegisterError::OtherUser));
            }
            let seat = self.room_for_user(registration)?;
            self.leave_user(place, row);
            self.join_user(seat, user, place, terms);
        }
        Some(Ok(if revoked {
            Registered::Resumed
        } else {
            Registered::Updated
        }))
    }

    /// Takes a row from its old user.
    fn leave_user(&mut self, place: usize, row: Row<'_>) {
        // Whoever decides on this row now finds afterwards that it was not the old user's.
        let lease = row.lease();
        row.set_lease(lease.in_tenancy(lease.tenancy() + 1));
        self.registry.users.drop_token(lease.user(), place);
        self.limiter.user_wakes.wake(lease.user() as usize);
    }

    /// Gives a row to a user, whose place is free or its own.
    fn join_user(&mut self, seat: u32, user: u64, place: usize, terms: Terms) {
        if self.registry.users.id(seat) != user {
            self.registry.users.enter(seat, user);
        }
        self.registry.users.add_token(seat, place);
        if let Some(row) = self.limiter.table.row(place) {
            row.set_lease(Lease::new(terms, seat, row.lease().tenancy()));
        }
        self.wake(place);
    }

    /// Gives a new token a vacant row, and its user the place, which is free or its own.
    fn seat(
        &mut self,
        seat: u32,
        token: TokenId,
        registration: &Registration,
        terms: Terms,
    ) -> Result<Registered, RegisterError> {
        let user = registration.user.as_u64();
        let place = self.limiter.table.insert(token.as_u64(), terms, seat);
        let place = place.ok_or(RegisterError::TableFull)?;
        if self.registry.users.id(seat) != user {
            self.registry.users.enter(seat, user);
        }
        self.registry.users.add_token(seat, place);
        self.registry.occupied += 1;
        self.wake(place);
        Ok(Registered::New)
    }

    /// The earliest moment at which a user's row may be taken over; the end of time if that takes
    /// another accounting day. The token `but` leaves the user.
    fn free_from(
        &self,
        place: u32,
        wanted: &Wanted<'_>,
        but: Option<usize>,
        visited: &mut u64,
    ) -> u64 {
        *visited += 1;
        let user = self.limiter.users.get(place as usize);
        if !user.is_some_and(|user| user.is_unused(self.policy, wanted.refills)) {
            return u64::MAX;
        }
        for row in self.registry.users.tokens(place) {
            if Some(row) == but {
                continue;
            }
            *visited += 1;
            let moment = self.limiter.evictable_from(self.policy, row, wanted.at);
            let moment = moment.unwrap_or(u64::MAX);
            if moment > wanted.at.as_millis() {
                return moment;
            }
        }
        0
    }

    /// Takes the row of the user whose token is resumed by another user, if that may be taken over.
    fn take_own_seat(&mut self, wanted: &Wanted<'_>, gone: &mut Gone) -> Option<Seat> {
        let own = self.limiter.table.position(wanted.token.as_u64())?;
        let seat = self.limiter.table.row(own)?.lease().user();
        let moment = self.free_from(seat, wanted, Some(own), &mut 0);
        if moment > wanted.at.as_millis() {
            return None;
        }
        self.take_seat(seat, wanted, gone)
    }

    /// Gives the row of a user who is free to the new user, and a row to the token; `None` if one
    /// of the rows is used at this very moment.
    fn take_seat(&mut self, seat: u32, wanted: &Wanted<'_>, gone: &mut Gone) -> Option<Seat> {
        let own = self.limiter.table.position(wanted.token.as_u64());
        let is_full = self.registry.occupied >= self.limiter.tokens;
        if own.is_none() && is_full && self.registry.users.tokens(seat).next().is_none() {
            return Some(Seat::NeedsToken);
        }
        let mut left = None;
        loop {
            let mut tokens = self.registry.users.tokens(seat);
            let next = tokens.find(|&place| Some(place) != own);
            drop(tokens);
            match next {
                Some(place) if self.evict(place, wanted.at, gone) => {}
                Some(_) => return None,
                None => break,
            }
        }
        // The token itself may be the last of that user.
        if let Some(place) = own
            && let Some(row) = self.limiter.table.row(place)
            && row.lease().user() == seat
        {
            self.leave_user(place, row);
            left = Some(place);
        }
        let stands = self.limiter.calendar.calendar().refills();
        let user = self.limiter.users.get(seat as usize);
        if !user.is_some_and(|user| user.take_over(self.policy, wanted.refills, stands)) {
            if let Some(place) = left {
                self.registry.users.add_token(seat, place);
            }
            return None;
        }
        self.registry
            .users
            .enter(seat, wanted.registration.user.as_u64());
        self.registry.evicted_users += 1;
        if let Some(place) = left {
            // With the terms of a revoked token, which it is until it is registered again.
            self.registry.users.add_token(seat, place);
        }
        self.at_once(wanted.token, wanted.registration)
            .map(Seat::Taken)
    }

    /// Takes the row at a place from its token; says no if it is vacant by now, not idle, or used
    /// at this very moment.
    fn evict(&mut self, place: usize, at: Instant, gone: &mut Gone) -> bool {
        let Some(row) = self.limiter.table.row(place) else {
            return false;
        };
        let (token, terms) = (row.head.id.load(Ordering::Relaxed), row.lease().terms());
        if token == 0 || terms.is_pinned() || !self.vacate(place, at) {
            return false;
        }
        self.registry.evicted_tokens += 1;
        if !terms.is_revoked() {
            gone.add(token);
        }
        true
    }

    /// Takes the row at a place from its token, pinned or not; says no if it is not idle, or is used
    /// at this very moment.
    pub(super) fn vacate(&mut self, place: usize, at: Instant) -> bool {
        let table = &self.limiter.table;
        let Some(row) = table.row(place) else {
            return false;
        };
        let (token, lease) = (row.head.id.load(Ordering::Relaxed), row.lease());
        let policy = self.policy;
        if !row.vacate(|window, abuse| rules::is_idle_token(policy, window, abuse, at)) {
            return false;
        }
        table.shorten_reach(table.home(token));
        self.registry.users.drop_token(lease.user(), place);
        self.registry.occupied -= 1;
        self.limiter.user_wakes.wake(lease.user() as usize);
        true
    }

    /// Says that the token at a place, and with it its user, may go sooner than was known.
    pub(super) fn wake(&self, place: usize) {
        self.limiter.token_wakes.wake(place);
        if let Some(row) = self.limiter.table.row(place) {
            self.limiter.user_wakes.wake(row.lease().user() as usize);
        }
    }
}

impl Gone {
    fn add(&mut self, token: u64) {
        let Some(token) = NonZeroU64::new(token) else {
            return;
        };
        if self.first.is_none() {
            self.first = Some(TokenId::from_hash(token));
        } else {
            self.others = self.others.saturating_add(1);
        }
    }

    /// The result of a registration, with the tokens that were evicted for it.
    fn named(&self, registered: Registered) -> Registered {
        match (registered, self.first) {
            (Registered::New, Some(token)) => Registered::NewInPlaceOf {
                token,
                others: self.others,
            },
            _ => registered,
        }
    }
}

fn words(row: Row<'_>) -> (Window, Abuse) {
    let window = row.state.window.load(Ordering::Acquire);
    let abuse = row.state.abuse.load(Ordering::Acquire);
    (Window::from_bits(window), Abuse::from_bits(abuse))
}
