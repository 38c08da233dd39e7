//@ gates: panic float division
//! Does nothing: what every other image's size is measured above.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use images as _;

#[board::entry]
fn main() -> ! {
    board::exit(0)
}
