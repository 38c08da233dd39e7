//! Whether the store can be used. The first failure is counted and told once; while it lasts no
//! request waits for the store; a task asks it again and again, and ends the outage by itself.

use super::link::Connection;
use super::{Inner, observe};
use redis::{RedisError, RedisResult};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Why the store could not be used.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no connection.
    NotConnected,
    /// The server, or the way to it, failed: with this text.
    Failed(RedisError),
    /// What is in the store, or what its script answered, is not this limiter's.
    Foreign,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected => f.write_str("there is no connection to the store"),
            Self::Failed(error) => write!(f, "the store failed: {error}"),
            Self::Foreign => f.write_str("the store holds something that is not this limiter's"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(error) => Some(error),
            _ => None,
        }
    }
}

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        Self::Failed(error)
    }
}

/// The state of the store, as far as is known here.
#[derive(Debug, Default)]
pub(super) struct Outage {
    lasts: AtomicBool,
    count: AtomicU64,
}

impl Outage {
    pub(super) fn lasts(&self) -> bool {
        self.lasts.load(Ordering::Acquire)
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl Inner {
    /// Notes that the store failed. Needs a tokio runtime, in which the task runs that looks for
    /// its return.
    pub(super) fn failed(self: &Arc<Self>, error: &StoreError) {
        if self.outage.lasts.swap(true, Ordering::AcqRel) {
            return;
        }
        self.outage.count.fetch_add(1, Ordering::Relaxed);
        observe::store_failed(error);
        self.link.drop_connection();
        tokio::spawn(look_for_return(Arc::downgrade(self)));
    }

    /// Connects, and writes what says nothing: a server that is read-only, or full, has not
    /// returned.
    pub(super) async fn try_to_return(&self) -> RedisResult<()> {
        let mut connection: Connection = self.link.connect().await?;
        redis::cmd("SET")
            .arg(&self.probe_key)
            .arg(1)
            .arg("PX")
            .arg(PROBE_MS)
            .query_async::<()>(&mut connection)
            .await?;
        self.link.keep(connection);
        Ok(())
    }
}

/// Runs until the store has returned, or the limiter is gone.
async fn look_for_return(limiter: Weak<Inner>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(inner) = limiter.upgrade() else {
            return;
        };
        if inner.try_to_return().await.is_ok() {
            inner.outage.lasts.store(false, Ordering::Release);
            observe::store_returned();
            return;
        }
        drop(inner);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const PROBE_MS: u32 = 1_000;
