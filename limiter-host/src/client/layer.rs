//! A tower layer for clients: waits, sends, learns from responses, and retries.

use super::error::CallError;
use super::pacing::Pacing;
use super::retry::{Never, Replay, Retries, may_repeat};
use super::shared::SharedPacer;
use http::{Request, Response};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// A layer that paces the requests of an HTTP client.
///
/// Every clone of the layer, and every client under it, shares the one pacer.
///
/// ```
/// use limiter_host::SharedClock;
/// use limiter_host::client::{PacerLayer, SharedPacer};
/// use limiter_host::core::{Kind, Plan, Policy};
/// use limiter_host::pacer::PacerPolicy;
/// use tower_layer::Layer as _;
///
/// let policy = PacerPolicy::of(&Policy::pipedrive(), Plan::ADVANCED, Kind::ApiToken).unwrap();
/// let pacer = SharedPacer::new(policy, SharedClock::system());
/// let layer = PacerLayer::new(pacer.clone()).retries(3);
/// # let client = ();
/// let paced = layer.layer(client); // for example hyper_util's client
/// # let _ = paced;
/// ```
#[derive(Clone, Debug)]
pub struct PacerLayer<R = Never> {
    pacer: SharedPacer,
    pacing: Pacing,
    replay: R,
}

impl PacerLayer {
    /// Creates a layer that waits, sends and learns, without retries.
    #[must_use]
    pub const fn new(pacer: SharedPacer) -> Self {
        Self {
            pacer,
            pacing: Pacing::new(),
            replay: Never,
        }
    }
}

impl<R> PacerLayer<R> {
    /// Sets the pacing of requests that have none in their extensions.
    #[must_use]
    pub const fn pacing(mut self, pacing: Pacing) -> Self {
        self.pacing = pacing;
        self
    }

    /// Retries a refused request up to this number of times; see [`Replay`].
    #[must_use]
    pub fn retries(self, most: u32) -> PacerLayer<Retries> {
        self.replay(Retries(most))
    }

    /// Sets the way in which requests are retried.
    #[must_use]
    pub fn replay<T>(self, replay: T) -> PacerLayer<T> {
        PacerLayer {
            pacer: self.pacer,
            pacing: self.pacing,
            replay,
        }
    }
}

impl<S, R: Clone> Layer<S> for PacerLayer<R> {
    type Service = Paced<S, R>;

    fn layer(&self, inner: S) -> Self::Service {
        Paced {
            inner,
            layer: self.clone(),
        }
    }
}

/// A client whose requests are paced; built by [`PacerLayer`].
#[derive(Clone, Debug)]
pub struct Paced<S, R = Never> {
    inner: S,
    layer: PacerLayer<R>,
}

impl<S, R, B, T> Service<Request<B>> for Paced<S, R>
where
    S: Service<Request<B>, Response = Response<T>> + Clone + Send + 'static,
    S::Error: Send,
    S::Future: Send,
    R: Replay<B> + Clone + Send + Sync + 'static,
    B: Send + 'static,
    T: Send + 'static,
{
    type Response = Response<T>;
    type Error = CallError<S::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<Response<T>, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(CallError::Call)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The clone may not be ready; the one that is goes with the future.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(call(inner, self.layer.clone(), request))
    }
}

async fn call<S, R, B, T>(
    mut inner: S,
    layer: PacerLayer<R>,
    mut request: Request<B>,
) -> Result<Response<T>, CallError<S::Error>>
where
    S: Service<Request<B>, Response = Response<T>>,
    R: Replay<B>,
{
    let extension = request.extensions().get::<Pacing>();
    let pacing = extension.copied().unwrap_or(layer.pacing);
    let deadline = layer.pacer.deadline(pacing)?;
    let method = request.method().clone();
    let ours = limiter_core::Method::from_name(method.as_str());
    let mut refused: Option<Response<T>> = None;
    let mut repeated = 0;
    loop {
        let acquired = layer.pacer.acquire_until(ours, pacing, deadline).await;
        let mut permit = match (acquired, refused.take()) {
            (Ok(permit), _) => permit,
            // The service's own answer says more than that it cannot be asked again.
            (Err(_), Some(response)) => return Ok(response),
            (Err(error), None) => return Err(error.into()),
        };
        if repeated > 0 {
            poll_fn(|cx| inner.poll_ready(cx))
                .await
                .map_err(CallError::Call)?;
        }
        let again = (repeated < layer.replay.most())
            .then(|| layer.replay.copy(&request))
            .flatten();
        permit.sending();
        let response = inner.call(request).await.map_err(CallError::Call)?;
        let answer =
            permit.on_response(|now| super::answer(response.status(), response.headers(), now));
        match again {
            Some(again) if may_repeat(&method, &answer) => {
                request = again;
                refused = Some(response);
                repeated += 1;
            }
            _ => return Ok(response),
        }
    }
}
