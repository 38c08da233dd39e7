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
use limiter_pacer::{Answer, Ask, Pacer, PacerPolicy, Verdict};

static PACER: Singleton<Pacer<32>> = Singleton::new(Pacer::new(PacerPolicy::LEARN));

#[board::entry]
fn main() -> ! {
    let Some(pacer) = PACER.take() else {
        board::exit(1)
    };
    let Verdict::Go(ticket) = pacer.ask(black_box(Ask::new(Method::Get)), footprint::now()) else {
        board::exit(2)
    };
    let headers: [(&[u8], &[u8]); 2] = black_box([
        (b"x-ratelimit-limit", b"40"),
        (b"x-ratelimit-remaining", b"39"),
    ]);
    let answer = Answer::read(black_box(200), headers, footprint::now());
    pacer.answered(ticket, &answer, footprint::now());
    board::exit(0)
}
