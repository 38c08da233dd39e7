//! A reader for the rate-limit headers of a response, which are untrusted input.
//!
//! For any bytes, reading ends, does not panic, and gives numbers within the bounds that the fields
//! of [`ResponseInfo`] state. An implausible value is ignored, as if its header had not been sent.

mod bytes;
mod date;
mod quota_fields;

use self::quota_fields::{Item, Items};
use limiter_core::math;
use limiter_core::time::{Now, UnixTime};
use limiter_core::window::Window;

/// The limits that one response reports.
///
/// ```
/// use limiter_pacer::ResponseInfo;
/// use limiter_core::{Instant, Now};
///
/// let now = Now::new(Instant::ZERO, None);
/// let answer = ResponseInfo::read(
///     429,
///     [
///         ("x-ratelimit-limit", "40"),
///         ("x-ratelimit-remaining", "0"),
///         ("x-ratelimit-reset", "2"),
///         ("retry-after", "2"),
///     ],
///     now,
/// );
/// assert_eq!((answer.limit, answer.remaining), (Some(40), Some(0)));
/// assert_eq!((answer.reset_ms, answer.retry_after_ms), (Some(2_000), Some(2_000)));
///
/// // A reset in a century, a negative remainder: ignored.
/// let absurd = [("x-ratelimit-reset", "3155760000"), ("x-ratelimit-remaining", "-1")];
/// assert_eq!(ResponseInfo::read(200, absurd, now), ResponseInfo::bare(200));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct ResponseInfo {
    /// The HTTP status.
    pub status: u16,
    /// Permits per window, 1 to [`Window::MAX_LIMIT`]; larger numbers are cut to that.
    pub limit: Option<u32>,
    /// Permits left in the window; at most the limit, if that is reported.
    pub remaining: Option<u32>,
    /// Milliseconds until the window ends, rounded up by the server to whole seconds; at most 24 h.
    pub reset_ms: Option<u32>,
    /// Length of the window in milliseconds, 1 s to 24 h; only the IETF fields report it.
    pub window_ms: Option<u32>,
    /// Writes left of the day.
    pub daily_left: Option<u32>,
    /// The time to wait before the next request, in milliseconds, at most 24 h.
    pub retry_after_ms: Option<u32>,
    /// The server's time.
    pub date: Option<UnixTime>,
}

impl ResponseInfo {
    /// A response without any rate-limit header.
    #[must_use]
    pub const fn bare(status: u16) -> Self {
        Self {
            status,
            limit: None,
            remaining: None,
            reset_ms: None,
            window_ms: None,
            daily_left: None,
            retry_after_ms: None,
            date: None,
        }
    }

    /// Reads a response's headers; [`HeaderReader::header`] lists those that are used.
    ///
    /// `now` is the moment of the response: dates are compared with its UTC if the response has no
    /// `date`. *O*(bytes); values longer than 1 024 bytes are ignored.
    #[must_use]
    pub fn read<'a, N, V>(
        status: u16,
        headers: impl IntoIterator<Item = (&'a N, &'a V)>,
        now: Now,
    ) -> Self
    where
        N: AsRef<[u8]> + ?Sized + 'a,
        V: AsRef<[u8]> + ?Sized + 'a,
    {
        let mut reader = HeaderReader::new(status, now);
        for (name, value) in headers {
            reader.header(name.as_ref(), value.as_ref());
        }
        reader.finish()
    }

    /// Returns `true` if the response reports the window's quota, which only a limiter that decided
    /// the request does.
    #[must_use]
    pub const fn has_quota(&self) -> bool {
        self.remaining.is_some()
    }
}

