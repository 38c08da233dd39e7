//! Threads that hammer the same tokens and users in virtual time: no limit is ever passed, and at
//! the end every permit is accounted for.

mod churn;
mod tally;

use limiter_core::policy::PolicyBuilder;
use limiter_core::window::Window;
use limiter_core::{
    Instant, Kind, Method, Now, Plan, Policy, Reason, Registration, Request, UnixTime,
};
use limiter_host::Concurrent;
use limiter_suite::{token, user};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, RwLock};
use tally::Tally;

const THREADS: usize = 4;
const WINDOW_MS: u64 = 2_000;
const PLAN: Plan = Plan::new(0);

/// The same numbers for the same seed.
struct Random(u64);

impl Random {
    /// An index of a list of this length.
    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap()
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

fn policy(window: u32, day: u32) -> PolicyBuilder {
    Policy::builder()
        .window(std::time::Duration::from_secs(2))
        .plan(PLAN, window, window)
        .daily_limit(day)
}

/// Tokens 1 and up, all of user 1.
fn limiter(policy: PolicyBuilder, tokens: u64) -> Concurrent {
    let limiter = Concurrent::new(policy.build().unwrap(), 16, 16);
    for id in 1..=tokens {
        let registration = Registration::new(user(1), Kind::ApiToken, PLAN);
        limiter.register(token(id), registration, at(0)).unwrap();
    }
    limiter
}

/// UTC goes with monotonic time, from a midnight on.
fn at(ms: u64) -> Now {
    let utc = UnixTime::from_secs(20_000 * 86_400 + ms / 1_000);
    Now::new(Instant::from_millis(ms), utc)
}

fn request(id: u64, method: Method, cost: u64) -> Request {
    let cost = u32::try_from(cost).ok().and_then(NonZeroU32::new).unwrap();
    Request::new(token(id), method).with_cost(cost)
}

/// What is left of a token's window and of its user's day.
fn left(limiter: &Concurrent, id: u64, now: Now) -> (u32, u32) {
    let decision = limiter.peek(&request(id, Method::Post, 1), now);
    let quota = decision.quota().expect("it is registered");
    let one = u32::from(decision.is_admitted());
    (quota.remaining + one, quota.daily_left.unwrap() + one)
}

/// Runs `work` on all threads at the same time, each with its number.
fn together<T: Send>(work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let begin = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let (begin, work) = (&begin, &work);
                scope.spawn(move || {
                    begin.wait();
                    work(number)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

#[test]
fn a_window_admits_its_limit_and_no_more_while_time_goes_on_under_the_threads() {
    const LIMIT: u32 = 50;
    let limiter = limiter(policy(LIMIT, 1), 1);
    // Held while a decision is made: a thread that is held up for a whole window would be a clock
    // that steps back by so much, which may end a window early (W6) and begin another like it.
    let clock = RwLock::new(0_u64);
    let tallies = together(|number| {
        let (mut random, mut tally) = (Random(number as u64), Tally::default());
        for n in 0..40_000 {
            if n % 8 == 7 {
                *clock.write().unwrap() += random.below(64);
            }
            // Readings race by up to half a window.
            let skew = random.below(WINDOW_MS / 2);
            let clock = clock.read().unwrap();
            let now = clock.saturating_sub(skew);
            let cost = 1 + random.below(3);
            let decision = limiter.check(&request(1, Method::Get, cost), at(now));
            tally.add(1, cost, now, &decision);
        }
        tally
    });
    let tally = Tally::sum(tallies);
    assert!(tally.windows.len() > 200, "{}", tally.windows.len());
    assert!(tally.windows.values().all(|&used| used <= LIMIT.into()));
    // Who was refused had found too little left for a cost of 3 at most.
    let refusing = tally
        .refusing
        .iter()
        .map(|window| tally.windows.get(window));
    assert!(refusing.clone().count() > 100);
    assert!(refusing.flatten().all(|&used| used > u64::from(LIMIT) - 3));
    let (admitted, refused) = (limiter.statistics().admitted(), tally.refused);
    assert_eq!(admitted + refused, THREADS as u64 * 40_000);
}

#[test]
fn a_day_admits_its_limit_and_each_permit_of_it_once() {
    const LIMIT: u32 = 3_000;
    const DAYS: u64 = 5;
    let limiter = limiter(policy(Window::MAX_LIMIT, LIMIT), 4);
    let clock = AtomicU64::new(0);
    // The day that each thread goes by. None is ever two days behind: that would be a clock that
    // steps back by days, which the calendar has rules for (D9).
    let days = [const { AtomicU64::new(0) }; THREADS];
    let seen = together(|number| {
        let mut lefts = Vec::new();
        let mut refused = 0_u32;
        // Each day lasts until some thread has been refused a few times; then it turns under all.
        loop {
            let day = clock.load(Ordering::SeqCst);
            days[number].store(day, Ordering::SeqCst);
            if day == DAYS {
                return lefts;
            }
            let request = request(1 + number as u64, Method::Put, 1);
            let decision = limiter.check(&request, at(day * 86_400_000));
            if decision.is_admitted() {
                lefts.push(decision.quota().unwrap().daily_left.unwrap());
                continue;
            }
            assert_eq!(decision.reason(), Some(Reason::Daily));
            refused += 1;
            let together = days.iter().all(|at| at.load(Ordering::SeqCst) == day);
            if refused.is_multiple_of(20) && together {
                let _ = clock.compare_exchange(day, day + 1, Ordering::SeqCst, Ordering::SeqCst);
            }
        }
    });
    let mut seen: Vec<u32> = seen.concat();
    seen.sort_unstable();
    let expected = (0..LIMIT).flat_map(|left| [left; 5]);
    assert!(seen.iter().copied().eq(expected), "{} permits", seen.len());
    assert_eq!(u64::from(limiter.calendar().refills()), DAYS - 1);
}

#[test]
fn what_is_refused_by_one_limit_is_charged_to_neither() {
    for round in 0..200 {
        let (window, day) = (60, 100 + round % 7);
        let limiter = limiter(policy(window, day), 2);
        let tallies = together(|number| {
            let (mut random, mut tally) = (
                Random(u64::from(round) * 8 + number as u64),
                Tally::default(),
            );
            for _ in 0..100 {
                let (id, cost) = (1 + random.below(2), 1 + random.below(4));
                let decision = limiter.check(&request(id, Method::Post, cost), at(7));
                tally.add(id, cost, 7, &decision);
            }
            tally
        });
        let tally = Tally::sum(tallies);
        let charged = |id| tally.windows.get(&(id, 7)).copied().unwrap_or(0);
        for id in [1, 2] {
            assert!(charged(id) <= u64::from(window));
            let (in_window, today) = left(&limiter, id, at(7));
            assert_eq!(u64::from(window - in_window), charged(id));
            assert_eq!(u64::from(day - today), charged(1) + charged(2));
        }
        assert!(charged(1) + charged(2) <= u64::from(day));
    }
}

#[test]
fn refunds_and_charges_add_up() {
    let limiter = limiter(policy(1_000, 1_500), 2);
    let kept = together(|number| {
        let mut random = Random(number as u64);
        let mut kept = [0_u64; 2];
        let mut receipts = Vec::new();
        for _ in 0..20_000 {
            if random.below(2) == 0 {
                let index = random.index(2);
                let cost = 1 + random.below(9);
                let decision = limiter.check(&request(1 + index as u64, Method::Post, cost), at(5));
                if let Some(receipt) = decision.into_receipt() {
                    kept[index] += cost;
                    receipts.push((index, cost, receipt));
                }
            } else if !receipts.is_empty() {
                let (index, cost, receipt) = receipts.swap_remove(random.index(receipts.len()));
                let back = limiter.refund(receipt, at(6));
                assert_eq!(
                    (u64::from(back.window), u64::from(back.daily)),
                    (cost, cost)
                );
                kept[index] -= cost;
            }
        }
        kept
    });
    let kept = [0, 1].map(|index| kept.iter().map(|kept| kept[index]).sum::<u64>());
    for (id, kept_in_window) in [(1, kept[0]), (2, kept[1])] {
        let (in_window, today) = left(&limiter, id, at(6));
        assert_eq!(u64::from(1_000 - in_window), kept_in_window);
        assert_eq!(u64::from(1_500 - today), kept[0] + kept[1]);
    }
}

#[test]
fn every_refusal_is_one_offence() {
    const OFFENCES: u16 = 5_000;
    let long = core::time::Duration::from_secs(1_000);
    let limiter = limiter(policy(1, 1).block(OFFENCES.into(), long, long), 1);
    let outcomes = together(|_| {
        let check = || limiter.check(&request(1, Method::Get, 1), at(1));
        (0..4_000).map(|_| check().reason()).collect::<Vec<_>>()
    });
    let count = |reason| {
        outcomes
            .iter()
            .flatten()
            .filter(|&&seen| seen == reason)
            .count()
    };
    assert_eq!(count(None), 1);
    assert_eq!(count(Some(Reason::Window)), usize::from(OFFENCES));
    assert_eq!(
        count(Some(Reason::Blocked)),
        THREADS * 4_000 - 1 - usize::from(OFFENCES)
    );
}

#[test]
fn decisions_go_on_while_the_policy_changes() {
    let limiter = limiter(policy(10, 10), 1);
    let small = policy(10, 10).build().unwrap();
    let large = policy(1_000, 1_000).build().unwrap();
    together(|number| {
        for n in 0..2_000 {
            if number == 0 && n % 20 == 0 {
                let policy = if n % 40 == 0 { large } else { small };
                limiter.set_policy(policy).unwrap();
            }
            let decision = limiter.check(&request(1, Method::Post, 1), at(n * WINDOW_MS));
            if let Some(quota) = decision.quota() {
                assert!([10, 1_000].contains(&quota.limit));
                assert!(quota.daily_left.unwrap() < 1_000);
            }
        }
    });
    assert_eq!(limiter.policy(), &small);
}
