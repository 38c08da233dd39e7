//! HTTP/1.1 responses off a wire, byte by byte, into a buffer of bounded length.
//!
//! What a small client needs and no more: connections that stay open, bodies whose length is told. All else is an
//! error, for after it nobody knows where the next response begins.

use core::fmt;

use heapless::Vec;

/// Collects a response's head, at most `HEAD` bytes, and counts its body away; never allocates, never panics.
pub struct ResponseReader<const HEAD: usize> {
    head: Vec<u8, HEAD>,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Head,
    /// So many bytes of the body are still to come.
    Body(u32),
    /// The response before lies in the buffer, or it was none.
    Ended(Result<(), ResponseError>),
}

impl<const HEAD: usize> ResponseReader<HEAD> {
    /// Returns a reader at the start of a response.
    pub const fn new() -> Self {
        Self {
            head: Vec::new(),
            state: State::Head,
        }
    }

    /// Takes one byte; tells whether [`response`](Self::response) has something to say: the byte is the last of a
    /// response, or there can be none any more. The next byte begins a new one.
    pub fn push(&mut self, byte: u8) -> bool {
        match self.take(byte) {
            Ok(ended) => {
                if ended {
                    self.state = State::Ended(Ok(()));
                }
                ended
            }
            Err(error) => {
                self.state = State::Ended(Err(error));
                true
            }
        }
    }

    /// The head of the response that has ended, or why there is none.
    ///
    /// # Errors
    ///
    /// [`ResponseError`]; where the next response begins on the wire is not known then.
    pub fn response(&self) -> Result<Head<'_>, ResponseError> {
        match self.state {
            State::Ended(Ok(())) => Head::parse(&self.head),
            State::Ended(Err(error)) => Err(error),
            State::Head | State::Body(_) => Err(ResponseError::Unfinished),
        }
    }

    /// Takes one byte; tells whether it is the last of a response.
    fn take(&mut self, byte: u8) -> Result<bool, ResponseError> {
        if let State::Ended(_) = self.state {
            self.head.clear();
            self.state = State::Head;
        }
        if let State::Body(left) = &mut self.state {
            *left = left.saturating_sub(1);
            return Ok(*left == 0);
        }
        self.head
            .push(byte)
            .map_err(|_| ResponseError::HeadTooLong)?;
        if !self.head.ends_with(b"\r\n\r\n") {
            return Ok(false);
        }
        let head = Head::parse(&self.head)?;
        if head.status < 200 {
            // An interim response: the real one follows.
            self.head.clear();
            return Ok(false);
        }
        let length = head.body_bytes()?;
        self.state = State::Body(length);
        Ok(length == 0)
    }
}

impl<const HEAD: usize> Default for ResponseReader<HEAD> {
    fn default() -> Self {
        Self::new()
    }
}

/// The head of a response.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The status, 100 to 999.
    pub status: u16,
    /// The header lines, with their ends.
    lines: &'a [u8],
}

impl<'a> Head<'a> {
    fn parse(text: &'a [u8]) -> Result<Self, ResponseError> {
        let (first, lines) = split_line(text).ok_or(ResponseError::NotHttp)?;
        let rest = first
            .strip_prefix(b"HTTP/1.1 ")
            .ok_or(ResponseError::NotHttp)?;
        let (digits, reason) = rest.split_at_checked(3).ok_or(ResponseError::NotHttp)?;
        if !reason.is_empty() && !reason.starts_with(b" ") {
            return Err(ResponseError::NotHttp);
        }
        let status = number(digits)
            .and_then(|status| u16::try_from(status).ok())
            .filter(|&status| status >= 100)
            .ok_or(ResponseError::NotHttp)?;
        let head = Self { status, lines };
        if head.fields().any(|field| field.is_none()) {
            return Err(ResponseError::BadHeader);
        }
        Ok(head)
    }

    /// Names and values, in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        self.fields().flatten()
    }

    /// Each header line; `None` for one that is none.
    fn fields(&self) -> impl Iterator<Item = Option<(&'a [u8], &'a [u8])>> + use<'a> {
        let mut rest = self.lines;
        core::iter::from_fn(move || {
            let (line, after) = split_line(rest)?;
            rest = after;
            (!line.is_empty()).then(|| {
                let colon = line.iter().position(|&byte| byte == b':')?;
                let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
                let good = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
                good.then(|| (name, value.trim_ascii()))
            })
        })
    }

    /// How long the body is.
    fn body_bytes(&self) -> Result<u32, ResponseError> {
        if matches!(self.status, 204 | 304) {
            return Ok(0);
        }
        let mut length = None;
        for (name, value) in self.headers() {
            if name.eq_ignore_ascii_case(b"transfer-encoding") {
                return Err(ResponseError::NoLength);
            }
            if name.eq_ignore_ascii_case(b"content-length") {
                let told = number(value).ok_or(ResponseError::BadLength)?;
                if length.is_some_and(|before| before != told) {
                    return Err(ResponseError::BadLength);
                }
                length = Some(told);
            }
        }
        length.ok_or(ResponseError::NoLength)
    }
}

