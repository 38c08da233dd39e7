//! What is counted: single decisions, each in a function of its own that is never inlined; in
//! `cases/requests.rs`, requests through the tower layer.

mod requests;

use governor::clock::{Clock, FakeRelativeClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use limiter_core::{
    Decision, HashKey, Instant, Kind, LimiterIn, Method, Now, Plan, Policy, Registration, Request,
    TokenId, TokenRow, UnixTime, UserRow,
};
use limiter_host::Concurrent;
use limiter_host::decide::BoxedLimiter;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::time::Duration;

/// A case, and the names under which its counts are known.
pub(crate) struct Case {
    pub(crate) work: &'static str,
    pub(crate) subject: &'static str,
    pub(crate) form: &'static str,
    pub(crate) ours: bool,
    /// Makes what decides.
    make: fn() -> Decider,
}

type Decider = Box<dyn FnMut(&Asker)>;

/// All cases, in the order in which they are counted.
pub(crate) fn all() -> Vec<Case> {
    let case = |work, subject, form, ours, make| Case {
        work,
        subject,
        form,
        ours,
        make,
    };
    let decisions = vec![
        case("hash", "HashKey::token", "40 bytes", true, hash),
        case("read", LIMITER, "id", true, || limiter_by_id(Method::Get)),
        case("write", LIMITER, "id", true, || limiter_by_id(Method::Post)),
        case("read", LIMITER, "token", true, || {
            limiter_by_token(Method::Get)
        }),
        case("write", LIMITER, "token", true, || {
            limiter_by_token(Method::Post)
        }),
        case(
            "refused by the window",
            LIMITER,
            "id",
            true,
            limiter_refusing,
        ),
        case("unknown token", LIMITER, "id", true, limiter_unknown),
        case("read", CONCURRENT, "id", true, || {
            concurrent_by_id(Method::Get)
        }),
        case("write", CONCURRENT, "id", true, || {
            concurrent_by_id(Method::Post)
        }),
        case("read", CONCURRENT, "token", true, || {
            concurrent_by_token(Method::Get)
        }),
        case("write", CONCURRENT, "token", true, || {
            concurrent_by_token(Method::Post)
        }),
        case("read", GOVERNOR, "token", false, governor_read),
        case("write", TWO_GOVERNORS, "token", false, governors_write),
    ];
    let requests = requests::ALL
        .into_iter()
        .map(|(subject, form, ours, make)| case("a request answered", subject, form, ours, make));
    decisions.into_iter().chain(requests).collect()
}

/// Runs all cases: each once to warm up and once to be counted, with a mark after either.
pub(crate) fn run_all() {
    let askers = askers();
    for case in all() {
        let mut decide = (case.make)();
        for _ in 0..2 {
            for asker in &askers {
                decide(asker);
            }
            mark();
        }
    }
}

/// One who asks.
pub(crate) struct Asker {
    token: String,
    user: String,
    id: TokenId,
}

/// As many as there are decisions in a case.
fn askers() -> Vec<Asker> {
    let asker = |n: u64| {
        let token = format!("{:016x}{:024x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15), n);
        Asker {
            id: KEY.token(token.as_bytes()),
            user: format!("user-{:011}", n / 4),
            token,
        }
    };
    (0..DECISIONS).map(asker).collect()
}

/// Valgrind writes its counts when this is called.
#[inline(never)]
fn mark() {
    black_box(());
}

#[inline(never)]
fn one_hash(key: &HashKey, token: &[u8]) -> TokenId {
    key.token(token)
}

#[inline(never)]
fn one_check(limiter: &mut BoxedLimiter, request: &Request, now: Now) -> Decision {
    limiter.check(request, now)
}

#[inline(never)]
fn one_check_from_token(
    limiter: &mut BoxedLimiter,
    key: &HashKey,
    token: &[u8],
    method: Method,
    now: Now,
) -> Decision {
    limiter.check(&Request::new(key.token(token), method), now)
}

#[inline(never)]
fn one_concurrent(limiter: &Concurrent, request: &Request, now: Now) -> Decision {
    limiter.check(request, now)
}

#[inline(never)]
fn one_concurrent_from_token(
    limiter: &Concurrent,
    key: &HashKey,
    token: &[u8],
    method: Method,
    now: Now,
) -> Decision {
    limiter.check(&Request::new(key.token(token), method), now)
}

type Governor =
    RateLimiter<String, DashMapStateStore<String>, FakeRelativeClock, StateInformationMiddleware>;

/// What remains, if it is admitted.
#[inline(never)]
fn one_governor(limiter: &Governor, token: &String) -> Option<u32> {
    let state = limiter.check_key(token).ok()?;
    Some(state.remaining_burst_capacity())
}

#[inline(never)]
fn one_pair_of_governors(
    window: &Governor,
    day: &Governor,
    token: &String,
    user: &String,
) -> Option<(u32, u32)> {
    let state = window.check_key(token).ok()?;
    let day = day.check_key(user).ok()?;
    Some((
        state.remaining_burst_capacity(),
        day.remaining_burst_capacity(),
    ))
}

fn hash() -> Decider {
    let key = black_box(KEY);
    Box::new(move |asker| {
        black_box(one_hash(&key, asker.token.as_bytes()));
    })
}

fn limiter_by_id(method: Method) -> Decider {
    let mut limiter = limiter();
    Box::new(move |asker| {
        let request = black_box(Request::new(asker.id, method));
        black_box(&one_check(&mut limiter, &request, black_box(now())));
    })
}

fn limiter_by_token(method: Method) -> Decider {
    let (mut limiter, key) = (limiter(), black_box(KEY));
    Box::new(move |asker| {
        let (method, now) = black_box((method, now()));
        let token = asker.token.as_bytes();
        black_box(&one_check_from_token(
            &mut limiter,
            &key,
            token,
            method,
            now,
        ));
    })
}

/// Asks for more than the window has left: all tokens have used it up.
fn limiter_refusing() -> Decider {
    let mut limiter = limiter();
    let all = NonZeroU32::new(LIMIT).unwrap_or(NonZeroU32::MIN);
    for asker in askers() {
        let request = Request::new(asker.id, Method::Get).with_cost(all);
        assert!(limiter.check(&request, now()).is_admitted());
    }
    Box::new(move |asker| {
        let request = black_box(Request::new(asker.id, Method::Get));
        black_box(&one_check(&mut limiter, &request, black_box(now())));
    })
}

fn limiter_unknown() -> Decider {
    let mut limiter = limiter();
    Box::new(move |asker| {
        let other = KEY.token(asker.user.as_bytes());
        let request = black_box(Request::new(other, Method::Get));
        black_box(&one_check(&mut limiter, &request, black_box(now())));
    })
}

fn concurrent_by_id(method: Method) -> Decider {
    let limiter = concurrent();
    Box::new(move |asker| {
        let request = black_box(Request::new(asker.id, method));
        black_box(&one_concurrent(&limiter, &request, black_box(now())));
    })
}

fn concurrent_by_token(method: Method) -> Decider {
    let (limiter, key) = (concurrent(), black_box(KEY));
    Box::new(move |asker| {
        let (method, now) = black_box((method, now()));
        let token = asker.token.as_bytes();
        black_box(&one_concurrent_from_token(
            &limiter, &key, token, method, now,
        ));
    })
}

fn governor_read() -> Decider {
    let limiter = governor(Duration::from_secs(2), LIMIT);
    Box::new(move |asker| {
        black_box(one_governor(&limiter, &asker.token));
    })
}

fn governors_write() -> Decider {
    let window = governor(Duration::from_secs(2), LIMIT);
    let day = governor(Duration::from_secs(86_400), 10_000);
    Box::new(move |asker| {
        black_box(one_pair_of_governors(
            &window,
            &day,
            &asker.token,
            &asker.user,
        ));
    })
}

fn governor(span: Duration, permits: u32) -> Governor {
    let permits = NonZeroU32::new(permits).unwrap_or(NonZeroU32::MIN);
    let quota = Quota::with_period(span / permits.get())
        .unwrap_or(Quota::per_second(permits))
        .allow_burst(permits);
    let clock = FakeRelativeClock::default();
    clock.advance(Duration::from_secs(1));
    let _ = clock.now();
    RateLimiter::dashmap_with_clock(quota, clock).with_middleware()
}

fn limiter() -> BoxedLimiter {
    let mut limiter = LimiterIn::with_rows(
        Policy::pipedrive(),
        vec![TokenRow::VACANT; ROWS].into_boxed_slice(),
        vec![UserRow::VACANT; ROWS].into_boxed_slice(),
    );
    for asker in askers() {
        let registered = limiter.register(asker.id, terms(&asker), now());
        assert!(registered.is_ok(), "{registered:?}");
    }
    limiter
}

fn concurrent() -> Concurrent {
    let limiter = Concurrent::new(Policy::pipedrive(), ROWS, ROWS);
    for asker in askers() {
        let registered = limiter.register(asker.id, terms(&asker), now());
        assert!(registered.is_ok(), "{registered:?}");
    }
    limiter
}

fn terms(asker: &Asker) -> Registration {
    let user = KEY.user(asker.user.as_bytes());
    Registration::new(user, Kind::ApiToken, Plan::ADVANCED).with_own_limit(LIMIT)
}

fn now() -> Now {
    Now::new(
        Instant::from_millis(5_000),
        UnixTime::from_secs(1_780_050_000),
    )
}

/// Decisions of a case.
pub(crate) const DECISIONS: u64 = 1_024;

/// Half of them are taken, so that most rows are at home.
const ROWS: usize = 2_048;
const LIMITER: &str = "Limiter";
const CONCURRENT: &str = "Concurrent";
const GOVERNOR: &str = "governor dashmap, StateInformationMiddleware";
const TWO_GOVERNORS: &str = "two governors dashmap, StateInformationMiddleware";
const KEY: HashKey = HashKey::new(*b"counted, not hid");
const LIMIT: u32 = 40;
