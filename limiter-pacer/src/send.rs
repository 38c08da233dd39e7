//! The question to a pacer, and its decision.

use core::fmt;
use core::num::NonZeroU32;
use limiter_core::math;
use limiter_core::request::Method;

/// A request that the caller wants to send.
///
/// ```
/// use limiter_core::Method;
/// use limiter_pacer::{SendRequest, Priority};
///
/// let request = SendRequest::new(Method::Post).with_priority(Priority::High);
/// assert_eq!(request.cost.get(), 1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SendRequest {
    /// Its HTTP method; the policy names those that the daily quota counts.
    pub method: Method,
    /// Permits that it takes.
    pub cost: NonZeroU32,
    /// Its urgency.
    pub priority: Priority,
}

impl SendRequest {
    /// A request that costs 1 permit, of normal priority.
    #[must_use]
    pub const fn new(method: Method) -> Self {
        Self {
            method,
            cost: NonZeroU32::MIN,
            priority: Priority::Normal,
        }
    }

    /// Sets the cost.
    #[must_use]
    pub const fn with_cost(mut self, cost: NonZeroU32) -> Self {
        self.cost = cost;
        self
    }

    /// Sets the priority.
    #[must_use]
    pub const fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }
}

/// The urgency of a request. While a request waits, those of lower priority let it go first; near
/// the end of the daily quota, writes also go before reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Priority {
    /// Waits for all others.
    Low,
    /// The default.
    #[default]
    Normal,
    /// Goes first, and may use the writes that [`DailySpending::Keep`](super::DailySpending::Keep) holds back.
    High,
}

impl Priority {
    /// Its place among the ranks; `pressed` requests go before others of the same priority.
    pub(super) fn rank(self, pressed: bool) -> usize {
        let base = match self {
            Self::Low => 0,
            Self::Normal => 2,
            Self::High => 4_usize,
        };
        base.saturating_add(usize::from(pressed))
    }
}

/// A decision of a pacer about one request.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "an ignored decision paces nothing"]
pub enum SendDecision {
    /// Send now; keep the ticket and hand it back with the response.
    Go(Ticket),
    /// Ask again after this number of milliseconds, at least 1, or after the next response.
    Wait(u32),
    /// Do not send.
    Stop(Stop),
}

/// A reason not to send, and its end if it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stop {
    /// The reason.
    pub reason: StopReason,
    /// Milliseconds until asking again makes sense; `None` if it never does.
    pub retry_ms: Option<u32>,
}

impl Stop {
    /// The request costs more than a window has.
    pub(super) const NEVER_FITS: Self = Self {
        reason: StopReason::CostExceedsLimit,
        retry_ms: None,
    };

    pub(super) const fn until(reason: StopReason, retry_ms: u32) -> Self {
        Self {
            reason,
            retry_ms: Some(retry_ms),
        }
    }
}

/// A reason not to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StopReason {
    /// The service denied access with 403. A person should look into it.
    Denied,
    /// The day's writes are spent; reads continue.
    DailySpent,
    /// The day's remaining writes are kept for requests of high priority.
    DailyKept,
    /// The request costs more than a whole window holds.
    CostExceedsLimit,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Denied => "the service denied access",
            Self::DailySpent => "the day's writes are spent",
            Self::DailyKept => "the day's remaining writes are kept",
            Self::CostExceedsLimit => "the request costs more than the limit",
        })
    }
}

/// A reservation of a request's permits: [`Pacer::on_response`](super::Pacer::on_response) takes it back.
///
/// It cannot be copied. A dropped ticket stands for a request without a response: its permits return
/// once it is certain to be lost.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "hand it back with the answer"]
pub struct Ticket {
    slot: u32,
    id: u32,
}

impl Ticket {
    pub(super) const fn new(slot: usize, id: u32) -> Self {
        Self {
            slot: math::from_index(slot),
            id,
        }
    }

    pub(super) const fn slot(&self) -> u32 {
        self.slot
    }

    pub(super) const fn id(&self) -> u32 {
        self.id
    }
}

/// Places of [`Priority::rank`].
pub(super) const RANKS: usize = 6;
