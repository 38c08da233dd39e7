//! What the code beside a front does to a limiter: makes tokens known and unknown, changes the
//! policy.

use crate::concurrent::Concurrent;
use crate::decide::{Decide, Locked};
use limiter_core::{
    Decision, Now, Policy, PolicyError, RegisterError, Registered, Registration, Request, TokenId,
    TokenLimit, UpdateError,
};

/// A limiter whose tokens and policy are changed through a shared reference.
///
/// Resolvers and configuration files manage limiters through it.
/// [`Locked`] and [`Concurrent`] have these operations as their own, too.
pub trait Manage: Decide {
    /// Makes a token known; see [`LimiterIn::register`](limiter_core::LimiterIn::register).
    ///
    /// # Errors
    ///
    /// [`RegisterError`]; nothing is changed.
    fn register(
        &self,
        token: TokenId,
        registration: Registration,
        now: Now,
    ) -> Result<Registered, RegisterError>;

    /// Changes a token's limit and keeps what is used (P3).
    ///
    /// # Errors
    ///
    /// [`UpdateError`]; nothing is changed.
    fn update(&self, token: TokenId, limit: TokenLimit) -> Result<(), UpdateError>;

    /// Makes a token unknown; says whether it was known (P4).
    fn revoke(&self, token: TokenId, now: Now) -> bool;

    /// Puts another policy in force and keeps what is used (P3).
    ///
    /// # Errors
    ///
    /// [`PolicyError`]; nothing is changed.
    fn set_policy(&self, policy: Policy) -> Result<(), PolicyError>;

    /// What a decision would be, without any change (P1).
    fn peek(&self, request: &Request, now: Now) -> Decision;
}

impl Manage for Locked {
    fn register(
        &self,
        token: TokenId,
        registration: Registration,
        now: Now,
    ) -> Result<Registered, RegisterError> {
        self.with(|limiter| limiter.register(token, registration, now))
    }

    fn update(&self, token: TokenId, limit: TokenLimit) -> Result<(), UpdateError> {
        self.with(|limiter| limiter.update(token, limit))
    }

    fn revoke(&self, token: TokenId, now: Now) -> bool {
        self.with(|limiter| limiter.revoke(token, now))
    }

    fn set_policy(&self, policy: Policy) -> Result<(), PolicyError> {
        self.with(|limiter| limiter.set_policy(policy))
    }

    fn peek(&self, request: &Request, now: Now) -> Decision {
        self.with(|limiter| limiter.peek(request, now))
    }
}

impl Manage for Concurrent {
    fn register(
        &self,
        token: TokenId,
        registration: Registration,
        now: Now,
    ) -> Result<Registered, RegisterError> {
        self.register(token, registration, now)
    }

    fn update(&self, token: TokenId, limit: TokenLimit) -> Result<(), UpdateError> {
        self.update(token, limit)
    }

    fn revoke(&self, token: TokenId, now: Now) -> bool {
        self.revoke(token, now)
    }

    fn set_policy(&self, policy: Policy) -> Result<(), PolicyError> {
        self.set_policy(policy)
    }

    fn peek(&self, request: &Request, now: Now) -> Decision {
        self.peek(request, now)
    }
}
