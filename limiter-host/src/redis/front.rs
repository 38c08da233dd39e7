//! The limiter behind a tower layer.

use super::RedisLimiter;
use super::trip::Begun;
use crate::awaited::{DecideAsync, Step};
use limiter_core::{Decision, Now, Outage, Policy, Request};
use std::pin::Pin;
use std::sync::Arc;

/// A future that is on its way to the store and back.
type Trip<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A caller who hangs up after the request was sent leaves a charge, or none, that nobody has the
/// receipt of; what was held for the token and went along is lost.
impl DecideAsync for RedisLimiter {
    type Decided = Decision;
    type Deciding = Trip<Decision>;
    type GivingBack = Trip<()>;

    fn decide(
        &self,
        request: &Request,
        _credential: Option<&[u8]>,
        now: Now,
    ) -> Step<Decision, Trip<Decision>> {
        match self.inner.begin(request, now) {
            Begun::Decided(decision) => {
                self.inner.count(decision.outcome());
                Step::Done(decision)
            }
            Begun::Trip(trip) => {
                let (inner, request) = (Arc::clone(&self.inner), *request);
                Step::Awaits(Box::pin(async move {
                    let decision = trip.finish(&request, now).await;
                    inner.count(decision.outcome());
                    decision
                }))
            }
        }
    }

    fn refuse(&self, request: &Request, outage: Outage) -> Decision {
        self.refuse_for(request, outage)
    }

    /// What cannot be given back because the store cannot be used is not given back.
    fn give_back(&self, decided: Decision, now: Now) -> Step<(), Trip<()>> {
        let Some(receipt) = decided.into_receipt() else {
            return Step::Done(());
        };
        let limiter = self.clone();
        Step::Awaits(Box::pin(async move {
            let _ = limiter.refund(receipt, now).await;
        }))
    }

    fn current_policy(&self) -> Policy {
        self.policy()
    }
}
