//! A set of ids that are forgotten after a time, of a fixed size.
//!
//! Ids are keyed hashes, so their low bits choose the place: nobody can aim at another's.

use limiter_core::{Instant, TokenId};

/// The set. Each id may be in [`WAYS`] places; the fullest place forgets what would be forgotten
/// soonest.
pub(super) struct Expiring {
    sets: Box<[[Entry; WAYS]]>,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    /// 0 where there is none.
    id: u64,
    since_ms: u64,
    until_ms: u64,
}

impl Expiring {
    /// Room for about so many ids.
    pub(super) fn new(ids: usize) -> Self {
        let sets = vec![<[Entry; WAYS]>::default(); ids.div_ceil(WAYS)];
        Self {
            sets: sets.into_boxed_slice(),
        }
    }

    /// Remembers an id for a time, in the place of what was known of it.
    pub(super) fn insert(&mut self, token: TokenId, now: Instant, length_ms: u64) {
        self.remove(token);
        let now_ms = now.as_millis();
        let Some(set) = self.set_mut(token) else {
            return;
        };
        let soonest = set
            .iter_mut()
            .min_by_key(|entry| match entry.holds(now_ms) {
                true => entry.until_ms,
                false => 0,
            });
        if let Some(entry) = soonest
            && length_ms > 0
        {
            *entry = Entry {
                id: token.as_u64(),
                since_ms: now_ms,
                until_ms: now_ms.saturating_add(length_ms),
            };
        }
    }

    pub(super) fn remove(&mut self, token: TokenId) {
        if let Some(set) = self.set_mut(token) {
            for entry in set.iter_mut().filter(|entry| entry.id == token.as_u64()) {
                *entry = Entry::default();
            }
        }
    }

    /// Whether the id is remembered. Time before it was inserted remembers nothing, so that a clock
    /// that went back makes nothing last longer.
    pub(super) fn holds(&self, token: TokenId, now: Instant) -> bool {
        let now_ms = now.as_millis();
        let same = |entry: &&Entry| entry.id == token.as_u64();
        self.sets
            .get(self.place(token))
            .and_then(|set| set.iter().find(same))
            .is_some_and(|entry| entry.holds(now_ms))
    }

    fn set_mut(&mut self, token: TokenId) -> Option<&mut [Entry; WAYS]> {
        let place = self.place(token);
        self.sets.get_mut(place)
    }

    /// Beyond the end where there is no set.
    fn place(&self, token: TokenId) -> usize {
        let sets = u64::try_from(self.sets.len()).unwrap_or(u64::MAX);
        let place = token.as_u64().checked_rem(sets).unwrap_or(0);
        usize::try_from(place).unwrap_or(usize::MAX)
    }
}

impl Entry {
    const fn holds(&self, now_ms: u64) -> bool {
        self.id != 0 && self.since_ms <= now_ms && now_ms < self.until_ms
    }
}

const WAYS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU64;

    fn id(number: u64) -> TokenId {
        TokenId::from_hash(NonZeroU64::new(number).unwrap())
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn forgets_at_the_end_of_the_time_and_when_time_goes_back() {
        let mut set = Expiring::new(8);
        set.insert(id(1), at(100), 50);
        for (millis, held) in [(99, false), (100, true), (149, true), (150, false)] {
            assert_eq!(set.holds(id(1), at(millis)), held, "{millis}");
        }
        set.insert(id(1), at(149), 50);
        assert!(set.holds(id(1), at(198)));
        set.remove(id(1));
        assert!(!set.holds(id(1), at(149)));
        set.insert(id(1), at(149), 0);
        assert!(!set.holds(id(1), at(149)));
    }

    #[test]
    fn a_full_place_forgets_what_would_go_soonest() {
        let mut set = Expiring::new(4);
        for (number, length) in [(1, 40), (2, 10), (3, 30), (4, 20), (5, 25)] {
            set.insert(id(number), at(0), length);
        }
        let held: Vec<u64> = (1..=5).filter(|&n| set.holds(id(n), at(0))).collect();
        assert_eq!(held, [1, 3, 4, 5]);
        // An entry that is over goes before any that is not.
        set.insert(id(6), at(20), 1);
        assert!(set.holds(id(5), at(20)) && set.holds(id(6), at(20)));
    }

    #[test]
    fn without_room_remembers_nothing() {
        let mut set = Expiring::new(0);
        set.insert(id(1), at(0), 50);
        assert!(!set.holds(id(1), at(0)));
    }
}
