//! The fixed table of tokens, by keyed id (SPEC 8).
//!
//! Open addressing with linear probing and Robin Hood insertion: a row that is farther from its
//! home takes the place of one that is nearer. That keeps probes short even in a full table, and
//! needs no tombstones, since removal shifts the following rows back. The longest distance of any
//! row from its home is kept, so a miss ends there: at most [`Table::longest_probe`] rows are
//! looked at (T5). An id is a keyed hash, so nobody without the key can make probes long.
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
    /// The longest distance of any row from its home.
    reach: u32,
    occupied: u32,
    /// Insertions and removals, which move rows; modulo 2^32.
    changes: u32,
}

impl<S> Table<S> {
    /// A table over rows that are all vacant.
    pub(crate) const fn new(rows: S) -> Self {
        Self {
            rows,
            reach: 0,
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
        self.reach.saturating_add(1)
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
        find_further(rows, home, math::to_index(self.reach), id)
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
        for _ in 0..=self.reach {
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

    /// The first row, from the home of `id` on and around the table, that `wanted` accepts.
    /// *O*(rows).
    pub(crate) fn search<R: Row>(&self, id: u64, wanted: impl Fn(&R) -> bool) -> Option<usize>
    where
        S: AsRef<[R]>,
    {
        let rows = self.rows.as_ref();
        let mut index = home(id, rows.len());
        for _ in 0..rows.len() {
            if wanted(rows.get(index)?) {
                return Some(index);
            }
            index = next(index, rows.len());
        }
        None
    }

    /// Puts a row of a new id in, moving others if they are nearer to their home. A full table
    /// stays as it is: the caller makes room first. *O*(rows) at worst.
    pub(crate) fn insert<R: Row>(&mut self, row: R)
    where
        S: AsRef<[R]> + AsMut<[R]>,
    {
        if self.is_full() {
            return;
        }
        self.changes = self.changes.wrapping_add(1);
        let rows = self.rows.as_mut();
        let length = rows.len();
        let mut carried = row;
        let mut index = home(carried.id(), length);
        let mut distance = 0_u32;
        for _ in 0..length {
            let Some(slot) = rows.get_mut(index) else {
                return;
            };
            if slot.id() == 0 {
                *slot = carried;
                self.reach = self.reach.max(distance);
                self.occupied = self.occupied.saturating_add(1);
                return;
            }
            let theirs = distance_from_home(slot.id(), index, length);
            if theirs < distance {
                self.reach = self.reach.max(distance);
                mem::swap(slot, &mut carried);
                distance = theirs;
            }
            index = next(index, length);
            distance = distance.saturating_add(1);
        }
    }

    /// Takes the row at `index` out and shifts the rows behind it back. *O*(rows) at worst.
    pub(crate) fn remove<R: Row>(&mut self, index: usize)
    where
        S: AsRef<[R]> + AsMut<[R]>,
    {
        self.changes = self.changes.wrapping_add(1);
        let rows = self.rows.as_mut();
        let length = rows.len();
        let mut hole = index;
        let mut longest_moved = match rows.get(hole) {
            Some(row) if row.id() != 0 => distance_from_home(row.id(), hole, length),
            _ => return,
        };
        for _ in 0..length {
            let following = next(hole, length);
            // Fails in a table of one row, where nothing follows.
            let Ok([removed, row]) = rows.get_disjoint_mut([hole, following]) else {
                break;
            };
            if row.id() == 0 || following == index {
                break;
            }
            let distance = distance_from_home(row.id(), following, length);
            if distance == 0 {
                break;
            }
            longest_moved = longest_moved.max(distance);
            mem::swap(removed, row);
            hole = following;
        }
        if let Some(slot) = rows.get_mut(hole) {
            slot.vacate();
        }
        self.occupied = self.occupied.saturating_sub(1);
        if longest_moved >= self.reach {
            self.measure_reach();
        }
    }

    fn measure_reach<R: Row>(&mut self)
    where
        S: AsRef<[R]>,
    {
        let rows = self.rows.as_ref();
        let mut reach = 0;
        for (index, row) in rows.iter().enumerate() {
            if row.id() != 0 {
                reach = reach.max(distance_from_home(row.id(), index, rows.len()));
            }
        }
        self.reach = reach;
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
fn distance_from_home(id: u64, index: usize, rows: usize) -> u32 {
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
