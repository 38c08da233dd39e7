//! SPEC 5, D1 to D5 and D11: the daily quota.

use super::*;

#[test]
fn d1_only_writes_of_an_api_token_from_the_api_count_daily() {
    let mut model = pipedrive();
    for method in [Method::Post, Method::Put] {
        let decision = model.check(
            &Request {
                method,
                ..post(1, 1)
            },
            at(0),
        );
        assert!(decision.daily_left.is_some(), "{method:?}");
    }
    for method in [
        Method::Get,
        Method::Head,
        Method::Patch,
        Method::Delete,
        Method::Options,
    ] {
        let decision = model.check(
            &Request {
                method,
                ..post(1, 1)
            },
            at(0),
        );
        assert_eq!(decision.daily_left, None, "{method:?}");
    }
    let ui = Request {
        origin: Origin::Ui,
        ..post(1, 1)
    };
    assert_eq!(model.check(&ui, at(0)).daily_left, None);
    assert_eq!(model.check(&post(3, 1), at(0)).daily_left, None);
    assert_eq!(model.used_today(1), 2);
}

#[test]
fn d2_the_count_belongs_to_the_user() {
    let mut model = pipedrive();
    model.register(4, 2, Kind::ApiToken, Limit::Plan(1));
    assert_eq!(model.check(&post(1, 30), at(0)).daily_left, Some(9_970));
    assert_eq!(model.check(&post(2, 30), at(0)).daily_left, Some(9_940));
    assert_eq!(model.check(&post(4, 30), at(0)).daily_left, Some(9_970));
}

#[test]
fn d3_strict_refuses_what_goes_beyond_the_limit() {
    let mut model = model(daily(10, Mode::Strict));
    assert!(admits(&mut model, &post(1, 8), at(0)));
    assert!(!admits(&mut model, &post(2, 3), at(0)));
    assert!(admits(&mut model, &post(2, 2), at(0)));
    assert!(!admits(&mut model, &post(1, 1), at(0)));
    assert!(admits(&mut model, &get(1, 1), at(0)), "reads go on");
}

#[test]
fn d3_advisory_never_refuses_and_counts_on() {
    let mut model = model(daily(10, Mode::Advisory));
    for t in 0..5 {
        let decision = model.check(&post(1, 8), at(t));
        let left = if t == 0 { 2 } else { 0 };
        assert_eq!(
            (decision.outcome, decision.daily_left),
            (Outcome::Admitted, Some(left))
        );
    }
    assert_eq!(model.used_today(1), 40);
}

#[test]
fn d3_fair_use_tolerates_some_days_and_refuses_on_the_next() {
    let mode = Mode::FairUse {
        tolerated_days: 2,
        forgiven_after_days: 30,
    };
    let mut model = model(daily(10, mode));
    for day in 0..2_u8 {
        let now = on_day(u64::from(day) * DAY_MS, day.into());
        assert!(admits(&mut model, &post(1, 10), now));
        assert_eq!(
            model.strikes(1),
            u64::from(day),
            "up to the limit is no strike"
        );
        assert!(admits(&mut model, &post(1, 1), now));
        assert!(admits(&mut model, &post(1, 1), now));
        assert_eq!(model.strikes(1), u64::from(day) + 1, "one strike a day");
    }
    let now = on_day(2 * DAY_MS, 2);
    assert!(
        admits(&mut model, &post(1, 10), now),
        "up to the limit nothing is refused"
    );
    let decision = model.check(&post(1, 1), now);
    assert_eq!(
        refused(&decision),
        Some((Reason::Daily, Some(12 * HOUR_MS)))
    );
    assert_eq!(
        (decision.daily_left, model.strikes(1), model.used_today(1)),
        (Some(0), 3, 10)
    );
}

#[test]
fn d3_fair_use_with_no_tolerated_day_refuses_the_first_request_beyond() {
    let mut model = model(daily(
        10,
        Mode::FairUse {
            tolerated_days: 0,
            forgiven_after_days: 1,
        },
    ));
    assert!(admits(&mut model, &post(1, 10), at(0)));
    assert!(!admits(&mut model, &post(1, 1), at(0)));
}

#[test]
fn d3_fair_use_makes_the_strike_whichever_limit_refuses() {
    let mut model = model(daily(
        10,
        Mode::FairUse {
            tolerated_days: 1,
            forgiven_after_days: 9,
        },
    ));
    assert!(admits(&mut model, &post(1, 10), at(0)));
    assert!(admits(&mut model, &get(1, 30), at(0)));
    let decision = model.check(&post(1, 1), at(0));
    assert_eq!(refused(&decision), Some((Reason::Window, Some(2_000))));
    assert_eq!((model.strikes(1), model.used_today(1)), (1, 10));
}

#[test]
fn d3_fair_use_forgives_once_enough_refills_have_followed_the_last_strike() {
    let mut model = model(daily(
        10,
        Mode::FairUse {
            tolerated_days: 1,
            forgiven_after_days: 3,
        },
    ));
    for day in 0..2 {
        assert!(admits(&mut model, &post(1, 10), on_day(0, day)));
        model.check(&post(1, 1), on_day(0, day));
        assert_eq!(model.strikes(1), u64::try_from(day).unwrap() + 1);
        // The first advance has no bound, and the next may follow it at once (D10b).
    }
    assert_eq!(model.refills(), 1);
    for day in 2..4 {
        let t_ms = u64::try_from(day).unwrap() * DAY_MS;
        assert!(admits(&mut model, &post(1, 1), on_day(t_ms, day)));
        assert_eq!(model.strikes(1), 2, "two refills are too few");
    }
    assert!(admits(&mut model, &post(1, 1), on_day(4 * DAY_MS, 4)));
    assert_eq!(
        (model.refills(), model.strikes(1)),
        (4, 0),
        "the third forgives all"
    );
}

