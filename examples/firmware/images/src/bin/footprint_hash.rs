//@ gates: panic float division
//@ size: hashing the token above footprint
//! The decision path with the keyed hash that makes ids of tokens.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::hint::black_box;

use board::Singleton;
use images::footprint::{self, Sample};
use limiter_core::{HashKey, Limiter, Policy};

static LIMITER: Singleton<Sample> = Singleton::new(Limiter::new(Policy::pipedrive()));

#[board::entry]
fn main() -> ! {
    let Some(limiter) = LIMITER.take() else {
        board::exit(1)
    };
    let key = HashKey::new(black_box([7; 16]));
    let decision = footprint::decide(
        limiter,
        key.token(black_box(b"0123456789abcdef0123456789abcdef01234567")),
    );
    board::exit(u8::from(
        !decision.is_some_and(|decision| decision.is_admitted()),
    ))
}
