//! Keeps the limiter at what the file of `--config` says: looked at every second, read at once when
//! told to.

use limiter_host::Manage;
use limiter_host::config::{Changes, LiveConfig, ReloadError};
use serde::Serialize;
use std::fmt;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;

/// A file that is followed; clones share one.
#[derive(Clone)]
pub(crate) struct Follow {
    live: Arc<Mutex<dyn Live>>,
    /// Whether the limiter can be changed at this moment.
    ready: Arc<dyn Fn() -> bool + Send + Sync>,
    state: Arc<Mutex<FileState>>,
    told: Arc<Notify>,
}

/// A limiter of whatever kind that is kept at a file.
trait Live: Send {
    fn look(&mut self) -> Option<Result<Changes, ReloadError>>;
    fn reload(&mut self) -> Result<Changes, ReloadError>;
}

impl<D: Manage + Send + Sync> Live for LiveConfig<D> {
    fn look(&mut self) -> Option<Result<Changes, ReloadError>> {
        LiveConfig::look(self)
    }

    fn reload(&mut self) -> Result<Changes, ReloadError> {
        LiveConfig::reload(self)
    }
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
    pub(crate) fn new<D: Manage + Send + Sync + 'static>(
        file: String,
        live: LiveConfig<D>,
        ready: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            live: Arc::new(Mutex::new(live)),
            ready: Arc::new(ready),
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
        let mut put_off = false;
        loop {
            let told = tokio::select! {
                () = self.told.notified() => true,
                _ = looks.tick() => false,
            };
            if !(self.ready)() {
                if told {
                    let file = &lock(&self.state).file;
                    say(&format_args!("{file}: read when the store is back"));
                }
                put_off |= told;
                continue;
            }
            let told = std::mem::take(&mut put_off) || told;
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

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// A line for who reads the log.
fn say(what: &dyn Display) {
    eprintln!("gateway: {what}");
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const LOOK_EVERY: Duration = Duration::from_secs(1);
