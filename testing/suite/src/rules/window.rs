//! SPEC 4: the window.

use limiter_core::clock::{Clock, Clocks, NoUtc, TickClock, TickRate};

use super::*;

pub fn w1_a_window_opens_at_the_first_admitted_request<S: Subject>() {
    let mut subject = page::<S>();
    assert!(!admits(&mut subject, &get(1, 41), at(100)));
    let first = subject.check(&get(1, 1), at(700));
    assert_eq!(quota(&first), Some((40, 39, 2_000, None)));
    let second = subject.check(&get(1, 1), at(900));
    assert_eq!(quota(&second), Some((40, 38, 1_800, None)));
}

pub fn w1_a_window_is_half_open<S: Subject>() {
    let mut subject = page::<S>();
    assert!(admits(&mut subject, &get(1, 40), at(1_000)));
    assert!(!admits(&mut subject, &get(1, 1), at(2_999)));
    let decision = subject.check(&get(1, 1), at(3_000));
    assert_eq!(quota(&decision), Some((40, 39, 2_000, None)));
}

pub fn w1_a_window_belongs_to_one_token<S: Subject>() {
    let mut subject = page::<S>();
    for id in 1..=2 {
        assert!(admits(&mut subject, &get(id, 40), at(0)));
    }
    assert!(!admits(&mut subject, &get(1, 1), at(0)));
}

pub fn w2_a_cost_fits_up_to_the_limit_and_not_beyond<S: Subject>() {
    let mut subject = page::<S>();
    assert!(admits(&mut subject, &get(1, 38), at(0)));
    assert!(!admits(&mut subject, &get(1, 3), at(0)));
    assert!(admits(&mut subject, &get(1, 2), at(0)));
    assert!(!admits(&mut subject, &get(1, 1), at(0)));
}

pub fn w2_the_largest_limit_is_counted_to_its_end<S: Subject>() {
    let mut subject = page::<S>();
    let largest = 1_048_575;
    subject
        .update(token(1), TokenLimit::Own(largest))
        .expect("20 bits hold it");
    let decision = subject.check(&get(1, largest - 1), at(0));
    assert_eq!(quota(&decision), Some((largest, 1, 2_000, None)));
    assert!(!admits(&mut subject, &get(1, 2), at(0)));
    assert!(admits(&mut subject, &get(1, 1), at(0)));
    assert!(!admits(&mut subject, &get(1, largest), at(1_999)));
    assert!(admits(&mut subject, &get(1, largest), at(2_000)));
}

pub fn w3_the_quota_is_that_after_the_decision<S: Subject>() {
    let mut subject = page::<S>();
    let first = subject.check(&get(1, 10), at(0));
    assert_eq!(quota(&first), Some((40, 30, 2_000, None)));
    let second = subject.check(&get(1, 10), at(1_999));
    assert_eq!(quota(&second), Some((40, 20, 1, None)));
    let none_open = subject.check(&get(1, 41), at(2_000));
    assert_eq!(quota(&none_open), Some((40, 40, 2_000, None)));
}

pub fn w3_remaining_is_never_below_0_also_when_the_limit_was_lowered<S: Subject>() {
    let mut subject = page::<S>();
    assert!(admits(&mut subject, &get(1, 30), at(0)));
    let essential = TokenLimit::Plan(Plan::ESSENTIAL);
    assert_eq!(subject.update(token(1), essential), Ok(()));
    let decision = subject.check(&get(1, 1), at(500));
    assert_eq!(refused(&decision), Some((Reason::Window, Some(1_500))));
    assert_eq!(quota(&decision), Some((20, 0, 1_500, None)));
}

pub fn w4_the_wait_is_the_reset_and_is_exact<S: Subject>() {
    let mut subject = page::<S>();
    assert!(admits(&mut subject, &get(1, 40), at(0)));
    let decision = subject.check(&get(1, 40), at(1));
    assert_eq!(refused(&decision), Some((Reason::Window, Some(1_999))));
    assert!(!admits(&mut subject, &get(1, 40), at(1_999)));
    assert!(admits(&mut subject, &get(1, 40), at(2_000)));
}

