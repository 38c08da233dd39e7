//! SPEC 8: the table, over a subject of few rows: at least 3 tokens, and fewer users than tokens.

use limiter_core::{PolicyError, RegisterError};

use super::*;

fn tokens<S: Subject>() -> u64 {
    u64::try_from(S::TOKENS).expect("a small number")
}

fn users<S: Subject>() -> u64 {
    u64::try_from(S::USERS).expect("a small number")
}

fn of(owner: u64) -> Registration {
    Registration::new(user(owner), Kind::ApiToken, Plan::ADVANCED).with_own_limit(1)
}

/// A subject whose token rows are all taken by tokens of user 1, which nothing has happened to.
fn full<S: Subject>(policy: Policy) -> S {
    let mut subject = S::new(policy);
    for id in 1..=tokens::<S>() {
        assert_eq!(
            subject.register(token(id), of(1), at(0)),
            Ok(Registered::New)
        );
    }
    subject
}

/// Registers one more token of user 1, and forgets it again.
fn has_room(subject: &mut impl Subject, t_ms: u64) -> bool {
    match subject.register(token(1_000), of(1), at(t_ms)) {
        Ok(registered) => {
            assert!(registered.is_new());
            assert!(subject.revoke(token(1_000), at(t_ms)));
            true
        }
        Err(error) => {
            assert_eq!(error, RegisterError::TableFull);
            false
        }
    }
}

fn is_known(subject: &impl Subject, id: u64, t_ms: u64) -> bool {
    subject.peek(&get(id, 1), at(t_ms)).reason() != Some(Reason::Unauthenticated)
}

/// More was charged than the count could say, so it was 0 while receipts were left, and they gave
/// their permits to the user who had the row by then.
pub fn t2_receipts_of_a_count_that_saturated_give_the_rows_next_user_nothing<S: Subject>() {
    let largest = 1_048_575;
    let mut subject = S::new(daily(10, DailyMode::Advisory));
    let whole = Registration::new(user(1), Kind::ApiToken, Plan::ADVANCED).with_own_limit(largest);
    let registered = subject.register(token(1), whole, at(0));
    assert_eq!(registered, Ok(Registered::New));
    let mut receipts = Vec::new();
    for window in 0..4_100 {
        let now = at(window * 2_000);
        receipts.push(receipt(&mut subject, &post(1, largest), now));
    }
    let now = at(4_200 * 2_000);
    let left_over = receipts.split_off(4_097);
    for receipt in receipts {
        let _ = subject.refund(receipt, now);
    }
    assert!(subject.revoke(token(1), now));
    let newcomers: Vec<u64> = (2..=users::<S>() + 1).collect();
    for &id in &newcomers {
        if subject.register(token(id), of(id), now).is_ok() {
            assert!(admits(&mut subject, &post(id, 1), now));
        }
    }
    for receipt in left_over {
        assert_eq!(subject.refund(receipt, now).daily, 0);
    }
}

pub fn t1_the_capacity_is_fixed<S: Subject>() {
    let mut subject = full::<S>(built(plans()));
    for id in 100..200 {
        let new = subject.register(token(id), of(id % users::<S>() + 1), at(0));
        assert!(matches!(
            new,
            Ok(Registered::NewInPlaceOf { others: 0, .. })
        ));
        let statistics = subject.statistics();
        assert_eq!(u64::from(statistics.tokens), tokens::<S>());
        assert!(u64::from(statistics.users) <= users::<S>());
    }
    assert_eq!(subject.statistics().evicted_tokens, 100);
}

pub fn t2_an_open_window_keeps_its_row_until_it_ends<S: Subject>() {
    let mut subject = full::<S>(built(plans()));
    for id in 1..=tokens::<S>() {
        assert!(admits(&mut subject, &get(id, 1), at(id)));
    }
    assert!(!has_room(&mut subject, 2_000));
    assert!(has_room(&mut subject, 2_001));
    assert!(!is_known(&subject, 1, 2_001), "token 1 was the only one");
    assert!(is_known(&subject, 2, 2_001));
}

