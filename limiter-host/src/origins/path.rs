//! The readings of a path: servers decode, merge and resolve differently, and one path that two of
//! them read differently may be judged as one thing and served as another.

use std::borrow::Cow;
use std::str;

/// A path that may be forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading<'a> {
    /// The path as RFC 3986, section 6.2.2 normalizes it: unreserved characters decoded, the digits
    /// of other escapes in upper case, bytes beyond ASCII escaped.
    pub(super) normal: Cow<'a, str>,
    /// The path with everything decoded and merged that a server might decode or merge, in lower
    /// case; `None` if every server reads the path alike.
    pub(super) loosest: Option<String>,
}

impl<'a> Reading<'a> {
    /// Reads a path without its query; `None` if it does not normalize cleanly.
    ///
    /// *O*(length); does not allocate for a path of plain characters.
    pub(super) fn of(path: &'a str) -> Option<Self> {
        if is_simple(path) {
            return Some(Self {
                normal: Cow::Borrowed(path),
                loosest: None,
            });
        }
        if path.contains('\\') || !is_clean(path) {
            return None;
        }
        let (once, normal) = decode(path)?;
        let mut level = utf8(once)?;
        let is_plain = !is_ambiguous(&level)
            && level.matches('/').count() == path.matches('/').count()
            && !level.contains('%');
        for _ in 1..MAX_LEVELS {
            if !is_clean(&level) {
                return None;
            }
            match decode_loosely(&level) {
                Some(deeper) => level = utf8(deeper)?,
                None => {
                    return Some(Self {
                        normal: if normal == path {
                            Cow::Borrowed(path)
                        } else {
                            Cow::Owned(normal)
                        },
                        loosest: (!is_plain).then(|| loosest(&level)),
                    });
                }
            }
        }
        None
    }
}

/// Returns whether the characters of a path leave only one reading, as those of most paths do.
fn is_simple(path: &str) -> bool {
    let plain = |&byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'%' | b'\\' | b';');
    path.as_bytes().iter().all(plain) && !path.contains("//") && is_clean(path)
}

/// Returns whether no server may find a dot segment in the text, or the end of a string.
fn is_clean(text: &str) -> bool {
    !text.contains(char::is_control) && !text.split(is_separator).any(is_dot_segment)
}

/// Returns whether a segment is `.` or `..` to some server: with parameters (Tomcat), with spaces and more
/// dots (Windows), with look-alikes that a code page maps to dots.
fn is_dot_segment(segment: &str) -> bool {
    let segment = segment.split([';', '\u{ff1b}']).next().unwrap_or_default();
    let is_dot = |c| matches!(c, '.' | '\u{ff0e}' | '\u{fe52}' | '\u{2024}'..='\u{2026}');
    segment.contains(is_dot) && segment.chars().all(|c| c == ' ' || is_dot(c))
}

fn is_separator(character: char) -> bool {
    matches!(character, '/' | '\\') || is_lookalike(character)
}

/// Returns whether a code page may map a character to a slash or a backslash.
fn is_lookalike(character: char) -> bool {
    matches!(
        character,
        '\u{ff0f}' | '\u{ff3c}' | '\u{fe68}' | '\u{2044}' | '\u{2215}' | '\u{2216}' | '\u{29f8}'
    )
}

/// Returns whether servers may differ on a path that was decoded once.
fn is_ambiguous(decoded: &str) -> bool {
    decoded.contains("//")
        || decoded.contains(|c| matches!(c, '\\' | ';' | '?' | '#') || is_fullwidth(c))
}

/// Returns whether a code page may map a character to one of ASCII.
fn is_fullwidth(character: char) -> bool {
    is_lookalike(character)
        || matches!(character, '\u{ff01}'..='\u{ff5e}' | '\u{2024}'..='\u{2026}' | '\u{fe50}'..='\u{fe6b}')
}

/// A path decoded once, and in its normal form; `None` if an escape is not two hexadecimal digits.
fn decode(path: &str) -> Option<(Vec<u8>, String)> {
    let (mut decoded, mut normal) = (Vec::new(), String::new());
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let byte = if *first == b'%' {
            let (byte, after) = escape(tail)?;
            rest = after;
            byte
        } else {
            *first
        };
        decoded.push(byte);
        let is_unreserved = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if is_unreserved || (*first != b'%' && first.is_ascii()) {
            normal.push(char::from(byte));
        } else {
            normal.push('%');
            for digit in [byte >> 4, byte & 15] {
                normal.push(char::from(UPPER_HEX[usize::from(digit)]));
            }
        }
    }
    Some((decoded, normal))
}

/// A text decoded once more, where a `%` may stand for itself; `None` if there is nothing to decode.
fn decode_loosely(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = if *first == b'%' { escape(tail) } else { None };
        let (byte, after) = escaped.unwrap_or((*first, tail));
        decoded.push(byte);
        rest = after;
    }
    (decoded.len() != text.len()).then_some(decoded)
}

/// The byte that two digits write, and what follows them.
fn escape(digits: &[u8]) -> Option<(u8, &[u8])> {
    let (pair, after) = digits.split_at_checked(2)?;
    if !pair.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    Some((byte, after))
}

/// Overlong and other broken sequences are no text.
fn utf8(bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(bytes).ok()
}

/// A decoded text with parameters cut, every kind of slash made one, and slashes merged.
fn loosest(decoded: &str) -> String {
    let mut text = String::with_capacity(decoded.len());
    for segment in decoded.split(is_separator) {
        let segment = segment.split(';').next().unwrap_or_default();
        if !segment.is_empty() {
            text.push('/');
            text.push_str(segment);
        }
    }
    if decoded.ends_with(is_separator) || text.is_empty() {
        text.push('/');
    }
    text.make_ascii_lowercase();
    text
}

/// How often a path may have to be decoded: once, or twice where a literal `%` was escaped in a text
/// that had been escaped before.
const MAX_LEVELS: usize = 3;
const UPPER_HEX: &[u8; 16] = b"0123456789ABCDEF";
