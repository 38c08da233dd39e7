//! Every interleaving of small races on [`limiter_host::Concurrent`], tried out by loom; races with the
//! writer of images are in `src/persist/races.rs`:
//!
//! ```text
//! RUSTFLAGS="--cfg limiter_loom" cargo test --release -p limiter-host --test loom --target-dir target/loom
//! ```
#![cfg(limiter_loom)]

mod charges;
mod days;
mod offences;
mod tenancies;

use limiter_host::Concurrent;
use limiter_host::concurrent::let_all_modify;
use limiter_host::core::policy::PolicyBuilder;
use limiter_host::core::{
    Decision, Instant, Kind, Method, Now, Plan, Policy, Reason, Receipt, Registered, Registration,
    Request, TokenId, UnixTime, UserId,
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
    Policy::builder()
        .window(std::time::Duration::from_secs(2))
        .plan(PLAN, 1, 1)
        .daily_limit(1)
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

fn receipt(decision: Decision) -> Receipt {
    decision.into_receipt().expect("it was admitted")
}

const PLAN: Plan = Plan::new(0);
