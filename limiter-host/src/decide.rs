//! What a front (the tower layer, a gateway) needs of a limiter that threads share, and the
//! simplest one: [`Locked`].

use limiter_core::{
    Decision, LimiterIn, Now, Outage, Policy, Receipt, Refunded, Request, TokenRow, UserRow,
};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A limiter that decides through a shared reference.
pub trait Decide {
    /// Decides a request and charges what it admits; see [`LimiterIn::check`].
    fn check(&self, request: &Request, now: Now) -> Decision;

    /// Decides a request that cannot be judged; see [`LimiterIn::refuse_for`].
    fn refuse_for(&self, request: &Request, outage: Outage) -> Decision;

    /// Gives the permits of an admission back; see [`LimiterIn::refund`].
    fn refund(&self, receipt: Receipt, now: Now) -> Refunded;

    /// The policy in force.
    fn policy(&self) -> Policy;
}

impl<D: Decide + ?Sized> Decide for Arc<D> {
    #[inline]
    fn check(&self, request: &Request, now: Now) -> Decision {
        (**self).check(request, now)
    }

    fn refuse_for(&self, request: &Request, outage: Outage) -> Decision {
        (**self).refuse_for(request, outage)
    }

    fn refund(&self, receipt: Receipt, now: Now) -> Refunded {
        (**self).refund(receipt, now)
    }

    fn policy(&self) -> Policy {
        (**self).policy()
    }
}

/// The core's limiter with tables sized at run time.
pub type BoxedLimiter = LimiterIn<Box<[TokenRow]>, Box<[UserRow]>>;

/// A limiter behind one mutex.
///
/// The lock is held for a decision, some tens of nanoseconds, and by a newcomer to a full table for a
/// search: for one pass over the rows, if its user needs the row of another; a newcomer that was
/// refused is refused again without one until a row may be idle. A
/// [`Concurrent`](crate::Concurrent) makes nobody wait for that. A thread that panicked while it held
/// the lock does not poison it: the core's operations do not panic, so the state is whole.
///
/// ```
/// use limiter_host::core::{HashKey, Instant, Method, Now, Policy, Request};
/// use limiter_host::{Decide, Locked};
///
/// let limiter = Locked::new(Policy::pipedrive(), 1_000, 200);
/// let token = HashKey::new([7; 16]).token(b"a1b2c3");
/// let now = Now::new(Instant::ZERO, None);
/// assert_eq!(limiter.check(&Request::new(token, Method::Get), now).status(), Some(401));
/// assert_eq!(limiter.with(|limiter| limiter.statistics().tokens), 0);
/// ```
pub struct Locked {
    inner: Mutex<BoxedLimiter>,
}

impl Locked {
    /// An empty limiter for up to `tokens` tokens of up to `users` users. Both tables are allocated
    /// here, and nothing after that: 32 bytes a token, 24 bytes a user.
    #[must_use]
    pub fn new(policy: Policy, tokens: usize, users: usize) -> Self {
        Self {
            inner: Mutex::new(LimiterIn::with_rows(
                policy,
                vec![TokenRow::VACANT; tokens].into_boxed_slice(),
                vec![UserRow::VACANT; users].into_boxed_slice(),
            )),
        }
    }

    /// Runs `f` with the limiter, all others waiting: for registering, unblocking, statistics.
    pub fn with<R>(&self, f: impl FnOnce(&mut BoxedLimiter) -> R) -> R {
        f(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Decide for Locked {
    #[inline]
    fn check(&self, request: &Request, now: Now) -> Decision {
        self.with(|limiter| limiter.check(request, now))
    }

    fn refuse_for(&self, request: &Request, outage: Outage) -> Decision {
        self.with(|limiter| limiter.refuse_for(request, outage))
    }

    fn refund(&self, receipt: Receipt, now: Now) -> Refunded {
        self.with(|limiter| limiter.refund(receipt, now))
    }

    fn policy(&self) -> Policy {
        self.with(|limiter| *limiter.policy())
    }
}

impl fmt::Debug for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locked(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use limiter_core::{HashKey, Instant, Kind, Method, Plan, Registration};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn decides_on_after_a_thread_panicked_with_the_lock() {
        let limiter = Locked::new(Policy::pipedrive(), 4, 4);
        let panicked = catch_unwind(AssertUnwindSafe(|| limiter.with(|_| panic!("on purpose"))));
        assert!(panicked.is_err());
        assert_eq!(limiter.with(|limiter| limiter.statistics().tokens), 0);
    }

    #[test]
    fn shares_one_limiter_between_threads() {
        let key = HashKey::new([1; 16]);
        let token = key.token(b"t");
        let now = Now::new(Instant::ZERO, None);
        let limiter = Arc::new(Locked::new(Policy::pipedrive(), 4, 4));
        let martin = Registration::new(key.user(b"martin"), Kind::ApiToken, Plan::ADVANCED);
        limiter
            .with(|limiter| limiter.register(token, martin, now))
            .unwrap();
        let admitted: usize = std::thread::scope(|scope| {
            let ask = || {
                let request = Request::new(token, Method::Get);
                let asked = (0..30).map(|_| limiter.check(&request, now));
                asked.filter(Decision::is_admitted).count()
            };
            let threads = [scope.spawn(ask), scope.spawn(ask)];
            threads.map(|thread| thread.join().unwrap()).iter().sum()
        });
        assert_eq!(admitted, 40);
    }
}
