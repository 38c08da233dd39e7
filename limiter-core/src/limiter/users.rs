//! The users' rows: found by id like the tokens', but a row never moves, since tokens refer to it
//! by its place.
//!
//! Open addressing with linear probing. A row is never vacated, only taken over by another user,
//! whose probing passes it; so no probe chain breaks and no tombstones are needed. A newcomer takes
//! the nearest row from its home on that may go, so distances are those of a table of the rows that
//! must stay.
//!
//! Rows beyond [`MAX_ROWS`](super::MAX_ROWS) are never used: an image could not hold them.

use super::MAX_ROWS;
use super::rows::UserRow;
use crate::math;
use crate::table::{Reach, distance_from_home, home, next};

#[derive(Clone, Debug)]
pub(super) struct Users<S> {
    rows: S,
    reach: Reach,
    occupied: u32,
}

impl<S> Users<S> {
    pub(super) const fn new(rows: S) -> Self {
        Self {
            rows,
            reach: Reach::NONE,
            occupied: 0,
        }
    }

    pub(super) const fn occupied(&self) -> u32 {
        self.occupied
    }

    pub(super) const fn longest_probe(&self) -> u32 {
        self.reach.longest().saturating_add(1)
    }
}

impl<S: AsRef<[UserRow]>> Users<S> {
    /// The rows that are used.
    pub(super) fn rows(&self) -> &[UserRow] {
        within(self.rows.as_ref(), MAX_ROWS)
    }

    /// Returns whether every row is some user's.
    pub(super) fn is_full(&self) -> bool {
        math::to_index(self.occupied) >= self.rows().len()
    }

    pub(super) fn get(&self, place: u32) -> Option<&UserRow> {
        self.rows.as_ref().get(math::to_index(place))
    }

    /// The place of a user. Visits at most [`Users::longest_probe`] rows.
    pub(super) fn position(&self, id: u64) -> Option<u32> {
        let rows = self.rows();
        let mut index = home(id, rows.len());
        for _ in 0..=self.reach.longest() {
            let row = rows.get(index)?;
            if row.id() == id {
                return Some(math::from_index(index));
            }
            if row.id() == 0 {
                return None;
            }
            index = next(index, rows.len());
        }
        None
    }

    /// The first vacant place from the home of a new user on, `None` if there is none.
    pub(super) fn vacant(&self, id: u64) -> Option<u32> {
        if self.is_full() {
            return None;
        }
        self.search(id, |row| row.id() == 0)
    }

    /// The first place from the home of a new user on, and around, whose row is `wanted`. *O*(rows).
    pub(super) fn search(&self, id: u64, wanted: impl Fn(&UserRow) -> bool) -> Option<u32> {
        let rows = self.rows();
        let mut index = home(id, rows.len());
        for _ in 0..rows.len() {
            if wanted(rows.get(index)?) {
                return Some(math::from_index(index));
            }
            index = next(index, rows.len());
        }
        None
    }
}

impl<S: AsRef<[UserRow]> + AsMut<[UserRow]>> Users<S> {
    pub(super) fn rows_mut(&mut self) -> &mut [UserRow] {
        self.rows.as_mut()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut UserRow> {
        self.rows.as_mut().get_mut(math::to_index(place))
    }

    /// Puts a new user at a place; says whether another user's row was there.
    ///
    /// What the other has used on the accounting day `refills` is left in the row. It may be taken
    /// when that day is over by the clock and no decision has seen it: should a late one still come,
    /// it charges the new user too little left, and a refund of the other's gives nothing to the
    /// new one.
    pub(super) fn take(&mut self, place: u32, id: u64, refills: u32) -> bool {
        let (index, length) = (math::to_index(place), self.rows().len());
        let Some(row) = self.get_mut(place) else {
            return false;
        };
        let (old, day) = (row.id(), row.day);
        *row = UserRow::new(id);
        if day.settle(refills).used() > 0 {
            row.day = day;
        }
        if old == 0 {
            self.occupied = self.occupied.saturating_add(1);
        } else {
            self.reach.lose(distance_from_home(old, index, length));
        }
        self.reach.grow(distance_from_home(id, index, length));
        let rows = within(self.rows.as_ref(), MAX_ROWS);
        self.reach.measure(rows, UserRow::id);
        old != 0
    }
}

/// The first `most` rows.
fn within<R>(rows: &[R], most: usize) -> &[R] {
    rows.get(..most).unwrap_or(rows)
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn rows_beyond_those_that_an_image_holds_are_never_used() {
        assert_eq!(within(&[1, 2, 3, 4], 3), [1, 2, 3]);
        assert_eq!(within(&[1, 2, 3], 3), [1, 2, 3]);
        assert_eq!(within(&[1, 2], 3), [1, 2]);
    }
}
