//! Rows that change hands while a decision on them is under way.

use super::{
    PLAN, api_token_of, at, explore, left, limiter, policy, race, read, register, token, write,
};
use limiter_host::Concurrent;
use limiter_host::core::{Reason, RegisterError, Registered, Registration, TokenLimit};

/// Revokes the first token and registers it for the second user.
fn pass_to_second_user(limiter: &Concurrent) -> Result<Registered, RegisterError> {
    assert!(limiter.revoke(token(1), at(0)));
    limiter.register(token(1), api_token_of(2), at(0))
}

#[test]
fn a_row_goes_to_another_token_or_stays_charged() {
    explore(|| {
        let limiter = limiter(policy(), 1, 1);
        register(&limiter, 1, 1);
        let (registered, read) = race(
            &limiter,
            |l| l.register(token(2), api_token_of(1), at(0)),
            |l| read(l, 1, at(0)),
        );
        match registered {
            Ok(registered) if registered.is_new() => {
                assert_eq!(read.reason(), Some(Reason::Unauthenticated));
                assert_eq!(left(&limiter, 2, at(0)), (1, 1), "nobody else's charge");
            }
            other => {
                assert_eq!(other, Err(RegisterError::TableFull));
                assert!(read.is_admitted());
                assert_eq!(left(&limiter, 1, at(0)), (0, 1));
            }
        }
    });
}

#[test]
fn a_users_row_goes_to_another_user_or_stays_charged() {
    explore(|| {
        let limiter = limiter(policy(), 2, 1);
        register(&limiter, 1, 1);
        let (registered, write) = race(
            &limiter,
            |l| {
                assert!(l.revoke(token(1), at(0)));
                l.register(token(2), api_token_of(2), at(0))
            },
            |l| write(l, 1, at(0)),
        );
        match registered {
            Ok(registered) if registered.is_new() => {
                assert_eq!(write.reason(), Some(Reason::Unauthenticated));
                assert_eq!(left(&limiter, 2, at(0)), (1, 1), "nobody else's charge");
            }
            other => {
                assert_eq!(other, Err(RegisterError::TableFull));
                assert!(write.is_admitted());
            }
        }
    });
}

#[test]
fn a_revoked_token_that_is_resumed_by_another_user_charges_one_of_them() {
    explore(|| {
        let limiter = limiter(policy().plan(PLAN, 3, 3).daily_limit(3), 2, 1);
        register(&limiter, 1, 1);
        assert!(read(&limiter, 1, at(0)).is_admitted());
        let (registered, write) = race(&limiter, pass_to_second_user, |l| write(l, 1, at(0)));
        let charged = u32::from(write.is_admitted());
        if registered == Ok(Registered::Resumed) {
            // The new user took the row, so the write was charged to nobody or to the new one.
            assert_eq!(left(&limiter, 1, at(0)).1, 3 - charged);
        } else {
            // The day is charged, or it was for a moment by a write that came too late.
            assert_eq!(registered, Err(RegisterError::TableFull));
            let again = limiter.register(token(1), api_token_of(2), at(0));
            assert_eq!(again.is_ok(), charged == 0);
        }
    });
}

#[test]
fn a_late_write_of_a_token_that_changed_its_user_charges_nobody_who_took_the_first_ones_row() {
    explore(|| {
        let limiter = limiter(policy().plan(PLAN, 3, 3).daily_limit(3), 2, 2);
        register(&limiter, 1, 1);
        assert!(read(&limiter, 1, at(0)).is_admitted());
        let (third, write) = race(
            &limiter,
            |l| {
                let second = pass_to_second_user(l);
                assert_eq!(second, Ok(Registered::Resumed));
                l.register(token(2), api_token_of(3), at(0))
            },
            |l| write(l, 1, at(0)),
        );
        // The first user's row was free, unless the write had charged it, if only for a moment.
        if third.is_ok_and(Registered::is_new) {
            assert_eq!(left(&limiter, 2, at(0)), (3, 3));
        } else {
            assert_eq!(third, Err(RegisterError::TableFull));
        }
        assert!(write.is_admitted() || write.reason() == Some(Reason::Unauthenticated));
    });
}

#[test]
fn a_late_read_of_a_token_that_was_registered_anew_goes_by_its_new_terms() {
    explore(|| {
        let limiter = limiter(policy(), 1, 1);
        register(&limiter, 1, 1);
        let (registered, read) = race(
            &limiter,
            |l| {
                assert!(l.revoke(token(1), at(0)));
                let roomier = Registration {
                    limit: TokenLimit::Own(3),
                    ..api_token_of(1)
                };
                l.register(token(1), roomier, at(0))
            },
            |l| read(l, 1, at(0)),
        );
        // A row that was given up was not charged before, so what is admitted came after.
        if registered.is_ok_and(Registered::is_new) {
            match read.quota() {
                Some(quota) => assert_eq!(quota.limit, 3),
                None => assert_eq!(read.reason(), Some(Reason::Unauthenticated)),
            }
        } else {
            assert_eq!(registered, Ok(Registered::Resumed));
        }
    });
}

#[test]
fn a_late_write_of_a_token_that_was_registered_anew_charges_its_new_user() {
    explore(|| {
        let limiter = limiter(policy().plan(PLAN, 3, 3).daily_limit(3), 2, 2);
        register(&limiter, 1, 1);
        register(&limiter, 2, 1);
        let (registered, write) = race(&limiter, pass_to_second_user, |l| write(l, 1, at(0)));
        let charged = u32::from(write.is_admitted());
        let left = [2, 1].map(|token| left(&limiter, token, at(0)).1);
        if registered.is_ok_and(Registered::is_new) {
            assert_eq!(left, [3, 3 - charged], "the first user's is not touched");
        } else {
            assert_eq!(registered, Ok(Registered::Resumed));
            assert_eq!(
                left[0] + left[1],
                6 - charged,
                "one of them is charged, once"
            );
        }
    });
}

#[test]
fn a_late_write_that_was_overtaken_on_the_first_users_day_charges_its_new_user() {
    explore(|| {
        let limiter = limiter(policy().plan(PLAN, 3, 3).daily_limit(3), 2, 2);
        register(&limiter, 1, 1);
        register(&limiter, 2, 1);
        let (registered, write) = race(
            &limiter,
            |l| {
                assert!(write(l, 2, at(0)).is_admitted());
                pass_to_second_user(l)
            },
            |l| write(l, 1, at(0)),
        );
        let charged = u32::from(write.is_admitted());
        let left = [2, 1].map(|token| left(&limiter, token, at(0)).1);
        if registered.is_ok_and(Registered::is_new) {
            assert_eq!(left, [2, 3 - charged], "the first user's is not touched");
        } else {
            assert_eq!(registered, Ok(Registered::Resumed));
            assert_eq!(left[0] + left[1], 5 - charged, "each is charged once");
        }
    });
}
