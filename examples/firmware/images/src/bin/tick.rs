//! An interrupt every millisecond and the main loop share a count through a critical section.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::{cell::Cell, fmt::Write as _};

use board::{Console, tick};
use critical_section::Mutex;
use images as _;

static COUNT: Mutex<Cell<u32>> = Mutex::new(Cell::new(0));

#[board::entry]
fn main() -> ! {
    tick::start(count);
    while critical_section::with(|cs| COUNT.borrow(cs).get()) < 50 {
        board::wait_for_interrupt();
    }
    let mut console = Console::open();
    let millis = tick::millis();
    let _ = writeln!(
        console,
        "at least 50 ticks, one a millisecond: {}",
        millis >= 50
    );
    board::exit(0)
}

/// In interrupt context.
fn count() {
    critical_section::with(|cs| {
        let count = COUNT.borrow(cs);
        count.set(count.get() + 1);
    });
}
