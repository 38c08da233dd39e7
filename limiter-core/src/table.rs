//! The fixed table of tokens, by keyed id (SPEC 8).
//!
//! Open addressing with linear probing and Robin Hood insertion: rows lie in the order of their
//! homes. That keeps probes as equal as they can be, and needs no tombstones, since removal shifts
//! the following rows back: where a row is depends on what the table holds, not on what it has been
//! through. The longest distance of any row from its home is kept, so a miss ends there: at most
//! [`Table::longest_probe`] rows are looked at (T5). An id is a keyed hash, so nobody without the
//! key can make probes long.
//!
//! In a full table a newcomer takes the place of a row near its home. So distances become those of
//! a table of the rows that must stay: a few where half of them may go. The table that is filled
//! for the first time, with none gone yet, has the longest: the square root of the number of rows.
//!
//! This file knows rows and ids, no rule.

use crate::math;
use core::mem;

/// Something that a [`Table`] or the users' rows can be found by.
pub(crate) trait Row: Copy {
    /// The keyed id, 0 if the row is vacant.
    fn id(&self) -> u64;

    /// Makes the row vacant. What else it held may stay.
    fn vacate(&mut self);
}

/// Rows of type `R` in storage `S`, found by id.
#[derive(Clone, Debug)]
pub(crate) struct Table<S> {
    rows: S,
    reach: Reach,
    occupied: u32,
    /// Insertions and removals, which move rows; modulo 2^32.
    changes: u32,
}

impl<S> Table<S> {
    /// A table over rows that are all vacant.
    pub(crate) const fn new(rows: S) -> Self {
        Self {
            rows,
            reach: Reach::NONE,
            occupied: 0,
            changes: 0,
        }
    }

    /// How many rows hold something.
    pub(crate) const fn occupied(&self) -> u32 {
        self.occupied
    }

    /// A number that is another one after rows may have moved.
    pub(crate) const fn changes(&self) -> u32 {
        self.changes
    }

    /// The most rows that a look-up visits.
    pub(crate) const fn longest_probe(&self) -> u32 {
        self.reach.longest().saturating_add(1)
    }

    pub(crate) fn rows<R>(&self) -> &[R]
    where
        S: AsRef<[R]>,
    {
        self.rows.as_ref()
    }

    pub(crate) fn rows_mut<R>(&mut self) -> &mut [R]
    where
        S: AsMut<[R]>,
    {
        self.rows.as_mut()
    }

    /// The row of an id. Visits at most [`Table::longest_probe`] rows.
    ///
    /// Vacant rows do not end the probing: the longest distance does, and a row that is there is
    /// found without looking for vacant ones on the way.
    #[inline]
    pub(crate) fn find_mut<R: Row>(&mut self, id: u64) -> Option<&mut R>
    where
        S: AsMut<[R]>,
    {
        let rows = self.rows.as_mut();
        let home = home(id, rows.len());
        if rows.get(home)?.id() == id {
            return rows.get_mut(home);
        }
        find_further(rows, home, math::to_index(self.reach.longest()), id)
    }

    /// The row of an id if it is near its home: among the first four rows of its probing in a small
    /// table, at home in a large one.
    ///
    /// In a table that is in the cache no branch asks which of the four it is: that cannot be
    /// foretold, and a wrong guess costs more than four rows. In a larger table it is memory that
    /// costs, and guessing hides it.
    #[cfg(target_pointer_width = "64")]
    #[inline(always)]
    pub(crate) fn find_near_mut<R: Row>(&mut self, id: u64) -> Option<&mut R>
    where
        S: AsMut<[R]>,
    {
        let rows = self.rows.as_mut();
        let place = home(id, rows.len());
        let row = if rows.len() <= SMALL {
            let near = rows.get_mut(place..place.wrapping_add(NEAR))?;
            let near = near.first_chunk_mut::<NEAR>()?;
            let nearest = nearest(near, id);
            near.get_mut(nearest)?
        } else {
            rows.get_mut(place)?
        };
        (row.id() == id).then_some(row)
    }

    /// Where the row of an id is. Visits at most [`Table::longest_probe`] rows.
    pub(crate) fn position<R: Row>(&self, id: u64) -> Option<usize>
    where
        S: AsRef<[R]>,
    {
        let rows = self.rows.as_ref();
        let mut index = home(id, rows.len());
        for _ in 0..=self.reach.longest() {
            if rows.get(index)?.id() == id {
                return Some(index);
            }
            index = next(index, rows.len());
        }
        None
    }

    /// Whether no row is vacant.
    pub(crate) fn is_full<R>(&self) -> bool
    where
        S: AsRef<[R]>,
    {
        math::to_index(self.occupied) >= self.rows.as_ref().len()
    }

