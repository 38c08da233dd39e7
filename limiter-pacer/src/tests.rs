//! The pacer against hand-written answers; whole services are simulated elsewhere.

mod days;
mod hostile;
mod refusals;

use super::*;
use core::num::NonZeroU32;
use limiter_core::policy::{Plan, Policy};
use limiter_core::request::{Kind, Method};
use limiter_core::time::UnixTime;

const UTC: u64 = 1_795_478_400; // 2026-11-24T00:00:00Z

fn known_limits() -> PacerPolicy {
    PacerPolicy::of(&Policy::pipedrive(), Plan::ESSENTIAL, Kind::ApiToken)
        .unwrap()
        .with_margin(0)
}

/// A moment without UTC.
fn at(millis: u64) -> Now {
    Now::new(Instant::from_millis(millis), None)
}

/// A moment whose UTC runs with its monotonic time, from a midnight on.
fn utc_at(millis: u64) -> Now {
    Now::new(
        Instant::from_millis(millis),
        UnixTime::from_secs(UTC + millis / 1_000),
    )
}

fn read() -> SendRequest {
    SendRequest::new(Method::Get)
}

fn write() -> SendRequest {
    SendRequest::new(Method::Post)
}

/// The answer of a window that has counted `used` of 20.
fn counted(used: u32, reset_ms: u32) -> ResponseInfo {
    ResponseInfo {
        limit: Some(20),
        remaining: Some(20 - used),
        reset_ms: Some(reset_ms),
        ..ResponseInfo::bare(200)
    }
}

fn daily(left: u32) -> ResponseInfo {
    ResponseInfo {
        daily_left: Some(left),
        ..counted(1, 2_000)
    }
}

#[track_caller]
fn go<const N: usize>(pacer: &mut Pacer<N>, request: SendRequest, now: Now) -> Ticket {
    match pacer.poll_send(request, now) {
        SendDecision::Go(ticket) => ticket,
        other => panic!("{other:?} at {now:?}"),
    }
}

#[track_caller]
fn wait<const N: usize>(pacer: &mut Pacer<N>, request: SendRequest, now: Now) -> u32 {
    match pacer.poll_send(request, now) {
        SendDecision::Wait(millis) => millis,
        other => panic!("{other:?} at {now:?}"),
    }
}

#[track_caller]
fn stop<const N: usize>(pacer: &mut Pacer<N>, request: SendRequest, now: Now) -> Stop {
    match pacer.poll_send(request, now) {
        SendDecision::Stop(stop) => stop,
        other => panic!("{other:?} at {now:?}"),
    }
}

/// Sends and answers `count` requests at one moment, the window's count going up from `used`.
fn spend<const N: usize>(pacer: &mut Pacer<N>, count: u32, used: u32, now: Now) {
    for nth in 1..=count {
        let ticket = go(pacer, read(), now);
        pacer.on_response(ticket, &counted(used + nth, 2_000), now);
    }
}

#[test]
fn lets_the_limit_go_at_once_and_the_next_one_exactly_a_window_after_the_answers() {
    let mut pacer = Pacer::<32>::new(known_limits());
    spend(&mut pacer, 20, 0, at(0));
    assert_eq!(wait(&mut pacer, read(), at(0)), 2_001);
    assert_eq!(wait(&mut pacer, read(), at(2_000)), 1);
    let _ = go(&mut pacer, read(), at(2_001));
}

#[test]
fn counts_requests_without_an_answer_until_they_are_lost_and_a_window_more() {
    let mut pacer = Pacer::<32>::new(known_limits().with_lost_after(5_000));
    for _ in 0..20 {
        let _ = go(&mut pacer, read(), at(0));
    }
    assert_eq!(pacer.status().in_flight, 20);
    assert!(wait(&mut pacer, read(), at(7_000)) >= 1);
    let _ = go(&mut pacer, read(), at(7_001));
}

#[test]
fn needs_no_answers_where_the_transits_spread_is_bounded() {
    let policy = known_limits().with_transit_spread(Some(30));
    let mut pacer = Pacer::<64>::new(policy);
    for _ in 0..20 {
        let _ = go(&mut pacer, read(), at(0));
    }
    assert!(wait(&mut pacer, read(), at(2_030)) >= 1);
    let _ = go(&mut pacer, read(), at(2_031));
}