pub fn t2_a_running_offence_period_keeps_its_row_until_it_ends<S: Subject>() {
    let long = plans().block(3, Duration::from_secs(60), Duration::from_secs(300));
    let mut subject = full::<S>(built(long));
    for id in 1..=tokens::<S>() {
        assert!(admits(&mut subject, &get(id, 1), at(0)));
        assert!(!admits(&mut subject, &get(id, 1), at(1_999)));
    }
    assert!(!has_room(&mut subject, 61_998));
    assert!(has_room(&mut subject, 61_999));
}

pub fn t2_a_block_keeps_its_row_until_it_ends<S: Subject>() {
    let mut subject = full::<S>(built(blocking()));
    for id in 1..=tokens::<S>() {
        assert!(admits(&mut subject, &get(id, 1), at(0)));
        for _ in 0..3 {
            assert!(!admits(&mut subject, &get(id, 1), at(0)));
        }
    }
    assert!(!has_room(&mut subject, 9_999));
    assert!(has_room(&mut subject, 10_000));
}

pub fn t2_a_pin_keeps_its_row<S: Subject>() {
    let mut subject = S::new(built(plans()));
    for id in 1..=tokens::<S>() {
        let pinned = subject.register(token(id), of(1).pinned(), at(0));
        assert_eq!(pinned, Ok(Registered::New));
    }
    assert!(!has_room(&mut subject, DAY_MS));
    let unpinned = subject.register(token(2), of(1), at(DAY_MS));
    assert_eq!(unpinned, Ok(Registered::Updated));
    assert!(has_room(&mut subject, DAY_MS));
    assert!(!is_known(&subject, 2, DAY_MS));
}

pub fn t2_a_revoked_row_goes_when_its_window_has_ended_pinned_or_not<S: Subject>() {
    let mut subject = S::new(built(plans()));
    for id in 1..=tokens::<S>() {
        let pinned = subject.register(token(id), of(1).pinned(), at(0));
        assert_eq!(pinned, Ok(Registered::New));
        assert!(admits(&mut subject, &get(id, 1), at(0)));
    }
    assert!(subject.revoke(token(1), at(0)));
    assert!(!has_room(&mut subject, 1_999));
    assert!(has_room(&mut subject, 2_000));
    let new = subject.register(token(1), of(1), at(2_000));
    assert_eq!(new, Ok(Registered::New), "nothing was left to resume");
}

pub fn t2_a_user_row_stays_while_something_is_used_this_accounting_day<S: Subject>() {
    let mut subject = S::new(daily(10, DailyMode::Strict));
    for id in 1..=users::<S>() {
        assert_eq!(
            subject.register(token(id), of(id), at(0)),
            Ok(Registered::New)
        );
        assert!(admits(&mut subject, &post(id, 1), at(0)));
    }
    for id in 1..=users::<S>() {
        assert!(subject.revoke(token(id), at(2_000)));
    }
    let other = of(99);
    let full = Err(RegisterError::TableFull);
    assert_eq!(subject.register(token(99), other, at(2_000)), full);
    // A user that is known has its row: its count goes on.
    assert_eq!(
        subject.register(token(7), of(1), at(2_000)),
        Ok(Registered::New)
    );
    assert_eq!(daily_left(&subject.check(&post(7, 1), at(2_000))), Some(8));
    // On the next accounting day the others are like new.
    assert!(!admits(&mut subject, &get(7, 1), on_day(2_000, 1)));
    let new = subject.register(token(99), other, on_day(2_000, 1));
    assert!(new.is_ok_and(Registered::is_new));
    assert_eq!(subject.statistics().evicted_users, 1);
}

