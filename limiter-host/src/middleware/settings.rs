//! The options of a layer; its services share one set of them.

use super::credential::ConflictingCredentials;
use super::head::Head;
use super::{Event, refusal};
use crate::awaited::Caller;
use crate::clock::{SharedClock, Stopwatch};
use http::StatusCode;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ORIGIN};
use limiter_core::http::Style;
use limiter_core::{HashKey, Method, Origin};
use std::borrow::Cow;
use std::num::NonZeroU32;
use std::sync::Arc;

pub(super) type Find<T> = Arc<dyn for<'a> Fn(&Head<'a>) -> T + Send + Sync>;
pub(super) type FindCredential = Arc<
    dyn for<'a> Fn(&Head<'a>) -> Result<Option<Cow<'a, [u8]>>, ConflictingCredentials>
        + Send
        + Sync,
>;
pub(super) type Hook = Arc<dyn for<'a> Fn(&Event<'a>) + Send + Sync>;

/// The options of a layer.
pub(super) struct Settings<D> {
    pub(super) limiter: Arc<D>,
    pub(super) key: HashKey,
    pub(super) clock: SharedClock,
    pub(super) credential: Option<FindCredential>,
    pub(super) caller: Option<Find<Option<Caller>>>,
    pub(super) origin: Option<Find<Origin>>,
    pub(super) exempt: Option<Find<bool>>,
    pub(super) exempt_preflight: bool,
    pub(super) cost: Option<Find<NonZeroU32>>,
    pub(super) method: Option<Find<Method>>,
    pub(super) hook: Option<Hook>,
    pub(super) stopwatch: Option<Stopwatch>,
    pub(super) style: Style,
    pub(super) quota_headers: bool,
    pub(super) jitter_s: u32,
    pub(super) shadow: bool,
    pub(super) refund_5xx: bool,
    pub(super) refund_on: Option<Arc<dyn Fn(StatusCode) -> bool + Send + Sync>>,
}

impl<D> Settings<D> {
    pub(super) fn new(limiter: Arc<D>, key: HashKey, clock: SharedClock) -> Self {
        Self {
            limiter,
            key,
            clock,
            credential: None,
            caller: None,
            origin: None,
            exempt: None,
            exempt_preflight: true,
            cost: None,
            method: None,
            hook: None,
            stopwatch: None,
            style: Style::PAGE,
            quota_headers: true,
            jitter_s: 0,
            shadow: false,
            refund_5xx: false,
            refund_on: None,
        }
    }

    /// The origin of a request; an exempt one is decided as a webhook is (O1).
    #[inline]
    pub(super) fn origin_of(&self, head: &Head<'_>) -> Origin {
        if self.exempt_preflight && is_preflight(head) {
            return Origin::Webhook;
        }
        if let Some(exempt) = &self.exempt
            && exempt(head)
        {
            return Origin::Webhook;
        }
        self.origin.as_ref().map_or(Origin::Api, |of| of(head))
    }

    /// Returns true if the quota headers alone are left to write when the service has answered.
    #[inline]
    pub(super) const fn is_plain(&self) -> bool {
        !self.refund_5xx && self.refund_on.is_none() && !self.style.ietf_fields
    }

    /// Returns true if permits go back after this answer; `None` is a service that failed to answer.
    pub(super) fn gives_back<R>(&self, answer: Option<&http::Response<R>>) -> bool {
        if !self.refund_5xx && self.refund_on.is_none() {
            return false;
        }
        let status = answer.map_or(StatusCode::INTERNAL_SERVER_ERROR, refusal::status_of);
        let chosen = |of: &Arc<dyn Fn(StatusCode) -> bool + Send + Sync>| of(status);
        (self.refund_5xx && status.is_server_error()) || self.refund_on.as_ref().is_some_and(chosen)
    }
}

/// Returns true if a browser asks which cross-origin requests it may send (Fetch, 4.8): such a request
/// carries no credential by design.
#[inline]
fn is_preflight(head: &Head<'_>) -> bool {
    *head.method == http::Method::OPTIONS
        && head.headers.contains_key(ORIGIN)
        && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

impl<D> Clone for Settings<D> {
    fn clone(&self) -> Self {
        Self {
            limiter: Arc::clone(&self.limiter),
            key: self.key.clone(),
            clock: self.clock.clone(),
            credential: self.credential.clone(),
            caller: self.caller.clone(),
            origin: self.origin.clone(),
            exempt: self.exempt.clone(),
            cost: self.cost.clone(),
            method: self.method.clone(),
            hook: self.hook.clone(),
            stopwatch: self.stopwatch.clone(),
            refund_on: self.refund_on.clone(),
            ..*self
        }
    }
}
