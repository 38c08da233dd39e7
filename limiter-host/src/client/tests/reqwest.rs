//! The adapter, over a real connection to a server on this machine.

use super::*;
use ::reqwest::Client;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::any;
use reqwest_middleware::ClientBuilder;
use std::sync::atomic::{AtomicU32, Ordering};

/// A server that refuses every other request.
async fn start() -> (String, Arc<AtomicU32>) {
    let count = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&count);
    let answer = move || {
        let nth = seen.fetch_add(1, Ordering::SeqCst);
        async move {
            if nth.is_multiple_of(2) {
                (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "2")]).into_response()
            } else {
                "served".into_response()
            }
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = axum::Router::new().route("/", any(answer));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (format!("http://{address}/"), count)
}

// Time is paused: it jumps over the waits, while the connection is real.
#[tokio::test(start_paused = true)]
async fn sends_again_through_reqwest_what_was_refused() {
    let (url, count) = start().await;
    let pacer = SharedPacer::new(known_limits(Plan::ENTERPRISE), tokio_clock());
    let client = ClientBuilder::new(Client::new())
        .with(PacerMiddleware::new(pacer.clone()).retries(1))
        .build();
    for _ in 0..5 {
        let response = client.post(&url).body("x").send().await.unwrap();
        assert_eq!(response.status(), 200);
    }
    assert_eq!(count.load(Ordering::SeqCst), 10);
    assert_eq!(pacer.status().in_flight, 0);
}

#[tokio::test]
async fn says_why_it_does_not_send() {
    let (url, count) = start().await;
    let pacer = SharedPacer::new(known_limits(Plan::ENTERPRISE), tokio_clock());
    let client = ClientBuilder::new(Client::new())
        .with(PacerMiddleware::new(pacer))
        .build();
    let costly = Pacing::new().cost(std::num::NonZeroU32::new(121).unwrap());
    let error = client
        .get(&url)
        .with_extension(costly)
        .send()
        .await
        .unwrap_err();
    assert!(
        format!("{error:?}").contains("costs more than the limit"),
        "{error:?}"
    );
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn holds_nothing_for_a_request_that_found_no_server() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let pacer = SharedPacer::new(known_limits(Plan::ENTERPRISE), tokio_clock());
    let client = ClientBuilder::new(Client::new())
        .with(PacerMiddleware::new(pacer.clone()))
        .build();
    assert!(client.get(&url).send().await.is_err());
    assert_eq!(pacer.status().held, 0);
}
