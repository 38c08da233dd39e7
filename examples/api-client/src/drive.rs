//! Sends the requests.

use crate::args::Args;
use crate::report::Report;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use limiter_host::SharedClock;
use limiter_host::client::{CallError, PacerLayer, SharedPacer};
use limiter_host::core::clock::ClockError;
use limiter_host::pacer::PacerPolicy;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tower_layer::Layer as _;
use tower_service::Service;

/// Sends the requests that the flags ask for. What is refused is sent again where it may be.
///
/// # Errors
///
/// [`DriveError`] at the first request that could not be sent, or that got no answer.
pub async fn run(args: &Args) -> Result<Report, DriveError> {
    let request = request(args)?;
    let clock = SharedClock::system();
    let policy = PacerPolicy::ADAPTIVE.reserve_for_others(args.others);
    let pacer = SharedPacer::new(policy, clock.clone());
    let counts = Arc::new(Counts::default());
    let counting = Counting {
        inner: Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>(),
        counts: Arc::clone(&counts),
    };
    let client = PacerLayer::new(pacer).retries(RETRIES).layer(counting);

    let started = clock.now().map_err(DriveError::Clock)?.monotonic();
    let mut tasks = tokio::task::JoinSet::new();
    let left = Arc::new(AtomicU64::new(args.requests));
    for _ in 0..args.concurrency {
        let (mut client, request, left) = (client.clone(), request.clone(), Arc::clone(&left));
        tasks.spawn(async move {
            while take_one(&left) {
                poll_fn(|cx| client.poll_ready(cx)).await.map_err(failed)?;
                let response = client.call(request.clone()).await.map_err(failed)?;
                // Reads the body, so that the connection can be used again.
                let body = response.into_body().collect().await;
                body.map_err(|error| DriveError::Call(Box::new(error)))?;
            }
            Ok::<(), DriveError>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| DriveError::Call(Box::new(error)))??;
    }
    let ended = clock.now().map_err(DriveError::Clock)?.monotonic();
    Ok(Report {
        sent: counts.sent.load(Ordering::Relaxed),
        refused: counts.refused.load(Ordering::Relaxed),
        took: Duration::from_millis(ended.saturating_since(started)),
    })
}

fn request(args: &Args) -> Result<Request<Full<Bytes>>, DriveError> {
    if args.base.scheme_str() != Some("http") || args.base.host().is_none() {
        return Err(DriveError::NotHttp);
    }
    Request::builder()
        .method(&args.method)
        .uri(&args.base)
        .header("x-api-token", &args.token)
        .body(Full::default())
        .map_err(|error| DriveError::Call(Box::new(error)))
}

/// Takes one of the requests that are left to send.
fn take_one(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(1)
    })
    .is_ok()
}

fn failed<E: std::error::Error + Send + Sync + 'static>(error: CallError<E>) -> DriveError {
    DriveError::Call(Box::new(error))
}

/// Why a run ended early.
#[derive(Debug)]
#[non_exhaustive]
pub enum DriveError {
    /// The base is no `http` URL with a host.
    NotHttp,
    /// The clock could not be read.
    Clock(ClockError),
    /// A request was not sent, or got no answer.
    Call(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Display for DriveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotHttp => f.write_str("the base has to be a URL that begins with http://"),
            Self::Clock(error) => error.fmt(f),
            Self::Call(error) => {
                write!(f, "{error}")?;
                let mut source = error.source();
                while let Some(cause) = source {
                    write!(f, ": {cause}")?;
                    source = cause.source();
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for DriveError {}

#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    refused: AtomicU64,
}

/// Counts what really goes over the wire: it stands below the pacer.
#[derive(Clone, Debug)]
struct Counting<S> {
    inner: S,
    counts: Arc<Counts>,
}

impl<S, B, T> Service<Request<B>> for Counting<S>
where
    S: Service<Request<B>, Response = Response<T>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future =
        std::pin::Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send + 'static>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.counts.sent.fetch_add(1, Ordering::Relaxed);
        let (answer, counts) = (self.inner.call(request), Arc::clone(&self.counts));
        Box::pin(async move {
            let response = answer.await?;
            if REFUSALS.contains(&response.status()) {
                counts.refused.fetch_add(1, Ordering::Relaxed);
            }
            Ok(response)
        })
    }
}

const REFUSALS: [StatusCode; 3] = [
    StatusCode::FORBIDDEN,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::SERVICE_UNAVAILABLE,
];
/// How often a refused request is sent again.
const RETRIES: u32 = 5;
