//! SPEC 7, row by row.

use super::*;
use limiter_core::http::{
    BLOCKED_PAGE, Challenge, OVER_LIMIT_BODY, UNAUTHENTICATED_BODY, UNAVAILABLE_BODY,
};

#[test]
fn reports_the_quota_of_the_page_in_place_of_the_services_own() {
    let rig = Rig::new();
    let post = rig.post();
    assert_eq!((post.status, post.body.as_str()), (200, "served"));
    let numbers = [Some("40"), Some("39"), Some("2"), Some("9999"), None];
    assert_eq!(post.numbers(), numbers);
    assert_eq!(post.header("x-own"), Some("kept"));

    let get = rig.get();
    assert_eq!(
        get.numbers(),
        [Some("40"), Some("38"), Some("2"), None, None]
    );
    assert_eq!(get.headers.get_all("x-ratelimit-limit").iter().count(), 1);
}

#[test]
fn refuses_what_is_over_the_limit_before_the_service_hears_of_it() {
    let rig = Rig::new();
    for _ in 0..40 {
        assert_eq!(rig.post().status, 200);
    }
    let refused = rig.post();
    assert_eq!(
        (refused.status, refused.body.as_str()),
        (429, OVER_LIMIT_BODY)
    );
    assert_eq!(refused.header("content-type"), Some("application/json"));
    let numbers = [Some("40"), Some("0"), Some("2"), Some("9960"), Some("2")];
    assert_eq!(refused.numbers(), numbers);
    assert_eq!(rig.calls(), 40);
    rig.set(6_999);
    assert_eq!(rig.post().numbers()[4], Some("1"));
    rig.set(7_000);
    assert_eq!(rig.post().status, 200);
}

#[test]
fn refuses_a_cost_that_never_fits_without_a_time_to_come_back() {
    let rig = Rig::new().with(|layer| layer.cost(|_| NonZeroU32::new(41).unwrap()));
    let refused = rig.get();
    assert_eq!(
        (refused.status, refused.body.as_str()),
        (429, OVER_LIMIT_BODY)
    );
    assert_eq!(
        refused.numbers(),
        [Some("40"), Some("40"), Some("2"), None, None]
    );
}

#[test]
fn asks_for_a_credential_that_is_known() {
    let rig = Rig::new();
    for headers in [&[][..], &[("x-api-token", "unknown")]] {
        let refused = rig.ask("GET", "/", headers);
        assert_eq!(
            (refused.status, refused.body.as_str()),
            (401, UNAUTHENTICATED_BODY)
        );
        assert_eq!(refused.numbers(), [None; 5]);
        assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    }
    assert_eq!(rig.calls(), 0);
}

#[test]
fn a_401_has_the_challenge_that_is_set_and_no_other_refusal_has_one() {
    let challenged = |challenge| {
        let rig = Rig::new().with(|layer| {
            layer.style(Style {
                challenge,
                ..Style::PAGE
            })
        });
        let refused = rig.ask("GET", "/", &[]);
        assert_eq!(refused.status, 401);
        rig.exhaust();
        assert_eq!(rig.get().header("www-authenticate"), None);
        rig.set(BROKEN);
        assert_eq!(rig.get().header("www-authenticate"), None);
        refused.header("www-authenticate").map(str::to_owned)
    };
    let realm = "Bearer realm=\"deals\"";
    assert_eq!(challenged(Challenge::new(realm)).as_deref(), Some(realm));
    assert_eq!(challenged(None), None);
}

#[test]
fn says_of_every_reason_what_the_core_says() {
    for style in [Style::PAGE, Style::STANDARDS] {
        let rig = Rig::new().with(|layer| layer.style(style));
        rig.exhaust();
        let key = HashKey::new([7; 16]);
        let asked = [
            ("GET", "a", 5_000),
            ("POST", "a", 5_000),
            ("GET", "b", 5_000),
            ("GET", "a", BROKEN),
        ];
        for (method, token, millis) in asked {
            rig.set(millis);
            let answer = rig.ask(method, "/", &[("x-api-token", token)]);
            let request = Request::new(key.token(token.as_bytes()), Method::from_name(method));
            let decision = rig.limiter.with(|limiter| match millis {
                BROKEN => limiter.refuse_for(&request, limiter_core::Outage::ClockFailed),
                millis => limiter.peek(&request, at(millis)),
            });
            let policy = rig.limiter.policy();
            let mut cores = HeaderMap::new();
            for header in limiter_core::http::headers(&decision, &policy, style) {
                cores.insert(header.name, header.value.parse().unwrap());
            }
            let body = limiter_core::http::body(&decision, &policy, style).unwrap();
            cores.insert("content-type", body.content_type.parse().unwrap());
            assert_eq!(answer.headers, cores, "{method} {token} {style:?}");
            assert_eq!(answer.body, body.text);
        }
    }
}

#[test]
fn shows_the_page_to_the_blocked_and_frees_them_in_time() {
    let rig = Rig::new();
    rig.exhaust();
    // That was one offence; the hundredth starts the block.
    for _ in 0..99 {
        assert_eq!(rig.get().status, 429);
    }
    let blocked = rig.get();
    assert_eq!((blocked.status, blocked.body.as_str()), (403, BLOCKED_PAGE));
    assert_eq!(
        blocked.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(blocked.numbers(), [None, None, None, None, Some("300")]);
    rig.set(5_000 + 299_999);
    assert_eq!(rig.get().numbers()[4], Some("1"));
    rig.set(5_000 + 300_000);
    assert_eq!(rig.get().status, 200);
}

#[test]
fn lets_a_webhook_through_untouched() {
    let rig = Rig::new().with(|layer| layer.origin(|_| Origin::Webhook));
    let two = [("x-api-token", "a"), ("authorization", "Bearer b")];
    for headers in [&[][..], &two] {
        let answer = rig.ask("POST", "/", headers);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.numbers(), [Some("7"), None, None, None, None]);
    }
    rig.set(BROKEN);
    assert_eq!(rig.post().status, 200);
}

#[test]
fn refuses_when_the_clock_cannot_be_read() {
    let rig = Rig::new();
    rig.set(BROKEN);
    let refused = rig.get();
    assert_eq!(
        (refused.status, refused.body.as_str()),
        (503, UNAVAILABLE_BODY)
    );
    assert_eq!(refused.numbers(), [None, None, None, None, Some("1")]);
    rig.set(5_000);
    assert_eq!(rig.get().status, 200);
}

#[test]
fn answers_two_different_credentials_with_400_and_charges_neither() {
    let rig = Rig::new();
    let refused = rig.ask("GET", "/?api_token=a", &[("x-api-token", "o")]);
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.body,
        r#"{"success":false,"error":"conflicting credentials","errorCode":400}"#
    );
    assert_eq!(refused.header("content-type"), Some("application/json"));
    assert_eq!((rig.calls(), refused.numbers()), (0, [None; 5]));
    assert_eq!(rig.get().numbers()[1], Some("39"));
    let same = rig.ask("GET", "/?api_token=a", A);
    assert_eq!(same.numbers()[1], Some("38"));
}

#[test]
fn a_post_in_lower_case_does_not_escape_the_daily_count() {
    let rig = Rig::new();
    for (method, left) in [("post", "9999"), ("Put", "9998"), ("POST", "9997")] {
        let answer = rig.ask(method, "/v1", A);
        assert_eq!(answer.numbers()[3], Some(left), "{method}");
    }
    assert_eq!(rig.ask("posts", "/v1", A).numbers()[3], None);
}
