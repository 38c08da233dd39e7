//! The rows of users: days and strikes that every core changes, and an index by id that only the
//! holder of the registry's lock reads and writes.
//!
//! A row never moves, since tokens refer to it by its place, and is never vacated, only taken over
//! by another user.

use super::row::swap;
use super::sync::{AtomicU64, Ordering};
use limiter_core::daily::{Day, Strikes};
use limiter_core::{Policy, rules};

/// What decisions change of one user.
#[repr(align(16))]
pub(super) struct UserRow {
    pub(super) day: AtomicU64,
    strikes: AtomicU64,
}

/// [`Strikes`] in the low 32 bits, and the number of the user who has the row above.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Record(u64);

impl UserRow {
    /// A row that holds nothing.
    pub(super) fn vacant() -> Self {
        Self {
            day: AtomicU64::new(unused(0)),
            strikes: AtomicU64::new(0),
        }
    }

    #[inline]
    pub(super) fn record(&self) -> Record {
        Record(self.strikes.load(Ordering::Acquire))
    }

    /// Puts other strikes in the place of those in `seen`, unless they have changed.
    pub(super) fn swap_strikes(&self, seen: Record, strikes: Strikes) -> bool {
        swap(&self.strikes, seen.0, seen.with(strikes).0)
    }

    /// Returns whether the row is free on the accounting day `refills`, which may be one that no decision
    /// has seen: nothing in it counts (T2). Not if it is of a later day.
    pub(super) fn is_unused(&self, policy: &Policy, refills: u32) -> bool {
        let record = self.record();
        is_unused(policy, self.day.load(Ordering::Acquire), record, refills)
    }

    /// Gives the row to another user; says no, and changes nothing, if something in it counts or
    /// it is used at this very moment. No token may refer to it.
    ///
    /// What was used on the day `stands`, the calendar's, is left in the row. It may be taken when
    /// that day is over by the clock, and no decision has seen it: should a late one still come, it
    /// leaves the new user too little, and a refund of the old user's gives nothing to the new one.
    pub(super) fn take_over(&self, policy: &Policy, refills: u32, stands: u32) -> bool {
        let record = self.record();
        let day = self.day.load(Ordering::Acquire);
        if !is_unused(policy, day, record, refills) {
            return false;
        }
        let next = Record((record.0 >> 32).wrapping_add(1) << 32);
        if !swap(&self.strikes, record.0, next.0) {
            return false;
        }
        let used = Day::from_bits(day).settle(stands).used() > 0;
        if swap(
            &self.day,
            day,
            if used { day } else { unused(next.0 >> 32) },
        ) {
            return true;
        }
        // No token refers to the row, so nobody has changed the record meanwhile.
        self.strikes.store(record.0, Ordering::Release);
        false
    }
}

impl Record {
    #[inline]
    pub(super) fn strikes(self) -> Strikes {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the strikes are the low half"
        )]
        Strikes::from_bits(self.0 as u32)
    }

    /// The number of the user who has the row.
    #[cfg(feature = "persist")]
    pub(super) fn tenancy(self) -> u64 {
        self.0 >> 32
    }

    fn with(self, strikes: Strikes) -> Self {
        Self((self.0 >> 32 << 32) | u64::from(strikes.to_bits()))
    }
}

fn is_unused(policy: &Policy, day: u64, record: Record, refills: u32) -> bool {
    let (day, strikes) = (Day::from_bits(day), record.strikes());
    !is_later(day.refills(), refills)
        && !is_later_strike(strikes, refills)
        && rules::is_unused_user(policy, day, strikes, refills)
}

/// A day on which nothing was used, in a form that no other user has had in this row: a day long
/// past, whose count is the user's number.
fn unused(user: u64) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "a number modulo 2^32")]
    Day::new(LONG_PAST, user as u32).to_bits()
}

/// Whether `refills` is a later accounting day than `than`; numbers go around.
#[inline]
pub(super) fn is_later(refills: u32, than: u32) -> bool {
    refills.wrapping_sub(than).cast_signed() > 0
}

/// Whether the last strike was on a later accounting day than `refills`.
pub(super) fn is_later_strike(strikes: Strikes, refills: u32) -> bool {
    // 24 bits tell the day.
    !strikes.is_none() && is_later(strikes.to_bits() << 8, refills << 8)
}

