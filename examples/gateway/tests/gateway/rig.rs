//! A gateway on a free port, a clock that stands still, and a client.

use bytes::Bytes;
use gateway::{Gateway, Settings};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use limiter_host::SharedClock;
use limiter_host::core::clock::ClockError;
use limiter_host::core::{Instant, Now, UnixTime};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A gateway under way.
pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    /// Where operators are served, if they are.
    pub(crate) admin: Option<SocketAddr>,
    millis: Arc<AtomicU64>,
    client: Client<HttpConnector, Full<Bytes>>,
    end: oneshot::Sender<()>,
    served: JoinHandle<Result<(), gateway::EndError>>,
}

/// An answer, its body read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The page's four headers and `retry-after`, each an integer or absent.
    pub(crate) fn numbers(&self) -> [Option<u32>; 5] {
        [
            "x-ratelimit-limit",
            "x-ratelimit-remaining",
            "x-ratelimit-reset",
            "x-daily-requests-left",
            "retry-after",
        ]
        .map(|name| {
            let value = self.header(name)?;
            assert!(
                value.bytes().all(|byte| byte.is_ascii_digit()),
                "{name}: {value}"
            );
            Some(value.parse().unwrap())
        })
    }
}

impl Rig {
    /// The demo.
    pub(crate) async fn start() -> Self {
        Self::start_with(Settings::default()).await
    }

    pub(crate) async fn start_with(settings: Settings) -> Self {
        let settings = Settings {
            listen: "127.0.0.1:0".to_owned(),
            ..settings
        };
        let millis = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&millis);
        let clock = SharedClock::from_fn(move || {
            let millis = clock.load(Ordering::Relaxed);
            if millis == BROKEN {
                return Err(ClockError::Failed);
            }
            let utc = UnixTime::from_secs(NOON + millis / 1_000);
            Ok(Now::new(Instant::from_millis(millis), utc))
        });
        let gateway = Gateway::bind(&settings, clock).await.unwrap();
        let (address, admin) = (gateway.local_addr(), gateway.admin_addr());
        let (end, ended) = oneshot::channel();
        let served = tokio::spawn(gateway.serve(async move {
            // A test that ends without a word ends the gateway too.
            let _ = ended.await;
        }));
        Self {
            address,
            admin,
            millis,
            client: Client::builder(TokioExecutor::new()).build_http(),
            end,
            served,
        }
    }

    /// Lets time pass, on both clocks.
    pub(crate) fn pass(&self, millis: u64) {
        self.millis.fetch_add(millis, Ordering::Relaxed);
    }

    /// Breaks both clocks until that is undone.
    pub(crate) fn break_clock(&self) -> impl FnOnce() + use<> {
        let millis = Arc::clone(&self.millis);
        let before = millis.swap(BROKEN, Ordering::Relaxed);
        move || millis.store(before, Ordering::Relaxed)
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        read(self.client.request(request).await.unwrap()).await
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::default()).unwrap()).await
    }

    /// Asks with a token in `x-api-token`.
    pub(crate) async fn with(&self, token: &str, method: &str, path: &str) -> Answer {
        self.ask(method, path, &[("x-api-token", token)]).await
    }

    /// Sends bytes over a connection of their own, and reads until the gateway closes it.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// Asks the gateway to end, without waiting for that.
    pub(crate) fn end(self) -> JoinHandle<Result<(), gateway::EndError>> {
        self.end.send(()).unwrap();
        self.served
    }
}

pub(crate) async fn read(response: Response<Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

pub(crate) const OK: u16 = StatusCode::OK.as_u16();
/// What a clock that is broken reads.
const BROKEN: u64 = u64::MAX;
/// Noon of a day in UTC.
const NOON: u64 = 1_716_033_600;
