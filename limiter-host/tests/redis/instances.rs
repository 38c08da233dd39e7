//! Limiters as a host has them: by the server's clock, several on one store.

use std::num::NonZeroU32;
use std::time::Duration;

use limiter_core::{
    HashKey, Instant, Kind, Method, Now, Plan, Policy, Registration, Request, TokenId, UnixTime,
};
use limiter_host::RedisLimiter;
use limiter_host::redis::RedisConfig;

use crate::subject::PATIENCE;

/// A window and a day that no test outlasts, and a block that few reach.
pub(crate) fn policy(window_limit: u32, daily_limit: u32) -> Policy {
    Policy::builder()
        .window(Duration::from_secs(86_400))
        .plan(Plan::new(0), window_limit, window_limit)
        .daily_limit(daily_limit)
        .build()
        .expect("a policy")
}

/// A configuration with all the time in the world.
pub(crate) fn patient(url: &str) -> RedisConfig {
    RedisConfig::from_url(url)
        .expect("an address")
        .connect_timeout(PATIENCE)
        .response_timeout(PATIENCE)
}

pub(crate) fn key() -> HashKey {
    HashKey::new([7; 16])
}

pub(crate) fn token(name: &str) -> TokenId {
    key().token(name.as_bytes())
}

/// The key under which the store holds a token.
pub(crate) fn token_key(user: &str, name: &str) -> String {
    let token = token(name).as_u64();
    format!("limiter:3:{{{:016x}}}:t:{token:016x}", user_id(user))
}

/// The key under which the store holds a user.
pub(crate) fn user_key(user: &str) -> String {
    format!("limiter:3:{{{:016x}}}:u", user_id(user))
}

fn user_id(user: &str) -> u64 {
    key().user(user.as_bytes()).as_u64()
}

/// A moment of the caller's clock. The store's clock decides.
pub(crate) fn at(millis: u64) -> Now {
    Now::new(
        Instant::from_millis(millis),
        UnixTime::from_secs(1_716_000_000),
    )
}

pub(crate) fn post(name: &str) -> Request {
    Request::new(token(name), Method::Post)
}

pub(crate) fn get(name: &str) -> Request {
    Request::new(token(name), Method::Get)
}

pub(crate) fn costing(request: Request, permits: u32) -> Request {
    request.with_cost(NonZeroU32::new(permits).expect("at least 1"))
}

/// A limiter that knows tokens `a` and `b` of one user and `other` of another.
pub(crate) async fn limiter(policy: Policy, config: RedisConfig) -> RedisLimiter {
    let limiter = RedisLimiter::connect(policy, config)
        .await
        .expect("an address");
    for (name, user) in [("a", "u"), ("b", "u"), ("other", "v")] {
        let user = key().user(user.as_bytes());
        let registration = Registration::new(user, Kind::ApiToken, Plan::new(0));
        limiter
            .register(token(name), registration)
            .await
            .expect("there is room");
    }
    limiter
}

/// How many of so many requests in a row are admitted.
pub(crate) async fn admitted(limiter: &RedisLimiter, request: &Request, times: usize) -> usize {
    let mut count = 0;
    for _ in 0..times {
        let decision = limiter.check(request, at(0)).await;
        count += usize::from(decision.is_admitted());
    }
    count
}
