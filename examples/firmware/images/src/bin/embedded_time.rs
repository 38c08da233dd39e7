//@ icount: yes
//! The limiter on a clock of the `embedded-time` crate.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use board::{Console, tick};
use embedded_time::fraction::Fraction;
use images::wait::spend_and_wait;
use limiter_core::clock::EmbeddedTimeClock;

/// What a HAL brings along.
struct Timer;

impl embedded_time::Clock for Timer {
    type T = u32;
    const SCALING_FACTOR: Fraction = Fraction::new(1, 1_000);

    fn try_now(&self) -> Result<embedded_time::Instant<Self>, embedded_time::clock::Error> {
        Ok(embedded_time::Instant::new(tick::millis()))
    }
}

#[board::entry]
fn main() -> ! {
    tick::start(|| {});
    // What a user writes:
    let Ok(clock) = EmbeddedTimeClock::new(Timer) else {
        board::exit(1)
    };

    let done = spend_and_wait(&mut Console::open(), clock);
    board::exit(u8::from(done.is_none()))
}
