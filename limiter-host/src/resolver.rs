//! Tokens that are looked up when they are first seen, so that credentials stay where you keep them.
//!
//! [`Resolver`] asks by a future, [`BlockingResolver`] by a call. Both stand before a limiter and go
//! into a [`LimiterLayer`](crate::LimiterLayer) in its place:
//!
//! 1. A token that the limiter knows is decided by it, as without a resolver.
//! 2. A credential that it does not know is looked up. All who show it meanwhile wait for that one
//!    look-up, and go on with it if whoever began it hangs up.
//! 3. Found, it is registered, which is how it is remembered, and decided. Absent, that is
//!    remembered for a while ([`Lookups::absent_for`]) and answered 401. A store that failed is
//!    answered 503 `store_failed` and not remembered; a full table 503 `table_full`.
//!
//! Only ids are remembered, never credentials. What is remembered has a fixed size. At most
//! [`Lookups::at_once`] look-ups are under way; a credential beyond that is answered 503 at once, so
//! a flood of made-up ones does not reach the store with all its force. Give your look-up a time
//! limit of its own: it is waited for as long as it takes.
//!
//! With [`Lookups::again_after`] a token is looked up again after a time, so that a change of its
//! plan, or its end, is noticed. A store that fails then changes nothing: the token goes on as it
//! was known, and is asked for again a second later.
//!
//! Each look-up begins with a decision of the limiter's, and so counts in its statistics as one
//! refusal `unauthenticated` more than callers saw; the layer's hook sees what callers see.
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

/// How look-ups are made and remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookups {
    at_once: usize,
    absent_for: Duration,
    absent: usize,
    again_after: Option<(Duration, usize)>,
}

impl Default for Lookups {
    /// At most 64 at once; that a token is absent is remembered for 10 s, of some 4096 tokens; a
    /// token that was found is not looked up again while the limiter knows it.
    fn default() -> Self {
        Self {
            at_once: 64,
            absent_for: Duration::from_secs(10),
            absent: 4_096,
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
