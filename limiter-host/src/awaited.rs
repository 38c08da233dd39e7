//! What a front needs of a limiter that may have to wait for its decision: one whose state is on
//! another machine, or that looks unknown tokens up. [`Decide`] is for those that never wait.
//!
//! # How a store is plugged in
//!
//! Implement [`DecideAsync`] for it and give it to [`LimiterLayer`](crate::LimiterLayer), which has
//! all its options for it: shadow, hook, refund, styles, jitter, extractors.
//!
//! ```
//! use limiter_host::DecideAsync;
//! use limiter_host::awaited::Step;
//! use limiter_host::core::{Decision, Now, Outage, Policy, Request};
//! use std::pin::Pin;
//!
//! struct Remote { /* a handle on a connection */ }
//!
//! impl Remote {
//!     async fn ask(request: Request) -> Result<Decision, std::io::Error> {
//!         // Sends the request, and makes a decision of what comes back.
//! #       let _ = request;
//!         Err(std::io::ErrorKind::ConnectionRefused.into())
//!     }
//! }
//!
//! impl DecideAsync for Remote {
//!     type Decided = Decision; // or a struct that holds one, and what a refund needs
//!     type Deciding = Pin<Box<dyn Future<Output = Decision> + Send>>;
//!     type GivingBack = std::future::Ready<()>;
//!
//!     fn decide(
//!         &self,
//!         request: &Request,
//!         _credential: Option<&[u8]>,
//!         _now: Now,
//!     ) -> Step<Decision, Self::Deciding> {
//!         let request = *request;
//!         Step::Awaits(Box::pin(async move {
//!             let answer = Self::ask(request).await;
//!             answer.unwrap_or_else(|_| Outage::StoreFailed.decide(&request))
//!         }))
//!     }
//!
//!     fn refuse(&self, request: &Request, outage: Outage) -> Decision {
//!         outage.decide(request)
//!     }
//!
//!     fn give_back(&self, _decided: Decision, _now: Now) -> Step<(), Self::GivingBack> {
//!         Step::Done(()) // sent by a task of its own, say
//!     }
//!
//!     fn current_policy(&self) -> Policy {
//!         Policy::pipedrive()
//!     }
//! }
//! ```

use crate::decide::Decide;
use limiter_core::{Decision, Now, Outage, Policy, Request};
use std::borrow::Borrow;
use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A limiter whose decision may have to be awaited.
///
/// Every [`Decide`] is one that never waits, at no cost: its futures are [`Never`], of which there
/// is none, so no code is left of the waiting. A limiter that waits now and then says
/// [`Step::Done`] whenever it can; then nothing is allocated or polled.
///
/// Futures own what they need; they outlive the call and may be polled by any thread that the front
/// polls on. They must be [`Send`] where the front's are.
///
/// # A future that is dropped
///
/// A caller who hangs up drops the future before it is ready. Then the limiter has charged the
/// request or not, and nobody has the receipt: an implementation that charges elsewhere cannot but
/// leave such a charge, which costs the caller a permit of the window and gains nobody one. One that
/// charges in this process charges in the last step, whose decision is ready at once.
pub trait DecideAsync {
    /// A decision, and whatever [`DecideAsync::give_back`] needs besides.
    type Decided: Borrow<Decision>;

    /// The decision to come. An outage is a decision too
    /// ([`Outage::decide`](limiter_core::Outage::decide)), as is a wait that took too long.
    type Deciding: Future<Output = Self::Decided>;

    /// A refund under way.
    type GivingBack: Future<Output = ()>;

    /// Decides a request and charges what it admits, at once or later.
    ///
    /// `credential` is what the request showed, whose id is the request's token; it is for looking
    /// up, not for keeping. `now` is of the call's moment: who waits first reads the clock again.
    fn decide(
        &self,
        request: &Request,
        credential: Option<&[u8]>,
        now: Now,
    ) -> Step<Self::Decided, Self::Deciding>;

    /// Decides a request as [`DecideAsync::decide`] does; a limiter that looks tokens up goes by the
    /// caller when it shares its look-ups out. Others leave it out of account.
    #[inline]
    fn decide_for(
        &self,
        request: &Request,
        credential: Option<&[u8]>,
        caller: Option<Caller>,
        now: Now,
    ) -> Step<Self::Decided, Self::Deciding> {
        let _ = caller;
        self.decide(request, credential, now)
    }

