//! The parts of the store that cannot be used, as far as is known here, and the times at which they
//! are tried again. An outage is counted and reported once; while it lasts no request waits for the
//! store.
//!
//! A part is a slot of a cluster, else the one server. What is found out about a node concerns all
//! of its slots, so that not each of them has to fail by itself.

use super::error::StoreError;
use super::registry::Keys;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The state of the store, as far as is known here.
#[derive(Debug)]
pub(super) struct Outage {
    /// Of each slot: whether it failed, and whether its node did.
    flags: Box<[AtomicU8]>,
    state: Mutex<State>,
    changed: Notify,
    count: AtomicU64,
    turns: AtomicUsize,
    /// The newest reason why the store could not be used.
    last: Mutex<Option<StoreError>>,
}

#[derive(Debug, Default)]
struct State {
    /// Slots of which a request failed.
    failed: BTreeMap<u16, Failed>,
    /// Slots that returned not long ago.
    returned: BTreeMap<u16, Returned>,
    /// First and last slots of nodes that are known to fail.
    of_nodes: Vec<(u16, u16)>,
    is_watched: bool,
    /// When the newest outages began.
    begun: VecDeque<Instant>,
}

#[derive(Debug)]
struct Failed {
    keys: Arc<Keys>,
    due: Instant,
    pause: Duration,
}

#[derive(Debug)]
struct Returned {
    at: Instant,
    pause: Duration,
}

/// The consequences of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Began {
    /// An outage.
    pub(super) outage: bool,
    /// The need for a task that watches for the store's return.
    pub(super) watch: bool,
}

/// The next thing to look at.
#[derive(Debug)]
pub(super) enum Due {
    /// These slots, now.
    Now(Vec<(u16, Arc<Keys>)>),
    /// Something, then.
    At(Instant),
    /// Nothing: all of the store can be used, and the watching task ends.
    Nothing,
}

impl Outage {
    pub(super) fn new(slots: u16) -> Self {
        Self {
            flags: (0..slots.max(1)).map(|_| AtomicU8::new(0)).collect(),
            state: Mutex::default(),
            changed: Notify::new(),
            count: AtomicU64::new(0),
            turns: AtomicUsize::new(0),
            last: Mutex::default(),
        }
    }

    /// Returns the newest reason why the store could not be used, if it ever failed.
    pub(super) fn last(&self) -> Option<StoreError> {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn note(&self, error: &StoreError) {
        let last = self.last.lock();
        *last.unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
    }

    /// Returns true if a slot is known to fail.
    pub(super) fn lasts(&self, slot: u16) -> bool {
        let flags = self.flags.get(usize::from(slot));
        flags.is_some_and(|flags| flags.load(Ordering::Acquire) != 0)
    }

    /// Returns true if any slot is known to fail.
    pub(super) fn lasts_somewhere(&self) -> bool {
        !self.state().failed.is_empty()
    }

    /// The share of the store that is known to fail, in thousandths, rounded up.
    pub(super) fn per_mille(&self) -> u32 {
        if !self.lasts_somewhere() {
            return 0;
        }
        let fails = |flags: &&AtomicU8| flags.load(Ordering::Relaxed) != 0;
        let failing = self.flags.iter().filter(fails).count();
        let share = (failing * 1_000).div_ceil(self.flags.len());
        u32::try_from(share).unwrap_or(1_000)
    }

    /// The number of outages so far.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The number of outages that began within the last minute, at most 255.
    pub(super) fn recent(&self, now: Instant) -> u32 {
        let state = self.state();
        let recent = state.begun.iter();
        let recent = recent.filter(|begun| now.duration_since(**begun) < MINUTE);
        u32::try_from(recent.count()).unwrap_or(u32::MAX)
    }

    /// A number below `of`, 0 if that is 0; another one each time.
    pub(super) fn turn(&self, of: usize) -> usize {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        turn.checked_rem(of).unwrap_or(0)
    }

    /// Waits until a slot fails.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, (first, last): (u16, u16), flag: u8, fails: bool) {
        for slot in first..=last {
            let Some(flags) = self.flags.get(usize::from(slot)) else {
                return;
            };
            if fails {
                flags.fetch_or(flag, Ordering::AcqRel);
            } else {
                flags.fetch_and(!flag, Ordering::AcqRel);
            }
        }
    }

