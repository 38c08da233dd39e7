//! Every interleaving of small races on [`limiter_host::Concurrent`], tried out by loom:
//!
//! ```text
//! RUSTFLAGS="--cfg limiter_loom" cargo test --release -p limiter-host --test loom --target-dir target/loom
//! ```
#![cfg(limiter_loom)]

use core::time::Duration;
use limiter_host::Concurrent;
use limiter_host::concurrent::let_all_modify;
use limiter_host::core::calendar::Calendar;
use limiter_host::core::daily::DailyMode;
use limiter_host::core::policy::PolicyBuilder;
use limiter_host::core::{
    Decision, Instant, Kind, Method, Now, Plan, Policy, Reason, Receipt, RegisterError, Registered,
    Registration, Request, TokenId, UnixTime, UserId,
};
use loom::sync::Arc;
use loom::thread;
use std::cell::Cell;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Threads are preempted so often in one try, beside where they wait; `LOOM_MAX_PREEMPTIONS` in the
/// environment says otherwise.
const PREEMPTIONS: usize = 3;

/// Tries a race out in five ways: on a calendar that was never fed, and on one that was, so that
/// the usual decision is made in one straight line; as it is, with the roles of the two threads
/// exchanged, and with all accesses made read-modify-writes, since loom overlooks orders of loads
/// with later stores.
fn explore(test: impl Fn() + Sync + Send + 'static) {
    let test = std::sync::Arc::new(test);
    for way in [
        [false, false, false],
        [false, false, true],
        [true, false, false],
        [true, true, false],
        [true, false, true],
    ] {
        let [fed, swapped, all_modify] = way;
        FED.set(fed);
        SWAPPED.set(swapped);
        let_all_modify(all_modify);
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound.get_or_insert(PREEMPTIONS);
        let tries = std::sync::Arc::new(AtomicUsize::new(0));
        let (count, test) = (std::sync::Arc::clone(&tries), std::sync::Arc::clone(&test));
        builder.check(move || {
            count.fetch_add(1, Ordering::Relaxed);
            test();
        });
        println!("{} interleavings", tries.load(Ordering::Relaxed));
    }
}

thread_local! {
    /// Loom's threads are all one to the operating system.
    static SWAPPED: Cell<bool> = const { Cell::new(false) };
    static FED: Cell<bool> = const { Cell::new(false) };
}

/// One permit a window of 2 s, one a day, no block.
fn policy() -> PolicyBuilder {
    Policy::builder().plan(PLAN, 1, 1).daily_limit(1)
}

fn limiter(policy: PolicyBuilder, tokens: usize, users: usize) -> Arc<Concurrent> {
    let policy = policy.build().expect("a policy");
    Arc::new(Concurrent::new(policy, tokens, users))
}

fn token(id: u64) -> TokenId {
    TokenId::from_hash(NonZeroU64::new(id).expect("an id"))
}

fn api_token_of(user: u64) -> Registration {
    let user = UserId::from_hash(NonZeroU64::new(user).expect("an id"));
    Registration::new(user, Kind::ApiToken, PLAN)
}

fn register(limiter: &Concurrent, id: u64, user: u64) {
    let registered = limiter.register(token(id), api_token_of(user), at(0));
    assert_eq!(registered, Ok(Registered::New));
    if FED.get() {
        // It can never fit, so it changes the calendar alone.
        let request = Request::new(token(id), Method::Get).with_cost(NonZeroU32::MAX);
        let decision = limiter.check(&request, at(0));
        assert_eq!(decision.reason(), Some(Reason::CostExceedsLimit));
    }
}

fn read(limiter: &Concurrent, id: u64, now: Now) -> Decision {
    limiter.check(&Request::new(token(id), Method::Get), now)
}

fn write(limiter: &Concurrent, id: u64, now: Now) -> Decision {
    limiter.check(&Request::new(token(id), Method::Post), now)
}

/// What is left of the window and of the user's day.
fn left(limiter: &Concurrent, id: u64, now: Now) -> (u32, u32) {
    let decision = limiter.peek(&Request::new(token(id), Method::Post), now);
    let quota = decision.quota().expect("a registered token's");
    let cost = u32::from(decision.is_admitted());
    (
        quota.remaining + cost,
        quota.daily_left.expect("it is a write") + cost,
    )
}

/// Monotonic milliseconds; UTC is known and of one day.
fn at(ms: u64) -> Now {
    on_day(0, ms)
}

fn on_day(day: u64, ms: u64) -> Now {
    let utc = UnixTime::from_secs((20_000 + day) * 86_400);
    Now::new(Instant::from_millis(day * 86_400_000 + ms), utc)
}

/// Runs both at the same time.
fn race<A: Send + 'static, B: Send + 'static>(
    limiter: &Arc<Concurrent>,
    a: impl FnOnce(&Concurrent) -> A + Send + 'static,
    b: impl FnOnce(&Concurrent) -> B + Send + 'static,
) -> (A, B) {
    let theirs = Arc::clone(limiter);
    if SWAPPED.get() {
        let thread = thread::spawn(move || b(&theirs));
        let a = a(limiter);
        (a, thread.join().expect("it does not panic"))
    } else {
        let thread = thread::spawn(move || a(&theirs));
        let b = b(limiter);
        (thread.join().expect("it does not panic"), b)
    }
}

fn admitted(decisions: &[&Decision]) -> usize {
    let admitted = decisions.iter().filter(|decision| decision.is_admitted());
    admitted.count()
}

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
        // Both writes want the last permit of the day, while a read opens a newer window.
        let reader = Arc::clone(&limiter);
        let reader = thread::spawn(move || read(&reader, 1, at(2_000)));
        let (a, b) = race(&limiter, |l| write(l, 1, at(1)), |l| write(l, 2, at(1)));
        assert!(reader.join().expect("it does not panic").is_admitted());
        assert_eq!(admitted(&[&a, &b]), 1);
        let into_newer = a.is_admitted() && a.quota().is_some_and(|quota| quota.reset_ms == 3_999);
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
            Ok(Registered::New) => {
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
            Ok(Registered::New) => {
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
        let (registered, write) = race(
            &limiter,
            |l| {
                assert!(l.revoke(token(1), at(0)));
                l.register(token(1), api_token_of(2), at(0))
            },
            |l| write(l, 1, at(0)),
        );
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
                assert!(l.revoke(token(1), at(0)));
                let second = l.register(token(1), api_token_of(2), at(0));
                assert_eq!(second, Ok(Registered::Resumed));
                l.register(token(2), api_token_of(3), at(0))
            },
            |l| write(l, 1, at(0)),
        );
        // The first user's row was free, unless the write had charged it, if only for a moment.
        if third == Ok(Registered::New) {
            assert_eq!(left(&limiter, 2, at(0)), (3, 3));
        } else {
            assert_eq!(third, Err(RegisterError::TableFull));
        }
        assert!(write.is_admitted() || write.reason() == Some(Reason::Unauthenticated));
    });
}

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
        if registered == Ok(Registered::New) {
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

fn receipt(decision: Decision) -> Receipt {
    decision.into_receipt().expect("it was admitted")
}

const PLAN: Plan = Plan::new(0);
