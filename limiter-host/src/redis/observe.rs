//! Events and counts, where the features ask for them; nothing otherwise.
//!
//! | metric | what it is |
//! |---|---|
//! | `limiter_store_outages_total` | counter: how often the store failed |
//! | `limiter_store_up` | gauge: 1 while the store can be used, else 0 |
#![cfg_attr(
    not(feature = "tracing"),
    allow(unused_variables, reason = "only events tell the error")
)]

use super::StoreError;
use std::sync::Arc;

/// The store stopped being used, or is used again; each is told once for an outage.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Switch<'a> {
    /// It failed, for this reason. From now on is decided as
    /// [`OnStoreFailure`](super::OnStoreFailure) says.
    Lost(&'a StoreError),
    /// All of it can be used again.
    Back,
}

/// Who is told of switches, if anybody.
#[derive(Clone, Default)]
pub(super) struct OnSwitch(Option<Arc<Hook>>);

type Hook = dyn Fn(Switch<'_>) + Send + Sync;

impl OnSwitch {
    pub(super) fn new(hook: impl Fn(Switch<'_>) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    pub(super) fn call(&self, switch: Switch<'_>) {
        if let Some(hook) = &self.0 {
            hook(switch);
        }
    }
}

/// The store failed; told once for an outage.
pub(super) fn store_failed(error: &StoreError) {
    #[cfg(feature = "tracing")]
    tracing::error!(%error, "the store of the limits cannot be used");
    #[cfg(feature = "metrics")]
    {
        metrics::counter!("limiter_store_outages_total").increment(1);
        metrics::gauge!("limiter_store_up").set(0.0);
    }
}

/// The store can be used again.
pub(super) fn store_returned() {
    #[cfg(feature = "tracing")]
    tracing::info!("the store of the limits is back");
    #[cfg(feature = "metrics")]
    metrics::gauge!("limiter_store_up").set(1.0);
}
