//! SPEC 9: peek, refund, changes of plan, limit and policy, revoke; and registration.

use limiter_core::{PolicyError, Refunded, RegisterError, UpdateError};

use super::*;
use crate::Seen;

const fn back(window: u32, daily: u32) -> Refunded {
    Refunded { window, daily }
}

pub fn p1_peek_says_what_check_would_say_and_changes_nothing<S: Subject>() {
    let none_tolerated = DailyMode::FairUse {
        tolerated_days: 0,
        forgiven_after_days: 1,
    };
    let policy = blocking()
        .extend_block_on_hit(true)
        .daily_limit(50)
        .daily_mode(none_tolerated);
    let mut subject = subject::<S>(built(policy));
    // Admissions, refusals by window and day, a late reading, a block, an extension, a new day.
    let moments = [0, 1, 2, 2_000, 2_001, 1, 2, 3, 4, 5, 30_000, 30_001].map(at);
    let days = [
        on_day(40_000, 1),
        on_day(40_001, 1),
        dark(40_002),
        dark(2 * DAY_MS),
    ];
    for now in moments.into_iter().chain(days) {
        for request in [post(1, 25), get(1, 41), get(3, 1), get(99, 1), hook(1, 1)] {
            let before = subject.statistics();
            let peeked = [subject.peek(&request, now), subject.peek(&request, now)];
            assert_eq!(subject.statistics(), before);
            let checked = Seen::from(&subject.check(&request, now));
            for peeked in peeked {
                assert_eq!(Seen::from(&peeked), checked);
                assert_eq!(peeked.into_receipt(), None);
            }
        }
    }
    assert_eq!(refills(&subject), 2);
}

pub fn p2_a_refund_goes_back_to_the_window_and_to_the_day<S: Subject>() {
    let mut subject = page::<S>();
    let write = receipt(&mut subject, &post(1, 7), at(0));
    let read = receipt(&mut subject, &get(1, 3), at(0));
    assert_eq!((write.cost(), read.cost()), (7, 3));
    assert_eq!(subject.refund(read, at(1_999)), back(3, 0), "a read");
    let between = subject.peek(&post(1, 41), at(1_999));
    assert_eq!(quota(&between), Some((40, 33, 1, Some(9_993))));
    assert_eq!(subject.refund(write, at(1_999)), back(7, 7));
    let after = subject.peek(&post(1, 41), at(1_999));
    let still_open = Some((40, 40, 1, Some(10_000)));
    assert_eq!(quota(&after), still_open);
}

pub fn p2_a_window_that_has_ended_gets_nothing_back<S: Subject>() {
    let mut subject = page::<S>();
    let ended = receipt(&mut subject, &post(1, 7), at(0));
    assert_eq!(subject.refund(ended, at(2_000)), back(0, 7));
    let first = receipt(&mut subject, &post(1, 7), at(2_000));
    assert!(admits(&mut subject, &post(1, 5), at(4_000)));
    assert_eq!(subject.refund(first, at(4_000)), back(0, 7), "another one");
    let after = subject.peek(&post(1, 41), at(4_000));
    assert_eq!(quota(&after), Some((40, 35, 2_000, Some(9_995))));
}

pub fn p2_a_refund_never_brings_a_window_below_0_used<S: Subject>() {
    // Of short windows another may open with the same start, which is how it is known.
    let short = built(plans().window(Duration::from_millis(500)));
    let mut subject = subject::<S>(short);
    let first = receipt(&mut subject, &get(1, 7), at(1_000));
    assert!(!admits(&mut subject, &get(1, 41), at(1_500)), "it expires");
    assert!(admits(&mut subject, &get(1, 5), at(1_000)));
    assert_eq!(subject.refund(first, at(1_000)), back(5, 0));
    let decision = subject.check(&get(1, 1), at(1_000));
    assert_eq!(quota(&decision), Some((40, 39, 500, None)));
}

pub fn p2_a_refund_with_a_late_reading_finds_its_window_open<S: Subject>() {
    for t_ms in [9_001, 9_000, 8_000, 0] {
        let mut subject = page::<S>();
        let receipt = receipt(&mut subject, &post(1, 7), at(10_000));
        assert_eq!(subject.refund(receipt, at(t_ms)), back(7, 7), "{t_ms}");
    }
}

