//! Connections to the server behind, kept and lost.

use crate::rig::{OK, Rig};
use bytes::Bytes;
use gateway::Settings;
use gateway::settings::AdminSettings;
use http_body_util::Full;
use hyper::Request;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// The first lines of the requests that a server got, each with the number of its connection.
type Log = Arc<Mutex<Vec<(usize, String)>>>;

/// A server behind that answers `most` requests on each connection, and closes it, without an answer,
/// when it has read one more.
async fn upstream(most: usize, field: &'static str) -> (SocketAddr, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let log = Log::default();
    let kept = Arc::clone(&log);
    tokio::spawn(async move {
        let mut number = 0;
        while let Ok((mut stream, _)) = listener.accept().await {
            number += 1;
            let kept = Arc::clone(&kept);
            tokio::spawn(async move {
                let mut buffer = [0; 4_096];
                for request in 0.. {
                    let read = stream.read(&mut buffer).await.unwrap_or(0);
                    let Some(line) = buffer[..read].split(|&byte| byte == b'\r').next() else {
                        break;
                    };
                    if read == 0 {
                        break;
                    }
                    let line = String::from_utf8(line.to_vec()).unwrap();
                    kept.lock().unwrap().push((number, line));
                    if request == most {
                        break;
                    }
                    let answer = format!("HTTP/1.1 200 OK\r\n{field}content-length: 0\r\n\r\n");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    (address, log)
}

async fn before(upstream: SocketAddr) -> Rig {
    Rig::start_with(Settings {
        upstream: Some(format!("http://{upstream}").parse().unwrap()),
        admin: Some(AdminSettings {
            listen: "127.0.0.1:0".to_owned(),
            hosts: Vec::new(),
        }),
        ..Settings::default()
    })
    .await
}

async fn metric(rig: &Rig, name: &str) -> u64 {
    let request = Request::get(format!("http://{}/metrics", rig.admin.unwrap()));
    let metrics = rig.send(request.body(Full::default()).unwrap()).await.body;
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap().parse().unwrap()
}

fn numbers(log: &Log) -> Vec<usize> {
    let log = log.lock().unwrap();
    log.iter().map(|(number, _)| *number).collect()
}

#[tokio::test]
async fn sends_an_idempotent_request_again_that_met_a_closing_connection() {
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
        let (address, log) = upstream(1, "").await;
        let rig = before(address).await;
        for _ in 0..2 {
            assert_eq!(
                rig.with("martin-1", method, "/").await.status,
                OK,
                "{method}"
            );
        }
        // The second one was lost on the first connection.
        assert_eq!(numbers(&log), [1, 1, 2], "{method}");
        assert_eq!(metric(&rig, "gateway_upstream_retries_total").await, 1);
        let failed = "gateway_upstream_failures_total{kind=\"failed\"}";
        assert_eq!(metric(&rig, failed).await, 0);
    }
}

#[tokio::test]
async fn sends_no_request_again_that_may_have_been_carried_out() {
    let ask = |rig: &Rig, method: &str, body: &'static [u8]| {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}/", rig.address))
            .header("x-api-token", "martin-1");
        request.body(Full::new(Bytes::from_static(body))).unwrap()
    };
    // One that is not idempotent, and one of whose body some was read.
    for (method, body) in [("POST", &b""[..]), ("PATCH", b""), ("PUT", b"body")] {
        let (address, log) = upstream(1, "").await;
        let rig = before(address).await;
        assert_eq!(rig.with("martin-1", "GET", "/").await.status, OK);
        let lost = rig.send(ask(&rig, method, body)).await;
        assert_eq!(lost.status, 502, "{method}");
        assert_eq!(numbers(&log), [1, 1], "{method}");
        assert_eq!(metric(&rig, "gateway_upstream_retries_total").await, 0);
    }
}

#[tokio::test]
async fn sends_a_request_only_once_more() {
    // Every connection is closed by its first request.
    let (address, log) = upstream(0, "").await;
    let rig = before(address).await;
    assert_eq!(rig.with("martin-1", "GET", "/").await.status, 502);
    assert_eq!(numbers(&log), [1]);
}

#[tokio::test(start_paused = true)]
async fn gives_a_connection_up_before_the_upstream_closes_it() {
    // (what the upstream says, pauses in ms, connections of the requests)
    for (field, pauses, connections) in [
        ("keep-alive: timeout=3\r\n", [1_900, 2_100], [1, 1, 2]),
        ("keep-alive: timeout=60\r\n", [3_900, 4_100], [1, 1, 2]),
        ("", [3_900, 4_100], [1, 1, 2]),
        ("keep-alive: timeout=0\r\n", [0, 0], [1, 2, 3]),
    ] {
        let (address, log) = upstream(9, field).await;
        let rig = before(address).await;
        assert_eq!(rig.with("martin-1", "POST", "/").await.status, OK);
        for pause in pauses {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            assert_eq!(rig.with("martin-1", "POST", "/").await.status, OK);
        }
        assert_eq!(numbers(&log), connections, "{field}");
    }
}

#[tokio::test]
async fn keeps_no_connection_if_told_so() {
    let (address, log) = upstream(9, "").await;
    let rig = Rig::start_with(Settings {
        upstream: Some(format!("http://{address}").parse().unwrap()),
        upstream_idle: Duration::ZERO,
        ..Settings::default()
    })
    .await;
    for _ in 0..2 {
        assert_eq!(rig.with("martin-1", "GET", "/").await.status, OK);
    }
    assert_eq!(numbers(&log), [1, 2]);
}
