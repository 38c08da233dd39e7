//! What a limiter enforces, as validated data (SPEC 2).
//!
//! A [`Policy`] holds numbers and no code. It is built once, at compile time where possible, and
//! every number in it has been checked, so that no decision has to.

mod builder;
mod error;

pub use self::builder::PolicyBuilder;
pub(crate) use self::builder::check_limit;
pub use self::error::PolicyError;

use crate::daily::{DailyMode, DailyRule};
use crate::request::{Kind, Method};
use crate::time::UnixTime;
use core::time::Duration;

/// The limits of every plan, the daily quota, the block and the clock's floor.
///
/// ```
/// use core::time::Duration;
/// use limiter_core::{Kind, Plan, Policy};
///
/// const PAGE: Policy = Policy::pipedrive();
/// assert_eq!(PAGE.window_limit(Plan::ADVANCED, Kind::ApiToken), Some(40));
///
/// // A wrong number in a constant does not compile.
/// const OURS: Policy = limiter_core::const_policy!(
///     Policy::builder()
///         .window(Duration::from_secs(10))
///         .plan(Plan::new(0), 5, 50)
///         .daily_limit(1_000)
/// );
/// assert_eq!(OURS.window_limit(Plan::new(0), Kind::AccessToken), Some(50));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Policy {
    pub(crate) window_ms: u32,
    pub(crate) daily: DailyRule,
    pub(crate) writes: Methods,
    pub(crate) block: Option<BlockRule>,
    pub(crate) utc_floor: UnixTime,
    pub(crate) plans: [[u32; 2]; Policy::MAX_PLANS],
}

impl Policy {
    /// How many plans a policy can tell apart.
    pub const MAX_PLANS: usize = 8;

    /// The longest window: 24 h, since no wait may be longer (SPEC D5).
    pub const MAX_WINDOW: Duration = Duration::from_secs(86_400);

    /// The numbers of the page: per 2 s an `api_token` may spend 20, 40, 80 or 120 permits and an
    /// `access_token` 80, 160, 320 or 480; a user 10 000 POST or PUT a day, strictly. The page
    /// gives no numbers for the block; 100 offences within 60 s earn one of 300 s. UTC counts as
    /// known from 2020 on.
    #[must_use]
    pub const fn pipedrive() -> Self {
        crate::const_policy!(Policy::pipedrive_builder())
    }

    /// Starts a policy with all numbers of [`Policy::pipedrive`], to change some.
    ///
    /// ```
    /// use limiter_core::{Kind, Plan, Policy};
    /// let ours = Policy::pipedrive_builder().daily_limit(500).no_block().build()?;
    /// assert_eq!(ours.window_limit(Plan::ADVANCED, Kind::ApiToken), Some(40));
    /// assert_eq!((ours.daily().limit, ours.block()), (500, None));
    /// # Ok::<(), limiter_core::PolicyError>(())
    /// ```
    pub const fn pipedrive_builder() -> PolicyBuilder {
        PolicyBuilder::new()
            .window(Duration::from_secs(2))
            .plan(Plan::ESSENTIAL, 20, 80)
            .plan(Plan::ADVANCED, 40, 160)
            .plan(Plan::PROFESSIONAL, 80, 320)
            .plan(Plan::ENTERPRISE, 120, 480)
            .daily_limit(10_000)
            .daily_mode(DailyMode::Strict)
            .writes(Methods::POST_PUT)
            .block(100, Duration::from_secs(60), Duration::from_secs(300))
    }

    /// Starts a policy that holds what it is given and nothing else: no daily limit, no block, no
    /// plan. It needs a window and a plan.
    ///
    /// ```
    /// use core::time::Duration;
    /// use limiter_core::{Plan, Policy};
    /// let second = Duration::from_secs(1);
    /// let policy = Policy::builder().window(second).plan(Plan::new(0), 20_000, 20_000).build()?;
    /// assert!(!policy.has_daily_limit() && policy.block().is_none());
    /// # Ok::<(), limiter_core::PolicyError>(())
    /// ```
    pub const fn builder() -> PolicyBuilder {
        PolicyBuilder::new()
    }

    /// Permits per window of a plan's tokens, `None` if the policy has no such plan.
    #[must_use]
    pub const fn window_limit(&self, plan: Plan, kind: Kind) -> Option<u32> {
        let mut rest: &[[u32; 2]] = &self.plans;
        let mut skip = plan.0;
        while let [first, others @ ..] = rest {
            if skip == 0 {
                let limit = match kind {
                    Kind::ApiToken => first[0],
                    Kind::AccessToken => first[1],
                };
                return if limit == 0 { None } else { Some(limit) };
            }
            skip = skip.wrapping_sub(1);
            rest = others;
        }
        None
    }

    /// Length of a window in milliseconds.
    #[must_use]
    pub const fn window_ms(&self) -> u32 {
        self.window_ms
    }

