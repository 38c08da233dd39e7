//! Daily counts, strikes and blocks that survive the gateway, in a directory of its own: `--state`.
//!
//! Besides the images the directory holds the hash key that they were made under: ids in an image
//! are keyed hashes, so a gateway with another key could make nothing of them.

use crate::error::StartError;
use limiter_host::core::{HashKey, Now, OnFailedWrite, Reason, RestoreError, Statistics};
use limiter_host::persist::{self, Directory, Durable, Health, Options};
use limiter_host::{Concurrent, SharedClock};
use serde::Serialize;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// What is kept, and how.
#[derive(Clone, Debug)]
pub struct StateSettings {
    /// The directory, made if there is none.
    pub directory: PathBuf,
    /// What is reserved, and what happens when something is wrong.
    pub options: Options,
}

impl StateSettings {
    /// Takes the directory for this process, and finds or makes its key.
    pub(crate) fn open(&self) -> Result<Opened, StartError> {
        let directory = Directory::open(&self.directory).map_err(|error| self.wrong(&error))?;
        let key = directory.key(|| {
            let mut key = [0; 16];
            getrandom::fill(&mut key).ok().map(|()| key)
        });
        Ok(Opened {
            key: key.map_err(|error| self.wrong(&error))?,
            directory,
            settings: self.clone(),
        })
    }

    fn wrong(&self, what: &dyn Display) -> StartError {
        StartError::State {
            directory: self.directory.display().to_string(),
            what: what.to_string(),
        }
    }
}

/// A directory that is this process's.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) key: HashKey,
    directory: Directory,
    settings: StateSettings,
}

impl Opened {
    /// Takes over what the directory holds, and keeps the limiter there from now on. Says what is
    /// not as it should be.
    pub(crate) fn keep(
        self,
        limiter: Arc<Concurrent>,
        clock: SharedClock,
    ) -> Result<Kept, StartError> {
        let Self {
            key,
            directory,
            settings,
        } = self;
        let options = Options {
            report: report(settings.options.reserve.on_failed_write),
            ..settings.options
        };
        let durable = Durable::start(limiter, directory, options, key, clock);
        let durable = durable.map_err(|error| match error {
            persist::StartError::Restore(RestoreError::NoRoom { .. }) => settings.wrong(
                &format_args!("{error}: enlarge --table, or `table` in --config"),
            ),
            error => settings.wrong(&error),
        })?;
        for warning in durable.warnings() {
            eprintln!("gateway: {warning}");
        }
        Ok(Kept {
            directory: settings.directory.as_path().into(),
            durable,
        })
    }
}

/// Says when writes begin to fail, and when they succeed again.
fn report(on_failed_write: OnFailedWrite) -> fn(Result<(), &io::Error>) {
    match on_failed_write {
        OnFailedWrite::Refuse => |told| match told {
            Ok(()) => say_recovered(),
            Err(error) => eprintln!(
                "gateway: --state cannot be written: {error}; who has used what is reserved for \
                 him gets 503 for what counts daily"
            ),
        },
        OnFailedWrite::GoOn => |told| match told {
            Ok(()) => say_recovered(),
            Err(error) => eprintln!(
                "gateway: --state cannot be written: {error}; permits go out unprotected, and a \
                 crash now lets them be used again"
            ),
        },
    }
}

fn say_recovered() {
    eprintln!("gateway: --state is written again");
}

/// A limiter that is kept in a directory; clones share one.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    directory: Arc<Path>,
    durable: Durable,
}

impl Kept {
    pub(crate) const fn durable(&self) -> &Durable {
        &self.durable
    }

    pub(crate) fn health(&self) -> Health {
        self.durable.health()
    }

    /// How things stand at a moment of the limiter's clock.
    pub(crate) fn status(&self, now: Option<Now>) -> StateStatus {
        let health = self.health();
        let age = |at| Some(now?.monotonic().saturating_since(at));
        StateStatus {
            directory: self.directory.display().to_string(),
            error: health.error,
            written_ms_ago: health.stored_at.and_then(age),
            stored: health.counts.stored,
            failed: health.counts.failed,
            turned_away: health.counts.turned_away,
            reserved_permits: health.reserved_permits,
            unprotected_permits: health.unprotected_permits,
        }
    }

    /// Has refusals that may have begun a block written, for as long as it is polled: a block makes
    /// no write due by itself, so that whoever hammers cannot keep the disk busy.
    pub(crate) async fn run(&self) {
        let mut looks = tokio::time::interval(SAVE_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut saved = 0;
        loop {
            looks.tick().await;
            let refused = refused(&self.durable.limiter().statistics());
            if refused != saved {
                saved = refused;
                self.durable.save();
            }
        }
    }

    /// Writes the last image, which is exact.
    pub(crate) async fn close(&self) -> io::Result<()> {
        let durable = self.durable.clone();
        // It waits for the disk.
        let closed = tokio::task::spawn_blocking(move || durable.close()).await;
        closed.unwrap_or_else(|_| Err(io::Error::other("the writer has panicked")))
    }
}

/// Refusals that go with offences.
fn refused(statistics: &Statistics) -> u64 {
    let reasons = [Reason::Window, Reason::Daily, Reason::Blocked];
    reasons
        .map(|reason| statistics.refused(reason))
        .iter()
        .sum()
}

/// What operators see of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StateStatus {
    directory: String,
    /// Why the last write failed; `null` if it did not.
    error: Option<String>,
    /// The age of the newest image; `null` before the first one since the start.
    written_ms_ago: Option<u64>,
    /// Writes since the start.
    stored: u64,
    failed: u64,
    /// Requests that were refused since too many waited for the disk.
    turned_away: u64,
    /// What a crash now would cost all users together.
    reserved_permits: u64,
    /// What a crash now would let be used a second time.
    unprotected_permits: u64,
}

const SAVE_EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use limiter_host::core::{Kind, Method, Plan, Policy, Registration, Request};

    #[tokio::test(start_paused = true)]
    async fn writes_within_ten_seconds_after_a_refusal_and_not_without() {
        let directory = std::env::temp_dir().join(format!("gateway-state-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        let settings = StateSettings {
            directory: directory.clone(),
            options: Options::default(),
        };
        let policy = Policy::builder()
            .window(Duration::from_secs(2))
            .plan(Plan::new(0), 1, 1)
            .build()
            .unwrap();
        let (limiter, clock) = (
            Arc::new(Concurrent::new(policy, 4, 4)),
            SharedClock::system(),
        );
        let opened = settings.open().unwrap();
        let token = opened.key.token(b"a");
        let user = Registration::new(opened.key.user(b"u"), Kind::ApiToken, Plan::new(0));
        let now = clock.now().unwrap();
        limiter.register(token, user, now).unwrap();
        let kept = opened.keep(Arc::clone(&limiter), clock).unwrap();
        let running = kept.clone();
        let task = tokio::spawn(async move { running.run().await });

        let read = Request::new(token, Method::Get);
        assert!(limiter.check(&read, now).is_admitted());
        tokio::time::sleep(SAVE_EVERY * 3).await;
        assert_eq!(kept.health().counts.stored, 0);
        assert_eq!(limiter.check(&read, now).reason(), Some(Reason::Window));
        tokio::time::sleep(SAVE_EVERY).await;
        while kept.health().counts.stored == 0 {
            std::thread::yield_now();
        }
        task.abort();
        kept.close().await.unwrap();
        std::fs::remove_dir_all(directory).unwrap();
    }
}
