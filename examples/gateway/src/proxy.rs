//! The reverse proxy: a request goes to the upstream, its answer comes back, both streamed.
//!
//! - `Host` is the upstream's own; what the client asked for goes into `X-Forwarded-Host`.
//! - `X-Forwarded-For` and `-Proto` are the gateway's word alone: what a client claims there, in
//!   `Forwarded`, `True-Client-IP`, `X-Original-URL` and the like is dropped, for anyone can claim
//!   anything; so is a field whose name has another character than letters, digits and hyphens, which
//!   some servers take for one of these (`X_Forwarded_For`).
//! - A credential is forwarded as it came, also in the query: the upstream may need it. It is not
//!   logged here, and neither is the target.
//! - `Location` and bodies pass as they are; nothing in them is rewritten.
//! - Connections are not upgraded.

mod answer;
mod headers;

pub use self::answer::{AnswerError, AnswerStream};

use self::headers::{drop_claims, hide_connection, identify};
use crate::listener::{BodyFault, Peer, RequestBody, TOO_LONG_BODY, Watch};
use crate::upstream::{AnswerBody, json};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::fmt;
use std::pin::pin;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The server behind: `http://HOST[:PORT][/PATH]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    authority: Authority,
    /// What comes before each request's path, without a slash at its end.
    base: String,
}

impl FromStr for Upstream {
    type Err = ();

    fn from_str(url: &str) -> Result<Self, ()> {
        let uri: Uri = url.parse().map_err(|_| ())?;
        if uri.scheme() != Some(&Scheme::HTTP) || uri.query().is_some() {
            return Err(());
        }
        let authority = uri.authority().ok_or(())?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(());
        }
        Ok(Self {
            authority: authority.clone(),
            base: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.base)
    }
}

/// Forwards requests to one upstream over connections that are kept.
#[derive(Debug)]
pub struct Proxy {
    upstream: Upstream,
    timeout: Duration,
    client: Client<HttpConnector, RequestBody>,
    failed: AtomicU64,
    timed_out: AtomicU64,
}

/// How many requests the upstream did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Failures {
    /// It could not be reached, broke off, or sent what is no answer.
    pub failed: u64,
    /// It was waited for in vain.
    pub timed_out: u64,
}

impl Proxy {
    /// A proxy that answers 504 when nothing went forward for `timeout`: no connection, no part of
    /// the request's body, no head of the answer.
    #[must_use]
    pub fn new(upstream: Upstream, timeout: Duration) -> Self {
        Self {
            upstream,
            timeout,
            client: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(POOL_IDLE)
                .pool_max_idle_per_host(POOL_CONNECTIONS)
                .http1_max_buf_size(BUFFER_BYTES)
                .build_http(),
            failed: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
        }
    }

    /// How many requests were answered 502 or 504 so far.
    #[must_use]
    pub fn failures(&self) -> Failures {
        Failures {
            failed: self.failed.load(Ordering::Relaxed),
            timed_out: self.timed_out.load(Ordering::Relaxed),
        }
    }

    /// Forwards a request; a failure is an answer, 502 or 504.
    pub async fn forward(&self, request: Request<RequestBody>) -> Response<AnswerBody> {
        let watch = request.body().watch();
        let Ok(request) = self.readdress(request) else {
            return json(StatusCode::BAD_REQUEST, TARGET_BODY);
        };
        let answer = self.client.request(request);
        match unless_stuck(self.timeout, &watch, answer).await {
            Some(Ok(answer)) => returned(answer, self.timeout, watch),
            Some(Err(_)) => match watch.fault() {
                Some(BodyFault::Long) => json(StatusCode::PAYLOAD_TOO_LARGE, TOO_LONG_BODY),
                Some(BodyFault::Slow) => json(StatusCode::REQUEST_TIMEOUT, TOO_SLOW_BODY),
                None => {
                    self.failed.fetch_add(1, Ordering::Relaxed);
                    json(StatusCode::BAD_GATEWAY, BAD_GATEWAY_BODY)
                }
            },
            None => {
                self.timed_out.fetch_add(1, Ordering::Relaxed);
                json(StatusCode::GATEWAY_TIMEOUT, TIMEOUT_BODY)
            }
        }
    }

    /// The request as the upstream gets it.
    fn readdress(
        &self,
        request: Request<RequestBody>,
    ) -> Result<Request<RequestBody>, hyper::http::Error> {
        let (mut parts, body) = request.into_parts();
        let peer = parts.extensions.remove::<Peer>();
        hide_connection(&mut parts.headers);
        drop_claims(&mut parts.headers, &parts.method);
        identify(&mut parts.headers, &parts.uri, parts.version, peer);
        parts.uri = self.target(&parts.uri)?;
        parts.version = Version::HTTP_11;
        parts.extensions.clear();
        Ok(Request::from_parts(parts, body))
    }

    fn target(&self, uri: &Uri) -> Result<Uri, hyper::http::Error> {
        let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let builder = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.upstream.authority.clone());
        if self.upstream.base.is_empty() {
            builder.path_and_query(path).build()
        } else {
            let path = format!("{}{path}", self.upstream.base);
            builder.path_and_query(path).build()
        }
    }
}

/// What the future gives, or `None` once a whole `timeout` has passed in which nothing moved.
async fn unless_stuck<F: Future>(timeout: Duration, watch: &Watch, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    loop {
        match tokio::time::timeout(timeout, &mut future).await {
            Ok(output) => return Some(output),
            // A long upload is no hang.
            Err(_) if watch.take_moved() => {}
            Err(_) => return None,
        }
    }
}

/// The upstream's answer as the client gets it.
fn returned(
    mut answer: Response<Incoming>,
    timeout: Duration,
    watch: Watch,
) -> Response<AnswerBody> {
    if answer.status().is_informational() {
        // Nobody asked to switch protocols.
        return json(StatusCode::BAD_GATEWAY, BAD_GATEWAY_BODY);
    }
    hide_connection(answer.headers_mut());
    *answer.version_mut() = Version::HTTP_11;
    answer.map(|body| Either::Left(AnswerStream::new(body, timeout, watch)))
}

/// Connections to the upstream that are kept while nothing asks for them.
const POOL_CONNECTIONS: usize = 64;
const POOL_IDLE: Duration = Duration::from_secs(30);
/// What a connection to the upstream may buffer; a longer head of an answer is garbage.
const BUFFER_BYTES: usize = 64 * 1024;

const TARGET_BODY: &str = r#"{"success":false,"error":"bad request target","errorCode":400}"#;
const TOO_SLOW_BODY: &str = r#"{"success":false,"error":"request body too slow","errorCode":408}"#;
const BAD_GATEWAY_BODY: &str = r#"{"success":false,"error":"bad gateway","errorCode":502}"#;
const TIMEOUT_BODY: &str = r#"{"success":false,"error":"gateway timeout","errorCode":504}"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn target(upstream: &str, uri: &str) -> String {
        let upstream = upstream.parse().unwrap();
        let proxy = Proxy::new(upstream, Duration::from_secs(1));
        proxy.target(&uri.parse().unwrap()).unwrap().to_string()
    }

    #[tokio::test]
    async fn joins_the_upstreams_path_and_the_requests() {
        assert_eq!(target("http://h:81", "/v1?a=b"), "http://h:81/v1?a=b");
        assert_eq!(target("http://h/", "/"), "http://h/");
        assert_eq!(target("http://h/base/", "/v1"), "http://h/base/v1");
        // What an absolute target names is not asked.
        assert_eq!(target("http://h", "http://evil/v1?x"), "http://h/v1?x");
        assert_eq!(target("http://h", "http://evil"), "http://h/");
    }

    #[tokio::test(start_paused = true)]
    async fn waits_as_long_as_something_moves_and_no_longer() {
        let timeout = Duration::from_secs(30);
        let watch = Watch::default();
        let upload = async {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(29)).await;
                watch.note_moved();
            }
            "answer"
        };
        let start = tokio::time::Instant::now();
        assert_eq!(unless_stuck(timeout, &watch, upload).await, Some("answer"));
        assert_eq!(start.elapsed(), Duration::from_secs(290));

        assert!(watch.take_moved());
        let start = tokio::time::Instant::now();
        let hang = std::future::pending::<()>();
        assert_eq!(unless_stuck(timeout, &watch, hang).await, None);
        assert_eq!(start.elapsed(), timeout);
    }

    #[test]
    fn rejects_an_upstream_that_it_cannot_forward_to() {
        for url in [
            "",
            "h:80",
            "/v1",
            "https://h",
            "http://",
            "http://u:p@h",
            "http://h?x=1",
        ] {
            assert_eq!(url.parse::<Upstream>(), Err(()), "{url}");
        }
        let upstream: Upstream = "http://[::1]:80/a/".parse().unwrap();
        assert_eq!(upstream.to_string(), "http://[::1]:80/a");
    }
}
