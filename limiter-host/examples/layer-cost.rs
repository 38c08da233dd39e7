//! What the layer costs an axum service: the same service with and without it, over loopback.
//!
//! `cargo run --release -p limiter-host --features tower --example layer-cost [ROUNDS [MILLIS [TOKENS [DEALS]]]]`
//!
//! One thread serves, another keeps 8 connections busy with less work than it makes, so that the
//! server is what limits the requests per second; on Linux each has a processor of its own. The
//! service answers with five bytes, or with a list of so many deals, which it writes as JSON.
//!
//! Each round drives every variant for a moment, in an order that rotates, and each is held against
//! the bare service of the same round: what else the machine does hits all alike. Many short rounds
//! tell more than few long ones. Told are medians and quartiles of the requests per second, and of
//! the serving thread's processor time for a request (on Linux), which hardly notices what else
//! runs.

use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use axum::{Router, routing::any};
use limiter_host::core::{HashKey, Kind, Plan, Policy, Registration};
use limiter_host::{Concurrent, LimiterLayer, SharedClock};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tower::layer::util::Identity;
use tower::util::MapResponseLayer;
use tower::{Layer as _, Service};

/// The first is what the others are held against.
const VARIANTS: [&str; 8] = [
    "bare",
    "bare, once more",
    "3 constant headers, no limiter",
    "layer around, no quota headers",
    "layer around",
    "layer around, counting the day (POST)",
    "route's layer that does nothing",
    "route's layer",
];
const POST: usize = 5;
const CONNECTIONS: usize = 8;
/// The answer of a service that does nothing.
const NOTHING: &str = "deals";
/// How a list ends, and nothing in it.
const END_OF_LIST: &str = "]}";
/// Room for some hundred deals.
const LONGEST_ANSWER: usize = 32_768;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut numbers = std::env::args().skip(1).map(|number| number.parse());
    let rounds: usize = numbers.next().unwrap_or(Ok(300))?.try_into()?;
    let length = Duration::from_millis(numbers.next().unwrap_or(Ok(25_u64))?);
    // In use in turn; fewer would reach their limits.
    let tokens: usize = numbers.next().unwrap_or(Ok(1_000))?.try_into()?;
    let deals: usize = numbers.next().unwrap_or(Ok(0))?.try_into()?;
    if rounds == 0 || length.is_zero() || tokens < 20 {
        return Err("ROUNDS and MILLIS must be at least 1, TOKENS 20".into());
    }
    let (tell, told) = mpsc::channel();
    // It ends with the process.
    std::thread::spawn(move || serve(tokens, deals, &tell));
    let server = told.recv()??;
    // After the server's: a thread begins where its parent may run, and counts no other processor.
    pin(1);
    let [gets, posts] = ["GET", "POST"].map(|method| requests(method, tokens));
    let mut measured = vec![Vec::with_capacity(rounds); VARIANTS.len()];
    for round in 0..=rounds {
        for turn in 0..VARIANTS.len() {
            let variant = (turn + round) % VARIANTS.len();
            let requests = if variant == POST { &posts } else { &gets };
            let sample = server.drive(variant, requests, length)?;
            // The first round only warms up.
            if round > 0 {
                measured[variant].push(sample);
            }
        }
    }
    report(&measured, length, tokens);
    Ok(())
}

/// Where the variants are served, and by whom.
struct Server {
    addresses: Vec<SocketAddr>,
    /// Where Linux tells the thread's processor time.
    time: Option<PathBuf>,
    /// How every answer ends.
    end: &'static str,
}

/// One variant in one round.
#[derive(Clone, Copy)]
struct Sample {
    per_s: f64,
    /// Processor time of a request, in microseconds; 0 if it is not told.
    cpu_us: f64,
}

#[tokio::main(flavor = "current_thread")]
async fn serve(tokens: usize, deals: usize, tell: &mpsc::Sender<Result<Server, Failure>>) {
    pin(0);
    let listening = async {
        let bare = bare(deals);
        let mut addresses = Vec::new();
        for variant in 0..VARIANTS.len() {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            addresses.push(listener.local_addr()?);
            spawn(variant, tokens, listener, bare.clone())?;
        }
        let thread = std::fs::read_link("/proc/thread-self").ok();
        let time = thread.map(|thread| PathBuf::from("/proc").join(thread).join("schedstat"));
        Ok(Server {
            addresses,
            time,
            end: if deals == 0 { NOTHING } else { END_OF_LIST },
        })
    };
    if tell.send(listening.await).is_ok() {
        std::future::pending::<()>().await;
    }
}

