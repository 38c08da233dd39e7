//! Storage held something, but nothing whole (SPEC R5).

use core::time::Duration;

use limiter_core::daily::DailyMode;
use limiter_core::{
    Decision, Instant, Kind, Method, Now, OffTime, OnLostState, Plan, Policy, Reason, Registration,
    Request, Reserve, Reserved, TokenId, UnixTime,
};
use limiter_suite::{LosesState as _, Restarts as _, Subject as _};

use crate::metered::{KEY, Metered};

const DAY_S: u64 = 86_400;
const NOON: u64 = 20_000 * DAY_S + DAY_S / 2;
type Device = Metered<4, 4>;

fn token(name: &str) -> TokenId {
    KEY.token(name.as_bytes())
}

fn now(ms: u64, utc: u64) -> Now {
    Now::new(Instant::from_millis(ms), UnixTime::from_secs(utc))
}

fn policy(mode: DailyMode) -> Policy {
    let builder = Policy::builder()
        .window(Duration::from_secs(2))
        .plan(Plan::new(0), 3, 3)
        .daily_limit(10);
    let block = builder.block(2, Duration::from_secs(60), Duration::from_secs(300));
    block.daily_mode(mode).build().unwrap()
}

/// A device that has lost its state, and knows `a` and `b`.
fn lost(mode: DailyMode) -> Device {
    let mut device = Device::begun_without_state(policy(mode));
    register(&mut device);
    device
}

fn register(device: &mut Device) {
    for name in ["a", "b"] {
        let user = KEY.user(name.as_bytes());
        let registration = Registration::new(user, Kind::ApiToken, Plan::new(0));
        device
            .register(token(name), registration, now(0, NOON))
            .unwrap();
    }
}

fn post(device: &mut Device, name: &str, at: Now) -> Decision {
    device.check(&Request::new(token(name), Method::Post), at)
}

fn left(decision: &Decision) -> Option<u32> {
    decision.quota().and_then(|quota| quota.daily_left)
}

#[test]
fn r5_what_counts_daily_is_refused_until_the_next_advance_in_every_mode() {
    let fair_use = DailyMode::FairUse {
        tolerated_days: 5,
        forgiven_after_days: 9,
    };
    for mode in [DailyMode::Strict, DailyMode::Advisory, fair_use] {
        let mut device = lost(mode);
        for name in ["a", "b", "a", "b", "a", "b"] {
            let decision = post(&mut device, name, now(0, NOON));
            assert_eq!(decision.reason(), Some(Reason::Daily));
            assert_eq!(
                decision.retry_after_ms(),
                Some(43_200_000),
                "until midnight"
            );
            assert_eq!(left(&decision), Some(0));
        }
        // No offences, so nobody is blocked, and what does not count daily is admitted.
        let read = device.check(&Request::new(token("a"), Method::Get), now(10, NOON));
        assert!(read.is_admitted());
        for name in ["a", "b"] {
            let decision = post(&mut device, name, now(20, NOON + DAY_S / 2));
            assert_eq!(left(&decision), Some(9));
        }
    }
}

#[test]
fn r5_lost_counts_stay_lost_over_another_restart() {
    let mut device = lost(DailyMode::Strict);
    assert!(!post(&mut device, "a", now(0, NOON)).is_admitted());
    let at = Instant::ZERO;
    let mut after = device.restarted(policy(DailyMode::Strict), OffTime::Trust, at, at);
    register(&mut after);
    assert_eq!(
        post(&mut after, "a", now(0, NOON)).reason(),
        Some(Reason::Daily)
    );
    assert_eq!(left(&post(&mut after, "a", now(0, NOON + DAY_S))), Some(9));
}

#[test]
fn r5_a_device_that_is_off_every_night_recovers_on_the_next_day() {
    let mut device = lost(DailyMode::Strict);
    assert!(!post(&mut device, "a", now(0, NOON)).is_admitted());
    // The adoption was stored beside that decision; the power fails.
    let mut after = Reserved::<4, 4>::new(policy(DailyMode::Strict), Reserve::DEFAULT);
    after
        .restore(&KEY, device.stored(), OffTime::Ignore, Instant::ZERO)
        .unwrap();
    assert_eq!(after.limiter().calendar().day(), Some(20_000));
    assert!(after.limiter().calendar().is_lost());
    let _ = after.register(
        token("a"),
        Registration::new(KEY.user(b"a"), Kind::ApiToken, Plan::new(0)),
        now(0, NOON + DAY_S),
    );
    let request = Request::new(token("a"), Method::Post);
    assert!(after.peek(&request, now(0, NOON + DAY_S)).is_admitted());
}

#[test]
fn r5_state_may_begin_afresh_if_the_policy_says_so() {
    let mut device = Reserved::<4, 4>::new(policy(DailyMode::Strict), Reserve::DEFAULT);
    device.lose_state(OnLostState::Fresh);
    assert!(!device.limiter().calendar().is_lost());
}

#[test]
fn o3_and_o4_come_before_lost_counts() {
    let mut device = lost(DailyMode::Strict);
    let request = Request::new(token("a"), Method::Post).with_cost(4.try_into().unwrap());
    let decision = device.check(&request, now(0, NOON));
    assert_eq!(decision.reason(), Some(Reason::CostExceedsLimit));
    assert_eq!(
        (left(&decision), decision.retry_after_ms()),
        (Some(0), None)
    );
    for _ in 0..5 {
        let _ = device.check(&Request::new(token("a"), Method::Get), now(0, NOON));
    }
    assert_eq!(
        post(&mut device, "a", now(0, NOON)).reason(),
        Some(Reason::Blocked)
    );
}

#[test]
fn d5_the_windows_wait_counts_if_that_refuses_too() {
    let mut device = lost(DailyMode::Strict);
    for _ in 0..3 {
        let read = device.check(&Request::new(token("a"), Method::Get), now(0, NOON));
        assert!(read.is_admitted());
    }
    let decision = post(&mut device, "a", now(0, NOON + DAY_S / 2 - 1));
    assert_eq!(
        (decision.reason(), decision.retry_after_ms()),
        (Some(Reason::Daily), Some(2_000))
    );
}