pub fn w5_an_idle_token_has_its_whole_allowance_however_long_it_was_idle<S: Subject>() {
    for idle in [2_000, 2_001, 1 << 32, (1 << 32) + 1_999, (1 << 43) - 1] {
        let mut subject = page::<S>();
        assert!(admits(&mut subject, &get(1, 40), at(0)));
        let decision = subject.check(&get(1, 40), at(idle));
        assert_eq!(quota(&decision), Some((40, 0, 2_000, None)), "{idle}");
    }
}

pub fn w6_behind_its_start_the_window_stands_as_it_is<S: Subject>() {
    let mut subject = page::<S>();
    assert!(admits(&mut subject, &get(1, 30), at(10_000)));
    let decision = subject.check(&get(1, 1), at(9_001));
    assert_eq!(quota(&decision), Some((40, 9, 2_999, None)));
    let decision = subject.check(&get(1, 10), at(9_001));
    assert_eq!(refused(&decision), Some((Reason::Window, Some(2_999))));
    // It was not moved: it ends where it always did.
    assert!(!admits(&mut subject, &get(1, 40), at(11_999)));
    assert!(admits(&mut subject, &get(1, 40), at(12_000)));
}

pub fn w6_expiry_is_stored_also_by_what_can_never_fit<S: Subject>() {
    let mut subject = page::<S>();
    assert!(admits(&mut subject, &get(1, 30), at(10_000)));
    let decision = subject.check(&get(1, 41), at(9_500));
    assert_eq!(quota(&decision), Some((40, 10, 2_500, None)));
    assert!(!admits(&mut subject, &get(1, 41), at(12_000)));
    // Having ended it does not come back with the time.
    assert!(admits(&mut subject, &get(1, 40), at(11_500)));
}

pub fn w6_a_blocked_token_stores_no_expiry<S: Subject>() {
    let mut subject = one_permit::<S>(built(blocking()));
    offend_at(&mut subject, &[0, 1, 2]);
    assert!(!admits(&mut subject, &get(1, 1), at(2_500)), "blocked");
    assert_eq!(subject.unblock(token(1)), Ok(()));
    let decision = subject.check(&get(1, 1), at(1_501));
    assert_eq!(refused(&decision), Some((Reason::Window, Some(499))));
}

pub fn w6_a_wait_is_at_most_2_s_longer_than_the_window<S: Subject>() {
    for step_back in 0..=4_001 {
        let mut subject = page::<S>();
        assert!(admits(&mut subject, &get(1, 40), at(9_000)));
        // As far ahead of the mark as it can be.
        assert!(admits(&mut subject, &get(2, 40), at(9_999)));
        for id in [1, 2] {
            let decision = subject.check(&get(id, 1), at(9_999 - step_back));
            let wait = decision.retry_after_ms().expect("refused");
            assert!((1_001..4_000).contains(&wait), "{step_back}: {wait}");
        }
    }
}

pub fn w7_a_counter_that_wraps_loses_no_window_and_grants_none<S: Subject>() {
    let mut subject = page::<S>();
    // 32 bits of microseconds wrap after 71 minutes, right after this start.
    let start = u32::MAX - 500_000;
    let rate = TickRate::from_hz(1_000_000, 32).expect("a rate");
    let ticks = core::cell::Cell::new(start);
    let mut clock = Clocks {
        monotonic: TickClock::new(rate, || Ok(u64::from(ticks.get()))),
        utc: NoUtc,
    };
    for (elapsed_ms, admitted) in [(0, true), (1, false), (1_999, false), (2_000, true)] {
        ticks.set(start.wrapping_add(elapsed_ms * 1_000));
        let now = clock.read().expect("it runs");
        assert_eq!(admits(&mut subject, &get(1, 40), now), admitted);
    }
    // A step back by 1 ms is one, not 71 minutes ahead.
    ticks.set(start.wrapping_add(1_999_000));
    let decision = subject.check(&get(1, 1), clock.read().expect("it runs"));
    assert_eq!(refused(&decision), Some((Reason::Window, Some(2_001))));
}

pub fn w8_the_user_interface_is_charged_like_the_api<S: Subject>() {
    let mut subject = page::<S>();
    let decision = subject.check(&ui(1, 25), at(0));
    assert_eq!(quota(&decision), Some((40, 15, 2_000, None)));
    assert!(!admits(&mut subject, &get(1, 16), at(0)));
    let decision = subject.check(&ui(1, 16), at(0));
    assert_eq!(refused(&decision), Some((Reason::Window, Some(2_000))));
}
