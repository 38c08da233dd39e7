//! What was admitted, by token and window.

use limiter_core::Decision;
use std::collections::{BTreeMap, BTreeSet};

use super::WINDOW_MS;

/// A token's id, and the start of its window.
pub(super) type Window = (u64, u64);

#[derive(Default)]
pub(super) struct Tally {
    /// Permits admitted.
    pub(super) windows: BTreeMap<Window, u64>,
    /// Windows that refused something.
    pub(super) refusing: BTreeSet<Window>,
    pub(super) refused: u64,
}

impl Tally {
    /// Counts a decision at `now_ms` that reports a quota; answers its window.
    pub(super) fn add(&mut self, id: u64, cost: u64, now_ms: u64, decision: &Decision) -> Window {
        let quota = decision.quota().expect("a registered token's");
        // Not before time began, since a window that is not open ends W from now.
        let window = (id, now_ms + u64::from(quota.reset_ms) - WINDOW_MS);
        if decision.is_admitted() {
            *self.windows.entry(window).or_default() += cost;
        } else {
            self.refusing.insert(window);
            self.refused += 1;
        }
        window
    }

    pub(super) fn sum(tallies: Vec<Self>) -> Self {
        let mut sum = Self::default();
        for tally in tallies {
            for (window, used) in tally.windows {
                *sum.windows.entry(window).or_default() += used;
            }
            sum.refusing.extend(tally.refusing);
            sum.refused += tally.refused;
        }
        sum
    }
}
