//! The users' rows: found by id like the tokens', but a row never moves, since tokens refer to it
//! by its place.
//!
//! Open addressing with linear probing. A row is never vacated, only taken over by another user,
//! whose probing passes it; so no probe chain breaks and no tombstones are needed.

use super::rows::UserRow;
use crate::math;
use crate::table::{home, next};

#[derive(Clone, Debug)]
pub(super) struct Users<S> {
    rows: S,
    reach: u32,
    occupied: u32,
}

impl<S> Users<S> {
    pub(super) const fn new(rows: S) -> Self {
        Self {
            rows,
            reach: 0,
            occupied: 0,
        }
    }

    pub(super) const fn occupied(&self) -> u32 {
        self.occupied
    }

    pub(super) const fn longest_probe(&self) -> u32 {
        self.reach.saturating_add(1)
    }
}

impl<S: AsRef<[UserRow]>> Users<S> {
    pub(super) fn rows(&self) -> &[UserRow] {
        self.rows.as_ref()
    }

    pub(super) fn get(&self, place: u32) -> Option<&UserRow> {
        self.rows.as_ref().get(math::to_index(place))
    }

    /// The place of a user. Visits at most [`Users::longest_probe`] rows.
    pub(super) fn position(&self, id: u64) -> Option<u32> {
        let rows = self.rows.as_ref();
        let mut index = home(id, rows.len());
        for _ in 0..=self.reach {
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

    /// Where a new user's row can go: the first vacant place of its probing, else the first that
    /// `evictable` gives away. *O*(rows).
    pub(super) fn place_for(
        &self,
        id: u64,
        evictable: impl Fn(u32, &UserRow) -> bool,
    ) -> Option<u32> {
        let rows = self.rows.as_ref();
        let mut index = home(id, rows.len());
        let mut free = None;
        for _ in 0..rows.len() {
            let row = rows.get(index)?;
            let place = math::from_index(index);
            if row.id() == 0 {
                return Some(place);
            }
            if free.is_none() && evictable(place, row) {
                free = Some(place);
            }
            index = next(index, rows.len());
        }
        free
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

    /// Puts a new user at a place that [`Users::place_for`] found for it; says whether another
    /// user's row was there.
    pub(super) fn take(&mut self, place: u32, id: u64) -> bool {
        let length = self.rows.as_ref().len();
        let home = math::from_index(home(id, length));
        let distance = match place.checked_sub(home) {
            Some(distance) => distance,
            None => place
                .wrapping_add(math::from_index(length))
                .wrapping_sub(home),
        };
        let Some(row) = self.get_mut(place) else {
            return false;
        };
        let evicted = row.id() != 0;
        *row = UserRow::new(id);
        self.reach = self.reach.max(distance);
        if !evicted {
            self.occupied = self.occupied.saturating_add(1);
        }
        evicted
    }
}