pub fn p2_an_accounting_day_that_is_over_gets_nothing_back<S: Subject>() {
    let mut subject = page::<S>();
    let yesterday = receipt(&mut subject, &post(1, 7), on_day(0, 0));
    assert!(admits(&mut subject, &post(1, 2), on_day(1, 1)));
    assert_eq!(subject.refund(yesterday, on_day(2, 1)), back(7, 0));
    let after = subject.peek(&post(1, 41), on_day(2, 1));
    assert_eq!(quota(&after), Some((40, 38, 1_998, Some(9_998))));
    // An adoption is not another accounting day.
    let mut subject = page::<S>();
    let unknown = receipt(&mut subject, &post(1, 7), dark(0));
    assert!(admits(&mut subject, &post(1, 2), at(1)));
    assert_eq!(subject.refund(unknown, at(2)), back(7, 7));
}

pub fn p2_a_refund_feeds_no_calendar<S: Subject>() {
    let mut subject = page::<S>();
    let today = receipt(&mut subject, &post(1, 7), on_day(0, 0));
    // It is the next day, but no decision has said so.
    assert_eq!(subject.refund(today, on_day(1, 1)), back(7, 7));
    assert_eq!(refills(&subject), 0);
}

pub fn p2_permits_go_back_to_the_user_who_was_charged<S: Subject>() {
    let mut subject = page::<S>();
    let first = receipt(&mut subject, &post(1, 7), at(0));
    assert!(subject.revoke(token(1), at(0)));
    let other = Registration::new(user(9), Kind::ApiToken, Plan::ADVANCED);
    let resumed = subject.register(token(1), other, at(0));
    assert_eq!(resumed, Ok(Registered::Resumed));
    assert!(admits(&mut subject, &post(1, 3), at(0)));
    assert_eq!(subject.refund(first, at(0)), back(7, 7));
    let of = |id| daily_left(&subject.peek(&post(id, 41), at(0)));
    assert_eq!((of(1), of(2)), (Some(9_997), Some(10_000)));
}

pub fn p2_what_passes_uncharged_or_not_at_all_carries_no_receipt<S: Subject>() {
    let mut subject = page::<S>();
    for request in [hook(1, 1), post(1, 41), post(99, 1)] {
        let decision = subject.check(&request, at(0));
        assert_eq!(decision.into_receipt(), None);
    }
}

pub fn p3_a_change_of_plan_limit_or_policy_keeps_what_is_used<S: Subject>() {
    let mut subject = page::<S>();
    assert!(admits(&mut subject, &post(1, 15), at(0)));
    for (limit, expected, remaining) in [
        (TokenLimit::Plan(Plan::ESSENTIAL), 20, 5),
        (TokenLimit::Plan(Plan::ENTERPRISE), 120, 105),
        (TokenLimit::Own(16), 16, 1),
    ] {
        assert_eq!(subject.update(token(1), limit), Ok(()));
        let decision = subject.peek(&post(1, 1_000), at(10));
        let wanted = Some((expected, remaining, 1_990, Some(9_985)));
        assert_eq!(quota(&decision), wanted);
    }
    let policy = plans().window(Duration::from_secs(5)).daily_limit(100);
    assert_eq!(subject.set_policy(built(policy)), Ok(()));
    let decision = subject.peek(&post(1, 1_000), at(10));
    assert_eq!(quota(&decision), Some((16, 1, 4_990, Some(85))));
}

pub fn p3_a_new_policy_changes_the_limits_of_plans_at_once<S: Subject>() {
    let mut subject = page::<S>();
    assert!(admits(&mut subject, &get(1, 15), at(0)));
    let policy = plans().plan(Plan::ADVANCED, 18, 90);
    assert_eq!(subject.set_policy(built(policy)), Ok(()));
    for (id, limit, remaining) in [(1, 18, 3), (3, 90, 90)] {
        let decision = subject.peek(&get(id, 1_000), at(0));
        let (given_limit, given_remaining, ..) = quota(&decision).expect("a quota");
        assert_eq!((given_limit, given_remaining), (limit, remaining));
    }
}

pub fn p3_a_policy_that_lacks_a_plan_in_use_is_refused_and_changes_nothing<S: Subject>() {
    let mut subject = page::<S>();
    let policy = built(Policy::builder().window(Duration::from_secs(2)).plan(
        Plan::ESSENTIAL,
        1,
        1,
    ));
    let refused = Err(PolicyError::PlanInUse { index: 1 });
    assert_eq!(subject.set_policy(policy), refused);
    let decision = subject.check(&get(1, 1), at(0));
    assert_eq!(quota(&decision), Some((40, 39, 2_000, None)));
}

