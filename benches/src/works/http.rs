//! HTTP: what a layer adds to a request through axum, without a network. Real clocks, as all of
//! them have in service.

use crate::measure::{Effort, Subject, table};
use crate::report::Row;
use crate::steps::{Step, Walk, hash_key, step, walk};
use crate::subjects::LIMIT;
use crate::subjects::others::now_or_never;
use crate::subjects::ours::{concurrent, locked, policy, registration};
use axum::body::Body;
use axum::response::Response;
use axum::{Router, routing::get};
use http::Request;
use limiter_host::{LimiterLayer, SharedClock};
use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;
use tower::Service;
use tower_governor::GovernorLayer;
use tower_governor::errors::GovernorError;
use tower_governor::governor::GovernorConfigBuilder;
use tower_governor::key_extractor::KeyExtractor;

/// Bare axum, the layer over both limiters, tower_governor. What rows are compared with comes first.
#[must_use]
pub fn rows(effort: Effort) -> Vec<Row> {
    let population: Vec<Step> = (0..TOKENS).map(step).collect();
    let steps = walk(TOKENS, Walk::Uniform, effort.stretch / 8);
    let mut subjects = subjects(&population);
    table(WORK, &mut subjects, &steps, steps.len(), effort.rounds, 0)
}

/// All of them, `population` registered.
#[must_use]
pub fn subjects(population: &[Step]) -> Vec<Subject> {
    let clock = SharedClock::system();
    let mutex = Arc::new(locked(policy(), population.len()));
    let all_cores = Arc::new(concurrent(policy(), population.len()));
    if let Ok(now) = clock.now() {
        for step in population {
            let terms = registration(step);
            let _ = mutex.with(|limiter| limiter.register(step.id, terms, now).is_ok());
            let _ = all_cores.register(step.id, terms, now);
        }
    }
    let layer = LimiterLayer::new(mutex, hash_key(), clock.clone());
    let layer_all_cores = LimiterLayer::new(all_cores, hash_key(), clock);
    let config = GovernorConfigBuilder::default()
        .period(Duration::from_secs(2) / LIMIT)
        .burst_size(LIMIT)
        .key_extractor(ApiToken)
        .use_headers()
        .finish();
    let Some(config) = config else {
        unreachable!("neither period nor burst is zero")
    };
    let governor: GovernorLayer<_, _, Body> = GovernorLayer::new(config);
    vec![
        through("axum + tower_governor", LACKS, router().layer(governor)),
        through("axum alone", "no limit", router()),
        through("axum + LimiterLayer, Locked", "", router().layer(layer)),
        through(
            "LimiterLayer around axum, Concurrent",
            "",
            layer_all_cores.clone().around(router()),
        ),
        through(
            "axum + LimiterLayer, Concurrent",
            "",
            router().layer(layer_all_cores),
        ),
    ]
}

fn router() -> Router {
    Router::new().route("/v1/deals", get(|| async { "deals" }))
}

fn through<S>(name: &str, lacks: &'static str, mut service: S) -> Subject
where
    S: Service<Request<Body>, Response = Response, Error = Infallible> + 'static,
{
    Subject::alone(name, "request", lacks, move |steps| {
        for step in steps {
            let request = Request::get("/v1/deals").header("x-api-token", &step.token);
            let Ok(request) = request.body(Body::empty()) else {
                continue;
            };
            let answer = now_or_never(service.call(request));
            // Whoever refused would have less to do.
            let admitted = matches!(&answer, Some(Ok(answer)) if answer.status() == 200);
            assert!(admitted, "{answer:?}");
            black_box(&answer);
        }
    })
}

/// The credential as tower_governor's key.
#[derive(Clone, Debug)]
struct ApiToken;

impl KeyExtractor for ApiToken {
    type Key = String;

    fn extract<T>(&self, request: &Request<T>) -> Result<String, GovernorError> {
        let token = request.headers().get("x-api-token");
        let text = token.and_then(|token| token.to_str().ok());
        text.map(str::to_owned)
            .ok_or(GovernorError::UnableToExtractKey)
    }
}

const LACKS: &str = "no day, block or reset; `retry-after` rounded down, to 0 too";
const TOKENS: u32 = 1_000;

/// The name of this work.
pub const WORK: &str = "HTTP, a request through axum, 1 000 tokens";
