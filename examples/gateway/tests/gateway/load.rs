//! The running program at full speed over eight connections: what it admits is judged from its
//! answers alone.
//!
//! `GATEWAY_LOAD_SECONDS=10 cargo test --release -p gateway --test gateway load -- --nocapture`
//! goes on for ten seconds and says how fast it was.

mod windows;

use self::windows::{Admission, Judgement, judge};
use crate::program::{Program, file};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Tokens by their limit per window; the least is refused nearly always, the largest next to never.
const LIMITS: [u32; 5] = [1, 40, 480, 5_000, 1_000_000];
const WINDOW: Duration = Duration::from_secs(2);
const CONNECTIONS: usize = 8;
/// Requests of a connection, if no time is told.
const REQUESTS: usize = 2_500;

/// What one connection saw.
#[derive(Default)]
struct Seen {
    admissions: [Vec<Admission>; LIMITS.len()],
    refused: [u64; LIMITS.len()],
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admits_no_more_than_the_limit_in_any_window_at_full_speed() {
    let seconds = std::env::var("GATEWAY_LOAD_SECONDS").ok();
    let seconds = seconds.map(|seconds| seconds.parse().expect("a number of seconds"));
    let program = program();
    let start = Instant::now();
    let until = seconds.map(|seconds| start + Duration::from_secs(seconds));
    // Buffers and the allocator's arenas have their size after this.
    let warm = run(program.address(), start, None).await;
    let before = program.resident_kib();
    let mut seen = run(program.address(), start, until).await;
    let elapsed = start.elapsed();
    let after = program.resident_kib();
    seen.extend(warm);

    let mut total = 0;
    for (token, &limit) in LIMITS.iter().enumerate() {
        let admissions = seen.iter_mut().map(|seen| &mut seen.admissions[token]);
        let admissions: Vec<Admission> = admissions.flat_map(std::mem::take).collect();
        let refused: u64 = seen.iter().map(|seen| seen.refused[token]).sum();
        let admitted = admissions.len();
        let Judgement { windows, full } = judge(limit, WINDOW, admissions);
        println!(
            "limit {limit}: {admitted} admitted in {windows} windows, {full} full; {refused} refused"
        );
        assert!(
            refused == 0 || full > 0,
            "limit {limit}: refused, and no window was full"
        );
        total += admitted as u64 + refused;
    }
    let rate = u128::from(total) * 1_000 / elapsed.as_millis().max(1);
    println!(
        "{total} requests in {elapsed:.1?}, {rate} a second; resident {before:?}, then {after:?} KiB"
    );
    if let (Some(before), Some(after)) = (before, after) {
        assert!(
            after <= before + FLAT_KIB,
            "memory grew from {before} to {after} KiB"
        );
    }
}

/// What an allocator may take to tell that nothing was kept.
const FLAT_KIB: u64 = 2_048;

/// The gateway with tokens of the limits, without a daily limit and blocks.
fn program() -> Program {
    let policy = file(
        "load-policy.toml",
        "window = '2s'\nplans.any = { api_token = 1, access_token = 1 }\n",
    );
    let tokens: String = LIMITS
        .iter()
        .map(|limit| format!("[[tokens]]\ntoken = 't{limit}'\nuser = 'u'\nlimit = {limit}\n"))
        .collect();
    let tokens = file("load-tokens.toml", &tokens);
    let listen = ["--listen", "127.0.0.1:0"];
    Program::start(&[&listen[..], &["--policy", &policy, "--tokens", &tokens]].concat())
}

/// Asks over all connections at once, until a time or so many times.
async fn run(address: &str, start: Instant, until: Option<Instant>) -> Vec<Seen> {
    let connections = (0..CONNECTIONS).map(|number| {
        let address = address.to_owned();
        tokio::spawn(async move { drive(&address, number, start, until).await })
    });
    let connections: Vec<_> = connections.collect();
    let mut seen = Vec::new();
    for connection in connections {
        seen.push(connection.await.unwrap());
    }
    seen
}

async fn drive(address: &str, number: usize, start: Instant, until: Option<Instant>) -> Seen {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut seen = Seen::default();
    let mut sent = 0;
    while until.map_or(sent < REQUESTS, |until| Instant::now() < until) {
        let token = (number + sent) % LIMITS.len();
        ask(&mut sender, token, start, &mut seen).await;
        sent += 1;
    }
    seen
}

async fn ask(
    sender: &mut SendRequest<Empty<Bytes>>,
    token: usize,
    start: Instant,
    seen: &mut Seen,
) {
    let limit = LIMITS[token];
    let request = Request::get("/v1/deals")
        .header("host", "h")
        .header("x-api-token", format!("t{limit}"))
        .body(Empty::new())
        .unwrap();
    let sent = start.elapsed();
    let answer = sender.send_request(request).await.unwrap();
    let received = start.elapsed();
    let number = |name| answer.headers()[name].to_str().unwrap().parse().unwrap();
    let (remaining, reset_s) = (number("x-ratelimit-remaining"), number("x-ratelimit-reset"));
    assert_eq!(number("x-ratelimit-limit"), limit);
    assert!((1..=2).contains(&reset_s), "reset {reset_s}");
    match answer.status() {
        StatusCode::OK => seen.admissions[token].push(Admission {
            sent,
            received,
            remaining,
            reset_s,
        }),
        StatusCode::TOO_MANY_REQUESTS => {
            assert_eq!(remaining, 0);
            seen.refused[token] += 1;
        }
        other => panic!("answered {other}"),
    }
    answer.into_body().collect().await.unwrap();
}
