//! Tokens that are looked up again after a time.

use super::*;
use crate::resolver::BlockingResolver;

/// A resolver that looks again after a minute, with a token found at 0.
fn resolver(
    store: &Store,
    time: &Time,
) -> BlockingResolver<Locked, impl Fn(&Shown) -> Result<Option<Registration>, StoreFailed> + use<>>
{
    let asked = store.clone();
    let look_up = move |shown: &Shown| asked.answer(shown);
    let lookups = Lookups::default()
        .again_after(Duration::from_secs(60), 16)
        .absent_for(Duration::from_secs(10), 16);
    let resolver = BlockingResolver::new(limiter(8), time.clock(), lookups, look_up);
    let first = resolver.check(&get("a"), Some(b"a"), time.now());
    assert_eq!(told(&first), Ok((40, 39)));
    resolver
}

#[test]
fn notices_another_plan_and_keeps_what_is_used() {
    let (time, store) = (Time::default(), Store::new(Says::Plan(Plan::ADVANCED, "u")));
    let resolver = resolver(&store, &time);
    let ask = || told(&resolver.check(&get("a"), Some(b"a"), time.now()));
    store.says(Says::Plan(Plan::ENTERPRISE, "u"));
    time.set(59_999);
    assert_eq!((ask(), store.calls()), (Ok((40, 39)), 1));
    time.set(60_000);
    assert_eq!((ask(), store.calls()), (Ok((120, 118)), 2));
    assert_eq!((ask(), store.calls()), (Ok((120, 117)), 2));
}

#[test]
fn notices_that_a_token_is_gone_or_another_users() {
    let (time, store) = (Time::default(), Store::new(Says::Plan(Plan::ADVANCED, "u")));
    let resolver = resolver(&store, &time);
    let ask = || told(&resolver.check(&get("a"), Some(b"a"), time.now()));
    store.says(Says::Plan(Plan::ADVANCED, "v"));
    time.set(60_000);
    assert_eq!(ask(), Ok((40, 39)));
    store.says(Says::NoSuchToken);
    time.set(120_000);
    assert_eq!((ask(), store.calls()), (Err(Reason::Unauthenticated), 3));
    assert_eq!((ask(), store.calls()), (Err(Reason::Unauthenticated), 3));
}

#[test]
fn a_known_token_goes_on_while_the_store_fails() {
    let (time, store) = (Time::default(), Store::new(Says::Plan(Plan::ADVANCED, "u")));
    let resolver = resolver(&store, &time);
    let ask = || told(&resolver.check(&get("a"), Some(b"a"), time.now()));
    store.says(Says::Fails);
    time.set(60_000);
    assert_eq!((ask(), store.calls()), (Ok((40, 39)), 2));
    time.set(60_999);
    assert_eq!((ask(), store.calls()), (Ok((40, 38)), 2));
    store.says(Says::NoSuchToken);
    time.set(61_000);
    assert_eq!((ask(), store.calls()), (Err(Reason::Unauthenticated), 3));
}

#[test]
fn asks_the_store_for_tokens_that_were_registered_by_hand() {
    let (time, store) = (Time::default(), Store::new(Says::Plan(Plan::ADVANCED, "u")));
    let resolver = resolver(&store, &time);
    let by_hand = Registration::new(key().user(b"u"), Kind::ApiToken, Plan::ENTERPRISE);
    let token = key().token(b"b");
    let registered = resolver.limiter().register(token, by_hand, time.now());
    assert!(registered.is_ok());
    store.says(Says::NoSuchToken);
    let decision = resolver.check(&get("b"), Some(b"b"), time.now());
    assert_eq!(told(&decision), Err(Reason::Unauthenticated));
    assert_eq!(store.calls(), 2);
}
