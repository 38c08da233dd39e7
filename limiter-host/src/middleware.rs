//! A tower layer that puts a limiter before any HTTP service.
//!
//! This file says what can be chosen; `service.rs` decides and answers. The journey of a request:
//!
//! 1. [`Head`]: its origin (all are `api`, unless told otherwise, as by
//!    [`PathOrigins`](crate::PathOrigins)); its
//!    credential ([`credential`]); its cost and method. The body is not touched.
//! 2. The clock is read, and the limiter decides; the hook sees what.
//! 3. Refused: the answer of SPEC 7, and the inner service never hears of it. Admitted: the inner
//!    service's answer, with the quota headers.
//!
//! A webhook needs no credential and gets no headers (O1), and neither does a request that is exempt:
//! a CORS preflight by default ([`LimiterLayer::exempt_preflight`]), and any other that
//! [`LimiterLayer::exempt`] names. A request that shows two different credentials is answered 400
//! without a decision.
//!
//! # gRPC
//!
//! A call, known by the content type `application/grpc` or `application/grpc-web`, is refused as its
//! clients understand it: HTTP status 200, no body, and in the head
//!
//! | refusal | `grpc-status` |
//! |---|---|
//! | 429 | 8, `RESOURCE_EXHAUSTED` |
//! | 403 | 7, `PERMISSION_DENIED` |
//! | 401 | 16, `UNAUTHENTICATED` |
//! | 503 | 14, `UNAVAILABLE` |
//! | 400 | 3, `INVALID_ARGUMENT` |
//!
//! with a `grpc-message`. All other headers of the refusal are there too, which the client has as
//! metadata, and where there is a `retry-after`, `grpc-status-details-bin` has the same time as a
//! `google.rpc.RetryInfo`. A browser's gRPC-Web client reads what the CORS configuration exposes:
//! let it expose `grpc-status`, `grpc-message` and the quota headers.
//!
//! # Several layers
//!
//! One layer may stand around another: one for each address outside, say, and one for each token
//! inside. A request is then charged by each that it comes to, from the outside in.
//!
//! - Of a refusal the headers of the layer that refused stand, whatever others are around it: they
//!   are the numbers of the limit that refused. A layer knows such an answer by its [`Refusal`].
//! - Of an admitted request the headers of the outermost layer stand, all of them or none. To show
//!   those of a layer further in, say [`quota_headers(false)`](LimiterLayer::quota_headers) to the
//!   ones around it.
//! - What an outer layer has charged for a request that an inner one refused stays charged, unless
//!   [`LimiterLayer::refund_on`] gives it back.

mod body;
mod credential;
mod fields;
mod future;
mod grpc;
mod head;
mod refusal;
mod response;
mod service;
mod settings;

pub use self::body::{Answers, LimitedBody, OwnBody, SameBody};
pub use self::credential::{ConflictingCredentials, credential};
pub use self::future::LimitedFuture;
pub use self::head::Head;
pub use self::refusal::Refusal;
pub use self::service::Limited;

use self::settings::Settings;
use crate::awaited::Caller;
use crate::clock::{SharedClock, Stopwatch};
use http::StatusCode;
use limiter_core::http::Style;
use limiter_core::{Decision, HashKey, Method, Origin, Request};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// Limits the callers of an HTTP service.
///
/// `D` is a limiter that threads share: a [`Decide`](crate::Decide), which answers at once, or a
/// [`DecideAsync`](crate::DecideAsync), which may have to be awaited. It is kept in an [`Arc`]: clone
/// yours before, to register tokens beside it.
///
/// ```
/// use limiter_host::core::{HashKey, Kind, Plan, Policy, Registration};
/// use limiter_host::{LimiterLayer, Locked, SharedClock};
/// use std::sync::Arc;
///
/// let (key, clock) = (HashKey::new(*b"from the OS, say"), SharedClock::system());
/// let limiter = Arc::new(Locked::new(Policy::pipedrive(), 1_000, 200));
/// let now = clock.now()?;
/// let martin = Registration::new(key.user(b"martin"), Kind::ApiToken, Plan::ADVANCED);
/// limiter.with(|l| l.register(key.token(b"a1b2c3"), martin, now))?;
///
/// let layer = LimiterLayer::new(limiter, key, clock).refund_on_5xx(true);
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// `A` tells of what kind the answers' bodies are: [`OwnBody`], or [`SameBody`] after
/// [`LimiterLayer::same_body`].
pub struct LimiterLayer<D, A = OwnBody> {
    settings: Arc<Settings<D>>,
    answers: PhantomData<fn() -> A>,
}