pub fn p4_a_revoked_token_is_unknown_and_its_users_count_stays<S: Subject>() {
    let mut subject = page::<S>();
    assert!(admits(&mut subject, &post(1, 15), at(0)));
    assert!(subject.revoke(token(1), at(1)));
    assert!(!subject.revoke(token(1), at(1)), "it is unknown now");
    let plan = TokenLimit::Plan(Plan::ENTERPRISE);
    let unknown = Err(UpdateError::UnknownToken);
    assert_eq!(subject.update(token(1), plan), unknown);
    assert_eq!(subject.unblock(token(1)), unknown);
    assert_eq!(subject.next_reset(token(1), at(1).monotonic()), None);
    for decision in [
        subject.peek(&post(1, 1), at(1)),
        subject.check(&post(1, 1), at(1)),
    ] {
        assert_eq!(refused(&decision), Some((Reason::Unauthenticated, None)));
    }
    let decision = subject.check(&post(2, 1), at(1));
    assert_eq!(daily_left(&decision), Some(9_984));
}

pub fn p4_registering_again_resumes_an_open_window<S: Subject>() {
    let mut subject = page::<S>();
    assert!(admits(&mut subject, &post(1, 15), at(0)));
    assert!(subject.revoke(token(1), at(1)));
    let again = Registration::new(user(1), Kind::ApiToken, Plan::ESSENTIAL);
    let resumed = subject.register(token(1), again, at(1_500));
    assert_eq!(resumed, Ok(Registered::Resumed));
    let decision = subject.check(&post(1, 1), at(1_500));
    assert_eq!(quota(&decision), Some((20, 4, 500, Some(9_984))));
}

pub fn p4_revoking_and_registering_lifts_neither_block_nor_offences<S: Subject>() {
    let mut subject = one_permit::<S>(built(blocking()));
    let again = Registration::new(user(1), Kind::ApiToken, Plan::ADVANCED).with_own_limit(1);
    for t_ms in 0..3 {
        offend(&mut subject, t_ms);
        assert!(subject.revoke(token(1), at(t_ms)));
        let resumed = subject.register(token(1), again, at(t_ms));
        assert_eq!(resumed, Ok(Registered::Resumed));
    }
    let decision = subject.check(&get(1, 1), at(3));
    assert_eq!(refused(&decision), Some((Reason::Blocked, Some(9_999))));
    // The block keeps the row alone, when window and offences are long over.
    assert!(subject.revoke(token(1), at(9_000)));
    let resumed = subject.register(token(1), again, at(10_001));
    assert_eq!(resumed, Ok(Registered::Resumed));
    let decision = subject.check(&get(1, 1), at(10_001));
    assert_eq!(refused(&decision), Some((Reason::Blocked, Some(1))));
}

pub fn p4_a_revoked_token_that_is_like_new_leaves_no_row<S: Subject>() {
    let mut subject = page::<S>();
    let rows = subject.statistics().tokens;
    assert!(admits(&mut subject, &post(1, 15), at(0)));
    assert!(subject.revoke(token(1), at(2_000)));
    assert_eq!(subject.statistics().tokens, rows - 1);
    assert!(admits(&mut subject, &post(2, 1), at(2_000)));
    assert!(subject.revoke(token(2), at(3_999)), "an open window stays");
    assert_eq!(subject.statistics().tokens, rows - 1);
}

pub fn p4_user_and_kind_change_only_when_a_revoked_token_is_registered_again<S: Subject>() {
    let mut subject = page::<S>();
    assert!(admits(&mut subject, &post(1, 15), at(0)));
    let of = |owner, kind| Registration::new(user(owner), kind, Plan::PROFESSIONAL);
    for (registration, error) in [
        (of(9, Kind::ApiToken), RegisterError::OtherUser),
        (of(1, Kind::AccessToken), RegisterError::OtherKind),
    ] {
        let given = subject.register(token(1), registration, at(1));
        assert_eq!(given, Err(error));
        let decision = subject.peek(&post(1, 1_000), at(1));
        assert_eq!(quota(&decision), Some((40, 25, 1_999, Some(9_985))));
    }
    assert!(subject.revoke(token(1), at(2)));
    let resumed = subject.register(token(1), of(9, Kind::AccessToken), at(2));
    assert_eq!(resumed, Ok(Registered::Resumed));
    let decision = subject.check(&post(1, 1), at(2));
    assert_eq!(quota(&decision), Some((320, 304, 1_998, None)));
}

