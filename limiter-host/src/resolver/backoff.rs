//! Waits that grow with each failure: for a credential, for a caller, for the store as a whole.

use limiter_core::Instant;

/// The number of failures in a row that are free, and the waits after those.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    pub(super) free: u32,
    pub(super) first_ms: u64,
    pub(super) most_ms: u64,
}

/// Failures in a row, and the time in which nothing is tried.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    /// `true` while the outcome of the try that began the wait is unknown.
    tried: bool,
    since_ms: u64,
    until_ms: u64,
}

impl Backoff {
    /// Returns true in the time in which nothing is tried. Time before it began is not in it, so that
    /// a clock that went back makes nothing last longer.
    pub(super) const fn holds(&self, now: Instant) -> bool {
        self.since_ms <= now.as_millis() && now.as_millis() < self.until_ms
    }

    /// Returns true if more failures than are free have come in a row.
    pub(super) const fn is_failing(&self, waits: &Waits) -> bool {
        self.failures > waits.free
    }

    /// Allows a try, or not; of a failing store one is allowed for each wait.
    pub(super) const fn allows(&mut self, now: Instant, waits: &Waits) -> bool {
        if self.holds(now) {
            return false;
        }
        if self.is_failing(waits) {
            self.wait(now, waits);
            self.tried = true;
        }
        true
    }

    /// Notes a failure. One of a try that began before the wait does not make it longer: many that
    /// fail together are one failure.
    pub(super) const fn fail(&mut self, now: Instant, waits: &Waits) {
        if self.holds(now) && !self.tried {
            return;
        }
        self.tried = false;
        self.failures = self.failures.saturating_add(1);
        if self.is_failing(waits) {
            self.wait(now, waits);
        }
    }

    /// Begins a wait, twice as long for each failure that is not free.
    const fn wait(&mut self, now: Instant, waits: &Waits) {
        let doublings = self.failures.saturating_sub(waits.free).saturating_sub(1);
        let length_ms = match waits.first_ms.checked_shl(doublings) {
            // What was shifted out is not there when shifted back.
            Some(ms) if ms >> doublings == waits.first_ms && ms < waits.most_ms => ms,
            _ => waits.most_ms,
        };
        self.since_ms = now.as_millis();
        self.until_ms = self.since_ms.saturating_add(length_ms);
    }
}

/// A set of back-offs of a fixed size, by keyed hashes; a full place forgets the one that ends first.
pub(super) struct Backoffs {
    sets: Box<[[(u64, Backoff); WAYS]]>,
}

impl Backoffs {
    /// Room for about that many.
    pub(super) fn new(entries: usize) -> Self {
        let sets = vec![<[(u64, Backoff); WAYS]>::default(); entries.div_ceil(WAYS)];
        Self {
            sets: sets.into_boxed_slice(),
        }
    }

    /// The back-off of a hash, if there is one.
    pub(super) fn find(&mut self, hash: u64) -> Option<&mut Backoff> {
        let place = self.place(hash);
        let set = self.sets.get_mut(place)?;
        let found = set.iter_mut().find(|(held, _)| *held == hash && hash != 0);
        found.map(|(_, backoff)| backoff)
    }

    /// Notes a failure, in the place of the one that ends first if need be.
    pub(super) fn fail(&mut self, hash: u64, now: Instant, waits: &Waits) {
        if let Some(backoff) = self.find(hash) {
            return backoff.fail(now, waits);
        }
        let place = self.place(hash);
        let Some(set) = self.sets.get_mut(place) else {
            return;
        };
        if let Some(entry) = set.iter_mut().min_by_key(|(_, backoff)| backoff.until_ms) {
            let mut backoff = Backoff::default();
            backoff.fail(now, waits);
            *entry = (hash, backoff);
        }
    }

    /// Forgets a hash.
    pub(super) fn remove(&mut self, hash: u64) {
        if let Some(backoff) = self.find(hash) {
            *backoff = Backoff::default();
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        for set in &mut self.sets {
            *set = <[(u64, Backoff); WAYS]>::default();
        }
    }

    /// Beyond the end where there is no set.
    fn place(&self, hash: u64) -> usize {
        let sets = u64::try_from(self.sets.len()).unwrap_or(u64::MAX);
        let place = hash.checked_rem(sets).unwrap_or(0);
        usize::try_from(place).unwrap_or(usize::MAX)
    }
}

const WAYS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: Waits = Waits {
        free: 2,
        first_ms: 100,
        most_ms: 1_000,
    };

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn waits_after_the_free_failures_and_longer_each_time() {
        let mut backoff = Backoff::default();
        for _ in 0..2 {
            assert!(backoff.allows(at(0), &WAITS));
            backoff.fail(at(0), &WAITS);
        }
        let mut now = 0;
        for wait in [100, 200, 400, 800, 1_000, 1_000] {
            assert!(backoff.allows(at(now), &WAITS), "at {now}");
            backoff.fail(at(now), &WAITS);
            assert!(!backoff.allows(at(now + wait - 1), &WAITS), "{wait}");
            now += wait;
        }
    }

    #[test]
    fn allows_one_try_for_each_wait_however_late_its_outcome_comes() {
        let mut backoff = Backoff::default();
        for _ in 0..3 {
            backoff.fail(at(0), &WAITS);
        }
        assert!(backoff.allows(at(100), &WAITS));
        for millis in 100..200 {
            assert!(!backoff.allows(at(millis), &WAITS));
        }
        assert!(backoff.allows(at(200), &WAITS), "the try was given up");
    }

    #[test]
    fn many_that_fail_together_are_one_failure() {
        let mut backoff = Backoff::default();
        for _ in 0..1_000 {
            backoff.fail(at(0), &WAITS);
        }
        assert!(!backoff.holds(at(100)));
    }

    #[test]
    fn a_clock_that_goes_back_makes_no_wait_longer() {
        let mut backoffs = Backoffs::new(4);
        let waits = Waits { free: 0, ..WAITS };
        backoffs.fail(7, at(5_000), &waits);
        assert!(backoffs.find(7).unwrap().holds(at(5_000)));
        assert!(!backoffs.find(7).unwrap().holds(at(4_999)));
        backoffs.remove(7);
        assert!(!backoffs.find(7).unwrap().holds(at(5_000)));
    }

    #[test]
    fn a_full_place_forgets_the_one_that_ends_first() {
        let mut backoffs = Backoffs::new(4);
        let waits = Waits { free: 0, ..WAITS };
        for hash in 1..=5 {
            backoffs.fail(hash, at(hash), &waits);
        }
        let held: Vec<u64> = (1..=5)
            .filter(|&hash| backoffs.find(hash).is_some())
            .collect();
        assert_eq!(held, [2, 3, 4, 5]);
        backoffs.clear();
        assert!((1..=5).all(|hash| backoffs.find(hash).is_none()));
        let mut none = Backoffs::new(0);
        none.fail(1, at(0), &waits);
        assert!(none.find(1).is_none());
    }
}
