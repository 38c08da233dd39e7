//! What a caller asks of the pacer, and what it is answered.

use core::fmt;
use core::num::NonZeroU32;
use limiter_core::math;
use limiter_core::request::Method;

/// A request that a caller wants to send.
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
    /// Its HTTP method: the policy says which ones the day's quota counts.
    pub method: Method,
    /// Permits that it takes.
    pub cost: NonZeroU32,
    /// How urgent it is.
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

    /// The same request with another cost.
    #[must_use]
    pub const fn with_cost(mut self, cost: NonZeroU32) -> Self {
        self.cost = cost;
        self
    }

    /// The same request with another priority.
    #[must_use]
    pub const fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }
}

/// How urgent a request is. While one that was told to wait has not come back, those of lower
/// priority let it go first; near the end of the day's quota, writes go before reads as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Priority {
    /// May wait for all others.
    Low,
    /// As most.
    #[default]
    Normal,
    /// Goes first, and may use writes that are kept.
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

/// What the pacer says.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "an ignored decision paces nothing"]
pub enum SendDecision {
    /// Send now; the ticket goes with the request and comes back with its answer.
    Go(Ticket),
    /// Ask again in so many milliseconds, at least 1, or as soon as any answer has come.
    Wait(u32),
    /// Do not send.
    Stop(Stop),
}

/// Why nothing is to be sent, and whether that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Stop {
    /// Why.
    pub reason: StopReason,
    /// Milliseconds until it makes sense to ask again; `None` if it never does.
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

/// Why nothing is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum StopReason {
    /// The service denied access with 403. A person should look into it.
    Denied,
    /// The day's writes are spent; reads may go on.
    DailySpent,
    /// The day's remaining writes are kept for requests of high priority.
    DailyKept,
    /// The request costs more than a window has in all.
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
/// It cannot be copied. One that is dropped stands for a request that got no answer: its permits
/// come back when it is certain to be lost.
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
