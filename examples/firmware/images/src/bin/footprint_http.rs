//@ gates: panic float division
//@ size: rendering the answer as HTTP above footprint
//! The decision path and the whole HTTP answer.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::fmt;
use core::hint::black_box;

use board::Singleton;
use images::footprint::{self, Sample};
use limiter_core::http::{self, Style};
use limiter_core::{Limiter, Policy, TokenId};

static LIMITER: Singleton<Sample> = Singleton::new(Limiter::new(Policy::pipedrive()));

#[board::entry]
fn main() -> ! {
    let Some(limiter) = LIMITER.take() else {
        board::exit(1)
    };
    let Some(decision) = footprint::decide(limiter, TokenId::from_hash(footprint::id())) else {
        board::exit(1)
    };
    let style = black_box(Style::PAGE);
    let headers = http::write_headers(&mut Sink, &decision, limiter.policy(), style);
    let refusal = http::write_refusal(&mut Sink, &decision, limiter.policy(), style);
    board::exit(u8::from(headers.and(refusal).is_err()))
}

/// Takes text and costs nothing.
struct Sink;

impl fmt::Write for Sink {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        black_box(text);
        Ok(())
    }
}
