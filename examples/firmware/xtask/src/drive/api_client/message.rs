//! An HTTP/1.1 message as bytes, with what is to be known of it to carry it on.

use std::io::{BufRead, Read as _};

use anyhow::{Context as _, Result, bail, ensure};

/// A whole message.
#[derive(Debug)]
pub(super) struct Message {
    /// As it is on the wire.
    pub(super) bytes: Vec<u8>,
    /// The lines of its head, without their ends.
    lines: Vec<String>,
}

impl Message {
    /// Reads a message.
    pub(super) fn read(from: &mut impl BufRead) -> Result<Self> {
        let first = line(from)?;
        Self::after(&first, from)
    }

    /// Reads the rest of a message whose first line is read, without its line feed.
    pub(super) fn after(first: &str, from: &mut impl BufRead) -> Result<Self> {
        let mut message = Self {
            bytes: Vec::new(),
            lines: Vec::new(),
        };
        let mut next = first.to_owned();
        loop {
            message.bytes.extend(next.as_bytes());
            message.bytes.push(b'\n');
            let text = next
                .strip_suffix('\r')
                .with_context(|| format!("no CR at the end of `{next}`"))?;
            if text.is_empty() {
                break;
            }
            message.lines.push(text.to_owned());
            ensure!(message.lines.len() <= MOST_LINES, "a head without an end");
            next = line(from)?;
        }
        let length: u64 = match message.header("content-length") {
            Some(length) => length.parse().context("the body's length is no number")?,
            None => 0,
        };
        ensure!(length <= MOST_BODY_BYTES, "a body of {length} bytes");
        let read = from.take(length).read_to_end(&mut message.bytes)?;
        ensure!(read as u64 == length, "hung up within a body");
        Ok(message)
    }

    /// The status, if it is a response.
    pub(super) fn status(&self) -> Result<u16> {
        let first = self.lines.first().map(String::as_str).unwrap_or_default();
        let Some(("HTTP/1.1", rest)) = first.split_once(' ') else {
            bail!("`{first}` is no status line")
        };
        let digits = rest.split(' ').next().unwrap_or_default();
        digits
            .parse()
            .with_context(|| format!("no status in `{first}`"))
    }

    /// The value of the first header of this name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.lines.iter().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

fn line(from: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    from.take(MOST_LINE_BYTES).read_line(&mut line)?;
    match line.strip_suffix('\n') {
        Some(text) => Ok(text.to_owned()),
        None => bail!("hung up after `{line}`"),
    }
}

const MOST_LINES: usize = 64;
const MOST_LINE_BYTES: u64 = 4096;
const MOST_BODY_BYTES: u64 = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_a_message_to_the_byte_and_leaves_what_follows() {
        let wire = b"HTTP/1.1 429 Too Many\r\nA: b\r\nContent-Length: 2\r\n\r\n{}HTTP";
        let mut from = &wire[..];
        let message = Message::read(&mut from).unwrap();
        assert_eq!(message.bytes, wire[..wire.len() - 4]);
        assert_eq!(from, b"HTTP");
        assert_eq!(message.status().unwrap(), 429);
        assert_eq!(message.header("a"), Some("b"));
        assert_eq!(message.header("HTTP/1.1 429 Too Many"), None);
    }

    #[test]
    fn says_what_is_wrong_with_bytes_that_are_no_message() {
        for (wire, words) in [
            ("GET / HTTP/1.1\n\n", "no CR"),
            ("GET / HTTP/1.1\r\n", "hung up after ``"),
            (
                "GET / HTTP/1.1\r\ncontent-length: 5\r\n\r\nab",
                "hung up within",
            ),
            ("GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n", "no number"),
        ] {
            let error = Message::read(&mut wire.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
        let request = Message::read(&mut &b"GET / HTTP/1.1\r\n\r\n"[..]).unwrap();
        assert!(request.status().is_err());
    }
}
