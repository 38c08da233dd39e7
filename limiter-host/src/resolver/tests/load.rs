//! The load on a store that fails, hangs, or finds tokens that have no room.

use super::*;
use crate::awaited::Caller;
use crate::resolver::{BlockingResolver, Resolver};
use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

const ONE: Option<Caller> = Some(Caller::new(1));
const OTHER: Option<Caller> = Some(Caller::new(2));

/// A resolver by blocking calls, with all that is counted of the store's side.
fn resolver(
    store: &Store,
    time: &Time,
    tokens: usize,
) -> BlockingResolver<Locked, impl Fn(&Shown) -> Result<Option<Registration>, StoreFailed> + use<>>
{
    let asked = store.clone();
    let look_up = move |shown: &Shown| asked.answer(shown);
    BlockingResolver::new(limiter(tokens), time.clock(), Lookups::default(), look_up)
}

fn poll<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    let mut context = Context::from_waker(Waker::noop());
    future.as_mut().poll(&mut context)
}

#[test]
fn a_caller_with_one_token_does_not_ask_a_failing_store_without_end() {
    let (time, store) = (Time::default(), Store::new(Says::Fails));
    let resolver = resolver(&store, &time, 8);
    for millis in 0..10_000 {
        time.set(millis);
        let decision = resolver.check_for(&get("a"), Some(b"a"), ONE, time.now());
        assert_eq!(told(&decision), Err(Reason::StoreFailed));
    }
    // At 0, 1, 3 and 7 s.
    assert_eq!(store.calls(), 4);
    assert_eq!(resolver.counts().backed_off, 10_000 - 4);
}

#[test]
fn a_caller_with_many_tokens_does_not_ask_a_failing_store_without_end() {
    let (time, store) = (Time::default(), Store::new(Says::Fails));
    let resolver = resolver(&store, &time, 8);
    for millis in 0..10_000 {
        time.set(millis);
        let credential = format!("made up {millis}");
        let (request, shown) = (get(&credential), Some(credential.as_bytes()));
        let decision = resolver.check_for(&request, shown, ONE, time.now());
        assert_eq!(told(&decision), Err(Reason::StoreFailed));
    }
    // Four at once, then at 1, 3 and 7 s.
    assert_eq!(store.calls(), 7);
}

#[test]
fn one_callers_failures_do_not_stop_the_look_ups_of_others() {
    let (time, store) = (Time::default(), Store::new(Says::Fails));
    let resolver = resolver(&store, &time, 8);
    for number in 0..100 {
        let credential = format!("made up {number}");
        let (request, shown) = (get(&credential), Some(credential.as_bytes()));
        let _ = resolver.check_for(&request, shown, ONE, time.now());
    }
    assert_eq!(store.calls(), 4);
    store.says(Says::Plan(Plan::ADVANCED, "u"));
    let decision = resolver.check_for(&get("b"), Some(b"b"), OTHER, time.now());
    assert_eq!(told(&decision), Ok((40, 39)));
}

#[test]
fn many_callers_do_not_ask_a_failing_store_without_end() {
    let (time, store) = (Time::default(), Store::new(Says::Fails));
    let resolver = resolver(&store, &time, 8);
    let mut number = 0;
    let mut ask = |millis: u64| {
        time.set(millis);
        number += 1;
        let (caller, credential) = (Caller::new(number), format!("made up {number}"));
        let (request, shown) = (get(&credential), Some(credential.as_bytes()));
        told(&resolver.check_for(&request, shown, Some(caller), time.now()))
    };
    for millis in 0..20_000 {
        assert_eq!(ask(millis), Err(Reason::StoreFailed));
    }
    // Sixteen, then after 250, 500 and 1 000 ms, and every 2 s.
    assert_eq!(store.calls(), 16 + 3 + 9);

    // The first answer ends all waits.
    store.says(Says::Plan(Plan::ADVANCED, "u"));
    let well = (20_000..22_000).find(|&millis| ask(millis).is_ok());
    let well = well.expect("it is noticed within two seconds");
    assert_eq!(ask(well), Ok((40, 39)));
}

