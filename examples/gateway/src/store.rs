//! Who decides: the limiter of this process, one whose counts survive it, or one whose counts several
//! gateways share.

use limiter_host::awaited::{DecideAsync, Step};
use limiter_host::core::{Decision, Now, Outage, Policy, Request};
use limiter_host::persist::Durable;
use limiter_host::{Concurrent, Decide as _};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

#[cfg(feature = "redis")]
mod shared;

#[cfg(feature = "redis")]
pub use self::shared::StoreSettings;
#[cfg(feature = "redis")]
pub(crate) use self::shared::{StoreMetrics, StoreStatus, register};

/// Who decides.
pub(crate) enum Decider {
    /// This process alone.
    Here(Arc<Concurrent>),
    /// This process, with counts that survive it.
    Kept(Durable),
    /// All gateways on one store together.
    #[cfg(feature = "redis")]
    Store(limiter_host::RedisLimiter),
}

/// A future that waits for a store or for the disk.
type Trip<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl DecideAsync for Decider {
    type Decided = Decision;
    type Deciding = Trip<Decision>;
    type GivingBack = Trip<()>;

    fn decide(
        &self,
        request: &Request,
        credential: Option<&[u8]>,
        now: Now,
    ) -> Step<Decision, Trip<Decision>> {
        match self {
            Self::Here(limiter) => Step::Done(limiter.check(request, now)),
            Self::Kept(durable) => match durable.decide(request, credential, now) {
                Step::Done(decision) => Step::Done(decision),
                Step::Awaits(waiting) => Step::Awaits(Box::pin(waiting)),
            },
            #[cfg(feature = "redis")]
            Self::Store(limiter) => limiter.decide(request, credential, now),
        }
    }

    fn refuse(&self, request: &Request, outage: Outage) -> Decision {
        match self {
            Self::Here(limiter) => limiter.refuse_for(request, outage),
            Self::Kept(durable) => durable.refuse(request, outage),
            #[cfg(feature = "redis")]
            Self::Store(limiter) => limiter.refuse_for(request, outage),
        }
    }

    fn give_back(&self, decided: Decision, now: Now) -> Step<(), Trip<()>> {
        match self {
            Self::Here(limiter) => {
                if let Some(receipt) = decided.into_receipt() {
                    limiter.refund(receipt, now);
                }
                Step::Done(())
            }
            Self::Kept(durable) => match durable.give_back(decided, now) {
                Step::Done(()) => Step::Done(()),
                Step::Awaits(giving) => Step::Awaits(Box::pin(giving)),
            },
            #[cfg(feature = "redis")]
            Self::Store(limiter) => limiter.give_back(decided, now),
        }
    }

    fn current_policy(&self) -> Policy {
        match self {
            Self::Here(limiter) => limiter.policy(),
            Self::Kept(durable) => durable.current_policy(),
            #[cfg(feature = "redis")]
            Self::Store(limiter) => limiter.policy(),
        }
    }
}

impl fmt::Debug for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here(_) => "Here(..)",
            Self::Kept(_) => "Kept(..)",
            #[cfg(feature = "redis")]
            Self::Store(_) => "Store(..)",
        })
    }
}
