//! What an instance remembers of a token since its last round trip: refusals that are known to
//! last, and permits held ahead of need.
//!
//! What was seen is kept, and a request is decided on it as on the store's own records. A refusal
//! then stands, since what is used only grows while window and day last; an admission counts only
//! if permits are held for it. Whatever would change a record in the store, or is not as certain as
//! that, makes a round trip.
//!
//! The store's time is estimated from the moment at which it was asked, so the estimate is ahead by
//! at most one round trip. So nothing is refused, and nothing held is handed out, for longer than it
//! lasts. That estimate is no reading of the time line's (M1), and leaves no mark; where the clock is the
//! caller's, only a reading that would leave none is decided on here.

use super::decide::{Case, Found};
use super::packed::{Held, Pending, Permits};
use crate::clock::{Started, Stopwatch};
use limiter_core::abuse::Abuse;
use limiter_core::{Decision, Instant, Now, Outcome, Reason, Request, UnixTime};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How much an instance does by itself.
#[derive(Clone, Debug)]
pub(super) struct Autonomy {
    /// For how long a refusal is believed, in milliseconds.
    pub(super) refusal_cache_ms: u64,
    /// Permits that one round trip may take.
    pub(super) lease: u32,
    /// Whether the store's clock decides, or the caller's.
    pub(super) server_clock: bool,
    /// Measures for how long permits are held: a clock that no caller sets or forgets to read.
    pub(super) stopwatch: Stopwatch,
}

impl Autonomy {
    pub(super) fn new(refusal_cache: Duration, lease: u32, server_clock: bool) -> Self {
        Self {
            refusal_cache_ms: u64::try_from(refusal_cache.as_millis()).unwrap_or(u64::MAX),
            lease,
            server_clock,
            stopwatch: Stopwatch::new(),
        }
    }
}

/// What is remembered of one token.
#[derive(Debug, Default)]
pub(super) struct Local(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    seen: Option<Seen>,
    held: Held,
    /// When the permits held were asked for, those of the window and those of the day.
    held_from: [Option<Started>; 2],
    /// True if a task will look when what is held has ended.
    is_watched: bool,
    pending: Option<Counted>,
    /// Whether a round trip is under way that asks for permits ahead.
    asking: bool,
    /// How many round trips were begun.
    trips: u64,
}

/// How often a record that several tokens share changed, as far as this instance saw: so that none
/// goes by what a request of another has made old.
#[derive(Debug, Default)]
pub(super) struct Changes(AtomicU64);

impl Changes {
    fn read(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// The store's records after the last decision there.
#[derive(Clone, Copy, Debug)]
struct Seen {
    /// The caller's clock when the store was asked.
    asked_at: Instant,
    found: Found,
    /// Whether the user's record is among them, and its changes by then.
    user: Option<u64>,
    /// The calendar's changes by then.
    calendar: u64,
    /// The number of the round trip.
    trip: u64,
}

/// Offences that the store does not know of.
#[derive(Clone, Copy, Debug)]
struct Counted {
    count: u32,
    last_at: Instant,
    before: Abuse,
    after: Abuse,
}

/// What goes along with a round trip.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ahead {
    pub(super) want: Permits,
    pub(super) back: Held,
    pub(super) pending: Option<Pending>,
    /// When the trip began, if it asks for permits.
    asking: Option<Started>,
    /// Its number.
    trip: u64,
}

/// What can be done with a request here.
pub(super) enum Here {
    Decided {
        decision: Decision,
        /// Whether permits that were held admitted it.
        held: bool,
    },
    /// Only the store can tell.
    Ask(Ahead),
}

impl Local {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides a request on what is remembered, or says what to take along to the store.
    pub(super) fn decide(
        &self,
        case: &Case,
        request: &Request,
        now: Now,
        autonomy: &Autonomy,
    ) -> Here {
        let mut memory = self.memory();
        match memory.decide(case, request, now, autonomy) {
            Some(decision) => Here::Decided {
                held: decision.is_admitted(),
                decision,
            },
            None => Here::Ask(memory.leave(case, now, autonomy)),
        }
    }

