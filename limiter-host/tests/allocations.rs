//! What the layer allocates on the admitted path: what `http` needs for the headers, and nothing
//! else. What a decision allocates, and a row takes.
#![cfg(feature = "tower")]

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use limiter_host::core::{HashKey, Instant, Kind, Now, Plan, Policy, Registration};
use limiter_host::{Concurrent, LimiterLayer, Locked, SharedClock};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tower_layer::Layer as _;
use tower_service::Service;

/// The system's allocator, which counts for each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: it hands everything to the system's allocator unchanged; the counters neither allocate
// nor have a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        BYTES.set(BYTES.get() + layout.size());
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: `at` came from `System.alloc` with this layout.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Answers without a header, from nothing.
#[derive(Clone)]
struct Empty;

impl Service<Request<()>> for Empty {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(String::new())))
    }
}

fn allocations<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATIONS.get();
    let done = work();
    (ALLOCATIONS.get() - before, done)
}

#[test]
fn allocates_for_the_header_map_alone() {
    let key = HashKey::new([7; 16]);
    let limiter = Arc::new(Locked::new(Policy::pipedrive(), 4, 4));
    let now = Now::new(Instant::ZERO, None);
    let token = Registration::new(key.user(b"u"), Kind::ApiToken, Plan::ADVANCED);
    limiter
        .with(|limiter| limiter.register(key.token(b"a1b2"), token, now))
        .unwrap();
    let clock = SharedClock::from_fn(move || Ok(now));
    let mut service = LimiterLayer::new(limiter, key, clock).layer(Empty);
    let mut ask = |method: &str| {
        let request = Request::builder().method(method).uri("/v1?api_token=a1b2");
        let request = request.header("x-api-token", "a1b2").body(()).unwrap();
        let answer = allocations(|| {
            match pin!(service.call(request)).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(answer) => answer.unwrap(),
                Poll::Pending => panic!("the service waits"),
            }
        });
        assert_eq!(answer.1.headers()["x-ratelimit-limit"], "40");
        answer.0
    };
    let (map, headers) = allocations(|| {
        let mut headers = HeaderMap::new();
        headers.reserve(4);
        for name in ["x-a", "x-b", "x-c", "x-d"] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        headers
    });
    assert_eq!(headers.len(), 4);
    assert_eq!(ask("GET"), map);
    assert_eq!(ask("POST"), map);
}

#[test]
fn a_limiter_for_all_cores_decides_without_allocating() {
    use limiter_host::core::{Method, Request};

    let key = HashKey::new([7; 16]);
    let limiter = Concurrent::new(Policy::pipedrive(), 8, 4);
    let at = |ms| Now::new(Instant::from_millis(ms), None);
    let registration = Registration::new(key.user(b"u"), Kind::ApiToken, Plan::ESSENTIAL);
    let token = key.token(b"a1b2");
    limiter.register(token, registration, at(0)).unwrap();
    let requests = [Method::Get, Method::Post].map(|method| Request::new(token, method));
    // The first one of a thread finds its place among the counts.
    assert!(limiter.check(&requests[0], at(0)).is_admitted());
    let (count, admitted) = allocations(|| {
        let mut admitted = 0;
        for ms in 0..100 {
            // The second half comes on the next accounting day (D10).
            let now = at(ms + ms / 50 * 86_400_000);
            limiter.check_many(&requests, now, |_, decision| {
                admitted += u32::from(decision.is_admitted());
            });
            let located = limiter.locate(token);
            let decision = limiter.check_located(located, &requests[1], now);
            admitted += u32::from(limiter.peek(&requests[0], now).is_admitted());
            if let Some(receipt) = decision.into_receipt() {
                admitted += limiter.refund(receipt, now).daily;
            }
        }
        admitted
    });
    assert!((20..300).contains(&admitted), "{admitted}");
    assert_eq!(count, 0);
    assert_eq!(limiter.calendar().refills(), 1);
}

#[test]
fn a_token_takes_at_most_51_bytes_and_a_row_at_most_41() {
    let bytes = |tokens| {
        let before = BYTES.get();
        let limiter = Concurrent::new(Policy::pipedrive(), tokens, 16);
        let taken = BYTES.get() - before;
        drop(limiter);
        taken
    };
    // In small tables rows lie further apart.
    let (fewer, more) = (200_000, 300_000);
    let taken = bytes(more) - bytes(fewer);
    assert!(taken <= 51 * (more - fewer), "{taken}");
    // There are a quarter more rows than tokens, each of four words and two links of its user's list.
    let row = taken * 4 / 5 / (more - fewer);
    assert!((40..=41).contains(&row), "{row}");
}
