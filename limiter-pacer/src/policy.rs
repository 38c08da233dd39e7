//! The configuration of a pacer: the known limits of the remote service, and the safety margins.

use limiter_core::policy::{Methods, Plan, Policy};
use limiter_core::request::Kind;
use limiter_core::window::Window;

/// Configuration of a [`Pacer`](super::Pacer): the known limits of the service, and the margins.
///
/// Start from [`PacerPolicy::of`] where the service's limits are known, else from
/// [`PacerPolicy::ADAPTIVE`], and change what differs. Lengths of time are in milliseconds and are
/// cut to 24 h.
///
/// ```
/// use limiter_pacer::{DailySpending, PacerPolicy};
/// use limiter_core::{Kind, Plan, Policy};
///
/// let policy = PacerPolicy::of(&Policy::pipedrive(), Plan::ADVANCED, Kind::ApiToken)
///     .unwrap()
///     .reserve_for_others(5)
///     .with_transit_spread(Some(30))
///     .with_daily_spending(DailySpending::Even);
/// assert_eq!((policy.limit(), policy.window_ms()), (Some(40), Some(2_000)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PacerPolicy {
    pub(super) limit: Option<u32>,
    pub(super) window_ms: Option<u32>,
    pub(super) counting: Counting,
    pub(super) writes: Methods,
    pub(super) margin_ms: u32,
    pub(super) transit_spread_ms: Option<u32>,
    pub(super) lost_after_ms: u32,
    pub(super) others: u32,
    pub(super) daily_others: u32,
    pub(super) daily_spending: DailySpending,
    pub(super) writes_first_below: u32,
    pub(super) utc_skew_ms: u32,
    pub(super) silent_window_ms: u32,
    pub(super) denied_ms: u32,
    pub(super) seed: u32,
}

impl PacerPolicy {
    /// A policy that assumes nothing: one request at a time until a response reports the limits, and
    /// at most one request a second if none ever does.
    pub const ADAPTIVE: Self = Self {
        limit: None,
        window_ms: None,
        counting: Counting::Rolling,
        writes: Methods::POST_PUT,
        margin_ms: 2,
        transit_spread_ms: None,
        lost_after_ms: 30_000,
        others: 0,
        daily_others: 0,
        daily_spending: DailySpending::AtOnce,
        writes_first_below: 1_250,
        utc_skew_ms: 2_000,
        silent_window_ms: 1_000,
        denied_ms: 300_000,
        seed: 0x9e37_79b9,
    };

    /// A policy for a service that enforces `policy`: the limit of the plan's tokens, in windows that
    /// open with their first request. `None` if the policy has no such plan.
    #[must_use]
    pub const fn of(policy: &Policy, plan: Plan, kind: Kind) -> Option<Self> {
        let Some(limit) = policy.window_limit(plan, kind) else {
            return None;
        };
        Some(Self {
            limit: Some(limit),
            window_ms: Some(policy.window_ms()),
            counting: Counting::FromFirst,
            writes: policy.writes(),
            ..Self::ADAPTIVE
        })
    }

    /// Sets the limit: permits per window, 1 to [`Window::MAX_LIMIT`]. A limit that the service
    /// reports takes precedence. `None` learns it from responses.
    #[must_use]
    pub const fn with_limit(mut self, limit: Option<u32>) -> Self {
        self.limit = match limit {
            Some(limit) => Some(clamp(limit, 1, Window::MAX_LIMIT)),
            None => None,
        };
        self
    }

    /// Sets the length of a window, at least 1 ms. `None` learns it from responses.
    #[must_use]
    pub const fn with_window(mut self, window_ms: Option<u32>) -> Self {
        self.window_ms = match window_ms {
            Some(millis) => Some(clamp(millis, 1, DAY_MS)),
            None => None,
        };
        self
    }

    /// Sets the way in which the service counts.
    #[must_use]
    pub const fn with_counting(mut self, counting: Counting) -> Self {
        self.counting = counting;
        self
    }

    /// Sets the methods that the daily quota counts.
    #[must_use]
    pub const fn with_writes(mut self, writes: Methods) -> Self {
        self.writes = writes;
        self
    }

    /// Sets the margin that is added to every length of time measured by the service's clock. It
    /// covers the difference of the two clocks' rates over a window: 2 ms (the default) in 2 s cover
    /// 0.1 %, which any crystal keeps and an RC oscillator does not.
    #[must_use]
    pub const fn with_margin(mut self, margin_ms: u32) -> Self {
        self.margin_ms = clamp(margin_ms, 0, DAY_MS);
        self
    }

