//! The requests that may still share a window with the next one.
//!
//! The pacer's promise rests on one sum. A request *holds* its permits from its sending until it
//! is certain that nothing sent from then on can be counted in the same window:
//!
//! - **R1** a window after its answer: it had arrived by then, so its window is over.
//! - **R2** a window and the spread of the transit after its sending, where the policy bounds
//!   that spread: a later request cannot catch up with it.
//! - **R3** its answer's reset after its answer, where windows open with a request.
//! - **R4** at an answer that proves a newer window: within a window the count only grows, so a
//!   request that was answered before the other was sent, and yet was not counted before it, is of
//!   an older window.
//! - **R5** a window after the time at which a request without a response is lost.
//!
//! As long as the permits held never pass the limit, no window counts more than the limit: when
//! the last of its requests was sent, all the others held theirs.
//!
//! The slots are few and fixed. A request takes one until it is answered; after that the slots of
//! answered requests are merged when a new one needs room, which only makes the sum too careful.

use super::Ticket;
use limiter_core::math;
use limiter_core::time::Instant;

/// One request, or several answered ones merged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    /// The ticket's number; 0 in a free slot.
    id: u32,
    pub cost: u32,
    /// The moment of its sending, at the earliest.
    pub sent: Instant,
    /// The moment of its response; for a merged slot, of the last one.
    answered: Option<Instant>,
    /// The latest moment at which its permits return.
    until: Instant,
    /// The window's count that its response reported; 0 if none.
    used: u32,
    /// [`Flights::returned`] at its sending.
    returned: u32,
    /// `true` while its permits are held.
    holds: bool,
    pub write: bool,
}

impl Flight {
    const FREE: Self = Self {
        id: 0,
        cost: 0,
        sent: Instant::ZERO,
        answered: None,
        until: Instant::ZERO,
        used: 0,
        returned: 0,
        holds: false,
        write: false,
    };

    const fn is_free(&self) -> bool {
        self.id == 0
    }

    const fn is_flying(&self) -> bool {
        self.id != 0 && self.answered.is_none()
    }
}

/// The lengths of time that give permits back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub window_ms: u32,
    /// R2's spread, if there is a bound.
    pub spread_ms: Option<u32>,
    pub margin_ms: u32,
    pub lost_after_ms: u32,
}

impl Terms {
    /// R2 or R5: the moment at which an unanswered request's permits return.
    fn unanswered(&self, sent: Instant) -> Instant {
        let span = self.spread_ms.unwrap_or(self.lost_after_ms);
        self.after(sent.saturating_add(math::widen(span)), self.window_ms)
    }

    /// `length_ms` and the margin after `start`, and 1 ms more, since both ends are whole
    /// milliseconds.
    fn after(&self, start: Instant, length_ms: u32) -> Instant {
        start.saturating_add(
            math::widen(length_ms)
                .saturating_add(math::widen(self.margin_ms))
                .saturating_add(1),
        )
    }

    /// The longest that permits are ever held.
    fn longest(&self) -> u64 {
        math::widen(self.lost_after_ms)
            .max(math::widen(self.spread_ms.unwrap_or(0)))
            .saturating_add(math::widen(self.window_ms).saturating_mul(2))
            .saturating_add(math::widen(self.margin_ms))
            .saturating_add(1)
    }
}

/// The part of a response that concerns its request's own window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Landing {
    /// The time for which permits are held from now on: R1 or R3.
    pub hold_ms: u32,
    /// The window's count after this request, where it is reported exactly.
    pub used: Option<u32>,
    /// `true` if the request was counted.
    pub charged: bool,
    /// `true` if the count starts anew with each window, as R4 needs.
    pub restarts: bool,
}

/// The requests that hold permits or await their answers, in `N` slots.
#[derive(Clone, Debug)]
pub(super) struct Flights<const N: usize> {
    slots: [Flight; N],
    /// No slot from here on is taken: few requests make short loops, however many slots there are.
    end: usize,
    last_id: u32,
    held: u32,
    in_flight: u32,
    /// Permits that came back by time alone (R1, R2, R3, R5), modulo 2^32.
    returned: u32,
}

impl<const N: usize> Flights<N> {
    pub(super) const fn new() -> Self {
        Self {
            slots: [Flight::FREE; N],
            end: 0,
            last_id: 0,
            held: 0,
            in_flight: 0,
            returned: 0,
        }
    }

    /// Permits held.
    pub(super) const fn held(&self) -> u32 {
        self.held
    }

    /// Requests without an answer.
    pub(super) const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Gives back what time gives back, and forgets what is lost; calls `lost` for each request
    /// that is. *O*(N).
    pub(super) fn settle(&mut self, now: Instant, terms: &Terms, mut lost: impl FnMut(&Flight)) {
        let mut end = 0;
        for (index, slot) in self.slots.iter_mut().enumerate().take(self.end) {
            if slot.is_free() {
                continue;
            }
            if slot.holds && now >= slot.until {
                slot.holds = false;
                self.held = self.held.saturating_sub(slot.cost);
                self.returned = self.returned.wrapping_add(slot.cost);
            }
            let gone = slot.sent.saturating_add(math::widen(terms.lost_after_ms));
            if slot.is_flying() && now >= gone && !slot.holds {
                lost(slot);
                self.in_flight = self.in_flight.saturating_sub(1);
                *slot = Flight::FREE;
            } else if slot.answered.is_some() && !slot.holds {
                *slot = Flight::FREE;
            } else {
                end = index.saturating_add(1);
            }
        }
        self.end = end;
    }

