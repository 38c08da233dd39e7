//! SPEC 3: the order of a decision.

use limiter_core::{Outage, Outcome};

use super::*;

pub fn o1_a_webhook_is_exempt_whoever_sends_it_and_whatever_it_costs<S: Subject>() {
    let mut subject = one_permit::<S>(built(blocking()));
    offend_at(&mut subject, &[0, 1, 2]);
    let anonymous = Request::anonymous(Method::Post).with_origin(Origin::Webhook);
    for request in [anonymous, hook(1, u32::MAX), hook(99, 1)] {
        let decision = subject.check(&request, on_day(3, 1));
        assert_eq!(decision.outcome(), Outcome::Exempt);
        assert_eq!((quota(&decision), decision.retry_after_ms()), (None, None));
        assert_eq!(decision.status(), None);
        assert_eq!(decision.into_receipt(), None);
    }
    // Not even the calendar looked at it.
    assert_eq!(refills(&subject), 0);
}

pub fn o2_a_request_without_a_known_token_is_unauthenticated_and_feeds_no_calendar<S: Subject>() {
    let mut subject = page::<S>();
    assert!(subject.revoke(token(2), at(0)));
    for request in [
        Request::anonymous(Method::Post),
        post(99, 50),
        post(2, u32::MAX),
    ] {
        let decision = subject.check(&request, at(0));
        assert_eq!(refused(&decision), Some((Reason::Unauthenticated, None)));
        assert_eq!(quota(&decision), None);
    }
    assert_eq!(subject.accounting_day(), (None, 0));
}

pub fn o3_a_blocked_token_is_refused_before_its_cost_is_looked_at<S: Subject>() {
    let mut subject = one_permit::<S>(built(blocking()));
    offend_at(&mut subject, &[0, 1, 2]);
    let decision = subject.check(&get(1, u32::MAX), at(3));
    assert_eq!(refused(&decision), Some((Reason::Blocked, Some(9_999))));
    assert_eq!(quota(&decision), None);
}

pub fn o4_a_cost_beyond_the_window_limit_can_never_fit_and_is_no_offence<S: Subject>() {
    let mut subject = page::<S>();
    for t_ms in 0..200 {
        let decision = subject.check(&post(1, 41), at(t_ms));
        assert_eq!(refused(&decision), Some((Reason::CostExceedsLimit, None)));
        assert_eq!(quota(&decision), Some((40, 40, 2_000, Some(10_000))));
    }
    assert!(admits(&mut subject, &post(1, 40), at(200)), "not blocked");
    let decision = subject.check(&post(1, u32::MAX), at(200));
    assert_eq!(refused(&decision), Some((Reason::CostExceedsLimit, None)));
}

pub fn o4_a_cost_beyond_the_daily_limit_can_never_fit_in_strict_mode_if_it_counts_daily<
    S: Subject,
>() {
    for mode in [DailyMode::Strict, DailyMode::Advisory, FAIR] {
        let mut subject = subject::<S>(daily(10, mode));
        let decision = subject.check(&post(1, 11), at(0));
        if mode == DailyMode::Strict {
            assert_eq!(refused(&decision), Some((Reason::CostExceedsLimit, None)));
            assert_eq!(quota(&decision), Some((40, 40, 2_000, Some(10))));
        } else {
            assert!(decision.is_admitted(), "{mode:?}");
        }
        assert!(admits(&mut subject, &get(1, 11), at(2_000)), "a read");
        assert!(
            admits(&mut subject, &ui(1, 11), at(2_000)),
            "a user's action"
        );
        assert!(admits(&mut subject, &post(3, 11), at(2_000)), "OAuth");
    }
}

pub fn o4_what_can_never_fit_makes_no_strike<S: Subject>() {
    let none_tolerated = DailyMode::FairUse {
        tolerated_days: 1,
        forgiven_after_days: 9,
    };
    let mut subject = subject::<S>(daily(10, none_tolerated));
    assert!(!admits(&mut subject, &post(1, 41), on_day(0, 0)));
    // The next day's is the first strike, and tolerated.
    assert!(admits(&mut subject, &post(1, 11), on_day(0, 1)));
    // The one after would be the second.
    assert!(!admits(&mut subject, &post(1, 11), on_day(2_000, 2)));
}

