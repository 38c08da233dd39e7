//! 429, 403 and 503: who waits, and for how long.

use super::*;

fn over_limit(reset_ms: u32) -> ResponseInfo {
    ResponseInfo {
        limit: Some(20),
        remaining: Some(0),
        reset_ms: Some(reset_ms),
        retry_after_ms: Some(reset_ms),
        ..ResponseInfo::bare(429)
    }
}

fn refuse<const N: usize>(
    pacer: &mut Pacer<N>,
    request: SendRequest,
    answer: &ResponseInfo,
    now: Now,
) {
    let ticket = go(pacer, request, now);
    pacer.on_response(ticket, answer, now);
}

#[test]
fn makes_everyone_wait_for_the_window_after_a_429() {
    let mut pacer = Pacer::<8>::new(known_limits());
    refuse(&mut pacer, read(), &over_limit(2_000), at(0));
    assert_eq!(wait(&mut pacer, read(), at(0)), 2_000);
    let urgent = write().with_priority(Priority::High);
    assert_eq!(wait(&mut pacer, urgent, at(1_999)), 1);
    let _ = go(&mut pacer, urgent, at(2_000));
    assert_eq!(pacer.status().others, 1, "leaves others more");
}

#[test]
fn waits_twice_as_long_after_each_429_that_tells_no_time() {
    let mut pacer = Pacer::<8>::new(known_limits());
    let mut now = 0;
    for expected in [
        2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 128_000,
    ] {
        refuse(&mut pacer, read(), &ResponseInfo::bare(429), at(now));
        assert_eq!(wait(&mut pacer, read(), at(now)), expected);
        now += u64::from(expected);
    }
    spend(&mut pacer, 1, 0, at(now));
    refuse(&mut pacer, read(), &ResponseInfo::bare(429), at(now));
    assert_eq!(wait(&mut pacer, read(), at(now)), 2_000);
}

#[test]
fn stops_writes_alone_after_a_429_of_the_day() {
    let mut pacer = Pacer::<8>::new(known_limits());
    let by_day = ResponseInfo {
        remaining: Some(15),
        daily_left: Some(0),
        retry_after_ms: Some(3_600_000),
        ..over_limit(2_000)
    };
    refuse(&mut pacer, write(), &by_day, utc_at(0));
    let stopped = stop(&mut pacer, write(), utc_at(0));
    assert_eq!(stopped, Stop::until(StopReason::DailySpent, 3_600_000));
    let _ = go(&mut pacer, read(), utc_at(0));
    assert_eq!(
        stop(&mut pacer, write(), utc_at(3_599_999)).retry_ms,
        Some(1)
    );
    let _ = go(&mut pacer, write(), utc_at(3_600_000));
}

#[test]
fn stops_writes_until_utc_midnight_where_the_429_of_the_day_tells_no_time() {
    let mut pacer = Pacer::<8>::new(known_limits().with_utc_skew(0));
    let by_day = ResponseInfo {
        remaining: Some(15),
        daily_left: Some(0),
        retry_after_ms: None,
        ..over_limit(2_000)
    };
    refuse(&mut pacer, write(), &by_day, utc_at(80_000_000));
    let stopped = stop(&mut pacer, write(), utc_at(80_000_000));
    assert_eq!(stopped.retry_ms, Some(6_400_000));
}

#[test]
fn takes_a_long_wait_without_a_word_of_the_day_for_the_day_and_pauses_reads_for_a_window() {
    let mut pacer = Pacer::<8>::new(known_limits());
    let silent = ResponseInfo {
        retry_after_ms: Some(7_200_000),
        ..ResponseInfo::bare(429)
    };
    refuse(&mut pacer, write(), &silent, at(0));
    assert_eq!(stop(&mut pacer, write(), at(0)).retry_ms, Some(7_200_000));
    assert_eq!(wait(&mut pacer, read(), at(0)), 2_000);
    // A read that is reported the same speaks for all.
    refuse(&mut pacer, read(), &silent, at(2_000));
    assert_eq!(wait(&mut pacer, read(), at(2_000)), 7_200_000);
}

#[test]
fn waits_for_nobody_after_a_429_of_a_request_that_can_never_fit() {
    let mut pacer = Pacer::<8>::new(PacerPolicy::ADAPTIVE);
    let costly = read().with_cost(NonZeroU32::new(21).unwrap());
    let too_costly = ResponseInfo {
        remaining: Some(3),
        retry_after_ms: None,
        ..over_limit(2_000)
    };
    refuse(&mut pacer, costly, &too_costly, at(0));
    assert_eq!(stop(&mut pacer, costly, at(0)), Stop::NEVER_FITS);
}

#[test]
fn waits_in_growing_steps_for_a_limit_of_which_no_header_tells() {
    let mut pacer = Pacer::<8>::new(known_limits());
    let hidden = ResponseInfo {
        remaining: Some(15),
        retry_after_ms: None,
        ..over_limit(1_000)
    };
    refuse(&mut pacer, read(), &hidden, at(0));
    assert_eq!(wait(&mut pacer, read(), at(0)), 2_000);
    refuse(&mut pacer, read(), &hidden, at(2_000));
    assert_eq!(wait(&mut pacer, read(), at(2_000)), 4_000);
}

