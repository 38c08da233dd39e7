//! SPEC 5, D1 to D5 and D11: the daily quota.

use super::*;

pub fn d1_only_writes_of_an_api_token_from_the_api_count_daily<S: Subject>() {
    let mut subject = page::<S>();
    for (method, counts) in [
        (Method::Get, false),
        (Method::Head, false),
        (Method::Post, true),
        (Method::Put, true),
        (Method::Patch, false),
        (Method::Delete, false),
        (Method::Options, false),
        (Method::Trace, false),
        (Method::Connect, false),
        (Method::Other, false),
    ] {
        let decision = subject.check(&request(1, method, 1), at(0));
        assert_eq!(daily_left(&decision).is_some(), counts, "{method:?}");
    }
    assert_eq!(daily_left(&subject.check(&ui(1, 1), at(0))), None);
    assert_eq!(daily_left(&subject.check(&post(3, 1), at(0))), None);
    assert_eq!(daily_left(&subject.check(&post(1, 1), at(0))), Some(9_997));
}

pub fn d2_the_count_belongs_to_the_user<S: Subject>() {
    let mut subject = page::<S>();
    for (id, left) in [(1, 9_970), (2, 9_940), (4, 9_970)] {
        let decision = subject.check(&post(id, 30), at(0));
        assert_eq!(daily_left(&decision), Some(left));
    }
}

pub fn d3_strict_refuses_what_goes_beyond_the_limit<S: Subject>() {
    let mut subject = subject::<S>(daily(10, DailyMode::Strict));
    assert!(admits(&mut subject, &post(1, 8), at(0)));
    assert!(!admits(&mut subject, &post(2, 3), at(0)));
    assert!(admits(&mut subject, &post(2, 2), at(0)));
    assert!(!admits(&mut subject, &post(1, 1), at(0)));
    assert!(admits(&mut subject, &get(1, 1), at(0)), "reads go on");
}

pub fn d3_advisory_never_refuses_and_counts_on<S: Subject>() {
    let mut subject = subject::<S>(daily(10, DailyMode::Advisory));
    for left in [2, 0, 0, 0, 0] {
        let decision = subject.check(&post(1, 8), at(0));
        assert!(decision.is_admitted());
        assert_eq!(daily_left(&decision), Some(left));
    }
    // It did count on: 40 are used.
    assert_eq!(subject.set_policy(daily(100, DailyMode::Advisory)), Ok(()));
    let decision = subject.check(&post(2, 1), at(0));
    assert_eq!(daily_left(&decision), Some(59));
}

pub fn d3_fair_use_tolerates_some_days_and_refuses_on_the_next<S: Subject>() {
    let two = DailyMode::FairUse {
        tolerated_days: 2,
        forgiven_after_days: 30,
    };
    let mut subject = subject::<S>(daily(10, two));
    for day in 0..2 {
        let now = on_day(day * DAY_MS, day.cast_signed());
        for _ in 0..3 {
            // One strike a day, however often.
            assert!(admits(&mut subject, &post(1, 11), now), "day {day}");
        }
    }
    let now = on_day(2 * DAY_MS, 2);
    assert!(admits(&mut subject, &post(1, 10), now), "up to the limit");
    let decision = subject.check(&post(1, 1), now);
    assert_eq!(refused(&decision), Some((Reason::Daily, Some(43_200_000))));
    assert_eq!(daily_left(&decision), Some(0));
}

pub fn d3_fair_use_with_no_tolerated_day_refuses_the_first_request_beyond<S: Subject>() {
    let none = DailyMode::FairUse {
        tolerated_days: 0,
        forgiven_after_days: 1,
    };
    let mut subject = subject::<S>(daily(10, none));
    assert!(admits(&mut subject, &post(1, 10), at(0)));
    assert!(!admits(&mut subject, &post(1, 1), at(0)));
}

pub fn d3_fair_use_with_the_most_tolerated_days_refuses_on_the_next<S: Subject>() {
    let most = DailyMode::FairUse {
        tolerated_days: 254,
        forgiven_after_days: 9,
    };
    let mut subject = subject::<S>(daily(10, most));
    for day in 0..=256 {
        let now = on_day(day * DAY_MS, day.cast_signed());
        let admitted = admits(&mut subject, &post(1, 11), now);
        assert_eq!(admitted, day < 254, "day {day}");
    }
}

pub fn d3_fair_use_makes_the_strike_whichever_limit_refuses<S: Subject>() {
    let mut subject = subject::<S>(daily(10, FAIR));
    assert!(admits(&mut subject, &post(1, 10), on_day(0, 0)));
    assert!(admits(&mut subject, &get(1, 30), on_day(0, 0)));
    let decision = subject.check(&post(1, 1), on_day(0, 0));
    assert_eq!(refused(&decision), Some((Reason::Window, Some(2_000))));
    // So the next day's is the second strike, and only one is tolerated.
    let decision = subject.check(&post(1, 11), on_day(2_000, 1));
    assert_eq!(decision.reason(), Some(Reason::Daily));
}

pub fn d3_fair_use_forgives_once_enough_refills_have_followed_the_last_strike<S: Subject>() {
    for (days, forgiven) in [(2, false), (3, true)] {
        let mut subject = subject::<S>(daily(10, FAIR));
        assert!(admits(&mut subject, &post(1, 11), on_day(0, 0)));
        for day in 1..=days {
            let read = get(1, 1);
            assert!(admits(
                &mut subject,
                &read,
                on_day(day * DAY_MS, day.cast_signed())
            ));
        }
        let last = on_day(days * DAY_MS, days.cast_signed());
        assert_eq!(admits(&mut subject, &post(1, 11), last), forgiven, "{days}");
    }
}