/// Serves one of the variants.
fn spawn(
    variant: usize,
    tokens: usize,
    listener: TcpListener,
    bare: Router,
) -> Result<(), Failure> {
    match variant {
        2 => spawn_service(
            listener,
            MapResponseLayer::new(with_constant_headers).layer(bare),
        ),
        3 => spawn_service(listener, layer(tokens)?.quota_headers(false).around(bare)),
        4 | POST => spawn_service(listener, layer(tokens)?.around(bare)),
        6 => spawn_service(listener, bare.layer(Identity::new())),
        7 => spawn_service(listener, bare.layer(layer(tokens)?)),
        _ => spawn_service(listener, bare),
    }
    Ok(())
}

/// The service without a limiter.
fn bare(deals: usize) -> Router {
    let route = if deals == 0 {
        any(|| async { NOTHING })
    } else {
        let deals = Arc::new(list(deals));
        any(move || async move {
            let json = HeaderValue::from_static("application/json");
            ([(CONTENT_TYPE, json)], deals.to_string()).into_response()
        })
    };
    Router::new().route("/v1/deals", route)
}

fn list(deals: usize) -> Value {
    let deal = |id| {
        json!({
            "id": id, "title": format!("Deal {id}"), "value": 100 * id, "currency": "EUR",
            "status": "open", "stage_id": id % 5, "add_time": "2026-01-31 12:00:00",
        })
    };
    json!({ "data": (0..deals).map(deal).collect::<Vec<_>>() })
}

fn spawn_service<S>(listener: TcpListener, service: S)
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let service = axum::ServiceExt::<Request>::into_make_service(service);
    tokio::spawn(axum::serve(listener, service).into_future());
}

fn with_constant_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.reserve(4);
    for (name, value) in [
        ("x-ratelimit-limit", "9999"),
        ("x-ratelimit-remaining", "9987"),
        ("x-ratelimit-reset", "1"),
    ] {
        let value = HeaderValue::from_static(value);
        headers.insert(HeaderName::from_static(name), value);
    }
    response
}