#[test]
fn takes_a_wait_of_0_for_none_and_a_retry_after_for_more_than_a_reset() {
    let mut pacer = Pacer::<8>::new(known_limits());
    let zero = ResponseInfo {
        retry_after_ms: Some(0),
        ..over_limit(1_000)
    };
    refuse(&mut pacer, read(), &zero, at(0));
    assert_eq!(wait(&mut pacer, read(), at(0)), 1_000, "the reset");
    let both = ResponseInfo {
        retry_after_ms: Some(3_000),
        ..over_limit(60_000)
    };
    refuse(&mut pacer, read(), &both, at(1_000));
    assert_eq!(wait(&mut pacer, read(), at(1_000)), 3_000);
}

#[test]
fn goes_on_one_by_one_after_a_denial_until_a_request_is_served() {
    let mut pacer = Pacer::<8>::new(known_limits().denied_backoff(1_000));
    refuse(&mut pacer, read(), &ResponseInfo::bare(403), at(0));
    refuse(&mut pacer, read(), &over_limit(2_000), at(1_250));
    assert_eq!(
        pacer.denial(at(1_250)).unwrap().times,
        1,
        "a 429 is no pardon"
    );
    refuse(&mut pacer, read(), &ResponseInfo::bare(403), at(3_250));
    assert_eq!(pacer.denial(at(3_250)).unwrap().times, 2);
}

#[test]
fn stops_everything_for_a_growing_time_after_403_and_tells_a_person() {
    let mut pacer = Pacer::<8>::new(known_limits().with_seed(5));
    let mut now = 0;
    let mut last = 0;
    for times in 1..=5 {
        refuse(&mut pacer, read(), &ResponseInfo::bare(403), at(now));
        let stopped = stop(&mut pacer, write(), at(now));
        assert_eq!(stopped.reason, StopReason::Denied);
        let wait = stopped.retry_ms.unwrap();
        assert!(wait >= 300_000 << (times - 1) && wait > last, "{wait}");
        last = wait;
        let state = pacer.denial(at(now)).unwrap();
        assert_eq!(
            (state.times, state.retry_ms, state.unacknowledged),
            (times, wait, true)
        );
        pacer.acknowledge_denial();
        assert!(!pacer.denial(at(now)).unwrap().unacknowledged);
        stop(&mut pacer, read(), at(now + u64::from(wait) - 1));
        now += u64::from(wait);
    }
    // One request tries; the others wait for what it is reported.
    let first = go(&mut pacer, read(), at(now));
    wait(&mut pacer, read(), at(now));
    pacer.on_response(first, &counted(1, 2_000), at(now + 30));
    assert_eq!(pacer.denial(at(now + 30)), None);
    let _ = go(&mut pacer, read(), at(now + 30));
}

#[test]
fn stays_away_after_403_for_as_long_as_it_is_told_at_least() {
    let mut pacer = Pacer::<8>::new(known_limits());
    let blocked = ResponseInfo {
        retry_after_ms: Some(900_000),
        ..ResponseInfo::bare(403)
    };
    refuse(&mut pacer, read(), &blocked, at(0));
    assert!(stop(&mut pacer, read(), at(0)).retry_ms.unwrap() >= 900_000);
}

#[test]
fn goes_on_after_a_403_of_the_service_behind_the_limiter() {
    let mut pacer = Pacer::<8>::new(known_limits());
    let forbidden = ResponseInfo {
        status: 403,
        ..counted(1, 2_000)
    };
    refuse(&mut pacer, read(), &forbidden, at(0));
    assert_eq!(pacer.status().held, 1, "it was counted");
    let _ = go(&mut pacer, read(), at(0));
}

#[test]
fn goes_on_at_a_persons_word() {
    let mut pacer = Pacer::<8>::new(known_limits());
    refuse(&mut pacer, read(), &ResponseInfo::bare(403), at(0));
    pacer.lift_denial();
    assert_eq!(pacer.denial(at(1)), None);
    let _ = go(&mut pacer, read(), at(1));
}

#[test]
fn gives_two_seeds_two_times() {
    let wait = |seed| {
        let mut pacer = Pacer::<8>::new(known_limits().with_seed(seed));
        refuse(&mut pacer, read(), &ResponseInfo::bare(403), at(0));
        stop(&mut pacer, read(), at(0)).retry_ms
    };
    assert_ne!(wait(1), wait(2));
    assert_eq!(wait(1), wait(1));
}

#[test]
fn waits_as_a_503_asks() {
    let mut pacer = Pacer::<8>::new(known_limits());
    let busy = ResponseInfo {
        retry_after_ms: Some(1_000),
        ..ResponseInfo::bare(503)
    };
    refuse(&mut pacer, read(), &busy, at(0));
    assert_eq!(wait(&mut pacer, read(), at(0)), 1_000);
    assert_eq!(pacer.status().held, 0, "refused before it was counted");
}

#[test]
fn heeds_a_refusal_even_of_a_request_that_counted_as_lost() {
    let mut pacer = Pacer::<8>::new(known_limits().with_lost_after(1_000));
    let ticket = go(&mut pacer, read(), at(0));
    let _ = go(&mut pacer, read(), at(60_000));
    pacer.on_response(ticket, &ResponseInfo::bare(403), at(61_000));
    assert_eq!(
        stop(&mut pacer, read(), at(61_000)).reason,
        StopReason::Denied
    );
}
