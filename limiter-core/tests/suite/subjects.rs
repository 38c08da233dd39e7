//! The implementations under test.

use limiter_core::Limiter;

/// Room for everybody in a test.
pub(crate) type Roomy = Limiter<64, 32>;

/// Room for four tokens of three users.
pub(crate) type Small = Limiter<4, 3>;

#[cfg(feature = "critical-section")]
pub(crate) use in_section::InSection;

#[cfg(feature = "critical-section")]
mod in_section {
    use limiter_core::{
        Decision, Instant, Limiter, Now, Outage, Policy, PolicyError, Receipt, Refunded,
        RegisterError, Registered, Registration, Request, Shared, Statistics, TokenId, TokenLimit,
        UpdateError,
    };
    use limiter_suite::Subject;

    /// A limiter behind a critical section.
    pub(crate) struct InSection<const TOKENS: usize, const USERS: usize>(
        Shared<Limiter<TOKENS, USERS>>,
    );

    impl<const TOKENS: usize, const USERS: usize> InSection<TOKENS, USERS> {
        fn with<R>(&self, f: impl FnOnce(&mut Limiter<TOKENS, USERS>) -> R) -> R {
            self.0.with(f).expect("no test is inside already")
        }
    }

    impl<const TOKENS: usize, const USERS: usize> Subject for InSection<TOKENS, USERS> {
        const TOKENS: usize = TOKENS;
        const USERS: usize = USERS;

        fn new(policy: Policy) -> Self {
            Self(Shared::new(Limiter::new(policy)))
        }

        fn check(&mut self, request: &Request, now: Now) -> Decision {
            self.with(|limiter| limiter.check(request, now))
        }

        fn refuse_for(&mut self, request: &Request, outage: Outage) -> Decision {
            self.with(|limiter| limiter.refuse_for(request, outage))
        }

        fn check_with_failed_clock(&mut self, request: &Request) -> Decision {
            self.with(|limiter| limiter.check_with_failed_clock(request))
        }

        fn peek(&self, request: &Request, now: Now) -> Decision {
            self.with(|limiter| limiter.peek(request, now))
        }

        fn refund(&mut self, receipt: Receipt, now: Now) -> Refunded {
            self.with(|limiter| limiter.refund(receipt, now))
        }

        fn register(
            &mut self,
            token: TokenId,
            registration: Registration,
            now: Now,
        ) -> Result<Registered, RegisterError> {
            self.with(|limiter| limiter.register(token, registration, now))
        }

        fn update(&mut self, token: TokenId, limit: TokenLimit) -> Result<(), UpdateError> {
            self.with(|limiter| limiter.update(token, limit))
        }

        fn revoke(&mut self, token: TokenId, now: Now) -> bool {
            self.with(|limiter| limiter.revoke(token, now))
        }

        fn unblock(&mut self, token: TokenId) -> Result<(), UpdateError> {
            self.with(|limiter| limiter.unblock(token))
        }

        fn set_policy(&mut self, policy: Policy) -> Result<(), PolicyError> {
            self.with(|limiter| limiter.set_policy(policy))
        }

        fn next_reset(&self, token: TokenId, now: Instant) -> Option<Instant> {
            self.with(|limiter| limiter.next_reset(token, now))
        }

        fn statistics(&self) -> Statistics {
            self.with(|limiter| limiter.statistics())
        }

        fn accounting_day(&self) -> (Option<u32>, u32) {
            self.with(|limiter| limiter.accounting_day())
        }
    }
}