/// Accounting days are counted from 0 on: 2^30 of them pass before this one looks later.
const LONG_PAST: u32 = u32::MAX / 4 * 3;

/// Finds users by id, and the rows of their tokens.
pub(super) struct Index {
    /// The first place of each chain.
    heads: Box<[u32]>,
    entries: Box<[Entry]>,
    /// By the place of a token's row: which ones are its user's too.
    links: Box<[Link]>,
    /// Places from here on have never been used.
    used: u32,
}

#[derive(Clone, Copy)]
struct Entry {
    id: u64,
    next: u32,
    /// The place of the row of one of its tokens.
    token: u32,
}

/// The rows of the user's tokens before and behind a row, in no order.
#[derive(Clone, Copy)]
struct Link {
    before: u32,
    behind: u32,
}

impl Index {
    pub(super) fn new(users: u32, token_rows: usize) -> Self {
        let entry = Entry {
            id: 0,
            next: NONE,
            token: NONE,
        };
        let link = Link {
            before: NONE,
            behind: NONE,
        };
        Self {
            heads: vec![NONE; users as usize].into_boxed_slice(),
            entries: vec![entry; users as usize].into_boxed_slice(),
            links: vec![link; token_rows].into_boxed_slice(),
            used: 0,
        }
    }

    /// The place of a user. Visits at most [`Index::longest_probe`] entries.
    pub(super) fn find(&self, id: u64) -> Option<u32> {
        let mut place = *self.heads.get(self.chain(id))?;
        while let Some(entry) = self.entries.get(place as usize) {
            if entry.id == id {
                return Some(place);
            }
            place = entry.next;
        }
        None
    }

    /// A place that was never used.
    pub(super) fn unused(&self) -> Option<u32> {
        ((self.used as usize) < self.entries.len()).then_some(self.used)
    }

    /// Enters a new user at a place: the one never used, or one of a user without tokens. Says
    /// whether it was another's.
    pub(super) fn enter(&mut self, place: u32, id: u64) -> bool {
        let taken_over = place < self.used;
        if taken_over {
            self.unlink(place);
        } else {
            self.used = place + 1;
        }
        let chain = self.chain(id);
        self.entries[place as usize] = Entry {
            id,
            next: std::mem::replace(&mut self.heads[chain], place),
            token: NONE,
        };
        taken_over
    }

    pub(super) fn id(&self, place: u32) -> u64 {
        self.entries.get(place as usize).map_or(0, |entry| entry.id)
    }

    /// The rows of a user's tokens.
    pub(super) fn tokens(&self, place: u32) -> impl Iterator<Item = usize> {
        let first = self.entries.get(place as usize).map(|entry| entry.token);
        let next = |row: u32| (row != NONE).then_some(row);
        let rows = std::iter::successors(first.and_then(next), move |&row| {
            next(self.links[row as usize].behind)
        });
        rows.map(|row| row as usize)
    }

    /// Makes the row of a token one of the user's at a place. It is nobody's.
    pub(super) fn add_token(&mut self, place: u32, row: usize) {
        let number = u32::try_from(row).unwrap_or(NONE);
        let entry = &mut self.entries[place as usize];
        let behind = std::mem::replace(&mut entry.token, number);
        if behind != NONE {
            self.links[behind as usize].before = number;
        }
        self.links[row] = Link {
            before: NONE,
            behind,
        };
    }

    /// Makes the row of a token nobody's, which is one of the user's at a place.
    pub(super) fn drop_token(&mut self, place: u32, row: usize) {
        let Link { before, behind } = self.links[row];
        if before == NONE {
            self.entries[place as usize].token = behind;
        } else {
            self.links[before as usize].behind = behind;
        }
        if behind != NONE {
            self.links[behind as usize].before = before;
        }
    }

    /// Users that have a row.
    pub(super) fn occupied(&self) -> u32 {
        self.used
    }

    /// The most entries that one look-up visits now. *O*(users).
    pub(super) fn longest_probe(&self) -> u32 {
        let lengths = self.heads.iter().map(|&first| self.chain_length(first));
        lengths.max().unwrap_or(0)
    }

