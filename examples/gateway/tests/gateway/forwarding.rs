//! The gateway as a reverse proxy.

use crate::rig::{OK, Rig, read};
use bytes::Bytes;
use gateway::Settings;
use http_body_util::channel::Channel;
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};

/// A server behind that shows a request's head in its answer's body, and echoes a body that is
/// posted to `/echo`.
async fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(show_or_echo));
            tokio::spawn(connection);
        }
    });
    address
}

async fn show_or_echo(
    request: Request<Incoming>,
) -> Result<Response<Either<Incoming, Full<Bytes>>>, Infallible> {
    if request.uri().path() == "/echo" {
        return Ok(Response::new(Either::Left(request.into_body())));
    }
    let mut head = format!("{} {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        head += &format!("{name}: {}\n", value.to_str().unwrap());
    }
    let response = Response::builder()
        .header("connection", "x-hop")
        .header("x-hop", "not for you")
        .header("keep-alive", "timeout=5")
        .header("x-ratelimit-limit", "not the gateway's")
        .header("x-end", "for you")
        .header("set-cookie", "a=1")
        .header("set-cookie", "b=2");
    Ok(response.body(Either::Right(head.into())).unwrap())
}

/// A server behind that answers each connection with these bytes and closes it.
async fn upstream_that_says(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            if stream.read(&mut request).await.is_ok() {
                // The gateway may have gone.
                let _ = stream.write_all(bytes).await;
            }
        }
    });
    address
}

async fn before(upstream: &str) -> Rig {
    Rig::start_with(Settings {
        upstream: Some(upstream.parse().unwrap()),
        ..Settings::default()
    })
    .await
}

async fn before_address(upstream: SocketAddr) -> Rig {
    before(&format!("http://{upstream}")).await
}