    /// Puts a row of a new id in, moving others if they are nearer to their home. A full table
    /// stays as it is: the caller makes room first. *O*(rows) at worst.
    ///
    /// Returns the first and the last place that changed, around the end, as do those below.
    pub(crate) fn insert<R: Row>(&mut self, row: R) -> (usize, usize)
    where
        S: AsRef<[R]> + AsMut<[R]>,
    {
        if self.is_full() {
            return (0, 0);
        }
        self.changes = self.changes.wrapping_add(1);
        let rows = self.rows.as_mut();
        let length = rows.len();
        let mut carried = row;
        let first = home(carried.id(), length);
        let mut index = first;
        let mut distance = 0_u32;
        for _ in 0..length {
            let Some(slot) = rows.get_mut(index) else {
                break;
            };
            if slot.id() == 0 {
                *slot = carried;
                self.reach.grow(distance);
                self.occupied = self.occupied.saturating_add(1);
                break;
            }
            let theirs = distance_from_home(slot.id(), index, length);
            if theirs < distance {
                self.reach.grow(distance);
                mem::swap(slot, &mut carried);
                distance = theirs;
            }
            index = next(index, length);
            distance = distance.saturating_add(1);
        }
        (first, index)
    }

    /// Takes the row at `index` out and shifts the rows behind it back. *O*(rows) at worst.
    pub(crate) fn remove<R: Row>(&mut self, index: usize) -> (usize, usize)
    where
        S: AsRef<[R]> + AsMut<[R]>,
    {
        let length = self.rows.as_ref().len();
        let Some(row) = self.rows.as_ref().get(index).filter(|row| row.id() != 0) else {
            return (index, index);
        };
        self.reach.lose(distance_from_home(row.id(), index, length));
        let hole = self.shift_back(index, None);
        if let Some(slot) = self.rows.as_mut().get_mut(hole) {
            slot.vacate();
        }
        self.occupied = self.occupied.saturating_sub(1);
        self.measure();
        (index, hole)
    }

    /// Puts a row of a new id into a full table, in the place of the row at `index`, and moves only
    /// the rows between that and the new one's place. *O*(rows) at worst; few rows if `index` is
    /// near the new one's home.
    pub(crate) fn replace<R: Row>(&mut self, index: usize, row: R) -> (usize, usize)
    where
        S: AsRef<[R]> + AsMut<[R]>,
    {
        let length = self.rows.as_ref().len();
        let Some(old) = self.rows.as_ref().get(index) else {
            return (index, index);
        };
        self.reach.lose(distance_from_home(old.id(), index, length));
        // Rows behind, of homes before the new one's, move up first; or else those before it, of
        // homes behind the new one's, move away.
        let distance = distance_from_home(row.id(), index, length);
        let mut hole = self.shift_back(index, Some(distance));
        let mut changed = (index, hole);
        if hole == index {
            hole = self.shift_away(index, distance);
            changed = (hole, index);
        }
        self.reach.grow(distance_from_home(row.id(), hole, length));
        if let Some(slot) = self.rows.as_mut().get_mut(hole) {
            *slot = row;
        }
        self.measure();
        changed
    }

    /// Moves rows behind the hole at `index` back by one: those of homes before that of a new row,
    /// whose distance in the hole is given, or all that are not at home. Returns where the hole is
    /// then.
    fn shift_back<R: Row>(&mut self, index: usize, new: Option<u32>) -> usize
    where
        S: AsRef<[R]> + AsMut<[R]>,
    {
        let rows = self.rows.as_mut();
        let length = rows.len();
        let (mut hole, mut new) = (index, new);
        for _ in 0..length {
            let following = next(hole, length);
            // Fails in a table of one row, where nothing follows.
            let Ok([vacated, row]) = rows.get_disjoint_mut([hole, following]) else {
                break;
            };
            let theirs = distance_from_home(row.id(), following, length);
            new = new.map(|distance| distance.saturating_add(1));
            if row.id() == 0 || following == index || theirs <= new.unwrap_or(0) {
                break;
            }
            self.reach.lose(theirs);
            self.reach.grow(theirs.saturating_sub(1));
            mem::swap(vacated, row);
            hole = following;
        }
        hole
    }

    /// Moves rows before the hole at `index` away by one: those of homes behind that of a new row,
    /// whose distance in the hole is given. Returns where the hole is then.
    fn shift_away<R: Row>(&mut self, index: usize, distance: u32) -> usize
    where
        S: AsRef<[R]> + AsMut<[R]>,
    {
        self.changes = self.changes.wrapping_add(1);
        let rows = self.rows.as_mut();
        let length = rows.len();
        let mut hole = index;
        for ours in (1..=distance).rev() {
            let preceding = hole.checked_sub(1).unwrap_or(length.saturating_sub(1));
            let Ok([vacated, row]) = rows.get_disjoint_mut([hole, preceding]) else {
                break;
            };
            let theirs = distance_from_home(row.id(), preceding, length).saturating_add(1);
            if theirs >= ours {
                break;
            }
            self.reach.grow(theirs);
            mem::swap(vacated, row);
            hole = preceding;
        }
        hole
    }

