//! Where a token's row is: buckets of four rows that never move.
//!
//! An id has a home bucket and is looked for there first. One that found its home full went to the
//! nearest bucket behind it that had a vacant row; a number beside each bucket tells how far those
//! whose home it is and who are here have gone, so a look-up ends there, found or not (T5). There
//! are a quarter more rows than tokens, which keeps that short: most look-ups end at home. Ids are
//! keyed hashes, so nobody without the key can make them long.
//!
//! That holds after any number of registrations, since a newcomer to a full table takes the row of
//! an idle token near its own home: vacant rows stay spread evenly. With up to a million tokens no
//! look-up visits more than 1 024 rows, but by a chance of one in 50 000 (linear probing at four
//! fifths), and the mean over unknown tokens is below three buckets. Where half of the tokens are
//! idle, turnover shortens both.
//!
//! Looking up is lock-free. Rows are given and taken by the holder of the registry's lock.

use super::row::{Head, Row, State};
use super::spread::Spread;
use super::sync::{AtomicU16, Ordering};
use limiter_core::limiter::Terms;

pub(super) struct Table {
    buckets: Box<[Bucket]>,
    /// The other half of each row.
    states: Spread<State>,
    /// For each bucket, how many buckets farther its tokens may be.
    reaches: Box<[AtomicU16]>,
}

/// One cache line.
#[repr(align(64))]
struct Bucket([Head; ROWS]);

impl Table {
    /// Rows for so many tokens and a quarter more, all written to once.
    pub(super) fn new(tokens: usize) -> Self {
        let buckets = (tokens + tokens.div_ceil(4)).div_ceil(ROWS);
        Self {
            buckets: (0..buckets)
                .map(|_| Bucket(std::array::from_fn(|_| Head::vacant())))
                .collect(),
            states: Spread::new(buckets * ROWS, State::vacant),
            reaches: (0..buckets).map(|_| AtomicU16::new(0)).collect(),
        }
    }

    /// The home bucket of an id; meaningless in a table without rows.
    #[inline]
    pub(super) fn home(&self, id: u64) -> usize {
        // The high bits, scaled: below the number of buckets, which is below 2^32.
        let scaled = (id >> 32) * self.buckets.len() as u64;
        (scaled >> 32) as usize
    }

    /// Loads something of both halves of a bucket, waiting for nothing.
    #[inline]
    pub(super) fn touch(&self, home: usize) {
        if let Some(Bucket([head, ..])) = self.buckets.get(home) {
            std::hint::black_box(head.id.load(Ordering::Relaxed));
        }
        self.touch_state(home);
    }

    /// Loads something of the words that decisions change in a bucket, waiting for nothing. Not where
    /// they lie apart, since the line might be any token's.
    #[inline]
    pub(super) fn touch_state(&self, home: usize) {
        if let Some(state) = self.states.neighbour(home * ROWS) {
            std::hint::black_box(state.window.load(Ordering::Relaxed));
        }
    }

    /// The row that holds an id, which is not 0, at the moment of looking.
    #[inline]
    pub(super) fn find(&self, home: usize, id: u64) -> Option<Row<'_>> {
        let found = self.find_in(home, id);
        if found.is_some() {
            found
        } else {
            self.find_beyond(home, id)
        }
    }

    #[inline]
    fn find_in(&self, bucket: usize, id: u64) -> Option<Row<'_>> {
        let Bucket(heads) = self.buckets.get(bucket)?;
        let place = place_of(heads, id);
        let head = heads.get(place)?;
        if head.id.load(Ordering::Acquire) != id {
            return None;
        }
        let state = self.states.get(bucket * ROWS + place)?;
        Some(Row { head, state })
    }

    #[inline(never)]
    fn find_beyond(&self, home: usize, id: u64) -> Option<Row<'_>> {
        let reach = usize::from(self.reaches.get(home)?.load(Ordering::Acquire));
        (1..=reach).find_map(|distance| self.find_in(self.bucket(home, distance), id))
    }

    /// The place of the row that holds an id, which is not 0. For the holder of the registry's lock,
    /// under which no row changes hands.
    pub(super) fn position(&self, id: u64) -> Option<usize> {
        let home = self.home(id);
        let reach = usize::from(self.reaches.get(home)?.load(Ordering::Acquire));
        (0..=reach).find_map(|distance| self.place_in(self.bucket(home, distance), id))
    }

    fn place_in(&self, bucket: usize, id: u64) -> Option<usize> {
        let Bucket(heads) = self.buckets.get(bucket)?;
        let holds = |head: &Head| head.id.load(Ordering::Acquire) == id;
        Some(bucket * ROWS + heads.iter().position(holds)?)
    }

    /// Gives a vacant row to a token that has none, and says which; says no if there is none within
    /// reach. By the holder of the registry's lock alone.
    pub(super) fn insert(&self, token: u64, terms: Terms, user: u32) -> Option<usize> {
        let home = self.home(token);
        let farthest = self.buckets.len().min(1 + usize::from(u16::MAX));
        for distance in 0..farthest {
            if let Some(place) = self.place_in(self.bucket(home, distance), 0) {
                self.extend_reach(home, distance);
                self.row(place)?.take(token, terms, user);
                return Some(place);
            }
        }
        None
    }

    /// Shortens the look-ups for tokens of this home, if they were that long for the row that is
    /// vacant now. By the holder of the registry's lock alone.
    pub(super) fn shorten_reach(&self, home: usize) {
        let reach = usize::from(self.reaches[home].load(Ordering::Relaxed));
        let is_home = |head: &Head| {
            let id = head.id.load(Ordering::Relaxed);
            id != 0 && self.home(id) == home
        };
        let needed = (1..=reach).rev().find(|&distance| {
            self.buckets[self.bucket(home, distance)]
                .0
                .iter()
                .any(is_home)
        });
        self.set_reach(home, needed.unwrap_or(0));
    }

    pub(super) fn rows(&self) -> usize {
        self.buckets.len() * ROWS
    }

    pub(super) fn row(&self, index: usize) -> Option<Row<'_>> {
        Some(Row {
            head: self.buckets.get(index / ROWS)?.0.get(index % ROWS)?,
            state: self.states.get(index)?,
        })
    }

    /// The most rows that one look-up visits now. *O*(rows).
    pub(super) fn longest_probe(&self) -> usize {
        let reaches = self.reaches.iter();
        let longest = reaches.map(|reach| usize::from(reach.load(Ordering::Relaxed)));
        longest.max().map_or(0, |reach| (reach + 1) * ROWS)
    }

    /// The bucket so far behind, around the end.
    fn bucket(&self, home: usize, distance: usize) -> usize {
        let index = home + distance;
        let length = self.buckets.len();
        if index < length {
            index
        } else {
            index - length
        }
    }

    fn extend_reach(&self, home: usize, distance: usize) {
        if distance > usize::from(self.reaches[home].load(Ordering::Relaxed)) {
            self.set_reach(home, distance);
        }
    }

    fn set_reach(&self, home: usize, reach: usize) {
        let reach = u16::try_from(reach).unwrap_or(u16::MAX);
        self.reaches[home].store(reach, Ordering::Release);
    }
}

