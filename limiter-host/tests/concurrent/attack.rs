//! Tables under years of turnover and under a flood of newcomers, with threads: some minutes, so not
//! among the ordinary tests. Judged by what was looked at; times are only told.

use limiter_core::{
    HashKey, Instant, Kind, Method, Now, Plan, Policy, Reason, RegisterError, Registration,
    Request, TokenId, TokenLimit, UnixTime,
};
use limiter_host::Concurrent;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const THREADS: u64 = 4;

fn key() -> HashKey {
    HashKey::new([5; 16])
}

fn token(number: u64) -> TokenId {
    key().token(&number.to_le_bytes())
}

fn of(number: u64) -> Registration {
    let user = key().user(&(number / 2).to_le_bytes());
    Registration::new(user, Kind::ApiToken, Plan::ADVANCED)
}

fn at(t_ms: u64) -> Now {
    let utc = UnixTime::from_secs(1_716_000_000 + t_ms / 1_000);
    Now::new(Instant::from_millis(t_ms), utc)
}

/// Registers the token if it is not known, as a resolver does, until it has decided.
fn ask(limiter: &Concurrent, number: u64, now: Now) {
    let request = Request::new(token(number), Method::Get);
    while limiter.check(&request, now).reason() == Some(Reason::Unauthenticated) {
        match limiter.register(token(number), of(number), now) {
            Ok(_) => {}
            Err(error) => assert_eq!(error, RegisterError::TableFull),
        }
    }
}

#[test]
#[ignore = "an attack: minutes"]
fn look_ups_stay_short_while_threads_replace_20_000_tokens_hour_after_hour() {
    const LIVE: u64 = 20_000;
    let limiter = Concurrent::new(Policy::pipedrive(), 40_000, 40_000);
    for hour in 0..10 {
        let before = limiter.statistics().searched_rows;
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let limiter = &limiter;
                scope.spawn(move || {
                    for step in (thread..LIVE).step_by(4) {
                        // Every token is replaced in the hour, and others go on.
                        let now = at(hour * 3_600_000 + step * 180);
                        ask(limiter, hour * LIVE + step, now);
                        let other = (step * 7_919) % LIVE;
                        let born = if other <= step {
                            hour
                        } else {
                            hour.saturating_sub(1)
                        };
                        ask(limiter, born * LIVE + other, now);
                    }
                });
            }
        });
        let statistics = limiter.statistics();
        let searched = statistics.searched_rows - before;
        println!("hour {hour}: {searched} rows searched, {statistics:?}");
        assert!(statistics.longest_probe <= 512);
        assert!(statistics.longest_user_probe <= 16);
        assert!(searched <= 100 * LIVE, "as many per registration");
    }
}

#[test]
#[ignore = "an attack: minutes"]
fn updates_of_known_tokens_do_not_wait_while_newcomers_flood_a_full_table() {
    const ROWS: u64 = 100_000;
    let limiter = Concurrent::new(Policy::pipedrive(), 100_000, 50_000);
    for number in 0..ROWS {
        assert!(limiter.register(token(number), of(number), at(0)).is_ok());
        let request = Request::new(token(number), Method::Post);
        assert!(limiter.check(&request, at(0)).is_admitted());
    }
    let (ended, refused) = (AtomicBool::new(false), AtomicU64::new(0));
    let before = limiter.statistics().searched_rows;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (limiter, ended, refused) = (&limiter, &ended, &refused);
            scope.spawn(move || {
                let mut number = ROWS * (2 + thread);
                while !ended.load(Ordering::Relaxed) {
                    let given = limiter.register(token(number), of(number), at(1_000));
                    assert_eq!(given, Err(RegisterError::TableFull));
                    refused.fetch_add(1, Ordering::Relaxed);
                    number += 1;
                }
            });
        }
        for round in 0..200_000_u32 {
            let limit = TokenLimit::Own(1 + round % 40);
            assert_eq!(
                limiter.update(token(u64::from(round) % ROWS), limit),
                Ok(())
            );
        }
        ended.store(true, Ordering::Relaxed);
    });
    let searched = limiter.statistics().searched_rows - before;
    println!("{refused:?} newcomers refused, {searched} rows searched");
    assert!(searched <= 4 * ROWS, "looked at once for all of them");
    assert_eq!(u64::from(limiter.statistics().tokens), ROWS);
}

#[test]
#[ignore = "an attack: minutes"]
fn no_mixture_of_two_clocks_passes_three_times_the_limit() {
    limiter_suite::rules::timeline::search::<crate::subjects::Roomy<{ crate::subjects::CHECK }>>(
        2_000, 1_000, 3,
    );
}
