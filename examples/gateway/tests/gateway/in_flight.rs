//! Clients that hold requests open: how many one may, and who goes when all connections are taken.

use crate::rig::{OK, Rig};
use gateway::Settings;
use gateway::listener::{ConnectionLimits, InFlightLimits, Pace};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use limiter_host::PathOrigins;
use limiter_host::core::Origin;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A server behind that reads bodies to their end; says when a request has come, and when it is over.
async fn upstream() -> (Settings, mpsc::UnboundedReceiver<&'static str>) {
    use http_body_util::{BodyExt as _, Empty};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (say, said) = mpsc::unbounded_channel();
    let answer = move |request: Request<Incoming>| {
        let say = say.clone();
        async move {
            say.send("came").unwrap();
            let read = request.into_body().collect().await;
            say.send("over").unwrap();
            read.map(|_| Response::new(Empty::<bytes::Bytes>::new()))
        }
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer.clone()));
            tokio::spawn(connection);
        }
    });
    let mut settings = Settings {
        upstream: Some(format!("http://{address}").parse().unwrap()),
        ..Settings::default()
    };
    settings.policy.origins = PathOrigins::none()
        .with("/webhooks/", Origin::Webhook)
        .unwrap();
    (settings, said)
}

fn limits(connections: usize, in_flight: InFlightLimits) -> ConnectionLimits {
    ConnectionLimits {
        connections,
        in_flight,
        ..ConnectionLimits::DEFAULT
    }
}

const MANY: InFlightLimits = InFlightLimits::of(64 * 16);

/// Connects from an address of this machine's own network.
async fn connect(rig: &Rig, from: [u8; 4]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let from = SocketAddr::from((Ipv4Addr::from(from), 0));
    socket.bind(from).unwrap();
    socket.connect(rig.address).await.unwrap()
}

/// Sends the head of a POST, and one byte of its body.
async fn hold(rig: &Rig, from: [u8; 4], path: &str, token: &str) -> TcpStream {
    let mut stream = connect(rig, from).await;
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: h\r\nx-api-token: {token}\r\ncontent-length: 60000000\r\n\r\nx"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// The answer to such a POST before its body has come.
async fn refused(rig: &Rig, from: [u8; 4], path: &str, token: &str) -> String {
    let mut stream = hold(rig, from, path, token).await;
    let mut answer = Vec::new();
    // Its end, or a reset.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

const ONE: [u8; 4] = [127, 0, 0, 2];
const TWO: [u8; 4] = [127, 0, 0, 3];

#[tokio::test]
async fn one_token_does_not_hold_more_requests_than_its_share_and_is_not_charged_above() {
    let (settings, mut said) = upstream().await;
    let in_flight = InFlightLimits {
        per_token: 2,
        ..MANY
    };
    let rig = Rig::start_with(Settings {
        connections: limits(64, in_flight),
        ..settings
    })
    .await;
    let held = [
        hold(&rig, ONE, "/v1", "martin-1").await,
        hold(&rig, TWO, "/v1", "martin-1").await,
    ];
    assert_eq!([said.recv().await, said.recv().await], [Some("came"); 2]);
    let answer = refused(&rig, TWO, "/v1", "martin-1").await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    assert!(answer.contains("of this token in flight"), "{answer}");
    // Another token has its own share.
    assert_eq!(rig.with("demo-advanced", "GET", "/v1").await.status, OK);
    assert_eq!(
        [said.recv().await, said.recv().await],
        [Some("came"), Some("over")]
    );

    drop(held);
    assert_eq!([said.recv().await, said.recv().await], [Some("over"); 2]);
    let answer = rig.with("martin-1", "GET", "/v1").await;
    assert_eq!(answer.status, OK);
    // 40, less the two that were held and this one.
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("37"));
}

#[tokio::test]
async fn requests_without_a_token_do_not_hold_more_than_their_share_whatever_they_show_below_an_exempt_path()
 {
    let (settings, mut said) = upstream().await;
    let in_flight = InFlightLimits {
        without_token: 2,
        ..MANY
    };
    let rig = Rig::start_with(Settings {
        connections: limits(64, in_flight),
        ..settings
    })
    .await;
    let _held = [
        hold(&rig, ONE, "/webhooks/1", "a").await,
        hold(&rig, TWO, "/webhooks/2", "b").await,
    ];
    assert_eq!([said.recv().await, said.recv().await], [Some("came"); 2]);
    let answer = refused(&rig, TWO, "/webhooks/3", "c").await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("without a token in flight"), "{answer}");
    assert_eq!(rig.with("martin-1", "GET", "/v1").await.status, OK);
}

