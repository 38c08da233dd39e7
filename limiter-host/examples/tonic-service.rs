//! A gRPC service by tonic behind the limiter.
//!
//! A refused call never reaches the service. The client gets the code `ResourceExhausted` over a
//! limit, `PermissionDenied` while it is blocked, `Unauthenticated` without a known token, with the
//! quota and the time to wait as metadata.

use limiter_host::core::{HashKey, Kind, Method, Plan, Policy, Registration};
use limiter_host::middleware::Head;
use limiter_host::{Concurrent, LimiterLayer, SharedClock};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::{Status, body::Body, server::NamedService, transport::Server};

/// Stands for what `tonic-build` makes of a `.proto` file.
#[derive(Clone)]
struct Deals;

impl NamedService for Deals {
    const NAME: &'static str = "deals.v1.Deals";
}

impl tower::Service<http::Request<Body>> for Deals {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Body>) -> Self::Future {
        ready(Ok(Status::unimplemented("no method yet").into_http()))
    }
}

/// Every gRPC call is a POST: what only reads is told by its name.
fn method(head: &Head<'_>) -> Method {
    let name = head.uri.path().rsplit('/').next().unwrap_or_default();
    if name.starts_with("Get") || name.starts_with("List") {
        Method::Get
    } else {
        Method::Post
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut secret = [0; 16];
    getrandom::fill(&mut secret)?;
    let (key, clock) = (HashKey::new(secret), SharedClock::system());
    let limiter = Arc::new(Concurrent::new(Policy::pipedrive(), 10_000, 2_000));
    let martin = Registration::new(key.user(b"martin"), Kind::ApiToken, Plan::ADVANCED);
    limiter.register(key.token(b"a1b2c3"), martin, clock.now()?)?;

    let mut server = Server::builder().layer(LimiterLayer::new(limiter, key, clock).method(method));
    Ok(server
        .add_service(Deals)
        .serve("127.0.0.1:50051".parse()?)
        .await?)
}
