//@ gates: panic float division
//@ size: a static `Shared` limiter for 200 tokens and 100 users above footprint
//! Links the decision path around a limiter in a `static`, as a product keeps it: its rows must be in RAM alone, and
//! take no flash for their zeros.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::hint::black_box;

use images::footprint;
use limiter_core::{
    Kind, Limiter, Method, Plan, Policy, Registration, Request, Shared, TokenId, UserId,
};

static LIMITER: Shared<Limiter<200, 100>> = Shared::new();

#[board::entry]
fn main() -> ! {
    let started = LIMITER.start(black_box(Policy::pipedrive()), || Ok(footprint::now()));
    let (token, user) = (
        TokenId::from_hash(footprint::id()),
        UserId::from_hash(footprint::id()),
    );
    let terms = Registration::new(user, Kind::ApiToken, Plan::ADVANCED);
    let registered = LIMITER.with(|limiter, now| limiter.register(token, black_box(terms), now));
    let decision = LIMITER.check(&black_box(Request::new(token, Method::Post)));
    let is_admitted = started.is_ok()
        && matches!(registered, Ok(Ok(_)))
        && decision.is_ok_and(|decision| decision.is_admitted());
    board::exit(u8::from(!is_admitted))
}
