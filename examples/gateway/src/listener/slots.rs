//! How many connections are open, and which one goes when another comes.
//!
//! When all slots are taken a newcomer gets that of a connection that has idled for a fifth of
//! a second: one that asked for nothing, or nothing more. If there is none, it gets that of the slowest
//! transfer: a body that is waited for, or an answer that is not read, below
//! [`Lane::SLOW_BYTES_PER_S`]. So connections that are opened and left alone, and those that a drip keeps
//! alive, however many, do not keep others out. A connection whose client keeps up, or that waits for the
//! server behind, is never closed for another's sake.

use super::lane::Lane;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The slots of a listener.
#[derive(Debug)]
pub(crate) struct Slots {
    most: usize,
    began: Instant,
    taken: Mutex<Taken>,
    freed: Notify,
    closed_idle: AtomicU64,
    closed_slow: AtomicU64,
    late_bodies: Arc<AtomicU64>,
    late_answers: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Taken {
    connections: Vec<Arc<Connection>>,
    /// Where the search for an idle one goes on.
    hand: usize,
}

/// What is known of an open connection.
#[derive(Debug)]
struct Connection {
    /// Its index among the open ones; changed under the lock alone.
    place: AtomicUsize,
    /// Requests that are not yet answered in full.
    under_way: AtomicU32,
    idle_since_ms: AtomicU64,
    /// The body of the request under way.
    body: Arc<Lane>,
    /// The answer to it.
    answer: Arc<Lane>,
    closed: Notify,
}

impl Connection {
    /// The claim to stay open; `None` if it is not closed for another's sake.
    fn claim(&self, now_ms: u64) -> Option<Claim> {
        if self.under_way.load(Ordering::Relaxed) == 0 {
            let since_ms = self.idle_since_ms.load(Ordering::Relaxed);
            let idle = now_ms.saturating_sub(since_ms) >= IDLE_FOR_MS;
            return idle.then_some(Claim::Idle { since_ms });
        }
        let lanes = [&self.body, &self.answer];
        let rates = lanes.into_iter().filter_map(|lane| lane.slow_rate(now_ms));
        rates.min().map(|bytes_per_s| Claim::Slow { bytes_per_s })
    }
}

/// The claim of a connection to stay open; the least is closed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Claim {
    Idle { since_ms: u64 },
    Slow { bytes_per_s: u64 },
}