pub fn t2_a_user_row_stays_while_it_has_strikes<S: Subject>() {
    let mut subject = S::new(built(plans().daily_limit(1).daily_mode(FAIR)));
    let two = |owner| of(owner).with_own_limit(2);
    for id in 1..=users::<S>() {
        assert_eq!(
            subject.register(token(id), two(id), at(0)),
            Ok(Registered::New)
        );
        assert!(admits(&mut subject, &post(id, 2), at(0)));
        if id > 1 {
            assert!(subject.revoke(token(id), at(2_000)));
        }
    }
    for day in 1..=3 {
        let now = on_day(day * DAY_MS, day.cast_signed());
        assert!(admits(&mut subject, &get(1, 1), now));
        let given = subject.register(token(99), of(99), now);
        assert_eq!(given.is_ok(), day == 3, "forgiven after 3 refills");
    }
}

pub fn t2_a_user_row_stays_while_a_token_refers_to_it<S: Subject>() {
    let mut subject = S::new(built(plans()));
    for id in 1..=users::<S>() {
        let pinned = subject.register(token(id), of(id).pinned(), at(0));
        assert_eq!(pinned, Ok(Registered::New));
    }
    let full = Err(RegisterError::TableFull);
    assert_eq!(subject.register(token(99), of(99), at(0)), full);
    assert_eq!(subject.statistics().table_full, 1);
    // The last token of a user may go, and the user with it.
    assert_eq!(
        subject.register(token(1), of(1), at(0)),
        Ok(Registered::Updated)
    );
    assert_eq!(
        subject.register(token(99), of(99), at(0)),
        Ok(Registered::NewInPlaceOf {
            token: token(1),
            others: 0
        })
    );
    assert!(!is_known(&subject, 1, 0));
    let statistics = subject.statistics();
    assert_eq!(
        (statistics.evicted_tokens, statistics.evicted_users),
        (1, 1)
    );
}

pub fn t2_users_with_idle_tokens_do_not_lock_newcomers_out<S: Subject>() {
    let mut subject = S::new(built(plans()));
    for id in 1..=tokens::<S>() {
        // User 1 has two idle tokens or more, others a pinned one each.
        let owner = if id < users::<S>() { id + 1 } else { 1 };
        let registration = if owner == 1 {
            of(1)
        } else {
            of(owner).pinned()
        };
        let new = subject.register(token(id), registration, at(0));
        assert_eq!(new, Ok(Registered::New));
    }
    let others = tokens::<S>() - users::<S>();
    let given = subject.register(token(99), of(99), at(0));
    let Ok(Registered::NewInPlaceOf { others: more, .. }) = given else {
        panic!("{given:?}");
    };
    assert_eq!(u64::from(more), others);
    for id in 1..=tokens::<S>() {
        assert_eq!(is_known(&subject, id, 0), id < users::<S>());
    }
    let statistics = subject.statistics();
    assert_eq!(statistics.evicted_tokens, 1 + others);
    assert_eq!(statistics.evicted_users, 1);
}

pub fn t2_one_token_in_use_keeps_its_user_and_the_other_tokens<S: Subject>() {
    let mut subject = S::new(built(plans()));
    for id in 1..=tokens::<S>() {
        let owner = if id < users::<S>() { id + 1 } else { 1 };
        let registration = if owner == 1 {
            of(1)
        } else {
            of(owner).pinned()
        };
        assert!(subject.register(token(id), registration, at(0)).is_ok());
    }
    let last = tokens::<S>();
    assert!(admits(&mut subject, &get(last, 1), at(0)));
    let full = Err(RegisterError::TableFull);
    assert_eq!(subject.register(token(99), of(99), at(1_999)), full);
    assert!((1..=last).all(|id| is_known(&subject, id, 1_999)));
    assert!(subject.register(token(99), of(99), at(2_000)).is_ok());
}

pub fn t2_yesterdays_idle_users_do_not_lock_newcomers_out<S: Subject>() {
    let mut subject = S::new(daily(10, DailyMode::Strict));
    for id in 1..=users::<S>() {
        let new = subject.register(token(id), of(id), at(0));
        assert_eq!(new, Ok(Registered::New));
        assert!(admits(&mut subject, &post(id, 1), at(0)));
    }
    let full = Err(RegisterError::TableFull);
    assert_eq!(subject.register(token(99), of(99), at(3_000)), full);
    assert_eq!(subject.register(token(99), of(99), at(4_000)), full);
    // Nobody has decided anything on the next day.
    for day in 1..=30 {
        let now = on_day(day * DAY_MS, day.cast_signed());
        let new = subject.register(token(100 + day), of(100 + day), now);
        assert!(new.is_ok_and(Registered::is_new), "day {day}: {new:?}");
    }
    assert_eq!(subject.accounting_day().1, 0, "nothing is stored");
}

