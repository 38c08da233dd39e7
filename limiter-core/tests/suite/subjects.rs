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
    use limiter_core::clock::{Clock, ClockError};
    use limiter_core::{
        Decision, Instant, Limiter, Now, Outage, Policy, PolicyError, Receipt, Refunded,
        RegisterError, Registered, Registration, Request, Shared, Statistics, TokenId, TokenLimit,
        UpdateError,
    };
    use limiter_suite::Subject;
    use std::cell::Cell;
    use std::rc::Rc;

    /// A limiter that began as zeros, behind a critical section with its clock.
    pub(crate) struct InSection<const TOKENS: usize, const USERS: usize> {
        shared: Shared<Limiter<TOKENS, USERS>, Hand>,
        hand: Hand,
    }

    /// A clock that shows what it was set to.
    #[derive(Clone)]
    struct Hand(Rc<Cell<Result<Now, ClockError>>>);

    impl Clock for Hand {
        fn read(&mut self) -> Result<Now, ClockError> {
            self.0.get()
        }
    }

    impl<const TOKENS: usize, const USERS: usize> InSection<TOKENS, USERS> {
        fn with<R>(&self, f: impl FnOnce(&mut Limiter<TOKENS, USERS>) -> R) -> R {
            self.shared
                .with_limiter(f)
                .expect("no test is inside already")
        }

        fn at<R>(&self, now: Now, f: impl FnOnce(&mut Limiter<TOKENS, USERS>, Now) -> R) -> R {
            self.hand.0.set(Ok(now));
            self.shared
                .with(f)
                .expect("no test is inside already, and the clock works")
        }

        fn decide(&self, request: &Request, reading: Result<Now, ClockError>) -> Decision {
            self.hand.0.set(reading);
            self.shared
                .check(request)
                .expect("no test is inside already")
        }
    }

    impl<const TOKENS: usize, const USERS: usize> Subject for InSection<TOKENS, USERS> {
        const TOKENS: usize = TOKENS;
        const USERS: usize = USERS;

        fn new(policy: Policy) -> Self {
            let hand = Hand(Rc::new(Cell::new(Err(ClockError::NotRunning))));
            let shared = Shared::new();
            shared
                .start(policy, hand.clone())
                .expect("it was not started yet");
            Self { shared, hand }
        }

        fn check(&mut self, request: &Request, now: Now) -> Decision {
            self.decide(request, Ok(now))
        }

        fn refuse_for(&mut self, request: &Request, outage: Outage) -> Decision {
            self.with(|limiter| limiter.refuse_for(request, outage))
        }

        fn check_with_failed_clock(&mut self, request: &Request) -> Decision {
            self.decide(request, Err(ClockError::Failed))
        }

        fn peek(&self, request: &Request, now: Now) -> Decision {
            self.at(now, |limiter, now| limiter.peek(request, now))
        }

        fn refund(&mut self, receipt: Receipt, now: Now) -> Refunded {
            self.at(now, |limiter, now| limiter.refund(receipt, now))
        }

        fn register(
            &mut self,
            token: TokenId,
            registration: Registration,
            now: Now,
        ) -> Result<Registered, RegisterError> {
            self.at(now, |limiter, now| {
                limiter.register(token, registration, now)
            })
        }

        fn update(&mut self, token: TokenId, limit: TokenLimit) -> Result<(), UpdateError> {
            self.with(|limiter| limiter.update(token, limit))
        }

        fn revoke(&mut self, token: TokenId, now: Now) -> bool {
            self.at(now, |limiter, now| limiter.revoke(token, now))
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
