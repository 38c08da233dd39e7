//@ gates: panic float division
//@ size: pacer, with reading a response's headers above empty
//! Links the caller's side and nothing else.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::hint::black_box;

use board::Singleton;
use images::footprint;
use limiter_core::Method;
use limiter_pacer::{Pacer, PacerPolicy, ResponseInfo, SendDecision, SendRequest};

static PACER: Singleton<Pacer<32>> = Singleton::new(Pacer::new(PacerPolicy::ADAPTIVE));

#[board::entry]
fn main() -> ! {
    let Some(pacer) = PACER.take() else {
        board::exit(1)
    };
    let SendDecision::Go(ticket) =
        pacer.poll_send(black_box(SendRequest::new(Method::Get)), footprint::now())
    else {
        board::exit(2)
    };
    let headers: [(&[u8], &[u8]); 2] = black_box([
        (b"x-ratelimit-limit", b"40"),
        (b"x-ratelimit-remaining", b"39"),
    ]);
    let answer = ResponseInfo::read(black_box(200), headers, footprint::now());
    pacer.on_response(ticket, &answer, footprint::now());
    board::exit(0)
}
