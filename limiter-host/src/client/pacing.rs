//! Per-request settings of the pacer.

use limiter_core::Method;
use limiter_pacer::{Priority, SendRequest};
use std::num::NonZeroU32;
use std::time::Duration;

/// The pacing of a request: its cost, priority and deadline. Put one into the request's extensions,
/// or set the layer's default.
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
    /// One permit, normal priority, no deadline.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            cost: NonZeroU32::MIN,
            priority: Priority::Normal,
            within: None,
        }
    }

    /// Sets the cost in permits.
    #[must_use]
    pub const fn cost(mut self, permits: NonZeroU32) -> Self {
        self.cost = permits;
        self
    }

    /// Sets the priority.
    #[must_use]
    pub const fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Sets a deadline, counted from the call: a wait that would pass it is an error at once. It bounds
    /// the waits, including those of retries, but not the time of the service.
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
