//! Refusals as tonic's own client sees them, over a TCP connection.

use bytes::{Buf as _, BufMut as _};
use http::uri::PathAndQuery;
use hyper::body::Bytes;
use limiter_host::core::clock::ClockError;
use limiter_host::core::{HashKey, Instant, Kind, Now, Plan, Policy, Registration};
use limiter_host::{Concurrent, LimiterLayer, SharedClock};
use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Response, Status, Streaming};
use tower::{Service, service_fn};

/// Messages that are their own bytes, in the place of protobuf's.
#[derive(Clone, Copy, Default)]
struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        let text = String::from_utf8(bytes.to_vec());
        text.map(Some).map_err(|_| Status::internal("no text"))
    }
}

/// Methods as `tonic-build` makes them: `Get` is unary, `List` streams its answer, `Put` its
/// messages, `Talk` both; `Fail` is unary and fails.
#[derive(Clone)]
struct Deals {
    calls: Arc<AtomicUsize>,
}

impl tonic::server::NamedService for Deals {
    const NAME: &'static str = "deals.v1.Deals";
}

type Body = tonic::body::Body;
type Answer = Result<http::Response<Body>, Infallible>;

impl Service<http::Request<Body>> for Deals {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut grpc = tonic::server::Grpc::new(Text);
        let list = || {
            let texts = ["one", "two"].map(|text| Ok::<_, Status>(text.to_owned()));
            Response::new(tokio_stream(texts))
        };
        Box::pin(async move {
            let answer = match request.uri().path() {
                "/deals.v1.Deals/Get" => {
                    let get = |_: Request<String>| ready(Ok(Response::new("deal".to_owned())));
                    grpc.unary(service_fn(get), request).await
                }
                "/deals.v1.Deals/Fail" => {
                    let fail = |_: Request<String>| {
                        ready(Err::<Response<String>, _>(Status::unavailable("broken")))
                    };
                    grpc.unary(service_fn(fail), request).await
                }
                "/deals.v1.Deals/List" => {
                    let list = move |_: Request<String>| ready(Ok(list()));
                    grpc.server_streaming(service_fn(list), request).await
                }
                "/deals.v1.Deals/Put" => {
                    let put = |_: Request<Streaming<String>>| {
                        ready(Ok(Response::new("stored".to_owned())))
                    };
                    grpc.client_streaming(service_fn(put), request).await
                }
                _ => {
                    let talk = move |_: Request<Streaming<String>>| ready(Ok(list()));
                    grpc.streaming(service_fn(talk), request).await
                }
            };
            Ok(answer)
        })
    }
}

fn tokio_stream<T: Send + 'static>(
    items: impl IntoIterator<Item = T, IntoIter: Send + 'static>,
) -> Pin<Box<dyn futures_util::Stream<Item = T> + Send>> {
    Box::pin(futures_util::stream::iter(items))
}

/// A server behind layers, and a channel to it.
struct Rig {
    client: tonic::client::Grpc<Channel>,
    calls: Arc<AtomicUsize>,
    broken: Arc<AtomicBool>,
}

/// A limiter that knows the token `a`, which may call twice a minute and is blocked for five minutes
/// by its third refusal.
fn limiter() -> (Arc<Concurrent>, HashKey) {
    let key = HashKey::new([7; 16]);
    let (minute, second) = (Duration::from_secs(60), Duration::from_secs(1));
    let policy = Policy::builder()
        .window(minute)
        .plan(Plan::new(0), 2, 2)
        .daily_limit(1_000)
        .block(3, minute, 300 * second)
        .build()
        .unwrap();
    let limiter = Concurrent::new(policy, 4, 4);
    let terms = Registration::new(key.user(b"u"), Kind::ApiToken, Plan::new(0));
    let now = Now::new(Instant::ZERO, None);
    limiter.register(key.token(b"a"), terms, now).unwrap();
    (Arc::new(limiter), key)
}

impl Rig {
    async fn new() -> Self {
        Self::with(|layer| layer, |layer| layer.shadow(true)).await
    }