    fn measure<R: Row>(&mut self)
    where
        S: AsRef<[R]>,
    {
        self.reach.measure(self.rows.as_ref(), |row| row.id());
    }
}

/// The longest distance of any row from its home, or a little more.
///
/// When a row at that distance is gone, the rows are measured anew, but [`Reach::STEP`] of them at
/// a time: whoever registers a token waits for no more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    longest: u32,
    /// Rows before this one are measured; 0 if none is being measured.
    measured: u32,
    /// The longest distance among them, and of all rows moved meanwhile.
    seen: u32,
    /// One more than the longest distance at which a row no longer is, since measuring began.
    lost: u32,
}

impl Reach {
    /// Rows that are measured at a time.
    const STEP: usize = 64;

    pub(crate) const NONE: Self = Self {
        longest: 0,
        measured: 0,
        seen: 0,
        lost: 0,
    };

    pub(crate) const fn longest(&self) -> u32 {
        self.longest
    }

    /// A row is at this distance now.
    pub(crate) fn grow(&mut self, distance: u32) {
        self.longest = self.longest.max(distance);
        self.seen = self.seen.max(distance);
    }

    /// A row is no longer at this distance.
    pub(crate) fn lose(&mut self, distance: u32) {
        self.lost = self.lost.max(distance.saturating_add(1));
    }

    /// Measures some of the rows, if there is a reason.
    pub(crate) fn measure<R>(&mut self, rows: &[R], id: impl Fn(&R) -> u64) {
        let mut from = math::to_index(self.measured);
        if from == 0 {
            if self.lost <= self.longest || self.longest == 0 {
                return;
            }
            self.lost = 0;
            self.seen = 0;
        }
        let end = from.saturating_add(Self::STEP).min(rows.len());
        while let Some(row) = rows.get(from).filter(|_| from < end) {
            if id(row) != 0 {
                let distance = distance_from_home(id(row), from, rows.len());
                self.seen = self.seen.max(distance);
            }
            from = from.saturating_add(1);
        }
        if from >= rows.len() {
            self.longest = self.seen;
            from = 0;
        }
        self.measured = math::from_index(from);
    }
}

/// Which of the rows holds an id, 0 if none does.
#[cfg(target_pointer_width = "64")]
#[inline(always)]
fn nearest<R: Row>(near: &[R; NEAR], id: u64) -> usize {
    let mut nearest = 0;
    for (distance, row) in near.iter().enumerate() {
        if row.id() == id {
            nearest = distance;
        }
    }
    nearest
}

#[cfg(target_pointer_width = "64")]
const NEAR: usize = 4;

/// So many rows of 32 bytes are 512 KiB.
#[cfg(target_pointer_width = "64")]
const SMALL: usize = 1 << 14;

/// The row of an id among the `visits` rows after its home.
#[inline(never)]
fn find_further<R: Row>(rows: &mut [R], home: usize, visits: usize, id: u64) -> Option<&mut R> {
    let (before, after) = rows.split_at_mut_checked(home.wrapping_add(1))?;
    // What goes over the end of the table goes on at its beginning.
    let around = visits.saturating_sub(after.len());
    let near = visits.wrapping_sub(around);
    match after.get_mut(..near)?.iter_mut().find(|row| row.id() == id) {
        Some(row) => Some(row),
        None => before
            .get_mut(..around)?
            .iter_mut()
            .find(|row| row.id() == id),
    }
}

/// Where the probing for an id begins: its high bits, scaled to the number of rows.
#[inline]
#[cfg(target_pointer_width = "64")]
pub(crate) fn home(id: u64, rows: usize) -> usize {
    math::scale_index(math::high32(id), rows)
}

/// The same where 64-bit products are dear.
#[inline]
#[cfg(not(target_pointer_width = "64"))]
pub(crate) fn home(id: u64, rows: usize) -> usize {
    let rows = math::from_index(rows);
    let index = if rows <= 1 << 16 {
        // 32-bit arithmetic alone: a Cortex-M0 has no wider multiplication.
        (math::high32(id) >> 16).wrapping_mul(rows) >> 16
    } else {
        math::scale(math::high32(id), rows)
    };
    math::to_index(index)
}

/// The place after `index`, around the end.
#[inline]
pub(crate) fn next(index: usize, rows: usize) -> usize {
    let following = index.wrapping_add(1);
    if following >= rows { 0 } else { following }
}

#[inline(never)]
pub(crate) fn distance_from_home(id: u64, index: usize, rows: usize) -> u32 {
    let home = home(id, rows);
    let distance = if index >= home {
        index.wrapping_sub(home)
    } else {
        index.wrapping_add(rows).wrapping_sub(home)
    };
    math::from_index(distance)
}

#[cfg(test)]
mod tests;
