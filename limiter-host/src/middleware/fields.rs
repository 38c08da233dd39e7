//! The page's quota headers without an allocation for the numbers that are usual.
//!
//! The core renders headers into fixed buffers; `http` wants values that own or are static. Numbers
//! up to 9999, the most that is left of the preset's day, are static here, and names are made once,
//! which halves the layer's cost on the admitted path. A test holds this file against the core's own rendering.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use limiter_core::Quota;

/// Puts the headers of H1 into the map, in the place of all that are there.
pub(super) fn write_quota(into: &mut HeaderMap, quota: &Quota) {
    if quota.daily_left.is_none() && !into.is_empty() {
        into.remove(DAILY_LEFT);
    }
    into.reserve(4);
    into.insert(LIMIT, value(quota.limit));
    into.insert(REMAINING, value(quota.remaining));
    into.insert(RESET, value(seconds(quota.reset_ms)));
    if let Some(daily_left) = quota.daily_left {
        into.insert(DAILY_LEFT, value(daily_left));
    }
}

/// A number in decimal.
pub(super) fn value(number: u32) -> HeaderValue {
    match small(number) {
        Some(digits) => HeaderValue::from_static(digits),
        None => HeaderValue::from(number),
    }
}

/// The digits of a number below 10 000.
fn small(number: u32) -> Option<&'static str> {
    let number = usize::try_from(number).ok()?;
    let (at, length) = match number {
        0..10 => (number, 1),
        10..100 => (10 + (number - 10) * 2, 2),
        100..1000 => (190 + (number - 100) * 3, 3),
        1000..10_000 => (2_890 + (number - 1_000) * 4, 4),
        _ => return None,
    };
    DIGITS.get(at..at + length)
}

/// All numbers below 10 000, one after the other.
static DIGITS: &str = {
    const BYTES: &[u8; LENGTH] = &digits();
    match std::str::from_utf8(BYTES) {
        Ok(digits) => digits,
        Err(_) => panic!("digits are ASCII"),
    }
};
const LENGTH: usize = 10 + 90 * 2 + 900 * 3 + 9_000 * 4;

const fn digits() -> [u8; LENGTH] {
    let mut bytes = [b'0'; LENGTH];
    // The digits of the number that is written, from the ones up.
    let (mut at, mut number) = (0, [b'0'; 4]);
    while at < LENGTH {
        let mut digit = number.len();
        while digit > 1 && number[digit - 1] == b'0' {
            digit -= 1;
        }
        while digit > 0 {
            digit -= 1;
            bytes[at] = number[digit];
            at += 1;
        }
        while digit < number.len() && number[digit] == b'9' {
            number[digit] = b'0';
            digit += 1;
        }
        if digit < number.len() {
            number[digit] += 1;
        }
    }
    bytes
}

/// Seconds for a header, as the core has them (H2); with a processor's own division.
#[inline]
fn seconds(millis: u32) -> u32 {
    millis.div_ceil(1_000).max(1)
}

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const DAILY_LEFT: HeaderName = HeaderName::from_static("x-daily-requests-left");

#[cfg(test)]
mod tests {
    use super::*;
    use limiter_core::http::{Style, headers};
    use limiter_core::{HashKey, Instant, Kind, Limiter, Method, Now, Plan, Policy};
    use limiter_core::{Registration, Request};
    use std::time::Duration;

    #[test]
    fn writes_every_number_in_decimal() {
        for number in (0..10_100).chain([u32::MAX]) {
            assert_eq!(value(number), number.to_string().as_str());
        }
    }

    #[test]
    fn rounds_seconds_as_the_core_does() {
        for millis in (0..3_000).chain([86_399_999, u32::MAX - 1, u32::MAX]) {
            assert_eq!(seconds(millis), limiter_core::http::seconds(millis));
        }
    }

    #[test]
    fn says_what_the_core_says() {
        let key = HashKey::new([1; 16]);
        let token = key.token(b"t");
        let now = |millis| Now::new(Instant::from_millis(millis), None);
        let policy = Policy::builder()
            .window(Duration::from_millis(86_400_000))
            .plan(Plan::new(0), 1_048_575, 1)
            .daily_limit(1_048_575)
            .build()
            .unwrap();
        let mut limiter = Limiter::<4, 4>::new(policy);
        let terms = Registration::new(key.user(b"u"), Kind::ApiToken, Plan::new(0));
        limiter.register(token, terms, now(0)).unwrap();
        let mut millis = 0;
        for (method, cost) in [
            (Method::Post, 1),
            (Method::Get, 1_047_000),
            (Method::Put, 500),
            (Method::Post, 70),
            (Method::Get, 2_000),
            (Method::Get, 4),
        ] {
            millis += 17_279_000;
            let request = Request::new(token, method).with_cost(cost.try_into().unwrap());
            let decision = limiter.check(&request, now(millis));
            let mut ours = HeaderMap::new();
            write_quota(&mut ours, &decision.quota().unwrap());
            let mut cores = HeaderMap::new();
            for header in headers(&decision, limiter.policy(), Style::PAGE) {
                if header.name.starts_with("x-") {
                    cores.insert(header.name, header.value.parse().unwrap());
                }
            }
            assert_eq!(ours, cores);
        }
    }

    #[test]
    fn takes_the_place_of_what_is_there() {
        let mut headers = HeaderMap::new();
        headers.append(LIMIT, value(1));
        headers.append(LIMIT, value(2));
        headers.append(DAILY_LEFT, value(3));
        let quota = Quota {
            limit: 3,
            remaining: 2,
            reset_ms: 1,
            daily_left: None,
        };
        write_quota(&mut headers, &quota);
        assert_eq!(headers.len(), 3);
        assert_eq!(headers[LIMIT], "3");
        assert_eq!(headers.get(DAILY_LEFT), None);
    }
}