#[tokio::test]
async fn forwards_the_request_and_returns_the_answer_with_the_quota() {
    let upstream = upstream().await;
    let rig = before(&format!("http://{upstream}/base/")).await;
    let answer = rig
        .ask(
            "POST",
            "/v1/deals?limit=5&api_token=demo-advanced",
            &[
                ("x-mine", "kept"),
                ("host", "api.example"),
                ("x-forwarded-for", "10.9.8.7"),
            ],
        )
        .await;
    assert_eq!(answer.status, OK);
    assert_eq!(
        answer.numbers(),
        [Some(40), Some(39), Some(2), Some(9_999), None]
    );
    assert_eq!(answer.header("x-end"), Some("for you"));
    assert_eq!(answer.headers.get_all("set-cookie").iter().count(), 2);

    let mut lines: Vec<&str> = answer.body.lines().collect();
    assert_eq!(
        lines.remove(0),
        "POST /base/v1/deals?limit=5&api_token=demo-advanced"
    );
    lines.sort_unstable();
    let host = format!("host: {upstream}");
    let expected = [
        host.as_str(),
        "via: 1.1 gateway",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-host: api.example",
        "x-forwarded-proto: http",
        "x-mine: kept",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn leaves_fields_of_the_connection_behind_both_ways() {
    let rig = before_address(upstream().await).await;
    let request = b"GET /v1 HTTP/1.1\r\nhost: h\r\nx-api-token: demo-advanced\r\n\
        connection: close, x-secret\r\nx-secret: mine\r\nkeep-alive: timeout=9\r\nte: trailers\r\n\
        proxy-authorization: Basic x\r\nupgrade: websocket\r\nx-open: yours\r\n\r\n";
    let answer = rig.raw(request).await.to_ascii_lowercase();
    for gone in [
        "x-secret",
        "timeout=9",
        "\nte:",
        "proxy-auth",
        "upgrade",
        "x-hop",
        "timeout=5",
        "not the gateway's",
    ] {
        assert!(!answer.contains(gone), "{gone} in {answer}");
    }
    assert!(answer.contains("x-open: yours"), "{answer}");
    assert!(answer.contains("x-end: for you"), "{answer}");
}

#[tokio::test]
async fn asks_the_upstream_for_nothing_that_is_refused() {
    // Nobody listens there, so any question would be answered 502.
    let rig = before_address(unused().await).await;
    assert_eq!(rig.ask("POST", "/", &[]).await.status, 401);
    assert_eq!(rig.with("demo-advanced", "POST", "/").await.status, 502);
}

#[tokio::test]
async fn streams_large_bodies_both_ways_without_keeping_them() {
    let rig = before_address(upstream().await).await;
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
    let request = Request::post(format!("http://{}/echo", rig.address))
        .header("x-api-token", "demo-advanced")
        .body(body)
        .unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    // Each part comes back before the next is sent: nobody on the way waits for more.
    let part = |i: u32| Bytes::from(vec![i.to_le_bytes()[0]; 64 * 1024]);
    sender.send_data(part(0)).await.unwrap();
    let mut echo = client.request(request).await.unwrap().into_body();
    for i in 0..256_u32 {
        let mut left = 64 * 1024;
        while left > 0 {
            let data = echo.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(data.iter().all(|&byte| byte == i.to_le_bytes()[0]));
            left -= data.len();
        }
        sender.send_data(part(i + 1)).await.unwrap();
    }
    drop(sender);
    let rest = echo.collect().await.unwrap().to_bytes();
    assert_eq!(rest.len(), 64 * 1024);
}

/// An address where nobody listens.
async fn unused() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn answers_502_where_nobody_listens_or_garbage_comes() {
    let bad_gateway = r#"{"success":false,"error":"bad gateway","errorCode":502}"#;
    for upstream in [
        unused().await,
        upstream_that_says(b"this is no answer\r\n\r\n").await,
        upstream_that_says(b"").await,
        upstream_that_says(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab")
            .await,
        upstream_that_says(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n").await,
    ] {
        let rig = before_address(upstream).await;
        let answer = rig.with("demo-advanced", "GET", "/").await;
        assert_eq!((answer.status, answer.body.as_str()), (502, bad_gateway));
        // It was admitted and charged.
        assert_eq!(answer.numbers()[1], Some(39));
    }
}

#[tokio::test]
async fn answers_504_where_the_upstream_hangs() {
    // The system takes the connection, and nobody ever answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    let rig = Rig::start_with(Settings {
        upstream: Some(upstream.parse().unwrap()),
        upstream_timeout: Duration::from_millis(20),
        ..Settings::default()
    })
    .await;
    let answer = rig.with("demo-advanced", "GET", "/").await;
    assert_eq!(answer.status, 504);
    assert_eq!(
        answer.body,
        r#"{"success":false,"error":"gateway timeout","errorCode":504}"#
    );
}

#[tokio::test]
async fn breaks_the_connection_off_where_the_upstream_does() {
    let rig = before_address(
        upstream_that_says(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await,
    )
    .await;
    let request = b"GET / HTTP/1.1\r\nhost: h\r\nx-api-token: demo-advanced\r\n\r\n";
    let answer = rig.raw(request).await;
    assert!(answer.contains("content-length: 9"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nhalf"), "{answer}");
}

#[tokio::test]
async fn forwards_no_tunnel_and_no_other_host() {
    let rig = before_address(upstream().await).await;
    let token = "x-api-token: demo-advanced\r\nconnection: close\r\n\r\n";
    let tunnel = format!("CONNECT evil:443 HTTP/1.1\r\nhost: evil:443\r\n{token}");
    let answer = rig.raw(tunnel.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    let absolute = format!("GET http://name/v1 HTTP/1.1\r\nhost: name\r\n{token}");
    let answer = rig.raw(absolute.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("GET /v1\n"), "{answer}");
    assert!(answer.contains("x-forwarded-host: name\n"), "{answer}");
    let asterisk = format!("OPTIONS * HTTP/1.1\r\nhost: h\r\n{token}");
    let answer = rig.raw(asterisk.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let old = rig
        .raw(b"GET /v1?api_token=martin-1 HTTP/1.0\r\n\r\n")
        .await;
    assert!(old.contains("via: 1.0 gateway\n"), "{old}");
}

#[tokio::test]
async fn lets_a_head_answer_keep_its_length() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 12345\r\n\r\n";
    let rig = before_address(upstream_that_says(answer).await).await;
    let answer = rig.with("demo-advanced", "HEAD", "/").await;
    assert_eq!(answer.status, OK);
    assert_eq!(answer.header("content-length"), Some("12345"));
}

#[tokio::test]
async fn finishes_what_is_under_way_when_it_ends() {
    // An upstream that says when it was asked, and answers when it is told to.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, mut was_asked) = mpsc::channel(1);
    let answer = Arc::new(Notify::new());
    let told = Arc::clone(&answer);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let length = stream.read(&mut request).await.unwrap();
        asked.send(length).await.unwrap();
        told.notified().await;
        let late = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlate";
        stream.write_all(late).await.unwrap();
    });
    let rig = Rig::start_with(Settings {
        upstream: Some(format!("http://{address}").parse().unwrap()),
        ..Settings::default()
    })
    .await;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::builder()
        .method(Method::GET)
        .uri(format!("http://{}/", rig.address))
        .header("x-api-token", "demo-advanced")
        .body(Full::<Bytes>::default())
        .unwrap();
    let under_way = tokio::spawn(client.request(request));
    assert!(was_asked.recv().await.unwrap() > 0);

    let gateway = rig.address;
    let served = rig.end();
    // No new connection is taken, once the listener is gone.
    while tokio::net::TcpStream::connect(gateway).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!served.is_finished());
    answer.notify_one();
    let answer = read(under_way.await.unwrap().unwrap()).await;
    assert_eq!((answer.status, answer.body.as_str()), (OK, "late"));
    served.await.unwrap().unwrap();
}

/// A server behind that answers each connection with these bytes and then keeps it open.
async fn upstream_that_stops_after(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(bytes.as_ref()).await.unwrap();
            open.push(stream);
        }
    });
    address
}

#[tokio::test(start_paused = true)]
async fn breaks_the_connection_off_where_an_answer_gets_stuck() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
    let rig = before_address(upstream_that_stops_after(half).await).await;
    let request = b"GET / HTTP/1.1\r\nhost: h\r\nx-api-token: martin-1\r\n\r\n";
    let start = tokio::time::Instant::now();
    let answer = rig.raw(request).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nhalf"), "{answer}");
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test]
async fn answers_502_to_a_head_without_an_end_and_to_a_reset() {
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "a".repeat(1 << 20));
    let rig = before_address(upstream_that_stops_after(endless).await).await;
    assert_eq!(rig.with("demo-advanced", "GET", "/").await.status, 502);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Closed with the request unread in it: a reset.
            stream.readable().await.unwrap();
        }
    });
    let rig = before_address(address).await;
    for _ in 0..3 {
        assert_eq!(rig.with("demo-advanced", "GET", "/").await.status, 502);
    }
}
