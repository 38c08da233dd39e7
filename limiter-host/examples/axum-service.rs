//! A whole axum service behind the limiter.
//!
//! `curl -i -X POST -H 'x-api-token: a1b2c3' localhost:3000/v1/deals`

use axum::{Router, ServiceExt, extract::Request, routing::post};
use limiter_host::core::{HashKey, Kind, Plan, Policy, Registration};
use limiter_host::{Concurrent, LimiterLayer, SharedClock};
use std::sync::Arc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut secret = [0; 16];
    getrandom::fill(&mut secret)?;
    let (key, clock) = (HashKey::new(secret), SharedClock::system());
    let limiter = Arc::new(Concurrent::new(Policy::pipedrive(), 10_000, 2_000));

    let martin = Registration::new(key.user(b"martin"), Kind::ApiToken, Plan::ADVANCED);
    limiter.register(key.token(b"a1b2c3"), martin, clock.now()?)?;

    let router = Router::new().route("/v1/deals", post(|| async { "created" }));
    let service = LimiterLayer::new(limiter, key, clock).around(router);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, ServiceExt::<Request>::into_make_service(service)).await?)
}
