//! Text to the host through semihosting.

use core::fmt;

use semihosting::io::{self, Write as _};

/// Writes text to the emulator's standard output, a line at a time.
///
/// Open it once per image: each one holds a host handle and a buffer of 128 B. Text is lost, without a panic, if
/// the host offers no semihosting.
pub struct Console {
    host: Option<io::Stdout>,
    line: [u8; LINE_BYTES],
    len: usize,
}

impl Console {
    /// Opens the host's standard output.
    pub fn open() -> Self {
        Self {
            host: io::stdout().ok(),
            line: [0; LINE_BYTES],
            len: 0,
        }
    }

    /// Sends what is buffered.
    pub fn flush(&mut self) {
        if let (Some(host), Some(text)) = (&mut self.host, self.line.get(..self.len)) {
            // Nobody could be told of a failure.
            let _ = host.write_all(text);
        }
        self.len = 0;
    }
}

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if let Some(place) = self.line.get_mut(self.len) {
                *place = byte;
                self.len += 1;
            }
            if byte == b'\n' || self.len == LINE_BYTES {
                self.flush();
            }
        }
        Ok(())
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.flush();
    }
}

const LINE_BYTES: usize = 128;
