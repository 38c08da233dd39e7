//! A cursor over the bytes of a header's value, which is untrusted input.
//!
//! Every method either consumes at least one byte or fails, so a loop over a cursor ends with its
//! bytes. Nothing here indexes, allocates or panics.

use limiter_core::math;

/// The bytes of a value that are still to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// A cursor at the start of `value` without the blanks around it; nothing of a value longer
    /// than [`LONGEST_VALUE`].
    pub(super) const fn new(value: &'a [u8]) -> Option<Self> {
        if value.len() > LONGEST_VALUE {
            None
        } else {
            Some(Self(value.trim_ascii()))
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) const fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    pub(super) const fn take(&mut self) -> Option<u8> {
        match self.0 {
            [first, rest @ ..] => {
                self.0 = rest;
                Some(*first)
            }
            [] => None,
        }
    }

    /// The first `length` bytes that are still to be read.
    pub(super) fn first(&self, length: usize) -> Option<&'a [u8]> {
        self.0.get(..length)
    }

    /// Takes `byte`, or nothing.
    pub(super) fn take_if(&mut self, byte: u8) -> bool {
        let taken = self.peek() == Some(byte);
        if taken {
            self.take();
        }
        taken
    }

    /// Takes `expected` whole, or nothing.
    pub(super) fn take_word(&mut self, expected: &[u8]) -> bool {
        match self.0.strip_prefix(expected) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    /// Takes the longest run of bytes that `belongs` accepts; may be empty.
    pub(super) fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self
            .0
            .iter()
            .position(|&byte| !belongs(byte))
            .unwrap_or(self.0.len());
        let (run, rest) = self.0.split_at_checked(end).unwrap_or((self.0, &[]));
        self.0 = rest;
        run
    }

    /// Skips spaces and tabs.
    pub(super) fn skip_blanks(&mut self) {
        self.take_while(|byte| byte == b' ' || byte == b'\t');
    }

    /// Takes exactly `digits` decimal digits, at most 9.
    pub(super) fn fixed(&mut self, digits: u8) -> Option<u32> {
        let mut number = 0_u32;
        for _ in 0..digits.min(9) {
            // OK because 9 digits stay below 2^32.
            number = number.wrapping_mul(10).wrapping_add(self.digit()?);
        }
        Some(number)
    }

    /// Takes one or more decimal digits; what does not fit is `u64::MAX`.
    pub(super) fn digits(&mut self) -> Option<u64> {
        let mut number = math::widen(self.digit()?);
        while let Some(digit) = self.digit() {
            number = number.saturating_mul(10).saturating_add(math::widen(digit));
        }
        Some(number)
    }

    fn digit(&mut self) -> Option<u32> {
        let byte = self.peek().filter(u8::is_ascii_digit)?;
        self.take();
        Some(u32::from(byte.wrapping_sub(b'0')))
    }
}

/// Reads a whole number, as in `x-ratelimit-*` and delay-seconds (RFC 9110, 10.2.3).
///
/// A fraction is rounded up, since a wait cut short leads to a refusal. Text after a comma or a
/// semicolon (`40, 40;w=2`, as in older drafts) is ignored. What does not fit is
/// `u64::MAX`. A sign, a word or nothing at all is no number.
pub(super) fn number(value: &[u8]) -> Option<u64> {
    let mut bytes = Bytes::new(value)?;
    let mut number = bytes.digits()?;
    if bytes.take_if(b'.') {
        let fraction = bytes.take_while(|byte| byte.is_ascii_digit());
        if fraction.is_empty() {
            return None;
        }
        if fraction.iter().any(|&digit| digit != b'0') {
            number = number.saturating_add(1);
        }
    }
    bytes.skip_blanks();
    match bytes.peek() {
        None | Some(b',' | b';') => Some(number),
        Some(_) => None,
    }
}

/// The longest value that is read; a longer one is ignored.
pub(super) const LONGEST_VALUE: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_whole_numbers_and_rounds_fractions_up() {
        assert_eq!(number(b"0"), Some(0));
        assert_eq!(number(b" 40 "), Some(40));
        assert_eq!(number(b"1.0"), Some(1));
        assert_eq!(number(b"1.001"), Some(2));
        assert_eq!(number(b"40, 40;w=2"), Some(40));
        assert_eq!(number(b"100;w=60"), Some(100));
    }

    #[test]
    fn says_that_words_signs_and_nothing_are_no_number() {
        for wrong in [
            &b""[..],
            b" ",
            b"-1",
            b"+1",
            b"x",
            b"1x",
            b"0x10",
            b"1e3",
            b".5",
            b"1.",
            b"1 2",
            b"\xff\xfe",
            b"1\0",
            b"NaN",
        ] {
            assert_eq!(number(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn stops_at_the_largest_number_instead_of_wrapping() {
        assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(number(b"18446744073709551616"), Some(u64::MAX));
        assert_eq!(number(&[b'9'; LONGEST_VALUE]), Some(u64::MAX));
        assert_eq!(number(&[b'9'; LONGEST_VALUE + 1]), None, "not looked at");
    }
}
