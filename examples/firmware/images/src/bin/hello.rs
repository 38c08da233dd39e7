//! The smallest image that says something: is the toolchain complete, does the emulator start?

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::fmt::Write as _;

use board::Console;
use images as _;

#[board::entry]
fn main() -> ! {
    let mut console = Console::open();
    let _ = writeln!(console, "hello from {}", board::MACHINE);
    board::exit(0)
}
