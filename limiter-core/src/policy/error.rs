//! Why a policy was refused.

use core::fmt;

/// Why a policy, or a number of one, was refused; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PolicyError {
    /// A policy without a window.
    NoWindow,
    /// A window of no length.
    ZeroWindow,
    /// A window that is no whole number of milliseconds, or longer than 24 h.
    WindowLength,
    /// A window limit of 0: nothing would ever be admitted.
    ZeroWindowLimit,
    /// A window limit above [`Window::MAX_LIMIT`](crate::window::Window::MAX_LIMIT).
    WindowLimitTooLarge {
        /// What was asked for.
        permits: u32,
    },
    /// A policy without a plan.
    NoPlans,
    /// A plan beyond the table's [`Policy::MAX_PLANS`](super::Policy::MAX_PLANS) places.
    TooManyPlans {
        /// The place that was asked for.
        index: u8,
    },
    /// A daily limit of 0.
    ZeroDailyLimit,
    /// Methods that count daily, or a mode beyond the daily limit, without a daily limit.
    NoDailyLimit,
    /// Strikes that are forgiven after 0 days would never count.
    ZeroForgiveness,
    /// More tolerated days than strikes are counted: 254 at most.
    TooManyToleratedDays,
    /// A block that is earned by 0 offences.
    ZeroOffences,
    /// More offences than are counted,
    /// [`Abuse::MAX_OFFENCES`](crate::abuse::Abuse::MAX_OFFENCES).
    TooManyOffences {
        /// What was asked for.
        offences: u32,
    },
    /// An offence period of 0, of a fraction of a millisecond, or of 2^32 ms or more.
    BlockPeriod,
    /// A block of 0, of a fraction of a millisecond, or of more than 2^32 ms less 2 001.
    BlockDuration,
    /// An extension of a block that the policy does not have.
    NoBlockToExtend,
    /// A new policy lacks a plan that a registered token has.
    PlanInUse {
        /// The place that the policy leaves empty.
        index: u8,
    },
}

impl PolicyError {
    /// The error in words, also in a constant, where formatting is not to be had.
    #[must_use]
    pub const fn message(&self) -> &'static str {
        match self {
            Self::NoWindow => "a policy needs a window",
            Self::ZeroWindow => "the window must be longer than 0",
            Self::WindowLength => {
                "the window must be a whole number of milliseconds, at most 24 hours"
            }
            Self::ZeroWindowLimit => "a window limit must be at least 1",
            Self::WindowLimitTooLarge { .. } => "a window limit must be at most 1048575",
            Self::NoPlans => "a policy needs at least one plan",
            Self::TooManyPlans { .. } => "a policy holds plans 0 to 7",
            Self::NoDailyLimit => "a policy without a daily limit has neither writes nor a mode",
            Self::ZeroDailyLimit => "the daily limit must be at least 1",
            Self::ZeroForgiveness => "strikes must be forgiven after at least 1 day",
            Self::TooManyToleratedDays => "at most 254 days over the limit can be tolerated",
            Self::ZeroOffences => "a block must take at least 1 offence",
            Self::TooManyOffences { .. } => "a block must take at most 524287 offences",
            Self::BlockPeriod => {
                "the offence period must be a whole number of milliseconds, from 1 to 4294967295"
            }
            Self::BlockDuration => {
                "the block must last a whole number of milliseconds, from 1 to 4294965295"
            }
            Self::NoBlockToExtend => "a policy without a block cannot extend one",
            Self::PlanInUse { .. } => "a registered token has a plan that the new policy lacks",
        }
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())?;
        match self {
            Self::WindowLimitTooLarge { permits } => write!(f, ", not {permits}"),
            Self::TooManyPlans { index } => write!(f, ", not {index}"),
            Self::TooManyOffences { offences } => write!(f, ", not {offences}"),
            Self::PlanInUse { index } => write!(f, " (plan {index})"),
            _ => Ok(()),
        }
    }
}

impl core::error::Error for PolicyError {}
