//! A share of every limit, decided here while the store cannot be used.

use crate::concurrent::Concurrent;
use limiter_core::{Decision, Now, Outage, Plan, Policy, Registration, Request, TokenLimit};
use std::num::NonZeroU32;

use super::decide::Case;

/// A limiter of this instance alone, whose limits are a share of the policy's.
pub(super) struct Share {
    limiter: Concurrent,
    instances: NonZeroU32,
    /// The policy that it is a share of.
    of: Policy,
}

impl Share {
    /// A share for up to `tokens` tokens.
    pub(super) fn new(policy: &Policy, instances: NonZeroU32, tokens: usize) -> Self {
        Self {
            limiter: Concurrent::new(share_of(policy, instances), tokens, tokens),
            instances,
            of: *policy,
        }
    }

    /// Whether it is a share of this policy.
    pub(super) fn is_of(&self, policy: &Policy) -> bool {
        self.of == *policy
    }

    /// Puts another policy in force; what is used stays.
    pub(super) fn set_policy(&mut self, policy: &Policy) {
        // OK because every token has a limit of its own here, and so no plan can be missing.
        let _ = self.limiter.set_policy(share_of(policy, self.instances));
        self.of = *policy;
    }

    /// Decides a request. A limit of which no whole permit is left to this instance refuses as
    /// without a store.
    pub(super) fn decide(&self, case: &Case, request: &Request, now: Now) -> Decision {
        let instances = self.instances.get();
        let limit = case.entry.terms.limit() / instances;
        let daily_limit = self.of.daily().limit / instances;
        let failed = || Outage::StoreFailed.decide(request);
        let Some(token) = request.token else {
            return failed();
        };
        if limit == 0 || (case.daily && daily_limit == 0) {
            return failed();
        }
        let registration = Registration {
            limit: TokenLimit::Own(limit),
            ..Registration::new(case.entry.user, case.entry.terms.kind(), Plan::new(0))
        };
        match self.limiter.register(token, registration, now) {
            Ok(_) => self.limiter.check(request, now),
            Err(_) => failed(),
        }
    }
}

fn share_of(policy: &Policy, instances: NonZeroU32) -> Policy {
    let window = std::time::Duration::from_millis(policy.window_ms().into());
    let mut builder = Policy::builder()
        .window(window)
        // The limits of plans mean nothing here: every token has its own.
        .plan(Plan::new(0), 1, 1);
    if policy.has_daily_limit() {
        let daily_limit = policy.daily().limit / instances;
        builder = builder
            .daily_limit(daily_limit.max(1))
            .daily_mode(policy.daily().mode)
            .writes(policy.writes());
    }
    if let Some(rule) = policy.block() {
        let span = |millis: u32| std::time::Duration::from_millis(millis.into());
        builder = builder
            .block(
                rule.offences(),
                span(rule.within_ms()),
                span(rule.duration_ms()),
            )
            .extend_block_on_hit(rule.extend_on_hit());
    }
    // OK because every number is one of a valid policy, or its share and at least 1.
    let share = builder.build().unwrap_or(*policy);
    share.with_utc_floor(policy.utc_floor())
}

#[cfg(test)]
mod tests {
    use super::*;
    use limiter_core::daily::DailyMode;

    #[test]
    fn a_share_is_a_part_of_the_daily_limit_and_all_of_the_rest() {
        let policy = Policy::pipedrive();
        let share = share_of(&policy, NonZeroU32::new(4).unwrap());
        assert_eq!(share.daily().limit, 2_500);
        assert_eq!(share.daily().mode, DailyMode::Strict);
        assert_eq!(share.window_ms(), policy.window_ms());
        assert_eq!(share.block(), policy.block());
        assert_eq!(share.writes(), policy.writes());
    }
}
