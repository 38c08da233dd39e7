//! The look-ups under way: one for a token, a number at most of all and of one caller, each until
//! the last one who waits for it is gone, or until its time is over and another needs its place.

use super::known::{Resolution, lock};
use limiter_core::TokenId;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};

/// The number of look-ups that may be under way, and their longest time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) most: usize,
    pub(super) per_caller: usize,
    pub(super) timeout_ms: u64,
}

/// The look-ups under way; `F` is how one is waited for.
pub(super) struct Flights<F> {
    room: Room,
    under_way: Mutex<UnderWay<F>>,
}

struct UnderWay<F> {
    flights: HashMap<TokenId, Flight<F>>,
    /// The number of them that each caller began.
    callers: HashMap<u64, usize>,
    /// Tells two look-ups for one token apart.
    next: u64,
}

struct Flight<F> {
    number: u64,
    waiting: usize,
    caller: Option<u64>,
    since_ms: u64,
    handle: F,
}

/// A look-up that took too long.
pub(super) struct Overdue<F> {
    pub(super) token: TokenId,
    pub(super) caller: Option<u64>,
    pub(super) handle: F,
}

/// One who waits for a look-up. When the last is gone, so is the look-up.
pub(super) struct Seat<F> {
    flights: Arc<Flights<F>>,
    token: TokenId,
    number: u64,
}

/// What is to be done about a token.
pub(super) enum Boarded<F> {
    /// Wait: `begun` is whether this one began the look-up.
    Seat {
        seat: Seat<F>,
        handle: F,
        begun: bool,
    },
    /// Another look-up has answered meanwhile.
    Answered(Resolution),
    /// Too many are under way, of all or of this caller.
    TurnedAway,
    /// Look-ups fail, and the next is not due yet.
    BackedOff,
}

impl<F: Clone> Flights<F> {
    pub(super) fn new(room: Room) -> Arc<Self> {
        Arc::new(Self {
            room,
            under_way: Mutex::new(UnderWay {
                flights: HashMap::new(),
                callers: HashMap::new(),
                next: 0,
            }),
        })
    }

    /// Takes out the look-ups that took too long and are in the way of a new one: the one for this
    /// token, and all where there is no room.
    pub(super) fn take_overdue(
        &self,
        token: TokenId,
        caller: Option<u64>,
        now_ms: u64,
    ) -> Vec<Overdue<F>> {
        let mut under_way = lock(&self.under_way);
        let is_overdue =
            |flight: &Flight<F>| now_ms.saturating_sub(flight.since_ms) >= self.room.timeout_ms;
        let same = under_way.flights.get(&token);
        let tokens: Vec<TokenId> = if !under_way.has_room(&self.room, caller) {
            let all = under_way.flights.iter();
            let overdue = all.filter(|(_, flight)| is_overdue(flight));
            overdue.map(|(&token, _)| token).collect()
        } else if same.is_some_and(is_overdue) {
            vec![token]
        } else {
            return Vec::new();
        };
        let taken = tokens.into_iter().filter_map(|token| {
            let flight = under_way.remove(token)?;
            Some(Overdue {
                token,
                caller: flight.caller,
                handle: flight.handle,
            })
        });
        taken.collect()
    }

    /// Joins the look-up for a token, or begins one, unless one has ended since the caller looked
    /// (its answer is known before it ends), or none may begin now.
    pub(super) fn board(
        self: &Arc<Self>,
        token: TokenId,
        caller: Option<u64>,
        now_ms: u64,
        gate: impl Gate,
        begin: impl FnOnce(u64) -> F,
    ) -> Boarded<F> {
        let mut under_way = lock(&self.under_way);
        let has_room = under_way.has_room(&self.room, caller);
        let UnderWay {
            flights,
            callers,
            next,
        } = &mut *under_way;
        let (flight, begun) = match flights.entry(token) {
            Entry::Occupied(flight) => (flight.into_mut(), false),
            Entry::Vacant(vacant) => {
                if let Some(resolution) = gate.answered() {
                    return Boarded::Answered(resolution);
                }
                if !has_room {
                    return Boarded::TurnedAway;
                }
                if !gate.may_begin() {
                    return Boarded::BackedOff;
                }
                let number = *next;
                *next += 1;
                if let Some(caller) = caller {
                    *callers.entry(caller).or_default() += 1;
                }
                let flight = Flight {
                    number,
                    waiting: 0,
                    caller,
                    since_ms: now_ms,
                    handle: begin(number),
                };
                (vacant.insert(flight), true)
            }
        };
        flight.waiting += 1;
        Boarded::Seat {
            seat: Seat {
                flights: Arc::clone(self),
                token,
                number: flight.number,
            },
            handle: flight.handle.clone(),
            begun,
        }
    }

    #[cfg(test)]
    pub(super) fn waiting(&self, token: TokenId) -> usize {
        let under_way = lock(&self.under_way);
        under_way.flights.get(&token).map_or(0, |f| f.waiting)
    }
}

/// What is known of a token where a look-up for it might begin.
pub(super) trait Gate {
    /// The answer of a look-up that has ended.
    fn answered(&self) -> Option<Resolution>;

    /// Returns true if the store may be asked now.
    fn may_begin(&self) -> bool;
}

impl<F> UnderWay<F> {
    fn has_room(&self, room: &Room, caller: Option<u64>) -> bool {
        let begun = caller.and_then(|caller| self.callers.get(&caller));
        self.flights.len() < room.most && begun.is_none_or(|begun| *begun < room.per_caller)
    }

    fn remove(&mut self, token: TokenId) -> Option<Flight<F>> {
        let flight = self.flights.remove(&token)?;
        if let Some(caller) = flight.caller
            && let Entry::Occupied(mut begun) = self.callers.entry(caller)
        {
            *begun.get_mut() -= 1;
            if *begun.get() == 0 {
                begun.remove();
            }
        }
        Some(flight)
    }
}

impl<F> Flights<F> {
    /// Ends a look-up: who comes now looks again.
    pub(super) fn land(&self, token: TokenId, number: u64) {
        self.remove_if(token, number, |_| true);
    }

    fn remove_if(&self, token: TokenId, number: u64, gone: impl FnOnce(&mut Flight<F>) -> bool) {
        let mut under_way = lock(&self.under_way);
        let same = under_way.flights.get_mut(&token);
        let ends = same.is_some_and(|flight| flight.number == number && gone(flight));
        let removed = ends.then(|| under_way.remove(token));
        // What a look-up holds is dropped without the lock: that may take long, or come back here.
        drop(under_way);
        drop(removed);
    }
}

impl<F> Seat<F> {
    /// Ends the look-up: who comes now looks again.
    pub(super) fn land(&self) {
        self.flights.land(self.token, self.number);
    }
}

impl<F> Drop for Seat<F> {
    fn drop(&mut self) {
        self.flights.remove_if(self.token, self.number, |flight| {
            flight.waiting -= 1;
            flight.waiting == 0
        });
    }
}
