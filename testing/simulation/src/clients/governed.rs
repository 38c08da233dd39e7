//! A caller at a fixed rate, as a limiter for the own side gives it: it is told the rate, and
//! learns nothing from answers.

use super::{Client, Poll};
use governor::clock::{Clock, FakeRelativeClock};
use governor::{Quota, RateLimiter};
use limiter_core::{Instant, Method, Now};
use limiter_pacer::ResponseInfo;
use std::num::NonZeroU32;
use std::time::Duration;

type Limiter = RateLimiter<
    governor::state::NotKeyed,
    governor::state::InMemoryState,
    FakeRelativeClock,
    governor::middleware::NoOpMiddleware<<FakeRelativeClock as Clock>::Instant>,
>;

/// A caller that sends at a fixed rate through `governor`, as fast as the plan's limit allows.
///
/// It drops what is refused: a request that matters would have to be sent again.
#[derive(Debug)]
pub struct Governed {
    limiter: Limiter,
    clock: FakeRelativeClock,
    last: Option<Instant>,
}

impl Governed {
    /// A caller of `limit` requests per 2 s, as `Quota::per_second` has it: with a burst of a
    /// second's worth.
    ///
    /// # Panics
    ///
    /// For a limit below 2.
    #[must_use]
    pub fn per_second(limit: u32) -> Self {
        let rate = NonZeroU32::new(limit / 2).expect("a limit of at least 2");
        Self::new(Quota::per_second(rate))
    }

    /// A caller of `limit` requests per 2 s, one after the other, without a burst.
    ///
    /// # Panics
    ///
    /// For a limit of 0.
    #[must_use]
    pub fn evenly(limit: u32) -> Self {
        let period = Duration::from_secs(2) / limit;
        Self::new(Quota::with_period(period).expect("a limit above 0"))
    }

    fn new(quota: Quota) -> Self {
        let clock = FakeRelativeClock::default();
        Self {
            limiter: RateLimiter::direct_with_clock(quota, clock.clone()),
            clock,
            last: None,
        }
    }
}

impl Client for Governed {
    fn poll(&mut self, _: Method, _: u64, now: Now) -> Poll {
        let at = now.monotonic();
        let passed = at.saturating_since(self.last.unwrap_or(at));
        self.last = Some(at);
        self.clock.advance(Duration::from_millis(passed));
        match self.limiter.check() {
            Ok(()) => Poll::Send,
            Err(not_until) => {
                let wait = not_until.wait_time_from(self.clock.now());
                let millis = wait.as_micros().div_ceil(1_000);
                Poll::Wait(u32::try_from(millis).unwrap_or(u32::MAX))
            }
        }
    }

    fn on_response(&mut self, _: u64, _: &ResponseInfo, _: Now) {}

    fn announce(&mut self, _: u32) {}
}
