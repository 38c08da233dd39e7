//! Events and counts, where the features ask for them; nothing otherwise.
//!
//! | metric | what it is |
//! |---|---|
//! | `limiter_store_outages_total` | counter: how often the store failed |
//! | `limiter_store_up` | gauge: 1 while all of the store can be used, else 0 |
//! | `limiter_store_emptied_total` | counter: how often the store had other counts than before |
//! | `limiter_store_unreadable_total` | counter: requests that met a record that cannot be read |
//! | `limiter_store_warning{what}` | gauge: 1 while a [`StoreWarning`] stands, else 0 |
#![cfg_attr(
    not(feature = "tracing"),
    allow(unused_variables, reason = "only events tell the error")
)]

use super::{StoreError, StoreWarning};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// An event of the store. `Lost` and `Back` come once for each outage.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Switch<'a> {
    /// It failed, for this reason. From now on is decided as
    /// [`OnStoreFailure`](super::OnStoreFailure) says.
    Lost(&'a StoreError),
    /// All of it can be used again.
    Back,
    /// It has other counts than before: it was emptied, or the calendar's record was lost. The number
    /// is how often that was seen.
    Emptied(u64),
    /// It holds a record that cannot be read: so a token or a user is refused. Told once a minute at
    /// most; the number is that of requests so far.
    Unreadable(u64),
    /// It is set up so that limits may not hold. Told once, until it is so no longer.
    Warning(StoreWarning),
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

/// The store has other counts than before.
pub(super) fn store_emptied() {
    #[cfg(feature = "tracing")]
    tracing::warn!("the store of the limits has other counts than before: it was emptied");
    #[cfg(feature = "metrics")]
    metrics::counter!("limiter_store_emptied_total").increment(1);
}

/// A request met a record that cannot be read; `log` if a line about it is due.
pub(super) fn record_unreadable(error: &StoreError, log: bool) {
    #[cfg(feature = "tracing")]
    if log {
        tracing::error!(%error, "a token or user is refused");
    }
    #[cfg(feature = "metrics")]
    metrics::counter!("limiter_store_unreadable_total").increment(1);
}

/// A circumstance began under which limits may not hold.
pub(super) fn warned(warning: StoreWarning) {
    #[cfg(feature = "tracing")]
    tracing::warn!("{warning}");
    #[cfg(feature = "metrics")]
    metrics::gauge!("limiter_store_warning", "what" => warning.as_str()).set(1.0);
}

/// It is over.
pub(super) fn warning_over(warning: StoreWarning) {
    #[cfg(feature = "metrics")]
    metrics::gauge!("limiter_store_warning", "what" => warning.as_str()).set(0.0);
}

/// Lets a line through once a minute.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<Option<Instant>>);

impl Seldom {
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| now.duration_since(last) >= MINUTE);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

const MINUTE: Duration = Duration::from_secs(60);
