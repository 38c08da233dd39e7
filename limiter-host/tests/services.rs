//! The layer in front of services as axum and tonic make them.
#![cfg(feature = "tower")]

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use limiter_host::core::{HashKey, Instant, Kind, Method, Now, Plan, Policy, Registration};
use limiter_host::{Concurrent, LimiterLayer, SharedClock};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use tower::{Layer as _, Service, ServiceExt as _};

/// A layer that knows the token `a`, which may ask twice per window.
fn layer() -> LimiterLayer<Concurrent> {
    let (key, now) = (HashKey::new([7; 16]), Now::new(Instant::ZERO, None));
    let limiter = Concurrent::new(Policy::pipedrive(), 4, 4);
    let terms = Registration::new(key.user(b"u"), Kind::ApiToken, Plan::ADVANCED);
    limiter
        .register(key.token(b"a"), terms.with_own_limit(2), now)
        .unwrap();
    LimiterLayer::new(
        Arc::new(limiter),
        key,
        SharedClock::from_fn(move || Ok(now)),
    )
}

fn request<B: Default>(path: &str) -> Request<B> {
    let request = Request::post(path).header("x-api-token", "a");
    request.body(B::default()).unwrap()
}

/// Asks three times; what remained and the status of each, and the last body.
async fn ask_thrice<S, B, R>(service: S, path: &str) -> ([(String, u16); 3], String)
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible> + Clone,
    B: Default,
    R: http_body::Body<Data = Bytes>,
    R::Error: std::fmt::Debug,
{
    let mut answers = <[(String, u16); 3]>::default();
    let mut last = String::new();
    for answer in &mut answers {
        let Ok(response) = service.clone().oneshot(request(path)).await;
        let remaining = response.headers()["x-ratelimit-remaining"].to_str();
        *answer = (remaining.unwrap().to_owned(), response.status().as_u16());
        let body = response.into_body().collect().await.unwrap().to_bytes();
        last = String::from_utf8(body.to_vec()).unwrap();
    }
    (answers, last)
}

fn expected() -> [(String, u16); 3] {
    [("1", 200), ("0", 200), ("0", 429)].map(|(remaining, status)| (remaining.to_owned(), status))
}

const OVER_LIMIT: &str = r#"{"success":false,"error":"request over limit","errorCode":429}"#;

#[tokio::test]
async fn limits_an_axum_router_from_around_it_and_as_its_layer() {
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let handler = move || {
        count.fetch_add(1, Ordering::Relaxed);
        ready("deals")
    };
    let router = axum::Router::new().route("/v1/deals", axum::routing::post(handler));
    let path = "/v1/deals";
    let around = ask_thrice::<_, Empty<Bytes>, _>(layer().around(router.clone()), path).await;
    assert_eq!(around, (expected(), OVER_LIMIT.to_owned()));
    let inside = router.clone().layer(layer());
    let inside = ask_thrice::<_, Empty<Bytes>, _>(inside, path).await;
    assert_eq!(inside, (expected(), OVER_LIMIT.to_owned()));
    assert_eq!(calls.load(Ordering::Relaxed), 4);
}

/// A gRPC service.
#[derive(Clone)]
struct Deals;

impl tonic::server::NamedService for Deals {
    const NAME: &'static str = "deals.v1.Deals";
}

impl Service<Request<tonic::body::Body>> for Deals {
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<tonic::body::Body>) -> Self::Future {
        ready(Ok(tonic::Status::not_found("no such deal").into_http()))
    }
}

#[tokio::test]
async fn limits_a_tonic_service_and_leaves_its_status_alone() {
    let routes = || tonic::service::Routes::new(Deals).prepare();
    let path = "/deals.v1.Deals/GetDeal";
    let service = layer().layer(routes());
    let (answers, last) = ask_thrice::<_, tonic::body::Body, _>(service, path).await;
    assert_eq!(answers, expected());
    assert_eq!(last, OVER_LIMIT);

    let reads = layer().method(|head| {
        let reads = head.uri.path().contains("/Get");
        if reads { Method::Get } else { Method::Post }
    });
    let Ok(response) = reads
        .layer(routes())
        .oneshot(request::<tonic::body::Body>(path))
        .await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["grpc-status"], "5");
    assert_eq!(response.headers().get("x-daily-requests-left"), None);
}