pub fn t2_strikes_of_a_former_fair_use_mode_hold_no_row<S: Subject>() {
    let fair = built(plans().daily_limit(1).daily_mode(FAIR));
    let mut subject = S::new(fair);
    let two = |owner| of(owner).with_own_limit(2);
    for id in 1..=users::<S>() {
        assert!(subject.register(token(id), two(id), at(0)).is_ok());
        assert!(admits(&mut subject, &post(id, 2), at(0)));
    }
    let now = on_day(DAY_MS, 1);
    let full = Err(RegisterError::TableFull);
    assert_eq!(subject.register(token(99), of(99), now), full);
    let strict = daily(1, DailyMode::Strict);
    assert_eq!(subject.set_policy(strict), Ok(()));
    assert!(subject.register(token(99), of(99), now).is_ok());
}

pub fn t2_what_takes_an_idle_tokens_row_says_whose<S: Subject>() {
    let mut subject = full::<S>(built(plans()));
    for id in 2..=tokens::<S>() {
        assert!(admits(&mut subject, &get(id, 1), at(0)));
    }
    let given = subject.register(token(99), of(1), at(0));
    let instead = Registered::NewInPlaceOf {
        token: token(1),
        others: 0,
    };
    assert_eq!(given, Ok(instead), "it was never used");
    // A revoked token is unknown anyway.
    assert!(subject.revoke(token(2), at(0)));
    assert!(admits(&mut subject, &get(99, 1), at(2_000)));
    for id in 3..=tokens::<S>() {
        assert!(admits(&mut subject, &get(id, 1), at(2_000)));
    }
    let given = subject.register(token(98), of(1), at(2_000));
    assert_eq!(given, Ok(Registered::New));
}

pub fn t3_being_refused_again_looks_at_no_row_until_one_may_be_idle<S: Subject>() {
    let long = plans().block(3, Duration::from_secs(60), Duration::from_secs(300));
    let mut subject = full::<S>(built(long));
    for id in 1..=tokens::<S>() {
        assert!(admits(&mut subject, &get(id, 1), at(id)));
    }
    let full = Err(RegisterError::TableFull);
    assert_eq!(subject.register(token(99), of(1), at(1_000)), full);
    let searched = subject.statistics().searched_rows;
    assert!(searched >= tokens::<S>());
    for t_ms in 1_000..=2_000 {
        assert_eq!(subject.register(token(99), of(1), at(t_ms)), full);
    }
    assert_eq!(subject.statistics().searched_rows, searched);
    assert!(subject.register(token(99), of(1), at(2_001)).is_ok());
}

pub fn t3_a_block_shorter_than_the_offence_period_frees_a_row_early<S: Subject>() {
    let short = plans().block(3, Duration::from_secs(60), Duration::from_secs(10));
    let mut subject = full::<S>(built(short));
    for id in 1..=tokens::<S>() {
        assert!(admits(&mut subject, &get(id, 1), at(0)));
        assert!(!admits(&mut subject, &get(id, 1), at(0)));
    }
    assert!(!has_room(&mut subject, 2_000), "until 60 000 as it seems");
    assert!(admits(&mut subject, &get(1, 1), at(2_000)));
    for _ in 0..2 {
        assert!(!admits(&mut subject, &get(1, 1), at(2_000)));
    }
    assert!(!has_room(&mut subject, 11_999));
    assert!(has_room(&mut subject, 12_000), "the block has ended");
}