    /// Adds a slot. One that returned not long ago is looked at the later, the oftener it fails.
    pub(super) fn fail(&self, slot: u16, keys: &Arc<Keys>, now: Instant) -> Began {
        let mut state = self.state();
        let known = usize::from(slot) < self.flags.len();
        if !known || state.failed.contains_key(&slot) {
            return Began {
                outage: false,
                watch: false,
            };
        }
        self.set((slot, slot), SLOT, true);
        let calm = |returned: &Returned| now.duration_since(returned.at) >= CALM;
        let returned = state.returned.remove(&slot);
        let pause = match returned.filter(|returned| !calm(returned)) {
            Some(returned) => (returned.pause * 2).clamp(FIRST_PAUSE, LONGEST_AGAIN),
            None => Duration::ZERO,
        };
        let outage = state.failed.is_empty();
        let keys = Arc::clone(keys);
        let due = now + pause;
        state.failed.insert(slot, Failed { keys, due, pause });
        if outage {
            self.count.fetch_add(1, Ordering::Relaxed);
            if state.begun.len() >= MOST_RECENT {
                state.begun.pop_front();
            }
            state.begun.push_back(now);
        }
        let watch = !state.is_watched;
        state.is_watched = true;
        drop(state);
        self.changed.notify_one();
        Began { outage, watch }
    }

    /// Returns the next thing to look at.
    pub(super) fn due(&self, now: Instant) -> Due {
        let mut state = self.state();
        let Some(first) = state.failed.values().map(|failed| failed.due).min() else {
            state.is_watched = false;
            return Due::Nothing;
        };
        if first > now {
            return Due::At(first);
        }
        let due = state.failed.iter().filter(|(_, failed)| failed.due <= now);
        Due::Now(
            due.map(|(slot, failed)| (*slot, Arc::clone(&failed.keys)))
                .collect(),
        )
    }

    /// Puts off a slot that still fails.
    pub(super) fn put_off(&self, slot: u16, now: Instant) {
        if let Some(failed) = self.state().failed.get_mut(&slot) {
            let longest = LONGEST_PAUSE.max(failed.pause);
            failed.pause = (failed.pause * 2).clamp(FIRST_PAUSE, longest);
            failed.due = now + failed.pause;
        }
    }

    /// Removes a slot; says whether it was the last, and so the outage is over.
    pub(super) fn end(&self, slot: u16, now: Instant) -> bool {
        let mut state = self.state();
        let Some(Failed { pause, .. }) = state.failed.remove(&slot) else {
            return false;
        };
        self.set((slot, slot), SLOT, false);
        let is_new = |returned: &Returned| now.duration_since(returned.at) < CALM;
        state.returned.retain(|_, returned| is_new(returned));
        state.returned.insert(slot, Returned { at: now, pause });
        if !state.failed.is_empty() {
            return false;
        }
        for slots in std::mem::take(&mut state.of_nodes) {
            self.set(slots, NODE, false);
        }
        true
    }

    /// Takes first and last slots of the nodes that fail, as a look showed. What was known of nodes
    /// that were not looked at, `others`, stands.
    pub(super) fn mark_nodes(&self, mut failing: Vec<(u16, u16)>, others: &[(u16, u16)]) {
        let mut state = self.state();
        let before = std::mem::take(&mut state.of_nodes);
        if state.failed.is_empty() {
            return;
        }
        for range in before {
            if others.contains(&range) {
                failing.push(range);
            } else {
                self.set(range, NODE, false);
            }
        }
        for range in &failing {
            self.set(*range, NODE, true);
        }
        state.of_nodes = failing;
    }

    /// All slots that failed.
    pub(super) fn all_failed(&self) -> Vec<(u16, Arc<Keys>)> {
        let state = self.state();
        let failed = state.failed.iter();
        failed
            .map(|(slot, failed)| (*slot, Arc::clone(&failed.keys)))
            .collect()
    }
}

