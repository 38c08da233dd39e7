//! Two clocks of one counter, the second built ten seconds after the first, as a program has them
//! that builds a clock where it uses one: they agree, and so no limit is lost.

use limiter_core::clock::{Clock, Clocks, MonotonicClock, NoUtc, TestClock, TickClock};
use limiter_core::{
    HashKey, Kind, Limiter, Method, Now, Plan, Policy, Registration, Request, TokenId,
};

const LIMIT: u32 = 20;

/// Lets two clocks of one counter decide in turn for 2 s, and returns what was admitted.
fn admitted_by_two<M: MonotonicClock>(time: &TestClock, mut build: impl FnMut() -> M) -> u32 {
    let key = HashKey::new(*b"provisioned once");
    let token: TokenId = key.token(b"a1b2");
    let mut limiter = Limiter::<4, 4>::new(Policy::pipedrive());
    let martin = Registration::new(key.user(b"martin"), Kind::ApiToken, Plan::ESSENTIAL);
    let mut clocks = Vec::new();
    for _ in 0..2 {
        let mut clock = Clocks {
            monotonic: build(),
            utc: NoUtc,
        };
        let now: Now = clock.read().unwrap();
        limiter.register(token, martin, now).unwrap();
        clocks.push(clock);
        time.advance(10_000);
    }
    let mut admitted = 0;
    for millis in 0..2_000_usize {
        let clock = clocks.get_mut(millis % 2).unwrap();
        let decision = limiter.check_with(&Request::new(token, Method::Get), clock);
        admitted += u32::from(decision.is_admitted());
        time.advance(1);
    }
    admitted
}

#[test]
fn two_tick_clocks_of_64_bits_hold_the_limit() {
    let time = TestClock::new(3_000, None);
    let read = || (&time).now().map(|now| now.as_millis() * 1_000);
    let admitted = admitted_by_two(&time, || TickClock::from_hz::<1_000_000>(read));
    assert_eq!(admitted, LIMIT);
}

#[test]
fn two_tick_clocks_of_32_bits_hold_the_limit() {
    let time = TestClock::new(3_000, None);
    let admitted = admitted_by_two(&time, || {
        TickClock::from_hz::<1_000>(|| time.ticks().read())
    });
    assert_eq!(admitted, LIMIT);
}

#[cfg(feature = "embedded-time")]
#[test]
fn two_embedded_time_clocks_hold_the_limit() {
    use limiter_core::clock::EmbeddedTimeClock;
    let time = TestClock::new(3_000, None);
    let admitted = admitted_by_two(&time, || EmbeddedTimeClock::new(time.ticks()).unwrap());
    assert_eq!(admitted, LIMIT);
}

#[cfg(feature = "embassy-time")]
mod embassy {
    use super::{LIMIT, admitted_by_two};
    use core::task::Waker;
    use limiter_core::Instant;
    use limiter_core::clock::{ClockError, EmbassyClock, MonotonicClock, TestClock};
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A driver that shows what the test set.
    struct Driver(AtomicU64);

    impl embassy_time_driver::Driver for Driver {
        fn now(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }

        fn schedule_wake(&self, _at: u64, _waker: &Waker) {}
    }

    embassy_time_driver::time_driver_impl!(static DRIVER: Driver = Driver(AtomicU64::new(0)));

    /// Sets the driver to a test's time before it is read.
    struct Following<'a>(&'a TestClock, EmbassyClock);

    impl MonotonicClock for Following<'_> {
        fn now(&mut self) -> Result<Instant, ClockError> {
            let mut time = self.0;
            let ticks = time.now()?.as_millis() * (embassy_time_driver::TICK_HZ / 1_000);
            DRIVER.0.store(ticks, Ordering::Relaxed);
            self.1.now()
        }
    }

    #[test]
    fn two_embassy_clocks_hold_the_limit() {
        let time = TestClock::new(3_000, None);
        let admitted = admitted_by_two(&time, || Following(&time, EmbassyClock::new()));
        assert_eq!(admitted, LIMIT);
    }
}