pub fn t3_what_frees_a_row_early_is_not_overlooked<S: Subject>() {
    let rule = plans().block(1, Duration::from_secs(60), Duration::from_secs(300));
    let blocked = || {
        let mut subject = full::<S>(built(rule));
        for id in 1..=tokens::<S>() {
            assert!(admits(&mut subject, &get(id, 1), at(0)));
            assert!(!admits(&mut subject, &get(id, 1), at(0)));
        }
        assert!(!has_room(&mut subject, 3_000));
        subject
    };
    let mut subject = blocked();
    assert_eq!(subject.unblock(token(2)), Ok(()));
    assert!(has_room(&mut subject, 3_000), "unblocked");
    let mut subject = blocked();
    assert_eq!(subject.set_policy(built(plans())), Ok(()));
    assert!(has_room(&mut subject, 3_000), "no blocks any more");

    let mut subject = S::new(built(plans()));
    for id in 1..=tokens::<S>() {
        assert!(subject.register(token(id), of(1).pinned(), at(0)).is_ok());
    }
    assert!(!has_room(&mut subject, 3_000));
    assert!(subject.register(token(2), of(1), at(3_000)).is_ok());
    assert!(has_room(&mut subject, 3_000), "unpinned");
}

pub fn t3_a_refund_frees_a_users_row_early<S: Subject>() {
    let mut subject = S::new(daily(10, DailyMode::Strict));
    let mut receipts = Vec::new();
    for id in 1..=users::<S>() {
        assert!(subject.register(token(id), of(id), at(0)).is_ok());
        let decision = subject.check(&post(id, 1), at(0));
        receipts.push(decision.into_receipt().expect("admitted"));
    }
    let full = Err(RegisterError::TableFull);
    assert_eq!(subject.register(token(99), of(99), at(2_000)), full);
    let receipt = receipts.pop().expect("there are users");
    assert_eq!(subject.refund(receipt, at(2_000)).daily, 1);
    assert!(subject.register(token(99), of(99), at(2_000)).is_ok());
}

pub fn t3_a_full_table_says_so_touches_nobody_and_counts_it<S: Subject>() {
    let mut subject = full::<S>(built(plans()));
    for id in 1..=tokens::<S>() {
        assert!(admits(&mut subject, &get(id, 1), at(0)));
    }
    for failures in 1..=3 {
        let given = subject.register(token(99), of(99), at(0));
        assert_eq!(given, Err(RegisterError::TableFull));
        let statistics = subject.statistics();
        assert_eq!(
            (statistics.table_full, statistics.evicted_tokens),
            (failures, 0)
        );
        assert_eq!(statistics.users, 1, "no row for its user either");
    }
    for id in 1..=tokens::<S>() {
        let decision = subject.check(&get(id, 1), at(1));
        assert_eq!(refused(&decision), Some((Reason::Window, Some(1_999))));
    }
    assert!(!is_known(&subject, 99, 1));
}

pub fn t3_what_is_wrong_with_a_registration_is_said_before_a_row_is_looked_for<S: Subject>() {
    let mut subject = full::<S>(built(plans()));
    for id in 1..=tokens::<S>() {
        assert!(admits(&mut subject, &get(id, 1), at(0)));
    }
    let given = subject.register(token(99), of(1).with_own_limit(0), at(0));
    assert_eq!(
        given,
        Err(RegisterError::Limit(PolicyError::ZeroWindowLimit))
    );
    assert_eq!(subject.statistics().table_full, 0);
}

pub fn t5_no_look_up_visits_more_rows_than_are_told_and_there_are<S: Subject>() {
    // All of one home, and around the end of the table.
    for high in [0, u64::MAX << 40] {
        let mut subject = S::new(built(plans()));
        for id in 1..=tokens::<S>() {
            let new = subject.register(token(high | id), of(1), at(0));
            assert_eq!(new, Ok(Registered::New));
        }
        for id in 1..=tokens::<S>() {
            assert!(is_known(&subject, high | id, 0));
        }
        let rows = u64::from(subject.statistics().longest_probe);
        assert!((1..=tokens::<S>()).contains(&rows), "{rows}");
    }
}