#[test]
fn d4_daily_left_is_reported_with_the_quota_of_what_counts_daily_admitted_or_not() {
    let mut model = model(daily(10, Mode::Strict));
    assert_eq!(model.check(&post(1, 4), at(0)).daily_left, Some(6));
    assert_eq!(
        model.check(&post(1, 7), at(0)).daily_left,
        Some(6),
        "refused by the day"
    );
    assert_eq!(
        model.check(&post(1, 41), at(0)).daily_left,
        Some(6),
        "can never fit"
    );
    assert_eq!(model.check(&get(1, 1), at(0)).daily_left, None, "a read");
    model.set_policy(daily(3, Mode::Strict));
    assert_eq!(
        model.check(&post(1, 1), at(0)).daily_left,
        Some(0),
        "never below 0"
    );
}

#[test]
fn d5_the_wait_is_until_midnight_utc() {
    let mut model = model(daily(1, Mode::Strict));
    let midnight = (DAY + 1) * 86_400;
    assert!(admits(
        &mut model,
        &post(1, 1),
        Now {
            t_ms: 0,
            utc: Some(midnight - 3)
        }
    ));
    let late = Now {
        t_ms: 2_500,
        utc: Some(midnight - 1),
    };
    assert_eq!(
        refused(&model.check(&post(1, 1), late)),
        Some((Reason::Daily, Some(1_000)))
    );
    let next = Now {
        t_ms: 3_500,
        utc: Some(midnight),
    };
    assert!(admits(&mut model, &post(1, 1), next));
}

#[test]
fn d5_with_unknown_utc_the_wait_is_what_is_left_of_24_h() {
    // Since the first reading,
    let mut model = model(daily(1, Mode::Strict));
    assert!(admits(&mut model, &post(1, 1), dark(5)));
    let decision = model.check(&post(1, 1), dark(1_005));
    assert_eq!(
        refused(&decision),
        Some((Reason::Daily, Some(DAY_MS - 1_000)))
    );
    // since the adoption,
    let decision = model.check(&post(1, 1), at(2_005));
    assert_eq!(
        refused(&decision),
        Some((Reason::Daily, Some(12 * HOUR_MS)))
    );
    let decision = model.check(&post(1, 1), dark(3_005));
    assert_eq!(
        refused(&decision),
        Some((Reason::Daily, Some(DAY_MS - 1_000)))
    );
    // and since the last advance.
    assert!(admits(&mut model, &post(1, 1), dark(2_005 + DAY_MS)));
    let decision = model.check(&post(1, 1), dark(3_005 + DAY_MS));
    assert_eq!(
        refused(&decision),
        Some((Reason::Daily, Some(DAY_MS - 1_000)))
    );
}

#[test]
fn d5_the_wait_is_at_least_until_the_next_advance_is_allowed() {
    let mut model = model(daily(1, Mode::Strict));
    for day in 0..3 {
        assert!(
            admits(&mut model, &post(1, 1), on_day(0, day)),
            "two advances are free"
        );
    }
    // Already the next UTC day, but the advance has to wait for 23 h (D10b).
    let decision = model.check(&post(1, 1), on_day(1_000, 3));
    assert_eq!(
        refused(&decision),
        Some((Reason::Daily, Some(23 * HOUR_MS - 1_000)))
    );
    assert!(!admits(
        &mut model,
        &post(1, 1),
        on_day(23 * HOUR_MS - 1, 3)
    ));
    assert!(admits(&mut model, &post(1, 1), on_day(23 * HOUR_MS, 3)));
}

#[test]
fn d5_the_wait_is_at_least_the_windows_if_that_refuses_too() {
    let mut model = model(daily(1, Mode::Strict));
    let last_second = Now {
        t_ms: 0,
        utc: Some((DAY + 1) * 86_400 - 1),
    };
    assert!(admits(&mut model, &post(1, 1), last_second));
    assert!(admits(&mut model, &get(1, 39), last_second));
    let decision = model.check(&post(1, 1), last_second);
    assert_eq!(refused(&decision), Some((Reason::Daily, Some(2_000))));
}

#[test]
fn d5_the_wait_is_at_most_24_h() {
    let mut model = model(daily(1, Mode::Strict));
    assert!(admits(&mut model, &post(1, 1), on_day(0, 0)));
    let decision = model.check(&post(1, 1), on_day(1, -5));
    assert_eq!(refused(&decision), Some((Reason::Daily, Some(DAY_MS))));
}

#[test]
fn d11_two_integrations_that_made_350_100_and_100_writes_leave_9450() {
    let mut model = pipedrive();
    let mut t_ms = 0;
    for (token, method, count) in [
        (1, Method::Post, 350),
        (2, Method::Post, 100),
        (2, Method::Put, 100),
    ] {
        for _ in 0..count {
            t_ms += 50;
            assert!(admits(
                &mut model,
                &Request {
                    method,
                    ..post(token, 1)
                },
                at(t_ms)
            ));
        }
    }
    let decision = model.peek(&post(2, 41), at(t_ms));
    assert_eq!(
        (model.used_today(1), decision.daily_left),
        (550, Some(9_450))
    );
}
