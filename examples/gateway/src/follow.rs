//! Keeps the limiter at what the file of `--config` says: looked at every second, read at once when
//! told to.

use limiter_host::Concurrent;
use limiter_host::config::{Changes, LiveConfig, ReloadError};
use serde::Serialize;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

/// A file that is followed; clones share one.
#[derive(Clone, Debug)]
pub(crate) struct Follow {
    live: Arc<Mutex<LiveConfig<Concurrent>>>,
    state: Arc<Mutex<FileState>>,
    told: Arc<Notify>,
}

/// What became of the file that was read last.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FileState {
    file: String,
    /// Why its newest word was not taken over; `null` if it was.
    error: Option<String>,
}

impl FileState {
    pub(crate) fn is_refused(&self) -> bool {
        self.error.is_some()
    }
}

impl Follow {
    pub(crate) fn new(file: String, live: LiveConfig<Concurrent>) -> Self {
        Self {
            live: Arc::new(Mutex::new(live)),
            state: Arc::new(Mutex::new(FileState { file, error: None })),
            told: Arc::default(),
        }
    }

    /// Has the file read, whether or not it seems to have changed.
    pub(crate) fn tell(&self) {
        self.told.notify_one();
    }

    pub(crate) fn state(&self) -> FileState {
        lock(&self.state).clone()
    }

    /// Follows the file, for as long as it is polled.
    pub(crate) async fn run(&self) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let told = tokio::select! {
                () = self.told.notified() => true,
                _ = looks.tick() => false,
            };
            let live = Arc::clone(&self.live);
            let look = move || {
                let mut live = lock(&live);
                if told {
                    Some(live.reload())
                } else {
                    live.look()
                }
            };
            // A large file takes a while to read, in which this thread has requests to serve.
            if let Ok(Some(outcome)) = tokio::task::spawn_blocking(look).await {
                self.note(outcome, told);
            }
        }
    }

    fn note(&self, outcome: Result<Changes, ReloadError>, told: bool) {
        let mut state = lock(&self.state);
        state.error = match outcome {
            Ok(changes) => {
                say(&format_args!("{}: {changes}", state.file));
                None
            }
            Err(error) => {
                let error = error.to_string();
                // A look finds again what a reading on demand has found.
                if told || state.error.as_ref() != Some(&error) {
                    say(&format_args!("{error}; nothing is changed"));
                }
                Some(error)
            }
        };
    }
}

/// A line for who reads the log.
fn say(what: &dyn Display) {
    eprintln!("gateway: {what}");
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const LOOK_EVERY: Duration = Duration::from_secs(1);
