//! A limiter that reserves ahead, with a storage that works at once, as an implementation under
//! test: it must decide like any other. And with one that fails.

use limiter_core::{
    Decision, HashKey, Instant, Now, OffTime, OnLostState, Outage, Policy, PolicyError, Receipt,
    Refunded, RegisterError, Registered, Registration, Request, Reserve, Reserved, Statistics,
    TokenId, TokenLimit, UpdateError, Verdict,
};
use limiter_suite::{LosesState, Restarts, Subject};

pub(crate) const KEY: HashKey = HashKey::new(*b"provisioned once");

/// A limiter whose every image is stored.
#[derive(Clone, Debug)]
pub(crate) struct Metered<const TOKENS: usize, const USERS: usize> {
    inner: Reserved<TOKENS, USERS>,
    stored: Vec<u8>,
}

impl<const TOKENS: usize, const USERS: usize> Metered<TOKENS, USERS> {
    pub(crate) fn with_reserve(policy: Policy, reserve: Reserve) -> Self {
        Self {
            inner: Reserved::new(policy, reserve),
            stored: Vec::new(),
        }
    }

    /// The last image that was stored.
    pub(crate) fn stored(&self) -> &[u8] {
        &self.stored
    }

    fn write(&mut self, now: Now) {
        let buffer = vec![0; self.inner.limiter().snapshot_size()];
        let draft = self.inner.draft(&KEY, buffer, now.monotonic()).unwrap();
        self.stored = draft.bytes().to_vec();
        self.inner.stored(draft);
    }
}

impl<const TOKENS: usize, const USERS: usize> Subject for Metered<TOKENS, USERS> {
    const TOKENS: usize = TOKENS;
    const USERS: usize = USERS;

    fn new(policy: Policy) -> Self {
        let ahead = core::num::NonZeroU32::new(3).unwrap();
        Self::with_reserve(
            policy,
            Reserve {
                ahead,
                ..Reserve::DEFAULT
            },
        )
    }

    fn check(&mut self, request: &Request, now: Now) -> Decision {
        let mut verdict = self.inner.check(request, now);
        loop {
            match verdict {
                Verdict::Decided { decision, due } => {
                    if due.is_some() {
                        self.write(now);
                    }
                    return decision;
                }
                Verdict::WriteFirst(_) => {
                    self.write(now);
                    verdict = self.inner.check_again(request, now);
                }
            }
        }
    }

    fn refuse_for(&mut self, request: &Request, outage: Outage) -> Decision {
        self.inner.refuse_for(request, outage)
    }

    fn check_with_failed_clock(&mut self, request: &Request) -> Decision {
        self.inner.refuse_for(request, Outage::ClockFailed)
    }

    fn peek(&self, request: &Request, now: Now) -> Decision {
        self.inner.peek(request, now)
    }

    fn refund(&mut self, receipt: Receipt, now: Now) -> Refunded {
        self.inner.refund(receipt, now)
    }

    fn register(
        &mut self,
        token: TokenId,
        registration: Registration,
        now: Now,
    ) -> Result<Registered, RegisterError> {
        self.inner.register(token, registration, now)
    }

    fn update(&mut self, token: TokenId, limit: TokenLimit) -> Result<(), UpdateError> {
        self.inner.update(token, limit)
    }

    fn revoke(&mut self, token: TokenId, now: Now) -> bool {
        self.inner.revoke(token, now)
    }

    fn unblock(&mut self, token: TokenId) -> Result<(), UpdateError> {
        self.inner.unblock(token)
    }

    fn set_policy(&mut self, policy: Policy) -> Result<(), PolicyError> {
        self.inner.set_policy(policy)
    }

    fn next_reset(&self, token: TokenId, now: Instant) -> Option<Instant> {
        self.inner.limiter().next_reset(token, now)
    }

    fn statistics(&self) -> Statistics {
        self.inner.limiter().statistics()
    }

    fn accounting_day(&self) -> (Option<u32>, u32) {
        let calendar = self.inner.limiter().calendar();
        (calendar.day(), calendar.refills())
    }
}

impl<const TOKENS: usize, const USERS: usize> Restarts for Metered<TOKENS, USERS> {
    fn restarted(
        &self,
        policy: Policy,
        off_time: OffTime,
        before: Instant,
        after: Instant,
    ) -> Self {
        let mut this = self.clone();
        let buffer = vec![0; this.inner.limiter().snapshot_size()];
        let draft = this.inner.last_draft(&KEY, buffer, before).unwrap();
        let mut restarted = Self::new(policy);
        let restored = restarted
            .inner
            .restore(&KEY, draft.bytes(), off_time, after);
        restored.expect("what was written is whole, and fits");
        restarted
    }
}

impl<const TOKENS: usize, const USERS: usize> LosesState for Metered<TOKENS, USERS> {
    fn begun_without_state(policy: Policy) -> Self {
        let mut begun = Self::new(policy);
        begun.inner.lose_state(OnLostState::Refuse);
        begun
    }
}
