//! What is said of one request beyond its head.

use limiter_core::Method;
use limiter_pacer::{Priority, SendRequest};
use std::num::NonZeroU32;
use std::time::Duration;

/// How a request is paced: put one into its extensions, or give the layer another default.
///
/// ```
/// use limiter_host::client::Pacing;
/// use limiter_host::pacer::Priority;
/// use std::time::Duration;
///
/// let urgent = Pacing::new().priority(Priority::High).within(Duration::from_secs(5));
/// let request = http::Request::get("/v1/deals").extension(urgent).body(())?;
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    pub(super) cost: NonZeroU32,
    pub(super) priority: Priority,
    pub(super) within: Option<Duration>,
}

impl Pacing {
    /// One permit, normal priority, and as long a wait as it takes.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            cost: NonZeroU32::MIN,
            priority: Priority::Normal,
            within: None,
        }
    }

    /// The same at another cost in permits.
    #[must_use]
    pub const fn cost(mut self, permits: NonZeroU32) -> Self {
        self.cost = permits;
        self
    }

    /// The same at another priority.
    #[must_use]
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// The same with a deadline so far from the call on: a wait that would pass it is an error at
    /// once. It bounds the waits, retries included, and not the service's own time.
    #[must_use]
    pub const fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

    pub(super) const fn send_request(&self, method: Method) -> SendRequest {
        SendRequest::new(method)
            .with_cost(self.cost)
            .with_priority(self.priority)
    }
}

impl Default for Pacing {
    /// [`Pacing::new`].
    fn default() -> Self {
        Self::new()
    }
}
