//! A whole axum service behind the limiter.
//!
//! `curl -i -X POST -H 'x-api-token: a1b2c3' localhost:3000/v1/deals`

use axum::{Router, routing::post};
use limiter_host::core::{HashKey, Kind, Plan, Policy, Registration};
use limiter_host::{LimiterLayer, Locked, SharedClock};
use std::sync::Arc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut secret = [0; 16];
    getrandom::fill(&mut secret)?;
    let (key, clock) = (HashKey::new(secret), SharedClock::system());
    let limiter = Arc::new(Locked::new(Policy::pipedrive(), 10_000, 2_000));

    let martin = Registration::new(key.user(b"martin"), Kind::ApiToken, Plan::ADVANCED);
    let now = clock.now()?;
    limiter.with(|limiter| limiter.register(key.token(b"a1b2c3"), martin, now))?;

    let app = Router::new()
        .route("/v1/deals", post(|| async { "created" }))
        .layer(LimiterLayer::new(limiter, key, clock));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app).await?)
}
