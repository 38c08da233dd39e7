//! Limiters of one key: what the keyed ones cost without keys, and those that have none.

use super::{LIMIT, each, governors};
use crate::clock::{self, Virtual};
use crate::measure::Subject;
use governor::RateLimiter;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use limiter_core::{Kind, LimiterIn, Method, Plan, Policy, Registration, Request};
use limiter_host::{Concurrent, SystemClock};
use rate_net::DirectLimiter;
use std::hint::black_box;
use std::time::Duration;

use super::ours;
use crate::steps::{hash_key, step};

/// What rows of one key are compared with.
pub const BASE: &str = "governor direct, StateInformationMiddleware";

/// Whether a work admits all or refuses all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A million permits in two seconds.
    Admitted,
    /// One permit in an hour, and it is gone.
    Refused,
}

impl Answer {
    /// For the names of works.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Refused => "refused",
        }
    }

    const fn limit(self) -> (u32, Duration) {
        match self {
            Self::Admitted => (LIMIT, Duration::from_secs(2)),
            Self::Refused => (1, Duration::from_secs(3_600)),
        }
    }
}

/// Those that accept virtual time.
#[must_use]
pub fn time_given(answer: Answer) -> Vec<Subject> {
    let (limit, span) = answer.limit();
    let mut subjects = vec![
        governor_informing(BASE, answer, Virtual::new()),
        governor_plain("governor direct", answer, Virtual::new()),
    ];
    subjects.extend(ours_given(answer));
    subjects.push(ratelimit("ratelimit", answer, Virtual::new()));
    let mut gcra = gcra::GcraState::default();
    let rate = gcra::RateLimit::new(limit, span);
    subjects.push(Subject::alone(
        "gcra GcraState",
        NONE,
        LACKS,
        move |steps| {
            each(steps, |_| {
                black_box(&gcra.check_and_modify_at(&rate, clock::std_instant(), 1));
            });
        },
    ));
    let direct = rate_net::RateLimiter::builder()
        .quota(limit, span)
        .clock(Virtual::new())
        .build_direct();
    subjects.push(rate_net("rate-net DirectLimiter", direct));
    subjects
}

/// Those that read the system's clock, each its own way.
#[must_use]
pub fn real_clock(answer: Answer) -> Vec<Subject> {
    let (limit, span) = answer.limit();
    let mut subjects = vec![
        governor_informing(BASE, answer, DefaultClock::default()),
        governor_plain("governor direct", answer, DefaultClock::default()),
    ];
    subjects.extend(ours_real(answer));
    subjects.push(ratelimit("ratelimit", answer, ratelimit::StdClock::new()));
    let mut gcra = gcra::GcraState::default();
    let rate = gcra::RateLimit::new(limit, span);
    subjects.push(Subject::alone(
        "gcra GcraState",
        NONE,
        LACKS,
        move |steps| {
            each(steps, |_| {
                black_box(&gcra.check_and_modify(&rate, 1));
            });
        },
    ));
    let direct = rate_net::RateLimiter::builder()
        .quota(limit, span)
        .build_direct();
    subjects.push(rate_net("rate-net DirectLimiter", direct));
    let bucket = leaky_bucket::RateLimiter::builder()
        .max(limit as usize)
        .initial(limit as usize)
        .refill(limit as usize)
        .interval(span)
        .build();
    subjects.push(Subject::shared("leaky-bucket", NONE, LACKS, move |steps| {
        each(steps, |_| {
            black_box(&bucket.try_acquire(1));
        });
    }));
    subjects
}

/// The limiter with one token in it; refused, a request opens no window and so never ends one.
fn ours_given(answer: Answer) -> Vec<Subject> {
    let (mut limiter, concurrent, request) = ours_alone(answer);
    let token = step(0).token;
    let key = black_box(hash_key());
    let (mut hashing, _, _) = ours_alone(answer);
    vec![
        Subject::alone("Limiter", super::ID, "", move |steps| {
            each(steps, |_| {
                black_box(&limiter.check(&request, clock::now()));
            });
        }),
        Subject::alone("Limiter", super::TOKEN, "", move |steps| {
            each(steps, |_| {
                let token = key.token(black_box(token.as_bytes()));
                let request = Request::new(token, request.method);
                black_box(&hashing.check(&request, clock::now()));
            });
        }),
        Subject::shared("Concurrent", super::ID, "", move |steps| {
            each(steps, |_| {
                black_box(&concurrent.check(&request, clock::now()));
            });
        }),
    ]
}

