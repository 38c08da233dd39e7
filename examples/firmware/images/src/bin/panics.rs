//@ exit: 101
//! A panic ends the emulation at once, with its message and a code of its own.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::hint::black_box;

use images as _;

#[board::entry]
fn main() -> ! {
    let empty: &[u8] = black_box(&[]);
    board::exit(empty[black_box(3)])
}
