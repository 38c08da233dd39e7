//! One pacer for all tasks and threads that use a token, and the waiting.

use super::error::PaceError;
use super::observe;
use super::pacing::Pacing;
use super::permit::Permit;
use crate::clock::SharedClock;
use limiter_core::{Instant, Method, Now};
use limiter_pacer::{
    DenialState, Pacer, PacerPolicy, PacerStatus, Priority, SendDecision, SendRequest,
};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// A pacer for all tasks and threads of a process that use one token; a clone is a reference.
///
/// Tasks of one priority go in order of arrival, in separate queues for reads and writes. Blocking
/// threads do not queue.
///
/// ```
/// use limiter_host::SharedClock;
/// use limiter_host::client::{Pacing, SharedPacer};
/// use limiter_host::pacer::{ResponseInfo, PacerPolicy};
/// use limiter_host::core::Method;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), limiter_host::client::PaceError> {
/// let pacer = SharedPacer::new(PacerPolicy::ADAPTIVE, SharedClock::system());
/// let mut permit = pacer.acquire(Method::Get, Pacing::new()).await?;
/// permit.sending();
/// // ... the request goes out, its response comes ...
/// permit.on_response(|_now| ResponseInfo::bare(200));
/// assert_eq!(pacer.status().in_flight, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SharedPacer {
    inner: Arc<Inner>,
}

/// Requests that can be in flight at once: those of the largest preset limit over a round
/// trip of four seconds.
pub const FLIGHTS: usize = 1_024;

pub(super) struct Inner {
    pacer: Mutex<Pacer<FLIGHTS>>,
    pub(super) clock: SharedClock,
    /// Wakes tasks and threads when a response may have shortened their wait.
    changed: Notify,
    woken: Condvar,
    /// The number of such responses; changed only while the pacer is locked.
    changes: AtomicU64,
    lines: [tokio::sync::Mutex<()>; LINES],
    pause: Option<Pause>,
}

/// A replacement for the waiting of a blocked thread.
type Pause = Box<dyn Fn(Duration) + Send + Sync>;

impl SharedPacer {
    /// A pacer that has sent nothing yet.
    ///
    /// The clock must run at the pace of the waits: tokio's time, or the thread's.
    #[must_use]
    pub fn new(policy: PacerPolicy, clock: SharedClock) -> Self {
        Self::build(policy, clock, None)
    }

    /// Creates a pacer whose blocked threads call `pause` instead of waiting on the system's clock, for
    /// tests and for unusual platforms. A response does not shorten such a pause.
    #[must_use]
    pub fn with_pause(
        policy: PacerPolicy,
        clock: SharedClock,
        pause: impl Fn(Duration) + Send + Sync + 'static,
    ) -> Self {
        Self::build(policy, clock, Some(Box::new(pause)))
    }

    fn build(policy: PacerPolicy, clock: SharedClock, pause: Option<Pause>) -> Self {
        Self {
            inner: Arc::new(Inner {
                pacer: Mutex::new(Pacer::new(policy)),
                clock,
                changed: Notify::new(),
                woken: Condvar::new(),
                changes: AtomicU64::new(0),
                lines: [const { tokio::sync::Mutex::const_new(()) }; LINES],
                pause,
            }),
        }
    }

    /// Waits until a request may be sent. Dropping the future gives up the place.
    ///
    /// # Errors
    ///
    /// [`PaceError`], at once: if the wait would pass the deadline, if nothing may be sent, or if the
    /// clock cannot be read. A wait for the responses of requests in flight has no known length;
    /// then the error comes at the deadline.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time enabled.
    pub async fn acquire(&self, method: Method, pacing: Pacing) -> Result<Permit, PaceError> {
        let deadline = self.deadline(pacing)?;
        self.acquire_until(method, pacing, deadline).await
    }

    pub(super) async fn acquire_until(
        &self,
        method: Method,
        pacing: Pacing,
        deadline: Option<Instant>,
    ) -> Result<Permit, PaceError> {
        let request = pacing.send_request(method);
        let started = self.now()?.monotonic();
        let line = self.line(&request).lock();
        // Who stands in line shares the deadline: those before have to wait as long.
        let _turn = match deadline {
            Some(deadline) => {
                let left = Duration::from_millis(deadline.saturating_since(started));
                let late = PaceError::PastDeadline { wait: left };
                tokio::time::timeout(left, line).await.map_err(|_| late)?
            }
            None => line.await,
        };
        loop {
            let changed = self.inner.changed.notified();
            tokio::pin!(changed);
            // From here on no answer is missed, though the pacer is asked first.
            changed.as_mut().enable();
            match self.step(&request, deadline, started)? {
                Step::Go(permit) => return Ok(permit),
                Step::Wait(wait) => {
                    // Whether the time has passed or an answer came: the pacer is asked again.
                    let _ = tokio::time::timeout(wait, changed).await;
                }
            }
        }
    }

