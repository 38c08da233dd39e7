//! Requests through the tower layer: around a service that does nothing, and in and around an
//! axum router. Time stands still, for a clock that now and then looks at the system's would make
//! counts differ.

use super::{Asker, Decider, KEY, concurrent, now};
use axum::Router;
use axum::body::Body;
use axum::response::Response as AxumResponse;
use axum::routing::any;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response};
use limiter_host::{Concurrent, LimiterLayer, SharedClock};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tower::layer::util::Identity;
use tower::{Service, ServiceExt as _};
use tower_layer::Layer;

type Request0 = (&'static str, &'static str, bool, fn() -> Decider);

/// Who answers, which request, whether it is held to the baseline.
pub(super) const ALL: [Request0; 9] = [
    ("a service alone", GET, false, || {
        alone(Carried, Method::GET)
    }),
    ("LimiterLayer", GET, true, || {
        alone(around(Carried), Method::GET)
    }),
    ("LimiterLayer", POST, true, || {
        alone(around(Carried), Method::POST)
    }),
    ("LimiterLayer without quota headers", GET, true, || {
        let layer = layer().same_body().quota_headers(false);
        alone(layer.layer(Carried), Method::GET)
    }),
    ("axum alone", GET, false, || through(router())),
    ("axum, a layer that does nothing", GET, false, || {
        through(router().layer(Identity::new()))
    }),
    ("axum, LimiterLayer", GET, false, || {
        through(router().layer(layer()))
    }),
    (
        "axum, LimiterLayer with bodies of axum's type",
        GET,
        false,
        || through(router().layer(layer().same_body())),
    ),
    ("LimiterLayer around axum", GET, false, || {
        through(layer().same_body().layer(router()))
    }),
];

#[inline(never)]
fn one_request<S: Service<Request<Carries>, Response = Carries, Error = Infallible>>(
    service: &mut S,
    request: Request<Carries>,
) -> Carries {
    let Ok(answer) = done(service.call(request));
    answer
}

/// With the clone that a connection makes for each request.
#[inline(never)]
fn one_request_through_axum<
    S: Service<Request<Body>, Response = AxumResponse, Error = Infallible> + Clone,
>(
    service: &S,
    request: Request<Body>,
) -> AxumResponse {
    let Ok(answer) = done(service.clone().oneshot(request));
    answer
}

/// A response in the place of a request's body.
type Carries = Response<Body>;

/// Answers with the response that the request carries.
#[derive(Clone)]
struct Carried;

impl Service<Request<Carries>> for Carried {
    type Response = Carries;
    type Error = Infallible;
    type Future = Ready<Result<Carries, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Carries>) -> Self::Future {
        ready(Ok(request.into_body()))
    }
}

fn around(
    inner: Carried,
) -> impl Service<Request<Carries>, Response = Carries, Error = Infallible> {
    layer().same_body().layer(inner)
}

fn alone(
    mut service: impl Service<Request<Carries>, Response = Carries, Error = Infallible> + 'static,
    method: Method,
) -> Decider {
    Box::new(move |asker| {
        let mut answer = Response::new(Body::empty());
        // As axum's have them.
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("5"));
        let request = request(asker, method.clone(), answer);
        black_box(&one_request(&mut service, black_box(request)));
    })
}

fn through<S>(service: S) -> Decider
where
    S: Service<Request<Body>, Response = AxumResponse, Error = Infallible> + Clone + 'static,
{
    Box::new(move |asker| {
        let request = request(asker, Method::GET, Body::empty());
        let answer = one_request_through_axum(&service, black_box(request));
        // Whoever refused would have less to do.
        assert_eq!(answer.status(), 200);
        black_box(&answer);
    })
}

fn router() -> Router {
    Router::new().route("/v1/deals", any(|| async { "deals" }))
}

/// With the fields that a client sends.
fn request<B>(asker: &Asker, method: Method, body: B) -> Request<B> {
    let token = HeaderValue::from_str(&asker.token);
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = http::Uri::from_static("/v1/deals");
    let headers = request.headers_mut();
    headers.insert("host", HeaderValue::from_static("localhost"));
    headers.insert("user-agent", HeaderValue::from_static("limiter-counts"));
    headers.insert("accept", HeaderValue::from_static("*/*"));
    headers.insert("x-api-token", token.unwrap_or(HeaderValue::from_static("")));
    request
}

fn layer() -> LimiterLayer<Concurrent> {
    let clock = SharedClock::from_fn(|| Ok(now()));
    LimiterLayer::new(Arc::new(concurrent()), KEY, clock)
}

fn done<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

const GET: &str = "GET";
const POST: &str = "POST";
