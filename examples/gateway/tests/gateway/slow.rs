//! Clients that are too slow, ask for too much, or never stop. Time is virtual: it passes when
//! nobody has anything to do.

use crate::program::file;
use crate::rig::{OK, Rig};
use bytes::Bytes;
use gateway::Settings;
use gateway::listener::ConnectionLimits;
use gateway::tls::TlsFiles;
use http_body_util::channel::Channel;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use std::convert::Infallible;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Sends bytes one by one, a second apart, until the gateway closes; what it said, and after how
/// long.
async fn drip(rig: &Rig, head: &[u8], drop: u8) -> (String, Duration) {
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    stream.write_all(head).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let start = Instant::now();
    let mut answer = Vec::new();
    let dripping = async {
        while writer.write_all(&[drop]).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        // Its end, or a reset.
        _ = reader.read_to_end(&mut answer) => {}
        () = dripping => {}
    }
    let answer = String::from_utf8(answer).unwrap();
    (answer, start.elapsed())
}

#[tokio::test(start_paused = true)]
async fn closes_after_10_s_on_a_head_that_comes_a_byte_a_second() {
    let rig = Rig::start().await;
    let (answer, after) = drip(&rig, b"GET / HTTP/1.1\r\nhost: h\r\nx: ", b'a').await;
    assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    assert!((10..=11).contains(&after.as_secs()), "{after:?}");
    assert_eq!(rig.with("martin-1", "GET", "/").await.status, OK);
}

#[tokio::test(start_paused = true)]
async fn closes_after_10_s_on_a_connection_that_asks_nothing_or_nothing_more() {
    let rig = Rig::start().await;
    for first in [
        &b""[..],
        b"GET / HTTP/1.1\r\nhost: h\r\nx-api-token: martin-1\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        stream.write_all(first).await.unwrap();
        let start = Instant::now();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(
            answer.starts_with("HTTP/1.1 200"),
            !first.is_empty(),
            "{answer}"
        );
        assert!((10..=11).contains(&start.elapsed().as_secs()));
    }
}

#[tokio::test(start_paused = true)]
async fn closes_after_10_s_on_a_handshake_that_does_not_come() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let rig = Rig::start_with(Settings {
        tls: Some(TlsFiles {
            cert: file("slow-cert.pem", &cert.pem()).into(),
            key: file("slow-key.pem", &signing_key.serialize_pem()).into(),
        }),
        ..Settings::default()
    })
    .await;
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    // A record begins, and that is all.
    stream.write_all(b"\x16\x03\x01\x02").await.unwrap();
    let start = Instant::now();
    let _ = stream.read_to_end(&mut Vec::new()).await;
    assert!((10..=11).contains(&start.elapsed().as_secs()));
}

/// A server behind that reads bodies to their end, and answers `/endless` without one; tells when
/// such an answer is given up.
async fn upstream() -> (Settings, mpsc::UnboundedReceiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (given_up, gives_up) = mpsc::unbounded_channel();
    let answer = move |request: Request<Incoming>| {
        let given_up = given_up.clone();
        async move {
            let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
            if request.uri().path() == "/endless" {
                tokio::spawn(async move {
                    let part = Bytes::from_static(&[b'x'; 16 * 1024]);
                    while sender.send_data(part.clone()).await.is_ok() {}
                    given_up.send(()).unwrap();
                });
            } else {
                use http_body_util::BodyExt as _;
                request.into_body().collect().await?;
            }
            Ok::<_, hyper::Error>(Response::new(body))
        }
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer.clone()));
            tokio::spawn(connection);
        }
    });
    let settings = Settings {
        upstream: Some(format!("http://{address}").parse().unwrap()),
        ..Settings::default()
    };
    (settings, gives_up)
}

