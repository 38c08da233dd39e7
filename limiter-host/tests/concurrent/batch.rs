//! Batches that are longer than what is touched ahead, beside the same requests one by one.

use limiter_core::{
    HashKey, Instant, Kind, Method, Now, Outcome, Plan, Policy, Registration, Request,
};
use limiter_host::Concurrent;

#[test]
fn a_batch_is_decided_in_its_order_as_one_by_one() {
    let (key, now) = (HashKey::new([7; 16]), Now::new(Instant::ZERO, None));
    let token = |number: u32| key.token(&number.to_le_bytes());
    let limiter = || {
        let limiter = Concurrent::new(Policy::pipedrive(), 64, 64);
        for number in 0..7_u32 {
            let user = key.user(&(number / 2).to_le_bytes());
            let terms = Registration::new(user, Kind::ApiToken, Plan::ADVANCED);
            let terms = terms.with_own_limit(3 + number);
            limiter.register(token(number), terms, now).unwrap();
        }
        limiter
    };
    // The eighth is not known; some come back within what is touched ahead, some beyond it.
    let requests: Vec<Request> = (0..100)
        .map(|place: u32| {
            let method = [Method::Get, Method::Post][usize::from(place.is_multiple_of(3))];
            Request::new(token(place * place % 11 % 8), method)
        })
        .collect();
    let (batched, single) = (limiter(), limiter());
    let mut places = Vec::new();
    let mut admitted = 0;
    batched.check_many(&requests, now, |place, decision| {
        assert_eq!(decision, single.check(&requests[place], now), "{place}");
        places.push(place);
        admitted += u32::from(decision.outcome() == Outcome::Admitted);
    });
    assert_eq!(places, (0..requests.len()).collect::<Vec<_>>());
    assert!((10..50).contains(&admitted), "{admitted}");
}