/// Why no response can be read from here on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseError {
    /// More bytes of it are to come.
    Unfinished,
    /// The head is longer than the reader holds.
    HeadTooLong,
    /// The first line is not that of an HTTP/1.1 response.
    NotHttp,
    /// A header line without a name, or with a space in it.
    BadHeader,
    /// No header tells the body's length.
    NoLength,
    /// The body's length is no number below 2^32, or two different ones.
    BadLength,
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unfinished => "the response has not ended",
            Self::HeadTooLong => "the response's head is too long",
            Self::NotHttp => "no HTTP/1.1 response",
            Self::BadHeader => "a header line without a name",
            Self::NoLength => "the body's length is not told",
            Self::BadLength => "the body's length is not one number",
        })
    }
}

impl core::error::Error for ResponseError {}

/// Splits after the first line; the line comes without its end.
fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = text.windows(2).position(|pair| pair == b"\r\n")?;
    Some((text.get(..end)?, text.get(end + 2..)?))
}

fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u32, |number, &byte| {
        let digit = char::from(byte).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `input` to a reader of 64 bytes and writes down what comes out.
    fn read(input: &[u8]) -> Vec<String, 8> {
        let mut reader = ResponseReader::<64>::new();
        let mut seen = Vec::new();
        for &byte in input {
            if !reader.push(byte) {
                continue;
            }
            let text = match reader.response() {
                Ok(head) => head
                    .headers()
                    .fold(head.status.to_string(), |text, (name, value)| {
                        let (name, value) = (
                            String::from_utf8_lossy(name),
                            String::from_utf8_lossy(value),
                        );
                        format!("{text} {name}={value}")
                    }),
                Err(error) => format!("{error:?}"),
            };
            seen.push(text).unwrap();
        }
        seen
    }

    #[test]
    fn reads_one_response_after_the_other_and_drops_their_bodies() {
        let wire = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab\nHTTP/1.1 429 \r\ncontent-length:0\r\na:  b \r\n\r\n";
        assert_eq!(
            read(wire),
            ["200 Content-Length=3", "429 content-length=0 a=b"]
        );
    }

    #[test]
    fn waits_for_the_response_behind_an_interim_one() {
        let wire = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(read(wire), ["204"]);
    }

    #[test]
    fn takes_a_head_that_just_fits_and_refuses_one_byte_more() {
        let head = |filler: usize| {
            format!(
                "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: {}\r\n\r\n",
                "y".repeat(filler)
            )
        };
        assert_eq!(head(21).len(), 64);
        assert!(read(head(21).as_bytes())[0].starts_with("200 "));
        assert_eq!(read(head(22).as_bytes())[0], "HeadTooLong");
    }

    #[test]
    fn refuses_what_tells_no_end_of_the_body() {
        for (header, error) in [
            ("", "NoLength"),
            ("transfer-encoding: chunked\r\n", "NoLength"),
            ("content-length: -1\r\n", "BadLength"),
            ("content-length: 4294967296\r\n", "BadLength"),
            ("content-length:\r\n", "BadLength"),
            ("content-length: 1\r\ncontent-length: 2\r\n", "BadLength"),
            (": 1\r\n", "BadHeader"),
            ("folded\r\n", "BadHeader"),
            ("content length: 1\r\n", "BadHeader"),
        ] {
            let wire = format!("HTTP/1.1 200 OK\r\n{header}\r\n");
            assert_eq!(read(wire.as_bytes()), [error], "{header}");
        }
    }

    #[test]
    fn refuses_a_first_line_of_anything_else() {
        for first in [
            "HTTP/1.0 200 OK",
            "HTTP/1.1 20 OK",
            "HTTP/1.1 2000",
            "GET / HTTP/1.1",
            "",
        ] {
            let wire = format!("{first}\r\n\r\n");
            assert_eq!(read(wire.as_bytes())[0], "NotHttp", "{first}");
        }
    }

    #[test]
    fn says_that_a_response_has_not_ended() {
        let mut reader = ResponseReader::<64>::new();
        assert!(!reader.push(b'H'));
        assert_eq!(reader.response().unwrap_err(), ResponseError::Unfinished);
    }

    #[test]
    fn survives_any_bytes() {
        let mut state = 1_u32;
        let mut reader = ResponseReader::<32>::new();
        for _ in 0..200_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let byte = b"HTTP/1.1 200\r\n\r\n:a\xff"[(state >> 16) as usize % 19];
            if reader.push(byte)
                && let Ok(head) = reader.response()
            {
                assert!(head.headers().count() < 32);
            }
        }
    }

    #[test]
    fn names_the_error_in_words() {
        assert_eq!(
            ResponseError::NoLength.to_string(),
            "the body's length is not told"
        );
    }
}