const SLOT: u8 = 1;
const NODE: u8 = 2;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause between two looks at a store that is gone.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause before the first look at a slot that fails as soon as it has returned.
const LONGEST_AGAIN: Duration = Duration::from_secs(5);
/// The time after which a failure of a slot that had returned is like its first.
const CALM: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_secs(60);
const MOST_RECENT: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::registry::KeyNames;

    fn keys() -> Arc<Keys> {
        let names = KeyNames {
            prefix: "limiter".to_owned(),
            calendar_per_user: false,
        };
        Arc::new(names.of_nobody())
    }

    /// Slots that are due, none if something is due later.
    fn due(outage: &Outage, now: Instant) -> Option<Vec<u16>> {
        match outage.due(now) {
            Due::Now(due) => Some(due.into_iter().map(|(slot, _)| slot).collect()),
            Due::At(_) => Some(Vec::new()),
            Due::Nothing => None,
        }
    }

    #[test]
    fn a_store_that_fails_again_at_once_is_looked_at_ever_more_seldom() {
        let (outage, keys) = (Outage::new(1), keys());
        let mut now = Instant::now();
        let mut outages = 0;
        for pause_ms in [0, 50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
            assert!(outage.fail(0, &keys, now).outage);
            outages += 1;
            let pause = Duration::from_millis(pause_ms);
            if pause_ms > 0 {
                let before = now + pause - Duration::from_millis(1);
                assert_eq!(due(&outage, before), Some(vec![]), "{pause_ms}");
            }
            now += pause;
            assert_eq!(due(&outage, now), Some(vec![0]), "{pause_ms}");
            assert!(outage.end(0, now));
        }
        assert_eq!((outage.count(), outage.recent(now)), (outages, 10));
        assert_eq!(outage.recent(now + MINUTE), 0);
        // Once it has worked for a while, it is looked at as soon as it fails.
        now += CALM;
        outage.fail(0, &keys, now);
        assert_eq!(due(&outage, now), Some(vec![0]));
    }

    #[test]
    fn a_store_that_stays_gone_is_looked_at_once_a_second() {
        let (outage, keys) = (Outage::new(1), keys());
        let mut now = Instant::now();
        outage.fail(0, &keys, now);
        for pause_ms in [50, 100, 200, 400, 800, 1_000, 1_000] {
            outage.put_off(0, now);
            now += Duration::from_millis(pause_ms);
            assert_eq!(due(&outage, now), Some(vec![0]), "{pause_ms}");
        }
    }

    #[test]
    fn an_outage_begins_with_the_first_slot_and_ends_with_the_last() {
        let (outage, keys, now) = (Outage::new(8), keys(), Instant::now());
        let began = |outage, watch| Began { outage, watch };
        assert_eq!(outage.fail(3, &keys, now), began(true, true));
        assert_eq!(outage.fail(5, &keys, now), began(false, false));
        assert_eq!(outage.fail(5, &keys, now), began(false, false));
        assert_eq!(due(&outage, now), Some(vec![3, 5]));
        assert_eq!(outage.per_mille(), 250);
        assert!(!outage.end(5, now) && !outage.lasts(5) && outage.lasts(3));
        assert!(outage.end(3, now) && !outage.lasts_somewhere());
        assert!(!outage.end(3, now), "it had ended");
        assert_eq!(due(&outage, now), None);
        assert_eq!(outage.fail(3, &keys, now), began(true, true));
        assert_eq!(outage.count(), 2);
    }

    #[test]
    fn the_slots_of_a_node_that_fails_need_not_fail_one_by_one() {
        let (outage, keys, now) = (Outage::new(8), keys(), Instant::now());
        outage.fail(1, &keys, now);
        outage.fail(6, &keys, now);
        outage.mark_nodes(vec![(0, 3)], &[]);
        let fails = || {
            (0..8)
                .filter(|slot| outage.lasts(*slot))
                .collect::<Vec<_>>()
        };
        assert_eq!(fails(), [0, 1, 2, 3, 6]);
        // Another node is looked at alone; what is known of the first stands.
        outage.mark_nodes(vec![(6, 7)], &[(0, 3)]);
        assert_eq!(fails(), [0, 1, 2, 3, 6, 7]);
        // Both answer; the slots that failed by themselves are looked at one by one.
        outage.mark_nodes(vec![], &[]);
        assert_eq!(fails(), [1, 6]);
        outage.mark_nodes(vec![(0, 3)], &[]);
        outage.end(1, now);
        outage.end(6, now);
        assert_eq!(fails(), [0; 0]);
    }
}