#[test]
fn a_token_without_room_is_not_looked_up_again_at_once() {
    let (time, store) = (Time::default(), Store::new(Says::Plan(Plan::ADVANCED, "u")));
    let resolver = resolver(&store, &time, 1);
    let ask = |credential: &str, millis| {
        time.set(millis);
        let (request, shown) = (get(credential), Some(credential.as_bytes()));
        told(&resolver.check(&request, shown, time.now()))
    };
    assert_eq!(ask("a", 0), Ok((40, 39)));
    for millis in 0..1_000 {
        assert_eq!(ask("b", millis), Err(Reason::TableFull));
    }
    assert_eq!(store.calls(), 2);
    assert_eq!(
        (ask("b", 1_000), store.calls()),
        (Err(Reason::TableFull), 3)
    );
    assert_eq!((ask("b", 2_000), store.calls()), (Ok((40, 39)), 4));
}

/// A look-up that hangs for tokens that begin with an h, and finds the others.
async fn hangs_for_some(shown: Shown) -> Result<Option<Registration>, Infallible> {
    if shown.credential().starts_with(b"h") {
        pending::<()>().await;
    }
    let user = key().user(shown.credential());
    Ok(Some(Registration::new(
        user,
        Kind::ApiToken,
        Plan::ADVANCED,
    )))
}

#[test]
fn a_caller_whose_look_ups_hang_does_not_shut_out_others() {
    let time = Time::default();
    let resolver = Resolver::new(
        limiter(80),
        time.clock(),
        Lookups::default(),
        hangs_for_some,
    );
    let ask = |credential: String, caller| {
        let resolver = &resolver;
        let now = time.now();
        Box::pin(async move {
            let (request, shown) = (get(&credential), Some(credential.as_bytes()));
            told(&resolver.check_for(&request, shown, caller, now).await)
        })
    };
    let mut hanging: Vec<_> = (0..64).map(|n| ask(format!("h{n}"), ONE)).collect();
    let under_way = hanging.iter_mut().map(poll).filter(Poll::is_pending);
    assert_eq!(under_way.count(), 8);
    assert_eq!(resolver.counts().turned_away, 56);
    assert_eq!(poll(&mut ask("b".into(), OTHER)), Poll::Ready(Ok((40, 39))));
    assert_eq!(
        poll(&mut ask("c".into(), ONE)),
        Poll::Ready(Err(Reason::StoreFailed))
    );
}

#[test]
fn look_ups_that_hang_give_their_places_up_without_a_timer() {
    let time = Time::default();
    let resolver = Resolver::new(
        limiter(80),
        time.clock(),
        Lookups::default(),
        hangs_for_some,
    );
    let ask = |credential: String| {
        let resolver = &resolver;
        let now = time.now();
        Box::pin(async move {
            let (request, shown) = (get(&credential), Some(credential.as_bytes()));
            told(&resolver.check(&request, shown, now).await)
        })
    };
    let mut hanging: Vec<_> = (0..64).map(|n| ask(format!("h{n}"))).collect();
    assert!(hanging.iter_mut().all(|asking| poll(asking).is_pending()));
    time.set(4_999);
    let shut_out = poll(&mut ask("b".into()));
    assert_eq!(shut_out, Poll::Ready(Err(Reason::StoreFailed)));
    // The place that another needs is free after the time-out, and so is the store: one answer counts.
    time.set(5_000);
    let _ = poll(&mut ask("c".into()));
    let ended = hanging.iter_mut().map(poll).filter(Poll::is_ready);
    assert_eq!(ended.count(), 64);
    assert_eq!(resolver.counts().timed_out, 64);
    time.set(7_000);
    assert_eq!(poll(&mut ask("d".into())), Poll::Ready(Ok((40, 39))));
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_hangs_ends_by_the_runtimes_timer() {
    let start = tokio::time::Instant::now();
    let clock = SharedClock::from_fn(move || {
        let passed = u64::try_from(start.elapsed().as_millis()).unwrap();
        Ok(Now::new(Instant::from_millis(passed), None))
    });
    let now = clock.now().unwrap();
    let resolver = Resolver::new(limiter(8), clock, Lookups::default(), hangs_for_some);
    let decision = resolver.check(&get("h"), Some(b"h"), now).await;
    assert_eq!(told(&decision), Err(Reason::StoreFailed));
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    assert_eq!(resolver.counts().timed_out, 1);
}