    /// Takes in what a round trip brought; `after` is what the records are after the decision,
    /// without what was granted. Returns true if a task has to look when what is held ends.
    pub(super) fn learn(
        &self,
        case: &Case,
        asked_at: Instant,
        before: &Found,
        mut after: Found,
        ahead: &Ahead,
        autonomy: &Autonomy,
    ) -> bool {
        let entry = &case.entry;
        // The line of a store's own clock moves every second and ages nothing that is known by it.
        let line_moved = !autonomy.server_clock && before.line != after.line;
        if line_moved || before.calendar != after.calendar {
            entry.calendar_changes.count();
        }
        let mut memory = self.memory();
        if ahead.asking.is_some() {
            memory.asking = false;
        }
        // What was taken when the store had other counts is not among those that it has now.
        if memory.held.born != after.born {
            memory.held = Held {
                born: after.born,
                ..Held::default()
            };
        }
        let granted = after.granted;
        if granted.window > 0 {
            after.token.window = after
                .token
                .window
                .charge(after.now.monotonic(), granted.window);
            memory.hold_window(after.token.window.start(), granted.window, ahead.asking);
        }
        if granted.day > 0 {
            after.user.day = after.user.day.charge(granted.day);
            memory.hold_day(after.calendar.refills(), granted.day, ahead.asking);
        }
        let user = case.daily.then(|| {
            if after.user != before.user {
                entry.user_changes.count();
            }
            entry.user_changes.read()
        });
        // An answer may be overtaken by that of a later question; the later one is kept.
        if memory.seen.is_none_or(|seen| seen.trip < ahead.trip) {
            memory.seen = Some(Seen {
                asked_at,
                found: after,
                user,
                calendar: entry.calendar_changes.read(),
                trip: ahead.trip,
            });
        }
        let watch = granted.window > 0 && !memory.is_watched;
        memory.is_watched |= watch;
        watch
    }

    /// Notes that a round trip failed. Whether what it took along arrived cannot be told: it is
    /// lost. Answers how many permits that is at most.
    pub(super) fn lose(&self, ahead: &Ahead) -> u32 {
        if ahead.asking.is_some() {
            self.memory().asking = false;
        }
        ahead.back.permits.window.max(ahead.back.permits.day)
    }

    /// Forgets what was seen: somebody changed it.
    pub(super) fn forget(&self) {
        self.memory().seen = None;
    }

    /// The conduct with offences that the store does not know of, if there are any.
    pub(super) fn pending(&self) -> Option<Abuse> {
        self.memory().pending.map(|counted| counted.after)
    }

    /// Takes what is held, to give it back.
    pub(super) fn take_held(&self) -> Held {
        let mut memory = self.memory();
        memory.seen = None;
        let born = memory.held.born;
        std::mem::replace(
            &mut memory.held,
            Held {
                born,
                ..Held::default()
            },
        )
    }

    /// Takes what is held if it has ended, to give it back; `None` if it has not, and has to be
    /// looked at again.
    pub(super) fn take_ended(&self, stopwatch: &Stopwatch) -> Option<Held> {
        let mut memory = self.memory();
        let lasts = |from: &Option<Started>| from.is_some_and(|from| stopwatch.since(from) < LEASE);
        let Permits { window, day } = memory.held.permits;
        let [of_window, of_day] = &memory.held_from;
        if (window > 0 && lasts(of_window)) || (day > 0 && lasts(of_day)) {
            return None;
        }
        memory.is_watched = false;
        drop(memory);
        Some(self.take_held())
    }
}

impl Memory {
    fn decide(
        &mut self,
        case: &Case,
        request: &Request,
        now: Now,
        autonomy: &Autonomy,
    ) -> Option<Decision> {
        let user = case.entry.user_changes.read();
        let calendar = case.entry.calendar_changes.read();
        let seen = self.seen.filter(|seen| seen.calendar == calendar)?;
        if case.daily && seen.user != Some(user) {
            return None;
        }
        let age_ms = now
            .monotonic()
            .as_millis()
            .checked_sub(seen.asked_at.as_millis())?;
        let mut found = seen.found;
        found.now = seen.estimate(case, now, age_ms, autonomy.server_clock)?;
        let line = &found.line;
        let is_usual = line.steady(found.now.monotonic()).is_some()
            || (autonomy.server_clock && line.outlier().is_none());
        if !is_usual || !found.calendar.is_steady(found.now) {
            return None;
        }
        let held = self.usable(case, &found, autonomy);
        found.token.window = found.token.window.give_back(held.permits.window);
        found.user.day = found.user.day.give_back(held.permits.day);
        if let Some(pending) = self.pending {
            found.token.abuse = pending.after;
        }
        let (decision, after) = found.decide(case, request);
        match decision.outcome() {
            Outcome::Admitted => {
                let cost = request.cost.get();
                let same_window = after.token.window.start() == held.start;
                let enough =
                    cost <= held.permits.window && (!case.daily || cost <= held.permits.day);
                if !(same_window && enough) {
                    return None;
                }
                self.held.permits.window -= cost;
                if case.daily {
                    self.held.permits.day -= cost;
                }
                Some(decision)
            }
            Outcome::Refused(reason) => {
                if age_ms >= autonomy.refusal_cache_ms
                    || after.token.window != found.token.window
                    || after.user != found.user
                {
                    return None;
                }
                let unchanged = after.token.abuse == found.token.abuse;
                match reason {
                    Reason::Blocked => {
                        let extends = case.policy.block().is_some_and(|rule| rule.extend_on_hit());
                        (unchanged && !extends).then_some(decision)
                    }
                    _ if unchanged => Some(decision),
                    // The store has to hear of a block, and of its end.
                    _ if after.token.abuse.is_blocked() || found.token.abuse.is_blocked() => None,
                    _ => {
                        self.count(now.monotonic(), seen.found.token.abuse, after.token.abuse);
                        Some(decision)
                    }
                }
            }
            Outcome::Exempt => None,
        }
    }

