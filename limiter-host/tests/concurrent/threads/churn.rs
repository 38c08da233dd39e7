//! Rows that change hands under the threads: tables too small for all tokens and users, with
//! registrations, revocations and evictions all the time.

use limiter_core::{Kind, Method, Now, Reason, RegisterError, Registration};
use limiter_host::Concurrent;
use limiter_suite::{token, user};
use std::collections::BTreeMap;
use std::sync::RwLock;

use super::{PLAN, Random, Tally, WINDOW_MS, at, left, policy, request, together};

const LIMIT: u32 = 7;
const DAY: u32 = 60;
const TOKENS: u64 = 12;
const USERS: u64 = 6;
const DAY_MS: u64 = 86_400_000;

/// The token's user; each has two tokens.
fn owner(id: u64) -> u64 {
    1 + id % USERS
}

fn register(limiter: &Concurrent, id: u64, now: Now) -> bool {
    let registration = Registration::new(user(owner(id)), Kind::ApiToken, PLAN);
    match limiter.register(token(id), registration, now) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error, RegisterError::TableFull);
            false
        }
    }
}

/// What one thread was admitted and has not given back.
#[derive(Default)]
struct Spent {
    tally: Tally,
    /// By day and user.
    days: BTreeMap<(u64, u64), u64>,
    /// Decisions by word.
    outcomes: BTreeMap<&'static str, u64>,
}

impl Spent {
    fn step(&mut self, limiter: &Concurrent, random: &mut Random, clock_ms: u64) {
        let id = 1 + random.below(TOKENS);
        match random.below(10) {
            0 => {
                register(limiter, id, at(clock_ms));
            }
            1 => {
                limiter.revoke(token(id), at(clock_ms));
            }
            2 => self.check(limiter, random, clock_ms, (id, Method::Get)),
            _ => self.check(limiter, random, clock_ms, (id, Method::Post)),
        }
    }

    fn check(
        &mut self,
        limiter: &Concurrent,
        random: &mut Random,
        clock_ms: u64,
        (id, method): (u64, Method),
    ) {
        // Readings of decisions race by less than a second: later ones would be outliers (M3), decided
        // at another time than the one that the windows are told apart by here.
        let now_ms = clock_ms - random.below(WINDOW_MS / 2);
        let cost = 1 + random.below(3);
        let decision = limiter.check(&request(id, method, cost), at(now_ms));
        let word = decision.reason().map_or("admitted", Reason::word);
        *self.outcomes.entry(word).or_default() += 1;
        if decision.reason() == Some(Reason::Unauthenticated) {
            if random.below(2) == 0 {
                register(limiter, id, at(clock_ms));
            }
            return;
        }
        let window = self.tally.add(id, cost, now_ms, &decision);
        let Some(receipt) = decision.into_receipt() else {
            return;
        };
        let day = self.days.entry((clock_ms / DAY_MS, owner(id))).or_default();
        *day += if method == Method::Post { cost } else { 0 };
        if random.below(4) == 0 {
            let back = limiter.refund(receipt, at(clock_ms));
            *day -= u64::from(back.daily);
            *self.tally.windows.get_mut(&window).expect("charged") -= u64::from(back.window);
            let counted = if method == Method::Post { cost } else { 0 };
            assert_eq!(u64::from(back.daily), counted, "the day is the same");
        }
    }
}

#[test]
fn nobody_is_charged_for_another_while_rows_change_hands() {
    let limiter = Concurrent::new(policy(LIMIT, DAY).build().unwrap(), 5, 3);
    let clock = RwLock::new(10_000_u64);
    let spent = together(|number| {
        let (mut random, mut spent) = (Random(number as u64), Spent::default());
        for n in 0..60_000 {
            if n % 32 == 31 {
                let mut clock = clock.write().unwrap();
                *clock += random.below(WINDOW_MS);
                if random.below(20) == 0 {
                    *clock = (*clock / DAY_MS + 1) * DAY_MS + 10_000;
                }
            }
            let clock = clock.read().unwrap();
            spent.step(&limiter, &mut random, *clock);
        }
        spent
    });
    let mut days = BTreeMap::new();
    let mut outcomes = BTreeMap::new();
    let mut tallies = Vec::new();
    for one in spent {
        for (day, permits) in one.days {
            *days.entry(day).or_insert(0) += permits;
        }
        for (word, count) in one.outcomes {
            *outcomes.entry(word).or_insert(0) += count;
        }
        tallies.push(one.tally);
    }
    let statistics = limiter.statistics();
    println!("{outcomes:?}, {statistics:?}");
    assert!(statistics.evicted_tokens > 100 && statistics.evicted_users > 100);
    let words = ["admitted", "window", "daily", "unauthenticated"];
    assert!(words.iter().all(|word| outcomes[word] > 1_000));

    let windows = Tally::sum(tallies).windows;
    assert!(windows.values().all(|&used| used <= LIMIT.into()));
    assert!(days.values().all(|&used| used <= u64::from(DAY)));

    // Later on the last day, when all windows are over: who has used something has a row, and all
    // that was used is in it; the others have used nothing.
    let clock_ms = *clock.read().unwrap() + 3 * WINDOW_MS;
    let mut users = 0;
    for id in 1..=USERS {
        let used = days.get(&(clock_ms / DAY_MS, owner(id))).copied();
        let used = used.unwrap_or(0);
        if register(&limiter, id, at(clock_ms)) {
            let today = left(&limiter, id, at(clock_ms));
            assert_eq!(today, (LIMIT, DAY - u32::try_from(used).unwrap()));
            users += 1;
        } else {
            assert_eq!(used, 0);
        }
    }
    assert!(users >= 3);
}
