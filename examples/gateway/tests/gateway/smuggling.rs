//! Requests that two servers might read differently, so that one hides in another.

use crate::rig::{OK, Rig};
use gateway::Settings;
use limiter_host::PathOrigins;
use limiter_host::config::PolicyFile;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A gateway before a server that keeps every byte it gets and answers each read.
async fn rig() -> (Rig, Arc<Mutex<Vec<u8>>>) {
    rig_with(PathOrigins::default()).await
}

async fn rig_with(origins: PathOrigins) -> (Rig, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let got = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&got);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let kept = Arc::clone(&kept);
            tokio::spawn(async move {
                let mut buffer = [0; 4_096];
                loop {
                    let read = stream.read(&mut buffer).await.unwrap_or(0);
                    if read == 0 {
                        break;
                    }
                    let whole = {
                        let mut kept = kept.lock().unwrap();
                        kept.extend_from_slice(&buffer[..read]);
                        kept.ends_with(b"0\r\n\r\n") || kept.ends_with(b"\r\n\r\n")
                    };
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                    if whole && stream.write_all(answer).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    let settings = Settings {
        upstream: Some(format!("http://{address}").parse().unwrap()),
        policy: PolicyFile {
            origins,
            ..PolicyFile::default()
        },
        ..Settings::default()
    };
    (Rig::start_with(settings).await, got)
}

#[tokio::test]
async fn refuses_what_has_two_readings_before_anyone_else_sees_it() {
    let (rig, got) = rig().await;
    for (what, fields) in [
        ("two lengths", "content-length: 1\r\ncontent-length: 2\r\n"),
        ("two lengths in one field", "content-length: 1, 2\r\n"),
        ("a signed length", "content-length: +5\r\n"),
        ("a length that is no number", "content-length: 0x5\r\n"),
        (
            "a length beyond all bounds",
            "content-length: 99999999999999999999\r\n",
        ),
        (
            "a coding that is not chunked",
            "transfer-encoding: xchunked\r\n",
        ),
        (
            "chunked, and not last",
            "transfer-encoding: chunked, identity\r\n",
        ),
        ("a space before the colon", "content-length : 5\r\n"),
        ("a folded field", "x: a\r\n content-length: 5\r\n"),
        ("a bare carriage return", "x: a\rcontent-length: 5\r\n"),
        ("a zero byte", "x: a\0\r\n"),
    ] {
        let request =
            format!("POST / HTTP/1.1\r\nhost: h\r\nx-api-token: martin-1\r\n{fields}\r\nhello");
        let answer = rig.raw(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{what}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{what}: {answer}");
    }
    let old =
        b"POST / HTTP/1.0\r\nx-api-token: martin-1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let answer = rig.raw(old).await;
    assert!(
        answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.0 400 "),
        "{answer}"
    );
    assert!(got.lock().unwrap().is_empty());
    // None of them was charged.
    let answer = rig.with("martin-1", "GET", "/").await;
    assert_eq!((answer.status, answer.numbers()[1]), (OK, Some(39)));
}

#[tokio::test]
async fn reads_a_length_beside_chunks_as_chunks_and_nothing_after_them() {
    let (rig, got) = rig().await;
    for fields in [
        "content-length: 4\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 4\r\n",
    ] {
        got.lock().unwrap().clear();
        let request = format!(
            "POST /first HTTP/1.1\r\nhost: h\r\nx-api-token: martin-1\r\n{fields}\r\n\
             5\r\nhello\r\n0\r\n\r\n\
             GET /hidden HTTP/1.1\r\nhost: h\r\nx-api-token: martin-1\r\n\r\n"
        );
        // It closes after one answer (RFC 9112, section 6.1).
        let answer = rig.raw(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        let got = String::from_utf8(got.lock().unwrap().clone()).unwrap();
        assert!(got.starts_with("POST /first HTTP/1.1\r\n"), "{got}");
        assert!(got.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{got}");
        assert!(!got.contains("hidden"), "{got}");
        assert!(
            !got.to_ascii_lowercase().contains("content-length"),
            "{got}"
        );
    }
}

/// Sends heads, with a token and without a body, that are to be refused with a status, closed after
/// it, not charged and not forwarded.
async fn refuses(status: &str, heads: &[&str]) {
    let (rig, got) = rig().await;
    for head in heads {
        let request = format!(
            "{head}\r\nx-api-token: martin-1\r\n\r\n\
             GET /hidden HTTP/1.1\r\nhost: h\r\nx-api-token: martin-1\r\n\r\n"
        );
        let answer = rig.raw(request.as_bytes()).await;
        let statuses: Vec<_> = answer
            .lines()
            .filter(|l| l.starts_with("HTTP/1."))
            .collect();
        assert_eq!(statuses.len(), 1, "{head}: {answer}");
        assert_eq!(&statuses[0][9..12], status, "{head}: {answer}");
    }
    assert!(got.lock().unwrap().is_empty());
    let answer = rig.with("martin-1", "GET", "/").await;
    assert_eq!((answer.status, answer.numbers()[1]), (OK, Some(39)));
}

/// Sends a head that is to be forwarded; returns what the upstream got.
async fn forwarded(origins: PathOrigins, head: &str) -> String {
    let (rig, got) = rig_with(origins).await;
    let request = format!("{head}\r\nx-api-token: martin-1\r\nconnection: close\r\n\r\n");
    let answer = rig.raw(request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{head}: {answer}");
    let got = got.lock().unwrap().clone();
    String::from_utf8(got).unwrap()
}

#[tokio::test]
async fn lets_no_method_in_lower_case_through_uncounted() {
    let heads = [
        "post", "Post", "put", "get", "PROPFIND", "QUERY", "G-ET", "POSt",
    ]
    .map(|method| format!("{method} / HTTP/1.1\r\nhost: h"));
    refuses("400", &heads.each_ref().map(String::as_str)).await;
    refuses(
        "405",
        &[
            "TRACE / HTTP/1.1\r\nhost: h",
            "CONNECT h:80 HTTP/1.1\r\nhost: h:80",
        ],
    )
    .await;
}

#[tokio::test]
async fn refuses_a_host_that_is_missing_doubled_invalid_or_another_one() {
    refuses(
        "400",
        &[
            "GET / HTTP/1.1",
            "GET / HTTP/1.1\r\nhost: a\r\nhost: b",
            "GET / HTTP/1.1\r\nhost: a\r\nHost: a",
            "GET / HTTP/1.0\r\nhost: a\r\nhost: b",
            "GET / HTTP/1.1\r\nhost:",
            "GET / HTTP/1.1\r\nhost: a, b",
            "GET / HTTP/1.1\r\nhost: a b",
            "GET / HTTP/1.1\r\nhost: a/b",
            "GET / HTTP/1.1\r\nhost: u@a",
            "GET / HTTP/1.1\r\nhost: a:x",
            "GET / HTTP/1.1\r\nhost: a:99999",
            "GET / HTTP/1.1\r\nhost: [::1",
            "GET http://evil/ HTTP/1.1\r\nhost: h",
            "GET http://h:81/ HTTP/1.1\r\nhost: h",
            "GET http://u@h/ HTTP/1.1\r\nhost: h",
            "GET gopher://h/ HTTP/1.1\r\nhost: h",
            "GET http://h/ HTTP/1.1",
        ],
    )
    .await;
}

#[tokio::test]
async fn drops_no_transfer_coding_that_it_does_not_undo() {
    let head =
        |codings: &str| format!("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: {codings}");
    let heads = [
        "gzip, chunked",
        "gzip\r\ntransfer-encoding: chunked",
        "identity, chunked",
        ", chunked",
        "x, chunked",
    ]
    .map(head);
    refuses("501", &heads.each_ref().map(String::as_str)).await;
    let heads = [
        "chunked, chunked",
        "chunked\r\ntransfer-encoding: chunked",
        "chunked, gzip",
    ]
    .map(head);
    refuses("400", &heads.each_ref().map(String::as_str)).await;
}

#[tokio::test]
async fn forwards_one_length_where_one_was_repeated() {
    let (rig, got) = rig().await;
    let request = b"POST / HTTP/1.1\r\nhost: h\r\nx-api-token: martin-1\r\nconnection: close\r\n\
        content-length: 4\r\ncontent-length: 4\r\n\r\n\r\n\r\n";
    let answer = rig.raw(request).await;
    let got = String::from_utf8(got.lock().unwrap().clone()).unwrap();
    if answer.starts_with("HTTP/1.1 200 ") {
        assert_eq!(
            got.to_ascii_lowercase().matches("content-length").count(),
            1,
            "{got}"
        );
    } else {
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(got.is_empty(), "{got}");
    }
}

#[tokio::test]
async fn exempts_no_path_that_leads_out_of_the_prefix() {
    let heads = [
        "/webhooks/%252e%252e/v1",
        "/webhooks/%c0%ae%c0%ae/v1",
        "/webhooks/%c0%af../v1",
        "/webhooks/..%00/v1",
        "/webhooks/../v1",
        "/webhooks/%2e%2e/v1",
        "/webhooks/..;/v1",
        "/webhooks/..%3b/v1",
        "/webhooks/..%5cv1",
        "/webhooks/..\\v1",
        "/webhooks/%u002e%u002e/v1",
        "/webhooks/%2",
        "/webhooks//v1",
        "/webhooks/%2Fv1",
        "/v1/%2e%2e/webhooks/1",
        "//webhooks/1",
    ]
    .map(|path| format!("POST {path} HTTP/1.1\r\nhost: h"));
    refuses("400", &heads.each_ref().map(String::as_str)).await;
    // Where nothing is exempt, nothing can be led out of it.
    for path in ["/webhooks//v1", "/v1/a%2Fb", "/v1/100%25", "/v1;a=1"] {
        let head = format!("POST {path} HTTP/1.1\r\nhost: h");
        let got = forwarded(PathOrigins::none(), &head).await;
        assert!(
            got.starts_with(&format!("POST {path} HTTP/1.1\r\n")),
            "{got}"
        );
    }
}

#[tokio::test]
async fn forwards_the_path_that_was_judged_and_the_query_as_it_came() {
    let head = "GET /v1/%7ea%2d%41%2f%c3%a9?q=%7e%2e/../%2f HTTP/1.1\r\nhost: h";
    let got = forwarded(PathOrigins::default(), head).await;
    assert!(
        got.starts_with("GET /v1/~a-A%2F%C3%A9?q=%7e%2e/../%2f HTTP/1.1\r\n"),
        "{got}"
    );
    let absolute = "GET http://h/%76%31 HTTP/1.1\r\nhost: h";
    let got = forwarded(PathOrigins::default(), absolute).await;
    assert!(got.starts_with("GET /v1 HTTP/1.1\r\n"), "{got}");
}

#[tokio::test]
async fn forwards_no_field_in_which_a_client_claims_an_address_or_a_target() {
    let fields = [
        "X-Original-URL",
        "X-Rewrite-URL",
        "True-Client-IP",
        "CF-Connecting-IP",
        "X-Client-IP",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Real-IP",
        "X_Forwarded_For",
        "X_Real_IP",
        "X-Forwarded_Proto",
        "True_Client_IP",
        "X_Api_Token",
        "Content_Length",
        "X-HTTP-Method-Override",
    ];
    let lines = fields.map(|name| format!("{name}: 10.0.0.1\r\n")).concat();
    let head = format!("GET /v1 HTTP/1.1\r\nhost: h\r\n{lines}x-mine: kept");
    let got = forwarded(PathOrigins::none(), &head)
        .await
        .to_ascii_lowercase();
    assert!(!got.contains("10.0.0.1"), "{got}");
    assert!(got.contains("x-mine: kept\r\n"), "{got}");
    assert!(got.contains("x-forwarded-for: 127.0.0.1\r\n"), "{got}");
}
