//! The gateway's frames: what a line asks for.
//!
//! ```text
//! #<number> <METHOD> <token> [ui | webhook] [cost=<n>]     a request; `-` for no token
//! #<number> register <token> <user> <kind> <plan>          makes a token known, or changes its plan
//! #<number> clock +<ms> | -<ms> | fail | work              what happens to the device's monotonic clock
//! #<number> utc <seconds> | unset                          what its RTC says from now on
//! #<number> away                                           the main loop is elsewhere until bytes get lost
//! #<number> bye                                            the end
//! ```
//!
//! Words are separated by single spaces. The number comes back in the answer.

use core::num::NonZeroU32;
use core::str;

use limiter_core::{Kind, Method, Origin, Plan};

/// A frame that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A request to decide.
    Request {
        /// The caller's credential, if it has one.
        token: Option<&'a str>,
        /// Its method.
        method: Method,
        /// Where it comes from.
        origin: Origin,
        /// Its cost.
        cost: NonZeroU32,
    },
    /// A token to make known.
    Register {
        /// The credential.
        token: &'a str,
        /// Whose it is.
        user: &'a str,
        /// Its kind.
        kind: Kind,
        /// Its plan.
        plan: Plan,
    },
    /// The monotonic clock steps by so many milliseconds.
    Step(i64),
    /// The monotonic clock can be read, or not.
    ClockWorks(bool),
    /// The RTC is set, or loses its time.
    Utc(Option<i64>),
    /// The main loop does something else, as for a flash erase, until the ring of received bytes overflows.
    Away,
    /// The end.
    Bye,
}

/// Why a line is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// It does not begin with `#` and a number.
    NoNumber,
    /// Its verb is none, or has other arguments.
    Verb,
    /// A word among its arguments is none of those it may be.
    Word,
    /// The token has more than [`TOKEN_BYTES`].
    TokenTooLong,
}

impl FrameError {
    /// What the answer says.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoNumber => "no_number",
            Self::Verb => "no_such_verb",
            Self::Word => "no_such_word",
            Self::TokenTooLong => "token_too_long",
        }
    }
}

/// Reads one line: the frame's number, if it has one, and the frame.
pub fn parse(line: &[u8]) -> (Option<u32>, Result<Frame<'_>, FrameError>) {
    let Some((number, rest)) = numbered(line) else {
        return (None, Err(FrameError::NoNumber));
    };
    (Some(number), frame(rest))
}

fn numbered(line: &[u8]) -> Option<(u32, &str)> {
    let (number, rest) = str::from_utf8(line)
        .ok()?
        .strip_prefix('#')?
        .split_once(' ')?;
    Some((number.parse().ok()?, rest))
}

fn frame(text: &str) -> Result<Frame<'_>, FrameError> {
    let mut words = text.split(' ');
    let verb = words.next().unwrap_or_default();
    match (
        verb,
        words.next(),
        words.next(),
        words.next(),
        words.next(),
        words.next(),
    ) {
        ("bye", None, ..) => Ok(Frame::Bye),
        ("away", None, ..) => Ok(Frame::Away),
        ("clock", Some("fail"), None, ..) => Ok(Frame::ClockWorks(false)),
        ("clock", Some("work"), None, ..) => Ok(Frame::ClockWorks(true)),
        ("clock", Some(step), None, ..) => Ok(Frame::Step(number(step)?)),
        ("utc", Some("unset"), None, ..) => Ok(Frame::Utc(None)),
        ("utc", Some(seconds), None, ..) => Ok(Frame::Utc(Some(number(seconds)?))),
        ("register", Some(name), Some(user), Some(kind_word), Some(plan_word), None) => {
            Ok(Frame::Register {
                token: token(name)?,
                user,
                kind: kind(kind_word)?,
                plan: plan(plan_word)?,
            })
        }
        (method, Some(name), first, second, None, None) => request(method, name, first, second),
        _ => Err(FrameError::Verb),
    }
}

fn request<'a>(
    method: &str,
    name: &'a str,
    first: Option<&str>,
    second: Option<&str>,
) -> Result<Frame<'a>, FrameError> {
    let method = match Method::from_exact_name(method) {
        Method::Other => return Err(FrameError::Verb),
        method => method,
    };
    let mut origin = Origin::Api;
    let mut cost = NonZeroU32::MIN;
    for word in [first, second].into_iter().flatten() {
        match word {
            "ui" => origin = Origin::Ui,
            "webhook" => origin = Origin::Webhook,
            _ => cost = number(word.strip_prefix("cost=").ok_or(FrameError::Word)?)?,
        }
    }
    let token = if name == "-" {
        None
    } else {
        Some(token(name)?)
    };
    Ok(Frame::Request {
        token,
        method,
        origin,
        cost,
    })
}