    /// Two layers of limiters alike, the second one inside.
    async fn with(
        outer: impl FnOnce(LimiterLayer<Concurrent>) -> LimiterLayer<Concurrent>,
        inner: impl FnOnce(LimiterLayer<Concurrent>) -> LimiterLayer<Concurrent>,
    ) -> Self {
        let broken: Arc<AtomicBool> = Arc::default();
        let calls: Arc<AtomicUsize> = Arc::default();
        let layer = || {
            let (limiter, key) = limiter();
            let broken = Arc::clone(&broken);
            let clock = SharedClock::from_fn(move || match broken.load(Ordering::Relaxed) {
                true => Err(ClockError::Failed),
                false => Ok(Now::new(Instant::ZERO, None)),
            });
            LimiterLayer::new(limiter, key, clock)
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let deals = Deals {
            calls: Arc::clone(&calls),
        };
        let server = Server::builder()
            .layer(outer(layer()))
            .layer(inner(layer()))
            .add_service(deals)
            .serve_with_incoming(TcpIncoming::from(listener));
        tokio::spawn(server);
        let channel = Channel::from_shared(format!("http://{address}"));
        let channel = channel.unwrap().connect().await.unwrap();
        Self {
            client: tonic::client::Grpc::new(channel),
            calls,
            broken,
        }
    }

    async fn call(&mut self, method: &str, token: Option<&str>) -> Result<Response<()>, Status> {
        let path: PathAndQuery = format!("/deals.v1.Deals/{method}").parse().unwrap();
        self.client.ready().await.unwrap();
        let message = "message".to_owned();
        let mut request = Request::new(());
        if let Some(token) = token {
            let metadata = request.metadata_mut();
            metadata.insert("x-api-token", token.parse().unwrap());
        }
        let one = request.map(|()| message.clone());
        match method {
            "List" => {
                let answer = self.client.server_streaming(one, path, Text).await;
                drain(answer?).await
            }
            "Put" => {
                let many = one.map(|message| tokio_stream(vec![message; 3]));
                let answer = self.client.client_streaming(many, path, Text).await;
                answer.map(|answer| answer.map(drop))
            }
            "Talk" => {
                let many = one.map(|message| tokio_stream(vec![message; 3]));
                drain(self.client.streaming(many, path, Text).await?).await
            }
            _ => {
                let answer = self.client.unary(one, path, Text).await;
                answer.map(|answer| answer.map(drop))
            }
        }
    }

    async fn refusal(&mut self, method: &str, token: Option<&str>) -> Status {
        self.call(method, token).await.expect_err("a refusal")
    }
}

async fn drain(answer: Response<Streaming<String>>) -> Result<Response<()>, Status> {
    let (metadata, mut stream, extensions) = answer.into_parts();
    let mut texts = Vec::new();
    while let Some(text) = stream.message().await? {
        texts.push(text);
    }
    assert_eq!(texts, ["one", "two"]);
    Ok(Response::from_parts(metadata, (), extensions))
}

/// The page's four headers and `retry-after`, from a call's metadata.
fn numbers(metadata: &tonic::metadata::MetadataMap) -> [Option<&str>; 5] {
    [
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "x-daily-requests-left",
        "retry-after",
    ]
    .map(|name| metadata.get(name).map(|value| value.to_str().unwrap()))
}

/// `google.rpc.Status` with a `RetryInfo` of a wait in seconds, a varint, as protobuf has it.
fn details(code: u8, message: &str, wait_s: &[u8]) -> Bytes {
    let url = b"type.googleapis.com/google.rpc.RetryInfo";
    let wait = [&[0x08], wait_s].concat();
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
    let info = [&[0x0a, length(&wait)], &wait[..]].concat();
    let any = [&[0x0a, 40], &url[..], &[0x12, length(&info)], &info].concat();
    let text = message.as_bytes();
    let head = [&[0x08, code, 0x12, length(text)], text].concat();
    [head, [&[0x1a, length(&any)], &any[..]].concat()]
        .concat()
        .into()
}

const METHODS: [&str; 4] = ["Get", "List", "Put", "Talk"];

#[tokio::test]
async fn a_call_over_the_limit_is_resource_exhausted_and_not_internal() {
    for method in METHODS {
        let mut rig = Rig::new().await;
        for left in ["1", "0"] {
            let answer = rig.call(method, Some("a")).await.unwrap();
            let daily = if left == "1" { "999" } else { "998" };
            let expected = [Some("2"), Some(left), Some("60"), Some(daily), None];
            assert_eq!(numbers(answer.metadata()), expected, "{method}");
        }
        let status = rig.refusal(method, Some("a")).await;
        assert_eq!(status.code(), Code::ResourceExhausted, "{method}");
        assert_eq!(status.message(), "request over limit");
        let expected = [Some("2"), Some("0"), Some("60"), Some("998"), Some("60")];
        assert_eq!(numbers(status.metadata()), expected, "{method}");
        assert_eq!(status.details(), details(8, "request over limit", &[60]));
        assert_eq!(rig.calls.load(Ordering::Relaxed), 2, "{method}");
    }
}

#[tokio::test]
async fn a_call_without_a_token_is_unauthenticated_and_not_internal() {
    let mut rig = Rig::new().await;
    for method in METHODS {
        for token in [None, Some("unknown")] {
            let status = rig.refusal(method, token).await;
            assert_eq!(status.code(), Code::Unauthenticated, "{method}");
            assert_eq!(status.message(), "unauthorized access");
            assert_eq!(numbers(status.metadata()), [None; 5]);
            assert!(status.details().is_empty());
        }
    }
    assert_eq!(rig.calls.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_call_of_a_blocked_token_is_denied() {
    let mut rig = Rig::new().await;
    for _ in 0..2 {
        assert!(rig.call("Get", Some("a")).await.is_ok());
    }
    for _ in 0..3 {
        let status = rig.refusal("Get", Some("a")).await;
        assert_eq!(status.code(), Code::ResourceExhausted);
    }
    for method in METHODS {
        let status = rig.refusal(method, Some("a")).await;
        assert_eq!(status.code(), Code::PermissionDenied, "{method}");
        assert_eq!(status.message(), "access denied");
        let expected = [None, None, None, None, Some("300")];
        assert_eq!(numbers(status.metadata()), expected);
        let expected = details(7, "access denied", &[0x80 | 44, 2]);
        assert_eq!(status.details(), expected);
    }
}

#[tokio::test]
async fn a_call_that_cannot_be_judged_is_unavailable() {
    let mut rig = Rig::new().await;
    rig.broken.store(true, Ordering::Relaxed);
    for method in METHODS {
        let status = rig.refusal(method, Some("a")).await;
        assert_eq!(status.code(), Code::Unavailable, "{method}");
        assert_eq!(status.message(), "service unavailable");
        let expected = [None, None, None, None, Some("1")];
        assert_eq!(numbers(status.metadata()), expected);
        assert_eq!(status.details(), details(14, "service unavailable", &[1]));
    }
}

#[tokio::test]
async fn a_call_with_two_credentials_is_an_invalid_argument() {
    let mut rig = Rig::with(
        |layer| layer.credential(|_| Err(limiter_host::middleware::ConflictingCredentials)),
        |layer| layer,
    )
    .await;
    let status = rig.refusal("Get", Some("a")).await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "conflicting credentials");
}

#[tokio::test]
async fn permits_of_a_call_that_fails_or_is_refused_further_in_go_back() {
    let over = |status| status == http::StatusCode::TOO_MANY_REQUESTS;
    let mut rig = Rig::with(
        |layer| layer.refund_on_5xx(true).refund_on(over),
        |layer| layer.refund_on_5xx(true),
    )
    .await;
    for _ in 0..3 {
        let status = rig.refusal("Fail", Some("a")).await;
        assert_eq!(status.code(), Code::Unavailable);
        assert_eq!(status.message(), "broken");
        assert_eq!(numbers(status.metadata())[1], Some("1"));
    }
    let mut rig = Rig::with(
        |layer| layer.refund_on(over),
        |layer| layer.cost(|_| 3.try_into().unwrap()),
    )
    .await;
    for _ in 0..3 {
        let status = rig.refusal("Get", Some("a")).await;
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(numbers(status.metadata())[1], Some("2"), "the inner one's");
    }
}