    /// Follows monotonic time that went backwards: nothing was sent or answered in the future, and
    /// nothing is held longer than it could have been. *O*(N).
    pub(super) fn rewind(&mut self, now: Instant, terms: &Terms) {
        let latest = now.saturating_add(terms.longest());
        for slot in self.slots.iter_mut().take(self.end) {
            slot.sent = slot.sent.min(now);
            slot.answered = slot.answered.map(|answered| answered.min(now));
            slot.until = slot.until.min(latest);
        }
    }

    /// Takes a slot for a request that is about to be sent. `None` if all `N` await their answers.
    /// *O*(N).
    pub(super) fn depart(
        &mut self,
        cost: u32,
        write: bool,
        now: Instant,
        terms: &Terms,
    ) -> Option<Ticket> {
        let index = self.free_slot()?;
        self.end = self.end.max(index.saturating_add(1));
        self.last_id = self.last_id.wrapping_add(1).max(1);
        let slot = self.slots.get_mut(index)?;
        *slot = Flight {
            id: self.last_id,
            cost,
            sent: now,
            answered: None,
            until: terms.unanswered(now),
            used: 0,
            returned: self.returned,
            holds: true,
            write,
        };
        self.held = self.held.saturating_add(cost);
        self.in_flight = self.in_flight.saturating_add(1);
        Some(Ticket::new(index, self.last_id))
    }

    /// Notes that a request goes out only now.
    pub(super) fn delay(&mut self, ticket: &Ticket, now: Instant, terms: &Terms) {
        if let Some(slot) = self.find(ticket) {
            slot.sent = slot.sent.max(now);
            if slot.holds {
                slot.until = terms.unanswered(slot.sent);
            }
        }
    }

    /// Forgets a request that was never sent, and returns it.
    pub(super) fn cancel(&mut self, ticket: &Ticket) -> Option<Flight> {
        let slot = self.find(ticket)?;
        let flight = *slot;
        *slot = Flight::FREE;
        self.in_flight = self.in_flight.saturating_sub(1);
        if flight.holds {
            self.held = self.held.saturating_sub(flight.cost);
        }
        Some(flight)
    }

    /// Lands a request that was answered. Returns it, with the number of the reported permits that
    /// cannot be this pacer's; `None` for a request that counts as lost.
    /// *O*(N).
    pub(super) fn land(
        &mut self,
        ticket: &Ticket,
        landing: Landing,
        now: Instant,
        terms: &Terms,
    ) -> Option<(Flight, u32)> {
        let slot = self.find(ticket)?;
        let flight = *slot;
        let keeps = landing.charged && flight.holds;
        if keeps {
            slot.answered = Some(now);
            slot.until = slot.until.min(terms.after(now, landing.hold_ms));
            slot.used = landing.used.unwrap_or(0);
        } else {
            *slot = Flight::FREE;
        }
        self.in_flight = self.in_flight.saturating_sub(1);
        if flight.holds && !keeps {
            self.held = self.held.saturating_sub(flight.cost);
        }
        let Some(used) = landing.used else {
            return Some((flight, 0));
        };
        let counted = if landing.charged { flight.cost } else { 0 };
        if landing.restarts {
            self.release_older(flight.sent, used, counted);
        }
        // All of this pacer's that the count can hold: what is still held, and what time gave
        // back while the request was under way.
        let ours = self
            .held
            .saturating_add(self.returned.wrapping_sub(flight.returned));
        Some((flight, used.saturating_sub(ours)))
    }

    /// Lengthens what answered requests hold, when a window proves longer than was thought.
    pub(super) fn lengthen(&mut self, by_ms: u32) {
        for slot in self.slots.iter_mut().take(self.end) {
            slot.until = slot.until.saturating_add(math::widen(by_ms));
        }
    }

    /// The first moment at which time gives permits back, `None` if only answers can.
    pub(super) fn next_return(&self, terms: &Terms) -> Option<Instant> {
        self.slots
            .iter()
            .take(self.end)
            .filter(|slot| slot.holds && (!slot.is_flying() || terms.spread_ms.is_some()))
            .map(|slot| slot.until)
            .min()
    }

    /// R4.
    fn release_older(&mut self, sent: Instant, used: u32, counted: u32) {
        for slot in self.slots.iter_mut().take(self.end) {
            let before = slot.answered.is_some_and(|answered| answered < sent);
            if before && slot.holds && slot.used.saturating_add(counted) > used {
                self.held = self.held.saturating_sub(slot.cost);
                *slot = Flight::FREE;
            }
        }
    }

    fn find(&mut self, ticket: &Ticket) -> Option<&mut Flight> {
        self.slots
            .get_mut(math::to_index(ticket.slot()))
            .filter(|slot| slot.id == ticket.id() && slot.is_flying())
    }

    /// A free slot, made by merging the two answered ones that end first if there is none.
    fn free_slot(&mut self) -> Option<usize> {
        if let Some(free) = self.slots.iter().position(Flight::is_free) {
            return Some(free);
        }
        let first = self.earliest_answered(None)?;
        let second = self.earliest_answered(Some(first))?;
        let merged = *self.slots.get(first)?;
        let into = self.slots.get_mut(second)?;
        into.cost = into.cost.saturating_add(merged.cost);
        into.answered = into.answered.max(merged.answered);
        // The smaller count frees both only when it frees each.
        into.used = into.used.min(merged.used);
        *self.slots.get_mut(first)? = Flight::FREE;
        Some(first)
    }

    /// The answered slot whose permits come back first, other than `except`.
    fn earliest_answered(&self, except: Option<usize>) -> Option<usize> {
        self.slots
            .iter()
            .enumerate()
            .filter(|(index, slot)| slot.answered.is_some() && Some(*index) != except)
            .min_by_key(|(_, slot)| slot.until)
            .map(|(index, _)| index)
    }
}
