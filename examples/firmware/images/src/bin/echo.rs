//@ drive: echo
//! Sends every line that comes over the UART back with its number, and goes on after one that is too long.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

use core::fmt::Write as _;

use board::{Console, uart::Uart};
use images::line::{Line, LineReader};

#[board::entry]
fn main() -> ! {
    let mut port = Port(Uart::open());
    let mut reader = LineReader::<64>::new();
    let mut count = 0_u32;
    port.send(b"ready");
    loop {
        let Some(received) = port.0.read() else {
            continue;
        };
        let Ok(byte) = received else {
            reader.overrun();
            continue;
        };
        let _ = match reader.push(byte) {
            None => continue,
            Some(Line::Whole(b"bye")) => break,
            Some(Line::Whole(text)) => write!(port, "{count} ").map(|()| port.send(text)),
            Some(Line::TooLong) => writeln!(port, "{count} too long"),
            Some(Line::Overrun) => writeln!(port, "{count} overrun"),
        };
        count += 1;
    }
    let _ = writeln!(Console::open(), "{count} lines");
    board::exit(0)
}

/// The UART as a place to write text to.
struct Port(Uart);

impl Port {
    fn send(&mut self, text: &[u8]) {
        for &byte in text {
            self.0.write(byte);
        }
        self.0.write(b'\n');
    }
}

impl core::fmt::Write for Port {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for byte in text.bytes() {
            self.0.write(byte);
        }
        Ok(())
    }
}
