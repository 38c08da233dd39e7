//! Peers that are wrong on the work, reproduced in virtual time: how many are admitted of what a
//! limit allows.

use crate::measure::Subject;
use crate::report::Row;
use crate::subjects::governors::per;
use governor::RateLimiter;
use governor::clock::{Clock, FakeRelativeClock};
use governor::nanos::Nanos;
use limiter_core::{
    HashKey, Instant, Kind, Limiter, Method, Now, Plan, Policy, Registration, Request, UnixTime,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// What was asked for, what was given, by whom.
#[must_use]
pub fn rows() -> Vec<Row> {
    let row = |work: &str, name: &str, lacks: &'static str, admitted: u32| {
        let subject = Subject::alone(name, "", lacks, |_| {});
        Row::of_value(work, &subject, "admitted", f64::from(admitted))
    };
    let a_day = "10 000 a day: admitted on the first day";
    let idle = "a burst of 10: admitted at once after idling 17 s";
    let back = "10 a second, the clock steps back an hour: admitted of 60 in the next 30 s";
    let shared = "10 000 tokens, one request each: counted for the busiest";
    vec![
        row(a_day, "Limiter", "", limiter_first_day()),
        row(
            a_day,
            "governor",
            "a bucket, no calendar day",
            governor_first_day(),
        ),
        row(idle, "governor", "", governor_after_idling()),
        row(
            idle,
            "throttlecrab",
            "saves up twice the burst",
            throttlecrab_after_idling(),
        ),
        row(
            back,
            "Limiter",
            "believes the clock after 10 s",
            limiter_stepped_back(),
        ),
        row(
            back,
            "governor",
            "locked out until the clock is back",
            governor_stepped_back(),
        ),
        row(
            shared,
            "pingora-limits",
            "tokens share counters",
            pingora_busiest(10_000),
        ),
    ]
}

/// Asks each 8.64 s, after the limit was used up at once.
fn governor_first_day() -> u32 {
    let clock = FakeRelativeClock::default();
    let quota = per(DAY, 10_000);
    let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
    let mut admitted = count(10_001, || limiter.check().is_ok());
    for _ in 1..10_000 {
        clock.advance(DAY / 10_000);
        admitted += count(2, || limiter.check().is_ok());
    }
    admitted
}

/// The same day.
fn limiter_first_day() -> u32 {
    let (mut limiter, request) = one_token(Plan::ENTERPRISE);
    let mut admitted = 0;
    // As much as the window lets through, then each 8.64 s.
    for ms in (0..200_000)
        .step_by(2_000)
        .chain((200_000..86_400_000).step_by(8_640))
    {
        let now = at(ms, ms / 1_000);
        admitted += count(121, || limiter.check(&request, now).is_admitted());
    }
    admitted
}

fn governor_after_idling() -> u32 {
    let clock = FakeRelativeClock::default();
    let quota = per(Duration::from_secs(10), 10);
    let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
    let drained = count(20, || limiter.check().is_ok());
    assert_eq!(drained, 10);
    clock.advance(IDLE);
    count(30, || limiter.check().is_ok())
}

fn throttlecrab_after_idling() -> u32 {
    let store = throttlecrab::PeriodicStore::with_capacity(10);
    let mut limiter = throttlecrab::RateLimiter::new(store);
    let begin = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let mut burst = |now| {
        count(30, || {
            let answer = limiter.rate_limit("token", 10, 60, 60, 1, now);
            answer.is_ok_and(|(admitted, _)| admitted)
        })
    };
    assert_eq!(burst(begin), 10);
    burst(begin + IDLE)
}

fn governor_stepped_back() -> u32 {
    let clock = Stepping(Arc::new(AtomicU64::new(0)));
    let quota = per(Duration::from_secs(1), 10);
    let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
    clock.set(Duration::from_secs(7_200));
    assert!(limiter.check().is_ok());
    let mut admitted = 0;
    for half_seconds in 0..60 {
        clock.set(Duration::from_secs(3_600) + half_seconds * Duration::from_millis(500));
        admitted += count(1, || limiter.check().is_ok());
    }
    admitted
}

fn limiter_stepped_back() -> u32 {
    let (mut limiter, request) = one_token(Plan::ESSENTIAL);
    assert!(limiter.check(&request, at(7_200_000, 7_200)).is_admitted());
    let mut admitted = 0;
    for ms in (3_600_000..3_630_000).step_by(500) {
        let now = at(ms, ms / 1_000);
        admitted += count(1, || limiter.check(&request, now).is_admitted());
    }
    admitted
}

/// What the sketch says of the token that it thinks to have seen most.
fn pingora_busiest(tokens: u32) -> u32 {
    let rate = pingora_limits::rate::Rate::new(Duration::from_secs(3_600));
    let tokens = || (0..tokens).map(crate::steps::token);
    for token in tokens() {
        rate.observe(&token, 1);
    }
    let busiest = tokens().map(|token| rate.observe(&token, 0)).max();
    busiest
        .and_then(|count| u32::try_from(count).ok())
        .unwrap_or(0)
}

fn one_token(plan: Plan) -> (Limiter<1, 1>, Request) {
    let key = HashKey::new([9; 16]);
    let mut limiter = Limiter::new(Policy::pipedrive());
    let token = key.token(b"token");
    let martin = Registration::new(key.user(b"martin"), Kind::ApiToken, plan);
    let _ = limiter.register(token, martin, at(0, 0));
    (limiter, Request::new(token, Method::Post))
}

fn at(ms: u64, after_midnight_s: u64) -> Now {
    let midnight = 1_780_012_800;
    Now::new(
        Instant::from_millis(ms),
        UnixTime::from_secs(midnight + after_midnight_s),
    )
}

fn count(times: u32, mut admits: impl FnMut() -> bool) -> u32 {
    (0..times).map(|_| u32::from(admits())).sum()
}

/// A clock that can be set to any time.
#[derive(Clone, Debug)]
struct Stepping(Arc<AtomicU64>);

impl Stepping {
    fn set(&self, to: Duration) {
        let nanos = u64::try_from(to.as_nanos()).unwrap_or(u64::MAX);
        self.0.store(nanos, Ordering::Relaxed);
    }
}

impl Clock for Stepping {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(self.0.load(Ordering::Relaxed))
    }
}

const DAY: Duration = Duration::from_secs(86_400);
const IDLE: Duration = Duration::from_secs(17);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn governor_admits_nearly_twice_a_daily_limit_on_the_first_day() {
        assert_eq!(governor_first_day(), 19_999);
    }

    #[test]
    fn the_limiter_admits_a_daily_limit_on_the_first_day() {
        assert_eq!(limiter_first_day(), 10_000);
    }

    #[test]
    fn throttlecrab_admits_more_than_its_burst_after_idling_and_governor_does_not() {
        assert_eq!(
            (throttlecrab_after_idling(), governor_after_idling()),
            (17, 10)
        );
    }

    #[test]
    fn governor_admits_nobody_after_a_step_back_and_the_limiter_goes_on() {
        assert_eq!((governor_stepped_back(), limiter_stepped_back()), (0, 55));
    }

    #[test]
    fn pingora_limits_counts_tokens_together() {
        assert!(pingora_busiest(10_000) > 1);
    }
}
