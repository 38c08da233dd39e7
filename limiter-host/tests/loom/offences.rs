//! Offences and strikes: each is counted once.

use super::{
    PLAN, admitted, api_token_of, at, explore, left, limiter, policy, race, read, register, token,
    write,
};
use core::time::Duration;
use limiter_host::core::daily::DailyMode;
use limiter_host::core::{Reason, RegisterError, Registered};

#[test]
fn an_offence_is_counted_or_its_row_is_gone() {
    explore(|| {
        let policy = policy().block(1, Duration::from_secs(60), Duration::from_secs(300));
        let limiter = limiter(policy, 2, 1);
        let pinned = api_token_of(1).pinned();
        assert_eq!(
            limiter.register(token(2), pinned, at(0)),
            Ok(Registered::New)
        );
        assert!(write(&limiter, 2, at(0)).is_admitted());
        register(&limiter, 1, 1);
        // The day is spent, so a write of token 1 is refused and earns a block.
        let (registered, write) = race(
            &limiter,
            |l| l.register(token(3), api_token_of(1), at(0)),
            |l| write(l, 1, at(0)),
        );
        if registered.is_ok_and(Registered::is_new) {
            assert_eq!(write.reason(), Some(Reason::Unauthenticated));
            let fresh = read(&limiter, 3, at(0));
            assert!(fresh.is_admitted(), "nobody else's offence");
        } else {
            assert_eq!(registered, Err(RegisterError::TableFull));
            assert_eq!(write.reason(), Some(Reason::Daily));
            assert_eq!(read(&limiter, 1, at(0)).reason(), Some(Reason::Blocked));
        }
    });
}

#[test]
fn two_offences_at_once_are_both_counted() {
    explore(|| {
        let policy = policy().block(2, Duration::from_secs(60), Duration::from_secs(300));
        let limiter = limiter(policy, 1, 1);
        register(&limiter, 1, 1);
        assert!(read(&limiter, 1, at(0)).is_admitted());
        let (a, b) = race(&limiter, |l| read(l, 1, at(0)), |l| read(l, 1, at(0)));
        assert_eq!(
            (a.reason(), b.reason()),
            (Some(Reason::Window), Some(Reason::Window))
        );
        assert_eq!(read(&limiter, 1, at(0)).reason(), Some(Reason::Blocked));
    });
}

#[test]
fn a_strike_is_made_once_a_day() {
    explore(|| {
        let mode = DailyMode::FairUse {
            tolerated_days: 1,
            forgiven_after_days: 9,
        };
        let policy = policy().plan(PLAN, 9, 9).daily_mode(mode);
        let limiter = limiter(policy, 1, 1);
        register(&limiter, 1, 1);
        assert!(write(&limiter, 1, at(0)).is_admitted());
        // Both go over the limit. Were that two strikes, one of the writes would be refused.
        let (a, b) = race(&limiter, |l| write(l, 1, at(0)), |l| write(l, 1, at(0)));
        assert_eq!(admitted(&[&a, &b]), 2);
        assert_eq!(left(&limiter, 1, at(0)).0, 6);
    });
}
