use super::*;
use crate::decision::Outcome;
use crate::window::Window;
use std::string::{String, ToString};
use std::vec::Vec;

const POLICY: Policy = Policy::pipedrive();

const QUOTA: Quota = Quota {
    limit: 40,
    remaining: 0,
    reset_ms: 1,
    daily_left: Some(7),
};

fn with_quota(outcome: Outcome, quota: Quota, retry_after_ms: u32) -> Decision {
    Decision {
        quota,
        retry_after_ms,
        outcome,
        ..Decision::EXEMPT
    }
}

fn limited(reason: Reason, quota: Quota, retry_after_ms: u32) -> Decision {
    with_quota(Outcome::Refused(reason), quota, retry_after_ms)
}

fn lines(decision: &Decision, style: Style) -> Vec<String> {
    headers(decision, &POLICY, style)
        .map(|header| std::format!("{}: {}", header.name, header.value))
        .collect()
}

#[test]
fn h1_reports_the_daily_quota_only_where_the_decision_does() {
    let read = Quota {
        daily_left: None,
        ..QUOTA
    };
    assert_eq!(
        lines(&with_quota(Outcome::Admitted, read, 0), Style::PAGE),
        [
            "x-ratelimit-limit: 40",
            "x-ratelimit-remaining: 0",
            "x-ratelimit-reset: 1"
        ]
    );
    assert_eq!(lines(&Decision::EXEMPT, Style::STANDARDS), [""; 0]);
    assert_eq!(
        lines(
            &Decision::refused(Reason::Unauthenticated, 0),
            Style::STANDARDS
        ),
        ["www-authenticate: Bearer"]
    );
    assert_eq!(
        lines(&Decision::refused(Reason::Blocked, 299_001), Style::PAGE),
        ["retry-after: 300"]
    );
    assert_eq!(
        lines(&Decision::refused(Reason::StoreFailed, 1_000), Style::PAGE),
        ["retry-after: 1"]
    );
}

#[test]
fn a_401_is_not_without_a_challenge() {
    let unknown = Decision::refused(Reason::Unauthenticated, 0);
    let mut out = String::new();
    write_refusal(&mut out, &unknown, &POLICY, Style::PAGE).expect("a String takes all");
    assert!(
        out.starts_with("HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer\r\n"),
        "{out}"
    );
    let realm = "Bearer realm=\"deals\"";
    let ours = Style {
        challenge: Challenge::new(realm),
        ..Style::PAGE
    };
    let expected = std::format!("www-authenticate: {realm}");
    assert_eq!(lines(&unknown, ours), [expected]);
    let none = Style {
        challenge: None,
        ..Style::PAGE
    };
    assert_eq!(lines(&unknown, none), [""; 0]);
    for reason in Reason::ALL {
        let challenged = lines(&Decision::refused(reason, 1), Style::PAGE);
        let challenged = challenged.iter().any(|line| line.starts_with("www-"));
        assert_eq!(challenged, reason.status() == 401, "{reason}");
    }
}

#[test]
fn a_challenge_fits_its_header_and_stays_in_it() {
    const LONGEST: &str = "Bearer realm=\"123456789 123456789 123456789 123456789 123456789\"";
    assert_eq!(LONGEST.len(), Challenge::MAX_BYTES);
    let longest = Challenge::new(LONGEST);
    let style = Style {
        challenge: longest,
        ..Style::PAGE
    };
    let unknown = Decision::refused(Reason::Unauthenticated, 0);
    assert!(lines(&unknown, style)[0].ends_with(LONGEST));
    let too_long = "Bearer realm=\"123456789 123456789 123456789 123456789 1234567890\"";
    for wrong in ["", "a\r\nb", "a\tb", "b\u{e9}arer", too_long] {
        assert_eq!(Challenge::new(wrong), None, "{wrong}");
    }
}

#[test]
fn h2_rounds_seconds_up_and_never_to_zero() {
    let cases = [
        (0, 1),
        (1, 1),
        (999, 1),
        (1_000, 1),
        (1_001, 2),
        (2_000, 2),
        (u32::MAX, 4_294_968),
    ];
    for (millis, expected) in cases {
        assert_eq!(seconds(millis), expected, "{millis} ms");
    }
}

