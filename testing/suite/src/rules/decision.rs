//! SPEC 7: what is answered, and how it is written.

use limiter_core::http::{Style, body, headers, write_refusal};

use super::*;

fn lines(decision: &Decision, policy: &Policy, style: Style) -> Vec<String> {
    headers(decision, policy, style)
        .map(|header| format!("{}: {}", header.name, header.value))
        .collect()
}

const PAGE: Policy = Policy::pipedrive();

pub fn h1_the_pages_example_of_an_advanced_account_to_the_letter<S: Subject>() {
    let decision = page::<S>().check(&post(1, 1), at(1_000));
    assert_eq!(
        lines(&decision, &PAGE, Style::PAGE),
        [
            "x-ratelimit-limit: 40",
            "x-ratelimit-remaining: 39",
            "x-ratelimit-reset: 2",
            "x-daily-requests-left: 9999",
        ]
    );
    let read = page::<S>().check(&get(1, 1), at(1_000));
    assert_eq!(lines(&read, &PAGE, Style::PAGE).len(), 3, "only for writes");
}

pub fn h1_the_41st_request_of_2_s_is_a_429_with_the_pages_body<S: Subject>() {
    let mut subject = page::<S>();
    for _ in 0..40 {
        assert!(admits(&mut subject, &post(1, 1), at(1_000)));
    }
    let decision = subject.check(&post(1, 1), at(1_001));
    let mut response = String::new();
    write_refusal(&mut response, &decision, &PAGE, Style::PAGE).expect("a String takes all");
    assert_eq!(
        response,
        "HTTP/1.1 429 Too Many Requests\r\n\
         x-ratelimit-limit: 40\r\n\
         x-ratelimit-remaining: 0\r\n\
         x-ratelimit-reset: 2\r\n\
         x-daily-requests-left: 9960\r\n\
         retry-after: 2\r\n\
         content-type: application/json\r\n\
         content-length: 62\r\n\r\n\
         {\"success\":false,\"error\":\"request over limit\",\"errorCode\":429}"
    );
}

pub fn every_reason_has_the_status_headers_and_body_of_the_table<S: Subject>() {
    let mut subject = one_permit::<S>(built(blocking().daily_limit(1)));
    let limited = |extra: &[&'static str]| {
        let mut names = vec![
            "x-ratelimit-limit",
            "x-ratelimit-remaining",
            "x-ratelimit-reset",
        ];
        names.extend(extra);
        names
    };
    let over = r#"{"success":false,"error":"request over limit","errorCode":429}"#;
    let unknown = r#"{"success":false,"error":"unauthorized access","errorCode":401}"#;
    let broken = r#"{"success":false,"error":"service unavailable","errorCode":503}"#;
    let left = "x-daily-requests-left";
    let decisions = [
        (
            subject.check(&post(1, 1), at(0)),
            None,
            limited(&[left]),
            None,
        ),
        (subject.check(&hook(1, 1), at(0)), None, vec![], None),
        (
            subject.check(&get(1, 1), at(0)),
            Some(429),
            limited(&["retry-after"]),
            Some(over),
        ),
        (
            subject.check(&post(1, 1), at(0)),
            Some(429),
            limited(&[left, "retry-after"]),
            Some(over),
        ),
        (
            subject.check(&get(1, 2), at(0)),
            Some(429),
            limited(&[]),
            Some(over),
        ),
        (
            subject.check(&get(99, 1), at(0)),
            Some(401),
            vec!["www-authenticate"],
            Some(unknown),
        ),
        (
            subject.check_with_failed_clock(&get(1, 1)),
            Some(503),
            vec!["retry-after"],
            Some(broken),
        ),
    ];
    for (decision, status, names, text) in decisions {
        let given: Vec<_> = headers(&decision, &PAGE, Style::PAGE)
            .map(|header| header.name)
            .collect();
        assert_eq!((decision.status(), given), (status, names), "{decision:?}");
        let given = body(&decision, &PAGE, Style::PAGE).map(|body| body.text);
        assert_eq!(given, text);
    }
    offend(&mut subject, 0);
    let decision = subject.check(&get(1, 1), at(0));
    assert_eq!(lines(&decision, &PAGE, Style::PAGE), ["retry-after: 10"]);
    let page = body(&decision, &PAGE, Style::PAGE).expect("a page");
    assert_eq!(page.content_type, "text/html; charset=utf-8");
    assert!(page.text.contains("access has been denied"));
}

pub fn h2_seconds_are_rounded_up_and_never_0<S: Subject>() {
    for (t_ms, reset) in [(0, 2), (1, 2), (999, 2), (1_000, 1), (1_001, 1), (1_999, 1)] {
        let mut subject = page::<S>();
        assert!(admits(&mut subject, &get(1, 1), at(0)));
        let decision = subject.check(&get(1, 1), at(t_ms));
        let given = &lines(&decision, &PAGE, Style::PAGE)[2];
        assert_eq!(given, &format!("x-ratelimit-reset: {reset}"), "{t_ms}");
    }
}

pub fn h3_the_ietf_fields_and_the_problem_are_there_on_request<S: Subject>() {
    let mut subject = page::<S>();
    let decision = subject.check(&post(1, 40), at(0));
    assert_eq!(
        lines(&decision, &PAGE, Style::STANDARDS)[4..],
        [
            "ratelimit-policy: \"window\";q=40;w=2, \"daily\";q=10000;w=86400",
            "ratelimit: \"window\";r=0;t=2, \"daily\";r=9960",
        ]
    );
    let refused = subject.check(&get(1, 1), at(1));
    assert_eq!(
        lines(&refused, &PAGE, Style::STANDARDS)[4..],
        [
            "ratelimit-policy: \"window\";q=40;w=2",
            "ratelimit: \"window\";r=0;t=2",
        ]
    );
    let problem = body(&refused, &PAGE, Style::STANDARDS).expect("a refusal");
    assert_eq!(problem.content_type, "application/problem+json");
    for part in [
        r#""type":"https://iana.org/assignments/http-problem-types#quota-exceeded""#,
        r#""violated-policies":["window"]"#,
    ] {
        assert!(problem.text.contains(part), "{part}");
    }
}

pub fn h4_header_values_are_made_of_computed_integers_alone<S: Subject>() {
    let mut subject = page::<S>();
    for request in [post(1, 40), post(1, 1), post(1, u32::MAX), get(1, 1)] {
        let decision = subject.check(&request, at(0));
        for header in headers(&decision, &PAGE, Style::PAGE) {
            assert!(header.value.parse::<u32>().is_ok(), "{header:?}");
        }
    }
}
