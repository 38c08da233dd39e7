//! The answer as HTTP: status, headers and body, rendered into fixed buffers (SPEC 7, H1 to H4).
//!
//! Only integers computed by the limiter and the host's own [`Challenge`] reach a header, and bodies
//! are constants: no caller's text is ever echoed (H4). Nothing allocates, divides, or goes through `core::fmt`'s formatting
//! of numbers.

use crate::decision::{Decision, Quota, Reason};
use crate::math;
use crate::policy::Policy;
use core::fmt::{self, Write};

/// How answers are written.
///
/// ```
/// use limiter_core::http::Style;
/// assert_eq!(Style::default(), Style::PAGE);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Style {
    /// Whether to add the fields `RateLimit-Policy` and `RateLimit`
    /// (draft-ietf-httpapi-ratelimit-headers-10).
    pub ietf_fields: bool,
    /// Whether a 429 has an `application/problem+json` body (RFC 9457) instead of the page's.
    pub problem_json: bool,
    /// The `www-authenticate` of a 401, which must have one (RFC 9110, section 11.6.1); `None` leaves
    /// it out.
    pub challenge: Option<Challenge>,
}

/// A scheme by which a client can authenticate, the value of `www-authenticate`.
///
/// ```
/// use limiter_core::http::{Challenge, Style};
///
/// const STYLE: Style = Style {
///     challenge: Challenge::new("Bearer realm=\"deals\""),
///     ..Style::PAGE
/// };
/// assert!(STYLE.challenge.is_some());
/// assert_eq!(Style::PAGE.challenge, Some(Challenge::BEARER));
/// assert_eq!(Challenge::new("Bearer\r\nset-cookie: x"), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Challenge(&'static str);

impl Challenge {
    /// `Bearer`, the scheme of tokens (RFC 6750).
    pub const BEARER: Self = Self("Bearer");

    /// Bytes of the longest challenge.
    pub const MAX_BYTES: usize = 64;

    /// Takes a text of visible ASCII and spaces, of 1 to [`Challenge::MAX_BYTES`] bytes; `None` for
    /// any other.
    #[must_use]
    pub const fn new(text: &'static str) -> Option<Self> {
        if text.is_empty() || text.len() > Self::MAX_BYTES {
            return None;
        }
        let mut rest = text.as_bytes();
        while let [first, others @ ..] = rest {
            if !matches!(*first, b' '..=b'~') {
                return None;
            }
            rest = others;
        }
        Some(Self(text))
    }

    /// The text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl Style {
    /// As the page has it.
    pub const PAGE: Self = Self {
        ietf_fields: false,
        problem_json: false,
        challenge: Some(Challenge::BEARER),
    };

    /// With everything that newer standards add.
    pub const STANDARDS: Self = Self {
        ietf_fields: true,
        problem_json: true,
        challenge: Some(Challenge::BEARER),
    };
}

impl Default for Style {
    fn default() -> Self {
        Self::PAGE
    }
}

/// The headers of an answer, one after the other.
///
/// ```
/// use limiter_core::http::{Style, headers};
/// # use limiter_core::{HashKey, Instant, Kind, Limiter, Method, Now, Plan, Policy};
/// # use limiter_core::{Registration, Request};
/// # let key = HashKey::new([1; 16]);
/// # let (token, user) = (key.token(b"t"), key.user(b"u"));
/// # let now = Now::new(Instant::ZERO, None);
/// # let mut limiter = Limiter::<4, 4>::new(Policy::pipedrive());
/// # let advanced = Registration::new(user, Kind::ApiToken, Plan::ADVANCED);
/// # limiter.register(token, advanced, now).unwrap();
/// let decision = limiter.check(&Request::new(token, Method::Post), now);
/// let lines: Vec<String> = headers(&decision, limiter.policy(), Style::PAGE)
///     .map(|header| format!("{}: {}", header.name, header.value))
///     .collect();
/// assert_eq!(
///     lines,
///     [
///         "x-ratelimit-limit: 40",
///         "x-ratelimit-remaining: 39",
///         "x-ratelimit-reset: 2",
///         "x-daily-requests-left: 9999",
///     ]
/// );
/// ```
#[must_use]
pub const fn headers<'a>(decision: &'a Decision, policy: &'a Policy, style: Style) -> Headers<'a> {
    Headers {
        decision,
        policy,
        style,
        step: 0,
    }
}

/// One header of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name, in lower case.
    pub name: &'static str,
    /// The value.
    pub value: Value,
}

/// The value of a [`Header`]: a text of at most 64 bytes, held in place.
///
/// It derefs to `str`.
#[derive(Clone, PartialEq, Eq)]
pub struct Value(Text);

/// The longest value fits.
type Text = heapless::String<64>;

