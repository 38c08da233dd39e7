//! SPEC 9: peek, refund, changes of plan, limit and policy, revoke.

use super::*;

fn receipt(model: &mut Model, request: &Request, now: Now) -> limiter_model::Receipt {
    model
        .check(request, now)
        .receipt
        .expect("an admission carries a receipt")
}

fn back(model: &mut Model, receipt: limiter_model::Receipt, now: Now) -> (u64, u64) {
    let refunded = model.refund(receipt, now);
    (refunded.window, refunded.daily)
}

#[test]
fn p1_peek_says_what_check_would_say_and_changes_nothing() {
    let block = Block {
        extend_on_hit: true,
        ..strict_block()
    };
    let mode = Mode::FairUse {
        tolerated_days: 0,
        forgiven_after_days: 1,
    };
    let mut model = model(Policy {
        block: Some(block),
        ..daily(50, mode)
    });
    // Admissions, refusals by window and day, a late reading, a block, an extension, a new day.
    for now in [0, 1, 2, 2_000, 2_001, 1, 2, 3, 4, 5, 30_000, 30_001]
        .map(at)
        .into_iter()
        .chain([
            on_day(40_000, 1),
            on_day(40_001, 1),
            dark(40_002),
            dark(DAY_MS * 2),
        ])
    {
        for request in [
            post(1, 25),
            get(1, 41),
            get(3, 1),
            Request {
                token: None,
                ..get(1, 1)
            },
        ] {
            let peeked = [model.peek(&request, now), model.peek(&request, now)];
            let checked = model.check(&request, now);
            for peeked in peeked {
                assert_eq!(peeked.outcome, checked.outcome);
                assert_eq!(quota(&peeked), quota(&checked));
                assert_eq!(peeked.retry_after_ms, checked.retry_after_ms);
                assert_eq!(peeked.receipt, None);
            }
        }
    }
    assert_eq!(model.refills(), 2);
}

#[test]
fn p2_a_refund_goes_back_to_the_window_and_to_the_day() {
    let mut model = pipedrive();
    let post = receipt(&mut model, &post(1, 7), at(0));
    let read = receipt(&mut model, &get(1, 3), at(0));
    assert_eq!(
        back(&mut model, read, at(1_999)),
        (3, 0),
        "a read did not count daily"
    );
    assert_eq!(
        (model.used_in_window(1, at(1_999)), model.used_today(1)),
        (7, 7)
    );
    assert_eq!(back(&mut model, post, at(1_999)), (7, 7));
    assert_eq!(model.used_today(1), 0);
    assert_eq!(model.used_in_window(1, at(1_999)), 0);
    assert_eq!(model.window_start_ms(1), Some(0), "the window stays open");
}

#[test]
fn p2_a_window_that_has_ended_gets_nothing_back() {
    let mut model = pipedrive();
    let ended = receipt(&mut model, &post(1, 7), at(0));
    assert_eq!(back(&mut model, ended, at(2_000)), (0, 7));

    let first = receipt(&mut model, &post(1, 7), at(2_000));
    assert!(admits(&mut model, &post(1, 5), at(4_000)));
    assert_eq!(
        back(&mut model, first, at(4_000)),
        (0, 7),
        "another window is open"
    );
    assert_eq!(
        (model.used_in_window(1, at(4_000)), model.used_today(1)),
        (5, 5)
    );
}

#[test]
fn p2_a_refund_never_brings_a_window_below_0_used() {
    // Of short windows another may open with the same start, which is how it is known.
    let mut model = model(Policy {
        window_ms: 500,
        ..Policy::pipedrive()
    });
    let first = receipt(&mut model, &get(1, 7), at(1_000));
    assert!(
        !admits(&mut model, &get(1, 41), at(1_500)),
        "the window expires"
    );
    assert!(admits(&mut model, &get(1, 5), at(1_000)));
    assert_eq!(back(&mut model, first, at(1_000)), (5, 0));
    assert_eq!(model.used_in_window(1, at(1_000)), 0);
}

#[test]
fn p2_a_refund_with_a_late_reading_finds_its_window_open() {
    for t_ms in [9_001, 9_000, 8_000, 0] {
        let mut model = pipedrive();
        let receipt = receipt(&mut model, &post(1, 7), at(10_000));
        assert_eq!(back(&mut model, receipt, at(t_ms)), (7, 7), "{t_ms}");
    }
}

#[test]
fn p2_an_accounting_day_that_is_over_gets_nothing_back() {
    let mut model = pipedrive();
    let yesterday = receipt(&mut model, &post(1, 7), on_day(0, 0));
    assert!(admits(&mut model, &post(1, 2), on_day(1, 1)));
    assert_eq!(back(&mut model, yesterday, on_day(2, 1)), (7, 0));
    assert_eq!(
        (model.used_in_window(1, at(2)), model.used_today(1)),
        (2, 2)
    );
    // An adoption is not another accounting day.
    let mut model = pipedrive();
    let dark_one = receipt(&mut model, &post(1, 7), dark(0));
    assert!(admits(&mut model, &post(1, 2), at(1)));
    assert_eq!(back(&mut model, dark_one, at(2)), (7, 7));
}

