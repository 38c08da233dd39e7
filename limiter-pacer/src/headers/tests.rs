//! Headers of all kinds and their readings; any bytes give something bounded.

use super::*;
use limiter_core::time::Instant;
use proptest::prelude::*;
use std::vec::Vec;

const UTC: u64 = 1_795_478_400; // 2026-11-24T00:00:00Z

fn now() -> Now {
    Now::new(Instant::from_millis(5_000), UnixTime::from_secs(UTC))
}

fn read(headers: &[(&str, &str)]) -> ResponseInfo {
    ResponseInfo::read(200, headers.iter().copied(), now())
}

#[test]
fn reads_the_example_of_the_page() {
    let answer = read(&[
        ("X-RateLimit-Limit", "40"),
        ("x-ratelimit-remaining", "39"),
        ("x-ratelimit-reset", "2"),
        ("x-daily-requests-left", "9999"),
    ]);
    let expected = ResponseInfo {
        limit: Some(40),
        remaining: Some(39),
        reset_ms: Some(2_000),
        daily_left: Some(9_999),
        ..ResponseInfo::bare(200)
    };
    assert_eq!(answer, expected);
}

#[test]
fn reads_a_retry_after_in_seconds_and_as_a_date_of_every_form() {
    let at = |value| read(&[("retry-after", value)]).retry_after_ms;
    assert_eq!(at("2"), Some(2_000));
    assert_eq!(at("0"), Some(0));
    assert_eq!(at("Tue, 24 Nov 2026 00:01:00 GMT"), Some(60_000));
    assert_eq!(at("Tuesday, 24-Nov-26 00:01:00 GMT"), Some(60_000));
    assert_eq!(at("Tue Nov 24 00:01:00 2026"), Some(60_000));
    assert_eq!(at("Mon, 23 Nov 2026 00:00:00 GMT"), Some(0), "past");
    assert_eq!(at("soon"), None);
}

#[test]
fn holds_a_date_against_the_servers_own_where_it_is_told() {
    let headers = [
        ("retry-after", "Fri, 01 Jan 2021 00:00:30 GMT"),
        ("date", "Fri, 01 Jan 2021 00:00:00 GMT"),
    ];
    assert_eq!(read(&headers).retry_after_ms, Some(30_000));
    let unset = Now::new(Instant::ZERO, None);
    assert_eq!(
        ResponseInfo::read(200, headers, unset).retry_after_ms,
        Some(30_000)
    );
    let alone = [("retry-after", "Fri, 01 Jan 2021 00:00:30 GMT")];
    assert_eq!(ResponseInfo::read(200, alone, unset).retry_after_ms, None);
}

#[test]
fn tells_seconds_from_epochs_and_believes_no_century() {
    let at = |value| read(&[("x-ratelimit-reset", value)]).reset_ms;
    assert_eq!(at("86400"), Some(86_400_000));
    assert_eq!(at("86401"), None);
    assert_eq!(at("999999999"), None);
    assert_eq!(at("1795478430"), Some(30_000), "Unix seconds");
    assert_eq!(at("1795478430000"), Some(30_000), "Unix milliseconds");
    assert_eq!(at("1795478399"), Some(0), "just past");
    assert_eq!(at("1795664801"), None, "more than a day ahead");
    assert_eq!(at("99999999999999999999999"), None);
    assert_eq!(at("1.5"), Some(2_000));
    let long = |value| read(&[("retry-after", value)]).retry_after_ms;
    assert_eq!(long("99999999"), Some(86_400_000));
    assert_eq!(long("99999999999999999999999"), Some(86_400_000));
    assert_eq!(long("Fri, 24 Nov 2126 00:00:00 GMT"), Some(86_400_000));
}

#[test]
fn bounds_limits_and_what_is_left() {
    let limit = |value| read(&[("x-ratelimit-limit", value)]).limit;
    assert_eq!(limit("0"), None);
    assert_eq!(limit("1048575"), Some(Window::MAX_LIMIT));
    assert_eq!(limit("1048576"), Some(Window::MAX_LIMIT));
    assert_eq!(limit("4294967296"), None);
    let both = read(&[("x-ratelimit-limit", "40"), ("x-ratelimit-remaining", "41")]);
    assert_eq!(both.remaining, Some(40));
    assert_eq!(read(&[("x-ratelimit-remaining", "-1")]).remaining, None);
}

#[test]
fn takes_the_stricter_of_two_values() {
    let answer = read(&[
        ("x-ratelimit-remaining", "7"),
        ("x-ratelimit-remaining", "9"),
        ("retry-after", "9"),
        ("retry-after", "7"),
    ]);
    assert_eq!(
        (answer.remaining, answer.retry_after_ms),
        (Some(7), Some(9_000))
    );
}

