//! The fields `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): lists
//! of strings with parameters, in the syntax of structured fields (RFC 9651).
//!
//! A malformed field is ignored as a whole, as the draft demands. Of a well-formed field the first
//! [`MOST_ITEMS`] members that count requests are kept; the syntax of the others is checked.

use super::bytes::Bytes;
use limiter_core::math;

/// One member of either field: a policy's name and parameters. It borrows nothing, so the buffer of
/// the field can be reused.
///
/// A parameter that has to be a non-negative integer and is none makes the field malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Item {
    /// The name as written between the quotes.
    pub name: Name,
    /// `q`: permits that the policy allows; none if they do not fit 32 bits.
    pub quota: Option<u32>,
    /// `w`: the policy's window in seconds, at most 2^32 - 1.
    pub window_s: Option<u32>,
    /// `r`: permits left; none if they do not fit 32 bits.
    pub remaining: Option<u32>,
    /// `t`: seconds until there is more, at most 2^32 - 1.
    pub reset_s: Option<u32>,
}

impl Item {
    /// Returns `true` if the policy is daily: by its window, else by its name.
    pub(super) fn is_daily(&self) -> bool {
        match self.window_s {
            Some(window) => window == 86_400,
            None => Name::OF_DAYS.contains(&self.name),
        }
    }
}

/// A policy's name of any length, for comparing: its 64-bit FNV-1a hash.
///
/// A server that makes two of its names collide mixes up its own two policies, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name(u64);

impl Name {
    const OF_DAYS: [Self; 3] = [Self::of(b"daily"), Self::of(b"day"), Self::of(b"per-day")];

    /// The name between the quotes.
    pub(super) const fn of(mut bytes: &[u8]) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        while let [byte, rest @ ..] = bytes {
            let [low, others @ ..] = hash.to_le_bytes();
            let [b1, b2, b3, b4, b5, b6, b7] = others;
            hash = u64::from_le_bytes([low ^ *byte, b1, b2, b3, b4, b5, b6, b7])
                .wrapping_mul(0x0100_0000_01b3);
            bytes = rest;
        }
        Self(hash)
    }
}

/// The members of one field.
pub(super) type Items = heapless::Vec<Item, MOST_ITEMS>;

/// Reads a field; `None` if it is malformed. *O*(length), of which at most
/// [`LONGEST_VALUE`](super::bytes::LONGEST_VALUE) is looked at.
pub(super) fn items(value: &[u8]) -> Option<Items> {
    let mut bytes = Bytes::new(value)?;
    let mut items = Items::new();
    // One round for each member; each takes at least its quotes.
    loop {
        let (item, counts_requests) = item(&mut bytes)?;
        if counts_requests {
            // OK to drop what does not fit: the first members are as good as the others.
            let _ = items.push(item);
        }
        bytes.skip_blanks();
        if bytes.is_empty() {
            return Some(items);
        }
        if !bytes.take_if(b',') {
            return None;
        }
        bytes.skip_blanks();
    }
}

/// A member, and whether it counts requests (and not, say, bytes).
fn item(bytes: &mut Bytes<'_>) -> Option<(Item, bool)> {
    let mut item = Item {
        name: Name::of(string(bytes)?),
        quota: None,
        window_s: None,
        remaining: None,
        reset_s: None,
    };
    let mut counts_requests = true;
    while bytes.take_if(b';') {
        bytes.take_while(|byte| byte == b' ');
        let key = key(bytes)?;
        let value = if bytes.take_if(b'=') {
            bare_item(bytes)?
        } else {
            Bare::Other
        };
        let number = match value {
            Bare::Integer(number) => Some(number),
            Bare::String(_) | Bare::Other => None,
        };
        match key {
            b"q" => item.quota = u32::try_from(number?).ok(),
            b"w" => item.window_s = Some(at_most_u32(number?)),
            b"r" => item.remaining = u32::try_from(number?).ok(),
            b"t" => item.reset_s = Some(at_most_u32(number?)),
            b"qu" => {
                counts_requests = matches!(value, Bare::String(b"requests" | b"request"));
            }
            _ => {}
        }
    }
    Some((item, counts_requests))
}

/// A parameter's value, as far as it matters here.
enum Bare<'a> {
    /// A non-negative integer.
    Integer(u64),
    String(&'a [u8]),
    Other,
}

fn bare_item<'a>(bytes: &mut Bytes<'a>) -> Option<Bare<'a>> {
    match bytes.peek()? {
        b'0'..=b'9' => number(bytes),
        b'-' => {
            bytes.take();
            number(bytes)?;
            Some(Bare::Other)
        }
        b'"' => Some(Bare::String(string(bytes)?)),
        b'?' => {
            bytes.take();
            matches!(bytes.take()?, b'0' | b'1').then_some(Bare::Other)
        }
        b':' => {
            bytes.take();
            bytes.take_while(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
            bytes.take_if(b':').then_some(Bare::Other)
        }
        b'@' => {
            bytes.take();
            bytes.take_if(b'-');
            match number(bytes)? {
                Bare::Integer(_) => Some(Bare::Other),
                Bare::String(_) | Bare::Other => None,
            }
        }
        b'%' => {
            bytes.take();
            string(bytes)?;
            Some(Bare::Other)
        }
        first if first == b'*' || first.is_ascii_alphabetic() => {
            bytes.take_while(|byte| is_token(byte) || byte == b':' || byte == b'/');
            Some(Bare::Other)
        }
        _ => None,
    }
}

