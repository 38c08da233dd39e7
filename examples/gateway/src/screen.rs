//! A check of each request's head before anything counts it: what another server might read
//! differently is refused, and the path is forwarded in the form in which it was judged.
//!
//! - The method is one of seven, in capitals. Some servers run `post` as POST, but no limit on writes
//!   counts it.
//! - HTTP/1.1 has one valid `Host` (RFC 9112, section 3.2); an absolute target names the same.
//! - The body has no transfer coding but one `chunked` (RFC 9112, section 6.1).
//! - The path normalizes cleanly ([`PathOrigins::judge`]).
//!
//! Each refusal closes the connection: where one request cannot be trusted, neither can the place
//! where the next one begins.

mod host;

use crate::faults::{ClientFault, Faults};
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Response, StatusCode, Uri};
use limiter_host::PathOrigins;
use limiter_host::config::LiveOrigins;
use limiter_host::core::Origin;
use limiter_host::origins::{JudgedPath, UncleanPath};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_service::Service;

/// The origins of requests, by path; clones share one.
#[derive(Clone, Debug)]
pub(crate) enum Origins {
    /// As it was at the start.
    Fixed(Arc<PathOrigins>),
    /// As a file says at this moment.
    Live(LiveOrigins),
}

impl Origins {
    pub(crate) fn of(&self, path: &str) -> Origin {
        match self {
            Self::Fixed(origins) => origins.of(path),
            Self::Live(origins) => origins.of(path),
        }
    }

    fn judge<'a>(&self, path: &'a str) -> Result<JudgedPath<'a>, UncleanPath> {
        match self {
            Self::Fixed(origins) => origins.judge(path),
            Self::Live(origins) => origins.judge(path),
        }
    }
}

/// A service that passes on the requests whose heads can be trusted.
#[derive(Clone, Debug)]
pub(crate) struct Screen<S> {
    inner: S,
    origins: Origins,
    faults: Arc<Faults>,
}

impl<S> Screen<S> {
    pub(crate) const fn new(inner: S, origins: Origins, faults: Arc<Faults>) -> Self {
        Self {
            inner,
            origins,
            faults,
        }
    }
}

impl<S, B, R> Service<Request<B>> for Screen<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Either<R, Full<Bytes>>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if let Err(refusal) = screen(&mut request, &self.origins) {
            self.faults.note_client(ClientFault::BadHead);
            return Box::pin(async move { Ok(refusal.answer().map(Either::Right)) });
        }
        let answer = self.inner.call(request);
        Box::pin(async move { Ok(answer.await?.map(Either::Left)) })
    }
}

/// Checks a head, and puts its path into normal form.
fn screen<B>(request: &mut Request<B>, origins: &Origins) -> Result<(), Refusal> {
    if !KNOWN.contains(request.method()) {
        return Err(match *request.method() {
            Method::TRACE | Method::CONNECT => Refusal::NotAllowed,
            _ => Refusal::Method,
        });
    }
    if !host::agrees(request.uri(), request.headers(), request.version()) {
        return Err(Refusal::Host);
    }
    coding(request.headers())?;
    if let Some(uri) = normal(request.uri(), request.method(), origins)? {
        *request.uri_mut() = uri;
    }
    Ok(())
}

/// Judges the coding of a body. That the last one is `chunked`, and that HTTP/1.0 has none, has been
/// judged where the body's end is found.
fn coding(headers: &HeaderMap) -> Result<(), Refusal> {
    let fields = headers.get_all(TRANSFER_ENCODING);
    let mut codings = fields
        .iter()
        .flat_map(|field| field.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii);
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.eq_ignore_ascii_case(CHUNKED) => Ok(()),
        (Some(coding), Some(_)) if coding.eq_ignore_ascii_case(CHUNKED) => Err(Refusal::Chunks),
        _ => Err(Refusal::Coding),
    }
}

/// The target in normal form; `None` if it has that form.
fn normal(uri: &Uri, method: &Method, origins: &Origins) -> Result<Option<Uri>, Refusal> {
    let path = uri.path();
    if path == "*" && method == Method::OPTIONS {
        return Ok(None);
    }
    if !path.starts_with('/') {
        return Err(Refusal::Path);
    }
    let path = origins.judge(path).map_err(|UncleanPath| Refusal::Path)?;
    if path.path == uri.path() {
        return Ok(None);
    }
    let target = match uri.query() {
        Some(query) => format!("{}?{query}", path.path),
        None => path.path.into_owned(),
    };
    let mut parts = uri.clone().into_parts();
    let target = PathAndQuery::try_from(target).map_err(|_| Refusal::Path)?;
    parts.path_and_query = Some(target);
    // OK because it had these parts before.
    Uri::from_parts(parts).map(Some).map_err(|_| Refusal::Path)
}

/// A reason to refuse a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Method,
    NotAllowed,
    Host,
    Coding,
    Chunks,
    Path,
}

impl Refusal {
    fn answer(self) -> Response<Full<Bytes>> {
        let (status, body) = match self {
            Self::Method => (StatusCode::BAD_REQUEST, METHOD_BODY),
            Self::NotAllowed => (StatusCode::METHOD_NOT_ALLOWED, NOT_ALLOWED_BODY),
            Self::Host => (StatusCode::BAD_REQUEST, HOST_BODY),
            Self::Coding => (StatusCode::NOT_IMPLEMENTED, CODING_BODY),
            Self::Chunks => (StatusCode::BAD_REQUEST, CHUNKS_BODY),
            Self::Path => (StatusCode::BAD_REQUEST, PATH_BODY),
        };
        let mut answer = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if self == Self::NotAllowed {
            headers.insert(ALLOW, HeaderValue::from_static(ALLOWED));
        }
        answer
    }
}

/// The methods that are passed on. Names are case-sensitive (RFC 9110, section 9.1).
const KNOWN: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];
const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
const CHUNKED: &[u8] = b"chunked";

const METHOD_BODY: &str = r#"{"success":false,"error":"unknown method","errorCode":400}"#;
const NOT_ALLOWED_BODY: &str = r#"{"success":false,"error":"method not allowed","errorCode":405}"#;
const HOST_BODY: &str = r#"{"success":false,"error":"bad host","errorCode":400}"#;
const CODING_BODY: &str =
    r#"{"success":false,"error":"transfer coding not implemented","errorCode":501}"#;
const CHUNKS_BODY: &str = r#"{"success":false,"error":"bad transfer coding","errorCode":400}"#;
const PATH_BODY: &str =
    r#"{"success":false,"error":"the path does not normalize cleanly","errorCode":400}"#;
