//! Limiters whose bytes are all zero, for a `static` that takes no flash.

use super::{Limiter, LimiterIn};
use crate::calendar::Calendar;
use crate::daily::{DailyMode, DailyRule};
use crate::policy::{BlockRule, Methods, Policy};
use crate::time::UnixTime;

/// A limiter that can begin as zeros, in `.bss`, and be given what it needs at the start.
/// [`Shared::new`](crate::Shared::new) takes one; nothing else has a use for it.
pub trait Blank: Sized + Sealed {
    /// The argument of [`Blank::start`].
    type Setup;

    /// The limiter before its start. It decides nothing.
    #[doc(hidden)]
    const BLANK: Self;

    /// Makes it as new.
    #[doc(hidden)]
    fn start(&mut self, setup: Self::Setup);
}

mod sealed {
    pub trait Sealed {}
}

pub(super) use self::sealed::Sealed;

impl<const TOKENS: usize, const USERS: usize> Sealed for Limiter<TOKENS, USERS> {}

impl<const TOKENS: usize, const USERS: usize> Blank for Limiter<TOKENS, USERS> {
    type Setup = Policy;

    const BLANK: Self = LimiterIn {
        calendar: Calendar::from_words([0; Calendar::WORDS]),
        ..Limiter::new(ZEROS)
    };

    fn start(&mut self, policy: Policy) {
        self.calendar = Calendar::new();
        self.policy = policy;
    }
}

/// A policy of zeros, which nothing is ever decided by. A block rule that is there is zeros, one
/// that is not is not.
const ZEROS: Policy = Policy {
    window_ms: 0,
    daily: DailyRule {
        limit: 0,
        mode: DailyMode::Strict,
    },
    writes: Methods::NONE,
    block: Some(BlockRule {
        offences: 0,
        within_ms: 0,
        duration_ms: 0,
        extend_on_hit: false,
    }),
    utc_floor: UnixTime::EPOCH,
    plans: [[0; 2]; Policy::MAX_PLANS],
};
