//! A line of an Apache or nginx access log: the common log format, and whatever follows it.
//!
//! `host ident user [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 512`. The address is token and
//! user, an `api_token` of origin `api` and cost 1; the time serves as both clocks, so its floor
//! must be 0. A `-` for the address is no token; a request line that is `-`, empty or garbage is a
//! method of no name. What follows the size (referrer, agent, a server's own additions) is not
//! looked at, so a line that was cut off there is good.

mod date;

use std::num::NonZeroU32;

use limiter_core::{HashKey, Instant, Kind, Method, Now, Origin, Plan, UnixTime};
use limiter_model::trace::PLAN_WORDS;

use super::Wrong;
use crate::log::Record;

/// `plan` finds the plan of a word; a log has none, so it is the default of a trace.
pub(super) fn record(
    line: &[u8],
    key: &HashKey,
    plan: impl Fn(&str) -> Result<Plan, Wrong>,
) -> Result<Record, Wrong> {
    let Fields { host, secs, method } = fields(line)?;
    let now = UnixTime::from_secs(secs)
        .zip(secs.checked_mul(1000))
        .filter(|&(_, millis)| millis <= Instant::MAX.as_millis())
        .map(|(utc, millis)| Now::new(Instant::from_millis(millis), Some(utc)));
    Ok(Record {
        now: now.ok_or_else(|| Wrong::new("time", "is after 2248, when 2^43 ms are over"))?,
        caller: (host != b"-").then(|| (key.token(host), key.user(host))),
        kind: Kind::ApiToken,
        plan: plan(PLAN_WORDS[0])?,
        method,
        origin: Origin::Api,
        cost: NonZeroU32::MIN,
    })
}

#[derive(Debug, PartialEq, Eq)]
struct Fields<'a> {
    host: &'a [u8],
    /// Unix seconds.
    secs: u64,
    method: Method,
}

fn fields(line: &[u8]) -> Result<Fields<'_>, Wrong> {
    let (host, rest) = split_at_space(line).ok_or_else(|| Wrong::new("line", "has one word"))?;
    if host.is_empty() {
        return Err(Wrong::new(
            "address",
            "is missing: the line begins with a space",
        ));
    }
    let (secs, rest) = time(rest)?;
    let rest = rest
        .strip_prefix(b" \"")
        .ok_or_else(|| Wrong::new("request", "does not follow the time in quotation marks"))?;
    let (request, rest) =
        quoted(rest).ok_or_else(|| Wrong::new("request", "has no closing quotation mark"))?;
    let rest = rest
        .strip_prefix(b" ")
        .ok_or_else(|| Wrong::new("status", "does not follow the request"))?;
    let (status, rest) = split_at_space(rest)
        .ok_or_else(|| Wrong::new("size", "is missing: the line ends with the status"))?;
    if status != b"-" && !(status.len() == 3 && status.iter().all(u8::is_ascii_digit)) {
        return Err(Wrong::new("status", "is neither three digits nor `-`"));
    }
    let size = split_at_space(rest).map_or(rest, |(size, _)| size);
    if size != b"-" && (size.is_empty() || !size.iter().all(u8::is_ascii_digit)) {
        return Err(Wrong::new("size", "is neither a number nor `-`"));
    }
    Ok(Fields {
        host,
        secs,
        method: method(request),
    })
}

/// Finds the time, and what follows its bracket. The user's name before it may hold anything, even
/// spaces and brackets, so the first bracket that holds a time counts; if none does, the first
/// bracket tells what is wrong.
fn time(rest: &[u8]) -> Result<(u64, &[u8]), Wrong> {
    let mut first_wrong = None;
    // Beyond the request's quotation mark no bracket is the time's.
    let brackets = rest
        .iter()
        .enumerate()
        .take_while(|&(_, &byte)| byte != b'"')
        .filter(|&(_, &byte)| byte == b'[');
    for (at, _) in brackets {
        let inside = &rest[at + 1..];
        let end = inside.iter().position(|&byte| byte == b']');
        let wrong = match end {
            None => "has no closing bracket",
            Some(end) => match date::unix_seconds(&inside[..end]) {
                Ok(secs) => return Ok((secs, &inside[end + 1..])),
                Err(wrong) => wrong,
            },
        };
        first_wrong.get_or_insert(wrong);
    }
    Err(Wrong::new(
        "time",
        first_wrong.unwrap_or("is missing: nothing is in brackets"),
    ))
}

/// The text up to the closing quotation mark, and what follows the mark. A backslash escapes.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut escaped = false;
    let end = text.iter().position(|&byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })?;
    Some((&text[..end], &text[end + 1..]))
}

fn method(request: &[u8]) -> Method {
    let word = split_at_space(request).map_or(request, |(word, _)| word);
    std::str::from_utf8(word).map_or(Method::Other, Method::from_name)
}

fn split_at_space(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = text.iter().position(|&byte| byte == b' ')?;
    Some((&text[..space], &text[space + 1..]))
}

#[cfg(test)]
mod tests;