    /// The permits held that a request may be given: of this very window and day, and not ended.
    fn usable(&self, case: &Case, found: &Found, autonomy: &Autonomy) -> Held {
        let mut held = self.held;
        let [of_window, of_day] = self.held_from;
        let ended =
            |from: Option<Started>| from.is_none_or(|from| autonomy.stopwatch.since(from) >= LEASE);
        let same_window = held.start == found.token.window.start() && found.token.window.is_open();
        if held.permits.window > 0 && (!same_window || ended(of_window)) {
            held.permits.window = 0;
        }
        let same_day = held.refills == found.calendar.refills();
        if held.permits.day > 0 && (!same_day || (case.daily && ended(of_day))) {
            held.permits.day = 0;
        }
        held
    }

    /// Counts an offence here.
    fn count(&mut self, at: Instant, before: Abuse, after: Abuse) {
        let counted = self.pending.get_or_insert(Counted {
            count: 0,
            last_at: at,
            before,
            after,
        });
        counted.count = counted.count.saturating_add(1);
        counted.last_at = at;
        counted.after = after;
    }

    /// What a round trip takes along.
    fn leave(&mut self, case: &Case, now: Now, autonomy: &Autonomy) -> Ahead {
        let mut back = self.held;
        self.held.permits.window = 0;
        if case.daily {
            self.held.permits.day = 0;
        } else {
            back.permits.day = 0;
        }
        let at = now.monotonic();
        let pending = self.pending.take().map(|counted| Pending {
            count: counted.count,
            age_ms: u32::try_from(at.saturating_since(counted.last_at)).unwrap_or(u32::MAX),
            before: counted.before,
            after: counted.after,
        });
        let asks = autonomy.lease > 1 && !self.asking;
        let want = if asks { autonomy.lease - 1 } else { 0 };
        self.asking |= asks;
        self.trips += 1;
        Ahead {
            trip: self.trips,
            want: Permits {
                window: want,
                day: if case.daily { want } else { 0 },
            },
            back,
            pending,
            asking: asks.then(|| autonomy.stopwatch.start()),
        }
    }

    fn hold_window(&mut self, start: Instant, permits: u32, from: Option<Started>) {
        self.held_from[0] = from;
        if self.held.start != start {
            self.held.start = start;
            self.held.permits.window = 0;
        }
        self.held.permits.window += permits;
    }

    fn hold_day(&mut self, refills: u32, permits: u32, from: Option<Started>) {
        self.held_from[1] = from;
        if self.held.refills != refills {
            self.held.refills = refills;
            self.held.permits.day = 0;
        }
        self.held.permits.day += permits;
    }
}

impl Seen {
    /// The moment by the clock that decides; `None` if that cannot be told.
    fn estimate(&self, case: &Case, now: Now, age_ms: u64, server_clock: bool) -> Option<Now> {
        let floor = case.policy.utc_floor();
        if !server_clock {
            let behind = now.monotonic() < self.found.now.monotonic();
            return (!behind).then(|| now.with_floor(floor));
        }
        let at = self.found.now.monotonic().saturating_add(age_ms);
        Some(Now::new(at, UnixTime::from_secs(at.as_millis() / 1_000)).with_floor(floor))
    }
}

/// For how long permits are held, from the moment when they were asked for.
pub(super) const LEASE: Duration = Duration::from_millis(250);
/// For how long a store that lost its counts, or an instance that finds another server in its place,
/// hands out nothing: somewhat longer than a lease, for clocks do not run alike.
pub(super) const FENCE: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_waits_for_longer_than_a_lease_lasts() {
        let script = include_str!("check.lua");
        let names = "local HOUR_MS, PACE_MS, DAY_MS, FENCE_MS = 3600000, 82800000, 86400000, ";
        let fence = script
            .split(names)
            .nth(1)
            .and_then(|rest| rest.lines().next());
        assert_eq!(fence, Some(FENCE.as_millis().to_string().as_str()));
        assert!(FENCE >= LEASE + LEASE / 10);
    }
}
