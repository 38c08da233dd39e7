//! Tables that are too small for everybody, as they were found to refuse newcomers for ever, or to
//! look at every row for each of them.

use limiter_core::{
    HashKey, Kind, Method, Plan, Policy, RegisterError, Registered, Registration, Request, TokenId,
};

use crate::{Subject, now};

const NOON: i64 = 1_716_033_600;
const DAY_MS: u64 = 86_400_000;

fn key() -> HashKey {
    HashKey::new([9; 16])
}

fn token(number: u64) -> TokenId {
    key().token(&number.to_le_bytes())
}

fn of(number: u64) -> Registration {
    let user = key().user(&number.to_le_bytes());
    Registration::new(user, Kind::ApiToken, Plan::ADVANCED)
}

fn at(t_ms: u64) -> limiter_core::Now {
    now(t_ms, Some(NOON + (t_ms / 1_000).cast_signed()))
}

/// Every user has two tokens, which have all been used the day before and are idle: newcomers of
/// users of their own come every day for a month, and are given rows.
///
/// # Panics
///
/// If one is not.
pub fn idle_users_of_two_tokens_each_do_not_lock_newcomers_out<S: Subject>() {
    let mut subject = S::new(Policy::pipedrive());
    let users = u64::try_from(S::USERS).expect("few");
    for number in 0..2 * users {
        let given = subject.register(token(number), of(number / 2), at(0));
        assert_eq!(given, Ok(Registered::New));
        let write = Request::new(token(number), Method::Post);
        assert!(subject.check(&write, at(0)).is_admitted());
    }
    let given = subject.register(token(1_000), of(1_000), at(3_000));
    assert_eq!(given, Err(RegisterError::TableFull), "all were used today");
    for day in 1..=30 {
        let newcomer = 1_000 + day;
        let given = subject.register(token(newcomer), of(newcomer), at(day * DAY_MS));
        assert!(given.is_ok_and(Registered::is_new), "day {day}: {given:?}");
    }
}

/// A full table, every row of which is held by an open window, and as many newcomers as it has
/// rows: each is refused, and the rows are looked at once, not once for each. When one row is idle,
/// one newcomer gets it, and few rows are looked at for that.
///
/// Returns the rows that were looked at for the one.
///
/// # Panics
///
/// If it is otherwise.
#[must_use]
pub fn refusing_newcomers_looks_at_the_rows_once<S: Subject>() -> u64 {
    let mut subject = S::new(Policy::pipedrive());
    let tokens = u64::try_from(S::TOKENS).expect("few");
    // Windows end one after the other, a tenth of a second after the last one began.
    let began = |number: u64| number * 1_900 / tokens;
    for number in 0..tokens {
        let given = subject.register(token(number), of(number), at(began(number)));
        assert_eq!(given, Ok(Registered::New));
        let read = Request::new(token(number), Method::Get);
        assert!(subject.check(&read, at(began(number))).is_admitted());
    }
    for newcomer in tokens..2 * tokens {
        let given = subject.register(token(newcomer), of(newcomer), at(1_950));
        assert_eq!(given, Err(RegisterError::TableFull));
    }
    let searched = subject.statistics().searched_rows;
    // Users and tokens, and what the nearest tokens are looked at for.
    assert!(searched <= 4 * tokens + 64, "{searched} of {tokens}");
    let given = subject.register(token(tokens), of(tokens), at(2_000));
    let instead = given.is_ok_and(|given| matches!(given, Registered::NewInPlaceOf { .. }));
    assert!(instead, "{given:?}");
    subject.statistics().searched_rows - searched
}
