//! The calendar, and decisions around the end of a day.

use super::{
    PLAN, admitted, at, explore, left, limiter, on_day, policy, race, read, register, write,
};
use limiter_host::core::calendar::Calendar;

#[test]
fn the_calendar_is_read_as_one_value() {
    explore(|| {
        let limiter = limiter(policy(), 1, 1);
        register(&limiter, 1, 1);
        assert!(read(&limiter, 1, at(0)).is_admitted());
        let (_, calendars) = race(
            &limiter,
            |l| [1, 2].map(|day| read(l, 1, on_day(day, 0)).is_admitted()),
            |l| [l.calendar(), l.calendar()],
        );
        // It is one of those that there were, in all its words.
        let mut expected = Calendar::new();
        let stood = [0, 1, 2].map(|day| {
            expected.feed(on_day(day, 0));
            expected
        });
        assert!(calendars.iter().all(|calendar| stood.contains(calendar)));
        assert_eq!(limiter.calendar().refills(), 2);
    });
}

#[test]
fn a_late_write_of_the_old_day_spends_nothing_of_the_new_one_unseen() {
    explore(|| {
        let limiter = limiter(policy().plan(PLAN, 3, 3), 2, 1);
        register(&limiter, 1, 1);
        register(&limiter, 2, 1);
        assert!(read(&limiter, 1, on_day(0, 86_399_999)).is_admitted());
        let (old, new) = race(
            &limiter,
            |l| write(l, 1, on_day(0, 86_399_999)),
            |l| write(l, 2, on_day(1, 0)),
        );
        // If the old one came late it was counted on the new day (D9), and the other refused.
        let both = old.is_admitted() && new.is_admitted();
        assert!(both || admitted(&[&old, &new]) == 1);
        assert_eq!(left(&limiter, 2, on_day(1, 0)).1, 0);
        assert_eq!(limiter.calendar().refills(), 1);
    });
}
