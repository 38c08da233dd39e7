//! An estimate of the permits that others spend of the same token's window: people in the user
//! interface, other programs.
//!
//! The policy reserves a share for them. When responses prove that they take more, that number is
//! reserved in this window and the next; an unexpected refusal reserves more for a while.

use super::policy::DAY_MS;
use limiter_core::math;
use limiter_core::time::Instant;

/// An estimate of the permits that others take of a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Others {
    /// Proven in the window that lasts until `until`.
    current: u32,
    until: Instant,
    /// Proven in the window before.
    previous: u32,
    /// Left to them since a refusal that came unexpected.
    caution: u32,
    /// The moment at which the caution is next lowered.
    relaxes: Instant,
}

impl Others {
    pub(super) const NONE: Self = Self {
        current: 0,
        until: Instant::ZERO,
        previous: 0,
        caution: 0,
        relaxes: Instant::ZERO,
    };

    /// Permits of `limit` to reserve for them: the proven number, and caution up to half.
    pub(super) fn permits(&self, limit: u32) -> u32 {
        self.proven().max(self.caution.min(limit >> 1))
    }

    /// The moment at which the reserve may shrink, `None` if there is none.
    pub(super) fn next_change(&self) -> Option<Instant> {
        let proven = (self.proven() > 0).then_some(self.until);
        let cautious = (self.caution > 0).then_some(self.relaxes);
        match (proven, cautious) {
            (Some(proven), Some(cautious)) => Some(proven.min(cautious)),
            (proven, cautious) => proven.or(cautious),
        }
    }

    /// Forgets a window that is over, and grows a quarter less cautious every eight windows.
    pub(super) fn settle(&mut self, now: Instant, window_ms: u32) {
        if now >= self.until && self.proven() > 0 {
            self.previous = self.current;
            self.current = 0;
            self.until = now.saturating_add(math::widen(window_ms));
        }
        if now >= self.relaxes && self.caution > 0 {
            self.caution = self.caution.saturating_sub((self.caution >> 2).max(1));
            self.relaxes = relaxes(now, window_ms);
        }
    }

    /// An answer proves that they have `permits` of the window that ends at `until` at the latest.
    pub(super) fn see(&mut self, permits: u32, until: Instant) {
        if permits > 0 {
            self.current = self.current.max(permits);
            self.until = self.until.max(until);
        }
    }

    /// A request was refused that should have fitted a limit of `limit`: a sixteenth more is left
    /// to them, up to half.
    pub(super) fn refused(&mut self, limit: u32, now: Instant, window_ms: u32) {
        let more = (limit >> 4).max(1);
        self.caution = self.caution.saturating_add(more).min(limit >> 1);
        self.relaxes = relaxes(now, window_ms);
    }

    /// Follows monotonic time that went backwards.
    pub(super) fn rewind(&mut self, now: Instant) {
        let latest = now.saturating_add(math::widen(DAY_MS));
        self.until = self.until.min(latest);
        self.relaxes = self.relaxes.min(latest);
    }

    fn proven(&self) -> u32 {
        self.current.max(self.previous)
    }
}

/// Eight windows from now, but not more than a quarter of an hour.
fn relaxes(now: Instant, window_ms: u32) -> Instant {
    now.saturating_add((math::widen(window_ms) << 3).min(LONGEST_CAUTION_MS))
}

const LONGEST_CAUTION_MS: u64 = 900_000;

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn remembers_what_others_took_for_one_window_more() {
        let mut others = Others::NONE;
        others.see(7, at(2_000));
        others.settle(at(1_999), 2_000);
        assert_eq!(
            (others.permits(40), others.next_change()),
            (7, Some(at(2_000)))
        );
        others.settle(at(2_000), 2_000);
        assert_eq!(others.permits(40), 7);
        others.settle(at(4_000), 2_000);
        assert_eq!((others.permits(40), others.next_change()), (0, None));
    }

    #[test]
    fn grows_cautious_with_refusals_and_forgets_in_time() {
        let mut others = Others::NONE;
        for _ in 0..100 {
            others.refused(40, at(0), 2_000);
        }
        assert_eq!(others.permits(40), 20, "half at most");
        assert_eq!(others.permits(6), 3, "of a limit that was lowered, too");
        let mut now = 0;
        while others.permits(40) > 0 {
            now += 16_000;
            others.settle(at(now), 2_000);
        }
        assert!(now <= 14 * 16_000, "{now}");
    }
}
