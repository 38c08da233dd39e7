//! The task that watches for the return of a store that failed.
//!
//! It asks the script itself, so that a server that is read-only, or full, or does not permit a
//! command, has not returned. In a cluster it looks at all nodes at once, each by a connection of
//! its own: one that is silent holds up no other, nor the requests of other nodes' users. Once a
//! node answers, all of its slots that failed are looked at together. So a slot returns within the
//! time that one look takes and the longest pause, however many others do not.

use super::Inner;
use super::error::StoreError;
use super::link::Connection;
use super::members::Node;
use super::observe::{self, Switch};
use super::outage::Due;
use super::packed::{Ask, Held, Permits, Reply};
use super::registry::{Keys, SLOTS};
use super::script::{CHECK, PROBE};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;
use limiter_core::Now;
use std::sync::{Arc, Weak};
use tokio::time::{Instant, sleep, timeout, timeout_at};

impl Inner {
    /// Notes that the store failed for some keys. Needs a tokio runtime, in which the task runs
    /// that watches for its return.
    pub(super) fn failed(self: &Arc<Self>, keys: &Arc<Keys>, error: &StoreError) {
        if !self.link.is_cluster() {
            self.link.drop_connection();
        }
        self.outage.note(error);
        let began = self.outage.fail(keys.slot, keys, Instant::now());
        if began.outage {
            observe::store_failed(error);
            self.on_switch.call(Switch::Lost(error));
        }
        if began.watch {
            tokio::spawn(watch(Arc::downgrade(self)));
        }
    }

    /// Looks at the store, and connects if need be.
    pub(super) async fn try_to_return(&self, keys: &Keys) -> Result<(), StoreError> {
        if self.probe_shared(keys).await.is_ok() {
            return Ok(());
        }
        let mut connection = self.link.connect().await?;
        self.probe(&mut connection, keys).await?;
        self.link.keep(connection);
        Ok(())
    }

    async fn probe_shared(&self, keys: &Keys) -> Result<(), StoreError> {
        let mut connection = self.link.connection().ok_or(StoreError::NotConnected)?;
        self.probe(&mut connection, keys).await
    }

    /// Tries every command that is needed, and decides a request for a token that no user has. If the counts were
    /// lost it waits until new ones can be used.
    async fn probe(&self, connection: &mut Connection, keys: &Keys) -> Result<(), StoreError> {
        PROBE.run(connection, &[&keys.probe], &[]).await?;
        // Where the clock is the caller's, there is none to charge by.
        let now = self.injected(Now::new(limiter_core::Instant::ZERO, None));
        let ask = Ask {
            peek: now.is_some(),
            take: false,
            offends: false,
            immune: false,
            limit: LARGE,
            cost: 1,
            now,
            want: Permits::default(),
            back: Held::default(),
            fenced: self.is_fenced(),
            pending: None,
        };
        let packed_policy = Arc::clone(&self.registry().packed_policy);
        let (packed, more) = (ask.pack(&packed_policy), ask.pack_more());
        let arguments: [&[u8]; 2] = [&packed, more.as_deref().unwrap_or_default()];
        let arguments = &arguments[..if more.is_some() { 2 } else { 1 }];
        let keys: [&str; 2] = [&keys.probe, &keys.calendar];
        for _ in 0..MOST_WAITS {
            let value = CHECK.run(connection, &keys, arguments).await?;
            match Reply::wait(&value) {
                Some(pause) => sleep(pause).await,
                None => break,
            }
        }
        Ok(())
    }

    /// Looks at slots that failed.
    async fn look_for_return(self: &Arc<Self>, due: Vec<(u16, Arc<Keys>)>) {
        if self.link.is_cluster() {
            return self.look_at_cluster(due).await;
        }
        for (slot, keys) in due {
            let result = self.try_to_return(&keys).await;
            self.looked(slot, result);
        }
    }

