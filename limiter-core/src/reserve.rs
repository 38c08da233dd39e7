//! Reserve-ahead (SPEC R2): permits are handed out only up to a bound that was stored before.
//!
//! After a power cut the count resumes at the bound, so nothing is handed out twice, and what was
//! reserved and not used is lost: at most [`Reserve::ahead`] permits for each user and cut, or the
//! cost of the requests that waited for one write if that is more. This file decides how far a bound reaches;
//! [`Reserved`](crate::Reserved) keeps the bounds and says when a write is due.

use crate::daily::{DailyMode, DailyRule};
use core::num::NonZeroU32;

/// How far ahead permits are reserved, and what happens if that cannot be written.
///
/// Writes of a user in a day: about `D / ahead`, or twice that at worst, and fewer where one write
/// serves several users. What a cut costs is at most `ahead`.
///
/// ```
/// use core::num::NonZeroU32;
/// use limiter_core::Reserve;
///
/// const FRUGAL: Reserve = Reserve { ahead: NonZeroU32::new(500).unwrap(), ..Reserve::DEFAULT };
/// assert_eq!(Reserve::DEFAULT.ahead.get(), 100);
/// assert_eq!(FRUGAL.early, 0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Reserve {
    /// Permits that one write reserves for a user, `R`.
    pub ahead: NonZeroU32,
    /// A write is said to be due when no more than so many permits of a user's reserve are left.
    /// 0: when all are used. Where writes run in the background, as many as are spent during one.
    pub early: u32,
    /// What happens beyond the bound while writes fail.
    pub on_failed_write: OnFailedWrite,
    /// A block that began, or was lifted, makes a write due at once, but not within this many
    /// milliseconds of the write before: so a power cut that comes later lifts no block, and clients
    /// that earn blocks wear the storage no faster than that. For
    /// [`ReservedIn`](crate::ReservedIn); on a host `Durable::save` asks for such a write.
    pub block_write_ms: u32,
}

impl Reserve {
    /// 100 permits ahead, a write when all are used, refusals while writes fail, and for blocks at
    /// most one write in 10 s.
    pub const DEFAULT: Self = Self {
        ahead: HUNDRED,
        early: 0,
        on_failed_write: OnFailedWrite::Refuse,
        block_write_ms: 10_000,
    };

    /// What is left of a reserve when an image that is written anyway should renew it: half of it,
    /// or what [`Reserve::early`] says.
    const fn low(&self) -> u32 {
        let (half, early) = (self.ahead.get() >> 1, self.early());
        if early > half { early } else { half }
    }

    /// Never the whole reserve, of which a write would always be due.
    const fn early(&self) -> u32 {
        let most = self.ahead.get().wrapping_sub(1);
        if self.early > most { most } else { self.early }
    }
}

/// A [`Reserve`] in a form that can be all zeros, for a limiter in `.bss`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeptReserve {
    /// Never 0 but in a limiter that was not started yet.
    ahead: u32,
    early: u32,
    on_failed_write: OnFailedWrite,
    block_write_ms: u32,
}

impl KeptReserve {
    pub(crate) const fn new(reserve: Reserve) -> Self {
        Self {
            ahead: reserve.ahead.get(),
            early: reserve.early,
            on_failed_write: reserve.on_failed_write,
            block_write_ms: reserve.block_write_ms,
        }
    }

    pub(crate) const fn get(&self) -> Reserve {
        Reserve {
            ahead: match NonZeroU32::new(self.ahead) {
                Some(ahead) => ahead,
                None => NonZeroU32::MIN,
            },
            early: self.early,
            on_failed_write: self.on_failed_write,
            block_write_ms: self.block_write_ms,
        }
    }

    #[cfg(feature = "critical-section")]
    pub(crate) const ZEROS: Self = Self {
        ahead: 0,
        early: 0,
        on_failed_write: OnFailedWrite::Refuse,
        block_write_ms: 0,
    };
}

impl Default for Reserve {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What happens to a request beyond the bound when the write failed that was due before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum OnFailedWrite {
    /// It is refused `store_failed` (O8), and the next one asks for a write again.
    #[default]
    Refuse,
    /// It is admitted, as if the write had succeeded. A power cut may then let those permits be
    /// handed out again; they are counted.
    GoOn,
}

/// One user's bound: [`Bound::SIZE`] bytes, opaque.
///
/// It is public so that the memory can be yours; see [`TokenRow`](crate::TokenRow).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Bound {
    /// The accounting day it holds for, as the calendar's number of refills.
    refills: u32,
    /// Up to here permits may be handed out; 0 where nothing is reserved.
    held: u32,
    /// The farthest that a draft lets the user go, one that is under way included.
    drafted: u32,
    /// The end of the line of requests that wait for a write: how far the bound has to reach for all
    /// of them. At or below `held` no request waits; 0 if the user has asked for nothing that counts
    /// daily since the restart, on this day.
    line: u32,
}

