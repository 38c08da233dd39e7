//! Lines of bounded length from a source that may hold anything.

use std::io::{self, BufRead};

/// Cuts a source into lines.
pub(super) struct Lines<R> {
    source: R,
    line: Vec<u8>,
    bytes: u64,
}

/// What stands between two line ends.
pub(super) enum Piece<'a> {
    /// A line, without its `\n` or `\r\n`.
    Line(&'a [u8]),
    /// A line of more than [`MAX_BYTES`]; it has been passed over.
    TooLong,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(source: R) -> Self {
        Self {
            source,
            line: Vec::new(),
            bytes: 0,
        }
    }

    /// The next line, `None` at the end. A last line needs no line end.
    pub(super) fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        self.line.clear();
        let mut any = false;
        let mut too_long = false;
        loop {
            let chunk = match self.source.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                break;
            }
            any = true;
            let end = chunk.iter().position(|&byte| byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            too_long |= self.line.len() + part.len() > MAX_BYTES;
            if !too_long {
                self.line.extend_from_slice(part);
            }
            let taken = part.len() + usize::from(end.is_some());
            self.source.consume(taken);
            self.bytes += taken as u64;
            if end.is_some() {
                break;
            }
        }
        Ok(match (any, too_long) {
            (false, _) => None,
            (true, true) => Some(Piece::TooLong),
            (true, false) => Some(Piece::Line(
                self.line.strip_suffix(b"\r").unwrap_or(&self.line),
            )),
        })
    }

    /// How many bytes have been taken from the source.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// The longest line, line end apart. Servers cut request lines at 8 KiB or so.
pub(super) const MAX_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufReader, Read};

    fn lines(source: impl Read, buffer: usize) -> Vec<Option<Vec<u8>>> {
        let mut lines = Lines::new(BufReader::with_capacity(buffer, source));
        let mut all = Vec::new();
        while let Some(piece) = lines.next().unwrap() {
            all.push(match piece {
                Piece::Line(line) => Some(line.to_vec()),
                Piece::TooLong => None,
            });
        }
        all
    }

    #[test]
    fn a_line_ends_with_a_newline_or_with_the_source() {
        let line = |text: &str| Some(text.as_bytes().to_vec());
        for buffer in [1, 2, 64] {
            assert_eq!(lines(&b""[..], buffer), []);
            assert_eq!(lines(&b"\n"[..], buffer), [line("")]);
            assert_eq!(
                lines(&b"a\r\n\nb\rc\nd"[..], buffer),
                [line("a"), line(""), line("b\rc"), line("d")]
            );
        }
    }

    #[test]
    fn a_line_of_the_longest_length_is_read_and_a_longer_one_passed_over() {
        let mut text = vec![b'a'; MAX_BYTES];
        text.push(b'\n');
        text.extend(vec![b'b'; MAX_BYTES + 1]);
        text.extend(b"\nc");
        let lengths: Vec<_> = lines(&text[..], 8192)
            .iter()
            .map(|line| line.as_ref().map(Vec::len))
            .collect();
        assert_eq!(lengths, [Some(MAX_BYTES), None, Some(1)]);
    }
}
