//! Bytes from a wire into lines of bounded length.

/// A line that has ended, without its line end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// All bytes of it are here.
    Whole(&'a [u8]),
    /// It was longer than the reader holds; its bytes are dropped.
    TooLong,
    /// The port lost bytes: this comes at once, and what follows to the next line feed is dropped.
    Overrun,
}

/// Collects bytes until a line feed, at most `BYTES` of them; never allocates, never panics.
///
/// Whatever comes, the line after the next line feed is read afresh.
pub struct LineReader<const BYTES: usize> {
    bytes: [u8; BYTES],
    len: usize,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Collecting,
    /// The line before has been handed out and still lies in `bytes`.
    Ended,
    TooLong,
    /// [`Line::Overrun`] has been said.
    Dropping,
}

impl<const BYTES: usize> LineReader<BYTES> {
    /// Returns a reader at the start of a line.
    pub const fn new() -> Self {
        Self {
            bytes: [0; BYTES],
            len: 0,
            state: State::Collecting,
        }
    }

    /// Takes one byte; returns the line that it ends.
    pub fn push(&mut self, byte: u8) -> Option<Line<'_>> {
        if let State::Ended = self.state {
            self.len = 0;
            self.state = State::Collecting;
        }
        if byte != b'\n' {
            self.keep(byte);
            return None;
        }
        let line = match self.state {
            State::Collecting | State::Ended => {
                let text = self.bytes.get(..self.len).unwrap_or_default();
                Line::Whole(text.strip_suffix(b"\r").unwrap_or(text))
            }
            State::TooLong => Line::TooLong,
            State::Dropping => {
                self.state = State::Ended;
                return None;
            }
        };
        self.state = State::Ended;
        Some(line)
    }

    /// Notes that the port lost bytes. A line feed may have been among them, so the sender does well to begin with one
    /// when it goes on.
    pub fn overrun(&mut self) -> Line<'_> {
        self.state = State::Dropping;
        Line::Overrun
    }

    fn keep(&mut self, byte: u8) {
        if let State::Collecting = self.state {
            match self.bytes.get_mut(self.len) {
                Some(place) => {
                    *place = byte;
                    self.len += 1;
                }
                None => self.state = State::TooLong,
            }
        }
    }
}

impl<const BYTES: usize> Default for LineReader<BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{string::String, vec::Vec};

    use super::*;

    /// Feeds `input` to a reader of 8 bytes and writes down what comes out.
    fn lines(input: &[u8]) -> Vec<String> {
        let mut reader = LineReader::<8>::new();
        let mut seen = Vec::new();
        for &byte in input {
            let line = if byte == OVERRUN {
                Some(reader.overrun())
            } else {
                reader.push(byte)
            };
            seen.extend(line.map(|line| match line {
                Line::Whole(text) => String::from_utf8(text.to_vec()).unwrap(),
                other => std::format!("{other:?}"),
            }));
        }
        seen
    }

    const OVERRUN: u8 = 0xFF;

    #[test]
    fn splits_at_line_feeds_and_drops_a_carriage_return() {
        assert_eq!(lines(b"a\nbc\r\n\nd"), ["a", "bc", ""]);
    }

    #[test]
    fn takes_a_line_that_just_fits_and_refuses_one_byte_more() {
        assert_eq!(lines(b"12345678\n123456789\n"), ["12345678", "TooLong"]);
    }

    #[test]
    fn reads_the_next_line_afresh_after_a_bad_one() {
        let bad_and_good = b"123456789abc\nok\nx\xFFy\nok\n";
        assert_eq!(lines(bad_and_good), ["TooLong", "ok", "Overrun", "ok"]);
    }

    #[test]
    fn tells_an_overrun_at_once_and_drops_to_the_line_feed() {
        assert_eq!(lines(b"x\xFFyyyyyyyyyyyyyyyyyy"), ["Overrun"]);
        assert_eq!(lines(b"x\xFF\n\n"), ["Overrun", ""]);
    }
}