impl Bound {
    /// Bytes a bound takes, on every target.
    pub const SIZE: usize = 16;

    /// Nothing is reserved.
    pub const NONE: Self = Self {
        refills: 0,
        held: 0,
        drafted: 0,
        line: 0,
    };

    /// The bound as of the accounting day `refills`. For homes of the state, as are the methods that
    /// follow: none is carried over, since an advance must be
    /// stored before the first permit after it (R4).
    #[must_use]
    pub const fn settle(self, refills: u32) -> Self {
        if self.refills == refills {
            self
        } else {
            Self {
                refills,
                ..Self::NONE
            }
        }
    }

    /// Whether `cost` more permits stay within the bound.
    #[must_use]
    pub const fn covers(self, used: u32, cost: u32) -> bool {
        used.saturating_add(cost) <= self.held
    }

    /// The bound of a user who asks for `cost` more permits than are covered, where no other request
    /// waits or all are counted in `used` or in the line.
    #[must_use]
    pub const fn ask(self, used: u32, cost: u32) -> Self {
        Self {
            line: greater(self.line, used.saturating_add(cost)),
            ..self
        }
    }

    /// The bound of a user who asks for `cost` more permits than are covered, behind all who wait:
    /// one write shall serve every one of them. The line ends at the daily limit unless this request
    /// goes beyond it by itself.
    #[must_use]
    pub const fn ask_behind(self, rule: &DailyRule, used: u32, cost: u32) -> Self {
        let alone = used.saturating_add(cost);
        let before = if self.line > self.held {
            greater(self.line, used)
        } else {
            used
        };
        let mut line = before.saturating_add(cost);
        if line > rule.limit && alone <= rule.limit {
            line = rule.limit;
        }
        Self {
            line: greater(self.line, line),
            ..self
        }
    }

    /// The bound without a request that waited in the line for `cost` permits and was refused.
    #[must_use]
    pub const fn leave(self, cost: u32) -> Self {
        if self.line <= self.held {
            return self;
        }
        Self {
            line: greater(self.held, self.line.saturating_sub(cost)),
            ..self
        }
    }

    /// The reach of the next image for a user who has used `used`: nothing more if nothing was
    /// asked for, not farther while enough is left, and only to the daily limit while that is
    /// not passed. Never below what an image under way says (R2): that one may be stored before this
    /// one, and its permits be handed out.
    #[must_use]
    pub const fn next(self, rule: &DailyRule, reserve: &Reserve, used: u32) -> u32 {
        let stands = greater(self.held, used);
        let needed = greater(greater(self.line, self.drafted), stands);
        if self.line == 0 || stands.saturating_sub(used) > reserve.low() {
            return needed;
        }
        let mut reach = used.saturating_add(reserve.ahead.get());
        let strict = matches!(rule.mode, DailyMode::Strict);
        if reach > rule.limit && (strict || used < rule.limit) {
            reach = rule.limit;
        }
        greater(reach, needed)
    }

    /// The bound once an image is drafted that lets the user go to `reach`.
    #[must_use]
    pub const fn draft(self, reach: u32) -> Self {
        Self {
            drafted: greater(self.drafted, reach),
            ..self
        }
    }

    /// The bound once no image is under way any more.
    #[must_use]
    pub const fn without_drafts(self) -> Self {
        Self {
            drafted: self.held,
            ..self
        }
    }

    /// Whether an image should be written soon: the reserve of a user who asks is nearly used, and
    /// can be renewed.
    #[must_use]
    pub const fn is_low(self, rule: &DailyRule, reserve: &Reserve, used: u32) -> bool {
        let left = self.held.saturating_sub(used);
        self.line != 0 && left <= reserve.early() && self.next(rule, reserve, used) > self.held
    }

    /// The bound once an image is stored that lets the user go to `stored`; says by how much it
    /// rose.
    #[must_use]
    pub const fn raise(self, stored: u32) -> (Self, u32) {
        let risen = stored.saturating_sub(self.held);
        let held = self.held.saturating_add(risen);
        (Self { held, ..self }, risen)
    }
}

const fn greater(a: u32, b: u32) -> u32 {
    if a > b { a } else { b }
}

const HUNDRED: NonZeroU32 = match NonZeroU32::new(100) {
    Some(hundred) => hundred,
    None => NonZeroU32::MIN,
};

const _: () = assert!(size_of::<Bound>() == Bound::SIZE);