impl Slots {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most: most.max(1),
            began: Instant::now(),
            taken: Mutex::new(Taken {
                connections: Vec::new(),
                hand: 0,
            }),
            freed: Notify::new(),
            closed_idle: AtomicU64::new(0),
            closed_slow: AtomicU64::new(0),
            late_bodies: Arc::default(),
            late_answers: Arc::default(),
        })
    }

    /// A slot for a new connection, as soon as there is one.
    pub(crate) async fn take(self: &Arc<Self>) -> Slot {
        loop {
            if let Some(slot) = self.try_take() {
                return slot;
            }
            self.close_one();
            // Comes when a slot is free; by then one more connection may have become idle or slow.
            let _ = tokio::time::timeout(IDLE_FOR, self.freed.notified()).await;
        }
    }

    /// Closes the connection with the least claim, if there is one: of those that idle the first found
    /// among [`LOOKS`] or beyond, of those that are slow the slowest of all.
    pub(crate) fn close_one(&self) {
        let now_ms = self.now_ms();
        let mut taken = self.lock();
        let most = taken.connections.len();
        let mut least: Option<(Claim, usize)> = None;
        let mut looks = 0;
        while looks < most {
            let place = (taken.hand + looks) % most;
            if let Some(claim) = taken.connections[place].claim(now_ms)
                && least.is_none_or(|(least, _)| claim < least)
            {
                least = Some((claim, place));
            }
            looks += 1;
            if looks >= LOOKS && matches!(least, Some((Claim::Idle { .. }, _))) {
                break;
            }
        }
        taken.hand = taken.hand.wrapping_add(looks);
        let Some((claim, place)) = least else { return };
        taken.connections[place].closed.notify_one();
        let counter = match claim {
            Claim::Idle { .. } => &self.closed_idle,
            Claim::Slow { .. } => &self.closed_slow,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// How many connections are open.
    pub(super) fn open(&self) -> usize {
        self.lock().connections.len()
    }

    pub(super) const fn most(&self) -> usize {
        self.most
    }

    /// The number of those that made room for others, by their state.
    pub(super) fn closed(&self) -> [(&'static str, u64); 2] {
        [("idle", &self.closed_idle), ("slow", &self.closed_slow)]
            .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
    }

    /// The number of transfers broken off because the client was too slow, by direction.
    pub(super) fn timed_out(&self) -> [(&'static str, u64); 2] {
        [("body", &self.late_bodies), ("answer", &self.late_answers)]
            .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
    }

    fn try_take(self: &Arc<Self>) -> Option<Slot> {
        let mut taken = self.lock();
        let place = taken.connections.len();
        (place < self.most).then(|| {
            let connection = Arc::new(Connection {
                place: AtomicUsize::new(place),
                under_way: AtomicU32::new(0),
                idle_since_ms: AtomicU64::new(self.now_ms()),
                body: Arc::new(Lane::new(self.began, Arc::clone(&self.late_bodies))),
                answer: Arc::new(Lane::new(self.began, Arc::clone(&self.late_answers))),
                closed: Notify::new(),
            });
            taken.connections.push(Arc::clone(&connection));
            Slot(Arc::new(Held {
                slots: Arc::clone(self),
                connection,
            }))
        })
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's slot; given back when the last clone goes.
#[derive(Clone, Debug)]
pub(crate) struct Slot(Arc<Held>);

#[derive(Debug)]
struct Held {
    slots: Arc<Slots>,
    connection: Arc<Connection>,
}

impl Slot {
    /// Comes when the connection is to close for another's sake.
    pub(crate) async fn closed(&self) {
        self.0.connection.closed.notified().await;
    }

    /// Marks the connection as at work until the guard goes.
    pub(crate) fn work(&self) -> Work {
        let connection = &self.0.connection;
        connection.body.begin();
        connection.answer.begin();
        connection.under_way.fetch_add(1, Ordering::Relaxed);
        Work(self.clone())
    }

    /// The bodies of its requests.
    pub(crate) fn body(&self) -> Arc<Lane> {
        Arc::clone(&self.0.connection.body)
    }

    /// The answers.
    pub(crate) fn answer(&self) -> Arc<Lane> {
        Arc::clone(&self.0.connection.answer)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
        let place = self.connection.place.load(Ordering::Relaxed);
        taken.connections.swap_remove(place);
        if let Some(moved) = taken.connections.get(place) {
            moved.place.store(place, Ordering::Relaxed);
        }
        drop(taken);
        self.slots.freed.notify_one();
    }
}

/// A request that is under way.
#[derive(Debug)]
pub(crate) struct Work(Slot);

impl Drop for Work {
    fn drop(&mut self) {
        let Held { slots, connection } = &*self.0.0;
        connection
            .idle_since_ms
            .store(slots.now_ms(), Ordering::Relaxed);
        connection.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that idles for less is not closed for another's sake.
const IDLE_FOR: Duration = Duration::from_millis(IDLE_FOR_MS);
const IDLE_FOR_MS: u64 = 200;
/// Connections that are looked at before an idle one is taken.
const LOOKS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;

    #[tokio::test(start_paused = true)]
    async fn closes_the_longest_idle_connection_for_a_newcomer_and_none_at_work() {
        let slots = Slots::new(3);
        let first = slots.take().await;
        let work = first.work();
        tokio::time::advance(Duration::from_secs(1)).await;
        let second = slots.take().await;
        tokio::time::advance(Duration::from_secs(1)).await;
        let _third = slots.take().await;
        assert_eq!(slots.open(), 3);

        let mut newcomer = pin!(slots.take());
        // The second is the one that idled longest; nothing comes before it has closed.
        tokio::select! {
            biased;
            _ = &mut newcomer => panic!("no slot is free"),
            () = first.closed() => panic!("it is at work"),
            () = second.closed() => {}
        }
        drop(second);
        let _newcomer = newcomer.await;
        assert_eq!(slots.open(), 3);
        drop(work);
    }

    #[tokio::test(start_paused = true)]
    async fn lets_a_newcomer_wait_while_all_are_at_work() {
        let slots = Slots::new(1);
        let only = slots.take().await;
        let work = only.work();
        let mut newcomer = pin!(slots.take());
        let hour = Duration::from_secs(3_600);
        assert!(tokio::time::timeout(hour, &mut newcomer).await.is_err());
        drop(work);
        // It idles from now on, and is told to close a little later.
        tokio::select! {
            biased;
            _ = &mut newcomer => panic!("no slot is free"),
            () = only.closed() => drop(only),
        }
        newcomer.await;
    }

    #[tokio::test(start_paused = true)]
    async fn closes_the_slowest_transfer_for_a_newcomer_where_none_idles() {
        let slots = Slots::new(3);
        let open = [slots.take().await, slots.take().await, slots.take().await];
        let _work = [open[0].work(), open[1].work(), open[2].work()];
        // The first waits for the server behind; the others drip, the last one least.
        for (slot, bytes) in [(&open[1], 2_000), (&open[2], 1_400)] {
            slot.body().moved(bytes, Duration::from_secs(1));
            slot.body().waits();
        }
        let mut newcomer = pin!(slots.take());
        tokio::select! {
            biased;
            _ = &mut newcomer => panic!("no slot is free"),
            () = open[0].closed() => panic!("it is at work"),
            () = open[1].closed() => panic!("it is not the slowest"),
            () = open[2].closed() => {}
        }
        assert_eq!(slots.closed(), [("idle", 0), ("slow", 1)]);
    }

    #[tokio::test]
    async fn keeps_every_place_true_whichever_connection_goes() {
        let slots = Slots::new(8);
        let mut open = Vec::new();
        for _ in 0..8 {
            open.push(slots.take().await);
        }
        for leaving in [7, 0, 3, 0, 1, 2, 1, 0] {
            drop(open.remove(leaving));
            let mut places: Vec<usize> = open
                .iter()
                .map(|slot| slot.0.connection.place.load(Ordering::Relaxed))
                .collect();
            places.sort_unstable();
            assert_eq!(places, (0..open.len()).collect::<Vec<_>>());
        }
        assert_eq!(slots.open(), 0);
    }
}