#[test]
fn gives_permits_back_when_the_answer_says_that_the_window_ends_sooner() {
    let mut pacer = Pacer::<32>::new(known_limits());
    for nth in 1..=20 {
        let ticket = go(&mut pacer, read(), at(0));
        pacer.on_response(ticket, &counted(nth, 1_000), at(0));
    }
    assert_eq!(wait(&mut pacer, read(), at(1_000)), 1);
    let _ = go(&mut pacer, read(), at(1_001));

    let mut rolling = Pacer::<32>::new(known_limits().with_counting(Counting::Rolling));
    for nth in 1..=20 {
        let ticket = go(&mut rolling, read(), at(0));
        rolling.on_response(ticket, &counted(nth, 1_000), at(0));
    }
    assert_eq!(wait(&mut rolling, read(), at(1_001)), 1_000);
}

#[test]
fn gives_everything_back_when_an_answer_proves_a_newer_window() {
    let mut pacer = Pacer::<32>::new(known_limits());
    for nth in 1..=19 {
        let ticket = go(&mut pacer, read(), at(0));
        pacer.on_response(ticket, &counted(nth, 2_000), at(100));
    }
    assert_eq!(pacer.status().held, 19);
    // The 20th happens to arrive in a new window: it is counted as the first.
    let ticket = go(&mut pacer, read(), at(1_990));
    pacer.on_response(ticket, &counted(1, 2_000), at(2_090));
    assert_eq!(pacer.status().held, 1);
}

#[test]
fn keeps_what_may_be_in_the_newer_window_too() {
    let mut pacer = Pacer::<32>::new(known_limits());
    let slow = go(&mut pacer, read(), at(0));
    let first = go(&mut pacer, read(), at(0));
    pacer.on_response(first, &counted(20 - 1, 2_000), at(50));
    // Under way together: which of the two came first is not known.
    let second = go(&mut pacer, read(), at(40));
    pacer.on_response(second, &counted(1, 2_000), at(90));
    pacer.on_response(slow, &counted(2, 2_000), at(95));
    assert_eq!(pacer.status().held, 3);
}

#[test]
fn merges_answered_requests_rather_than_stop_for_want_of_slots() {
    let mut pacer = Pacer::<4>::new(known_limits());
    spend(&mut pacer, 20, 0, at(0));
    assert_eq!(pacer.status().held, 20);
    assert_eq!(wait(&mut pacer, read(), at(0)), 2_001);
    let mut in_flight = Pacer::<4>::new(known_limits());
    for _ in 0..4 {
        let _ = go(&mut in_flight, read(), at(0));
    }
    assert_eq!(wait(&mut in_flight, read(), at(0)), 125, "a hint");
}

#[test]
fn takes_a_cancelled_reservation_for_nothing() {
    let mut pacer = Pacer::<32>::new(known_limits());
    let ticket = go(&mut pacer, write(), at(0));
    pacer.cancel(ticket);
    let status = pacer.status();
    assert_eq!((status.held, status.in_flight), (0, 0));
    let _ = go(&mut pacer, write(), at(0));
}

#[test]
fn counts_from_the_moment_a_delayed_request_was_sent() {
    let mut pacer = Pacer::<32>::new(known_limits().with_transit_spread(Some(0)));
    for _ in 0..20 {
        let ticket = go(&mut pacer, read(), at(0));
        pacer.on_sent(&ticket, at(500));
    }
    assert!(wait(&mut pacer, read(), at(2_500)) >= 1);
    let _ = go(&mut pacer, read(), at(2_501));
}

#[test]
fn leaves_others_their_share_and_more_once_answers_prove_more() {
    let mut pacer = Pacer::<32>::new(known_limits().reserve_for_others(5));
    spend(&mut pacer, 3, 0, at(0));
    assert_eq!(pacer.status().others, 5);
    // 4 requests of this pacer, a count of 14: others took 10.
    let ticket = go(&mut pacer, read(), at(10));
    pacer.on_response(ticket, &counted(14, 2_000), at(10));
    assert_eq!(pacer.status().others, 10);
    for _ in 0..6 {
        let _ = go(&mut pacer, read(), at(10));
    }
    wait(&mut pacer, read(), at(10));
}

#[test]
fn learns_the_limit_and_the_window_from_one_request() {
    let mut pacer = Pacer::<64>::new(PacerPolicy::ADAPTIVE.with_margin(0));
    let first = go(&mut pacer, read(), at(0));
    wait(&mut pacer, read(), at(0));
    let answer = ResponseInfo {
        limit: Some(40),
        remaining: Some(39),
        ..counted(1, 2_000)
    };
    pacer.on_response(first, &answer, at(100));
    assert_eq!(
        (pacer.status().limit, pacer.status().window_ms),
        (Some(40), Some(2_000))
    );
    for _ in 0..39 {
        let _ = go(&mut pacer, read(), at(100));
    }
    wait(&mut pacer, read(), at(100));
}

