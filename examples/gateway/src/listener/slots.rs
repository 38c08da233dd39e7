//! How many connections are open, and which one goes when another comes.
//!
//! When all slots are taken a newcomer gets that of a connection that has idled for a fifth of
//! a second: one that asked for nothing, or nothing more. So connections that are opened and left alone, however
//! many, do not keep others out. A connection that is at work is never closed for another's sake.

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
    closed: Notify,
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
        })
    }

    /// A slot for a new connection, as soon as there is one.
    pub(crate) async fn take(self: &Arc<Self>) -> Slot {
        loop {
            if let Some(slot) = self.try_take() {
                return slot;
            }
            self.close_an_idle_one();
            // Comes when a slot is free; by then one more connection may have become idle.
            let _ = tokio::time::timeout(IDLE_FOR, self.freed.notified()).await;
        }
    }

    /// Closes a connection that has idled for long enough, if there is one among the next
    /// [`LOOKS`].
    pub(crate) fn close_an_idle_one(&self) {
        let now_ms = self.now_ms();
        let mut taken = self.lock();
        let most = taken.connections.len();
        let mut oldest: Option<(u64, usize)> = None;
        for look in 0..LOOKS.min(most) {
            let place = (taken.hand + look) % most;
            let connection = &taken.connections[place];
            let idle_since_ms = connection.idle_since_ms.load(Ordering::Relaxed);
            let idle = connection.under_way.load(Ordering::Relaxed) == 0
                && now_ms.saturating_sub(idle_since_ms) >= IDLE_FOR_MS;
            if idle && oldest.is_none_or(|(since_ms, _)| idle_since_ms < since_ms) {
                oldest = Some((idle_since_ms, place));
            }
        }
        taken.hand = taken.hand.wrapping_add(LOOKS);
        if let Some((_, place)) = oldest {
            taken.connections[place].closed.notify_one();
        }
    }

    /// How many connections are open.
    fn open(&self) -> usize {
        self.lock().connections.len()
    }

    fn try_take(self: &Arc<Self>) -> Option<Slot> {
        let mut taken = self.lock();
        let place = taken.connections.len();
        (place < self.most).then(|| {
            let connection = Arc::new(Connection {
                place: AtomicUsize::new(place),
                under_way: AtomicU32::new(0),
                idle_since_ms: AtomicU64::new(self.now_ms()),
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

/// Tells how many connections a listener has.
#[derive(Clone, Debug)]
pub(crate) struct Connections(pub(super) Arc<Slots>);

impl Connections {
    pub(crate) fn open(&self) -> usize {
        self.0.open()
    }

    pub(crate) fn most(&self) -> usize {
        self.0.most
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
        self.0.connection.under_way.fetch_add(1, Ordering::Relaxed);
        Work(self.clone())
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
/// What bounds a search.
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
