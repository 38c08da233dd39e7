//! What operators see and do, on a listener of its own: a live page, the same as JSON, and the way
//! to lift a block.
//!
//! | request | answer |
//! |---|---|
//! | `GET /` | the page |
//! | `GET /status` | all that the page shows, as JSON ([`status`]) |
//! | `GET /metrics` | what `metrics.rs` lists, as Prometheus reads it |
//! | `POST /unblock` | ends the block of the token whose id is in the body, `{"token":"…"}` |
//!
//! There is no login: who reaches the listener is an operator. So it is off unless asked for, on
//! this machine alone unless an address is given, and `guard.rs` keeps the pages of other sites, in
//! an operator's browser, from reaching it.

mod connection_metrics;
mod fault_metrics;
mod guard;
mod history;
mod metrics;
pub mod status;
mod survey;

pub(crate) use self::metrics::Metrics;

use self::guard::Guard;
pub(crate) use self::status::Sources;
use crate::error::StartError;
use crate::limits::NotUnblocked;
use crate::listener::RequestBody;
use crate::settings::AdminSettings;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use limiter_host::core::TokenId;
use std::convert::Infallible;
use std::future::Future;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_service::Service;

/// The service on the admin listener.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    guard: Guard,
    metrics: Metrics,
    sources: Sources,
}

type Answer = Response<Full<Bytes>>;

impl Admin {
    pub(crate) fn new(
        settings: &AdminSettings,
        metrics: Metrics,
        of: impl FnOnce(String) -> Sources,
    ) -> Result<Self, StartError> {
        Ok(Self {
            shared: Arc::new(Shared {
                guard: Guard::new(settings.hosts.clone(), random_text()?),
                sources: of(random_text()?),
                metrics,
            }),
        })
    }

    /// Takes a sample once a second, for as long as it is polled.
    pub(crate) async fn sample(&self) {
        self.shared.sources.sample(&self.shared.metrics).await;
    }
}

impl Service<Request<RequestBody>> for Admin {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let mut answer = answer(&shared, request).await;
            for (name, value) in ALWAYS {
                answer
                    .headers_mut()
                    .insert(name, HeaderValue::from_static(value));
            }
            Ok(answer)
        })
    }
}

async fn answer(shared: &Arc<Shared>, request: Request<RequestBody>) -> Answer {
    if let Err(refusal) = shared.guard.allow_host(request.headers()) {
        return refused(StatusCode::MISDIRECTED_REQUEST, refusal.message());
    }
    let get = request.method() == Method::GET || request.method() == Method::HEAD;
    match request.uri().path() {
        "/" if get => shared.page(),
        "/status" if get => text(StatusCode::OK, JSON, shared.sources.json().await),
        "/metrics" if get => metrics(Arc::clone(shared)).await,
        "/unblock" if request.method() == Method::POST => shared.unblock(request).await,
        "/" | "/status" | "/metrics" => not_allowed("GET, HEAD"),
        "/unblock" => not_allowed("POST"),
        _ => refused(StatusCode::NOT_FOUND, "no such page"),
    }
}

async fn metrics(shared: Arc<Shared>) -> Answer {
    // Many rows may take a while, in which this thread has requests to serve.
    let look = move || shared.metrics.text(&shared.sources);
    match tokio::task::spawn_blocking(look).await {
        Ok(metrics) => text(StatusCode::OK, PROMETHEUS, metrics),
        Err(_) => refused(StatusCode::SERVICE_UNAVAILABLE, "no numbers"),
    }
}

impl Shared {
    /// The page, whose one script and one style are known by a number that is used once.
    fn page(&self) -> Answer {
        let Ok(nonce) = random_text() else {
            return refused(StatusCode::SERVICE_UNAVAILABLE, "no randomness");
        };
        let page = PAGE
            .replace("{nonce}", &nonce)
            .replace("{csrf}", self.guard.csrf());
        let mut answer = text(StatusCode::OK, "text/html; charset=utf-8", page);
        let policy = format!(
            "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
             img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
        );
        // OK because both parts are visible ASCII.
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            answer.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        }
        answer
    }

    async fn unblock(&self, request: Request<RequestBody>) -> Answer {
        if let Err(refusal) = self.guard.allow_change(request.headers()) {
            return refused(StatusCode::FORBIDDEN, refusal.message());
        }
        let Ok(body) = request.into_body().collect().await else {
            return refused(StatusCode::BAD_REQUEST, "the body did not come");
        };
        let Some(token) = token_in(&body.to_bytes()) else {
            let message = r#"the body must be {"token":"ID"} with an id of 16 hexadecimal digits"#;
            return refused(StatusCode::BAD_REQUEST, message);
        };
        match self.sources.limits().unblock(token).await {
            Ok(()) => {
                self.sources.forget();
                eprintln!(
                    "gateway: an operator unblocked token {:016x}",
                    token.as_u64()
                );
                text(StatusCode::OK, JSON, r#"{"success":true}"#)
            }
            Err(NotUnblocked::Unknown(error)) => refused(StatusCode::NOT_FOUND, &error.to_string()),
            #[cfg(feature = "redis")]
            Err(NotUnblocked::Store(error)) => refused(StatusCode::SERVICE_UNAVAILABLE, &error),
        }
    }
}

/// The id in `{"token":"0123456789abcdef"}`.
fn token_in(body: &[u8]) -> Option<TokenId> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Unblock<'a> {
        token: &'a str,
    }
    let Unblock { token } = serde_json::from_slice(body).ok()?;
    let digits = token.len() == 16 && token.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = digits.then(|| u64::from_str_radix(token, 16).ok())??;
    NonZeroU64::new(id).map(TokenId::from_hash)
}

fn text(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

fn refused(status: StatusCode, error: &str) -> Answer {
    let body = serde_json::json!({ "success": false, "error": error });
    text(status, JSON, body.to_string())
}

fn not_allowed(methods: &'static str) -> Answer {
    let mut answer = refused(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
    answer
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(methods));
    answer
}

/// 128 random bits as hexadecimal digits.
fn random_text() -> Result<String, StartError> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).map_err(|_| StartError::NoRandomness)?;
    Ok(format!("{:032x}", u128::from_le_bytes(bits)))
}

const JSON: &str = "application/json";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const CONTENT_SECURITY_POLICY: HeaderName = HeaderName::from_static("content-security-policy");

/// On every answer: nothing is kept, embedded, guessed or told elsewhere.
const ALWAYS: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("x-content-type-options"), "nosniff"),
    (HeaderName::from_static("referrer-policy"), "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// The page, put together when this is compiled.
const PAGE: &str = concat!(
    include_str!("admin/page/head.html"),
    "<style nonce=\"{nonce}\">\n",
    include_str!("admin/page/style.css"),
    "</style>\n",
    include_str!("admin/page/body.html"),
    "<script nonce=\"{nonce}\">\n\"use strict\";\n",
    include_str!("admin/page/chart.js"),
    include_str!("admin/page/page.js"),
    "</script>\n</body>\n</html>\n",
);
