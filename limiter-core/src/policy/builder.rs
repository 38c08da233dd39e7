//! Checks every number of a policy once, so that no decision has to.

use super::{BlockRule, Methods, Plan, Policy, PolicyError};
use crate::abuse::Abuse;
use crate::daily::{DailyMode, DailyRule};
use crate::math;
use crate::time::UnixTime;
use crate::window::Window;
use core::time::Duration;

/// Collects the numbers of a [`Policy`]; [`PolicyBuilder::build`] checks them.
///
/// The policy holds what was asked for and nothing else: no daily limit, no block and no plan that
/// was not named. A window and one plan must be.
///
/// A setter that was given a wrong number keeps the first such error for `build` to report, so the
/// chain needs no `?` and works in constants.
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct PolicyBuilder {
    /// A window of 0 ms and a daily limit of 0 are those that were not asked for.
    policy: Policy,
    /// The methods that count daily, if some were named.
    writes: Option<Methods>,
    mode: Option<DailyMode>,
    error: Option<PolicyError>,
}

impl PolicyBuilder {
    pub(super) const fn new() -> Self {
        Self {
            policy: Policy {
                window_ms: 0,
                daily: DailyRule {
                    limit: 0,
                    mode: DailyMode::Strict,
                },
                writes: Methods::NONE,
                block: None,
                utc_floor: UnixTime::Y2020,
                plans: [[0; 2]; Policy::MAX_PLANS],
            },
            writes: None,
            mode: None,
            error: None,
        }
    }

    /// Sets the length of a window: a whole number of milliseconds, above 0, at most 24 h.
    pub const fn window(mut self, length: Duration) -> Self {
        match window_ms(length) {
            Ok(millis) => self.policy.window_ms = millis,
            Err(error) => self = self.fail(error),
        }
        self
    }

    /// Sets a plan's permits per window: 1 to [`Window::MAX_LIMIT`] for either kind of token.
    pub const fn plan(mut self, plan: Plan, api_token: u32, access_token: u32) -> Self {
        if let Err(error) = check_limit(api_token) {
            return self.fail(error);
        }
        if let Err(error) = check_limit(access_token) {
            return self.fail(error);
        }
        let mut rest: &mut [[u32; 2]] = &mut self.policy.plans;
        let mut skip = plan.index();
        while let [first, others @ ..] = rest {
            if skip == 0 {
                *first = [api_token, access_token];
                return self;
            }
            skip = skip.wrapping_sub(1);
            rest = others;
        }
        self.fail(PolicyError::TooManyPlans {
            index: plan.index(),
        })
    }

    /// Sets the permits that a user's writes may spend on one accounting day, at least 1. Writes are
    /// POST and PUT, unless [`PolicyBuilder::writes`] names others.
    pub const fn daily_limit(mut self, permits: u32) -> Self {
        if permits == 0 {
            return self.fail(PolicyError::ZeroDailyLimit);
        }
        self.policy.daily.limit = permits;
        self
    }

    /// Removes the daily limit: no request counts daily, and none reports what is left of a day.
    pub const fn no_daily_limit(mut self) -> Self {
        self.policy.daily.limit = 0;
        (self.writes, self.mode) = (None, None);
        self
    }

    /// Sets what happens beyond the daily limit; [`DailyMode::Strict`] by default.
    pub const fn daily_mode(mut self, mode: DailyMode) -> Self {
        if let DailyMode::FairUse {
            tolerated_days,
            forgiven_after_days,
        } = mode
        {
            if forgiven_after_days == 0 {
                return self.fail(PolicyError::ZeroForgiveness);
            }
            // Strikes are counted to 255, and the one that is refused must be told from the last
            // that is tolerated.
            if tolerated_days == u8::MAX {
                return self.fail(PolicyError::TooManyToleratedDays);
            }
        }
        self.mode = Some(mode);
        self
    }

    /// Sets the methods that count daily; none lets the daily limit limit nothing.
    pub const fn writes(mut self, methods: Methods) -> Self {
        self.writes = Some(methods);
        self
    }

    /// Blocks a token for `duration` at its `offences`-th offence `within` a period.
    pub const fn block(mut self, offences: u32, within: Duration, duration: Duration) -> Self {
        match block_rule(offences, within, duration) {
            Ok(rule) => self.policy.block = Some(rule),
            Err(error) => self = self.fail(error),
        }
        self
    }

