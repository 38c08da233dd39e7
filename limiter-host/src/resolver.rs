//! Tokens that are looked up when they are first seen, so that credentials stay where you keep them.
//!
//! [`Resolver`] asks by a future, [`BlockingResolver`] by a call. Both stand before a limiter and go
//! into a [`LimiterLayer`](crate::LimiterLayer) in its place:
//!
//! 1. A token that the limiter knows is decided by it, as without a resolver.
//! 2. A credential that it does not know is looked up. All who show it meanwhile wait for that one
//!    look-up, and go on with it if whoever began it hangs up.
//! 3. Found, it is registered, which is how it is remembered, and decided. Absent, that is
//!    remembered for a while ([`Lookups::absent_for`]) and answered 401. A table without room is
//!    answered 503 `table_full`, for a second without another look-up ([`Lookups::full_for`]). A
//!    store that failed is answered 503 `store_failed`.
//!
//! Only ids are remembered, never credentials. What is remembered has a fixed size.
//!
//! # Load on the store
//!
//! - At most [`Lookups::at_once`] look-ups are under way, and [`Lookups::per_caller`] of one caller;
//!   a request that would begin another is answered 503 at once. A caller is what the host names as
//!   one ([`LimiterLayer::caller`](crate::LimiterLayer::caller)), an address most often. Requests of
//!   which it names none share all places.
//! - A look-up that takes longer than [`Lookups::timeout`] has failed, and its place is free.
//! - After a failure its credential is looked up again a second later at the earliest, then after 2 s,
//!   4 s, and so on to 30 s. A caller of whom four look-ups failed in a row, each of another
//!   credential, waits the same way, unless the store fails for others too. After sixteen failures in
//!   a row of whatever caller the store has failed: it is tried by one look-up at a time, after
//!   250 ms, then 500 ms, 1 s, and every 2 s. The first answer ends all these waits. Meanwhile
//!   requests that need a look-up are answered 503 at once.
//!
//! So a store that is down costs each caller of an unknown token a 503 without delay, is asked once in
//! two seconds, and is in use again two seconds after it is well, at the latest.
//!
//! With [`Lookups::again_after`] a token is looked up again after a time, so that a change of its
//! plan, or its end, is noticed. A store that fails then changes nothing: the token stays as it was
//! known, and is looked up again a second later, or after the longer waits above.
//!
//! Each request of an unknown token begins with a decision of the limiter's, and so counts in its
//! statistics as one refusal `unauthenticated` more than callers saw; the layer's hook sees what
//! callers see.
//!
//! ```
//! use limiter_host::core::{HashKey, Kind, Plan, Policy, Registration};
//! use limiter_host::{LimiterLayer, Locked, Lookups, Resolver, SharedClock};
//! use std::sync::Arc;
//!
//! # async fn row_of(credential: &[u8]) -> Result<Option<String>, std::io::Error> {
//! #     let _ = credential;
//! #     Ok(None)
//! # }
//! let (key, clock) = (HashKey::new(*b"from the OS, say"), SharedClock::system());
//! let limiter = Arc::new(Locked::new(Policy::pipedrive(), 10_000, 10_000));
//! let users = key.clone();
//! let resolver = Resolver::new(limiter, clock.clone(), Lookups::default(), move |shown| {
//!     let users = users.clone();
//!     async move {
//!         let user = row_of(shown.credential()).await?; // your database
//!         let plan = |user: String| {
//!             Registration::new(users.user(user.as_bytes()), Kind::ApiToken, Plan::ADVANCED)
//!         };
//!         Ok::<_, std::io::Error>(user.map(plan))
//!     }
//! });
//! let layer = LimiterLayer::new(Arc::new(resolver), key, clock);
//! # let _ = layer;
//! ```

mod awaiting;
mod backoff;
mod blocking;
mod expiring;
mod flights;
mod known;

pub use self::awaiting::{Looking, Resolver};
pub use self::blocking::BlockingResolver;
pub use self::known::LookupCounts;

use limiter_core::TokenId;
use std::fmt;
use std::time::Duration;

/// The settings of look-ups: their number, their length, and what is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookups {
    at_once: usize,
    per_caller: usize,
    timeout: Duration,
    absent_for: Duration,
    absent: usize,
    full_for: Duration,
    again_after: Option<(Duration, usize)>,
}

impl Default for Lookups {
    /// At most 64 at once, 8 of one caller, of 5 s each; that a token is absent is remembered for 10 s,
    /// of some 4096 tokens, and that the table is full for 1 s; a token that was found is not looked
    /// up again while the limiter knows it.
    fn default() -> Self {
        Self {
            at_once: 64,
            per_caller: 8,
            timeout: Duration::from_secs(5),
            absent_for: Duration::from_secs(10),
            absent: 4_096,
            full_for: Duration::from_secs(1),
            again_after: None,
        }
    }
}

impl Lookups {
    /// The most look-ups under way, at least 1.
    #[must_use]
    pub const fn at_once(mut self, lookups: usize) -> Self {
        self.at_once = if lookups == 0 { 1 } else { lookups };
        self
    }

    /// The most look-ups under way that one caller began, at least 1.
    #[must_use]
    pub const fn per_caller(mut self, lookups: usize) -> Self {
        self.per_caller = if lookups == 0 { 1 } else { lookups };
        self
    }

    /// The longest that a look-up may take; one that takes longer has failed.
    ///
    /// The time is measured by the limiter's clock where another request needs the place of a look-up,
    /// and by a timer for those that wait for it: tokio's for a [`Resolver`], or what
    /// [`Resolver::sleep_by`] is given. A [`BlockingResolver`] cannot end a call; the threads that
    /// wait for the one that makes it are answered after this time.
    #[must_use]
    pub const fn timeout(mut self, length: Duration) -> Self {
        self.timeout = length;
        self
    }

    /// The time in which a token that had no room in the table is answered so without a look-up.
    #[must_use]
    pub const fn full_for(mut self, length: Duration) -> Self {
        self.full_for = length;
        self
    }

    fn room(&self) -> flights::Room {
        flights::Room {
            most: self.at_once,
            per_caller: self.per_caller,
            timeout_ms: known::millis(self.timeout),
        }
    }

    /// For how long, and of how many tokens, it is remembered that they are absent. Beyond that
    /// number the ones that are forgotten soonest go. 16 bytes a token; a length of 0 remembers
    /// none.
    #[must_use]
    pub const fn absent_for(mut self, length: Duration, tokens: usize) -> Self {
        (self.absent_for, self.absent) = (length, tokens);
        self
    }

    /// Looks a known token up again when its last look-up is that long ago: the longest that a
    /// revoked token can be used. Then also tokens that were registered without a look-up are looked
    /// up when they are seen, for the store decides who is known.
    ///
    /// `tokens` is of how many the time is remembered, 16 bytes each: as many as the limiter has
    /// rows, twice that for few early look-ups. A decision costs a lock and a few comparisons more.
    #[must_use]
    pub const fn again_after(mut self, length: Duration, tokens: usize) -> Self {
        self.again_after = Some((length, tokens));
        self
    }
}

/// A credential that is not known, as your look-up gets it. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown {
    token: TokenId,
    credential: Box<[u8]>,
}

impl Shown {
    /// Its id, under which it will be registered.
    #[must_use]
    pub const fn token(&self) -> TokenId {
        self.token
    }

    /// The bytes that the request showed.
    #[must_use]
    pub fn credential(&self) -> &[u8] {
        &self.credential
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shown").field(&self.token).finish()
    }
}

#[cfg(test)]
mod tests;