impl Value {
    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl core::ops::Deref for Value {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Value {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// An iterator over the headers of an answer; see [`headers`].
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    decision: &'a Decision,
    policy: &'a Policy,
    style: Style,
    step: u8,
}

impl Iterator for Headers<'_> {
    type Item = Header;

    fn next(&mut self) -> Option<Header> {
        // One step for each header there can be; at most one round for each.
        while self.step < STEPS {
            let step = self.step;
            self.step = self.step.wrapping_add(1);
            let mut text = Text::new();
            if let Some(name) = self.write(step, &mut text) {
                let value = Value(text);
                return Some(Header { name, value });
            }
        }
        None
    }
}

impl Headers<'_> {
    /// Writes the value of one header, if the answer has it.
    fn write(&self, step: u8, value: &mut Text) -> Option<&'static str> {
        let quota = self.decision.quota();
        let (name, written) = match step {
            0 => ("x-ratelimit-limit", write_number(value, quota?.limit)),
            1 => (
                "x-ratelimit-remaining",
                write_number(value, quota?.remaining),
            ),
            2 => (
                "x-ratelimit-reset",
                write_number(value, seconds(quota?.reset_ms)),
            ),
            3 => (
                "x-daily-requests-left",
                write_number(value, quota?.daily_left?),
            ),
            4 => {
                let wait = self.decision.retry_after_ms()?;
                ("retry-after", write_number(value, seconds(wait)))
            }
            5 if self.style.ietf_fields => (
                "ratelimit-policy",
                write_policy_field(value, &quota?, self.policy),
            ),
            6 if self.style.ietf_fields => (
                "ratelimit",
                write_state_field(value, &quota?, self.decision),
            ),
            7 if matches!(self.decision.reason(), Some(Reason::Unauthenticated)) => {
                let challenge = self.style.challenge?;
                ("www-authenticate", value.write_str(challenge.as_str()))
            }
            _ => return None,
        };
        // OK because 64 bytes hold the longest value; a test writes it.
        written.ok().map(|()| name)
    }
}

/// A refusal's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    /// Its media type.
    pub content_type: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// The body of a refusal, `None` where the service answers.
///
/// ```
/// use limiter_core::http::OVER_LIMIT_BODY;
/// assert_eq!(
///     OVER_LIMIT_BODY,
///     r#"{"success":false,"error":"request over limit","errorCode":429}"#
/// );
/// ```
#[must_use]
pub const fn body(decision: &Decision, policy: &Policy, style: Style) -> Option<Body> {
    let Some(reason) = decision.reason() else {
        return None;
    };
    if style.problem_json
        && let Some(text) = problem(decision, reason, policy)
    {
        return Some(Body {
            content_type: "application/problem+json",
            text,
        });
    }
    let (content_type, text) = match reason {
        Reason::Window | Reason::Daily | Reason::CostExceedsLimit => (JSON, OVER_LIMIT_BODY),
        Reason::Blocked => ("text/html; charset=utf-8", BLOCKED_PAGE),
        Reason::Unauthenticated => (JSON, UNAUTHENTICATED_BODY),
        Reason::TableFull | Reason::ClockFailed | Reason::StoreFailed => (JSON, UNAVAILABLE_BODY),
    };
    Some(Body { content_type, text })
}

/// The standard reason phrase of a refusal's status.
#[must_use]
pub const fn reason_phrase(reason: Reason) -> &'static str {
    match reason {
        Reason::Window | Reason::Daily | Reason::CostExceedsLimit => "Too Many Requests",
        Reason::Blocked => "Forbidden",
        Reason::Unauthenticated => "Unauthorized",
        Reason::TableFull | Reason::ClockFailed | Reason::StoreFailed => "Service Unavailable",
    }
}

/// Writes the quota headers as lines that end in CR LF, for a service's own response.
///
/// # Errors
///
/// What `out` returns when it is full; what was written until then stays.
pub fn write_headers(
    out: &mut impl Write,
    decision: &Decision,
    policy: &Policy,
    style: Style,
) -> fmt::Result {
    for header in headers(decision, policy, style) {
        out.write_str(header.name)?;
        out.write_str(": ")?;
        out.write_str(&header.value)?;
        out.write_str("\r\n")?;
    }
    Ok(())
}

/// Writes a refusal as a whole HTTP/1.1 response; nothing where the service answers.
///
/// [`MAX_RESPONSE`] bytes hold the longest one.
///
/// # Errors
///
/// What `out` returns when it is full; what was written until then stays.
pub fn write_refusal(
    out: &mut impl Write,
    decision: &Decision,
    policy: &Policy,
    style: Style,
) -> fmt::Result {
    let (Some(reason), Some(body)) = (decision.reason(), body(decision, policy, style)) else {
        return Ok(());
    };
    out.write_str("HTTP/1.1 ")?;
    write_number(out, u32::from(reason.status()))?;
    out.write_str(" ")?;
    out.write_str(reason_phrase(reason))?;
    out.write_str("\r\n")?;
    write_headers(out, decision, policy, style)?;
    out.write_str("content-type: ")?;
    out.write_str(body.content_type)?;
    out.write_str("\r\ncontent-length: ")?;
    write_number(out, math::from_index(body.text.len()))?;
    out.write_str("\r\n\r\n")?;
    out.write_str(body.text)
}