pub fn registering_a_known_token_again_takes_over_its_limit_alone<S: Subject>() {
    let mut subject = page::<S>();
    assert!(admits(&mut subject, &post(1, 15), at(0)));
    let again = Registration::new(user(1), Kind::ApiToken, Plan::PROFESSIONAL);
    let updated = subject.register(token(1), again, at(1));
    assert_eq!(updated, Ok(Registered::Updated));
    let decision = subject.check(&post(1, 1), at(1));
    assert_eq!(quota(&decision), Some((80, 64, 1_999, Some(9_984))));
}

pub fn what_no_policy_allows_is_registered_by_no_one<S: Subject>() {
    let mut subject = page::<S>();
    let base = Registration::new(user(1), Kind::ApiToken, Plan::new(4));
    for (registration, error) in [
        (base, RegisterError::UnknownPlan { index: 4 }),
        (
            base.with_own_limit(0),
            RegisterError::Limit(PolicyError::ZeroWindowLimit),
        ),
        (
            base.with_own_limit(1 << 20),
            RegisterError::Limit(PolicyError::WindowLimitTooLarge { permits: 1 << 20 }),
        ),
    ] {
        for id in [1, 50] {
            assert_eq!(subject.register(token(id), registration, at(0)), Err(error));
        }
        assert!(subject.update(token(1), registration.limit).is_err());
    }
    assert_eq!(
        subject.peek(&get(50, 1), at(0)).reason(),
        Some(Reason::Unauthenticated)
    );
    let decision = subject.check(&get(1, 1), at(0));
    assert_eq!(quota(&decision), Some((40, 39, 2_000, None)));
}

pub fn unblock_lifts_a_block_and_nothing_else<S: Subject>() {
    let mut subject = one_permit::<S>(built(blocking()));
    offend_at(&mut subject, &[0, 1]);
    // Not blocked yet: it keeps its offences.
    assert_eq!(subject.unblock(token(1)), Ok(()));
    offend(&mut subject, 2);
    let decision = subject.peek(&get(1, 1), at(3));
    assert_eq!(decision.reason(), Some(Reason::Blocked));
    assert_eq!(subject.unblock(token(1)), Ok(()));
    let decision = subject.check(&get(1, 1), at(3));
    assert_eq!(refused(&decision), Some((Reason::Window, Some(1_997))));
    assert_eq!(subject.unblock(token(99)), Err(UpdateError::UnknownToken));
}

pub fn the_next_reset_is_the_end_of_the_block_else_of_the_window<S: Subject>() {
    let mut subject = one_permit::<S>(built(blocking()));
    let next = |subject: &S, t_ms| {
        let next = subject.next_reset(token(1), at(t_ms).monotonic());
        next.map(limiter_core::Instant::as_millis)
    };
    assert_eq!(next(&subject, 0), None, "nothing runs");
    offend_at(&mut subject, &[5_000, 5_001]);
    assert_eq!(next(&subject, 5_001), Some(7_000));
    assert_eq!(next(&subject, 7_000), None, "it is over");
    offend(&mut subject, 5_002);
    assert_eq!(next(&subject, 5_002), Some(15_002));
    // By the clock that was read, also where time stands still.
    assert_eq!(next(&subject, 1_000), Some(11_002));
    assert_eq!(next(&subject, 15_002), None);
    assert_eq!(subject.next_reset(token(99), at(0).monotonic()), None);
}

pub fn decisions_are_counted_by_outcome<S: Subject>() {
    let mut subject = page::<S>();
    for request in [post(1, 40), post(1, 1), hook(1, 1), get(1, 41), get(9, 1)] {
        let _ = subject.check(&request, at(0));
        let _ = subject.peek(&request, at(0));
    }
    let _ = subject.check_with_failed_clock(&get(1, 1));
    let statistics = subject.statistics();
    assert_eq!((statistics.admitted(), statistics.exempt()), (1, 1));
    for reason in Reason::ALL {
        let counted = matches!(
            reason,
            Reason::Window
                | Reason::CostExceedsLimit
                | Reason::Unauthenticated
                | Reason::ClockFailed
        );
        assert_eq!(statistics.refused(reason), u64::from(counted), "{reason}");
    }
    assert_eq!(statistics.refused_in_all(), 4);
}