    async fn look_at_cluster(self: &Arc<Self>, due: Vec<(u16, Arc<Keys>)>) {
        let nodes = match self.link.nodes().await {
            Ok(nodes) => nodes,
            Err(error) => {
                // No node answers.
                for (slot, _) in due {
                    self.looked(slot, Err(error.clone()));
                }
                return self.outage.mark_nodes(vec![(0, SLOTS - 1)], &[]);
            }
        };
        let is_due = |node: &Node| due.iter().any(|(slot, _)| node.has(*slot));
        let (looked_at, others): (Vec<_>, Vec<_>) = nodes.iter().partition(|node| is_due(node));
        let failed = self.outage.all_failed();
        let looks = looked_at.iter().map(|node| {
            let failed = failed.iter().filter(|(slot, _)| node.has(*slot));
            self.look_at_node(node, failed.cloned().collect())
        });
        let failing = join_all(looks).await;
        for (slot, _) in &due {
            if !nodes.iter().any(|node| node.has(*slot)) {
                self.looked(*slot, Err(StoreError::NotConnected));
            }
        }
        let slots_of = |node: &Node| node.slots.clone();
        let failing = looked_at.into_iter().zip(failing);
        let failing = failing.filter(|(_, fails)| *fails);
        let others: Vec<_> = others.into_iter().flat_map(slots_of).collect();
        let failing = failing.flat_map(|(node, _)| slots_of(node));
        self.outage.mark_nodes(failing.collect(), &others);
    }

    /// Looks at slots of a node; says whether the node as a whole fails.
    async fn look_at_node(self: &Arc<Self>, node: &Node, mut due: Vec<(u16, Arc<Keys>)>) -> bool {
        // Each time another one speaks for all: it may be in want of something that is its own.
        let turn = self.outage.turn(due.len());
        let Some((_, keys)) = due.get(turn).cloned() else {
            return false;
        };
        due.rotate_left(turn);
        let by_itself = async {
            let mut connection = self.link.connect_to(node).await?;
            self.probe(&mut connection, &keys).await
        };
        let patience = self.link.patience();
        let answered = timeout(patience, by_itself).await;
        let answered = answered.unwrap_or(Err(StoreError::NotConnected));
        if let Err(error) = answered {
            let elsewhere = error.is_elsewhere();
            for (slot, _) in due {
                self.looked(slot, Err(error.clone()));
            }
            return !elsewhere;
        }
        sleep(self.link.settles_in()).await;
        // The connection that all share may be in want of being made anew: that is seen by one slot.
        let first = timeout(patience, self.try_to_return(&keys)).await;
        let first = first.unwrap_or(Err(StoreError::NotConnected));
        self.looked(due.remove(0).0, first);
        stream::iter(due)
            .for_each_concurrent(AT_ONCE, |(slot, keys)| async move {
                let result = timeout(patience, self.probe_shared(&keys)).await;
                self.looked(slot, result.unwrap_or(Err(StoreError::NotConnected)));
            })
            .await;
        false
    }

    /// Takes in what a look at a slot showed.
    fn looked(&self, slot: u16, result: Result<(), StoreError>) {
        match result {
            Ok(()) => {
                if self.outage.end(slot, Instant::now()) {
                    observe::store_returned();
                    self.on_switch.call(Switch::Back);
                }
            }
            Err(error) => {
                self.outage.note(&error);
                self.outage.put_off(slot, Instant::now());
            }
        }
    }
}

/// Runs until all of the store has returned, or the limiter is gone.
async fn watch(limiter: Weak<Inner>) {
    loop {
        let Some(inner) = limiter.upgrade() else {
            return;
        };
        match inner.outage.due(Instant::now()) {
            Due::Nothing => return,
            Due::Now(due) => inner.look_for_return(due).await,
            Due::At(moment) => {
                let outage = Arc::clone(&inner.outage);
                drop(inner);
                // Another slot may fail meanwhile, to be looked at sooner.
                let _ = timeout_at(moment, outage.changed()).await;
            }
        }
    }
}

/// The largest window limit, so that a probe is admitted and charged as often as there are any.
const LARGE: u32 = (1 << 20) - 1;
/// Slots that are looked at together.
const AT_ONCE: usize = 64;
/// The number of times that a request waits because the store says so.
pub(super) const MOST_WAITS: u32 = 4;
