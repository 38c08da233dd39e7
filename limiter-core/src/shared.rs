//! One limiter for the interrupts and threads of one device: a `critical-section` wrapper, and
//! nothing else.

use crate::limiter::LimiterIn;
use core::cell::RefCell;
use core::fmt;
use critical_section::Mutex;

/// A limiter behind a critical section.
///
/// Hash the token *before*: [`crate::HashKey::token`] needs no lock. The section then lasts as
/// long as the closure, for a check some hundred instructions.
///
/// ```
/// use limiter_core::{HashKey, Instant, Limiter, Method, Now, Policy, Reason, Request, Shared};
///
/// static LIMITER: Shared<Limiter<32, 16>> = Shared::new(Limiter::new(Policy::pipedrive()));
///
/// let token = HashKey::new(*b"provisioned once").token(b"a1b2");
/// let now = Now::new(Instant::ZERO, None);
/// let decision = LIMITER.with(|limiter| limiter.check(&Request::new(token, Method::Get), now))?;
/// assert_eq!(decision.reason(), Some(Reason::Unauthenticated));
/// # Ok::<(), limiter_core::Busy>(())
/// ```
pub struct Shared<L> {
    inner: Mutex<RefCell<L>>,
}

impl<L> Shared<L> {
    /// Puts a limiter behind a critical section.
    #[must_use]
    pub const fn new(limiter: L) -> Self {
        Self {
            inner: Mutex::new(RefCell::new(limiter)),
        }
    }

    /// Runs `f` with the limiter, interrupts held off.
    ///
    /// # Errors
    ///
    /// [`Busy`] when the same thread or interrupt is in here already; `f` does not run.
    pub fn with<R>(&self, f: impl FnOnce(&mut L) -> R) -> Result<R, Busy> {
        critical_section::with(
            |section| match self.inner.borrow(section).try_borrow_mut() {
                Ok(mut limiter) => Ok(f(&mut limiter)),
                Err(_) => Err(Busy),
            },
        )
    }
}

impl<T, U> fmt::Debug for Shared<LimiterIn<T, U>> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared(..)")
    }
}

/// The limiter was in use by the very context that asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Busy;

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the limiter is in use further up this call stack")
    }
}

impl core::error::Error for Busy {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limiter::Limiter;
    use crate::policy::Policy;

    #[test]
    fn answers_a_reentrant_use_with_an_error() {
        let shared = Shared::new(Limiter::<1, 1>::new(Policy::pipedrive()));
        let inner = shared.with(|_| shared.with(|_| ()));
        assert_eq!(inner, Ok(Err(Busy)));
        assert_eq!(shared.with(|limiter| limiter.statistics().tokens), Ok(0));
    }
}