/// A reader for the headers of one response, one by one as they arrive.
///
/// ```
/// use limiter_pacer::HeaderReader;
/// use limiter_core::{Instant, Now};
///
/// let mut reader = HeaderReader::new(200, Now::new(Instant::ZERO, None));
/// reader.header(b"RateLimit-Policy", br#""burst";q=100;w=60"#);
/// reader.header(b"RateLimit", br#""burst";r=50;t=30"#);
/// let answer = reader.finish();
/// assert_eq!((answer.limit, answer.remaining), (Some(100), Some(50)));
/// assert_eq!((answer.window_ms, answer.reset_ms), (Some(60_000), Some(30_000)));
/// ```
///
/// It keeps no reference to its arguments, so one line buffer serves all headers:
///
/// ```
/// use limiter_pacer::HeaderReader;
/// use limiter_core::{Instant, Now};
///
/// let mut reader = HeaderReader::new(200, Now::new(Instant::ZERO, None));
/// let mut line = [0_u8; 64];
/// for header in ["RateLimit-Policy: \"burst\";q=9;w=60", "RateLimit: \"burst\";r=3;t=30"] {
///     let line = &mut line[..header.len()];
///     line.copy_from_slice(header.as_bytes()); // stands for reading from a UART
///     if let Some((name, value)) = header.split_once(": ") {
///         reader.header(name.as_bytes(), value.as_bytes());
///     }
/// }
/// let answer = reader.finish();
/// assert_eq!((answer.limit, answer.remaining), (Some(9), Some(3)));
/// ```
#[derive(Clone, Debug)]
pub struct HeaderReader {
    now: Now,
    answer: ResponseInfo,
    reset: Option<Moment>,
    retry_after: Option<Moment>,
    policies: Option<Items>,
    state: Option<Items>,
}

impl HeaderReader {
    /// A reader that has seen no header. `now` is the moment of the answer.
    #[must_use]
    pub const fn new(status: u16, now: Now) -> Self {
        Self {
            now,
            answer: ResponseInfo::bare(status),
            reset: None,
            retry_after: None,
            policies: None,
            state: None,
        }
    }

    /// Reads one header. The case of its name does not matter; headers without a limit are ignored.
    ///
    /// | header | value |
    /// |---|---|
    /// | `x-ratelimit-limit`, `-remaining`, and the same without `x-` | a number |
    /// | `x-ratelimit-reset`, the same without `x-` | seconds; from 10^9 on Unix seconds, from 10^12 on Unix milliseconds; a date |
    /// | `x-daily-requests-left` | a number |
    /// | `retry-after` | as the reset |
    /// | `date` | a date |
    /// | `RateLimit-Policy`, `RateLimit` | the draft's lists |
    ///
    /// Of a number sent twice the smaller counts, of a time sent twice the longer, of the lists the
    /// first. The `x-ratelimit-*` headers take precedence over the draft's fields.
    pub fn header(&mut self, name: &[u8], value: &[u8]) {
        let name = match name {
            [b'x' | b'X', b'-', rest @ ..] => rest,
            _ => name,
        };
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        if is("ratelimit-limit") {
            keep_smaller(&mut self.answer.limit, limit(narrow(bytes::number(value))));
        } else if is("ratelimit-remaining") {
            keep_smaller(&mut self.answer.remaining, narrow(bytes::number(value)));
        } else if is("ratelimit-reset") {
            self.reset = self.reset.max(Moment::read(value, self.reference()));
        } else if is("daily-requests-left") {
            keep_smaller(&mut self.answer.daily_left, narrow(bytes::number(value)));
        } else if is("retry-after") {
            self.retry_after = self.retry_after.max(Moment::read(value, self.reference()));
        } else if is("date") {
            self.answer.date = date::http_date(value, self.reference());
        } else if is("ratelimit-policy") {
            keep_first(&mut self.policies, value);
        } else if is("ratelimit") {
            keep_first(&mut self.state, value);
        }
    }

    /// Returns the limits that all headers together report.
    #[must_use]
    pub fn finish(mut self) -> ResponseInfo {
        let clock = self.answer.date.or(self.now.utc());
        self.answer.reset_ms = self
            .reset
            .and_then(|moment| moment.seconds_from(clock))
            .filter(|&seconds| seconds <= LONGEST_S)
            .map(millis);
        self.answer.retry_after_ms = self
            .retry_after
            .and_then(|moment| moment.seconds_from(clock))
            .map(millis);
        self.add_draft_fields();
        if let (Some(limit), Some(remaining)) = (self.answer.limit, self.answer.remaining) {
            self.answer.remaining = Some(remaining.min(limit));
        }
        self.answer
    }

    /// The reference for two-digit years and for dates.
    fn reference(&self) -> UnixTime {
        self.now.utc().unwrap_or(UnixTime::Y2020)
    }

