//! Permits held ahead of need that no request uses: they end, and return to the store.

use super::Inner;
use super::packed::{Back, BackTo, Held, Permits};
use super::registry::Entry;
use futures_util::StreamExt as _;
use futures_util::stream;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::time::{self, sleep_until};

use super::local::LEASE;

/// Tokens for which permits are held, in the order in which these end. Each is here once at most.
#[derive(Debug, Default)]
pub(super) struct Leases(Mutex<Watched>);

#[derive(Debug, Default)]
struct Watched {
    tokens: VecDeque<(time::Instant, Entry)>,
    has_task: bool,
}

impl Leases {
    fn watched(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a token; says whether a task is needed.
    fn add(&self, entry: Entry, now: time::Instant) -> bool {
        let mut watched = self.watched();
        watched.tokens.push_back((now + LEASE, entry));
        !std::mem::replace(&mut watched.has_task, true)
    }

    /// Takes the tokens whose moment has come; or says when that of the next one comes. Nothing is
    /// left to a task that is answered `None`.
    fn take(&self, now: time::Instant) -> Option<Result<Vec<Entry>, time::Instant>> {
        let mut watched = self.watched();
        let Some((first, _)) = watched.tokens.front() else {
            watched.has_task = false;
            return None;
        };
        if *first > now {
            return Some(Err(*first));
        }
        let due = watched.tokens.partition_point(|(moment, _)| *moment <= now);
        let due = watched.tokens.drain(..due).map(|(_, entry)| entry);
        Some(Ok(due.collect()))
    }
}

impl Inner {
    /// Has what is held for a token given back when it ends.
    pub(super) fn let_expire(self: &Arc<Self>, entry: &Entry) {
        if self.autonomy.server_clock && self.leases.add(entry.clone(), time::Instant::now()) {
            tokio::spawn(give_back_ended(Arc::downgrade(self)));
        }
    }

    /// Gives back what is held ahead of need.
    pub(super) async fn close(&self) {
        let entries: Vec<Entry> = self.registry().entries().cloned().collect();
        let all = entries.into_iter().map(|entry| {
            let held = entry.local.take_held();
            (entry, held)
        });
        self.give_back_held(all).await;
    }

    /// Gives permits back. What cannot be given back is lost, and counted.
    async fn give_back_held(&self, all: impl IntoIterator<Item = (Entry, Held)>) {
        stream::iter(all)
            .for_each_concurrent(AT_ONCE, |(entry, held)| async move {
                let lost = self.give_back_of(&entry, held).await;
                let figure = &self.figures.lost_permits;
                figure.fetch_add(lost.into(), Ordering::Relaxed);
            })
            .await;
    }

    /// Gives back what was held for a token; answers how many permits could not be given back.
    async fn give_back_of(&self, entry: &Entry, held: Held) -> u32 {
        let Held {
            permits,
            start,
            refills,
            born,
        } = held;
        let to_window = (BackTo::Window(start), permits.window);
        let to_day = (BackTo::Day(refills), permits.day);
        let mut lost = 0;
        for (to, permits) in [to_window, to_day] {
            if permits == 0 {
                continue;
            }
            let back = Back { to, permits, born };
            let fails = self.outage.lasts(entry.keys.slot)
                || self.give_back(&entry.keys, back).await.is_err();
            lost = lost.max(if fails { permits } else { 0 });
        }
        lost
    }
}

/// Runs as long as permits are held, and gives back those that have ended.
async fn give_back_ended(limiter: Weak<Inner>) {
    loop {
        let Some(inner) = limiter.upgrade() else {
            return;
        };
        match inner.leases.take(time::Instant::now()) {
            None => return,
            Some(Err(moment)) => {
                drop(inner);
                sleep_until(moment).await;
            }
            Some(Ok(entries)) => {
                let mut ended = Vec::with_capacity(entries.len());
                for entry in entries {
                    match entry.local.take_ended(&inner.autonomy.stopwatch) {
                        Some(held) if held.permits == Permits::default() => {}
                        Some(held) => {
                            let figure = &inner.figures.leases_ended;
                            figure.fetch_add(1, Ordering::Relaxed);
                            ended.push((entry, held));
                        }
                        None => {
                            inner.leases.add(entry, time::Instant::now());
                        }
                    }
                }
                inner.give_back_held(ended).await;
            }
        }
    }
}

/// Tokens whose permits go back at the same time.
const AT_ONCE: usize = 64;
