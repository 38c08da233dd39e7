//! The client against a service of this machine behind this project's limiter.

use api_client::{Args, DriveError, run};
use clap::Parser as _;
use limiter_host::core::{HashKey, Kind, Method, Plan, Policy, Registration, Request};
use limiter_host::{Decide as _, LimiterLayer, Locked, SharedClock};
use std::sync::Arc;

struct Service {
    address: String,
    limiter: Arc<Locked>,
    key: HashKey,
    clock: SharedClock,
}

/// Serves one token of the plan advanced: 40 requests in 2 s.
async fn start() -> Service {
    let (key, clock) = (HashKey::new([5; 16]), SharedClock::system());
    let limiter = Arc::new(Locked::new(Policy::pipedrive(), 4, 4));
    let martin = Registration::new(key.user(b"martin"), Kind::ApiToken, Plan::ADVANCED);
    let now = clock.now().unwrap();
    limiter
        .with(|limiter| limiter.register(key.token(b"a1b2c3"), martin, now))
        .unwrap();
    let layer = LimiterLayer::new(Arc::clone(&limiter), key.clone(), clock.clone());
    let app = axum::Router::new()
        .route("/", axum::routing::any(|| async { "served" }))
        .layer(layer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, app).await });
    Service {
        address,
        limiter,
        key,
        clock,
    }
}

fn args(service: &Service, token: &str, more: &[&str]) -> Args {
    let base = format!("http://{}/", service.address);
    let given = ["api-client", "--base", &base, "--token", token];
    Args::parse_from(given.iter().chain(more))
}

#[tokio::test]
async fn sends_a_windows_worth_from_several_tasks_without_a_refusal() {
    let service = start().await;
    let flags = ["--requests", "40", "--method", "POST", "--concurrency", "7"];
    let report = run(&args(&service, "a1b2c3", &flags)).await.unwrap();
    assert_eq!((report.sent, report.refused), (40, 0));
    let next = Request::new(service.key.token(b"a1b2c3"), Method::Post);
    let decision = service.limiter.check(&next, service.clock.now().unwrap());
    let left = decision.quota().unwrap().daily_left;
    assert!(matches!(left, Some(9_959 | 9_960)), "{left:?}");
}

#[tokio::test]
async fn counts_no_answer_of_an_unknown_token_as_a_refusal_by_a_limit() {
    let service = start().await;
    let flags = ["--requests", "1"];
    let report = run(&args(&service, "unknown", &flags)).await.unwrap();
    assert_eq!((report.sent, report.refused), (1, 0));
}

#[tokio::test]
async fn says_what_is_wrong_in_words() {
    let mut service = start().await;
    let mut wrong = args(&service, "a1b2c3", &["--requests", "1"]);
    wrong.base = "https://127.0.0.1/".parse().unwrap();
    let error = run(&wrong).await.unwrap_err();
    assert!(matches!(error, DriveError::NotHttp));
    assert_eq!(
        error.to_string(),
        "the base has to be a URL that begins with http://"
    );

    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    service.address = closed.local_addr().unwrap().to_string();
    drop(closed);
    let error = run(&args(&service, "a1b2c3", &["--requests", "1"])).await;
    let text = error.unwrap_err().to_string();
    assert!(text.starts_with("the request failed: "), "{text}");
}
