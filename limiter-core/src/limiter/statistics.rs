//! What an operator reads.

use crate::decision::{Outcome, Reason};
use crate::math;

/// Counts since construction, and what the tables hold now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Statistics {
    /// Requests admitted, exempt ones apart.
    pub admitted: u64,
    /// Requests of origin webhook.
    pub exempt: u64,
    pub(super) refused: [u64; Reason::ALL.len()],
    /// Idle tokens whose row a new token took (T2).
    pub evicted_tokens: u64,
    /// Unused users whose row a new user took (T2).
    pub evicted_users: u64,
    /// Registrations that found no row (T3).
    pub table_full: u64,
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
        admitted: 0,
        exempt: 0,
        refused: [0; Reason::ALL.len()],
        evicted_tokens: 0,
        evicted_users: 0,
        table_full: 0,
        tokens: 0,
        users: 0,
        longest_probe: 0,
        longest_user_probe: 0,
    };

    /// Requests refused for a reason.
    #[must_use]
    pub fn refused(&self, reason: Reason) -> u64 {
        self.refused.get(place(reason)).copied().unwrap_or(0)
    }

    /// Requests refused for any reason.
    #[must_use]
    pub fn refused_in_all(&self) -> u64 {
        self.refused
            .iter()
            .fold(0, |sum, &count| u64::saturating_add(sum, count))
    }

    #[inline]
    pub(super) fn count(&mut self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Admitted => Some(&mut self.admitted),
            Outcome::Exempt => Some(&mut self.exempt),
            Outcome::Refused(reason) => self.refused.get_mut(place(reason)),
        };
        if let Some(counter) = counter {
            // OK because 2^64 decisions are never reached.
            *counter = counter.wrapping_add(1);
        }
    }
}

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
