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