pub fn o5_both_the_window_and_the_day_are_charged<S: Subject>() {
    let mut subject = page::<S>();
    let decision = subject.check(&post(1, 7), at(0));
    assert_eq!(quota(&decision), Some((40, 33, 2_000, Some(9_993))));
    let after = subject.peek(&post(1, 41), at(0));
    assert_eq!(quota(&after), Some((40, 33, 2_000, Some(9_993))));
}

pub fn o6_what_the_window_refuses_is_not_charged_to_the_day<S: Subject>() {
    let mut subject = page::<S>();
    assert!(admits(&mut subject, &post(1, 30), at(0)));
    for _ in 0..3 {
        let decision = subject.check(&post(1, 11), at(500));
        assert_eq!(refused(&decision), Some((Reason::Window, Some(1_500))));
        assert_eq!(quota(&decision), Some((40, 10, 1_500, Some(9_970))));
    }
}

pub fn o6_what_the_day_refuses_is_not_charged_to_the_window<S: Subject>() {
    let mut subject = subject::<S>(daily(10, DailyMode::Strict));
    assert!(admits(&mut subject, &post(1, 8), at(0)));
    for _ in 0..3 {
        let decision = subject.check(&post(1, 3), at(500));
        assert_eq!(refused(&decision), Some((Reason::Daily, Some(43_200_000))));
        assert_eq!(quota(&decision), Some((40, 32, 1_500, Some(2))));
    }
    assert!(admits(&mut subject, &post(1, 2), at(500)));
}

pub fn o6_the_reason_is_daily_with_its_wait_if_both_refuse<S: Subject>() {
    let mut subject = subject::<S>(daily(10, DailyMode::Strict));
    assert!(admits(&mut subject, &get(1, 31), at(0)));
    assert!(admits(&mut subject, &post(1, 1), at(0)));
    let decision = subject.check(&post(1, 10), at(500));
    assert_eq!(refused(&decision), Some((Reason::Daily, Some(43_200_000))));
}

pub fn o7_refusals_by_the_window_and_by_the_day_are_offences<S: Subject>() {
    let mut subject = subject::<S>(built(blocking().daily_limit(5)));
    assert!(admits(&mut subject, &post(1, 5), at(0)));
    assert!(!admits(&mut subject, &post(1, 1), at(0)), "by the day");
    assert!(!admits(&mut subject, &get(1, 36), at(0)), "by the window");
    let third = subject.check(&post(1, 1), at(0));
    assert_eq!(third.reason(), Some(Reason::Daily));
    let decision = subject.check(&get(1, 1), at(0));
    assert_eq!(refused(&decision), Some((Reason::Blocked, Some(10_000))));
}

pub fn o7_neither_a_users_action_nor_oauth_is_ever_an_offence<S: Subject>() {
    let mut subject = page::<S>();
    assert!(admits(&mut subject, &ui(1, 40), at(0)));
    assert!(admits(&mut subject, &get(3, 160), at(0)));
    for t_ms in 0..300 {
        for request in [ui(1, 1), get(3, 1)] {
            let decision = subject.check(&request, at(t_ms));
            assert_eq!(decision.reason(), Some(Reason::Window), "at {t_ms}");
        }
    }
}

pub fn o8_an_outage_is_answered_right_after_o1_and_changes_nothing<S: Subject>() {
    let mut subject = page::<S>();
    for request in [post(1, 1), post(99, 1), Request::anonymous(Method::Get)] {
        for (outage, reason) in [
            (Outage::ClockFailed, Reason::ClockFailed),
            (Outage::TableFull, Reason::TableFull),
            (Outage::StoreFailed, Reason::StoreFailed),
        ] {
            let decision = subject.refuse_for(&request, outage);
            assert_eq!(refused(&decision), Some((reason, Some(1_000))));
            assert_eq!((quota(&decision), decision.status()), (None, Some(503)));
        }
        let decision = subject.check_with_failed_clock(&request);
        assert_eq!(refused(&decision), Some((Reason::ClockFailed, Some(1_000))));
    }
    let exempt = subject.refuse_for(&hook(1, 1), Outage::StoreFailed);
    assert_eq!(exempt.outcome(), Outcome::Exempt);
    let exempt = subject.check_with_failed_clock(&hook(1, 1));
    assert_eq!(exempt.outcome(), Outcome::Exempt);
    assert_eq!(subject.accounting_day(), (None, 0));
    let decision = subject.check(&post(1, 1), at(0));
    assert_eq!(quota(&decision), Some((40, 39, 2_000, Some(9_999))));
}