    /// Decides a request that cannot be judged (O8): the front could not read its clock.
    fn refuse(&self, request: &Request, outage: Outage) -> Self::Decided;

    /// Gives back what an admission charged (P2), at once or later. The answer to the caller waits
    /// for it.
    fn give_back(&self, decided: Self::Decided, now: Now) -> Step<(), Self::GivingBack>;

    /// The policy in force, for the headers that tell of it.
    fn current_policy(&self) -> Policy;
}

/// The sender of a request, whatever it shows as a credential: an address, most often.
///
/// ```
/// use limiter_host::awaited::Caller;
/// use std::net::IpAddr;
///
/// let address = |text: &str| text.parse::<IpAddr>().map(Caller::from);
/// assert_ne!(address("192.0.2.1")?, address("192.0.2.2")?);
/// assert_eq!(address("192.0.2.1")?, address("::ffff:192.0.2.1")?);
/// // One customer of IPv6 has a whole /64.
/// assert_eq!(address("2001:db8::1")?, address("2001:db8::ff:2")?);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Caller(u64);

impl Caller {
    /// A caller by a number, a hash of any other key, say.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }
}

impl From<IpAddr> for Caller {
    /// An IPv4 address, or the first 64 bits of an IPv6 address.
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(v4.to_bits().into()),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments().map(u64::from);
                Self((a << 48) | (b << 32) | (c << 16) | d)
            }
        }
    }
}

/// Something that is there already, or a future of it.
#[derive(Clone, Copy, Debug)]
pub enum Step<T, F> {
    /// It is there.
    Done(T),
    /// It has to be awaited.
    Awaits(F),
}

impl<D: Decide + ?Sized> DecideAsync for D {
    type Decided = Decision;
    type Deciding = Never<Decision>;
    type GivingBack = Never<()>;

    #[inline]
    fn decide(
        &self,
        request: &Request,
        _credential: Option<&[u8]>,
        now: Now,
    ) -> Step<Decision, Never<Decision>> {
        Step::Done(self.check(request, now))
    }

    fn refuse(&self, request: &Request, outage: Outage) -> Decision {
        self.refuse_for(request, outage)
    }

    #[inline]
    fn give_back(&self, decided: Decision, now: Now) -> Step<(), Never<()>> {
        if let Some(receipt) = decided.into_receipt() {
            self.refund(receipt, now);
        }
        Step::Done(())
    }

    #[inline]
    fn current_policy(&self) -> Policy {
        self.policy()
    }
}

/// A future that there is none of.
pub struct Never<T> {
    never: Infallible,
    output: PhantomData<fn() -> T>,
}

impl<T> Future for Never<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        match self.never {}
    }
}

impl<T> fmt::Debug for Never<T> {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Locked;
    use limiter_core::{HashKey, Instant, Kind, Method, Plan, Registration};

    #[test]
    fn a_limiter_that_never_waits_has_no_room_for_a_future() {
        type Waiting = Step<Decision, <Locked as DecideAsync>::Deciding>;
        assert_eq!(size_of::<Waiting>(), size_of::<Decision>());
    }

    #[test]
    fn decides_and_gives_back_as_the_limiter_itself() {
        let key = HashKey::new([1; 16]);
        let now = Now::new(Instant::ZERO, None);
        let limiter = Locked::new(Policy::pipedrive(), 4, 4);
        let token = Registration::new(key.user(b"u"), Kind::ApiToken, Plan::ADVANCED);
        limiter
            .with(|limiter| limiter.register(key.token(b"t"), token, now))
            .unwrap();
        let request = Request::new(key.token(b"t"), Method::Get);
        for _ in 0..2 {
            let Step::Done(decision) = limiter.decide(&request, Some(b"t"), now);
            assert_eq!(decision.quota().unwrap().remaining, 39);
            let Step::Done(()) = limiter.give_back(decision, now);
        }
        let refused = limiter.refuse(&request, Outage::ClockFailed);
        assert_eq!(refused.status(), Some(503));
        assert_eq!(limiter.current_policy(), Policy::pipedrive());
    }
}
