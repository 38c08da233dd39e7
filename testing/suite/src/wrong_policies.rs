//! Policies that must not compile (`const_policy!`), one for each error that a builder can meet.
//! Each differs by one call from the first, which compiles; what the error is, is tested where
//! policies are checked.

/// All that the others leave alone is right.
///
/// ```
/// use core::time::Duration;
/// use limiter_core::{Plan, Policy, const_policy, daily::DailyMode};
/// const RIGHT: Policy = const_policy!(
///     Policy::builder()
///         .plan(Plan::new(0), 20, 80)
///         .window(Duration::from_millis(86_400_000))
///         .plan(Plan::new(7), (1 << 20) - 1, 1)
///         .daily_limit(1)
///         .daily_mode(DailyMode::FairUse { tolerated_days: 0, forgiven_after_days: 1 })
///         .block((1 << 19) - 1, Duration::from_millis(1), Duration::from_millis(4_294_965_295))
///         .extend_block_on_hit(true)
/// );
/// assert_eq!(RIGHT.window_ms(), 86_400_000);
/// ```
mod right {}

/// A window of no length: `ZeroWindow`.
///
/// ```compile_fail
/// use core::time::Duration;
/// use limiter_core::{Plan, Policy, const_policy, daily::DailyMode};
/// const WRONG: Policy = const_policy!(
///     Policy::builder()
///         .plan(Plan::new(0), 20, 80)
///         .window(Duration::ZERO)
/// );
/// ```
mod a_window_of_no_length {}

/// A window of a fraction of a millisecond: `WindowLength`.
///
/// ```compile_fail
/// use core::time::Duration;
/// use limiter_core::{Plan, Policy, const_policy, daily::DailyMode};
/// const WRONG: Policy = const_policy!(
///     Policy::builder()
///         .plan(Plan::new(0), 20, 80)
///         .window(Duration::from_micros(1_500))
/// );
/// ```
mod a_window_of_a_fraction_of_a_millisecond {}

/// A window longer than a day: `WindowLength`.
///
/// ```compile_fail
/// use core::time::Duration;
/// use limiter_core::{Plan, Policy, const_policy, daily::DailyMode};
/// const WRONG: Policy = const_policy!(
///     Policy::builder()
///         .plan(Plan::new(0), 20, 80)
///         .window(Duration::from_millis(86_400_001))
/// );
/// ```
mod a_window_longer_than_a_day {}

/// A window limit of 0: `ZeroWindowLimit`.
///
/// ```compile_fail
/// use core::time::Duration;
/// use limiter_core::{Plan, Policy, const_policy, daily::DailyMode};
/// const WRONG: Policy = const_policy!(
///     Policy::builder()
///         .window(Duration::from_secs(2))
///         .plan(Plan::new(0), 20, 80)
///         .plan(Plan::new(1), 0, 80)
/// );
/// ```
mod a_window_limit_of_0 {}

/// A window limit of 0 for access tokens: `ZeroWindowLimit`.
///
/// ```compile_fail
/// use core::time::Duration;
/// use limiter_core::{Plan, Policy, const_policy, daily::DailyMode};
/// const WRONG: Policy = const_policy!(
///     Policy::builder()
///         .window(Duration::from_secs(2))
///         .plan(Plan::new(0), 20, 80)
///         .plan(Plan::new(1), 20, 0)
/// );
/// ```
mod a_window_limit_of_0_for_access_tokens {}

/// A window limit that 20 bits cannot hold: `WindowLimitTooLarge`.
///
/// ```compile_fail
/// use core::time::Duration;
/// use limiter_core::{Plan, Policy, const_policy, daily::DailyMode};
/// const WRONG: Policy = const_policy!(
///     Policy::builder()
///         .window(Duration::from_secs(2))
///         .plan(Plan::new(0), 20, 80)
///         .plan(Plan::new(1), 1 << 20, 80)
/// );
/// ```
mod a_window_limit_that_20_bits_cannot_hold {}

/// More plans than the table holds: `TooManyPlans`.
///
/// ```compile_fail
/// use core::time::Duration;
/// use limiter_core::{Plan, Policy, const_policy, daily::DailyMode};
/// const WRONG: Policy = const_policy!(
///     Policy::builder()
///         .window(Duration::from_secs(2))
///         .plan(Plan::new(0), 20, 80)
///         .plan(Plan::new(8), 20, 80)
/// );
/// ```
mod more_plans_than_the_table_holds {}

/// A daily limit of 0: `ZeroDailyLimit`.
///
/// ```compile_fail
/// use core::time::Duration;
/// use limiter_core::{Plan, Policy, const_policy, daily::DailyMode};
/// const WRONG: Policy = const_policy!(
///     Policy::builder()
///         .window(Duration::from_secs(2))
///         .plan(Plan::new(0), 20, 80)
///         .daily_limit(0)
/// );
/// ```
mod a_daily_limit_of_0 {}

/// Strikes that are forgiven at once: `ZeroForgiveness`.
///
/// ```compile_fail
/// use core::time::Duration;
/// use limiter_core::{Plan, Policy, const_policy, daily::DailyMode};
/// const WRONG: Policy = const_policy!(
///     Policy::builder()
///         .window(Duration::from_secs(2))
///         .plan(Plan::new(0), 20, 80)
///         .daily_limit(1)
///         .daily_mode(DailyMode::FairUse { tolerated_days: 1, forgiven_after_days: 0 })
/// );
/// ```
mod strikes_that_are_forgiven_at_once {}

