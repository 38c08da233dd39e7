//! Mended bugs, each with the operations that showed it.

use core::time::Duration;
use limiter_core::UnixTime;
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
fn p2_a_later_window_that_is_yet_to_be_reanchored_onto_the_old_start_gets_nothing_back() {
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