/// Whole seconds, rounded up and never 0 (H2).
#[must_use]
pub const fn seconds(millis: u32) -> u32 {
    let (whole, rest) = math::div_rem(math::widen(millis), 1000);
    let whole = math::low32(whole);
    if rest > 0 || whole == 0 {
        whole.saturating_add(1)
    } else {
        whole
    }
}

/// The body of every 429, to the byte.
pub const OVER_LIMIT_BODY: &str =
    r#"{"success":false,"error":"request over limit","errorCode":429}"#;

/// The body of every 401.
pub const UNAUTHENTICATED_BODY: &str =
    r#"{"success":false,"error":"unauthorized access","errorCode":401}"#;

/// The body of every 503.
pub const UNAVAILABLE_BODY: &str =
    r#"{"success":false,"error":"service unavailable","errorCode":503}"#;

/// The page of every 403.
pub const BLOCKED_PAGE: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">\
<title>Access denied</title></head>\n<body>\n<h1>Access denied</h1>\n<p>Your access has been denied \
because requests went on in high volume after they had been refused with status 429. Stop sending, \
wait for the time that the header retry-after tells, and then stay within the limits.</p>\n</body>\n\
</html>\n";

/// Bytes that hold the longest response of [`write_refusal`].
pub const MAX_RESPONSE: usize = 768;

/// The problem details of a 429 (H3), `None` for other statuses.
const fn problem(decision: &Decision, reason: Reason, policy: &Policy) -> Option<&'static str> {
    match reason {
        Reason::Window => Some(WINDOW_PROBLEM),
        Reason::Daily => Some(DAILY_PROBLEM),
        Reason::CostExceedsLimit => match decision.quota() {
            // What costs too much is above the smaller limit for certain. In other modes than strict
            // a cost above the day's limit may yet pass, so it was the window's (O4).
            Some(Quota {
                limit,
                daily_left: Some(_),
                ..
            }) if policy.daily().can_never_fit(limit) => Some(DAILY_PROBLEM),
            _ => Some(WINDOW_PROBLEM),
        },
        _ => None,
    }
}

/// `"window";q=40;w=2, "daily";q=10000;w=86400`
fn write_policy_field(out: &mut impl Write, quota: &Quota, policy: &Policy) -> fmt::Result {
    out.write_str("\"window\";q=")?;
    write_number(out, quota.limit)?;
    out.write_str(";w=")?;
    write_number(out, seconds(policy.window_ms()))?;
    if quota.daily_left.is_some() {
        out.write_str(", \"daily\";q=")?;
        write_number(out, policy.daily().limit)?;
        out.write_str(";w=86400")?;
    }
    Ok(())
}

/// `"window";r=39;t=2, "daily";r=9999`; the time of the daily policy is told when it refused.
fn write_state_field(out: &mut impl Write, quota: &Quota, decision: &Decision) -> fmt::Result {
    out.write_str("\"window\";r=")?;
    write_number(out, quota.remaining)?;
    out.write_str(";t=")?;
    write_number(out, seconds(quota.reset_ms))?;
    if let Some(left) = quota.daily_left {
        out.write_str(", \"daily\";r=")?;
        write_number(out, left)?;
        if let (Some(Reason::Daily), Some(wait)) = (decision.reason(), decision.retry_after_ms()) {
            out.write_str(";t=")?;
            write_number(out, seconds(wait))?;
        }
    }
    Ok(())
}

/// Writes a number in decimal, by subtraction: at most 9 rounds for each of 10 digits.
fn write_number(out: &mut impl Write, number: u32) -> fmt::Result {
    let mut rest = number;
    let mut leading = true;
    for power in POWERS_OF_TEN {
        let mut digit = b'0';
        while rest >= power {
            rest = rest.wrapping_sub(power);
            digit = digit.wrapping_add(1);
        }
        if digit != b'0' {
            leading = false;
        }
        if !leading || power == 1 {
            out.write_char(char::from(digit))?;
        }
    }
    Ok(())
}

const POWERS_OF_TEN: [u32; 10] = [
    1_000_000_000,
    100_000_000,
    10_000_000,
    1_000_000,
    100_000,
    10_000,
    1_000,
    100,
    10,
    1,
];

const JSON: &str = "application/json";
const WINDOW_PROBLEM: &str = r#"{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Request cannot be satisfied as assigned quota has been exceeded","status":429,"violated-policies":["window"]}"#;
const DAILY_PROBLEM: &str = r#"{"type":"https://iana.org/assignments/http-problem-types#quota-exceeded","title":"Request cannot be satisfied as assigned quota has been exceeded","status":429,"violated-policies":["daily"]}"#;
/// Steps of [`Headers`].
const STEPS: u8 = 8;

#[cfg(test)]
mod tests;