    /// Adds the draft's fields where the `x-ratelimit-*` headers are absent.
    ///
    /// The shortest window that is not a day's is the window; a day's member gives the day. A
    /// member of any other policy that has nothing left makes the whole response one that asks to
    /// stay away, until that member's time.
    fn add_draft_fields(&mut self) {
        let policies = self.policies.take().unwrap_or_default();
        let states = self.state.take().unwrap_or_default();
        let mut window: Option<Item> = None;
        let mut exhausted_s = None;
        for state in &states {
            let member = join(state, &policies);
            if member.is_daily() {
                keep_smaller(&mut self.answer.daily_left, member.remaining);
                continue;
            }
            if member.remaining == Some(0) {
                exhausted_s = exhausted_s.max(believed(member.reset_s));
            }
            window = match window {
                Some(best) if !is_shorter(&member, &best) => Some(best),
                _ => Some(member),
            };
        }
        let reported = window.or_else(|| policies.iter().find(|item| !item.is_daily()).copied());
        if let Some(reported) = reported {
            let answer = &mut self.answer;
            answer.limit = answer.limit.or(limit(reported.quota));
            answer.window_ms = believed(reported.window_s)
                .filter(|&seconds| seconds > 0)
                .map(millis);
            answer.remaining = answer.remaining.or(reported.remaining);
            answer.reset_ms = answer.reset_ms.or(believed(reported.reset_s).map(millis));
        }
        if let Some(seconds) = exhausted_s {
            self.answer.reset_ms = self.answer.reset_ms.max(Some(millis(seconds)));
            self.answer.remaining = Some(0);
        }
    }
}

/// A time as a header states it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    /// Seconds after the response.
    In(u64),
    /// At this Unix time in seconds.
    At(u64),
}

impl Moment {
    fn read(value: &[u8], reference: UnixTime) -> Option<Self> {
        // A fraction was rounded up, which for a time is right too.
        match bytes::number(value) {
            Some(number) if number >= EPOCH_MILLIS => {
                // OK because the remainder below a second does not matter here.
                Some(Self::At(math::div_rem(number, 1_000).0))
            }
            Some(number) if number >= EPOCH_SECONDS => Some(Self::At(number)),
            Some(number) => Some(Self::In(number)),
            None => date::http_date(value, reference).map(|time| Self::At(time.as_secs())),
        }
    }

    /// Seconds from `clock`'s time on, 0 for a time that is past; `None` if `clock` is unknown.
    fn seconds_from(self, clock: Option<UnixTime>) -> Option<u64> {
        match self {
            Self::In(seconds) => Some(seconds),
            Self::At(time) => Some(time.saturating_sub(clock?.as_secs())),
        }
    }
}

/// A member of the state joined with its policy's parameters.
fn join(state: &Item, policies: &Items) -> Item {
    let mut member = *state;
    if let Some(policy) = policies.iter().find(|policy| policy.name == state.name) {
        member.quota = member.quota.or(policy.quota);
        member.window_s = member.window_s.or(policy.window_s);
    }
    member
}

/// Returns `true` if `one` has the shorter window; an unknown window counts as long.
fn is_shorter(one: &Item, other: &Item) -> bool {
    one.window_s.unwrap_or(u32::MAX) < other.window_s.unwrap_or(u32::MAX)
}

fn keep_smaller(kept: &mut Option<u32>, new: Option<u32>) {
    *kept = match (*kept, new) {
        (Some(kept), Some(new)) => Some(kept.min(new)),
        (kept, new) => kept.or(new),
    };
}

/// A number that fits 32 bits.
fn narrow(number: Option<u64>) -> Option<u32> {
    u32::try_from(number?).ok()
}

/// The seconds, unless they are too many to be believed.
fn believed(seconds: Option<u32>) -> Option<u64> {
    seconds
        .map(math::widen)
        .filter(|&seconds| seconds <= LONGEST_S)
}

/// Keeps the first of several fields.
fn keep_first(kept: &mut Option<Items>, value: &[u8]) {
    if kept.is_none() {
        *kept = Some(quota_fields::items(value).unwrap_or_default());
    }
}

/// A limit that can be kept: not 0, and at most what a window can count.
fn limit(number: Option<u32>) -> Option<u32> {
    let limit = number?;
    (limit > 0).then_some(limit.min(Window::MAX_LIMIT))
}

/// Seconds as milliseconds, at most 24 h.
fn millis(seconds: u64) -> u32 {
    // OK because the product is at most 86 400 000.
    math::low32(seconds.min(LONGEST_S)).wrapping_mul(1_000)
}

/// The longest plausible time in a header, in seconds; SPEC D5 has no longer wait.
const LONGEST_S: u64 = 86_400;
/// Numbers from here on are Unix seconds (the year 2001), not a length of time.
const EPOCH_SECONDS: u64 = 1_000_000_000;
/// Numbers from here on are Unix milliseconds.
const EPOCH_MILLIS: u64 = 1_000_000_000_000;

#[cfg(test)]
mod tests;