/// Gives the calling thread one of two processors for itself, if there are two.
fn pin(place: usize) {
    #[cfg(target_os = "linux")]
    if std::thread::available_parallelism().is_ok_and(|processors| processors.get() > 1) {
        let mut processors = rustix::thread::CpuSet::new();
        processors.set(place);
        // Where that is forbidden, threads move as they like.
        let _ = rustix::thread::sched_setaffinity(None, &processors);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = place;
}

/// A layer that knows the load's tokens, and whose limits they do not reach.
fn layer(tokens: usize) -> Result<LimiterLayer<Concurrent>, Failure> {
    let (key, clock) = (HashKey::new(*b"no need to guess"), SharedClock::system());
    let policy = Policy::builder()
        .window(Duration::from_secs(1))
        .plan(Plan::ADVANCED, 9_999, 9_999)
        .daily_limit(u32::MAX)
        .build()?;
    let limiter = Arc::new(Concurrent::new(policy, 2 * tokens, 2 * tokens));
    for number in 0..tokens {
        let name = token(number);
        let terms = Registration::new(key.user(name.as_bytes()), Kind::ApiToken, Plan::ADVANCED);
        limiter.register(key.token(name.as_bytes()), terms, clock.now()?)?;
    }
    Ok(LimiterLayer::new(limiter, key, clock))
}

fn token(number: usize) -> String {
    format!("a1b2c3d4e5f6a7b8c9d0-{number:04}")
}

impl Server {
    /// Keeps all connections busy for so long.
    fn drive(
        &self,
        variant: usize,
        requests: &[String],
        length: Duration,
    ) -> Result<Sample, Failure> {
        let connect = |_| -> Result<TcpStream, Failure> {
            let stream = TcpStream::connect(self.addresses[variant])?;
            stream.set_nodelay(true)?;
            // Far longer than any answer takes: a server that hangs is told.
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            Ok(stream)
        };
        let mut streams = (0..CONNECTIONS)
            .map(connect)
            .collect::<Result<Vec<_>, _>>()?;
        let mut requests = requests.iter().cycle();
        let mut ask = |stream: &mut TcpStream| match requests.next() {
            Some(request) => stream.write_all(request.as_bytes()),
            None => Ok(()),
        };
        let (cpu_before, start) = (self.cpu_ns(), now());
        for stream in &mut streams {
            ask(stream)?;
        }
        let (mut answered, mut buffer) = (0_u32, vec![0; LONGEST_ANSWER]);
        while now() < start + length {
            for stream in &mut streams {
                self.receive(stream, &mut buffer)?;
                ask(stream)?;
                answered += 1;
            }
        }
        for stream in &mut streams {
            self.receive(stream, &mut buffer)?;
            answered += 1;
        }
        let seconds = now().duration_since(start).as_secs_f64();
        Ok(Sample {
            per_s: f64::from(answered) / seconds,
            cpu_us: (self.cpu_ns() - cpu_before) / 1_000.0 / f64::from(answered),
        })
    }

    /// Reads one answer.
    fn receive(&self, stream: &mut TcpStream, buffer: &mut [u8]) -> Result<(), Failure> {
        let mut filled = 0;
        // The body follows the head at once.
        while !buffer[..filled].ends_with(self.end.as_bytes()) {
            match stream.read(&mut buffer[filled..])? {
                0 => return Err("the service ended a connection, or its answer is too long".into()),
                more => filled += more,
            }
        }
        if !buffer.starts_with(b"HTTP/1.1 200") {
            return Err("the service refused a request".into());
        }
        Ok(())
    }

    /// What the serving thread has used so far, in nanoseconds.
    fn cpu_ns(&self) -> f64 {
        let told = self.time.as_ref().map(std::fs::read_to_string);
        let told = told.and_then(Result::ok).unwrap_or_default();
        let first = told.split(' ').next().map(str::parse);
        first.and_then(Result::ok).unwrap_or(0.0)
    }
}

/// A request of each token.
fn requests(method: &str, tokens: usize) -> Vec<String> {
    let request = |number| {
        let token = token(number);
        format!(
            "{method} /v1/deals HTTP/1.1\r\nhost: localhost\r\nx-api-token: {token}\r\n\
             user-agent: layer-cost\r\naccept: */*\r\ncontent-length: 0\r\n\r\n"
        )
    };
    (0..tokens).map(request).collect()
}

#[allow(clippy::disallowed_methods, reason = "it measures real time")]
fn now() -> Instant {
    Instant::now()
}

fn report(measured: &[Vec<Sample>], length: Duration, tokens: usize) {
    let rounds = measured[0].len();
    println!(
        "{CONNECTIONS} connections, {tokens} tokens, {rounds} rounds of {length:?} for each variant"
    );
    println!("medians (quartiles); percentages are against the bare service of the same round\n");
    println!(
        "{:<37} {:>24} {:>23} {:>12} {:>23}",
        "", "requests/s", "difference", "CPU/request", "difference"
    );
    for (variant, samples) in VARIANTS.iter().zip(measured) {
        let against = |value: fn(&Sample) -> f64| {
            let pairs = samples.iter().zip(&measured[0]);
            let ratios = pairs.map(|(sample, bare)| 100.0 * (value(sample) / value(bare) - 1.0));
            let [low, middle, high] = quartiles(ratios.collect());
            format!("{middle:+.1} % ({low:+.1} to {high:+.1})")
        };
        let [low, middle, high] = quartiles(samples.iter().map(|sample| sample.per_s).collect());
        let [_, cpu, _] = quartiles(samples.iter().map(|sample| sample.cpu_us).collect());
        println!(
            "{variant:<37} {:>24} {:>23} {cpu:>9.2} µs {:>23}",
            format!("{middle:.0} ({low:.0} to {high:.0})"),
            against(|sample| sample.per_s),
            against(|sample| sample.cpu_us),
        );
    }
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[(values.len() - 1) * quarter / 4])
}
