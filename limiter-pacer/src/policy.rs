//! How a pacer behaves, as data: what it is told of the remote limits, and how careful it is.

use limiter_core::policy::{Methods, Plan, Policy};
use limiter_core::request::Kind;
use limiter_core::window::Window;

/// What a [`Pacer`](super::Pacer) is told, and how careful it is.
///
/// Start from [`PacerPolicy::of`] where the service's limits are known, else from
/// [`PacerPolicy::ADAPTIVE`], and change what differs. Lengths of time are in milliseconds; one longer
/// than 24 h is 24 h.
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
    /// Knows nothing of the service: one request at a time until an answer tells the limits, and
    /// no faster than one a second if none ever does.
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

    /// Knows the limits of a plan's tokens, and that the service counts as `policy` does: in
    /// windows that open with their first request. `None` if the policy has no such plan.
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

    /// The same, told the limit: permits per window, 1 to [`Window::MAX_LIMIT`]. What the service
    /// reports goes before it. `None` leaves it to be learned.
    #[must_use]
    pub const fn with_limit(mut self, limit: Option<u32>) -> Self {
        self.limit = match limit {
            Some(limit) => Some(clamp(limit, 1, Window::MAX_LIMIT)),
            None => None,
        };
        self
    }

    /// The same, told the length of a window: at least 1 ms. `None` leaves it to be learned.
    #[must_use]
    pub const fn with_window(mut self, window_ms: Option<u32>) -> Self {
        self.window_ms = match window_ms {
            Some(millis) => Some(clamp(millis, 1, DAY_MS)),
            None => None,
        };
        self
    }

    /// The same, told how the service counts.
    #[must_use]
    pub const fn with_counting(mut self, counting: Counting) -> Self {
        self.counting = counting;
        self
    }

    /// The same, told which methods the day's quota counts.
    #[must_use]
    pub const fn with_writes(mut self, writes: Methods) -> Self {
        self.writes = writes;
        self
    }

    /// The same with a margin added to every length of time that the service's clock measures. It
    /// has to cover by how much the two clocks' rates differ over a window: 2 ms (preset) in 2 s
    /// cover a thousandth, which any crystal keeps and an RC oscillator does not.
    #[must_use]
    pub const fn with_margin(mut self, margin_ms: u32) -> Self {
        self.margin_ms = clamp(margin_ms, 0, DAY_MS);
        self
    }

    /// The same, told by how much the time from a request's sending to its arrival may vary at
    /// most, whatever that time is. With it the pacer need not wait for answers, so that a long
    /// way costs no throughput. `None` (preset) assumes nothing of the way.
    #[must_use]
    pub const fn with_transit_spread(mut self, spread_ms: Option<u32>) -> Self {
        self.transit_spread_ms = match spread_ms {
            Some(millis) => Some(clamp(millis, 0, DAY_MS)),
            None => None,
        };
        self
    }

    /// The same, told after how long a request without an answer is lost, and will not arrive any
    /// more; 30 s in the preset.
    #[must_use]
    pub const fn with_lost_after(mut self, lost_after_ms: u32) -> Self {
        self.lost_after_ms = clamp(lost_after_ms, 1, DAY_MS);
        self
    }

    /// The same with permits of every window left to others who use the token: a person in the
    /// user interface, another program. Always at least one stays for the pacer.
    #[must_use]
    pub const fn reserve_for_others(mut self, permits: u32) -> Self {
        self.others = clamp(permits, 0, Window::MAX_LIMIT);
        self
    }

    /// The same with so many of the day's writes left to the user's other programs.
    #[must_use]
    pub const fn reserve_daily_for_others(mut self, permits: u32) -> Self {
        self.daily_others = permits;
        self
    }

    /// The same with another use of the day's writes.
    #[must_use]
    pub const fn with_daily_spending(mut self, spending: DailySpending) -> Self {
        self.daily_spending = spending;
        self
    }

    /// The same, letting writes go before reads of the same priority once at most so many writes
    /// are left of the day; 1 250 in the preset.
    #[must_use]
    pub const fn with_writes_first_below(mut self, writes_left: u32) -> Self {
        self.writes_first_below = writes_left;
        self
    }

    /// The same, told by how much this device's UTC may be ahead of the service's; 2 s in the
    /// preset. It matters only where answers have no `date`.
    #[must_use]
    pub const fn with_utc_skew(mut self, skew_ms: u32) -> Self {
        self.utc_skew_ms = clamp(skew_ms, 0, DAY_MS);
        self
    }

    /// The same with another pause after each request to a service that tells no limits.
    #[must_use]
    pub const fn with_silent_window(mut self, window_ms: u32) -> Self {
        self.silent_window_ms = clamp(window_ms, 1, DAY_MS);
        self
    }

    /// The same with another time to stay away after a first 403; it doubles with each further
    /// one. 300 s in the preset, the block of the `pipedrive` policy.
    #[must_use]
    pub const fn denied_backoff(mut self, denied_ms: u32) -> Self {
        self.denied_ms = clamp(denied_ms, 1, DAY_MS);
        self
    }

    /// The same with another seed of the jitter. Give each device its own, so that they do not
    /// come back at once.
    #[must_use]
    pub const fn with_seed(mut self, seed: u32) -> Self {
        self.seed = seed;
        self
    }

    /// The methods that the day's quota counts.
    #[must_use]
    pub const fn writes(&self) -> Methods {
        self.writes
    }

    /// The limit that the pacer is told.
    #[must_use]
    pub const fn limit(&self) -> Option<u32> {
        self.limit
    }

    /// The length of a window that the pacer is told, in milliseconds.
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

/// How the service counts requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Counting {
    /// In windows that open with the first request after the last one ended (SPEC W1). What the
    /// service reports of its window gives permits back early.
    FromFirst,
    /// In any other way that counts at most the limit in every span of a window's length, such as
    /// a rolling one. A permit comes back a whole window after its answer.
    Rolling,
}

/// How the writes that are left of a day are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DailySpending {
    /// As they are asked for.
    AtOnce,
    /// Spread over what is left of the day: each write waits until its share of the time has
    /// passed since the one before.
    Even,
    /// As they are asked for, but the last so many only for
    /// [`Priority::High`](super::Priority::High).
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
