//! The request that opened the service's window, and a forecast for the one that opens the next.

use super::flights::Terms;
use limiter_core::math;
use limiter_core::time::Instant;

/// The newest request that is known to have opened a window: its answer counted it alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opener {
    sent: Instant,
    /// From its sending to its answer; 0 if there is none.
    round_trip_ms: u32,
}

impl Opener {
    pub(super) const UNKNOWN: Self = Self {
        sent: Instant::ZERO,
        round_trip_ms: 0,
    };

    /// A request sent at `sent` and answered at `now` opened a window.
    pub(super) fn learn(&mut self, sent: Instant, now: Instant) {
        if sent >= self.sent {
            self.sent = sent;
            self.round_trip_ms = super::denial::narrow(now.saturating_since(sent));
        }
    }

    /// The moment from which a request probably arrives after that window, if its transit takes as
    /// long as the opener's or at most a quarter less.
    ///
    /// `None` where keeping a permit for it does not pay: three quarters of `limit` round trips are no
    /// longer than a window, or a round trip takes too large a part of a window.
    pub(super) fn next(&self, limit: u32, terms: &Terms) -> Option<Instant> {
        let round_trip = math::widen(self.round_trip_ms);
        let window = math::widen(terms.window_ms);
        let pays = round_trip
            .saturating_mul(math::widen(limit))
            .saturating_mul(3)
            > window << 2;
        let follows = round_trip.saturating_mul(3) < window << 1;
        if !(pays && follows) {
            return None;
        }
        let slack = math::widen(terms.margin_ms)
            .saturating_add(1)
            .saturating_add(round_trip >> 3);
        Some(self.sent.saturating_add(window).saturating_add(slack))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        window_ms: 2_000,
        spread_ms: None,
        margin_ms: 2,
        lost_after_ms: 30_000,
    };

    fn next(round_trip_ms: u64, limit: u32) -> Option<u64> {
        let mut opener = Opener::UNKNOWN;
        opener.learn(
            Instant::from_millis(10_000),
            Instant::from_millis(10_000 + round_trip_ms),
        );
        opener.next(limit, &TERMS).map(Instant::as_millis)
    }

    #[test]
    fn keeps_a_permit_only_where_it_is_worth_less_than_a_round_trip() {
        assert_eq!(next(133, 20), None, "less");
        assert_eq!(next(134, 20), Some(12_000 + 3 + 16));
        assert_eq!(next(1_333, 20), Some(12_000 + 3 + 166));
        assert_eq!(next(1_334, 20), None, "the rest would come too late");
        assert_eq!(Opener::UNKNOWN.next(20, &TERMS), None);
    }

    #[test]
    fn knows_the_newest_opener_whatever_order_the_answers_have() {
        let mut opener = Opener::UNKNOWN;
        opener.learn(Instant::from_millis(5_000), Instant::from_millis(5_500));
        opener.learn(Instant::from_millis(3_000), Instant::from_millis(5_600));
        let expected = 5_000 + 2_000 + 3 + 62;
        assert_eq!(
            opener.next(20, &TERMS),
            Some(Instant::from_millis(expected))
        );
    }
}
