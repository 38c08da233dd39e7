//! The layer around a service that answers what it is told, in virtual time, without a runtime.

mod answers;
mod awaited;
mod exempt;
mod options;
mod stacked;

use super::*;
use crate::decide::{Decide, Locked};
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use limiter_core::clock::ClockError;
use limiter_core::{Instant, Kind, Now, Plan, Policy, Registration, UnixTime};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use tower_layer::Layer as _;
use tower_service::Service as _;

/// A request's body that must not be read.
#[derive(Debug)]
struct Unread;

impl Body for Unread {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("the layer read the body of a request");
    }
}

/// An answer's body.
#[derive(Debug)]
struct Text(Option<&'static str>);

impl Body for Text {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|text| Ok(Frame::data(text.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.0.map_or(0, str::len);
        SizeHint::with_exact(length.try_into().unwrap())
    }
}

/// What the service behind the layer answers.
#[derive(Clone, Copy, Debug)]
enum Behaviour {
    Answer(u16),
    Fail,
}

#[derive(Debug, PartialEq)]
struct ServiceFailed;

/// The service behind the layer.
#[derive(Clone)]
struct Inner {
    behaviour: Arc<Mutex<Behaviour>>,
    calls: Arc<AtomicUsize>,
}

impl tower_service::Service<http::Request<Unread>> for Inner {
    type Response = Response<Text>;
    type Error = ServiceFailed;
    type Future = std::future::Ready<Result<Response<Text>, ServiceFailed>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ServiceFailed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<Unread>) -> Self::Future {
        self.calls.fetch_add(1, Ordering::Relaxed);
        std::future::ready(match *self.behaviour.lock().unwrap() {
            Behaviour::Fail => Err(ServiceFailed),
            Behaviour::Answer(status) => {
                let mut response = Response::new(Text(Some("served")));
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                let headers = response.headers_mut();
                headers.insert("x-ratelimit-limit", "7".parse().unwrap());
                headers.insert("x-own", "kept".parse().unwrap());
                Ok(response)
            }
        })
    }
}

/// A layer around a service, with a token `a` of an advanced plan, in a time that stands still.
struct Rig {
    layer: LimiterLayer<Locked>,
    limiter: Arc<Locked>,
    millis: Arc<AtomicU64>,
    inner: Inner,
}

/// An answer, its body read.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The page's four headers and `retry-after`.
    fn numbers(&self) -> [Option<&str>; 5] {
        [
            "x-ratelimit-limit",
            "x-ratelimit-remaining",
            "x-ratelimit-reset",
            "x-daily-requests-left",
            "retry-after",
        ]
        .map(|name| self.header(name))
    }
}

impl Rig {
    fn new() -> Self {
        let key = HashKey::new([7; 16]);
        let limiter = Arc::new(Locked::new(Policy::pipedrive(), 8, 8));
        let millis = Arc::new(AtomicU64::new(5_000));
        let clock = Arc::clone(&millis);
        let clock = SharedClock::from_fn(move || match clock.load(Ordering::Relaxed) {
            BROKEN => Err(ClockError::Failed),
            millis => Ok(at(millis)),
        });
        for (token, kind) in [("a", Kind::ApiToken), ("o", Kind::AccessToken)] {
            let registration = Registration::new(key.user(b"u"), kind, Plan::ADVANCED);
            limiter
                .with(|l| l.register(key.token(token.as_bytes()), registration, at(5_000)))
                .unwrap();
        }
        Self {
            layer: LimiterLayer::new(Arc::clone(&limiter), key, clock),
            limiter,
            millis,
            inner: Inner {
                behaviour: Arc::new(Mutex::new(Behaviour::Answer(200))),
                calls: Arc::default(),
            },
        }
    }

    /// The same with other options.
    fn with(mut self, change: impl FnOnce(LimiterLayer<Locked>) -> LimiterLayer<Locked>) -> Self {
        self.layer = change(self.layer);
        self
    }

    fn set(&self, millis: u64) {
        self.millis.store(millis, Ordering::Relaxed);
    }

    fn behave(&self, behaviour: Behaviour) {
        *self.inner.behaviour.lock().unwrap() = behaviour;
    }

    fn calls(&self) -> usize {
        self.inner.calls.load(Ordering::Relaxed)
    }

    /// Asks with a method, a path and headers; the answer or the service's failure.
    fn try_ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Answer, ServiceFailed> {
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Unread).unwrap();
        let mut service = self.layer.layer(self.inner.clone());
        let response = now(service.call(request))?;
        let (parts, mut body) = response.into_parts();
        let length = body.size_hint().exact().unwrap();
        let mut text = String::new();
        while let Some(frame) = now(poll_fn(|context| Pin::new(&mut body).poll_frame(context))) {
            let data = frame.unwrap().into_data().unwrap();
            text.push_str(std::str::from_utf8(&data).unwrap());
        }
        assert!(body.is_end_stream());
        assert_eq!(u64::try_from(text.len()).unwrap(), length);
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: text,
        })
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.try_ask(method, path, headers).unwrap()
    }

    fn post(&self) -> Answer {
        self.ask("POST", "/v1", A)
    }

    fn get(&self) -> Answer {
        self.ask("GET", "/v1", A)
    }

    /// Uses the window up.
    fn exhaust(&self) {
        while self.get().status == 200 {}
    }
}

fn at(millis: u64) -> Now {
    Now::new(
        Instant::from_millis(millis),
        UnixTime::from_secs(1_716_000_000 + millis / 1_000),
    )
}

/// What a future gives that waits for nothing.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future waits"),
    }
}

/// A reading at which the clock fails.
const BROKEN: u64 = u64::MAX;
/// The credential of token `a`.
const A: &[(&str, &str)] = &[("x-api-token", "a")];
