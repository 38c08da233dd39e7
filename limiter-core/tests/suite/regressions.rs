//! Mended bugs, each with the operations that showed it.

use core::time::Duration;
use limiter_core::TokenLimit;
use limiter_core::UnixTime;
use limiter_core::daily::DailyMode;
use limiter_core::{Kind, Limiter, Method, Plan, Policy, Receipt, Refunded, Registration, Request};
use limiter_suite::{now, token, user};

/// Token 1 of user 1, with one permit a window.
fn limiter(policy: Policy) -> Limiter<4, 4> {
    let mut limiter = Limiter::new(policy);
    let registration = Registration::new(user(1), Kind::ApiToken, Plan::new(0));
    limiter
        .register(token(1), registration.with_own_limit(1), now(0, None))
        .unwrap();
    limiter
}

fn charge(limiter: &mut Limiter<4, 4>, at: limiter_core::Now) -> Receipt {
    let decision = limiter.check(&Request::new(token(1), Method::Get), at);
    decision.into_receipt().expect("admitted")
}

#[test]
fn p2_a_refund_by_a_reading_from_before_its_own_window_gives_nothing_to_a_later_one() {
    let policy = Policy::builder()
        .window(Duration::from_millis(2))
        .plan(Plan::new(0), 1, 1)
        .build()
        .unwrap();
    let mut limiter = limiter(policy);
    let old = charge(&mut limiter, now(10, None));
    let new = charge(&mut limiter, now(20, None));
    let nothing = Refunded {
        window: 0,
        daily: 0,
    };
    assert_eq!(limiter.refund(old, now(10, None)), nothing);
    assert_eq!(limiter.refund(new, now(21, None)).window, 1);
}

#[test]
fn d9_the_first_hours_of_1970_are_smaller_than_the_last_day_of_all() {
    let policy = Policy::builder()
        .window(Duration::from_secs(2))
        .plan(Plan::new(0), 1, 1)
        .utc_floor(UnixTime::EPOCH)
        .build()
        .unwrap();
    let mut limiter = limiter(policy);
    charge(&mut limiter, now(0, Some((1 << 39) - 1)));
    assert_eq!(limiter.calendar().day(), Some(6_362_914));
    // A day later the clock says 1970: still smaller, so the calendar follows it.
    charge(&mut limiter, now(86_400_000, Some(0)));
    assert_eq!(
        (limiter.calendar().day(), limiter.calendar().refills()),
        (Some(0), 1)
    );
}

#[test]
fn d3_strikes_that_are_forgiven_are_not_remembered_by_a_later_policy() {
    let fair_use = |forgiven_after_days| {
        Policy::builder()
            .window(Duration::from_secs(2))
            .plan(Plan::new(0), 9, 9)
            .daily_limit(1)
            .daily_mode(DailyMode::FairUse {
                tolerated_days: 1,
                forgiven_after_days,
            })
            .build()
            .unwrap()
    };
    let on_day = |day: i64| now(0, Some(1_716_000_000 + day * 86_400));
    let over = Request::new(token(1), Method::Post).with_cost(2.try_into().unwrap());
    let read = Request::new(token(1), Method::Get);

    // Forgiven when the policy changes, though nobody has looked at the strike since;
    let mut limiter = limiter(fair_use(1));
    limiter.update(token(1), TokenLimit::Own(9)).unwrap();
    assert!(
        limiter.check(&over, on_day(0)).is_admitted(),
        "the first strike"
    );
    assert!(limiter.check(&read, on_day(1)).is_admitted(), "a refill");
    limiter.set_policy(fair_use(9)).unwrap();
    assert!(
        limiter.check(&over, on_day(1)).is_admitted(),
        "the first strike again"
    );
    // not forgiven under the new policy.
    assert!(limiter.check(&read, on_day(2)).is_admitted(), "a refill");
    limiter.set_policy(fair_use(1)).unwrap();
    limiter.set_policy(fair_use(9)).unwrap();
    assert!(
        limiter.check(&over, on_day(2)).is_admitted(),
        "forgiven by the policy between"
    );
}
