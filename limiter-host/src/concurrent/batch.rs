//! Decisions that do not wait for memory: many at once, or one whose row was touched early.

use super::Concurrent;
use limiter_core::{Decision, Now, Request, TokenId};

/// A token whose row was touched, on its way to the processor. See [`Concurrent::locate`].
///
/// It stays right whatever becomes of the token meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    token: TokenId,
}

impl Located {
    /// The token.
    #[must_use]
    pub fn token(self) -> TokenId {
        self.token
    }
}

impl Concurrent {
    /// Finds out where a token's row is and asks the processor for it, without waiting: say when
    /// the header is parsed. [`Concurrent::check_located`] then finds it at hand.
    #[inline]
    #[must_use]
    pub fn locate(&self, token: TokenId) -> Located {
        self.table.touch(self.table.home(token.as_u64()));
        Located { token }
    }

    /// Decides a request as [`Concurrent::check`] does; the token is the located one, whatever the
    /// request says.
    #[inline]
    pub fn check_located(&self, located: Located, request: &Request, now: Now) -> Decision {
        let request = Request {
            token: Some(located.token),
            ..*request
        };
        self.check(&request, now)
    }

    /// Decides requests one after the other, as [`Concurrent::check`] would, and hands each
    /// decision to `decided` with the request's index.
    ///
    /// Rows are touched some requests ahead, so that their memory is on its way while others are
    /// decided: with a million tokens this takes a fraction of the time.
    #[inline]
    pub fn check_many(
        &self,
        requests: &[Request],
        now: Now,
        mut decided: impl FnMut(usize, Decision),
    ) {
        let touch = |request: &Request| {
            if let Some(token) = request.token {
                self.table.touch(self.table.home(token.as_u64()));
            }
        };
        requests.iter().take(AHEAD).for_each(touch);
        for (index, request) in requests.iter().enumerate() {
            if let Some(later) = requests.get(index + AHEAD) {
                touch(later);
            }
            decided(index, self.check(request, now));
        }
    }
}

/// Requests whose rows are touched ahead: as many as a core can wait for at once, and a few.
const AHEAD: usize = 16;
