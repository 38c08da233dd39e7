//! The limiter: nothing held ahead, every decision a round trip; and what it spares where it may.

use crate::World;
use crate::shape::{Shape, Subject, TOKENS, ask};
use limiter_host::core::{
    HashKey, Instant, Kind, Method, Now, Plan, Policy, Registration, Request,
};
use limiter_host::redis::{RedisConfig, RedisLimiter};
use limiter_redis_servers::Server;
use std::error::Error;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// The two that ask the store each time.
pub const READ: &str = "RedisLimiter, a read (window, block)";
pub const WRITE: &str = "RedisLimiter, a write (window, day, block)";

pub async fn subjects(world: &World, shape: &Shape) -> Result<Vec<Subject>, Box<dyn Error>> {
    let mut subjects = Vec::new();
    for (name, method) in [(READ, Method::Get), (WRITE, Method::Post)] {
        let mut asks = Vec::new();
        for _ in 0..shape.connections {
            let limiter = limiter(&world.server, "limiter:bench", 1, PLENTY).await?;
            let batch = shape.batch;
            if batch == 1 {
                asks.push(ask(move |i| admit(limiter.clone(), request(i, method))));
                continue;
            }
            let requests: Arc<[Request]> = (0..TOKENS * 2).map(|i| request(i, method)).collect();
            asks.push(ask(move |first| {
                let (limiter, requests) = (limiter.clone(), Arc::clone(&requests));
                async move {
                    let first = first % TOKENS;
                    let some = &requests[first..first + batch];
                    let decisions = limiter.check_many(some, now()).await;
                    assert!(decisions.iter().all(|decision| decision.is_admitted()));
                }
            }));
        }
        subjects.push(Subject {
            name: name.to_owned(),
            lacks: "",
            asks,
        });
    }
    Ok(subjects)
}

/// Round trips that a thousand decisions about one token take.
pub async fn trips(server: &Server) -> Result<Vec<(String, u64)>, Box<dyn Error>> {
    let mut found = Vec::new();
    for lease in [1, 10, 100] {
        let prefix = format!("limiter:lease{lease}");
        let limiter = limiter(server, &prefix, lease, PLENTY).await?;
        for _ in 0..1_000 {
            admit(limiter.clone(), request(0, Method::Post)).await;
        }
        let trips = limiter.store_statistics().round_trips;
        found.push((format!("admitted, leases of {lease}"), trips));
    }
    for (prefix, what, offences) in [
        (
            "limiter:spent",
            "refused: the window is used up, no block in the policy",
            0,
        ),
        (
            "limiter:abuse",
            "the same, and 100 offences earn a block",
            100,
        ),
    ] {
        let limiter = self::limiter(
            server,
            prefix,
            1,
            Limits {
                permits: 10,
                offences,
            },
        )
        .await?;
        for _ in 0..10 {
            admit(limiter.clone(), request(0, Method::Get)).await;
        }
        let before = limiter.store_statistics().round_trips;
        for _ in 0..1_000 {
            let decision = limiter.check(&request(0, Method::Get), now()).await;
            assert!(!decision.is_admitted(), "{decision:?}");
        }
        let trips = limiter.store_statistics().round_trips - before;
        found.push((what.to_owned(), trips));
    }
    Ok(found)
}

struct Limits {
    permits: u32,
    offences: u32,
}

/// The preset's block, and limits that nobody reaches.
const PLENTY: Limits = Limits {
    permits: 1_000_000,
    offences: 100,
};

async fn limiter(
    server: &Server,
    prefix: &str,
    lease: u32,
    limits: Limits,
) -> Result<RedisLimiter, Box<dyn Error>> {
    // Where nothing is to run out meanwhile the window is the preset's, else long.
    let window = Duration::from_secs(if limits.permits < 1_000 || lease > 1 {
        3_600
    } else {
        2
    });
    let mut policy = Policy::builder()
        .window(window)
        .plan(Plan::new(0), limits.permits, limits.permits)
        .daily_limit(1_000_000_000);
    if limits.offences > 0 {
        let (within, duration) = (Duration::from_secs(60), Duration::from_secs(300));
        policy = policy.block(limits.offences, within, duration);
    }
    let config = RedisConfig::from_url(&server.url())?
        .key_prefix(prefix)
        .response_timeout(Duration::from_secs(30))
        .lease(NonZeroU32::new(lease).ok_or("a lease is not 0")?);
    let limiter = RedisLimiter::connect(policy.build()?, config).await?;
    for i in 0..TOKENS {
        let user = key().user(&i.to_le_bytes());
        let registration = Registration::new(user, Kind::ApiToken, Plan::new(0));
        limiter
            .register(key().token(&i.to_le_bytes()), registration)
            .await?;
    }
    Ok(limiter)
}

async fn admit(limiter: RedisLimiter, request: Request) {
    let decision = limiter.check(&request, now()).await;
    assert!(decision.is_admitted(), "{decision:?}");
}

fn request(i: usize, method: Method) -> Request {
    Request::new(key().token(&(i % TOKENS).to_le_bytes()), method)
}

fn key() -> HashKey {
    HashKey::new([7; 16])
}

/// The limiter goes by the server's clock; this one would only tell the age of what is remembered.
fn now() -> Now {
    Now::new(Instant::ZERO, None)
}
