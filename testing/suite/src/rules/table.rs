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
            assert_eq!(registered, Registered::New);
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
        assert_eq!(new, Ok(Registered::New));
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
    assert_eq!(new, Ok(Registered::New));
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
        Ok(Registered::New)
    );
    assert!(!is_known(&subject, 1, 0));
    let statistics = subject.statistics();
    assert_eq!(
        (statistics.evicted_tokens, statistics.evicted_users),
        (1, 1)
    );
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