fn token(word: &str) -> Result<&str, FrameError> {
    if word.is_empty() {
        return Err(FrameError::Word);
    }
    if word.len() > TOKEN_BYTES {
        return Err(FrameError::TokenTooLong);
    }
    Ok(word)
}

fn kind(word: &str) -> Result<Kind, FrameError> {
    match word {
        "api_token" => Ok(Kind::ApiToken),
        "access_token" => Ok(Kind::AccessToken),
        _ => Err(FrameError::Word),
    }
}

fn plan(word: &str) -> Result<Plan, FrameError> {
    match word {
        "essential" => Ok(Plan::ESSENTIAL),
        "advanced" => Ok(Plan::ADVANCED),
        "professional" => Ok(Plan::PROFESSIONAL),
        "enterprise" => Ok(Plan::ENTERPRISE),
        _ => Err(FrameError::Word),
    }
}

fn number<T: str::FromStr>(word: &str) -> Result<T, FrameError> {
    word.parse().map_err(|_| FrameError::Word)
}

/// The longest token that is taken.
pub const TOKEN_BYTES: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame_of(line: &str) -> Result<Frame<'_>, FrameError> {
        parse(line.as_bytes()).1
    }

    #[test]
    fn reads_a_request_with_and_without_its_options() {
        let plain = Frame::Request {
            token: Some("a1"),
            method: Method::Get,
            origin: Origin::Api,
            cost: NonZeroU32::MIN,
        };
        assert_eq!(parse(b"#7 GET a1"), (Some(7), Ok(plain)));
        let full = Frame::Request {
            token: None,
            method: Method::Put,
            origin: Origin::Ui,
            cost: NonZeroU32::new(3).unwrap(),
        };
        assert_eq!(frame_of("#7 PUT - ui cost=3"), Ok(full));
        assert_eq!(frame_of("#7 PUT - cost=3 ui"), Ok(full));
    }

    #[test]
    fn reads_what_happens_to_the_device() {
        assert_eq!(frame_of("#1 clock +2000"), Ok(Frame::Step(2000)));
        assert_eq!(frame_of("#1 clock -5"), Ok(Frame::Step(-5)));
        assert_eq!(frame_of("#1 clock fail"), Ok(Frame::ClockWorks(false)));
        assert_eq!(frame_of("#1 utc unset"), Ok(Frame::Utc(None)));
        assert_eq!(
            frame_of("#1 utc 1716000000"),
            Ok(Frame::Utc(Some(1_716_000_000)))
        );
        assert_eq!(frame_of("#1 away"), Ok(Frame::Away));
        assert_eq!(frame_of("#1 bye"), Ok(Frame::Bye));
    }

    #[test]
    fn says_of_any_other_line_why_it_is_no_frame() {
        for line in [
            "",
            "#",
            "# GET a",
            "#x GET a",
            "#1",
            "GET a",
            "#4294967296 GET a",
            "#-1 GET a",
        ] {
            assert_eq!(
                parse(line.as_bytes()),
                (None, Err(FrameError::NoNumber)),
                "{line}"
            );
        }
        assert_eq!(parse(b"#1 GET \xFF"), (None, Err(FrameError::NoNumber)));
        for line in [
            "#1 ",
            "#1 GET",
            "#1 get a",
            "#1 GET a b c d",
            "#1 bye bye",
            "#1 register a b api_token",
        ] {
            assert_eq!(frame_of(line), Err(FrameError::Verb), "{line}");
        }
        for line in [
            "#1 GET  ",
            "#1 GET a cost=0",
            "#1 GET a cost=-1",
            "#1 GET a app",
            "#1 clock soon",
            "#1 utc -",
        ] {
            assert_eq!(frame_of(line), Err(FrameError::Word), "{line}");
        }
    }

    #[test]
    fn takes_a_token_of_forty_bytes_and_no_longer_one() {
        let fits = format!("#1 GET {}", "a".repeat(TOKEN_BYTES));
        assert!(frame_of(&fits).is_ok());
        assert_eq!(frame_of(&format!("{fits}a")), Err(FrameError::TokenTooLong));
    }
}
