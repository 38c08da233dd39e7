//! From when on rows may be evicted (T2), so that a newcomer to a full table is refused without
//! looking at all of them again.
//!
//! The table is divided into a few parts. A search that finds no row in a part notes the earliest
//! moment at which there may be one; until then the part is passed over. A moment may come too
//! early, never too late: whatever makes a row evictable sooner than it was seen to be (a row is
//! new, revoked, unpinned, unblocked, or the policy changed) has to [`forget`](Idle::forget).

use crate::time::Instant;

#[derive(Clone, Debug)]
pub(super) struct Idle {
    /// By part.
    from: [Instant; PARTS],
    /// The same of the users' rows, as long as the calendar has counted these refills.
    pub(super) users: (Instant, u32),
}

impl Idle {
    /// Nothing is known yet.
    pub(super) const UNKNOWN: Self = Self {
        from: [Instant::ZERO; PARTS],
        users: (Instant::ZERO, 0),
    };

    /// Forgets all moments.
    pub(super) fn forget_all(&mut self) {
        self.from.fill(Instant::ZERO);
        self.users.0 = Instant::ZERO;
    }

    /// Forgets what changes of the rows from one place to another, around the end, may have made
    /// untrue, and of their users'.
    pub(super) fn forget(&mut self, (first, last): (usize, usize), rows: usize) {
        self.users.0 = Instant::ZERO;
        let parts = part(first, rows)..=part(last, rows);
        if first > last {
            self.from.fill(Instant::ZERO);
        } else if let Some(moments) = self.from.get_mut(parts) {
            moments.fill(Instant::ZERO);
        }
    }

    /// Returns whether a row of a part may be evictable.
    pub(super) fn is_due(&self, part: usize, now: Instant) -> bool {
        self.from.get(part).is_some_and(|&from| from <= now)
    }

    /// Notes that no row of a part is evictable before `from`.
    pub(super) fn learn(&mut self, part: usize, from: Instant) {
        if let Some(moment) = self.from.get_mut(part) {
            *moment = from;
        }
    }
}

/// The part of a table that a row is in.
pub(super) fn part(index: usize, rows: usize) -> usize {
    index >> shift(rows)
}

/// The places of a part.
pub(super) fn places(part: usize, rows: usize) -> core::ops::Range<usize> {
    let start = (part << shift(rows)).min(rows);
    let end = (part.saturating_add(1) << shift(rows)).min(rows);
    start..end
}

/// Binary digits of a place within its part.
fn shift(rows: usize) -> u32 {
    let digits = usize::BITS.wrapping_sub(rows.leading_zeros());
    digits.saturating_sub(PARTS.trailing_zeros())
}

/// Parts of a table: on a device, where tables are small and memory is scarce, it is one.
pub(super) const PARTS: usize = if cfg!(target_pointer_width = "64") {
    64
} else {
    1
};

const _: () = assert!(PARTS.is_power_of_two());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_part() {
        for rows in [0, 1, 2, 63, 64, 65, 1_000, 4_096, 100_000] {
            let mut all = 0;
            for each in 0..PARTS {
                assert!(places(each, rows).all(|index| part(index, rows) == each));
                all += places(each, rows).len();
            }
            assert_eq!(all, rows);
        }
    }
}
