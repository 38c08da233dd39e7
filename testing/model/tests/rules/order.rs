//! SPEC 3: the order of a decision, and the page's examples.

use super::*;

#[test]
fn the_page_shows_40_39_2_9999_after_the_first_post_of_an_advanced_account() {
    let decision = pipedrive().check(&post(1, 1), at(1_000));
    assert_eq!(decision.outcome, Outcome::Admitted);
    assert_eq!(
        quota(&decision),
        (Some(40), Some(39), Some(2_000), Some(9_999))
    );
    assert_eq!(
        (decision.reset_s(), decision.retry_after_ms),
        (Some(2), None)
    );
}

#[test]
fn o1_a_webhook_is_exempt_whoever_sends_it_and_whatever_it_costs() {
    let mut model = model(Policy {
        block: Some(strict_block()),
        ..Policy::pipedrive()
    });
    assert!(admits(&mut model, &get(1, 40), at(0)));
    for t in 0..3 {
        assert!(!admits(&mut model, &get(1, 1), at(t)));
    }
    assert_eq!(model.blocked_until_ms(1), Some(10_002));
    for token in [None, Some(1), Some(99)] {
        let request = Request {
            token,
            origin: Origin::Webhook,
            ..post(1, 1_000_000)
        };
        let decision = model.check(&request, on_day(3, 1));
        assert_eq!(decision.outcome, Outcome::Exempt);
        assert_eq!(quota(&decision), (None, None, None, None));
        assert_eq!((decision.retry_after_ms, decision.receipt), (None, None));
    }
    // Not even the calendar looked at it.
    assert_eq!((model.calendar().day(), model.refills()), (Some(DAY), 0));
}

#[test]
fn o2_a_request_without_a_known_token_is_unauthenticated_and_feeds_no_calendar() {
    let mut model = pipedrive();
    assert!(model.revoke(2, at(0)));
    for token in [None, Some(99), Some(2)] {
        let decision = model.check(
            &Request {
                token,
                ..post(1, 50)
            },
            at(0),
        );
        assert_eq!(refused(&decision), Some((Reason::Unauthenticated, None)));
        assert_eq!(quota(&decision), (None, None, None, None));
    }
    assert_eq!(model.calendar().day(), None);
}

#[test]
fn o3_a_blocked_token_is_refused_before_its_cost_is_looked_at() {
    let mut model = model(Policy {
        block: Some(strict_block()),
        ..Policy::pipedrive()
    });
    assert!(admits(&mut model, &get(1, 40), at(0)));
    for t in 0..3 {
        assert!(!admits(&mut model, &get(1, 1), at(t)));
    }
    let decision = model.check(&get(1, 41), at(3));
    assert_eq!(refused(&decision), Some((Reason::Blocked, Some(9_999))));
    assert_eq!(quota(&decision), (None, None, None, None));
}

#[test]
fn o4_a_cost_beyond_the_window_limit_can_never_fit() {
    let mut model = pipedrive();
    for t in 0..200 {
        let decision = model.check(&post(1, 41), at(t));
        assert_eq!(refused(&decision), Some((Reason::CostExceedsLimit, None)));
        assert_eq!(
            quota(&decision),
            (Some(40), Some(40), Some(2_000), Some(10_000))
        );
    }
    // It was no offence.
    assert_eq!(
        (model.offence_period(1), model.blocked_until_ms(1)),
        (None, None)
    );
    assert!(admits(&mut model, &post(1, 40), at(200)));
}

#[test]
fn o4_a_cost_beyond_the_daily_limit_can_never_fit_in_strict_mode_if_it_counts_daily() {
    let fair_use = Mode::FairUse {
        tolerated_days: 1,
        forgiven_after_days: 1,
    };
    for (mode, admitted) in [
        (Mode::Strict, false),
        (Mode::Advisory, true),
        (fair_use, true),
    ] {
        let mut model = model(daily(10, mode));
        let decision = model.check(&post(1, 11), at(0));
        assert_eq!(decision.outcome == Outcome::Admitted, admitted, "{mode:?}");
        if !admitted {
            assert_eq!(refused(&decision), Some((Reason::CostExceedsLimit, None)));
            assert_eq!(decision.daily_left, Some(10));
        }
        assert!(
            admits(&mut model, &get(1, 11), at(2_000)),
            "a read does not count daily"
        );
    }
}

#[test]
fn o4_a_cost_beyond_the_window_limit_is_evaluated_no_further_and_makes_no_strike() {
    let mode = Mode::FairUse {
        tolerated_days: 0,
        forgiven_after_days: 9,
    };
    let mut model = model(daily(10, mode));
    assert!(!admits(&mut model, &post(1, 41), at(0)));
    assert_eq!(model.strikes(1), 0);
    assert!(!admits(&mut model, &post(1, 40), at(0)));
    assert_eq!(model.strikes(1), 1);
}