impl<D> LimiterLayer<D> {
    /// A layer as SPEC has it: every request is of origin `api` and costs 1 permit, the answers
    /// are the page's, nothing is given back.
    ///
    /// `key` and `clock` are those with which tokens are registered.
    #[must_use]
    pub fn new(limiter: Arc<D>, key: HashKey, clock: SharedClock) -> Self {
        Self {
            settings: Arc::new(Settings::new(limiter, key, clock)),
            answers: PhantomData,
        }
    }
}

impl<D, A> LimiterLayer<D, A> {
    /// Takes the credential from somewhere else than [`credential`] does; `None` where the request
    /// shows none. It is hashed and forgotten.
    #[must_use]
    pub fn credential(
        mut self,
        find: impl for<'a> Fn(&Head<'a>) -> Result<Option<Cow<'a, [u8]>>, ConflictingCredentials>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.change().credential = Some(Arc::new(find));
        self
    }

    /// Sets the caller of a request, its address most often, by which a limiter that looks tokens up
    /// ([`Resolver`](crate::resolver::Resolver)) shares its look-ups out; `None` for one of which
    /// nothing is known. By default nothing is known of any.
    ///
    /// With axum, whose `into_make_service_with_connect_info::<SocketAddr>` puts the address beside
    /// each request:
    ///
    /// ```
    /// use axum::extract::ConnectInfo;
    /// # use limiter_host::core::{HashKey, Policy};
    /// # use limiter_host::{LimiterLayer, Locked, SharedClock};
    /// # let limiter = std::sync::Arc::new(Locked::new(Policy::pipedrive(), 8, 8));
    /// # let (key, clock) = (HashKey::new([7; 16]), SharedClock::system());
    /// use std::net::SocketAddr;
    ///
    /// let layer = LimiterLayer::new(limiter, key, clock).caller(|head| {
    ///     let peer = head.extensions.get::<ConnectInfo<SocketAddr>>()?;
    ///     Some(peer.0.ip().into())
    /// });
    /// # let _ = layer;
    /// ```
    ///
    /// Behind a proxy that address is the proxy's: take the client's from where the proxy puts it,
    /// and from nowhere that a client can write to.
    #[must_use]
    pub fn caller(
        mut self,
        of: impl Fn(&Head<'_>) -> Option<Caller> + Send + Sync + 'static,
    ) -> Self {
        self.change().caller = Some(Arc::new(of));
        self
    }

    /// Tells where a request comes from; [`PathOrigins`](crate::PathOrigins) knows by the path.
    #[must_use]
    pub fn origin(mut self, of: impl Fn(&Head<'_>) -> Origin + Send + Sync + 'static) -> Self {
        self.change().origin = Some(Arc::new(of));
        self
    }

    /// Lets the requests for which `exempt` holds through, whatever the limits: those of a health
    /// check, say. They need no credential, are charged nothing, get no quota headers, and are
    /// decided as of origin `webhook` (O1). It adds to what was exempt before.
    ///
    /// ```
    /// # use limiter_host::core::{HashKey, Policy};
    /// # use limiter_host::{LimiterLayer, Locked, SharedClock};
    /// # let limiter = std::sync::Arc::new(Locked::new(Policy::pipedrive(), 8, 8));
    /// # let (key, clock) = (HashKey::new([7; 16]), SharedClock::system());
    /// let layer = LimiterLayer::new(limiter, key, clock)
    ///     .exempt(|head| matches!(head.uri.path(), "/healthz" | "/readyz"));
    /// # let _ = layer;
    /// ```
    ///
    /// Compare whole paths, or use [`PathOrigins`](crate::PathOrigins): what a prefix lets through,
    /// `/health/../v1`, a service may read as another path.
    #[must_use]
    pub fn exempt(mut self, exempt: impl Fn(&Head<'_>) -> bool + Send + Sync + 'static) -> Self {
        let settings = self.change();
        settings.exempt = Some(match settings.exempt.take() {
            None => Arc::new(exempt),
            Some(first) => Arc::new(move |head: &Head<'_>| first(head) || exempt(head)),
        });
        self
    }

    /// Turns the exemption of CORS preflight requests off, or on again; it is on by default.
    ///
    /// A browser sends one before a request to another origin: `OPTIONS` with `Origin` and
    /// `Access-Control-Request-Method`. It never carries a credential, so it would be refused, and
    /// the request that it asks for would never be sent. All such requests reach the service,
    /// unlimited: put a CORS layer around this one, which answers them itself, or turn this off
    /// where no browser calls.
    #[must_use]
    pub fn exempt_preflight(mut self, exempt: bool) -> Self {
        self.change().exempt_preflight = exempt;
        self
    }

    /// Tells how many permits a request takes.
    #[must_use]
    pub fn cost(mut self, of: impl Fn(&Head<'_>) -> NonZeroU32 + Send + Sync + 'static) -> Self {
        self.change().cost = Some(Arc::new(of));
        self
    }

    /// Tells as which method a request counts, for example a search by POST as a GET.
    #[must_use]
    pub fn method(mut self, of: impl Fn(&Head<'_>) -> Method + Send + Sync + 'static) -> Self {
        self.change().method = Some(Arc::new(of));
        self
    }

    /// Calls `hook` for each decision, before the service is called or the refusal sent; after the
    /// hooks that were given before.
    #[must_use]
    pub fn on_decision(mut self, hook: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        let settings = self.change();
        settings.hook = Some(match settings.hook.take() {
            None => Arc::new(hook),
            Some(first) => Arc::new(move |event: &Event<'_>| {
                first(event);
                hook(event);
            }),
        });
        self
    }

    /// Whether [`Event::took`] is measured: two readings of the cycle counter for each request. Off
    /// by default.
    #[must_use]
    pub fn time_decisions(mut self, time: bool) -> Self {
        self.change().stopwatch = time.then(Stopwatch::new);
        self
    }

    /// Adds the IETF fields, or answers with problem details (H3), or sets the `www-authenticate` of a
    /// 401, which is `Bearer` by default:
    ///
    /// ```
    /// use limiter_host::core::http::{Challenge, Style};
    /// # use limiter_host::core::{HashKey, Policy};
    /// # use limiter_host::{LimiterLayer, Locked, SharedClock};
    /// # let limiter = std::sync::Arc::new(Locked::new(Policy::pipedrive(), 8, 8));
    /// # let (key, clock) = (HashKey::new([7; 16]), SharedClock::system());
    /// let layer = LimiterLayer::new(limiter, key, clock).style(Style {
    ///     challenge: Challenge::new("Bearer realm=\"deals\""), // or None, for no such header
    ///     ..Style::PAGE
    /// });
    /// # let _ = layer;
    /// ```
    #[must_use]
    pub fn style(mut self, style: Style) -> Self {
        self.change().style = style;
        self
    }

    /// Whether the page's quota headers are sent (H1); they are, unless this says no.
    #[must_use]
    pub fn quota_headers(mut self, send: bool) -> Self {
        self.change().quota_headers = send;
        self
    }

    /// Adds up to `most`, in whole seconds, to the `retry-after` of a token that a limit or a block
    /// refuses: always the same for one token, so that many that were refused together do not come
    /// back together. Nobody is told to come back earlier than without it. Off by default.
    #[must_use]
    pub fn retry_jitter(mut self, most: Duration) -> Self {
        self.change().jitter_s = u32::try_from(most.as_secs()).unwrap_or(u32::MAX);
        self
    }

    /// Decides and reports, and never refuses: every request reaches the service, also one with two
    /// credentials. What would have been refused shows in the hook, in the limiter's statistics and
    /// in the quota headers; `retry-after` is not sent.
    #[must_use]
    pub fn shadow(mut self, shadow: bool) -> Self {
        self.change().shadow = shadow;
        self
    }

    /// Gives the permits of a request back (P2), or not, when the service answers with a status of 500
    /// or above, or fails. The headers of that answer are those of the decision, before the refund.
    ///
    /// The status of a gRPC answer is what its `grpc-status` stands for, as the codes are mapped to
    /// HTTP in `google/rpc/code.proto`, if that is in the head, as it is where a call fails before
    /// its first message.
    #[must_use]
    pub fn refund_on_5xx(mut self, refund: bool) -> Self {
        self.change().refund_5xx = refund;
        self
    }

    /// Gives the permits of a request back (P2) when the service answers with one of these statuses;
    /// a service that fails counts as 500. It adds to [`LimiterLayer::refund_on_5xx`], which says how
    /// gRPC is read.
    ///
    /// Around another layer it gives back what this one took for a request that the other refused:
    ///
    /// ```
    /// use http::StatusCode;
    /// # use limiter_host::core::{HashKey, Policy};
    /// # use limiter_host::{LimiterLayer, Locked, SharedClock};
    /// # let limiter = std::sync::Arc::new(Locked::new(Policy::pipedrive(), 8, 8));
    /// # let (key, clock) = (HashKey::new([7; 16]), SharedClock::system());
    /// let by_address = LimiterLayer::new(limiter, key, clock)
    ///     .refund_on(|status| status == StatusCode::TOO_MANY_REQUESTS);
    /// # let _ = by_address;
    /// ```
    #[must_use]
    pub fn refund_on(
        mut self,
        statuses: impl Fn(StatusCode) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.change().refund_on = Some(Arc::new(statuses));
        self
    }

    /// Answers with bodies of the service's own type, which must be made of a `&'static str` as
    /// those of axum and `http_body_util::Full` are. It spares a wrapper, and axum the box that it
    /// puts a foreign body into.
    #[must_use]
    pub fn same_body(self) -> LimiterLayer<D, SameBody> {
        LimiterLayer {
            settings: self.settings,
            answers: PhantomData,
        }
    }

    /// Puts the layer around a whole service, with bodies of the service's own type.
    ///
    /// An axum router adds a layer by boxing it, its future and its clone for each request, which
    /// takes about as long as the layer itself. Around the router none of that is needed:
    ///
    /// ```no_run
    /// # use axum::{Router, extract::Request};
    /// # use limiter_host::{Concurrent, LimiterLayer};
    /// # async fn serve(router: Router, layer: LimiterLayer<Concurrent>) -> std::io::Result<()> {
    /// # let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// let service = layer.around(router);
    /// axum::serve(listener, axum::ServiceExt::<Request>::into_make_service(service)).await
    /// # }
    /// ```
    #[must_use]
    pub fn around<S>(self, service: S) -> Limited<S, D, SameBody> {
        Limited::new(service, self.settings)
    }

    /// The settings, to be changed before a service shares them.
    fn change(&mut self) -> &mut Settings<D> {
        Arc::make_mut(&mut self.settings)
    }
}

impl<D, A> Clone for LimiterLayer<D, A> {
    fn clone(&self) -> Self {
        Self {
            settings: Arc::clone(&self.settings),
            answers: PhantomData,
        }
    }
}

impl<D, A> fmt::Debug for LimiterLayer<D, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimiterLayer")
            .field("style", &self.settings.style)
            .field("shadow", &self.settings.shadow)
            .finish_non_exhaustive()
    }
}

impl<S, D, A> tower_layer::Layer<S> for LimiterLayer<D, A> {
    type Service = Limited<S, D, A>;

    fn layer(&self, inner: S) -> Limited<S, D, A> {
        Limited::new(inner, Arc::clone(&self.settings))
    }
}

/// One decision, as the hook of [`LimiterLayer::on_decision`] sees it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Event<'a> {
    /// What was asked for; the token is an id, never a credential.
    pub request: &'a Request,
    /// What the limiter said.
    pub decision: &'a Decision,
    /// Whether the request reaches the service: it was admitted, or the layer is a shadow.
    pub passes: bool,
    /// From when the layer got the request to the decision, waiting included; if
    /// [`LimiterLayer::time_decisions`] asked for it.
    pub took: Option<Duration>,
}

#[cfg(test)]
mod tests;
