//! What an implementation has to offer to be tested.

use limiter_core::{
    Decision, HashKey, Instant, Limiter, Now, OffTime, Outage, Policy, PolicyError, Receipt,
    Refunded, RegisterError, Registered, Registration, Request, Statistics, TokenId, TokenLimit,
    UpdateError,
};

/// An implementation under test. The methods are those of [`Limiter`].
#[expect(missing_docs, reason = "the names and meanings are those of `Limiter`")]
pub trait Subject {
    /// Rows for tokens.
    const TOKENS: usize;
    /// Rows for users.
    const USERS: usize;

    fn new(policy: Policy) -> Self;
    fn check(&mut self, request: &Request, now: Now) -> Decision;
    fn refuse_for(&mut self, request: &Request, outage: Outage) -> Decision;
    /// Decides with a clock that cannot be read.
    fn check_with_failed_clock(&mut self, request: &Request) -> Decision;
    fn peek(&self, request: &Request, now: Now) -> Decision;
    fn refund(&mut self, receipt: Receipt, now: Now) -> Refunded;
    fn register(
        &mut self,
        token: TokenId,
        registration: Registration,
        now: Now,
    ) -> Result<Registered, RegisterError>;
    fn update(&mut self, token: TokenId, limit: TokenLimit) -> Result<(), UpdateError>;
    fn revoke(&mut self, token: TokenId, now: Now) -> bool;
    fn unblock(&mut self, token: TokenId) -> Result<(), UpdateError>;
    fn set_policy(&mut self, policy: Policy) -> Result<(), PolicyError>;
    fn next_reset(&self, token: TokenId, now: Instant) -> Option<Instant>;
    fn statistics(&self) -> Statistics;
    /// The calendar's UTC day, and how often it has advanced.
    fn accounting_day(&self) -> (Option<u32>, u32);
}

/// A subject that can be restarted from its image.
pub trait Restarts: Subject {
    /// Makes an image of the subject at `before` and goes on from it at `after`, knowing no token.
    #[must_use]
    fn restarted(&self, policy: Policy, off_time: OffTime, before: Instant, after: Instant)
    -> Self;
}

/// A subject that can begin without an image where there should be one.
pub trait LosesState: Restarts {
    /// Begins so (R5, policy `refuse`).
    #[must_use]
    fn begun_without_state(policy: Policy) -> Self;
}

/// A subject that tells who has a row, without a change.
pub trait TellsRows: Subject {
    /// Whether a token has a row, live or revoked; the registration is the token's.
    fn has_row(&self, token: TokenId, registration: Registration, now: Now) -> bool;
}

impl<S: Subject + Clone> TellsRows for S {
    fn has_row(&self, token: TokenId, registration: Registration, now: Now) -> bool {
        // Registering would not be new.
        let given = self.clone().register(token, registration, now);
        matches!(given, Ok(Registered::Updated | Registered::Resumed))
    }
}

impl<const TOKENS: usize, const USERS: usize> Subject for Limiter<TOKENS, USERS> {
    const TOKENS: usize = TOKENS;
    const USERS: usize = USERS;

    fn new(policy: Policy) -> Self {
        Self::new(policy)
    }

    fn check(&mut self, request: &Request, now: Now) -> Decision {
        self.check(request, now)
    }

    fn refuse_for(&mut self, request: &Request, outage: Outage) -> Decision {
        self.refuse_for(request, outage)
    }

    fn check_with_failed_clock(&mut self, request: &Request) -> Decision {
        let clock = limiter_core::clock::TestClock::new(0, None);
        clock.fail_with(Some(limiter_core::clock::ClockError::Failed));
        self.check_with(request, &mut &clock)
    }

    fn peek(&self, request: &Request, now: Now) -> Decision {
        self.peek(request, now)
    }

    fn refund(&mut self, receipt: Receipt, now: Now) -> Refunded {
        self.refund(receipt, now)
    }

    fn register(
        &mut self,
        token: TokenId,
        registration: Registration,
        now: Now,
    ) -> Result<Registered, RegisterError> {
        self.register(token, registration, now)
    }

    fn update(&mut self, token: TokenId, limit: TokenLimit) -> Result<(), UpdateError> {
        self.update(token, limit)
    }

    fn revoke(&mut self, token: TokenId, now: Now) -> bool {
        self.revoke(token, now)
    }

    fn unblock(&mut self, token: TokenId) -> Result<(), UpdateError> {
        self.unblock(token)
    }

    fn set_policy(&mut self, policy: Policy) -> Result<(), PolicyError> {
        self.set_policy(policy)
    }

    fn next_reset(&self, token: TokenId, now: Instant) -> Option<Instant> {
        self.next_reset(token, now)
    }

    fn statistics(&self) -> Statistics {
        self.statistics()
    }

    fn accounting_day(&self) -> (Option<u32>, u32) {
        (self.calendar().day(), self.calendar().refills())
    }
}

impl<const TOKENS: usize, const USERS: usize> Restarts for Limiter<TOKENS, USERS> {
    fn restarted(
        &self,
        policy: Policy,
        off_time: OffTime,
        before: Instant,
        after: Instant,
    ) -> Self {
        let mut image = vec![0; self.snapshot_size()];
        let written = self.snapshot(&KEY, 1, &mut image, before);
        assert_eq!(written, Ok(image.len()), "the image fits its size");
        let mut restarted = Self::new(policy);
        let restored = restarted.restore(&KEY, &image, off_time, after);
        restored.expect("what was written is whole, and fits");
        restarted
    }
}

const KEY: HashKey = HashKey::new([7; 16]);
