//! Requests that two servers might read differently, so that one hides in another.

use crate::rig::{OK, Rig};
use gateway::Settings;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A gateway before a server that keeps every byte it gets and answers each read.
async fn rig() -> (Rig, Arc<Mutex<Vec<u8>>>) {
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