/// The last of the rows that holds an id, the first if none does. Looks at all before it decides:
/// where a token is among them cannot be predicted, and a wrong guess costs more than the looks.
#[inline]
fn place_of(heads: &[Head; ROWS], id: u64) -> usize {
    let mut place = 0;
    for (index, head) in heads.iter().enumerate().skip(1) {
        if head.id.load(Ordering::Acquire) == id {
            place = index;
        }
    }
    place
}

/// Rows of a bucket.
pub(super) const ROWS: usize = 4;

#[cfg(all(test, not(limiter_loom)))]
mod tests {
    use super::*;
    use limiter_core::{HashKey, Kind, Plan, Registration};

    fn terms() -> Terms {
        let user = HashKey::new([1; 16]).user(b"u");
        Terms::new(&Registration::new(user, Kind::ApiToken, Plan::ADVANCED), 40)
    }

    fn finds(table: &Table, id: u64) -> bool {
        let row = table.find(table.home(id), id);
        row.is_some_and(|row| row.head.id.load(Ordering::Relaxed) == id)
    }

    /// The same numbers every time, spread like keyed hashes.
    fn ids(count: u64) -> impl Iterator<Item = u64> {
        let key = HashKey::new([3; 16]);
        (0..count).map(move |n| key.token(&n.to_le_bytes()).as_u64())
    }

    #[test]
    fn finds_every_token_of_a_full_table_and_no_other() {
        for tokens in [1, 2, 3, 5, 63, 1_000, 30_000] {
            let table = Table::new(tokens);
            for id in ids(tokens as u64) {
                assert!(table.insert(id, terms(), 0).is_some());
            }
            assert!(ids(tokens as u64).all(|id| finds(&table, id)));
            let others = ids(3 * tokens as u64).skip(tokens);
            assert_eq!(others.filter(|&id| finds(&table, id)).count(), 0);
        }
    }

    #[test]
    fn a_look_up_in_a_full_table_is_short() {
        let table = Table::new(100_000);
        for id in ids(100_000) {
            assert!(table.insert(id, terms(), 0).is_some());
        }
        let reaches = table.reaches.iter();
        let visits = |reach: &AtomicU16| 1 + u64::from(reach.load(Ordering::Relaxed));
        let sum: u64 = reaches.map(visits).sum();
        let mean_hundredths = 100 * sum / table.reaches.len() as u64;
        println!(
            "buckets visited for an unknown token: {mean_hundredths} hundredths; at most {} rows",
            table.longest_probe()
        );
        assert!(mean_hundredths < 300);
        assert!(table.longest_probe() < 128 * ROWS);
    }

    #[test]
    fn goes_around_the_end_and_shortens_again() {
        let table = Table::new(8); // three buckets
        let last_home = |n: u64| (u64::from(u32::MAX) << 32) | n;
        for n in 1..=9 {
            assert!(table.insert(last_home(n), terms(), 0).is_some());
        }
        assert_eq!(table.longest_probe(), 12);
        assert!((1..=9).all(|n| finds(&table, last_home(n))));
        let gone = table.find(2, last_home(9)).unwrap();
        assert!(gone.vacate(|_, _| true));
        table.shorten_reach(2);
        assert_eq!(table.longest_probe(), 8);
        assert!((1..=8).all(|n| finds(&table, last_home(n))));
        assert!(!finds(&table, last_home(9)));
    }

    #[test]
    fn a_table_without_rows_finds_nothing() {
        let table = Table::new(0);
        assert!(table.find(table.home(5), 5).is_none());
        assert!(table.insert(5, terms(), 0).is_none());
        assert_eq!((table.rows(), table.longest_probe()), (0, 0));
        table.touch(0);
    }
}
