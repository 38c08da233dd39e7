//@ gates: panic float division
//@ size: decision path (register, check; all modes, receipts) above empty
//! Links the decision path and nothing else: what a product pays that has ids of its own.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use board::Singleton;
use images::footprint::{self, Sample};
use limiter_core::{Limiter, Policy, TokenId};

static LIMITER: Singleton<Sample> = Singleton::new(Limiter::new(Policy::pipedrive()));

#[board::entry]
fn main() -> ! {
    let Some(limiter) = LIMITER.take() else {
        board::exit(1)
    };
    let decision = footprint::decide(limiter, TokenId::from_hash(footprint::id()));
    let is_admitted = decision.is_some_and(|decision| decision.is_admitted());
    board::exit(u8::from(!is_admitted))
}