#[test]
fn o5_both_the_window_and_the_day_are_charged() {
    let mut model = pipedrive();
    let decision = model.check(&post(1, 7), at(0));
    assert_eq!(
        quota(&decision),
        (Some(40), Some(33), Some(2_000), Some(9_993))
    );
    assert_eq!(
        (model.used_in_window(1, at(0)), model.used_today(1)),
        (7, 7)
    );
}

#[test]
fn o6_what_the_window_refuses_is_not_charged_to_the_day() {
    let mut model = pipedrive();
    assert!(admits(&mut model, &post(1, 30), at(0)));
    let decision = model.check(&post(1, 11), at(500));
    assert_eq!(refused(&decision), Some((Reason::Window, Some(1_500))));
    assert_eq!(
        quota(&decision),
        (Some(40), Some(10), Some(1_500), Some(9_970))
    );
    assert_eq!(model.used_today(1), 30);
}

#[test]
fn o6_what_the_day_refuses_is_not_charged_to_the_window() {
    let mut model = model(daily(10, Mode::Strict));
    assert!(admits(&mut model, &post(1, 8), at(0)));
    let decision = model.check(&post(1, 3), at(500));
    assert_eq!(
        refused(&decision),
        Some((Reason::Daily, Some(12 * HOUR_MS)))
    );
    assert_eq!(quota(&decision), (Some(40), Some(32), Some(1_500), Some(2)));
    assert!(admits(&mut model, &post(1, 2), at(500)));
}

#[test]
fn o6_the_reason_is_daily_with_its_wait_if_both_refuse() {
    let mut model = model(daily(10, Mode::Strict));
    assert!(admits(&mut model, &get(1, 31), at(0)));
    assert!(admits(&mut model, &post(1, 1), at(0)));
    let decision = model.check(&post(1, 10), at(500));
    assert_eq!(
        refused(&decision),
        Some((Reason::Daily, Some(12 * HOUR_MS)))
    );
}

#[test]
fn o7_a_refusal_by_the_window_or_the_day_of_an_api_token_from_the_api_is_an_offence() {
    let mut model = model(daily(5, Mode::Strict));
    assert!(admits(&mut model, &post(1, 5), at(0)));
    assert!(!admits(&mut model, &post(1, 1), at(1)), "by the day");
    assert_eq!(model.offence_period(1), Some((1, 1)));
    assert!(!admits(&mut model, &get(1, 36), at(2)), "by the window");
    assert_eq!(model.offence_period(1), Some((1, 2)));
    // Neither the user interface nor OAuth offends.
    assert!(!admits(
        &mut model,
        &Request {
            origin: Origin::Ui,
            ..get(1, 36)
        },
        at(3)
    ));
    assert_eq!(model.offence_period(1), Some((1, 2)));
    assert!(admits(&mut model, &get(3, 160), at(4)));
    assert!(!admits(&mut model, &get(3, 1), at(4)));
    assert_eq!(model.offence_period(3), None);
}

#[test]
fn o8_what_cannot_be_decided_is_refused_right_after_o1() {
    let model = pipedrive();
    let unknown = Request {
        token: None,
        ..post(1, 1)
    };
    for request in [post(1, 1), unknown] {
        for (decision, reason) in [
            (model.check_clock_failed(&request), Reason::ClockFailed),
            (model.check_table_full(&request), Reason::TableFull),
            (model.check_store_failed(&request), Reason::StoreFailed),
        ] {
            assert_eq!(refused(&decision), Some((reason, Some(1_000))));
            assert_eq!(decision.retry_after_s(), Some(1));
            assert_eq!(quota(&decision), (None, None, None, None));
        }
    }
    let hook = Request {
        origin: Origin::Webhook,
        ..post(1, 1)
    };
    assert_eq!(model.check_clock_failed(&hook).outcome, Outcome::Exempt);
}

#[test]
fn o8_a_failed_persist_charges_nothing_and_keeps_time_line_calendar_and_expiry() {
    let mut model = pipedrive();
    assert!(admits(&mut model, &post(1, 5), at(10_000)));
    // The mark moves (M2), the day advances (D8), the window expires (W6), nothing is charged.
    let decision = model.check_persist_failed(&post(1, 1), on_day(12_000, 1));
    assert_eq!(refused(&decision), Some((Reason::StoreFailed, Some(1_000))));
    assert_eq!(quota(&decision), (None, None, None, None));
    assert_eq!(model.window_start_ms(1), None);
    assert_eq!((model.refills(), model.used_today(1)), (1, 0));
    assert_eq!(model.time_line().mark_ms(), Some(12_000));
    // What is refused anyway is refused for its own reason.
    let decision = model.check_persist_failed(&post(1, 41), on_day(12_000, 1));
    assert_eq!(refused(&decision), Some((Reason::CostExceedsLimit, None)));
}
