//! Staying away: for a window after a 429, for a long and growing time after a 403.

use super::policy::DAY_MS;
use limiter_core::math;
use limiter_core::time::Instant;

/// A gate that is closed for everyone until a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    until: Instant,
    /// Refusals in a row without a time.
    silent: u8,
}

impl Gate {
    pub(super) const OPEN: Self = Self {
        until: Instant::ZERO,
        silent: 0,
    };

    /// Milliseconds until it opens, 0 if it is open.
    pub(super) fn wait_ms(&self, now: Instant) -> u32 {
        narrow(self.until.saturating_since(now))
    }

    /// Closes it for `wait_ms`; without a time, for a window that doubles with every such refusal in a
    /// row, up to 64 windows.
    pub(super) fn close(&mut self, wait_ms: Option<u32>, window_ms: u32, now: Instant) {
        let wait = match wait_ms {
            Some(wait) => wait.max(1),
            None => {
                let wait = math::widen(window_ms) << self.silent.min(MOST_DOUBLINGS);
                self.silent = self.silent.saturating_add(1);
                narrow(wait.min(math::widen(DAY_MS)))
            }
        };
        self.until = self.until.max(now.saturating_add(math::widen(wait)));
    }

    /// A request got through.
    pub(super) fn passed(&mut self) {
        self.silent = 0;
    }

    /// Follows monotonic time that went backwards.
    pub(super) fn rewind(&mut self, now: Instant) {
        self.until = self.until.min(now.saturating_add(math::widen(DAY_MS)));
    }
}

/// A denial with 403, and the pause that follows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Denial {
    streak: u8,
    since: Instant,
    until: Instant,
    /// `true` until a person has acknowledged it.
    unacknowledged: bool,
    random: u32,
}

impl Denial {
    pub(super) const fn new(seed: u32) -> Self {
        Self {
            streak: 0,
            since: Instant::ZERO,
            until: Instant::ZERO,
            unacknowledged: false,
            // Xorshift stands still at 0.
            random: if seed == 0 { 1 } else { seed },
        }
    }

    /// Milliseconds until a first request may try again; `None` if access is not denied.
    pub(super) fn wait_ms(&self, now: Instant) -> Option<u32> {
        match narrow(self.until.saturating_since(now)) {
            0 => None,
            wait => Some(wait),
        }
    }

    /// Denials in a row; while there are any, requests go one at a time.
    pub(super) const fn streak(&self) -> u8 {
        self.streak
    }

    pub(super) const fn is_unacknowledged(&self) -> bool {
        self.unacknowledged
    }

    pub(super) fn acknowledge(&mut self) {
        self.unacknowledged = false;
    }

    /// A request sent at `sent` was denied. Those that were under way together count as one.
    ///
    /// The time is `first_ms`, doubled with every further denial, at least what the answer asks
    /// for, plus a random part of up to a quarter; at most a day and a quarter.
    pub(super) fn deny(
        &mut self,
        sent: Instant,
        retry_after_ms: Option<u32>,
        first_ms: u32,
        now: Instant,
    ) {
        if self.streak > 0 && sent < self.since {
            return;
        }
        let doubled = math::widen(first_ms) << self.streak.min(MOST_DENIAL_DOUBLINGS);
        let base = narrow(doubled.min(math::widen(DAY_MS))).max(retry_after_ms.unwrap_or(0));
        let jitter = math::scale(base >> 2, self.next_random());
        let wait = math::widen(base).saturating_add(math::widen(jitter));
        self.streak = self.streak.saturating_add(1);
        self.since = now;
        self.until = now.saturating_add(wait);
        self.unacknowledged = true;
    }

    /// A request sent at `sent` was not denied.
    pub(super) fn passed(&mut self, sent: Instant) {
        if self.streak > 0 && sent >= self.until {
            self.streak = 0;
        }
    }

    /// Ends the denial, after a person has removed its cause.
    pub(super) fn lift(&mut self) {
        self.streak = 0;
        self.until = Instant::ZERO;
        self.unacknowledged = false;
    }

    /// Follows monotonic time that went backwards.
    pub(super) fn rewind(&mut self, now: Instant) {
        let longest = math::widen(DAY_MS).saturating_add(math::widen(DAY_MS >> 2));
        self.until = self.until.min(now.saturating_add(longest));
        self.since = self.since.min(now);
    }

    /// Xorshift (Marsaglia 2003, 13-17-5).
    fn next_random(&mut self) -> u32 {
        let mut random = self.random;
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        self.random = random;
        random
    }
}

/// A length of time that a wait can be; longer ones are the longest.
pub(super) fn narrow(millis: u64) -> u32 {
    u32::try_from(millis).unwrap_or(u32::MAX)
}

const MOST_DOUBLINGS: u8 = 6;
/// 2^20 times any first time but the shortest is more than a day.
const MOST_DENIAL_DOUBLINGS: u8 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn doubles_the_time_with_every_denial_and_stops_at_a_day_and_a_quarter() {
        let mut denial = Denial::new(7);
        let mut now = at(0);
        let mut last = 0;
        for nth in 0..40_u32 {
            denial.deny(now, None, 300_000, now);
            let wait = denial.wait_ms(now).unwrap();
            let base = 300_000_u64.saturating_mul(1 << nth.min(20)).min(86_400_000);
            assert!(u64::from(wait) >= base, "{nth}: {wait}");
            assert!(u64::from(wait) <= base + base / 4, "{nth}: {wait}");
            assert!(wait != last, "jitter");
            last = wait;
            now = now.saturating_add(u64::from(wait));
        }
    }

    #[test]
    fn counts_denials_that_were_under_way_together_once() {
        let mut denial = Denial::new(0);
        denial.deny(at(0), None, 1_000, at(50));
        let until = denial.wait_ms(at(50));
        denial.deny(at(10), None, 1_000, at(60));
        assert_eq!((denial.streak(), denial.wait_ms(at(50))), (1, until));
    }

    #[test]
    fn stays_away_at_least_as_long_as_it_is_asked_to() {
        let mut denial = Denial::new(3);
        denial.deny(at(0), Some(600_000), 300_000, at(0));
        assert!(denial.wait_ms(at(0)).unwrap() >= 600_000);
    }

    #[test]
    fn opens_the_gate_exactly_when_it_was_told() {
        let mut gate = Gate::OPEN;
        gate.close(Some(2_000), 2_000, at(100));
        assert_eq!((gate.wait_ms(at(2_099)), gate.wait_ms(at(2_100))), (1, 0));
        gate.close(None, 2_000, at(10_000));
        gate.close(None, 2_000, at(20_000));
        assert_eq!(gate.wait_ms(at(20_000)), 4_000);
        gate.passed();
        gate.close(None, 2_000, at(30_000));
        assert_eq!(gate.wait_ms(at(30_000)), 2_000);
    }
}