/// More tolerated days than strikes are counted: `TooManyToleratedDays`.
///
/// ```compile_fail
/// use core::time::Duration;
/// use limiter_core::{Plan, Policy, const_policy, daily::DailyMode};
/// const WRONG: Policy = const_policy!(
///     Policy::builder()
///         .window(Duration::from_secs(2))
///         .plan(Plan::new(0), 20, 80)
///         .daily_limit(1)
///         .daily_mode(DailyMode::FairUse { tolerated_days: 255, forgiven_after_days: 1 })
/// );
/// ```
mod more_tolerated_days_than_strikes_are_counted {}

/// A block for nothing: `ZeroOffences`.
///
/// ```compile_fail
/// use core::time::Duration;
/// use limiter_core::{Plan, Policy, const_policy, daily::DailyMode};
/// const WRONG: Policy = const_policy!(
///     Policy::builder()
///         .window(Duration::from_secs(2))
///         .plan(Plan::new(0), 20, 80)
///         .block(0, Duration::from_secs(60), Duration::from_secs(300))
/// );
/// ```
mod a_block_for_nothing {}

/// More offences than are counted: `TooManyOffences`.
///
/// ```compile_fail
/// use core::time::Duration;
/// use limiter_core::{Plan, Policy, const_policy, daily::DailyMode};
/// const WRONG: Policy = const_policy!(
///     Policy::builder()
///         .window(Duration::from_secs(2))
///         .plan(Plan::new(0), 20, 80)
///         .block(1 << 19, Duration::from_secs(60), Duration::from_secs(300))
/// );
/// ```
mod more_offences_than_are_counted {}

/// An offence period of no length: `BlockPeriod`.
///
/// ```compile_fail
/// use core::time::Duration;
/// use limiter_core::{Plan, Policy, const_policy, daily::DailyMode};
/// const WRONG: Policy = const_policy!(
///     Policy::builder()
///         .window(Duration::from_secs(2))
///         .plan(Plan::new(0), 20, 80)
///         .block(100, Duration::ZERO, Duration::from_secs(300))
/// );
/// ```
mod an_offence_period_of_no_length {}

/// An offence period of 2^32 ms: `BlockPeriod`.
///
/// ```compile_fail
/// use core::time::Duration;
/// use limiter_core::{Plan, Policy, const_policy, daily::DailyMode};
/// const WRONG: Policy = const_policy!(
///     Policy::builder()
///         .window(Duration::from_secs(2))
///         .plan(Plan::new(0), 20, 80)
///         .block(100, Duration::from_millis(1 << 32), Duration::from_secs(300))
/// );
/// ```
mod an_offence_period_of_49_days {}

/// A block of no length: `BlockDuration`.
///
/// ```compile_fail
/// use core::time::Duration;
/// use limiter_core::{Plan, Policy, const_policy, daily::DailyMode};
/// const WRONG: Policy = const_policy!(
///     Policy::builder()
///         .window(Duration::from_secs(2))
///         .plan(Plan::new(0), 20, 80)
///         .block(100, Duration::from_secs(60), Duration::ZERO)
/// );
/// ```
mod a_block_of_no_length {}

/// A block of 2^32 ms: `BlockDuration`.
///
/// ```compile_fail
/// use core::time::Duration;
/// use limiter_core::{Plan, Policy, const_policy, daily::DailyMode};
/// const WRONG: Policy = const_policy!(
///     Policy::builder()
///         .window(Duration::from_secs(2))
///         .plan(Plan::new(0), 20, 80)
///         .block(100, Duration::from_secs(60), Duration::from_millis(1 << 32))
/// );
/// ```
mod a_block_of_49_days {}

/// An extension of no block: `NoBlockToExtend`.
///
/// ```compile_fail
/// use core::time::Duration;
/// use limiter_core::{Plan, Policy, const_policy, daily::DailyMode};
/// const WRONG: Policy = const_policy!(
///     Policy::builder()
///         .window(Duration::from_secs(2))
///         .plan(Plan::new(0), 20, 80)
///         .no_block().extend_block_on_hit(true)
/// );
/// ```
mod an_extension_of_no_block {}

/// A policy without a plan: `NoPlans`.
///
/// ```compile_fail
/// use core::time::Duration;
/// use limiter_core::{Plan, Policy, const_policy, daily::DailyMode};
/// const WRONG: Policy = const_policy!(Policy::builder().window(Duration::from_secs(2)));
/// ```
mod no_plan {}

/// No window: `NoWindow`.
///
/// ```compile_fail
/// use core::time::Duration;
/// use limiter_core::{Plan, Policy, const_policy, daily::DailyMode};
/// const WRONG: Policy = const_policy!(Policy::builder().plan(Plan::new(0), 20, 80));
/// ```
mod no_window {}

/// A mode without a daily limit: `NoDailyLimit`.
///
/// ```compile_fail
/// use core::time::Duration;
/// use limiter_core::{Plan, Policy, const_policy, daily::DailyMode};
/// const WRONG: Policy = const_policy!(
///     Policy::builder()
///         .window(Duration::from_secs(2))
///         .plan(Plan::new(0), 20, 80)
///         .daily_mode(DailyMode::Advisory)
/// );
/// ```
mod a_mode_without_a_daily_limit {}
