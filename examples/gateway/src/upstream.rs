//! Who answers what was admitted: the gateway itself, or the server behind it.

use crate::listener::RequestBody;
use crate::proxy::{AnswerStream, Proxy};
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_service::Service;

/// An answer's body: the upstream's, streamed, or a short text of the gateway's.
pub type AnswerBody = Either<AnswerStream, Full<Bytes>>;

/// The service behind the limiter.
#[derive(Clone, Debug)]
pub enum Backend {
    /// Answers every request by itself.
    Embedded,
    /// Forwards every request.
    Proxy(Arc<Proxy>),
}

impl Service<Request<RequestBody>> for Backend {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        match self {
            Self::Embedded => Box::pin(async { Ok(json(StatusCode::OK, EMBEDDED_BODY)) }),
            Self::Proxy(proxy) => {
                let proxy = Arc::clone(proxy);
                Box::pin(async move { Ok(proxy.forward(request).await) })
            }
        }
    }
}

/// A short answer of the gateway's own.
pub(crate) fn json(status: StatusCode, body: &'static str) -> Response<AnswerBody> {
    let mut response = Response::new(Either::Right(Full::new(Bytes::from_static(
        body.as_bytes(),
    ))));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

const EMBEDDED_BODY: &str = r#"{"success":true,"data":"answered by the gateway itself"}"#;