    /// Sets a bound on the variation of the time from sending a request to its arrival. With a bound
    /// the pacer need not wait for responses, so a long round trip costs no throughput. `None` (the
    /// default) assumes nothing.
    #[must_use]
    pub const fn with_transit_spread(mut self, spread_ms: Option<u32>) -> Self {
        self.transit_spread_ms = match spread_ms {
            Some(millis) => Some(clamp(millis, 0, DAY_MS)),
            None => None,
        };
        self
    }

    /// Sets the time after which a request without a response is lost and can no longer arrive; 30 s
    /// by default.
    #[must_use]
    pub const fn with_lost_after(mut self, lost_after_ms: u32) -> Self {
        self.lost_after_ms = clamp(lost_after_ms, 1, DAY_MS);
        self
    }

    /// Reserves permits of every window for other users of the token, such as a person in the user
    /// interface or another program. The pacer always keeps at least one.
    #[must_use]
    pub const fn reserve_for_others(mut self, permits: u32) -> Self {
        self.others = clamp(permits, 0, Window::MAX_LIMIT);
        self
    }

    /// Reserves `permits` of the day's writes for the user's other programs.
    #[must_use]
    pub const fn reserve_daily_for_others(mut self, permits: u32) -> Self {
        self.daily_others = permits;
        self
    }

    /// Sets the way in which the day's writes are spent.
    #[must_use]
    pub const fn with_daily_spending(mut self, spending: DailySpending) -> Self {
        self.daily_spending = spending;
        self
    }

    /// Gives writes precedence over reads of the same priority once at most `writes_left` writes are
    /// left of the day; 1 250 by default.
    #[must_use]
    pub const fn with_writes_first_below(mut self, writes_left: u32) -> Self {
        self.writes_first_below = writes_left;
        self
    }

    /// Sets the time by which this device's UTC may be ahead of the service's; 2 s by default. It
    /// matters only where responses have no `date`.
    #[must_use]
    pub const fn with_utc_skew(mut self, skew_ms: u32) -> Self {
        self.utc_skew_ms = clamp(skew_ms, 0, DAY_MS);
        self
    }

    /// Sets the pause after each request to a service that reports no limits.
    #[must_use]
    pub const fn with_silent_window(mut self, window_ms: u32) -> Self {
        self.silent_window_ms = clamp(window_ms, 1, DAY_MS);
        self
    }

    /// Sets the pause after a first 403; it doubles with each further one. 300 s by default, the block
    /// of the `pipedrive` policy.
    #[must_use]
    pub const fn denied_backoff(mut self, denied_ms: u32) -> Self {
        self.denied_ms = clamp(denied_ms, 1, DAY_MS);
        self
    }

    /// Sets the seed of the jitter. Give each device a different one, so that they do not all return
    /// at once.
    #[must_use]
    pub const fn with_seed(mut self, seed: u32) -> Self {
        self.seed = seed;
        self
    }

    /// The methods that the daily quota counts.
    #[must_use]
    pub const fn writes(&self) -> Methods {
        self.writes
    }

    /// The configured limit.
    #[must_use]
    pub const fn limit(&self) -> Option<u32> {
        self.limit
    }

    /// The configured length of a window, in milliseconds.
    #[must_use]
    pub const fn window_ms(&self) -> Option<u32> {
        self.window_ms
    }
}

impl Default for PacerPolicy {
    /// [`PacerPolicy::ADAPTIVE`].
    fn default() -> Self {
        Self::ADAPTIVE
    }
}

/// The way in which a service counts requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Counting {
    /// Windows that open with the first request after the last one ended (SPEC W1). Permits return
    /// early when the service reports its window.
    FromFirst,
    /// Any other way that counts at most the limit in every span of a window's length, such as a
    /// rolling window. A permit returns a whole window after its response.
    Rolling,
}

/// The way in which the remaining writes of a day are spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DailySpending {
    /// On request.
    AtOnce,
    /// Evenly over the rest of the day: each write waits until its share of the time has passed since
    /// the previous one.
    Even,
    /// On request, but the last *n* only for [`Priority::High`](super::Priority::High).
    Keep(u32),
}

const fn clamp(value: u32, low: u32, high: u32) -> u32 {
    if value < low {
        low
    } else if value > high {
        high
    } else {
        value
    }
}

/// The longest length of time in a policy, and the longest wait.
pub(crate) const DAY_MS: u32 = 86_400_000;
