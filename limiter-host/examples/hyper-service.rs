//! A hyper service behind the limiter, without a framework.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use limiter_host::core::{HashKey, Kind, Plan, Policy, Registration};
use limiter_host::{LimiterLayer, Locked, SharedClock};
use std::{convert::Infallible, sync::Arc};
use tower::{Layer as _, service_fn};

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("served")))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut secret = [0; 16];
    getrandom::fill(&mut secret)?;
    let (key, clock) = (HashKey::new(secret), SharedClock::system());
    let limiter = Arc::new(Locked::new(Policy::pipedrive(), 10_000, 2_000));
    let martin = Registration::new(key.user(b"martin"), Kind::ApiToken, Plan::ADVANCED);
    let now = clock.now()?;
    limiter.with(|limiter| limiter.register(key.token(b"a1b2c3"), martin, now))?;

    let service = LimiterLayer::new(limiter, key, clock).layer(service_fn(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