#[test]
fn sends_one_at_a_time_with_pauses_where_nothing_tells_a_limit() {
    let mut pacer = Pacer::<8>::new(PacerPolicy::ADAPTIVE.with_margin(0));
    let mut now = 0;
    for _ in 0..5 {
        let ticket = go(&mut pacer, read(), at(now));
        pacer.on_response(ticket, &ResponseInfo::bare(200), at(now + 50));
        assert_eq!(wait(&mut pacer, read(), at(now + 50)), 1_001);
        now += 1_051;
    }
}

#[test]
fn follows_a_changed_limit_and_obeys_a_cap_at_once() {
    let mut pacer = Pacer::<64>::new(known_limits());
    let ticket = go(&mut pacer, read(), at(0));
    let upgraded = ResponseInfo {
        limit: Some(40),
        remaining: Some(39),
        ..counted(1, 2_000)
    };
    pacer.on_response(ticket, &upgraded, at(1));
    assert_eq!(pacer.status().limit, Some(40));
    pacer.set_cap(Some(10));
    for _ in 0..9 {
        let _ = go(&mut pacer, read(), at(2));
    }
    wait(&mut pacer, read(), at(2));
    pacer.set_cap(None);
    let _ = go(&mut pacer, read(), at(2));
}

#[test]
fn says_that_a_cost_above_the_limit_never_fits() {
    let mut pacer = Pacer::<8>::new(known_limits());
    let request = read().with_cost(NonZeroU32::new(21).unwrap());
    assert_eq!(stop(&mut pacer, request, at(0)), Stop::NEVER_FITS);
    let all = read().with_cost(NonZeroU32::new(20).unwrap());
    let _ = go(&mut pacer, all, at(0));
    wait(&mut pacer, read(), at(0));
}

#[test]
fn lets_the_urgent_go_first_when_permits_come_back() {
    let mut pacer = Pacer::<32>::new(known_limits());
    spend(&mut pacer, 20, 0, at(0));
    let high = read().with_priority(Priority::High);
    assert_eq!(wait(&mut pacer, high, at(0)), 2_001);
    assert_eq!(wait(&mut pacer, read(), at(2_001)), 10, "for its grace");
    let _ = go(&mut pacer, high, at(2_002));
    let _ = go(&mut pacer, read(), at(2_002));
    // One that never comes back delays the others only briefly.
    spend(&mut pacer, 18, 2, at(2_002));
    wait(&mut pacer, high, at(2_002));
    let _ = go(&mut pacer, read(), at(4_013));
}

#[test]
fn keeps_the_last_permit_to_open_the_next_window_where_a_round_trip_is_long() {
    let mut pacer = Pacer::<32>::new(known_limits());
    let first = go(&mut pacer, read(), at(0));
    pacer.on_response(first, &counted(1, 2_000), at(400));
    let rest = [(); 18].map(|()| go(&mut pacer, read(), at(400)));
    for (nth, ticket) in (2..).zip(rest) {
        pacer.on_response(ticket, &counted(nth, 2_000), at(800));
    }
    // A window after the opener's sending, 1 ms, and an eighth of its round trip.
    assert_eq!(wait(&mut pacer, read(), at(800)), 1_251);
    let last = go(&mut pacer, read(), at(2_051));
    pacer.on_response(last, &counted(1, 2_000), at(2_451));
    assert_eq!(
        pacer.status().held,
        1,
        "all others are of the window before"
    );
}

#[test]
fn waits_no_longer_than_it_could_have_when_time_goes_backwards() {
    let mut pacer = Pacer::<32>::new(known_limits().with_lost_after(1_000));
    spend(&mut pacer, 20, 0, at(10_000_000));
    let longest = 1_000 + 2 * 2_000 + 1;
    let reported = wait(&mut pacer, read(), at(0));
    assert!(reported <= longest, "{reported}");
    let _ = go(&mut pacer, read(), at(u64::from(longest)));
}

#[test]
fn is_no_larger_than_its_documentation_says() {
    let (small, large) = (size_of::<Pacer<2>>(), size_of::<Pacer<102>>());
    assert_eq!((large - small) / 100, 56);
    assert!(small - 2 * 56 <= 440, "{}", small - 2 * 56);
}
