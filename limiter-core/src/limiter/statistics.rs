//! What an operator reads.

use crate::decision::{Outcome, Reason};
use crate::math;

/// Counts since construction, and what the tables hold now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Statistics {
    /// By [`Statistics::place`].
    pub(super) decisions: [u64; Self::OUTCOMES],
    /// Idle tokens whose row a new token took (T2).
    pub evicted_tokens: u64,
    /// Unused users whose row a new user took (T2).
    pub evicted_users: u64,
    /// Registrations that found no row (T3).
    pub table_full: u64,
    /// Rows that registrations looked at in search of one that may be evicted.
    pub searched_rows: u64,
    /// Tokens that have a row, revoked ones included.
    pub tokens: u32,
    /// Users that have a row.
    pub users: u32,
    /// The most token rows that one look-up visits (T5).
    pub longest_probe: u32,
    /// The most user rows that one look-up visits; only registering looks users up.
    pub longest_user_probe: u32,
}

impl Statistics {
    pub(super) const ZERO: Self = Self {
        decisions: [0; Self::OUTCOMES],
        evicted_tokens: 0,
        evicted_users: 0,
        table_full: 0,
        searched_rows: 0,
        tokens: 0,
        users: 0,
        longest_probe: 0,
        longest_user_probe: 0,
    };

    /// Requests admitted, exempt ones apart.
    #[must_use]
    pub fn admitted(&self) -> u64 {
        self.at(ADMITTED)
    }

    /// Requests of origin webhook.
    #[must_use]
    pub fn exempt(&self) -> u64 {
        self.at(EXEMPT)
    }

    /// Requests refused for a reason.
    #[must_use]
    pub fn refused(&self, reason: Reason) -> u64 {
        self.at(place(reason))
    }

    /// Requests refused for any reason.
    #[must_use]
    pub fn refused_in_all(&self) -> u64 {
        let counts = Reason::ALL.iter().map(|&reason| self.refused(reason));
        counts.fold(0, u64::wrapping_add)
    }

    fn at(&self, place: usize) -> u64 {
        self.decisions.get(place).copied().unwrap_or(0)
    }

    /// How many outcomes are told apart. For homes of the state that count in their own way, as are
    /// the next two.
    pub const OUTCOMES: usize = Reason::ALL.len() + 2;

    /// The place of an outcome among the counts, below [`Statistics::OUTCOMES`].
    #[must_use]
    #[inline]
    pub const fn place(outcome: Outcome) -> usize {
        match outcome {
            Outcome::Refused(reason) => place(reason),
            Outcome::Admitted => ADMITTED,
            Outcome::Exempt => EXEMPT,
        }
    }

    /// The same with other counts, each at the [`Statistics::place`] of its outcome.
    #[must_use]
    pub const fn with_decisions(mut self, counts: [u64; Self::OUTCOMES]) -> Self {
        self.decisions = counts;
        self
    }

    #[inline]
    pub(super) fn count(&mut self, outcome: Outcome) {
        if let Some(counter) = self.decisions.get_mut(Self::place(outcome)) {
            // OK because 2^64 decisions are never reached.
            *counter = counter.wrapping_add(1);
        }
    }
}

const ADMITTED: usize = Reason::ALL.len();
const EXEMPT: usize = Reason::ALL.len() + 1;

/// The reason's place in [`Reason::ALL`].
const fn place(reason: Reason) -> usize {
    math::to_index(match reason {
        Reason::Window => 0,
        Reason::Daily => 1,
        Reason::CostExceedsLimit => 2,
        Reason::Blocked => 3,
        Reason::Unauthenticated => 4,
        Reason::TableFull => 5,
        Reason::ClockFailed => 6,
        Reason::StoreFailed => 7,
    })
}