    /// Blocks nobody.
    pub const fn no_block(mut self) -> Self {
        self.policy.block = None;
        self
    }

    /// Whether a request made while blocked starts the block anew (B3). Without a block it is an
    /// error, so set the block first.
    pub const fn extend_block_on_hit(mut self, extend: bool) -> Self {
        match &mut self.policy.block {
            Some(rule) => rule.extend_on_hit = extend,
            None => self = self.fail(PolicyError::NoBlockToExtend),
        }
        self
    }

    /// Sets the first UTC that counts as known; 2020-01-01 by default, for an earlier one is a clock
    /// that was never set.
    pub const fn utc_floor(mut self, floor: UnixTime) -> Self {
        self.policy.utc_floor = floor;
        self
    }

    /// Checks the whole.
    ///
    /// # Errors
    ///
    /// The first number that was wrong, [`PolicyError::NoPlans`], [`PolicyError::NoWindow`], or
    /// [`PolicyError::NoDailyLimit`] for writes or a mode without a limit.
    pub const fn build(self) -> Result<Policy, PolicyError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if !self.has_plan() {
            return Err(PolicyError::NoPlans);
        }
        if self.policy.window_ms == 0 {
            return Err(PolicyError::NoWindow);
        }
        let mut policy = self.policy;
        if policy.daily.limit == 0 {
            let names_writes = match self.writes {
                Some(methods) => !methods.is_empty(),
                None => false,
            };
            if names_writes || self.mode.is_some() {
                return Err(PolicyError::NoDailyLimit);
            }
            policy.daily = DailyRule::NONE;
            return Ok(policy);
        }
        policy.writes = match self.writes {
            Some(methods) => methods,
            None => Methods::POST_PUT,
        };
        if let Some(mode) = self.mode {
            policy.daily.mode = mode;
        }
        Ok(policy)
    }

    const fn has_plan(&self) -> bool {
        let mut rest: &[[u32; 2]] = &self.policy.plans;
        while let [first, others @ ..] = rest {
            if first[0] != 0 {
                return true;
            }
            rest = others;
        }
        false
    }

    const fn fail(mut self, error: PolicyError) -> Self {
        if self.error.is_none() {
            self.error = Some(error);
        }
        self
    }
}

/// Checks a window limit, a plan's or a token's own.
pub(crate) const fn check_limit(permits: u32) -> Result<(), PolicyError> {
    match permits {
        0 => Err(PolicyError::ZeroWindowLimit),
        1..=Window::MAX_LIMIT => Ok(()),
        _ => Err(PolicyError::WindowLimitTooLarge { permits }),
    }
}

pub(super) const fn block_rule(
    offences: u32,
    within: Duration,
    duration: Duration,
) -> Result<BlockRule, PolicyError> {
    if offences == 0 {
        return Err(PolicyError::ZeroOffences);
    }
    if offences > Abuse::MAX_OFFENCES {
        return Err(PolicyError::TooManyOffences { offences });
    }
    let Some(within_ms) = whole_millis(within) else {
        return Err(PolicyError::BlockPeriod);
    };
    let duration_ms = match whole_millis(duration) {
        Some(millis) if millis <= MAX_BLOCK_MS => millis,
        _ => return Err(PolicyError::BlockDuration),
    };
    Ok(BlockRule {
        offences,
        within_ms,
        duration_ms,
        extend_on_hit: false,
    })
}

const fn window_ms(length: Duration) -> Result<u32, PolicyError> {
    match whole_millis(length) {
        Some(millis) if millis <= crate::time::MILLIS_PER_DAY => Ok(millis),
        _ if length.is_zero() => Err(PolicyError::ZeroWindow),
        _ => Err(PolicyError::WindowLength),
    }
}

/// A wait may be 2 s longer than the block, for time may be so far behind its beginning (M2).
const MAX_BLOCK_MS: u32 = u32::MAX - 2_000;

/// A positive whole number of milliseconds below 2^32, or `None`.
const fn whole_millis(length: Duration) -> Option<u32> {
    let (sub_millis, rest) = math::div_rem(math::widen(length.subsec_nanos()), 1_000_000);
    let Some(millis) = length.as_secs().checked_mul(1000) else {
        return None;
    };
    let Some(millis) = millis.checked_add(sub_millis) else {
        return None;
    };
    if rest != 0 || millis == 0 || millis > math::widen(u32::MAX) {
        None
    } else {
        Some(math::low32(millis))
    }
}
