//! What the limiter does to those who ask.

use crate::rig::{OK, Rig};
use gateway::Settings;
use limiter_host::PathOrigins;
use limiter_host::config::PolicyFile;

const OVER_LIMIT: &str = r#"{"success":false,"error":"request over limit","errorCode":429}"#;
const UNAUTHORIZED: &str = r#"{"success":false,"error":"unauthorized access","errorCode":401}"#;

#[tokio::test]
async fn answers_the_pages_example_to_the_letter() {
    let rig = Rig::start().await;
    let post = rig.with("demo-advanced", "POST", "/v1/deals").await;
    assert_eq!(post.status, OK);
    assert_eq!(post.header("content-type"), Some("application/json"));
    assert_eq!(
        post.numbers(),
        [Some(40), Some(39), Some(2), Some(9_999), None]
    );
    let get = rig.with("demo-advanced", "GET", "/v1/deals").await;
    assert_eq!(get.numbers(), [Some(40), Some(38), Some(2), None, None]);
}

#[tokio::test]
async fn refuses_the_41st_request_within_the_window_and_admits_the_next_window() {
    let rig = Rig::start().await;
    for left in (0..40).rev() {
        let answer = rig.with("demo-advanced", "POST", "/v1/deals").await;
        assert_eq!((answer.status, answer.numbers()[1]), (OK, Some(left)));
    }
    let refused = rig.with("demo-advanced", "POST", "/v1/deals").await;
    assert_eq!((refused.status, refused.body.as_str()), (429, OVER_LIMIT));
    assert_eq!(refused.header("content-type"), Some("application/json"));
    assert_eq!(
        refused.numbers(),
        [Some(40), Some(0), Some(2), Some(9_960), Some(2)]
    );
    rig.pass(1_999);
    let refused = rig.with("demo-advanced", "GET", "/v1/deals").await;
    assert_eq!((refused.status, refused.numbers()[4]), (429, Some(1)));
    rig.pass(1);
    assert_eq!(
        rig.with("demo-advanced", "GET", "/v1/deals").await.status,
        OK
    );
}

#[tokio::test]
async fn gives_every_demo_token_the_limit_of_its_plan_and_kind() {
    let rig = Rig::start().await;
    for (token, limit, daily) in [
        ("demo-essential", 20, Some(9_999)),
        ("demo-advanced", 40, Some(9_999)),
        ("demo-professional", 80, Some(9_999)),
        ("demo-enterprise", 120, Some(9_999)),
        ("martin-1", 40, Some(9_999)),
        ("demo-oauth-essential", 80, None),
        ("demo-oauth-advanced", 160, None),
        ("demo-oauth-professional", 320, None),
        ("demo-oauth-enterprise", 480, None),
    ] {
        let bearer = format!("Bearer {token}");
        let answer = rig.ask("PUT", "/", &[("authorization", &bearer)]).await;
        let numbers = [Some(limit), Some(limit - 1), Some(2), daily, None];
        assert_eq!((answer.status, answer.numbers()), (OK, numbers), "{token}");
    }
}

#[tokio::test]
async fn counts_the_day_over_both_integrations_of_martin() {
    let rig = Rig::start().await;
    let mut left = None;
    for (token, method, requests) in [
        ("martin-1", "POST", 350),
        ("martin-2", "POST", 100),
        ("martin-2", "PUT", 100),
    ] {
        for request in 0..requests {
            if request % 40 == 0 {
                rig.pass(2_000);
            }
            let answer = rig.with(token, method, "/v1/deals").await;
            assert_eq!(answer.status, OK);
            left = answer.numbers()[3];
        }
    }
    assert_eq!(left, Some(9_450));
    // The next UTC day, all is there again.
    rig.pass(12 * 3_600_000);
    let answer = rig.with("martin-1", "POST", "/v1/deals").await;
    assert_eq!(answer.numbers()[3], Some(9_999));
}

#[tokio::test]
async fn refuses_writes_for_the_rest_of_the_day_and_reads_never() {
    let policy = "preset = 'pipedrive'\ndaily.limit = 3\n";
    let rig = Rig::start_with(Settings {
        policy: PolicyFile::parse(policy, "p").unwrap(),
        ..Settings::default()
    })
    .await;
    for left in [2, 1, 0] {
        let answer = rig.with("martin-1", "POST", "/").await;
        assert_eq!((answer.status, answer.numbers()[3]), (OK, Some(left)));
    }
    let refused = rig.with("martin-2", "PUT", "/").await;
    assert_eq!((refused.status, refused.body.as_str()), (429, OVER_LIMIT));
    let until_midnight = 12 * 3_600;
    let numbers = [Some(40), Some(40), Some(2), Some(0), Some(until_midnight)];
    assert_eq!(refused.numbers(), numbers);
    assert_eq!(rig.with("martin-2", "GET", "/").await.status, OK);
}

#[tokio::test]
async fn counts_the_user_interface_but_not_its_day_and_webhooks_not_at_all() {
    let policy = PolicyFile {
        origins: PathOrigins::default(),
        ..PolicyFile::default()
    };
    let rig = Rig::start_with(Settings {
        policy,
        ..Settings::default()
    })
    .await;
    let ui = rig.with("demo-advanced", "POST", "/ui/deals").await;
    assert_eq!(ui.numbers(), [Some(40), Some(39), Some(2), None, None]);
    for headers in [
        &[][..],
        &[("x-api-token", "demo-advanced")],
        &[("x-api-token", "no")],
    ] {
        let hook = rig.ask("POST", "/webhooks/1", headers).await;
        assert_eq!((hook.status, hook.numbers()), (OK, [None; 5]));
    }
    let api = rig.with("demo-advanced", "POST", "/v1/deals").await;
    assert_eq!(
        api.numbers(),
        [Some(40), Some(38), Some(2), Some(9_999), None]
    );
}