    fn chain_length(&self, first: u32) -> u32 {
        let entry = |place: u32| self.entries.get(place as usize);
        let chain = std::iter::successors(entry(first), |before| entry(before.next));
        chain.fold(0, |count, _| count + 1)
    }

    fn unlink(&mut self, place: u32) {
        let entry = self.entries[place as usize];
        let chain = self.chain(entry.id);
        let mut at = self.heads[chain];
        if at == place {
            self.heads[chain] = entry.next;
            return;
        }
        while let Some(before) = self.entries.get_mut(at as usize) {
            if before.next == place {
                before.next = entry.next;
                return;
            }
            at = before.next;
        }
    }

    fn chain(&self, id: u64) -> usize {
        let scaled = (id >> 32) * self.heads.len() as u64;
        (scaled >> 32) as usize
    }
}

/// No place: those of users are below 2^24, those of token rows below 2^29.
const NONE: u32 = u32::MAX;

#[cfg(all(test, not(limiter_loom)))]
mod tests {
    use super::*;

    #[test]
    fn finds_users_by_id_through_many_take_overs() {
        let mut index = Index::new(5, 0);
        let mut here = Vec::new();
        for turn in 1..200_u32 {
            let id = u64::from(turn).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let place = index.unused().unwrap_or(turn * 3 % 5);
            if index.enter(place, id) {
                here.retain(|&(at, _)| at != place);
            }
            here.push((place, id));
            assert!(here.iter().all(|&(at, id)| index.find(id) == Some(at)));
            assert_eq!(index.find(id ^ 1), None);
        }
        assert_eq!((index.occupied(), here.len()), (5, 5));
        assert!((1..=5).contains(&index.longest_probe()));
    }

    #[test]
    fn tells_the_rows_of_a_users_tokens_through_many_changes() {
        let mut index = Index::new(3, 20);
        for id in 1..=3 {
            let place = index.unused().expect("there are three");
            index.enter(place, id);
        }
        let mut owners = [None::<u32>; 20];
        let mut random = 1_u64;
        for _ in 0..2_000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let row = usize::try_from(random >> 33).unwrap() % 20;
            let place = u32::try_from(random >> 61).unwrap() % 3;
            match owners[row].take() {
                Some(owner) => index.drop_token(owner, row),
                None => {
                    index.add_token(place, row);
                    owners[row] = Some(place);
                }
            }
            for place in 0..3 {
                let mut rows: Vec<usize> = index.tokens(place).collect();
                rows.sort_unstable();
                let own = |&row: &usize| owners[row] == Some(place);
                assert_eq!(rows, (0..20).filter(own).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn an_index_without_places_has_no_room() {
        let index = Index::new(0, 0);
        assert_eq!((index.find(5), index.unused()), (None, None));
    }

    #[test]
    fn a_row_that_was_taken_over_looks_like_no_earlier_users() {
        let row = UserRow::vacant();
        let mut days = vec![row.day.load(Ordering::Relaxed)];
        let mut records = vec![row.record().0];
        for _ in 0..10 {
            assert!(row.take_over(&Policy::pipedrive(), 0, 0));
            days.push(row.day.load(Ordering::Relaxed));
            records.push(row.record().0);
            assert_eq!(Day::from_bits(days[days.len() - 1]).settle(0).used(), 0);
            assert!(row.record().strikes().is_none());
        }
        days.sort_unstable();
        days.dedup();
        records.sort_unstable();
        records.dedup();
        assert_eq!((days.len(), records.len()), (11, 11));
    }

    #[test]
    fn later_days_are_told_around_the_end_of_the_count() {
        assert!(is_later(1, 0) && is_later(0, u32::MAX) && !is_later(3, 3));
        assert!(!is_later(LONG_PAST, 0) && !is_later(LONG_PAST, 1 << 20));
        assert!(is_later_strike(Strikes::new(1, 8), 7));
        assert!(!is_later_strike(Strikes::new(1, 7), 7));
        assert!(is_later_strike(Strikes::new(1, 1 << 24), (1 << 24) - 1));
        assert!(!is_later_strike(Strikes::NONE, 7));
    }
}
