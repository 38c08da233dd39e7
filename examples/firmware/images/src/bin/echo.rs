//@ drive: echo
//! Sends every line that comes over the UART back with its number, and goes on after one that is too long.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::fmt::Write as _;

use board::{Console, uart};
use images::line::{Line, LineReader};

#[board::entry]
fn main() -> ! {
    let (mut receiver, mut sender) = uart::open();
    let mut reader = LineReader::<64>::new();
    let mut count = 0_u32;
    sender.write(b"ready\n");
    loop {
        let Some(received) = receiver.read() else {
            continue;
        };
        let line = match received {
            Ok(byte) => reader.push(byte),
            Err(uart::Overrun) => Some(reader.overrun()),
        };
        let Some(line) = line else {
            continue;
        };
        let _ = write!(sender, "{count} ");
        match line {
            Line::Whole(b"bye") => break,
            Line::Whole(text) => sender.write(text),
            Line::TooLong => sender.write(b"too long"),
            Line::Overrun => sender.write(b"overrun"),
        }
        sender.write(b"\n");
        count += 1;
    }
    let _ = writeln!(Console::open(), "{count} lines");
    board::exit(0)
}
