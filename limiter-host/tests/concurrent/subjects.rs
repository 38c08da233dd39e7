//! The implementation under test, alone and in batches.

use limiter_core::{
    Decision, Instant, Now, Outage, Policy, PolicyError, Receipt, Refunded, RegisterError,
    Registered, Registration, Request, Statistics, TokenId, TokenLimit, UpdateError,
};
use limiter_host::Concurrent;
use limiter_suite::{Subject, TellsRows};

/// How a subject asks for a decision.
pub(crate) const CHECK: u8 = 0;
pub(crate) const CHECK_LOCATED: u8 = 1;
pub(crate) const CHECK_MANY: u8 = 2;

/// A [`Concurrent`] with room for so many.
pub(crate) struct Sized<const TOKENS: usize, const USERS: usize, const HOW: u8>(Concurrent);

/// Room for everybody in a test.
pub(crate) type Roomy<const HOW: u8> = Sized<64, 32, HOW>;

/// Room for four tokens of three users.
pub(crate) type Small = Sized<4, 3, CHECK>;

impl<const TOKENS: usize, const USERS: usize, const HOW: u8> Subject for Sized<TOKENS, USERS, HOW> {
    const TOKENS: usize = TOKENS;
    const USERS: usize = USERS;

    fn new(policy: Policy) -> Self {
        Self(Concurrent::new(policy, TOKENS, USERS))
    }

    fn check(&mut self, request: &Request, now: Now) -> Decision {
        match (HOW, request.token) {
            (CHECK_LOCATED, Some(token)) => {
                let located = self.0.locate(token);
                let request = Request {
                    token: None,
                    ..*request
                };
                self.0.check_located(located, &request, now)
            }
            (CHECK_MANY, _) => {
                let mut decisions = Vec::new();
                self.0.check_many(&[*request], now, |index, decision| {
                    decisions.push((index, decision));
                });
                assert_eq!(decisions.len(), 1);
                let (index, decision) = decisions.remove(0);
                assert_eq!(index, 0);
                decision
            }
            _ => self.0.check(request, now),
        }
    }

    fn refuse_for(&mut self, request: &Request, outage: Outage) -> Decision {
        self.0.refuse_for(request, outage)
    }

    fn check_with_failed_clock(&mut self, request: &Request) -> Decision {
        self.0.refuse_for(request, Outage::ClockFailed)
    }

    fn peek(&self, request: &Request, now: Now) -> Decision {
        self.0.peek(request, now)
    }

    fn refund(&mut self, receipt: Receipt, now: Now) -> Refunded {
        self.0.refund(receipt, now)
    }

    fn register(
        &mut self,
        token: TokenId,
        registration: Registration,
        now: Now,
    ) -> Result<Registered, RegisterError> {
        self.0.register(token, registration, now)
    }

    fn update(&mut self, token: TokenId, limit: TokenLimit) -> Result<(), UpdateError> {
        self.0.update(token, limit)
    }

    fn revoke(&mut self, token: TokenId, now: Now) -> bool {
        self.0.revoke(token, now)
    }

    fn unblock(&mut self, token: TokenId) -> Result<(), UpdateError> {
        self.0.unblock(token)
    }

    fn set_policy(&mut self, policy: Policy) -> Result<(), PolicyError> {
        self.0.set_policy(policy)
    }

    fn next_reset(&self, token: TokenId, now: Instant) -> Option<Instant> {
        self.0.next_reset(token, now)
    }

    fn statistics(&self) -> Statistics {
        self.0.statistics()
    }

    fn accounting_day(&self) -> (Option<u32>, u32) {
        (self.0.calendar().day(), self.0.calendar().refills())
    }
}

impl<const TOKENS: usize, const USERS: usize, const HOW: u8> TellsRows
    for Sized<TOKENS, USERS, HOW>
{
    fn has_row(&self, token: TokenId, _: Registration, now: Now) -> bool {
        let mut rows = self.0.rows(now.monotonic());
        rows.any(|row| row.token == token)
    }
}