#[tokio::test]
async fn frees_no_path_of_a_limit_unless_told_to() {
    let rig = Rig::start().await;
    assert_eq!(rig.ask("POST", "/webhooks/1", &[]).await.status, 401);
    let ui = rig.with("demo-advanced", "POST", "/ui/deals").await;
    assert_eq!(
        ui.numbers(),
        [Some(40), Some(39), Some(2), Some(9_999), None]
    );
}

#[tokio::test]
async fn lets_a_preflight_request_through_only_if_told_to() {
    let preflight = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "POST"),
    ];
    let rig = Rig::start().await;
    assert_eq!(
        rig.ask("OPTIONS", "/v1/deals", &preflight).await.status,
        401
    );
    let rig = Rig::start_with(Settings {
        exempt_preflight: true,
        ..Settings::default()
    })
    .await;
    assert_eq!(rig.ask("OPTIONS", "/v1/deals", &preflight).await.status, OK);
    assert_eq!(rig.ask("OPTIONS", "/v1/deals", &[]).await.status, 401);
}

#[tokio::test]
async fn takes_origins_from_the_policy_file() {
    let policy = "preset = 'pipedrive'\norigins.webhook = ['/hooks/']\n";
    let rig = Rig::start_with(Settings {
        policy: PolicyFile::parse(policy, "p").unwrap(),
        ..Settings::default()
    })
    .await;
    assert_eq!(rig.ask("POST", "/hooks/1", &[]).await.status, OK);
    assert_eq!(rig.ask("POST", "/webhooks/1", &[]).await.status, 401);
}

#[tokio::test]
async fn asks_for_one_credential_that_it_knows() {
    let rig = Rig::start().await;
    for headers in [
        &[][..],
        &[("x-api-token", "nobody")],
        &[("authorization", "Basic ZGVtbw==")],
    ] {
        let refused = rig.ask("GET", "/", headers).await;
        assert_eq!((refused.status, refused.body.as_str()), (401, UNAUTHORIZED));
        assert_eq!(refused.numbers(), [None; 5]);
    }
    let path = "/?api_token=demo%2Dadvanced";
    let same = [
        ("x-api-token", "demo-advanced"),
        ("authorization", "bearer demo-advanced"),
    ];
    assert_eq!(rig.ask("GET", path, &same).await.numbers()[1], Some(39));
    let other = rig.with("demo-essential", "GET", path).await;
    assert_eq!(other.status, 400);
    assert_eq!(
        other.body,
        r#"{"success":false,"error":"conflicting credentials","errorCode":400}"#
    );
}

#[tokio::test]
async fn blocks_who_keeps_hammering_and_frees_him_after_300_s() {
    let rig = Rig::start().await;
    let ask = || rig.with("demo-essential", "GET", "/");
    for _ in 0..20 {
        assert_eq!(ask().await.status, OK);
    }
    for _ in 0..100 {
        assert_eq!(ask().await.status, 429);
    }
    let blocked = ask().await;
    assert_eq!(blocked.status, 403);
    assert_eq!(
        blocked.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(blocked.body.contains("Access denied"));
    assert_eq!(blocked.numbers(), [None, None, None, None, Some(300)]);
    assert_eq!(rig.with("martin-1", "GET", "/").await.status, OK);
    rig.pass(299_999);
    assert_eq!(ask().await.status, 403);
    rig.pass(1);
    let free = ask().await;
    assert_eq!((free.status, free.numbers()[1]), (OK, Some(19)));
}

#[tokio::test]
async fn never_blocks_an_oauth_token() {
    let rig = Rig::start().await;
    let ask = || rig.with("demo-oauth-essential", "GET", "/");
    for _ in 0..80 {
        assert_eq!(ask().await.status, OK);
    }
    for _ in 0..150 {
        assert_eq!(ask().await.status, 429);
    }
}

#[tokio::test]
async fn answers_head_with_the_headers_alone() {
    let rig = Rig::start().await;
    let admitted = rig.with("demo-essential", "HEAD", "/").await;
    assert_eq!((admitted.status, admitted.body.as_str()), (OK, ""));
    assert_eq!(
        admitted.numbers(),
        [Some(20), Some(19), Some(2), None, None]
    );
    let refused = rig.ask("HEAD", "/", &[]).await;
    assert_eq!((refused.status, refused.body.as_str()), (401, ""));
    let length = UNAUTHORIZED.len().to_string();
    assert_eq!(refused.header("content-length"), Some(length.as_str()));
}

#[tokio::test]
async fn answers_503_while_the_clock_is_broken_and_counts_on_after_that() {
    let rig = Rig::start().await;
    assert_eq!(rig.with("martin-1", "POST", "/").await.status, OK);
    let mend = rig.break_clock();
    let refused = rig.with("martin-1", "POST", "/").await;
    assert_eq!((refused.status, refused.numbers()[4]), (503, Some(1)));
    mend();
    let again = rig.with("martin-1", "POST", "/").await;
    assert_eq!((again.status, again.numbers()[3]), (OK, Some(9_998)));
}

#[tokio::test]
async fn goes_on_serving_after_garbage() {
    let rig = Rig::start().await;
    let answer = rig.raw(b"\x16\x03\x01 what is this\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let two_lengths =
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na";
    let answer = rig.raw(two_lengths).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(rig.with("demo-advanced", "GET", "/").await.status, OK);
}