#[test]
fn h3_writes_the_fields_of_the_draft() {
    let decision = limited(Reason::Daily, QUOTA, 3_600_000);
    assert_eq!(
        lines(&decision, Style::STANDARDS)[5..],
        [
            "ratelimit-policy: \"window\";q=40;w=2, \"daily\";q=10000;w=86400",
            "ratelimit: \"window\";r=0;t=1, \"daily\";r=7;t=3600"
        ]
    );
    let body = body(&decision, &POLICY, Style::STANDARDS).expect("a refusal");
    assert_eq!(body.content_type, "application/problem+json");
    assert!(body.text.contains("\"violated-policies\":[\"daily\"]"));
    assert!(body.text.contains("http-problem-types#quota-exceeded"));
}

#[test]
fn h3_names_the_limit_that_a_cost_exceeds() {
    let decision = limited(Reason::CostExceedsLimit, QUOTA, 0);
    let violated = |policy| {
        body(&decision, &policy, Style::STANDARDS)
            .expect("a refusal")
            .text
    };
    assert_eq!(violated(POLICY), WINDOW_PROBLEM);
    let small_day = Policy::builder()
        .window(std::time::Duration::from_secs(2))
        .plan(crate::Plan::new(0), 40, 40)
        .daily_limit(39)
        .build()
        .expect("a policy");
    assert_eq!(violated(small_day), DAILY_PROBLEM);
}

/// It named the day, which refuses no cost in these modes.
#[test]
fn h3_a_cost_above_the_days_limit_violates_the_window_alone_unless_the_mode_is_strict() {
    use crate::daily::DailyMode;
    let decision = limited(Reason::CostExceedsLimit, QUOTA, 0);
    let fair_use = DailyMode::FairUse {
        tolerated_days: 1,
        forgiven_after_days: 30,
    };
    for mode in [DailyMode::Advisory, fair_use] {
        let builder = Policy::builder().window(std::time::Duration::from_secs(2));
        let builder = builder.plan(crate::Plan::new(0), 40, 40).daily_limit(39);
        let policy = builder.daily_mode(mode).build().expect("a policy");
        let body = body(&decision, &policy, Style::STANDARDS).expect("a refusal");
        assert_eq!(body.text, WINDOW_PROBLEM);
    }
}

#[test]
fn writes_whole_refusals() {
    let mut out = String::new();
    let decision = limited(
        Reason::Window,
        Quota {
            daily_left: None,
            ..QUOTA
        },
        1_500,
    );
    write_refusal(&mut out, &decision, &POLICY, Style::PAGE).expect("a String takes all");
    assert_eq!(
        out,
        "HTTP/1.1 429 Too Many Requests\r\nx-ratelimit-limit: 40\r\nx-ratelimit-remaining: 0\r\n\
         x-ratelimit-reset: 1\r\nretry-after: 2\r\ncontent-type: application/json\r\n\
         content-length: 62\r\n\r\n\
         {\"success\":false,\"error\":\"request over limit\",\"errorCode\":429}"
    );
    out.clear();
    write_refusal(&mut out, &Decision::EXEMPT, &POLICY, Style::PAGE).expect("writes nothing");
    assert_eq!(out, "");
}

#[test]
fn fits_the_longest_header_and_response_into_their_buffers() {
    let longest = Quota {
        limit: Window::MAX_LIMIT,
        remaining: Window::MAX_LIMIT,
        reset_ms: 172_799_999,
        daily_left: Some(u32::MAX),
    };
    let policy = Policy::builder()
        .window(Policy::MAX_WINDOW)
        .plan(crate::Plan::new(0), 1, 1)
        .daily_limit(u32::MAX)
        .build()
        .expect("a policy");
    for reason in Reason::ALL {
        let decision = limited(reason, longest, u32::MAX);
        let fields = match reason.status() {
            429 => 7,
            401 => 2,
            _ => 1,
        };
        assert_eq!(
            headers(&decision, &policy, Style::STANDARDS).count(),
            fields
        );
        let mut response = heapless::String::<MAX_RESPONSE>::new();
        assert!(
            write_refusal(&mut response, &decision, &policy, Style::STANDARDS).is_ok(),
            "{reason}"
        );
        let mut short = heapless::String::<100>::new();
        assert!(write_refusal(&mut short, &decision, &policy, Style::PAGE).is_err());
    }
}

#[test]
fn blocks_with_a_page_that_says_so() {
    let body = body(
        &Decision::refused(Reason::Blocked, 1),
        &POLICY,
        Style::STANDARDS,
    )
    .expect("a body");
    assert_eq!(body.content_type, "text/html; charset=utf-8");
    assert!(body.text.contains("Access denied"));
}

proptest::proptest! {
    #[test]
    fn writes_numbers_like_the_standard_library(number: u32) {
        let mut out = String::new();
        write_number(&mut out, number).unwrap();
        proptest::prop_assert_eq!(out, number.to_string());
    }
}
