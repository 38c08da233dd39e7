//! Whether the store can be used. The first failure is counted and told once; while it lasts no
//! request waits for the store; a task asks it again and again, and ends the outage by itself.

use super::Inner;
use super::link::Connection;
use super::observe::{self, Switch};
use redis::{RedisError, RedisResult};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// Why the store could not be used.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no connection.
    NotConnected,
    /// The server, or the way to it, failed: with this text.
    Failed(RedisError),
    /// Whoever is at the store's address is not trusted, or does not trust this instance: a
    /// certificate is missing, or not what it must be.
    NotTrusted(RedisError),
    /// The address asks for TLS, and whoever is there does not answer in it.
    NoTls(RedisError),
    /// Whoever is at the address, which does not ask for TLS, closed the connection at once.
    Closed(RedisError),
    /// What is in the store, or what its script answered, is not this limiter's.
    Foreign,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected => f.write_str("there is no connection to the store"),
            Self::Failed(error) => write!(f, "the store failed: {error}"),
            Self::NotTrusted(error) => {
                write!(
                    f,
                    "the store and this instance do not trust each other: {error}"
                )
            }
            Self::NoTls(error) => write!(
                f,
                "the store's address asks for TLS, and no TLS is spoken there: {error}"
            ),
            Self::Closed(error) => write!(
                f,
                "the store closed the connection; if it speaks TLS, its address must begin with \
                 rediss: {error}"
            ),
            Self::Foreign => f.write_str("the store holds something that is not this limiter's"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(error)
            | Self::NotTrusted(error)
            | Self::NoTls(error)
            | Self::Closed(error) => Some(error),
            Self::NotConnected | Self::Foreign => None,
        }
    }
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        Self::Failed(error)
    }
}

/// The state of the store, as far as is known here: of each slot of a cluster, else of the one
/// server.
#[derive(Debug)]
pub(super) struct Outage {
    slots: Box<[AtomicBool]>,
    /// The slots that failed, and a key in each that is written to see whether it has returned.
    failed: Mutex<Vec<(u16, String)>>,
    count: AtomicU64,
    /// Why the store could not be used the last time.
    last: Mutex<Option<StoreError>>,
}

impl Outage {
    pub(super) fn new(slots: u16) -> Self {
        Self {
            slots: (0..slots.max(1)).map(|_| AtomicBool::new(false)).collect(),
            failed: Mutex::default(),
            count: AtomicU64::new(0),
            last: Mutex::default(),
        }
    }

    /// Why the store could not be used the last time, if it ever failed.
    pub(super) fn last(&self) -> Option<StoreError> {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note(&self, error: &StoreError) {
        let last = self.last.lock();
        *last.unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
    }

    /// Whether a slot is known to fail.
    pub(super) fn lasts(&self, slot: u16) -> bool {
        let slot = self.slots.get(usize::from(slot));
        slot.is_some_and(|fails| fails.load(Ordering::Acquire))
    }

    /// Whether any slot is known to fail.
    pub(super) fn lasts_somewhere(&self) -> bool {
        !self.failed().is_empty()
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn failed(&self) -> MutexGuard<'_, Vec<(u16, String)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a slot; says whether it is the first, and so an outage begins.
    fn begin(&self, slot: u16, probe: &str) -> bool {
        let mut failed = self.failed();
        let Some(fails) = self.slots.get(usize::from(slot)) else {
            return false;
        };
        if fails.swap(true, Ordering::AcqRel) {
            return false;
        }
        failed.push((slot, probe.to_owned()));
        failed.len() == 1
    }

    /// A slot that has failed.
    fn next(&self) -> Option<(u16, String)> {
        self.failed().first().cloned()
    }

    /// Removes a slot; says whether it was the last, and so the outage is over.
    fn end(&self, slot: u16) -> bool {
        let mut failed = self.failed();
        failed.retain(|(other, _)| *other != slot);
        if let Some(fails) = self.slots.get(usize::from(slot)) {
            fails.store(false, Ordering::Release);
        }
        failed.is_empty()
    }

    /// Lets another slot be the next.
    fn rotate(&self) {
        let mut failed = self.failed();
        if failed.len() > 1 {
            failed.rotate_left(1);
        }
    }
}

impl Inner {
    /// Notes that the store failed for the keys of a slot. Needs a tokio runtime, in which the task
    /// runs that looks for its return.
    pub(super) fn failed(self: &Arc<Self>, slot: u16, probe: &str, error: &StoreError) {
        if !self.link.is_cluster() {
            self.link.drop_connection();
        }
        self.outage.note(error);
        if self.outage.begin(slot, probe) {
            self.outage.count.fetch_add(1, Ordering::Relaxed);
            observe::store_failed(error);
            self.on_switch.call(Switch::Lost(error));
            tokio::spawn(look_for_return(Arc::downgrade(self)));
        }
    }

    /// Writes what says nothing, and connects if need be: a server that is read-only, or full, has
    /// not returned.
    pub(super) async fn try_to_return(&self, probe: &str) -> Result<(), StoreError> {
        if let Some(mut connection) = self.link.connection()
            && write(&mut connection, probe).await.is_ok()
        {
            return Ok(());
        }
        let mut connection = self.link.connect().await?;
        write(&mut connection, probe).await?;
        self.link.keep(connection);
        Ok(())
    }
}

async fn write(connection: &mut Connection, key: &str) -> RedisResult<()> {
    let mut set = redis::cmd("SET");
    set.arg(key).arg(1).arg("PX").arg(PROBE_MS);
    set.query_async(connection).await
}

/// Runs until the store has returned, or the limiter is gone.
async fn look_for_return(limiter: Weak<Inner>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(inner) = limiter.upgrade() else {
            return;
        };
        let Some((slot, probe)) = inner.outage.next() else {
            return;
        };
        match inner.try_to_return(&probe).await {
            Ok(()) if inner.outage.end(slot) => {
                observe::store_returned();
                inner.on_switch.call(Switch::Back);
                return;
            }
            Ok(()) => {
                pause = FIRST_PAUSE;
                continue;
            }
            Err(error) => inner.outage.note(&error),
        }
        inner.outage.rotate();
        drop(inner);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const PROBE_MS: u32 = 1_000;