#[tokio::test(start_paused = true)]
async fn answers_408_to_a_body_that_comes_a_byte_a_second() {
    let rig = Rig::start_with(upstream().await.0).await;
    let head =
        b"POST / HTTP/1.1\r\nhost: h\r\nx-api-token: martin-1\r\ncontent-length: 999\r\n\r\n";
    let (answer, after) = drip(&rig, head, b'a').await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    // Ten bytes of a thousand a second earn no ten milliseconds.
    assert!((10..=11).contains(&after.as_secs()), "{after:?}");
    assert_eq!(rig.with("martin-1", "GET", "/").await.status, OK);
}

#[tokio::test(start_paused = true)]
async fn gives_up_an_answer_whose_reader_takes_nothing() {
    let (settings, mut gives_up) = upstream().await;
    let rig = Rig::start_with(settings).await;
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    stream
        .write_all(b"GET /endless HTTP/1.1\r\nhost: h\r\nx-api-token: martin-1\r\n\r\n")
        .await
        .unwrap();
    // The server behind is let go too.
    gives_up.recv().await.unwrap();
    assert_eq!(rig.with("martin-1", "GET", "/").await.status, OK);
}

#[tokio::test]
async fn answers_431_to_a_head_of_a_megabyte_and_to_a_hundred_and_one_fields() {
    let rig = Rig::start().await;
    let long = format!(
        "GET / HTTP/1.1\r\nhost: h\r\nx: {}\r\n\r\n",
        "a".repeat(1 << 20)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nhost: h\r\n{}\r\n",
        "x: a\r\n".repeat(100)
    );
    let target = format!("GET /{} HTTP/1.1\r\nhost: h\r\n\r\n", "a".repeat(1 << 20));
    for head in [long, many, target] {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        let (mut reader, mut writer) = stream.split();
        let mut answer = [0; 16];
        // The gateway closes before it has read all of it.
        let (_, read) = tokio::join!(writer.write_all(head.as_bytes()), reader.read(&mut answer));
        assert_eq!(read.unwrap(), 16);
        assert!(answer.starts_with(b"HTTP/1.1 431 "), "{answer:?}");
    }
    assert_eq!(rig.with("martin-1", "GET", "/").await.status, OK);
}

#[tokio::test]
async fn takes_a_head_of_a_hundred_fields_and_of_just_the_bytes_that_are_allowed() {
    let rig = Rig::start().await;
    let line = "GET / HTTP/1.1\r\nhost: h\r\nx-api-token: martin-1\r\n";
    let fields = format!("{line}{}\r\n", "x: a\r\n".repeat(98));
    let room = 16_384 - line.len() - "x: \r\n\r\n".len();
    let bytes = |more: usize| format!("{line}x: {}\r\n\r\n", "a".repeat(room + more));
    assert_eq!(bytes(0).len(), 16_384);
    for (head, status) in [(fields, "200"), (bytes(0), "200"), (bytes(1), "431")] {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, format!("HTTP/1.1 {status}").as_bytes());
    }
}

#[tokio::test]
async fn answers_413_to_a_body_above_the_limit_and_charges_for_none_that_says_so() {
    let (settings, _gives_up) = upstream().await;
    let rig = Rig::start_with(Settings {
        connections: ConnectionLimits {
            body_bytes: 1_000,
            ..ConnectionLimits::DEFAULT
        },
        ..settings
    })
    .await;
    let head = "POST / HTTP/1.1\r\nhost: h\r\nx-api-token: martin-1\r\n";
    let says_so = format!("{head}content-length: 1001\r\n\r\n");
    let answer = rig.raw(says_so.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    let chunks = format!("3e9\r\n{}\r\n0\r\n\r\n", "a".repeat(1_001));
    let does_not = format!("{head}connection: close\r\ntransfer-encoding: chunked\r\n\r\n{chunks}");
    let answer = rig.raw(does_not.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let fits = format!(
        "{head}connection: close\r\ncontent-length: 1000\r\n\r\n{}",
        "a".repeat(1_000)
    );
    let answer = rig.raw(fits.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("x-ratelimit-remaining: 38\r\n"), "{answer}");
}