#[tokio::test]
async fn one_address_does_not_hold_more_requests_than_its_share() {
    let (settings, mut said) = upstream().await;
    let in_flight = InFlightLimits {
        per_address: 2,
        ..MANY
    };
    let rig = Rig::start_with(Settings {
        connections: limits(64, in_flight),
        ..settings
    })
    .await;
    let _held = [
        hold(&rig, ONE, "/v1", "martin-1").await,
        hold(&rig, ONE, "/v1", "martin-2").await,
    ];
    assert_eq!([said.recv().await, said.recv().await], [Some("came"); 2]);
    let answer = refused(&rig, ONE, "/v1", "demo-advanced").await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(answer.contains("of this address in flight"), "{answer}");
    // From 127.0.0.1.
    assert_eq!(rig.with("martin-1", "GET", "/v1").await.status, OK);
}

/// Sends 1 400 bytes a second of a body for as long as it is taken.
async fn drip(mut stream: TcpStream) {
    while stream.write_all(&[b'x'; 1_400]).await.is_ok() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_dripped_just_above_the_floor_do_not_keep_a_newcomer_out() {
    let (settings, mut said) = upstream().await;
    let rig = Rig::start_with(Settings {
        connections: limits(4, MANY),
        ..settings
    })
    .await;
    for _ in 0..4 {
        let held = hold(&rig, ONE, "/v1", "martin-1").await;
        assert_eq!(said.recv().await, Some("came"));
        tokio::spawn(drip(held));
    }
    let start = Instant::now();
    for _ in 0..8 {
        assert_eq!(rig.with("martin-2", "GET", "/v1").await.status, OK);
    }
    // A body is slow after a second, and the search is repeated every fifth of one.
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn answers_408_to_a_body_that_keeps_the_rate_and_does_not_end_in_time() {
    let (settings, _said) = upstream().await;
    let mut connections = limits(64, MANY);
    connections.pace = Pace {
        whole: Duration::from_secs(60),
        ..connections.pace
    };
    let rig = Rig::start_with(Settings {
        connections,
        ..settings
    })
    .await;
    let start = Instant::now();
    let (mut reader, mut writer) = hold(&rig, ONE, "/v1", "martin-1").await.into_split();
    let dripping = async move {
        while writer.write_all(&[b'x'; 1_400]).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let mut answer = Vec::new();
    let reading = async {
        // Its end, or a reset.
        let _ = reader.read_to_end(&mut answer).await;
    };
    tokio::select! {
        () = reading => {}
        () = dripping => {}
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    let after = start.elapsed().as_secs();
    assert!((60..=62).contains(&after), "{after}");
}

mod attack {
    use super::*;
    use crate::program::{Program, file};
    use tokio::task::JoinSet;

    /// Puts 600 dripping bodies on 512 connections, and asks meanwhile as another client.
    async fn besiege(path: &str, flags: &[&str]) {
        let (settings, mut said) = upstream().await;
        tokio::spawn(async move { while said.recv().await.is_some() {} });
        let upstream = settings.upstream.unwrap().to_string();
        let config = "window = '2s'\nplans.any = { api_token = 1, access_token = 1 }\n\
                      origins.webhook = ['/webhooks/']\n\
                      [[tokens]]\ntoken = 'one'\nuser = 'u'\nlimit = 1000000\n\
                      [[tokens]]\ntoken = 'two'\nuser = 'v'\nlimit = 1000000\n";
        let config = file("besieged.toml", config);
        let own = ["--listen", "127.0.0.1:0", "--upstream", &upstream];
        let most = ["--config", &config, "--max-connections", "512"];
        let program = Program::start(&[&own[..], &most, flags].concat());
        let address: SocketAddr = program.address().parse().unwrap();
        let connect = async move |from: [u8; 4]| {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::from((Ipv4Addr::from(from), 0)))?;
            socket.connect(address).await
        };
        let mut attackers = JoinSet::new();
        for _ in 0..600 {
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: h\r\nx-api-token: one\r\ncontent-length: 60000000\r\n\r\n"
            );
            attackers.spawn(async move {
                // It comes again whenever it is refused or closed.
                loop {
                    if let Ok(mut stream) = connect(ONE).await
                        && stream.write_all(head.as_bytes()).await.is_ok()
                    {
                        drip(stream).await;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            });
        }
        for _ in 0..20 {
            let asking = async {
                let mut stream = connect(TWO).await.unwrap();
                let request =
                    "GET /v1 HTTP/1.1\r\nhost: h\r\nx-api-token: two\r\nconnection: close\r\n\r\n";
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.unwrap();
                answer
            };
            let answer = tokio::time::timeout(Duration::from_secs(20), asking).await;
            let answer = answer.expect("the honest client waits");
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        attackers.shutdown().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "an attack: minutes"]
    async fn a_token_that_drips_bodies_on_all_connections_leaves_another_served() {
        besiege("/v1", &[]).await;
        // Also where its share is all there is.
        besiege(
            "/v1",
            &["--max-per-token", "512", "--max-per-address", "512"],
        )
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "an attack: minutes"]
    async fn bodies_dripped_without_a_token_below_an_exempt_path_leave_a_token_served() {
        besiege("/webhooks/1", &[]).await;
    }
}
