//! Permits of a window and of a day: spent once, given back to nobody else.

use super::{
    PLAN, admitted, at, explore, left, limiter, on_day, policy, race, read, receipt, register,
    write,
};
use limiter_host::core::Reason;
use loom::sync::Arc;
use loom::thread;

#[test]
fn the_last_permit_of_a_window_goes_to_one_of_two() {
    explore(|| {
        let limiter = limiter(policy(), 1, 1);
        register(&limiter, 1, 1);
        let (a, b) = race(&limiter, |l| read(l, 1, at(0)), |l| read(l, 1, at(1)));
        assert_eq!(admitted(&[&a, &b]), 1);
        assert_eq!(left(&limiter, 1, at(2)), (0, 1));
        assert_eq!(limiter.statistics().admitted(), 1);
        assert_eq!(limiter.statistics().refused(Reason::Window), 1);
    });
}

#[test]
fn the_last_permit_of_a_day_goes_to_one_of_two_and_the_other_keeps_its_window() {
    explore(|| {
        let limiter = limiter(policy(), 2, 1);
        register(&limiter, 1, 1);
        register(&limiter, 2, 1);
        let (a, b) = race(&limiter, |l| write(l, 1, at(0)), |l| write(l, 2, at(0)));
        assert_eq!(admitted(&[&a, &b]), 1);
        let (winner, loser) = if a.is_admitted() { (1, 2) } else { (2, 1) };
        assert_eq!(left(&limiter, winner, at(1)), (0, 0));
        assert_eq!(left(&limiter, loser, at(1)), (1, 0));
        assert_eq!(limiter.statistics().refused(Reason::Daily), 1);
    });
}

#[test]
fn two_writes_for_which_there_is_room_are_both_counted() {
    explore(|| {
        let limiter = limiter(policy().plan(PLAN, 2, 2).daily_limit(2), 1, 1);
        register(&limiter, 1, 1);
        let (a, b) = race(&limiter, |l| write(l, 1, at(0)), |l| write(l, 1, at(0)));
        assert_eq!(admitted(&[&a, &b]), 2);
        let mut days = [&a, &b].map(|decision| decision.quota().unwrap().daily_left.unwrap());
        days.sort_unstable();
        assert_eq!(days, [0, 1], "each was told what it left");
        assert_eq!(left(&limiter, 1, at(0)), (0, 0));
    });
}

#[test]
fn what_a_refused_write_gives_back_goes_to_no_newer_window() {
    explore(|| {
        let limiter = limiter(policy().plan(PLAN, 3, 3), 2, 1);
        register(&limiter, 1, 1);
        register(&limiter, 2, 1);
        assert!(read(&limiter, 1, at(0)).is_admitted());
        // All that races is less than a second from this mark, so no reading moves it.
        assert!(read(&limiter, 2, at(1_100)).is_admitted());
        // Both writes want the last permit of the day, while a read opens a newer window.
        let reader = Arc::clone(&limiter);
        let reader = thread::spawn(move || read(&reader, 1, at(2_000)));
        let (a, b) = race(
            &limiter,
            |l| write(l, 1, at(1_500)),
            |l| write(l, 2, at(1_500)),
        );
        assert!(reader.join().expect("it does not panic").is_admitted());
        assert_eq!(admitted(&[&a, &b]), 1);
        let into_newer = a.is_admitted() && a.quota().is_some_and(|quota| quota.reset_ms == 2_500);
        let spent = 1 + u32::from(into_newer);
        assert_eq!(left(&limiter, 1, at(2_000)).0, 3 - spent);
    });
}

#[test]
fn a_refund_takes_nothing_from_a_newer_window() {
    explore(|| {
        let limiter = limiter(policy(), 1, 1);
        register(&limiter, 1, 1);
        let receipt = receipt(read(&limiter, 1, at(0)));
        let (_, newer) = race(
            &limiter,
            move |l| l.refund(receipt, at(1_999)),
            |l| read(l, 1, at(2_000)),
        );
        assert!(newer.is_admitted());
        assert_eq!(left(&limiter, 1, at(2_000)).0, 0);
    });
}

#[test]
fn a_refund_takes_nothing_from_a_newer_day() {
    explore(|| {
        let limiter = limiter(policy(), 1, 1);
        register(&limiter, 1, 1);
        let receipt = receipt(write(&limiter, 1, at(0)));
        let (_, newer) = race(
            &limiter,
            move |l| l.refund(receipt, on_day(1, 0)),
            |l| write(l, 1, on_day(1, 0)),
        );
        assert!(newer.is_admitted());
        assert_eq!(left(&limiter, 1, on_day(1, 0)).1, 0);
    });
}