#[test]
fn p2_what_passes_uncharged_carries_no_receipt() {
    let mut model = pipedrive();
    let hook = Request {
        origin: Origin::Webhook,
        ..post(1, 1)
    };
    for request in [hook, post(1, 41), post(99, 1)] {
        assert_eq!(model.check(&request, at(0)).receipt, None);
    }
}

#[test]
fn p3_a_change_of_plan_limit_or_policy_keeps_what_is_used() {
    let mut model = pipedrive();
    assert!(admits(&mut model, &post(1, 15), at(0)));
    for (limit, expected, remaining) in [
        (Limit::Plan(0), 20, 5),
        (Limit::Plan(3), 120, 105),
        (Limit::Own(16), 16, 1),
    ] {
        assert!(model.update(1, limit));
        let decision = model.peek(&post(1, 1_000), at(10));
        let wanted = (Some(expected), Some(remaining), Some(1_990), Some(9_985));
        assert_eq!(quota(&decision), wanted);
    }
    model.set_policy(Policy {
        window_ms: 5_000,
        ..daily(100, Mode::Strict)
    });
    let decision = model.peek(&post(1, 1_000), at(10));
    assert_eq!(quota(&decision), (Some(16), Some(1), Some(4_990), Some(85)));
    assert!(!model.update(99, Limit::Plan(0)), "nobody knows 99");
}

#[test]
fn p4_a_revoked_token_is_unknown_and_its_users_count_stays() {
    let mut model = pipedrive();
    assert!(admits(&mut model, &post(1, 15), at(0)));
    assert!(model.revoke(1, at(1)));
    assert!(!model.revoke(1, at(1)), "it is unknown now");
    assert!(!model.update(1, Limit::Plan(3)));
    assert!(!model.is_known(1));
    let decision = model.check(&post(1, 1), at(1));
    assert_eq!(refused(&decision), Some((Reason::Unauthenticated, None)));
    assert_eq!(model.check(&post(2, 1), at(1)).daily_left, Some(9_984));
}

#[test]
fn p4_registering_again_resumes_an_open_window() {
    let mut model = pipedrive();
    assert!(admits(&mut model, &post(1, 15), at(0)));
    assert!(model.revoke(1, at(1)));
    model.register(1, 1, Kind::ApiToken, Limit::Plan(0));
    let decision = model.check(&post(1, 1), at(1_500));
    assert_eq!(
        quota(&decision),
        (Some(20), Some(4), Some(500), Some(9_984))
    );
}

#[test]
fn p4_registering_again_lifts_neither_block_nor_offences() {
    let mut model = model(Policy {
        block: Some(strict_block()),
        ..Policy::pipedrive()
    });
    assert!(admits(&mut model, &get(1, 40), at(0)));
    for t_ms in 0..3 {
        assert!(!admits(&mut model, &get(1, 1), at(t_ms)));
        assert!(model.revoke(1, at(t_ms)));
        model.register(1, 1, Kind::ApiToken, Limit::Plan(1));
    }
    let decision = model.check(&get(1, 1), at(3));
    assert_eq!(refused(&decision), Some((Reason::Blocked, Some(9_999))));
}

#[test]
fn p4_a_revoked_token_that_is_like_new_leaves_no_row() {
    let mut model = pipedrive();
    assert!(admits(&mut model, &post(1, 15), at(0)));
    assert!(model.revoke(1, at(2_000)));
    assert_eq!(model.limit(1), None);
    assert!(admits(&mut model, &post(2, 1), at(2_000)));
    assert!(model.revoke(2, at(3_999)));
    assert_eq!(model.limit(2), Some(40), "an open window keeps the row");
}

#[test]
fn unblock_lifts_a_block_and_nothing_else() {
    let mut model = model(Policy {
        block: Some(strict_block()),
        ..Policy::pipedrive()
    });
    assert!(!model.unblock(1));
    assert!(admits(&mut model, &get(1, 40), at(0)));
    for t_ms in 0..3 {
        assert!(!admits(&mut model, &get(1, 1), at(t_ms)));
    }
    assert!(model.unblock(1));
    let decision = model.check(&get(1, 1), at(3));
    assert_eq!(refused(&decision), Some((Reason::Window, Some(1_997))));
}

#[test]
fn p4_user_and_kind_change_only_when_a_revoked_token_is_registered_again() {
    let mut model = pipedrive();
    assert!(admits(&mut model, &post(1, 15), at(0)));
    model.register(1, 9, Kind::AccessToken, Limit::Plan(2));
    let decision = model.check(&post(1, 1), at(1));
    assert_eq!(
        (decision.limit, decision.daily_left),
        (Some(80), Some(9_984))
    );

    assert!(model.revoke(1, at(2)));
    model.register(1, 9, Kind::ApiToken, Limit::Plan(2));
    let decision = model.check(&post(1, 1), at(2));
    assert_eq!(
        (decision.remaining, decision.daily_left),
        (Some(63), Some(9_999))
    );
    assert_eq!((model.used_today(1), model.used_today(9)), (16, 1));
}