/// An integer of at most 15 digits, or a decimal of at most 12 and 3.
fn number<'a>(bytes: &mut Bytes<'a>) -> Option<Bare<'a>> {
    let whole = bytes.take_while(|byte| byte.is_ascii_digit());
    if bytes.take_if(b'.') {
        let fraction = bytes.take_while(|byte| byte.is_ascii_digit());
        let fits = matches!(whole.len(), 1..=12) && matches!(fraction.len(), 1..=3);
        return fits.then_some(Bare::Other);
    }
    if !matches!(whole.len(), 1..=15) {
        return None;
    }
    let mut number = 0_u64;
    for digit in whole {
        // OK because 15 digits stay below 2^50.
        number = number
            .wrapping_mul(10)
            .wrapping_add(math::widen(u32::from(digit.wrapping_sub(b'0'))));
    }
    Some(Bare::Integer(number))
}

/// A string, without its quotes and with its escapes as they are.
fn string<'a>(bytes: &mut Bytes<'a>) -> Option<&'a [u8]> {
    if !bytes.take_if(b'"') {
        return None;
    }
    let start = *bytes;
    let mut length = 0_usize;
    loop {
        match bytes.take()? {
            b'"' => break,
            b'\\' => {
                if !matches!(bytes.take()?, b'"' | b'\\') {
                    return None;
                }
                length = length.saturating_add(2);
            }
            0x20..=0x7e => length = length.saturating_add(1),
            _ => return None,
        }
    }
    start.first(length)
}

/// A parameter's key.
fn key<'a>(bytes: &mut Bytes<'a>) -> Option<&'a [u8]> {
    let first = bytes.peek()?;
    if first != b'*' && !first.is_ascii_lowercase() {
        return None;
    }
    Some(bytes.take_while(|byte| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-.*".contains(&byte)
    }))
}

/// The number, or the largest of 32 bits.
fn at_most_u32(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The characters of an HTTP token (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Members that are kept of one field.
pub(super) const MOST_ITEMS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Item = Item {
        name: Name::of(b""),
        quota: None,
        window_s: None,
        remaining: None,
        reset_s: None,
    };

    #[test]
    fn reads_the_examples_of_the_draft() {
        let policies = items(br#""burst";q=100;w=60,"daily";q=1000;w=86400"#).unwrap();
        assert_eq!(
            policies.as_slice(),
            [
                Item {
                    name: Name::of(b"burst"),
                    quota: Some(100),
                    window_s: Some(60),
                    ..NOTHING
                },
                Item {
                    name: Name::of(b"daily"),
                    quota: Some(1_000),
                    window_s: Some(86_400),
                    ..NOTHING
                },
            ]
        );
        assert_eq!(
            policies
                .iter()
                .map(Item::is_daily)
                .collect::<std::vec::Vec<_>>(),
            [false, true]
        );
        assert_eq!(
            items(br#""default";r=50;t=30"#).unwrap().as_slice(),
            [Item {
                name: Name::of(b"default"),
                remaining: Some(50),
                reset_s: Some(30),
                ..NOTHING
            }]
        );
    }

    #[test]
    fn passes_over_parameters_of_every_type_it_does_not_know() {
        let value = br#""a\"b"; acme=?1;b=:aGk=:;c="x";d=t0k/en;e=-1.5;f=@-5;g=%"d%c3";h;r=7"#;
        let items = items(value).unwrap();
        assert_eq!(items.as_slice().first().unwrap().remaining, Some(7));
        assert_eq!(items.as_slice().first().unwrap().name, Name::of(br#"a\"b"#));
    }

    #[test]
    fn leaves_out_what_does_not_count_requests() {
        let value = br#""bytes";r=9;qu="content-bytes", "default";r=5;qu="requests""#;
        let items = items(value).unwrap();
        assert_eq!(items.len(), 1);
        assert_eq!(items.as_slice().first().unwrap().remaining, Some(5));
    }

    #[test]
    fn ignores_a_malformed_field_whole() {
        for wrong in [
            &b""[..],
            b"default;r=5",
            b"limit=100, remaining=50, reset=5",
            br#""a";r=5,"#,
            br#""a";r=5,,"b";r=4"#,
            br#""a";r=-5"#,
            br#""a";r=5.0"#,
            br#""a";r="5""#,
            br#""a";r"#,
            br#""a";R=5"#,
            br#""a";=5"#,
            br#""a";r=1234567890123456"#,
            br#""a";r=5 "b""#,
            br#""a;r=5"#,
            br#""a\x";r=5"#,
            b"\"\x7f\";r=5",
            b"\"\xc3\xa9\";r=5",
            br#"("a");r=5"#,
        ] {
            assert_eq!(items(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn keeps_the_first_members_of_a_long_list() {
        let value = br#""a";r=1,"b";r=2,"c";r=3,"d";r=4,"e";r=5"#;
        assert_eq!(items(value).unwrap().len(), MOST_ITEMS);
        let broken = br#""a";r=1,"b";r=2,"c";r=3,"d";r=4,"e";r=x!y z"#;
        assert_eq!(items(broken), None, "the rest is checked all the same");
    }
}
