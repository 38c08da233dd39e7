//! Keeps the limiter at what the file of `--config` says: looked at every second, read at once when
//! told to.
//!
//! A file may take for ever to read, on a server that does not answer say. It is read on a thread of its own,
//! one reading at a time; one that takes longer than [`READ_WITHIN`] is reported as an error, until it ends.

use limiter_host::Manage;
use limiter_host::config::{Changes, LiveConfig, ReloadError};
use serde::Serialize;
use std::fmt;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

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
    fn look(&mut self) -> Option<Outcome>;
    fn reload(&mut self) -> Outcome;
}

impl<D: Manage + Send + Sync> Live for LiveConfig<D> {
    fn look(&mut self) -> Option<Outcome> {
        LiveConfig::look(self)
    }

    fn reload(&mut self) -> Outcome {
        LiveConfig::reload(self)
    }
}

/// What became of the file that was read last.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FileState {
    file: String,
    /// Why its newest word was not taken over; `null` if it was.
    error: Option<String>,
    /// Why it is not known whether there is a newer one, if it is not.
    #[serde(skip)]
    late: Option<String>,
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
        Self::of(file, live, ready)
    }

    fn of(
        file: String,
        live: impl Live + 'static,
        ready: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            live: Arc::new(Mutex::new(live)),
            ready: Arc::new(ready),
            state: Arc::new(Mutex::new(FileState {
                file,
                error: None,
                late: None,
            })),
            told: Arc::default(),
        }
    }

    /// Has the file read, whether or not it seems to have changed.
    pub(crate) fn tell(&self) {
        self.told.notify_one();
    }

    pub(crate) fn state(&self) -> FileState {
        let mut state = lock(&self.state).clone();
        state.error = state.late.take().or(state.error);
        state
    }

    /// Follows the file, for as long as it is polled.
    pub(crate) async fn run(&self) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reading = Reading::default();
        let mut put_off = false;
        loop {
            let told = tokio::select! {
                progress = reading.progress() => match progress {
                    Progress::Late => {
                        self.note_late();
                        continue;
                    }
                    Progress::Ended(outcome, told) => {
                        self.note(outcome, told);
                        if !put_off {
                            continue;
                        }
                        false
                    }
                },
                () = self.told.notified() => true,
                _ = looks.tick() => false,
            };
            if reading.is_under_way() || !(self.ready)() {
                if told {
                    self.say_put_off(&reading);
                }
                put_off |= told;
                continue;
            }
            reading.begin(&self.live, std::mem::take(&mut put_off) || told);
        }
    }

    fn say_put_off(&self, reading: &Reading) {
        let file = &lock(&self.state).file;
        if !reading.is_under_way() {
            say(&format_args!("{file}: read when the store is back"));
        } else if reading.is_late() {
            say(&format_args!(
                "{file}: still being read; read again after that"
            ));
        }
    }

    fn note_late(&self) {
        let mut state = lock(&self.state);
        let error = format!(
            "{}: not read within {} s",
            state.file,
            READ_WITHIN.as_secs()
        );
        say(&format_args!("{error}; nothing is changed until it is"));
        state.late = Some(error);
    }

    fn note(&self, outcome: Option<Outcome>, told: bool) {
        let mut state = lock(&self.state);
        if state.late.take().is_some() {
            say(&format_args!("{}: can be read again", state.file));
        }
        let Some(outcome) = outcome else { return };
        state.error = match outcome {
            Ok(changes) => {
                say(&format_args!("{}: {changes}", state.file));
                None
            }
            Err(error) => {
                let is_empty = matches!(error, ReloadError::Empty { .. });
                let mut error = error.to_string();
                if is_empty {
                    error += " (--allow-empty takes such a file)";
                }
                // A look finds again what a reading on demand has found.
                if told || state.error.as_ref() != Some(&error) {
                    say(&format_args!("{error}; nothing is changed"));
                }
                Some(error)
            }
        };
    }
}

/// A reading of the file that may be under way.
#[derive(Default)]
struct Reading {
    task: Option<JoinHandle<Option<Outcome>>>,
    told: bool,
    /// The moment after which it is late; `None` if it is already.
    late_at: Option<Instant>,
}

type Outcome = Result<Changes, ReloadError>;

impl Reading {
    fn begin(&mut self, live: &Arc<Mutex<dyn Live>>, told: bool) {
        let live = Arc::clone(live);
        // A large file takes a while to read, in which this thread has requests to serve.
        self.task = Some(tokio::task::spawn_blocking(move || {
            let mut live = lock(&live);
            if told {
                Some(live.reload())
            } else {
                live.look()
            }
        }));
        self.told = told;
        self.late_at = Some(Instant::now() + READ_WITHIN);
    }

    const fn is_under_way(&self) -> bool {
        self.task.is_some()
    }

    const fn is_late(&self) -> bool {
        self.is_under_way() && self.late_at.is_none()
    }

    /// Comes when there is something to report: once when it takes too long, and when it ends.
    async fn progress(&mut self) -> Progress {
        let Some(task) = &mut self.task else {
            return std::future::pending().await;
        };
        let ended = match self.late_at {
            Some(at) => match tokio::time::timeout_at(at, task).await {
                Ok(ended) => ended,
                Err(_) => {
                    self.late_at = None;
                    return Progress::Late;
                }
            },
            None => task.await,
        };
        self.task = None;
        // A reading that panicked has said so.
        Progress::Ended(ended.ok().flatten(), self.told)
    }
}

enum Progress {
    Late,
    /// With the outcome, if there is one, and whether the reading was asked for.
    Ended(Option<Outcome>, bool),
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
/// A reading that takes longer is reported.
const READ_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// A file whose readings end when they are let.
    struct Hanging {
        began: Sender<()>,
        let_end: Receiver<()>,
    }

    impl Live for Hanging {
        fn look(&mut self) -> Option<Outcome> {
            None
        }

        fn reload(&mut self) -> Outcome {
            self.began.send(()).unwrap();
            self.let_end.recv().unwrap();
            Ok(Changes::default())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_whose_reading_hangs_is_reported_and_read_again_when_that_ends() {
        let (began, begins) = channel();
        let (end, let_end) = channel();
        let follow = Follow::of("file".to_owned(), Hanging { began, let_end }, || true);
        let running = follow.clone();
        let task = tokio::spawn(async move { running.run().await });
        let refused = async |refused| {
            while follow.state().is_refused() != refused {
                tokio::task::yield_now().await;
            }
        };

        follow.tell();
        while begins.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        // While a thread is in the file, time passes by hand alone.
        tokio::time::advance(READ_WITHIN).await;
        refused(true).await;
        assert_eq!(follow.state().error.unwrap(), "file: not read within 5 s");
        // Told again, it waits for its turn.
        follow.tell();
        tokio::time::advance(READ_WITHIN * 2).await;
        assert!(begins.try_recv().is_err());

        end.send(()).unwrap();
        refused(false).await;
        end.send(()).unwrap();
        while begins.try_recv().is_err() {
            tokio::time::advance(LOOK_EVERY).await;
        }
        task.abort();
    }
}