    /// Returns true if some method counts daily. Without one there is no daily limit, whatever
    /// [`Policy::daily`] holds.
    #[must_use]
    pub const fn has_daily_limit(&self) -> bool {
        !self.writes.is_empty()
    }

    /// The daily rule; it means something if [`Policy::has_daily_limit`].
    #[must_use]
    pub const fn daily(&self) -> DailyRule {
        self.daily
    }

    /// The methods that count daily.
    #[must_use]
    pub const fn writes(&self) -> Methods {
        self.writes
    }

    /// The block rule, `None` if nothing earns a block.
    #[must_use]
    pub const fn block(&self) -> Option<BlockRule> {
        self.block
    }

    /// The first UTC that counts as known.
    #[must_use]
    pub const fn utc_floor(&self) -> UnixTime {
        self.utc_floor
    }

    /// The same policy with another floor; any floor is valid. For times that are known to be
    /// good, such as those of a log, [`UnixTime::EPOCH`] lets all count as known.
    #[must_use]
    pub const fn with_utc_floor(mut self, floor: UnixTime) -> Self {
        self.utc_floor = floor;
        self
    }
}

/// When refusals earn a block, and how long it is (SPEC 6). Built by [`PolicyBuilder::block`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct BlockRule {
    pub(crate) offences: u32,
    pub(crate) within_ms: u32,
    pub(crate) duration_ms: u32,
    pub(crate) extend_on_hit: bool,
}

impl BlockRule {
    /// A rule for the transitions of [`crate::abuse`] alone; [`PolicyBuilder::block`] is the way
    /// to put one into a policy.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] when a number is 0, `offences` is above
    /// [`Abuse::MAX_OFFENCES`](crate::abuse::Abuse::MAX_OFFENCES), or a length is no whole number
    /// of milliseconds or 2^32 ms or more.
    pub const fn new(
        offences: u32,
        within: Duration,
        duration: Duration,
    ) -> Result<Self, PolicyError> {
        builder::block_rule(offences, within, duration)
    }

    /// Offences that earn a block.
    #[must_use]
    pub const fn offences(&self) -> u32 {
        self.offences
    }

    /// Length of an offence period in milliseconds.
    #[must_use]
    pub const fn within_ms(&self) -> u32 {
        self.within_ms
    }

    /// Length of a block in milliseconds.
    #[must_use]
    pub const fn duration_ms(&self) -> u32 {
        self.duration_ms
    }

    /// Whether requests made while blocked start the block anew (B3).
    #[must_use]
    pub const fn extend_on_hit(&self) -> bool {
        self.extend_on_hit
    }
}

/// The tier that sets a token's window limit: a place in the policy's table of plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Plan(u8);

impl Plan {
    /// Plan 0 of the preset.
    pub const ESSENTIAL: Self = Self(0);
    /// Plan 1 of the preset.
    pub const ADVANCED: Self = Self(1);
    /// Plan 2 of the preset.
    pub const PROFESSIONAL: Self = Self(2);
    /// Plan 3 of the preset.
    pub const ENTERPRISE: Self = Self(3);

    /// The plan at a place in the table; a policy has places 0 to [`Policy::MAX_PLANS`] - 1.
    #[must_use]
    pub const fn new(index: u8) -> Self {
        Self(index)
    }

    /// The place in the table.
    #[must_use]
    pub const fn index(self) -> u8 {
        self.0
    }
}

/// A set of methods: those that count daily.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Methods(u16);

impl Methods {
    /// No method: nothing counts daily, and so no daily limit is enforced.
    pub const NONE: Self = Self(0);

    /// POST and PUT, as the page has it.
    pub const POST_PUT: Self = Self::NONE.with(Method::Post).with(Method::Put);

    /// The set and one more method.
    #[must_use]
    pub const fn with(self, method: Method) -> Self {
        Self(self.0 | method.bit())
    }

    /// Returns true if the set holds no method.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the set holds `method`.
    #[must_use]
    pub const fn contains(self, method: Method) -> bool {
        self.0 & method.bit() != 0
    }
}

/// Builds a [`Policy`] at compile time; a wrong number is a compile error that names the rule.
///
/// ```compile_fail
/// use limiter_core::{Plan, Policy};
/// const WRONG: Policy = limiter_core::const_policy!(Policy::builder().plan(Plan::new(0), 0, 80));
/// ```
#[macro_export]
macro_rules! const_policy {
    ($builder:expr) => {
        const {
            match $builder.build() {
                Ok(policy) => policy,
                Err(error) => panic!("{}", error.message()),
            }
        }
    };
}

impl DailyRule {
    /// The rule where no method counts: never asked.
    const NONE: Self = Self {
        limit: u32::MAX,
        mode: DailyMode::Strict,
    };
}

#[cfg(test)]
mod tests;
