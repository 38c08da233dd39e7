//! The resolver whose look-ups block.

use super::*;
use crate::resolver::BlockingResolver;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Barrier, mpsc};

#[test]
fn threads_that_come_together_make_one_look_up() {
    let store = Store::new(Says::Plan(Plan::ADVANCED, "u"));
    let time = Time::default();
    let (open, gate) = mpsc::channel::<()>();
    let (gate, asked) = (Mutex::new(gate), store.clone());
    let look_up = move |shown: &Shown| {
        gate.lock().unwrap().recv().expect("it is opened once");
        asked.answer(shown)
    };
    let resolver = BlockingResolver::new(limiter(8), time.clock(), Lookups::default(), look_up);
    let together = Barrier::new(21);
    let admitted: usize = std::thread::scope(|scope| {
        let ask = || {
            together.wait();
            let decision = resolver.check(&get("a"), Some(b"a"), time.now());
            usize::from(told(&decision).is_ok_and(|(limit, _)| limit == 40))
        };
        let threads: Vec<_> = (0..20).map(|_| scope.spawn(ask)).collect();
        together.wait();
        open.send(()).unwrap();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!((admitted, store.calls()), (20, 1));
}

#[test]
fn remembers_who_is_absent_and_asks_a_failed_store_again() {
    let store = Store::new(Says::Fails);
    let (time, asked) = (Time::default(), store.clone());
    let look_up = move |shown: &Shown| asked.answer(shown);
    let resolver = BlockingResolver::new(limiter(8), time.clock(), Lookups::default(), look_up);
    let ask = || told(&resolver.check(&get("a"), Some(b"a"), time.now()));
    assert_eq!(ask(), Err(Reason::StoreFailed));
    store.says(Says::NoSuchToken);
    time.set(1_000);
    assert_eq!(ask(), Err(Reason::Unauthenticated));
    time.set(10_999);
    assert_eq!((ask(), store.calls()), (Err(Reason::Unauthenticated), 2));
    store.says(Says::Plan(Plan::ADVANCED, "u"));
    time.set(11_000);
    assert_eq!((ask(), store.calls()), (Ok((40, 39)), 3));
}

#[test]
fn a_look_up_that_panics_leaves_nobody_waiting() {
    let (time, store) = (Time::default(), Store::new(Says::Plan(Plan::ADVANCED, "u")));
    let (calls, asked) = (AtomicUsize::new(0), store.clone());
    let look_up = move |shown: &Shown| {
        assert!(calls.fetch_add(1, Ordering::Relaxed) > 0, "on purpose");
        asked.answer(shown)
    };
    let resolver = BlockingResolver::new(limiter(8), time.clock(), Lookups::default(), look_up);
    let ask = || told(&resolver.check(&get("a"), Some(b"a"), time.now()));
    assert!(catch_unwind(AssertUnwindSafe(ask)).is_err());
    assert_eq!(ask(), Err(Reason::StoreFailed));
    time.set(1_000);
    assert_eq!(ask(), Ok((40, 39)));
}

#[cfg(feature = "tower")]
#[test]
fn stands_in_a_layer_in_the_place_of_its_limiter() {
    use std::future::{Ready, ready};
    use std::task::{Context, Poll, Waker};
    use tower_layer::Layer as _;
    use tower_service::Service;

    #[derive(Clone)]
    struct Ok200;

    impl Service<http::Request<()>> for Ok200 {
        type Response = http::Response<String>;
        type Error = std::convert::Infallible;
        type Future = Ready<Result<Self::Response, Self::Error>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: http::Request<()>) -> Self::Future {
            ready(Ok(http::Response::new(String::new())))
        }
    }

    let (time, store) = (Time::default(), Store::new(Says::Plan(Plan::ADVANCED, "u")));
    let asked = store.clone();
    let look_up = move |shown: &Shown| asked.answer(shown);
    let resolver = BlockingResolver::new(limiter(8), time.clock(), Lookups::default(), look_up);
    let layer = crate::LimiterLayer::new(Arc::new(resolver), key(), time.clock());
    let mut service = layer.layer(Ok200);
    let mut ask = |credential| {
        let request = http::Request::get("/").header("x-api-token", credential);
        let answer = service.call(request.body(()).unwrap());
        match std::pin::pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(answer)) => answer.status().as_u16(),
            _ => panic!("the layer waits"),
        }
    };
    assert_eq!(ask("a"), 200);
    store.says(Says::NoSuchToken);
    assert_eq!((ask("b"), ask("a"), store.calls()), (401, 200, 2));
}
