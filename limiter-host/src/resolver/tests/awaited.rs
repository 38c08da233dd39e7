//! The resolver whose look-ups are awaited.

use super::*;
use crate::resolver::Resolver;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::task::{Context, Poll, Waker};
use tokio::sync::Semaphore;

/// Lets so many look-ups end.
type Gate = Arc<Semaphore>;

type Answer = Pin<Box<dyn Future<Output = Result<Option<Registration>, StoreFailed>> + Send>>;

fn gated(
    store: &Store,
    gate: &Gate,
    time: &Time,
    tokens: usize,
    lookups: Lookups,
) -> Arc<Resolver<Locked, impl Fn(Shown) -> Answer + Send + Sync + 'static + use<>>> {
    let (store, gate) = (store.clone(), Arc::clone(gate));
    let look_up = move |shown: Shown| -> Answer {
        let answer = store.answer(&shown);
        let gate = Arc::clone(&gate);
        Box::pin(async move {
            gate.acquire().await.expect("it is never closed").forget();
            answer
        })
    };
    Arc::new(Resolver::new(
        limiter(tokens),
        time.clock(),
        lookups,
        look_up,
    ))
}

fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    let mut context = Context::from_waker(Waker::noop());
    future.as_mut().poll(&mut context)
}

fn ready<F: Future>(future: F) -> F::Output {
    match poll(&mut Box::pin(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the future waits"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stampede_makes_one_look_up() {
    let store = Store::new(Says::Plan(Plan::ENTERPRISE, "u"));
    let (gate, time) = (Gate::new(Semaphore::new(0)), Time::default());
    let resolver = gated(&store, &gate, &time, 8, Lookups::default());
    let asking: Vec<_> = (0..1_000)
        .map(|_| {
            let (resolver, now) = (Arc::clone(&resolver), time.now());
            tokio::spawn(async move { resolver.check(&get("a"), Some(b"a"), now).await })
        })
        .collect();
    while resolver.waiting(key().token(b"a")) < 1_000 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(1_000);
    let mut admitted = 0;
    for task in asking {
        match told(&task.await.unwrap()) {
            Ok((120, _)) => admitted += 1,
            Err(Reason::Window | Reason::Blocked) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        (admitted, store.calls(), resolver.counts().found),
        (120, 1, 1)
    );
    let known = ready(resolver.check(&get("a"), Some(b"a"), time.now()));
    assert_eq!((told(&known), store.calls()), (Err(Reason::Blocked), 1));
}

#[test]
fn others_go_on_when_the_one_who_began_hangs_up() {
    let store = Store::new(Says::Plan(Plan::ADVANCED, "u"));
    let (gate, time) = (Gate::new(Semaphore::new(0)), Time::default());
    let resolver = gated(&store, &gate, &time, 8, Lookups::default());
    let request = get("a");
    let ask = || Box::pin(resolver.check(&request, Some(b"a"), time.now()));
    let (mut first, mut second) = (ask(), ask());
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    drop(first);
    gate.add_permits(1);
    let Poll::Ready(decision) = poll(&mut second) else {
        panic!("nobody went on with the look-up");
    };
    assert_eq!((told(&decision), store.calls()), (Ok((40, 39)), 1));
}

#[test]
fn a_look_up_that_nobody_waits_for_is_dropped_and_begun_anew() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let dropped: Arc<AtomicBool> = Arc::default();
    let (calls, time) = (Arc::new(AtomicUsize::new(0)), Time::default());
    let (guard, count) = (Arc::clone(&dropped), Arc::clone(&calls));
    let lookups = Lookups::default().at_once(1);
    let resolver = Resolver::new(limiter(4), time.clock(), lookups, move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        let guard = Dropped(Arc::clone(&guard));
        async move {
            let () = poll_fn(|_| Poll::Pending).await;
            drop(guard);
            Err::<Option<Registration>, _>(StoreFailed)
        }
    });
    let request = get("a");
    for round in 1..=2 {
        let mut asking = Box::pin(resolver.check(&request, Some(b"a"), time.now()));
        assert!(poll(&mut asking).is_pending());
        assert!(!dropped.swap(false, Ordering::Relaxed));
        drop(asking);
        assert!(dropped.swap(false, Ordering::Relaxed));
        assert_eq!(calls.load(Ordering::Relaxed), round);
    }
    assert_eq!(resolver.counts(), LookupCounts::default());
}

#[test]
fn remembers_for_a_while_that_a_token_is_absent() {
    let store = Store::new(Says::NoSuchToken);
    let (gate, time) = (Gate::new(Semaphore::new(9)), Time::default());
    let lookups = Lookups::default().absent_for(Duration::from_secs(5), 16);
    let resolver = gated(&store, &gate, &time, 8, lookups);
    let ask = || told(&ready(resolver.check(&get("a"), Some(b"a"), time.now())));
    assert_eq!(ask(), Err(Reason::Unauthenticated));
    time.set(4_999);
    assert_eq!((ask(), store.calls()), (Err(Reason::Unauthenticated), 1));
    store.says(Says::Plan(Plan::ADVANCED, "u"));
    time.set(5_000);
    assert_eq!((ask(), store.calls()), (Ok((40, 39)), 2));
}

#[test]
fn a_token_that_was_issued_meanwhile_is_known_at_once_when_told() {
    let store = Store::new(Says::NoSuchToken);
    let (gate, time) = (Gate::new(Semaphore::new(9)), Time::default());
    let resolver = gated(&store, &gate, &time, 8, Lookups::default());
    let ask = || told(&ready(resolver.check(&get("a"), Some(b"a"), time.now())));
    assert_eq!(ask(), Err(Reason::Unauthenticated));
    store.says(Says::Plan(Plan::ADVANCED, "u"));
    resolver.forget(key().token(b"a"));
    assert_eq!((ask(), store.calls()), (Ok((40, 39)), 2));
}

#[test]
fn a_store_that_fails_is_answered_503_and_asked_again() {
    let store = Store::new(Says::Fails);
    let (gate, time) = (Gate::new(Semaphore::new(9)), Time::default());
    let resolver = gated(&store, &gate, &time, 8, Lookups::default());
    let ask = || told(&ready(resolver.check(&get("a"), Some(b"a"), time.now())));
    assert_eq!(ask(), Err(Reason::StoreFailed));
    store.says(Says::Plan(Plan::new(9), "u"));
    time.set(1_000);
    assert_eq!(ask(), Err(Reason::StoreFailed), "no such plan");
    store.says(Says::Plan(Plan::ADVANCED, "u"));
    time.set(1_999);
    assert_eq!((ask(), store.calls()), (Err(Reason::StoreFailed), 2));
    time.set(3_000);
    assert_eq!((ask(), store.calls()), (Ok((40, 39)), 3));
    let counts = resolver.counts();
    assert_eq!((counts.failed, counts.unusable, counts.found), (1, 1, 1));
}

#[test]
fn a_look_up_that_panics_has_failed() {
    let time = Time::default();
    let look_up = |_| async { panic!("on purpose") as Result<_, StoreFailed> };
    let resolver = Resolver::new(limiter(4), time.clock(), Lookups::default(), look_up);
    for failed in 1..=2 {
        time.set(failed * 1_000);
        let decision = ready(resolver.check(&get("a"), Some(b"a"), time.now()));
        assert_eq!(told(&decision), Err(Reason::StoreFailed));
        assert_eq!(resolver.counts().failed, failed);
    }
}

#[test]
fn a_table_without_room_is_answered_503() {
    let store = Store::new(Says::Plan(Plan::ADVANCED, "u"));
    let (gate, time) = (Gate::new(Semaphore::new(9)), Time::default());
    let resolver = gated(&store, &gate, &time, 1, Lookups::default());
    let ask = |credential: &str| {
        let (request, shown) = (get(credential), Some(credential.as_bytes()));
        told(&ready(resolver.check(&request, shown, time.now())))
    };
    assert_eq!(ask("a"), Ok((40, 39)));
    assert_eq!(ask("b"), Err(Reason::TableFull), "a has a window open");
    time.set(2_000);
    assert_eq!(ask("b"), Ok((40, 39)));
    assert_eq!(resolver.counts().table_full, 1);
}

#[test]
fn turns_away_who_would_begin_one_look_up_too_many() {
    let store = Store::new(Says::Plan(Plan::ADVANCED, "u"));
    let (gate, time) = (Gate::new(Semaphore::new(0)), Time::default());
    let resolver = gated(&store, &gate, &time, 8, Lookups::default().at_once(1));
    let request = get("a");
    let mut first = Box::pin(resolver.check(&request, Some(b"a"), time.now()));
    assert!(poll(&mut first).is_pending());
    let other = ready(resolver.check(&get("b"), Some(b"b"), time.now()));
    assert_eq!(told(&other), Err(Reason::StoreFailed));
    assert_eq!((store.calls(), resolver.counts().turned_away), (1, 1));
    gate.add_permits(1);
    assert!(poll(&mut first).is_ready());
    gate.add_permits(1);
    let other = ready(resolver.check(&get("b"), Some(b"b"), time.now()));
    assert_eq!(told(&other), Ok((40, 39)));
}

#[test]
fn looks_nothing_up_for_a_webhook_or_without_a_credential() {
    let store = Store::new(Says::Fails);
    let (gate, time) = (Gate::new(Semaphore::new(9)), Time::default());
    let resolver = gated(&store, &gate, &time, 8, Lookups::default());
    let webhook = get("a").with_origin(limiter_core::Origin::Webhook);
    assert!(ready(resolver.check(&webhook, Some(b"a"), time.now())).is_admitted());
    let anonymous = Request::anonymous(Method::Get);
    let decision = ready(resolver.check(&anonymous, None, time.now()));
    assert_eq!(told(&decision), Err(Reason::Unauthenticated));
    assert_eq!(store.calls(), 0);
}

#[test]
fn decides_by_the_time_at_which_the_look_up_ends() {
    let store = Store::new(Says::Plan(Plan::ADVANCED, "u"));
    let (gate, time) = (Gate::new(Semaphore::new(0)), Time::default());
    let resolver = gated(&store, &gate, &time, 8, Lookups::default());
    let request = get("a");
    let mut asking = Box::pin(resolver.check(&request, Some(b"a"), time.now()));
    assert!(poll(&mut asking).is_pending());
    time.set(60_000);
    gate.add_permits(1);
    assert!(poll(&mut asking).is_ready());
    let later = resolver.limiter().check(&get("a"), time.now());
    assert_eq!(later.quota().unwrap().reset_ms, 2_000);
}
