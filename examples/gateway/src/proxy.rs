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
mod body;
mod headers;
mod pool;

pub use self::answer::{AnswerError, AnswerStream};

use self::body::HeldBody;
use self::headers::{drop_claims, hide_connection, identify};
use self::pool::{InUse, Pool};
use crate::faults::{ClientFault, Faults, UpstreamFault};
use crate::listener::{BodyFault, Peer, RequestBody, TOO_LONG_BODY, Watch};
use crate::upstream::{AnswerBody, json};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::{Request, Response, StatusCode, Uri, Version};
use std::fmt;
use std::pin::pin;
use std::str::FromStr;
use std::sync::Arc;
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

impl Upstream {
    /// The server's address, and its name for `Host`.
    fn address(&self) -> (Uri, HeaderValue) {
        let authority = self.authority.as_str();
        let address = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(authority)
            .path_and_query("/")
            .build();
        // OK because it was read from an address, and is of visible ASCII characters.
        (
            address.unwrap_or_default(),
            HeaderValue::from_str(authority).unwrap_or(HeaderValue::from_static("")),
        )
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
    host: HeaderValue,
    timeout: Duration,
    pool: Pool,
    faults: Arc<Faults>,
}

impl Proxy {
    /// A proxy that answers 504 when nothing went forward for `timeout`: no connection, no part of
    /// the request's body, no head of the answer. It keeps a connection that nothing uses for
    /// `idle_for` at most.
    pub(crate) fn new(
        upstream: Upstream,
        timeout: Duration,
        idle_for: Duration,
        faults: Arc<Faults>,
    ) -> Self {
        let (server, host) = upstream.address();
        Self {
            upstream,
            host,
            timeout,
            pool: Pool::new(server, idle_for),
            faults,
        }
    }

    /// Forwards a request; a failure is an answer: the client's 400, 408 or 413, the upstream's 502 or
    /// 504.
    pub async fn forward(&self, request: Request<RequestBody>) -> Response<AnswerBody> {
        let watch = request.body().watch();
        let Ok(request) = self.readdress(request) else {
            return json(StatusCode::BAD_REQUEST, TARGET_BODY);
        };
        // A client that goes away has this future dropped.
        let cancelled = NoteCancelled(&self.faults);
        let answer = self.pool.send(request, || self.faults.note_retry());
        let outcome = unless_stuck(self.timeout, &watch, answer).await;
        std::mem::forget(cancelled);
        match outcome {
            Some(Ok((answer, in_use))) => self.returned(answer, in_use, watch),
            Some(Err(_)) => match watch.fault() {
                Some(fault) => {
                    self.faults.note_client(fault.into());
                    refused(fault)
                }
                None => {
                    self.faults.note_upstream(UpstreamFault::Failed);
                    json(StatusCode::BAD_GATEWAY, BAD_GATEWAY_BODY)
                }
            },
            None => {
                self.faults.note_upstream(UpstreamFault::TimedOut);
                json(StatusCode::GATEWAY_TIMEOUT, TIMEOUT_BODY)
            }
        }
    }

    /// The upstream's answer as the client gets it.
    fn returned(
        &self,
        mut answer: Response<Incoming>,
        in_use: InUse,
        watch: Watch,
    ) -> Response<AnswerBody> {
        if answer.status().is_informational() {
            // Nobody asked to switch protocols.
            self.faults.note_upstream(UpstreamFault::Failed);
            return json(StatusCode::BAD_GATEWAY, BAD_GATEWAY_BODY);
        }
        hide_connection(answer.headers_mut());
        *answer.version_mut() = Version::HTTP_11;
        let (timeout, faults) = (self.timeout, Arc::clone(&self.faults));
        answer.map(|body| Either::Left(AnswerStream::new(body, timeout, watch, faults, in_use)))
    }

