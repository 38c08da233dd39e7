//! The look-ups under way: one for a token, so many at most, each until the last one who waits for
//! it is gone.

use super::known::{Resolution, lock};
use limiter_core::TokenId;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};

/// The look-ups under way; `F` is how one is waited for.
pub(super) struct Flights<F> {
    most: usize,
    under_way: Mutex<UnderWay<F>>,
}

struct UnderWay<F> {
    flights: HashMap<TokenId, Flight<F>>,
    /// Tells two look-ups for one token apart.
    next: u64,
}

struct Flight<F> {
    number: u64,
    waiting: usize,
    handle: F,
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
    /// Too many are under way.
    TurnedAway,
}

impl<F: Clone> Flights<F> {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            under_way: Mutex::new(UnderWay {
                flights: HashMap::new(),
                next: 0,
            }),
        })
    }

    /// Joins the look-up for a token, or begins one, unless `answered` knows that one has ended
    /// since the caller looked: who ends one makes its answer known first.
    pub(super) fn board(
        self: &Arc<Self>,
        token: TokenId,
        answered: impl FnOnce() -> Option<Resolution>,
        begin: impl FnOnce(u64) -> F,
    ) -> Boarded<F> {
        let mut under_way = lock(&self.under_way);
        let UnderWay { flights, next } = &mut *under_way;
        let room = flights.len() < self.most;
        let (flight, begun) = match flights.entry(token) {
            Entry::Occupied(flight) => (flight.into_mut(), false),
            Entry::Vacant(vacant) => {
                if let Some(resolution) = answered() {
                    return Boarded::Answered(resolution);
                }
                if !room {
                    return Boarded::TurnedAway;
                }
                let number = *next;
                *next += 1;
                let flight = Flight {
                    number,
                    waiting: 0,
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

impl<F> Flights<F> {
    /// Ends a look-up: who comes now looks again.
    pub(super) fn land(&self, token: TokenId, number: u64) {
        self.remove_if(token, number, |_| true);
    }

    fn remove_if(&self, token: TokenId, number: u64, gone: impl FnOnce(&mut Flight<F>) -> bool) {
        let mut under_way = lock(&self.under_way);
        let same = under_way.flights.get_mut(&token);
        let ends = same.is_some_and(|flight| flight.number == number && gone(flight));
        let removed = ends.then(|| under_way.flights.remove(&token));
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
