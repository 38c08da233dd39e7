//@ icount: yes
//! The limiter on `fugit` instants, which RTIC's monotonics and many HALs return.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use board::{Console, tick};
use images::wait::spend_and_wait;
use limiter_core::clock::TickClock;

/// What a HAL brings along.
struct Mono;

impl Mono {
    fn now() -> fugit::WrappingInstant<u32, 1, 1_000> {
        fugit::WrappingInstant::<u32, 1, 1_000>::from_ticks(tick::millis())
    }
}

#[board::entry]
fn main() -> ! {
    tick::start(|| {});
    // What a user writes; fugit before 0.5 calls it `ticks()`.
    let clock = TickClock::from_hz::<1_000>(|| Mono::now().as_ticks());

    let done = spend_and_wait(&mut Console::open(), clock);
    board::exit(u8::from(done.is_none()))
}