#[test]
fn joins_the_drafts_fields_by_the_policys_name() {
    let answer = read(&[
        ("RateLimit", r#""window";r=39;t=2, "daily";r=9999"#),
        (
            "RateLimit-Policy",
            r#""daily";q=10000;w=86400, "window";q=40;w=2"#,
        ),
    ]);
    let expected = ResponseInfo {
        limit: Some(40),
        remaining: Some(39),
        reset_ms: Some(2_000),
        window_ms: Some(2_000),
        daily_left: Some(9_999),
        ..ResponseInfo::bare(200)
    };
    assert_eq!(answer, expected);
}

#[test]
fn stays_away_when_any_policy_of_the_draft_is_exhausted() {
    let answer = read(&[
        (
            "ratelimit-policy",
            r#""burst";q=10;w=1, "hour";q=1000;w=3600"#,
        ),
        ("ratelimit", r#""burst";r=9;t=1, "hour";r=0;t=1800"#),
    ]);
    assert_eq!(
        (answer.remaining, answer.reset_ms),
        (Some(0), Some(1_800_000))
    );
    assert_eq!((answer.limit, answer.window_ms), (Some(10), Some(1_000)));
}

#[test]
fn prefers_the_pages_headers_and_ignores_malformed_fields() {
    let answer = read(&[
        ("x-ratelimit-remaining", "5"),
        ("ratelimit", r#""default";r=50;t=30"#),
        ("ratelimit-policy", r#""default";q=100;w="#),
    ]);
    assert_eq!((answer.remaining, answer.limit), (Some(5), None));
    assert_eq!(answer.reset_ms, Some(30_000));
}

#[test]
fn reads_all_headers_of_a_response_out_of_one_reused_buffer() {
    let headers = [
        ("RateLimit", r#""window";r=39;t=2, "daily";r=9999"#),
        (
            "RateLimit-Policy",
            r#""daily";q=10000;w=86400, "window";q=40;w=2"#,
        ),
    ];
    let mut reader = HeaderReader::new(200, now());
    let mut line = [0; 80];
    for (name, value) in headers {
        line.fill(b'?');
        let value_at = name.len();
        line[..value_at].copy_from_slice(name.as_bytes());
        line[value_at..value_at + value.len()].copy_from_slice(value.as_bytes());
        let (name, rest) = line.split_at(value_at);
        reader.header(name, &rest[..value.len()]);
    }
    assert_eq!(reader.finish(), read(&headers));
}

/// Values near what the readers look for, so that they get past the first byte.
fn near_values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..80),
        "[0-9]{0,40}(\\.[0-9]{0,3})?[ ,;a-z]{0,4}".prop_map(String::into_bytes),
        "\"[a-z\\\\\"]{0,6}\"(;[a-z]{1,2}=[0-9?:@%\"a-z.-]{0,20}){0,4},? ?".prop_map(String::into_bytes),
        "(Sun|Mon|Friday|Tue)(, | )[0-3]?[0-9][ -](Jan|Feb|Nov)[ -][0-9]{2,4} [0-2][0-9]:[0-6][0-9]:[0-6][0-9]( GMT)?"
            .prop_map(String::into_bytes),
    ]
}

use std::string::String;

proptest! {
    #[test]
    fn reads_any_bytes_as_something_bounded(
        headers in proptest::collection::vec((0_usize..NAMES.len(), near_values()), 0..12),
        utc in proptest::option::of(any::<u64>()),
        status: u16,
    ) {
        let now = Now::new(Instant::ZERO, utc.and_then(UnixTime::from_secs));
        let headers = headers.iter().map(|(name, value)| (NAMES[*name], value.as_slice()));
        let answer = ResponseInfo::read(status, headers, now);
        prop_assert!(answer.limit.is_none_or(|limit| (1..=Window::MAX_LIMIT).contains(&limit)));
        prop_assert!(answer.remaining.is_none_or(|left| answer.limit.is_none_or(|limit| left <= limit)));
        for time in [answer.reset_ms, answer.window_ms, answer.retry_after_ms] {
            prop_assert!(time.is_none_or(|millis| millis <= 86_400_000));
        }
        prop_assert!(answer.window_ms != Some(0));
        prop_assert_eq!(answer.status, status);
    }

    #[test]
    fn reads_back_every_number_of_seconds_it_may_believe(seconds in 0_u32..=86_400) {
        let value = std::format!("{seconds}");
        let answer = read(&[("x-ratelimit-reset", &value), ("retry-after", &value)]);
        prop_assert_eq!(answer.reset_ms, Some(seconds * 1_000));
        prop_assert_eq!(answer.retry_after_ms, Some(seconds * 1_000));
    }
}

const NAMES: [&str; 9] = [
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-daily-requests-left",
    "retry-after",
    "date",
    "ratelimit-policy",
    "ratelimit",
    "content-type",
];
