//! From when on rows may be given up (T2): so a newcomer to a full table looks only where there may
//! be such a row, and is refused without looking where there can be none.
//!
//! Rows are looked at in blocks. A search that finds nothing in a block notes the earliest moment at
//! which there may be something; the moments of many blocks are summed up by the earliest of them,
//! and so on, so that few are looked at to find the next block that is due. A moment may come too
//! early, never too late: whoever makes a row free sooner than it was seen to be *wakes* its block,
//! after the change and under no lock, and the next search forgets what it knew of it.

use super::sync::{AtomicU16, Ordering};
use std::ops::Range;

/// Rows of a block.
pub(super) const BLOCK: usize = 64;

/// Moments that one of the level above sums up.
const FAN: usize = 64;

/// Blocks in which a row may be free sooner than was known.
pub(super) struct Wakes {
    any: AtomicU16,
    blocks: Box<[AtomicU16]>,
}

impl Wakes {
    pub(super) fn new(rows: usize) -> Self {
        Self {
            any: AtomicU16::new(0),
            blocks: (0..rows.div_ceil(BLOCK))
                .map(|_| AtomicU16::new(0))
                .collect(),
        }
    }

    pub(super) fn wake(&self, row: usize) {
        if let Some(block) = self.blocks.get(row / BLOCK) {
            block.store(1, Ordering::Release);
            self.any.store(1, Ordering::Release);
        }
    }

    pub(super) fn wake_all(&self) {
        for block in &self.blocks {
            block.store(1, Ordering::Release);
        }
        self.any.store(1, Ordering::Release);
    }

    /// Forgets what was known of the blocks that were woken. *O*(blocks) if there are any.
    fn heed(&self, moments: &mut Moments) {
        if !take(&self.any) {
            return;
        }
        for (index, block) in self.blocks.iter().enumerate() {
            if take(block) {
                moments.set(index, 0);
            }
        }
    }
}

/// Takes a flag back; returns whether it was set. A swap, so that what was done before it was set is seen.
fn take(flag: &AtomicU16) -> bool {
    flag.compare_exchange(1, 0, Ordering::AcqRel, Ordering::Acquire)
        .is_ok()
}

/// The earliest moment for each block, in milliseconds, and for groups of them.
pub(super) struct Moments {
    /// The blocks', then ever fewer.
    levels: Vec<Box<[u64]>>,
    rows: usize,
}

impl Moments {
    pub(super) fn new(rows: usize) -> Self {
        let mut levels = Vec::new();
        let mut length = rows.div_ceil(BLOCK);
        loop {
            levels.push(vec![0; length].into_boxed_slice());
            if length <= 1 {
                return Self { levels, rows };
            }
            length = length.div_ceil(FAN);
        }
    }

    pub(super) fn forget_all(&mut self) {
        for level in &mut self.levels {
            level.fill(0);
        }
    }

    /// Returns whether any block may have a free row at `now`.
    pub(super) fn is_due(&mut self, wakes: &Wakes, now: u64) -> bool {
        wakes.heed(self);
        let earliest = self.levels.last().and_then(|level| level.first());
        earliest.is_some_and(|&moment| moment <= now)
    }

    /// Looks at the blocks that may have a free row at `now`, beginning with that of the row `from`
    /// and around, until `look` finds something; that is told a block and its rows, and answers what
    /// it found or the moment before which there is nothing.
    pub(super) fn search<T>(
        &mut self,
        wakes: &Wakes,
        from: usize,
        now: u64,
        mut look: impl FnMut(Range<usize>) -> Result<T, u64>,
    ) -> Option<T> {
        wakes.heed(self);
        let first = from / BLOCK;
        let blocks = self.rows.div_ceil(BLOCK);
        for (mut block, end) in [(first, blocks), (0, first)] {
            while let Some(due) = self.due(block, end, now) {
                let rows = due * BLOCK..((due + 1) * BLOCK).min(self.rows);
                match look(rows) {
                    Ok(found) => return Some(found),
                    Err(moment) => self.set(due, moment.max(now + 1)),
                }
                block = due + 1;
            }
        }
        None
    }

    /// The first block from `block` on, and before `end`, whose moment has come.
    fn due(&self, mut block: usize, end: usize, now: u64) -> Option<usize> {
        while block < end {
            // The largest group that begins here and is not due.
            let (mut skip, mut group) = (0, 1);
            for level in &self.levels {
                let is_early = |&moment: &u64| moment > now;
                if !block.is_multiple_of(group) || !level.get(block / group).is_some_and(is_early) {
                    break;
                }
                skip = group;
                group *= FAN;
            }
            if skip == 0 {
                return Some(block);
            }
            block += skip;
        }
        None
    }

    fn set(&mut self, block: usize, moment: u64) {
        let mut index = block;
        self.levels[0][index] = moment;
        for level in 1..self.levels.len() {
            let group = index / FAN;
            let below = &self.levels[level - 1];
            let end = ((group + 1) * FAN).min(below.len());
            let earliest = below[group * FAN..end].iter().copied().min();
            index = group;
            self.levels[level][index] = earliest.unwrap_or(0);
        }
    }
}

#[cfg(all(test, not(limiter_loom)))]
mod tests {
    use super::*;

    /// The blocks that a search looks at, each of which then has a moment of its own.
    fn looked_at(moments: &mut Moments, wakes: &Wakes, from: usize, now: u64) -> Vec<usize> {
        let mut blocks = Vec::new();
        let found: Option<()> = moments.search(wakes, from, now, |rows| {
            blocks.push(rows.start / BLOCK);
            Err(100 + rows.start as u64 / BLOCK as u64)
        });
        assert!(found.is_none());
        blocks
    }

    #[test]
    fn looks_only_at_blocks_whose_moment_has_come_or_that_were_woken() {
        for count in [1, 2, 63, 64, 65, 200, 4_096, 5_000] {
            let rows = count * BLOCK - 3;
            let (wakes, mut moments) = (Wakes::new(rows), Moments::new(rows));
            let around: Vec<usize> = (count / 2..count).chain(0..count / 2).collect();
            let from = count / 2 * BLOCK;
            assert_eq!(looked_at(&mut moments, &wakes, from, 0), around);
            assert!(looked_at(&mut moments, &wakes, from, 99).is_empty());
            assert!(!moments.is_due(&wakes, 99) && moments.is_due(&wakes, 100));
            wakes.wake(rows - 1);
            wakes.wake(0);
            let woken = if count == 1 {
                vec![0]
            } else {
                vec![count - 1, 0]
            };
            assert_eq!(looked_at(&mut moments, &wakes, from, 99), woken);
            let early: Vec<usize> = (0..count.min(3)).collect();
            assert_eq!(looked_at(&mut moments, &wakes, 0, 102), early);
            wakes.wake_all();
            assert_eq!(looked_at(&mut moments, &wakes, from, 102), around);
            moments.forget_all();
            assert_eq!(looked_at(&mut moments, &wakes, from, 50), around);
        }
    }

    #[test]
    fn a_table_without_rows_has_nothing_to_look_at() {
        let (wakes, mut moments) = (Wakes::new(0), Moments::new(0));
        wakes.wake(0);
        assert!(looked_at(&mut moments, &wakes, 0, 0).is_empty());
    }
}
