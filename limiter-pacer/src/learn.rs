//! The effect of a response on a pacer: the limits that it learns, and the refusals that it obeys.

use super::day::Landed;
use super::flights::{Flight, Landing};
use super::{Counting, Pacer, ResponseInfo};
use limiter_core::time::{Instant, Now};

impl<const FLIGHTS: usize> Pacer<FLIGHTS> {
    /// The effect of a response on its request's permits.
    pub(super) fn landing(&self, answer: &ResponseInfo) -> Landing {
        let from_first = self.policy.counting == Counting::FromFirst;
        // A request that was refused is not counted, at least where the counting is known.
        let charged = match answer.status {
            429 => !from_first,
            403 | 503 => answer.has_quota() || !from_first,
            _ => true,
        };
        let window_ms = self.window_ms();
        let hold_ms = match answer.reset_ms {
            // A longer reset than SPEC W3 allows is not the reset of this window.
            Some(reset_ms) if from_first && reset_ms > 0 => {
                reset_ms.min(window_ms.saturating_mul(2))
            }
            _ => window_ms,
        };
        // Nothing left may also be less than nothing, after a limit was lowered.
        let used = match (answer.limit.or(self.known_limit()), answer.remaining) {
            (Some(limit), Some(remaining)) if remaining > 0 && remaining < limit => {
                Some(limit.saturating_sub(remaining))
            }
            _ => None,
        };
        Landing {
            hold_ms,
            used,
            charged,
            restarts: from_first,
        }
    }

    /// Adopts the limit of a response to a request at least as late as the last one adopted.
    pub(super) fn learn_limit(&mut self, answer: &ResponseInfo, sent: Instant) {
        if let Some(limit) = answer.limit
            && sent >= self.limit_sent
        {
            self.limit = Some(limit);
            self.limit_sent = sent;
        }
    }

    /// Learns the length of the window where it is not reported: the longest reset is nearest to it.
    pub(super) fn learn_window(&mut self, answer: &ResponseInfo) {
        if self.policy.window_ms.is_some() {
            return;
        }
        let Some(seen) = answer.window_ms.or(answer.reset_ms).filter(|&ms| ms > 0) else {
            return;
        };
        let before = self.window_ms();
        if self.learned_window_ms.is_none_or(|known| seen > known) {
            self.learned_window_ms = Some(seen);
            self.flights.lengthen(seen.saturating_sub(before));
        }
    }

    /// Applies a refusal to all requests of the pacer.
    pub(super) fn heed(&mut self, flight: Option<&Flight>, answer: &ResponseInfo, now: Instant) {
        let window_ms = self.window_ms();
        match answer.status {
            403 if !answer.has_quota() => {
                let sent = flight.map_or(now, |flight| flight.sent);
                let first_ms = self.policy.denied_ms;
                self.denial.deny(sent, answer.retry_after_ms, first_ms, now);
                return;
            }
            429 if refused_by_day(flight, answer, window_ms) => {
                if answer.daily_left.is_none() || answer.remaining == Some(0) {
                    self.gate.close(told_wait(answer.reset_ms), window_ms, now);
                }
                return;
            }
            429 => {
                if !never_fits(flight, answer) {
                    self.close_gate(flight, answer, now);
                }
                return;
            }
            503 => {
                if let Some(wait_ms) = told_wait(answer.retry_after_ms) {
                    self.gate.close(Some(wait_ms), window_ms, now);
                }
                return;
            }
            _ => self.gate.passed(),
        }
        if let Some(flight) = flight {
            self.denial.passed(flight.sent);
        }
    }

    /// A 429 by the window, or by a limit that no header reports. `retry-after` takes precedence over
    /// the reset, as the draft demands; a reset counts only if the window has no room for the request.
    fn close_gate(&mut self, flight: Option<&Flight>, answer: &ResponseInfo, now: Instant) {
        let cost = flight.map_or(1, |flight| flight.cost);
        let full = answer.remaining.is_none_or(|left| left < cost);
        let reset = told_wait(answer.reset_ms).filter(|_| full);
        let wait_ms = told_wait(answer.retry_after_ms).or(reset);
        let window_ms = self.window_ms();
        self.gate.close(wait_ms, window_ms, now);
        if let Some(limit) = self.known_limit() {
            self.others.refused(limit, now, window_ms);
        }
    }

    pub(super) fn land_write(&mut self, flight: &Flight, answer: &ResponseInfo, now: Now) {
        let refused = matches!(answer.status, 403 | 429 | 503);
        let landed = Landed {
            cost: flight.cost,
            sent: flight.sent,
            charged: !refused,
            judged: answer.has_quota() || answer.status < 400,
        };
        let window_ms = self.window_ms();
        let by_day = answer.status == 429 && refused_by_day(Some(flight), answer, window_ms);
        if by_day {
            let wait = answer.retry_after_ms;
            self.day
                .refuse(landed, answer.daily_left, wait, &self.policy, now);
        } else {
            self.day.land(landed, answer.daily_left, &self.policy, now);
        }
    }
}

/// Returns `true` if a 429 comes from the daily quota: a write with fewer left than it costs, or no
/// report of the day but a wait that no window explains.
fn refused_by_day(flight: Option<&Flight>, answer: &ResponseInfo, window_ms: u32) -> bool {
    let Some(flight) = flight.filter(|flight| flight.write) else {
        return false;
    };
    match answer.daily_left {
        Some(left) => left < flight.cost,
        None => answer
            .retry_after_ms
            .is_some_and(|wait| wait > window_ms.saturating_mul(2)),
    }
}

/// Returns `true` if a 429 answers a request that costs more than a whole window: waiting is useless.
fn never_fits(flight: Option<&Flight>, answer: &ResponseInfo) -> bool {
    let (Some(flight), Some(limit)) = (flight, answer.limit) else {
        return false;
    };
    flight.cost > limit && answer.retry_after_ms.is_none()
}

/// A reported wait; 0 counts as none, since services that round down report that too.
fn told_wait(wait_ms: Option<u32>) -> Option<u32> {
    wait_ms.filter(|&wait_ms| wait_ms > 0)
}
