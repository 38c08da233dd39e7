//! The limiter for threads that may wait: configuration files, and programs without asynchronous
//! code.

use super::{ManageError, RedisLimiter};
use crate::decide::Decide;
use crate::manage::Manage;
use limiter_core::{
    Decision, Now, Outage, Policy, PolicyError, Receipt, Refunded, RegisterError, Registered,
    Registration, Request, TokenId, TokenLimit, UpdateError,
};
use std::fmt;
use tokio::runtime::Handle;

/// A [`RedisLimiter`] whose every operation waits for its end, on a runtime that others drive.
///
/// With it a `config::LiveConfig` keeps a shared limiter at what a file says. Call it from threads
/// that are not the runtime's: within an asynchronous task it panics.
#[derive(Clone)]
pub struct Blocking {
    limiter: RedisLimiter,
    runtime: Handle,
}

impl Blocking {
    /// The limiter, asked by way of this runtime.
    #[must_use]
    pub const fn new(limiter: RedisLimiter, runtime: Handle) -> Self {
        Self { limiter, runtime }
    }
}

impl Decide for Blocking {
    fn check(&self, request: &Request, now: Now) -> Decision {
        self.runtime.block_on(self.limiter.check(request, now))
    }

    fn refuse_for(&self, request: &Request, outage: Outage) -> Decision {
        self.limiter.refuse_for(request, outage)
    }

    /// Gives nothing back that cannot be given back since the store cannot be used.
    fn refund(&self, receipt: Receipt, now: Now) -> Refunded {
        let refunded = self.runtime.block_on(self.limiter.refund(receipt, now));
        refunded.unwrap_or(Refunded {
            window: 0,
            daily: 0,
        })
    }

    fn policy(&self) -> Policy {
        self.limiter.policy()
    }
}

impl Manage for Blocking {
    /// As [`RedisLimiter::register`]; where the store is needed and cannot be used, the token stays
    /// another user's.
    fn register(
        &self,
        token: TokenId,
        registration: Registration,
        _: Now,
    ) -> Result<Registered, RegisterError> {
        let registered = self.limiter.register(token, registration);
        match self.runtime.block_on(registered) {
            Ok(registered) => Ok(registered),
            Err(ManageError::Refused(error)) => Err(error),
            Err(ManageError::Store(_)) => Err(RegisterError::OtherUser),
        }
    }

    fn update(&self, token: TokenId, limit: TokenLimit) -> Result<(), UpdateError> {
        self.limiter.update(token, limit)
    }

    fn revoke(&self, token: TokenId, now: Now) -> bool {
        self.runtime.block_on(self.limiter.revoke(token, now))
    }

    /// As [`RedisLimiter::set_policy`], but where the store cannot be used the policy comes into
    /// force all the same: strikes that are forgiven by now then count again if the new policy
    /// remembers longer.
    fn set_policy(&self, policy: Policy) -> Result<(), PolicyError> {
        let set = self.limiter.set_policy(policy);
        match self.runtime.block_on(set) {
            Ok(()) => Ok(()),
            Err(ManageError::Refused(error)) => Err(error),
            Err(ManageError::Store(_)) => self.limiter.inner.registry_mut().set_policy(policy),
        }
    }

    fn peek(&self, request: &Request, now: Now) -> Decision {
        self.runtime.block_on(self.limiter.peek(request, now))
    }
}

impl fmt::Debug for Blocking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Blocking(..)")
    }
}
