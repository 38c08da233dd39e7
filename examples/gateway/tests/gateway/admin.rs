//! The listener for operators.

use crate::rig::{Answer, OK, Rig};
use bytes::Bytes;
use gateway::Settings;
use gateway::settings::AdminSettings;
use http_body_util::Full;
use hyper::Request;
use limiter_host::PathOrigins;
use limiter_host::config::PolicyFile;
use serde_json::{Value, json};

async fn rig() -> Rig {
    Rig::start_with(Settings {
        admin: Some(AdminSettings {
            listen: "127.0.0.1:0".to_owned(),
            hosts: vec!["ops.example".to_owned()],
        }),
        policy: PolicyFile {
            origins: PathOrigins::default(),
            ..PolicyFile::default()
        },
        ..Settings::default()
    })
    .await
}

/// Asks the admin listener; a header given replaces one that would be there anyway.
async fn ask(
    rig: &Rig,
    method: &str,
    path: &str,
    headers: &[(&'static str, &str)],
    body: &str,
) -> Answer {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", rig.admin.unwrap()))
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    rig.send(request).await
}

async fn status(rig: &Rig) -> Value {
    let answer = ask(rig, "GET", "/status", &[], "").await;
    assert_eq!(answer.status, OK);
    // Else an answer of less than half a second ago would be given again.
    serde_json::from_str(&answer.body).unwrap()
}

/// The token that a page has to show.
async fn csrf(rig: &Rig) -> String {
    let page = ask(rig, "GET", "/", &[], "").await.body;
    let token = page.split("name=\"csrf\" content=\"").nth(1).unwrap();
    token.split('"').next().unwrap().to_owned()
}

/// A rig on which `demo-essential` is blocked.
async fn blocked() -> Rig {
    let rig = rig().await;
    for _ in 0..120 {
        rig.with("demo-essential", "GET", "/").await;
    }
    assert_eq!(rig.with("demo-essential", "GET", "/").await.status, 403);
    rig
}

#[tokio::test]
async fn tells_counts_tokens_and_health_and_no_credential() {
    let rig = blocked().await;
    rig.with("demo-oauth-advanced", "POST", "/").await;
    rig.ask("POST", "/webhooks/1", &[]).await;
    rig.ask("GET", "/", &[]).await;
    let answer = ask(&rig, "GET", "/status", &[], "").await;
    assert!(!answer.body.contains("demo-"), "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let status: Value = serde_json::from_str(&answer.body).unwrap();
    let decisions = &status["decisions"];
    let counted = [
        "admitted",
        "exempt",
        "window",
        "blocked",
        "unauthenticated",
        "daily",
    ];
    let counted = counted.map(|outcome| decisions[outcome].as_u64().unwrap());
    assert_eq!(counted, [21, 1, 100, 1, 1, 0]);
    let tokens = &status["tokens"];
    assert_eq!(tokens["blocked_in_all"], 1);
    assert_eq!(tokens["blocked"][0]["blocked_ms"], 300_000);
    assert_eq!(tokens["busiest"][0]["used"], 20);
    assert_eq!(tokens["busiest"][0]["limit"], 20);
    assert_eq!(tokens["busiest"][1]["kind"], "access_token");
    assert_eq!(status["clock"]["state"], "ok");
    assert_eq!(status["calendar"]["state"], "current");
    assert_eq!(status["calendar"]["ends_in_ms"], 12 * 3_600_000);
    assert_eq!(
        status["table"]["tokens"],
        json!({ "used": 10, "most": 1_024 })
    );
    assert_eq!(status["connections"]["most"], 1_024);
    assert_eq!(status["policy"]["daily_limit"], 10_000);
}

#[tokio::test]
async fn lifts_a_block_for_who_shows_the_token_and_for_nobody_else() {
    let rig = blocked().await;
    let id = status(&rig).await["tokens"]["blocked"][0]["id"].clone();
    let body = json!({ "token": id }).to_string();
    let csrf = csrf(&rig).await;
    let own = format!("http://{}", rig.admin.unwrap());
    for headers in [
        &[][..],
        &[("x-csrf-token", "0123456789abcdef0123456789abcdef")],
        &[("x-csrf-token", &csrf), ("origin", "http://evil.example")],
        &[("x-csrf-token", &csrf), ("origin", "null")],
        &[("x-csrf-token", &csrf), ("sec-fetch-site", "cross-site")],
    ] {
        let refused = ask(&rig, "POST", "/unblock", headers, &body).await;
        assert_eq!(refused.status, 403, "{headers:?}");
    }
    let headers = [("x-csrf-token", csrf.as_str()), ("origin", &own)];
    for (wrong, status) in [
        ("", 400),
        (r#"{"token":"xyz"}"#, 400),
        (r#"{"token":"0000000000000000"}"#, 400),
        (r#"{"token":"0000000000000001"}"#, 404),
        (r#"{"token":"0000000000000001","more":1}"#, 400),
    ] {
        let refused = ask(&rig, "POST", "/unblock", &headers, wrong).await;
        assert_eq!(refused.status, status, "{wrong}");
    }
    assert_eq!(rig.with("demo-essential", "GET", "/").await.status, 403);

    let lifted = ask(&rig, "POST", "/unblock", &headers, &body).await;
    assert_eq!(
        (lifted.status, lifted.body.as_str()),
        (OK, r#"{"success":true}"#)
    );
    assert_eq!(status(&rig).await["tokens"]["blocked_in_all"], 0);
    // The window stays used.
    assert_eq!(rig.with("demo-essential", "GET", "/").await.status, 429);
}

#[tokio::test]
async fn answers_to_no_name_that_somebody_else_may_point_here() {
    let rig = rig().await;
    for (host, status) in [
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost", OK),
        ("ops.example:80", OK),
    ] {
        for path in ["/", "/status"] {
            let answer = ask(&rig, "GET", path, &[("host", host)], "").await;
            assert_eq!(answer.status, status, "{host}{path}");
            assert!(answer.status == OK || !answer.body.contains("csrf"));
        }
    }
}

#[tokio::test]
async fn sends_a_page_that_runs_nothing_but_its_own() {
    let rig = rig().await;
    let page = ask(&rig, "GET", "/", &[], "").await;
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'nonce-"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    let nonce = policy
        .split("'nonce-")
        .nth(1)
        .unwrap()
        .split('\'')
        .next()
        .unwrap();
    assert_eq!(page.body.matches(nonce).count(), 2);
    assert!(!page.body.contains("{nonce}") && !page.body.contains("{csrf}"));
    // No resource of another place; the one other address names a vocabulary.
    let addresses = page.body.matches("http://").count() + page.body.matches("https://").count();
    assert_eq!(
        addresses,
        page.body.matches("http://www.w3.org/2000/svg").count()
    );
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(page.header(name), Some(value));
    }
    let again = ask(&rig, "GET", "/", &[], "").await;
    assert_ne!(again.header("content-security-policy"), Some(policy));
}

#[tokio::test]
async fn serves_operators_on_no_other_listener_and_nothing_else_here() {
    let rig = rig().await;
    assert_eq!(rig.ask("GET", "/status", &[]).await.status, 401);
    for (method, path, status) in [
        ("GET", "/v1/deals", 404),
        ("POST", "/status", 405),
        ("GET", "/unblock", 405),
        ("HEAD", "/", OK),
    ] {
        let answer = ask(&rig, method, path, &[], "").await;
        assert_eq!(answer.status, status, "{method} {path}");
    }
    assert!(Rig::start().await.admin.is_none());
}

#[tokio::test]
async fn tells_prometheus_what_each_metric_is_and_no_credential() {
    let rig = blocked().await;
    let answer = ask(&rig, "GET", "/metrics", &[], "").await;
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    for line in [
        r#"limiter_decisions_total{outcome="admitted"} 20"#,
        r#"limiter_decisions_total{outcome="window"} 100"#,
        r#"limiter_decisions_total{outcome="blocked"} 1"#,
        "limiter_decision_seconds_count 121",
        "limiter_blocked_tokens 1",
        r#"limiter_table_occupied{table="tokens"} 10"#,
        "gateway_connections_limit 1024",
        "gateway_config_refused 0",
    ] {
        assert!(
            answer.body.lines().any(|one| one == line),
            "{line}\n{}",
            answer.body
        );
    }
    assert!(!answer.body.contains("demo-"));
    let types = answer
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    for name in types.map(|kind| kind.split(' ').next().unwrap()) {
        let help = format!("# HELP {name} ");
        assert!(
            answer.body.lines().any(|line| line.starts_with(&help)),
            "{name}"
        );
    }
}