pub fn d4_daily_left_is_reported_for_what_counts_daily_admitted_or_not<S: Subject>() {
    let mut subject = subject::<S>(daily(10, DailyMode::Strict));
    for (request, left) in [
        (post(1, 4), Some(6)),
        (post(1, 7), Some(6)),
        (post(1, 41), Some(6)),
        (get(1, 1), None),
        (get(1, 41), None),
        (ui(1, 1), None),
        (post(3, 1), None),
    ] {
        assert_eq!(daily_left(&subject.check(&request, at(0))), left);
    }
    assert_eq!(subject.set_policy(daily(3, DailyMode::Strict)), Ok(()));
    let decision = subject.check(&post(1, 1), at(0));
    assert_eq!(daily_left(&decision), Some(0), "never below 0");
}

pub fn d5_the_wait_is_until_midnight_utc<S: Subject>() {
    let mut subject = subject::<S>(daily(1, DailyMode::Strict));
    assert!(admits(&mut subject, &post(1, 1), after_midnight(0, -3)));
    let decision = subject.check(&post(1, 1), after_midnight(2_500, -1));
    assert_eq!(refused(&decision), Some((Reason::Daily, Some(1_000))));
    assert!(admits(&mut subject, &post(1, 1), after_midnight(3_500, 0)));
}

pub fn d5_with_unknown_utc_the_wait_is_what_is_left_of_24_h<S: Subject>() {
    let left = Some((Reason::Daily, Some(86_399_000)));
    let mut subject = subject::<S>(daily(1, DailyMode::Strict));
    // Since the first reading,
    assert!(admits(&mut subject, &post(1, 1), dark(5)));
    assert_eq!(refused(&subject.check(&post(1, 1), dark(1_005))), left);
    // since the adoption,
    let decision = subject.check(&post(1, 1), at(2_005));
    assert_eq!(refused(&decision), Some((Reason::Daily, Some(43_200_000))));
    assert_eq!(refused(&subject.check(&post(1, 1), dark(3_005))), left);
    // and since the last advance.
    assert!(admits(&mut subject, &post(1, 1), dark(2_005 + DAY_MS)));
    let decision = subject.check(&post(1, 1), dark(3_005 + DAY_MS));
    assert_eq!(refused(&decision), left);
}

pub fn d5_the_wait_is_at_least_until_the_next_advance_is_allowed<S: Subject>() {
    let mut subject = subject::<S>(daily(1, DailyMode::Strict));
    for day in 0..3 {
        let now = on_day(0, day);
        assert!(admits(&mut subject, &post(1, 1), now), "two are free");
    }
    // It is the next UTC day already, but the advance has to wait for 23 h (D10b).
    let decision = subject.check(&post(1, 1), on_day(1_000, 3));
    assert_eq!(refused(&decision), Some((Reason::Daily, Some(82_799_000))));
    assert!(!admits(
        &mut subject,
        &post(1, 1),
        on_day(23 * HOUR_MS - 1, 3)
    ));
    assert!(admits(&mut subject, &post(1, 1), on_day(23 * HOUR_MS, 3)));
}

pub fn d5_the_wait_is_at_least_the_windows_if_that_refuses_too<S: Subject>() {
    let mut subject = subject::<S>(daily(1, DailyMode::Strict));
    let last_second = after_midnight(0, -1);
    assert!(admits(&mut subject, &post(1, 1), last_second));
    let decision = subject.check(&post(1, 1), last_second);
    let until_midnight = Some((Reason::Daily, Some(1_000)));
    assert_eq!(refused(&decision), until_midnight, "the window has room");
    assert!(admits(&mut subject, &get(1, 39), last_second));
    let decision = subject.check(&post(1, 1), last_second);
    assert_eq!(refused(&decision), Some((Reason::Daily, Some(2_000))));
}

pub fn d5_the_wait_is_at_most_24_h<S: Subject>() {
    let day = Some((Reason::Daily, Some(86_400_000)));
    let mut narrow = subject::<S>(daily(1, DailyMode::Strict));
    assert!(admits(&mut narrow, &post(1, 1), on_day(0, 0)));
    assert_eq!(refused(&narrow.check(&post(1, 1), on_day(1, -5))), day);
    // Also where the window, behind its start, would take a little longer.
    let long = plans().daily_limit(1).window(Policy::MAX_WINDOW);
    let mut long = subject::<S>(built(long));
    assert!(admits(&mut long, &post(1, 1), on_day(DAY_MS, 0)));
    assert!(admits(&mut long, &get(1, 39), on_day(DAY_MS, 0)));
    let decision = long.check(&post(1, 1), on_day(DAY_MS - 999, 0));
    assert_eq!(quota(&decision), Some((40, 0, 86_400_999, Some(0))));
    assert_eq!(refused(&decision), day);
}

pub fn d11_two_integrations_that_made_350_100_and_100_writes_leave_9450<S: Subject>() {
    let mut subject = page::<S>();
    let mut t_ms = 0;
    for (id, method, count) in [
        (1, Method::Post, 350),
        (2, Method::Post, 100),
        (2, Method::Put, 100),
    ] {
        for _ in 0..count {
            t_ms += 50;
            assert!(admits(&mut subject, &request(id, method, 1), at(t_ms)));
        }
    }
    let decision = subject.peek(&post(2, 41), at(t_ms));
    assert_eq!(daily_left(&decision), Some(9_450));
}
