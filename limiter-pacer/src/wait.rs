//! The wait of a request for the window: for room, for the gate, and for requests of higher rank.

use super::denial::narrow;
use super::policy::Counting;
use super::{Pacer, SendRequest};
use limiter_core::math;
use limiter_core::time::Instant;

impl<const FLIGHTS: usize> Pacer<FLIGHTS> {
    /// Milliseconds until the window may have room for a request, 0 if it has.
    pub(super) fn window_wait_ms(&self, request: &SendRequest, now: Instant) -> u32 {
        let gate_ms = self.gate.wait_ms(now);
        if gate_ms > 0 {
            return gate_ms;
        }
        if self.denial.streak() > 0 && self.flights.in_flight() > 0 {
            return self.hint_ms();
        }
        let limit = self.limit_or_one();
        let left_to_others = self.left_to_others(limit);
        let held = self.flights.held();
        let wanted = held.saturating_add(request.cost.get());
        // A request that is larger than what others leave goes when nothing else is held.
        let alone = held == 0 && left_to_others <= self.policy.others;
        let wanted_of_all = wanted.saturating_add(left_to_others);
        if alone || wanted_of_all < limit {
            return 0;
        }
        if wanted_of_all == limit {
            return self.last_permit_wait_ms(limit, now);
        }
        let terms = self.terms();
        let mut next = self.flights.next_return(&terms);
        if wanted <= limit {
            next = earlier(next, self.others.next_change());
        }
        let by_time = next.map(|next| narrow(next.saturating_since(now)));
        match by_time {
            Some(wait_ms) if self.flights.in_flight() == 0 => wait_ms.max(1),
            Some(wait_ms) => wait_ms.min(self.hint_ms()).max(1),
            None => self.hint_ms(),
        }
    }

    /// The last permit of a window is worth more at its end: if it lands in the next window, that
    /// window is known to be open a round trip sooner. So it is kept until it might, where a round
    /// trip costs more of a window than one permit is worth.
    fn last_permit_wait_ms(&self, limit: u32, now: Instant) -> u32 {
        if self.policy.counting != Counting::FromFirst || self.policy.transit_spread_ms.is_some() {
            return 0;
        }
        let Some(next) = self.opener.next(limit, &self.terms()) else {
            return 0;
        };
        match narrow(next.saturating_since(now)) {
            // A newer window's opener may be among those under way.
            0 if self.flights.in_flight() > 0 => self.hint_ms(),
            wait_ms => wait_ms,
        }
    }

    /// The time to wait for responses before asking again, where no time is known.
    pub(super) fn hint_ms(&self) -> u32 {
        (self.window_ms() >> 4).clamp(1, LONGEST_HINT_MS)
    }

    /// Writes go before reads of the same priority once few are left of the day.
    pub(super) fn rank(&self, request: &SendRequest, write: bool) -> usize {
        let pressed = write
            && self
                .day
                .left()
                .is_some_and(|left| left <= self.policy.writes_first_below);
        request.priority.rank(pressed)
    }

    pub(super) fn note_waiting(&mut self, rank: usize, wait_ms: u32, now: Instant) {
        if let Some(waiting) = self.waiting.get_mut(rank) {
            let back = math::widen(wait_ms).saturating_add(GRACE_MS);
            *waiting = (*waiting).max(now.saturating_add(back));
        }
    }

    /// Milliseconds for which a waiting request of a higher rank goes first.
    pub(super) fn wait_for_higher(&self, rank: usize, now: Instant) -> Option<u32> {
        let higher = self.waiting.iter().skip(rank.saturating_add(1)).max()?;
        match narrow(higher.saturating_since(now)) {
            0 => None,
            wait_ms => Some(wait_ms),
        }
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// The time for which a waiting request keeps its precedence after its wait has ended.
const GRACE_MS: u64 = 10;
/// An answer comes, if at all, within the time of a round trip.
const LONGEST_HINT_MS: u32 = 1_000;
