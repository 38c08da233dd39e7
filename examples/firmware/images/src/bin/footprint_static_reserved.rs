//@ gates: panic float division
//@ size: the same with `Reserved` above footprint_static
//! The same as `footprint_static` with a limiter that reserves ahead: its rows and bounds must be in RAM alone, and
//! take no flash for their zeros.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::hint::black_box;

use images::footprint;
use limiter_core::{
    Kind, Method, Plan, Policy, Registration, Request, Reserve, Reserved, Shared, TokenId, UserId,
    Verdict,
};

static LIMITER: Shared<Reserved<200, 100>> = Shared::new();

#[board::entry]
fn main() -> ! {
    let started = LIMITER.start(black_box((Policy::pipedrive(), Reserve::DEFAULT)), || {
        Ok(footprint::now())
    });
    let (token, user) = (
        TokenId::from_hash(footprint::id()),
        UserId::from_hash(footprint::id()),
    );
    let terms = Registration::new(user, Kind::ApiToken, Plan::ADVANCED);
    let registered =
        LIMITER.with(|limiter, now| limiter.register(token, black_box(terms), now).is_ok());
    let decision = LIMITER.check(&black_box(Request::new(token, Method::Post)));
    let waits_for_a_write =
        started.is_ok() && registered == Ok(true) && matches!(decision, Ok(Verdict::WriteFirst(_)));
    board::exit(u8::from(!waits_for_a_write))
}