fn ours_real(answer: Answer) -> Vec<Subject> {
    let (mut limiter, concurrent, request) = ours_alone(answer);
    let clocks = (SystemClock::new(), SystemClock::new());
    vec![
        Subject::alone("Limiter, SystemClock", super::ID, "", move |steps| {
            each(steps, |_| {
                black_box(&limiter.check(&request, clocks.0.now()));
            });
        }),
        Subject::shared("Concurrent, SystemClock", super::ID, "", move |steps| {
            each(steps, |_| {
                black_box(&concurrent.check(&request, clocks.1.now()));
            });
        }),
    ]
}

/// One token, whose kind counts no offences when it is refused: none is blocked.
fn ours_alone(answer: Answer) -> (limiter_host::decide::BoxedLimiter, Concurrent, Request) {
    let (limit, span) = answer.limit();
    let policy = Policy::builder()
        .window(span)
        .plan(Plan::ADVANCED, limit, limit)
        .build()
        .unwrap_or(Policy::pipedrive());
    let token = step(0);
    let user = hash_key().user(token.user.as_bytes());
    let terms = Registration::new(user, Kind::ApiToken, Plan::ADVANCED).with_own_limit(limit);
    let mut limiter: limiter_host::decide::BoxedLimiter = LimiterIn::clone(&ours::boxed(policy, 3));
    let concurrent = ours::concurrent(policy, 3);
    let now = clock::now();
    let _ = limiter.register(token.id, terms, now);
    let _ = concurrent.register(token.id, terms, now);
    (limiter, concurrent, Request::new(token.id, Method::Get))
}

fn governor_plain<C>(name: &str, answer: Answer, clock: C) -> Subject
where
    C: Clock + Send + Sync + 'static,
    C::Instant: Send + Sync + 'static,
{
    let (limit, span) = answer.limit();
    let limiter = RateLimiter::direct_with_clock(governors::per(span, limit), clock);
    Subject::shared(name, NONE, LACKS, move |steps| {
        each(steps, |_| {
            black_box(&limiter.check());
        });
    })
}

fn governor_informing<C>(name: &str, answer: Answer, clock: C) -> Subject
where
    C: Clock + Send + Sync + 'static,
    C::Instant: Send + Sync + 'static,
{
    let (limit, span) = answer.limit();
    let limiter: RateLimiter<NotKeyed, InMemoryState, C, StateInformationMiddleware> =
        RateLimiter::direct_with_clock(governors::per(span, limit), clock).with_middleware();
    Subject::shared(
        name,
        NONE,
        "one key; no day, block or reset",
        move |steps| {
            each(steps, |_| {
                black_box(
                    &limiter
                        .check()
                        .map(|state| state.remaining_burst_capacity()),
                );
            });
        },
    )
}

fn ratelimit<C>(name: &str, answer: Answer, clock: C) -> Subject
where
    C: ratelimit::Clock + Send + Sync + 'static,
{
    let (limit, span) = answer.limit();
    let built = ratelimit::Builder::with_clock(u64::from(limit), clock)
        .period(span)
        .max_tokens(u64::from(limit))
        .initial_available(u64::from(limit))
        .build();
    let Ok(limiter) = built else {
        unreachable!("the limit is not zero")
    };
    Subject::shared(name, NONE, LACKS, move |steps| {
        each(steps, |_| {
            black_box(&limiter.try_wait());
        });
    })
}

fn rate_net<C>(name: &str, limiter: DirectLimiter<C>) -> Subject
where
    C: clock_lib::Clock + Clone + Send + Sync + 'static,
{
    Subject::shared(name, NONE, LACKS, move |steps| {
        each(steps, |_| {
            black_box(&limiter.check());
        });
    })
}

const NONE: &str = "";
const LACKS: &str = "one key; no day, block, remaining or reset";