    /// The request as the upstream gets it.
    fn readdress(
        &self,
        request: Request<RequestBody>,
    ) -> Result<Request<HeldBody>, hyper::http::Error> {
        let (mut parts, body) = request.into_parts();
        let peer = parts.extensions.remove::<Peer>();
        hide_connection(&mut parts.headers);
        drop_claims(&mut parts.headers, &parts.method);
        identify(&mut parts.headers, &parts.uri, parts.version, peer);
        parts.headers.insert(HOST, self.host.clone());
        parts.uri = self.target(&parts.uri)?;
        parts.version = Version::HTTP_11;
        parts.extensions.clear();
        Ok(Request::from_parts(parts, HeldBody::new(body)))
    }

    fn target(&self, uri: &Uri) -> Result<Uri, hyper::http::Error> {
        let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let builder = Uri::builder();
        // `OPTIONS *` is about the server, wherever its paths begin.
        if self.upstream.base.is_empty() || path == "*" {
            builder.path_and_query(path).build()
        } else {
            let path = format!("{}{path}", self.upstream.base);
            builder.path_and_query(path).build()
        }
    }
}

/// Notes that a client went away, when it is dropped.
struct NoteCancelled<'a>(&'a Faults);

impl Drop for NoteCancelled<'_> {
    fn drop(&mut self) {
        self.0.note_client(ClientFault::Cancelled);
    }
}

/// The answer to a client whose body was broken off.
fn refused(fault: BodyFault) -> Response<AnswerBody> {
    match fault {
        BodyFault::Long => json(StatusCode::PAYLOAD_TOO_LARGE, TOO_LONG_BODY),
        BodyFault::Slow => json(StatusCode::REQUEST_TIMEOUT, TOO_SLOW_BODY),
        // One that was cancelled reads no answer.
        BodyFault::Malformed | BodyFault::Cancelled => json(StatusCode::BAD_REQUEST, BAD_BODY),
    }
}

impl From<BodyFault> for ClientFault {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::Long => Self::LongBody,
            BodyFault::Slow => Self::SlowBody,
            BodyFault::Malformed => Self::BadBody,
            BodyFault::Cancelled => Self::Cancelled,
        }
    }
}

/// What the future gives, or `None` once a whole `timeout` has passed in which nothing moved.
async fn unless_stuck<F: Future>(timeout: Duration, watch: &Watch, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    loop {
        match tokio::time::timeout(timeout, &mut future).await {
            Ok(output) => return Some(output),
            // A long upload is no hang, and a slow client is none of the upstream.
            Err(_) if watch.take_moved() || watch.is_waiting() => {}
            Err(_) => return None,
        }
    }
}

const TARGET_BODY: &str = r#"{"success":false,"error":"bad request target","errorCode":400}"#;
const TOO_SLOW_BODY: &str = r#"{"success":false,"error":"request body too slow","errorCode":408}"#;
const BAD_BODY: &str = r#"{"success":false,"error":"bad request body","errorCode":400}"#;
const BAD_GATEWAY_BODY: &str = r#"{"success":false,"error":"bad gateway","errorCode":502}"#;
const TIMEOUT_BODY: &str = r#"{"success":false,"error":"gateway timeout","errorCode":504}"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn target(upstream: &str, uri: &str) -> String {
        let upstream = upstream.parse().unwrap();
        let second = Duration::from_secs(1);
        let proxy = Proxy::new(upstream, second, second, Arc::default());
        proxy.target(&uri.parse().unwrap()).unwrap().to_string()
    }

    #[tokio::test]
    async fn joins_the_upstreams_path_and_the_requests() {
        assert_eq!(target("http://h:81", "/v1?a=b"), "/v1?a=b");
        assert_eq!(target("http://h/", "/"), "/");
        assert_eq!(target("http://h/base/", "/v1"), "/base/v1");
        assert_eq!(target("http://h/base", "*"), "*");
        // What an absolute target names is not asked.
        assert_eq!(target("http://h", "http://evil/v1?x"), "/v1?x");
        assert_eq!(target("http://h", "http://evil"), "/");
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
