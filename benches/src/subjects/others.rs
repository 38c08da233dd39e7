//! The other keyed peers.

use super::{LIMIT, TOKEN, each};
use crate::clock::{self, Virtual};
use crate::measure::Subject;
use crate::steps::Step;
use limitador::limit::{Context, Limit};
use rate_net::Eviction;
use std::collections::HashMap;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;
use throttlecrab::{AdaptiveStore, PeriodicStore, Store};

/// All of them, with room for `tokens`.
#[must_use]
pub fn keyed(tokens: usize) -> Vec<Subject> {
    vec![
        gcra(tokens),
        rate_net(tokens),
        throttlecrab(
            "throttlecrab PeriodicStore",
            PeriodicStore::with_capacity(tokens),
        ),
        throttlecrab(
            "throttlecrab AdaptiveStore",
            AdaptiveStore::with_capacity(tokens * 2),
        ),
        pingora(),
        limitador(tokens),
    ]
}

/// gcra's keyed limiter. It is asynchronous in name only.
#[must_use]
pub fn gcra(tokens: usize) -> Subject {
    let limiter: gcra::RateLimiter<String, _, _> = gcra::RateLimiter::new(tokens);
    let limit = gcra::RateLimit::new(LIMIT, WINDOW);
    Subject::shared("gcra", TOKEN, LACKS_GCRA, move |steps| {
        each(steps, |step| {
            let now = clock::std_instant();
            let asked = limiter.check_at(step.token.clone(), &limit, 1, now);
            black_box(&now_or_never(asked));
        });
    })
}

/// rate-net's token bucket, capped well above the number of tokens.
#[must_use]
pub fn rate_net(tokens: usize) -> Subject {
    let limiter = rate_net::RateLimiter::builder()
        .quota(LIMIT, WINDOW)
        .eviction(Eviction::capacity(tokens * 2))
        .clock(Virtual::new())
        .build();
    let lacks = "no day or block; remaining costs a second look-up";
    Subject::shared("rate-net", TOKEN, lacks, move |steps| {
        each(steps, |step| {
            black_box(&limiter.check(step.token.as_str()));
        });
    })
}

/// throttlecrab over one of its stores. It takes `&mut self`: threads need a lock around it.
pub fn throttlecrab(name: &str, store: impl Store + 'static) -> Subject {
    let mut limiter = throttlecrab::RateLimiter::new(store);
    let limit = i64::from(LIMIT);
    let lacks = "no day or block; admits up to twice the burst after idling";
    Subject::alone(name, TOKEN, lacks, move |steps| {
        each(steps, |step| {
            let now = clock::system_time();
            black_box(&limiter.rate_limit(&step.token, limit, limit, 2, 1, now));
        });
    })
}

/// pingora-limits: a sketch that counts. It reads the clock itself.
#[must_use]
pub fn pingora() -> Subject {
    let rate = pingora_limits::rate::Rate::new(WINDOW);
    let lacks = "approximate: tokens share counters; counts, and leaves deciding to you";
    Subject::shared("pingora-limits, real clock", TOKEN, lacks, move |steps| {
        each(steps, |step| {
            black_box(rate.observe(&step.token, 1) <= 1_000_000);
        });
    })
}

/// limitador with its store in memory. It reads the clock itself.
#[must_use]
pub fn limitador(tokens: usize) -> Subject {
    let limiter = limitador::RateLimiter::new(tokens as u64 * 2);
    let variable = "token".to_owned().try_into();
    let Ok(variable) = variable else {
        unreachable!("a name is an expression")
    };
    limiter.add_limit(Limit::new("api", u64::from(LIMIT), 2, [], [variable]));
    let namespace = "api".into();
    let lacks = "no block; a day of 24 h from the first request, charged apart from the window";
    let run = move |steps: &[Step]| {
        each(steps, |step| {
            let values = HashMap::from([("token".to_owned(), step.token.clone())]);
            let context = Context::from(values);
            let checked = limiter.check_rate_limited_and_update(&namespace, &context, 1);
            black_box(&checked.map(|result| result.limited).ok());
        });
    };
    Subject::shared("limitador, real clock", TOKEN, lacks, run).one_of(32)
}

/// The result of a future that never waits.
pub fn now_or_never<F: Future>(future: F) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

const LACKS_GCRA: &str = "no day, block or remaining; a hash that gives way to chosen tokens";
const WINDOW: Duration = Duration::from_secs(2);
