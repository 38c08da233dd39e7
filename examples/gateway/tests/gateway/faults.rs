//! Failures, each counted on the side that caused it.

use crate::rig::{OK, Rig};
use gateway::Settings;
use gateway::settings::AdminSettings;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A server behind that reads to the end of a request's body, marked by `END`, and then answers each
/// connection with some bytes and closes it.
async fn upstream(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut got, mut buffer) = (Vec::new(), [0; 4_096]);
                loop {
                    let read = stream.read(&mut buffer).await.unwrap_or(0);
                    got.extend_from_slice(&buffer[..read]);
                    let bodiless = got.starts_with(b"GET") && got.ends_with(b"\r\n\r\n");
                    if read == 0 || bodiless || got.windows(3).any(|window| window == b"END") {
                        break;
                    }
                }
                // The gateway may have gone.
                let _ = stream.write_all(answer).await;
            });
        }
    });
    address
}

async fn before(upstream: SocketAddr) -> Rig {
    Rig::start_with(Settings {
        upstream: Some(format!("http://{upstream}").parse().unwrap()),
        upstream_timeout: Duration::from_secs(2),
        admin: Some(AdminSettings {
            listen: "127.0.0.1:0".to_owned(),
            hosts: Vec::new(),
        }),
        ..Settings::default()
    })
    .await
}

/// The faults that were counted, those of 0 left out.
async fn faults(rig: &Rig) -> Vec<String> {
    let request = format!("http://{}/metrics", rig.admin.unwrap());
    let request = hyper::Request::get(request).body(http_body_util::Full::default());
    let metrics = rig.send(request.unwrap()).await.body;
    let faults = metrics.lines().filter_map(|line| {
        let line = line.strip_prefix("gateway_")?;
        let (side, rest) = line.split_once("_failures_total{kind=\"")?;
        let (kind, count) = rest.split_once("\"} ")?;
        (count != "0").then(|| format!("{side} {kind} {count}"))
    });
    faults.collect()
}

/// Waits until faults are counted, which they are once the gateway has seen a client go.
async fn faults_at_last(rig: &Rig) -> Vec<String> {
    loop {
        let faults = faults(rig).await;
        if !faults.is_empty() {
            return faults;
        }
        tokio::task::yield_now().await;
    }
}

const HALF: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
const EMPTY: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
const UPLOAD: &[u8] =
    b"POST / HTTP/1.1\r\nhost: h\r\nx-api-token: martin-1\r\ncontent-length: 99\r\n\r\nhello";

#[tokio::test]
async fn counts_a_cancelled_upload_as_the_clients_fault() {
    let rig = before(upstream(EMPTY).await).await;
    let mut client = TcpStream::connect(rig.address).await.unwrap();
    client.write_all(UPLOAD).await.unwrap();
    drop(client);
    assert_eq!(faults_at_last(&rig).await, ["client cancelled 1"]);
}

#[tokio::test]
async fn answers_400_to_malformed_chunks_and_counts_them_as_the_clients_fault() {
    let rig = before(upstream(EMPTY).await).await;
    for (number, chunks) in [
        "zz\r\n",
        "5\r\nhelloXX",
        "5\r\nhello\r\n-1\r\n",
        "fffffffffffffffff\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        let request = format!(
            "POST / HTTP/1.1\r\nhost: h\r\nx-api-token: martin-1\r\n\
             transfer-encoding: chunked\r\n\r\n{chunks}\r\n"
        );
        let answer = rig.raw(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{chunks}: {answer}");
        let counted = format!("client bad_body {}", number + 1);
        assert_eq!(faults(&rig).await, [counted], "{chunks}");
    }
}

#[tokio::test]
async fn counts_a_client_that_leaves_before_its_answer_as_the_clients_fault() {
    // It answers when the whole body has come, which it never does.
    let rig = before(upstream(HALF).await).await;
    let mut client = TcpStream::connect(rig.address).await.unwrap();
    client.write_all(UPLOAD).await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(faults_at_last(&rig).await, ["client cancelled 1"]);
}

#[tokio::test]
async fn counts_a_head_that_is_refused() {
    let rig = before(upstream(EMPTY).await).await;
    assert_eq!(rig.with("martin-1", "put", "/").await.status, 400);
    assert_eq!(rig.with("martin-1", "GET", "/%00").await.status, 400);
    assert_eq!(faults(&rig).await, ["client bad_head 2"]);
}

#[tokio::test]
async fn counts_what_the_upstream_fails_as_its_fault_alone() {
    let rig = before(upstream(HALF).await).await;
    let request = b"GET / HTTP/1.1\r\nhost: h\r\nx-api-token: martin-1\r\n\r\n";
    assert!(rig.raw(request).await.ends_with("half"));
    assert_eq!(faults(&rig).await, ["upstream broken_off 1"]);

    let rig = before(upstream(b"garbage\r\n\r\n").await).await;
    assert_eq!(rig.with("martin-1", "GET", "/").await.status, 502);
    assert_eq!(faults(&rig).await, ["upstream failed 1"]);

    let rig = before(upstream(EMPTY).await).await;
    let answer = rig.with("martin-1", "GET", "/").await;
    assert_eq!(
        (answer.status, faults(&rig).await),
        (OK, Vec::<String>::new())
    );
}

#[tokio::test(start_paused = true)]
async fn waits_longer_for_a_client_than_for_the_upstream() {
    // Five seconds are more than the upstream's two, and less than a client's ten.
    let rig = before(upstream(EMPTY).await).await;
    let mut client = TcpStream::connect(rig.address).await.unwrap();
    client.write_all(UPLOAD).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    client.write_all(&[b'-'; 91]).await.unwrap();
    client.write_all(b"END").await.unwrap();
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}
