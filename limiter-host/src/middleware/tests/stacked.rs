//! A layer for each address around a layer for each token.

use super::*;
use limiter_core::Reason;
use limiter_core::http::OVER_LIMIT_BODY;

/// The rig with a layer around its own, whose limiter knows the address `h`.
struct Stack {
    rig: Rig,
    outer: LimiterLayer<Locked>,
    addresses: Arc<Locked>,
}

impl Stack {
    /// `permits` a window for the address; `change` gives the outer layer its options.
    fn new(
        permits: u32,
        change: impl FnOnce(LimiterLayer<Locked>) -> LimiterLayer<Locked>,
    ) -> Self {
        let rig = Rig::new();
        let key = HashKey::new([7; 16]);
        let addresses = Arc::new(Locked::new(Policy::pipedrive(), 8, 8));
        let terms = Registration::new(key.user(b"h"), Kind::AccessToken, Plan::ADVANCED);
        addresses
            .with(|l| l.register(key.token(b"h"), terms.with_own_limit(permits), at(5_000)))
            .unwrap();
        let clock = rig.layer.settings.clock.clone();
        let outer = LimiterLayer::new(Arc::clone(&addresses), key, clock)
            .credential(|_| Ok(Some(b"h"[..].into())));
        let outer = change(outer);
        Self {
            rig,
            outer,
            addresses,
        }
    }

    fn answer(&self, method: &str) -> Response<LimitedBody<LimitedBody<Text>>> {
        let request = http::Request::builder().method(method).uri("/v1");
        let request = request.header("x-api-token", "a").body(Unread).unwrap();
        let mut service = self
            .outer
            .layer(self.rig.layer.layer(self.rig.inner.clone()));
        now(service.call(request)).unwrap()
    }

    /// The status and the headers of H1 and `retry-after`.
    fn ask(&self, method: &str) -> (u16, [Option<String>; 5]) {
        let answer = self.answer(method);
        let (parts, _) = answer.into_parts();
        let answer = Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::new(),
        };
        (
            answer.status,
            answer.numbers().map(|n| n.map(str::to_owned)),
        )
    }

    fn left_of_address(&self) -> u32 {
        let token = HashKey::new([7; 16]).token(b"h");
        let request = Request::new(token, Method::Get);
        let peeked = self.addresses.with(|l| l.peek(&request, at(5_000)));
        peeked.quota().unwrap().remaining + 1
    }
}

fn numbers(numbers: [&str; 5]) -> [Option<String>; 5] {
    numbers.map(|number| Some(number.to_owned()).filter(|number| number != "-"))
}

#[test]
fn an_outer_layer_does_not_replace_the_numbers_of_an_inner_refusal() {
    for style in [Style::PAGE, Style::STANDARDS] {
        let stack = Stack::new(100, |layer| layer.style(style).refund_on_5xx(true));
        for _ in 0..40 {
            assert_eq!(stack.ask("POST").0, 200);
        }
        let refused = stack.answer("POST");
        assert!(refused.headers().get("ratelimit").is_none(), "{style:?}");
        let refusal = refused.extensions().get::<Refusal>().unwrap();
        assert_eq!(refusal.reason(), Some(Reason::Window));
        assert_eq!(refusal.status(), StatusCode::TOO_MANY_REQUESTS);
        let (status, shown) = stack.ask("POST");
        assert_eq!(status, 429);
        assert_eq!(shown, numbers(["40", "0", "2", "9960", "2"]));
    }
}

#[test]
fn of_an_admitted_request_the_outer_headers_stand_whole() {
    let stack = Stack::new(100, |layer| layer);
    let (status, shown) = stack.ask("POST");
    // The day is the inner limiter's: it does not stay behind among another limit's numbers.
    assert_eq!(
        (status, shown),
        (200, numbers(["100", "99", "2", "-", "-"]))
    );
    let stack = Stack::new(100, |layer| layer.quota_headers(false));
    let (status, shown) = stack.ask("POST");
    assert_eq!(
        (status, shown),
        (200, numbers(["40", "39", "2", "9999", "-"]))
    );
}

#[test]
fn an_outer_refusal_never_reaches_the_inner_layer() {
    let stack = Stack::new(1, |layer| layer);
    assert_eq!(stack.ask("GET").0, 200);
    let (status, shown) = stack.ask("GET");
    assert_eq!((status, shown), (429, numbers(["1", "0", "2", "-", "2"])));
    assert_eq!(stack.rig.get().numbers()[1], Some("38"), "one was charged");
}

#[test]
fn an_inner_refusal_gives_the_outer_permits_back_where_its_status_is_named() {
    let over = |status| status == StatusCode::TOO_MANY_REQUESTS;
    let cases: [(bool, u32); 2] = [(true, 60), (false, 50)];
    for (named, left) in cases {
        let stack = Stack::new(100, |layer| match named {
            true => layer.refund_on(over),
            false => layer.refund_on_5xx(true),
        });
        for _ in 0..40 {
            stack.ask("GET");
        }
        for _ in 0..10 {
            assert_eq!(stack.ask("GET").0, 429);
        }
        assert_eq!(stack.left_of_address(), left, "{named}");
    }
}

#[test]
fn a_shadow_outside_leaves_an_inner_refusal_alone() {
    let stack = Stack::new(1, |layer| layer.shadow(true));
    for _ in 0..40 {
        assert_eq!(stack.ask("GET").0, 200);
    }
    let (status, shown) = stack.ask("GET");
    assert_eq!((status, shown), (429, numbers(["40", "0", "2", "-", "2"])));
}

#[test]
fn a_service_can_mark_a_refusal_of_a_server_behind_it() {
    #[derive(Clone)]
    struct Proxy;

    impl tower_service::Service<http::Request<Unread>> for Proxy {
        type Response = Response<String>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Response<String>, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: http::Request<Unread>) -> Self::Future {
            let mut answer = Response::new(OVER_LIMIT_BODY.to_owned());
            let status = StatusCode::TOO_MANY_REQUESTS;
            *answer.status_mut() = status;
            let headers = answer.headers_mut();
            headers.insert("x-ratelimit-limit", "7".parse().unwrap());
            answer.extensions_mut().insert(Refusal::with_status(status));
            std::future::ready(Ok(answer))
        }
    }

    let stack = Stack::new(100, |layer| layer);
    let request = http::Request::get("/").body(Unread).unwrap();
    let answer = now(stack.outer.layer(Proxy).call(request)).unwrap();
    assert_eq!(answer.headers()["x-ratelimit-limit"], "7");
    assert_eq!(answer.headers().get("x-ratelimit-remaining"), None);
}
