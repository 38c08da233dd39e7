//! One connection: heads read within limits, each request handed to the service.

use super::in_flight::{Excess, InFlight, Permit};
use super::request_body::RequestBody;
use super::slots::{Slot, Work};
use super::{ConnectionLimits, Peer};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use limiter_host::middleware::Head;
use std::convert::Infallible;
use std::error::Error;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

/// Conditions under which a connection is served.
pub(super) struct Terms {
    pub(super) limits: ConnectionLimits,
    pub(super) slot: Slot,
    pub(super) in_flight: Arc<InFlight>,
    pub(super) watcher: Watcher,
}

/// Serves a connection to its end: the client's, an error, the slot's or the listener's.
pub(super) async fn serve<S, B>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    terms: Terms,
    service: S,
) where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let Terms {
        limits,
        slot,
        in_flight,
        watcher,
    } = terms;
    let place = slot.clone();
    let answer = service_fn(move |request: Request<Incoming>| {
        let work = place.work();
        let entered = if is_too_long(&request, &limits) {
            Err(too_long())
        } else {
            let entered = in_flight.enter(&Head::of(&request), peer);
            entered.map_err(too_many)
        };
        let lane = place.body();
        let mut service = service.clone();
        async move {
            let (body, permit) = match entered {
                Err(refusal) => (refusal.map(Either::Right), None),
                Ok(permit) => {
                    let bound = |body| RequestBody::new(body, limits.body_bytes, limits.pace, lane);
                    let mut request = request.map(bound);
                    request.extensions_mut().insert(peer);
                    let Ok(response) = service.call(request).await;
                    (response.map(Either::Left), Some(permit))
                }
            };
            Ok::<_, Infallible>(body.map(|body| Working {
                body,
                _permit: permit,
                _work: work,
            }))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_within)
        .max_header_size(limits.head_bytes)
        .max_buf_size(limits.buffer_bytes())
        // What is to be sent is copied into one buffer of bounded size. In a list of parts each of them would keep
        // the whole buffer that it was read into.
        .writev(false)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = pin!(watcher.watch(connection));
    tokio::select! {
        // A client that breaks off or sends garbage harms its own connection only.
        _ = &mut connection => {}
        () = slot.closed() => {}
    }
}

/// Whether a body says that it is longer than a request may be.
fn is_too_long(request: &Request<Incoming>, limits: &ConnectionLimits) -> bool {
    request.body().size_hint().lower() > limits.body_bytes
}

fn too_long() -> Response<Full<Bytes>> {
    let mut response = refusal(StatusCode::PAYLOAD_TOO_LARGE, TOO_LONG_BODY);
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}

fn too_many(excess: Excess) -> Response<Full<Bytes>> {
    let (status, body) = excess.answer();
    let mut response = refusal(status, body);
    let second = HeaderValue::from_static("1");
    response.headers_mut().insert(RETRY_AFTER, second);
    response
}

fn refusal(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// An answer's body that keeps its connection at work, and its caller's request under way, until it has
/// been sent.
struct Working<B> {
    body: B,
    _permit: Option<Permit>,
    _work: Work,
}

impl<B: Body + Unpin> Body for Working<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Answered to a body that is too long, before or after that shows.
pub(crate) const TOO_LONG_BODY: &str =
    r#"{"success":false,"error":"request body too large","errorCode":413}"#;