    /// Blocks the thread until a request may be sent.
    ///
    /// # Errors
    ///
    /// As [`SharedPacer::acquire`].
    pub fn acquire_blocking(&self, method: Method, pacing: Pacing) -> Result<Permit, PaceError> {
        let deadline = self.deadline(pacing)?;
        self.acquire_blocking_until(method, pacing, deadline)
    }

    pub(super) fn acquire_blocking_until(
        &self,
        method: Method,
        pacing: Pacing,
        deadline: Option<Instant>,
    ) -> Result<Permit, PaceError> {
        let request = pacing.send_request(method);
        let started = self.now()?.monotonic();
        loop {
            let seen = self.inner.changes.load(Ordering::Relaxed);
            match self.step(&request, deadline, started)? {
                Step::Go(permit) => return Ok(permit),
                Step::Wait(wait) => self.inner.pause(wait, seen),
            }
        }
    }

    /// Returns a summary of the pacer's state.
    #[must_use]
    pub fn status(&self) -> PacerStatus {
        self.inner.pacer().status()
    }

    /// Returns the state of a denial (403), if there is one: show it to a person.
    #[must_use]
    pub fn denial(&self) -> Option<DenialState> {
        let now = self.inner.clock.now().ok()?;
        self.inner.pacer().denial(now)
    }

    /// Records that a person knows of the denial. The denial continues.
    pub fn acknowledge_denial(&self) {
        self.inner.pacer().acknowledge_denial();
    }

    /// Ends a denial after a person has removed its cause.
    pub fn lift_denial(&self) {
        self.inner.pacer().lift_denial();
        self.inner.wake();
    }

    /// Caps the limit; see [`Pacer::set_cap`].
    pub fn set_cap(&self, permits: Option<u32>) {
        self.inner.pacer().set_cap(permits);
        self.inner.wake();
    }

    pub(super) fn deadline(&self, pacing: Pacing) -> Result<Option<Instant>, PaceError> {
        let Some(within) = pacing.within else {
            return Ok(None);
        };
        let now = self.now()?.monotonic();
        let millis = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        Ok(Some(now.saturating_add(millis)))
    }

    fn now(&self) -> Result<Now, PaceError> {
        self.inner.clock.now().map_err(PaceError::Clock)
    }

    fn step(
        &self,
        request: &SendRequest,
        deadline: Option<Instant>,
        started: Instant,
    ) -> Result<Step, PaceError> {
        let now = self.now()?;
        let decision = self.inner.pacer().poll_send(*request, now);
        match decision {
            SendDecision::Go(ticket) => {
                let waited = now.monotonic().saturating_since(started);
                observe::waited(request, Duration::from_millis(waited));
                Ok(Step::Go(Permit::new(Arc::clone(&self.inner), ticket, now)))
            }
            SendDecision::Wait(millis) => {
                let wait = Duration::from_millis(u64::from(millis));
                let back = now.monotonic().saturating_add(u64::from(millis));
                if deadline.is_some_and(|deadline| back > deadline) {
                    return Err(PaceError::PastDeadline { wait });
                }
                Ok(Step::Wait(wait))
            }
            SendDecision::Stop(stop) => {
                observe::stopped(&stop);
                Err(PaceError::Stopped(stop))
            }
        }
    }

    fn line(&self, request: &SendRequest) -> &tokio::sync::Mutex<()> {
        let priority = match request.priority {
            Priority::Low => 0,
            Priority::Normal => 1,
            Priority::High => 2,
        };
        let write = self
            .inner
            .pacer()
            .policy()
            .writes()
            .contains(request.method);
        &self.inner.lines[priority * 2 + usize::from(write)]
    }
}

impl Inner {
    /// Locks the pacer. A poisoned lock is still consistent: the pacer's operations do not panic.
    pub(super) fn pacer(&self) -> MutexGuard<'_, Pacer<FLIGHTS>> {
        self.pacer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wake(&self) {
        {
            let _alone = self.pacer();
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
        self.changed.notify_waiters();
        self.woken.notify_all();
    }

    /// Blocks the thread for a time, or until a response that it has not `seen`.
    fn pause(&self, wait: Duration, seen: u64) {
        if let Some(pause) = &self.pause {
            return pause(wait);
        }
        let pacer = self.pacer();
        // The pacer is held from here to the wait: no change can slip in between.
        if self.changes.load(Ordering::Relaxed) == seen {
            let _ = self.woken.wait_timeout(pacer, wait);
        }
    }
}

enum Step {
    Go(Permit),
    Wait(Duration),
}

impl fmt::Debug for SharedPacer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedPacer")
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

/// Three priorities, each of reads and of writes.
const LINES: usize = 6;
