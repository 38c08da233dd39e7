//! A limiter for all cores whose daily counts survive: what is charged is handed out once it is
//! stored.
//!
//! The limiter decides and charges as always. What counts daily and goes beyond the user's bound is
//! held back until an image is stored that covers it; if that fails the charge is given back, and
//! the answer is `store_failed` (O8). So a window may have been opened by a charge that was given
//! back, and the statistics count such a request twice, as admitted and as refused.
//!
//! What that costs: each admission that counts daily takes one lock, which all cores share, to look
//! at its user's bound, and reads the user's row once more; nothing else takes it. A write visits
//! every row, and holds that lock for *O*(users); it stores `76 + 16 * (tokens + users)` bytes.

use super::directory::{Directory, Found, Storage};
use super::health::Health;
use super::options::Options;
use super::state::{Claim, Counts, State};
use super::waiting::Waiting;
use super::warning::{StartError, Warning};
use super::writer;
use crate::awaited::{DecideAsync, Never, Step};
use crate::clock::SharedClock;
use crate::concurrent::Concurrent;
use limiter_core::snapshot::Image;
use limiter_core::{Decision, HashKey, Now, OnLostState, Outage, Policy, Request};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle};

/// A [`Concurrent`] whose daily counts, strikes and blocks survive the end of the process. Clones
/// share one.
///
/// Register tokens at the limiter itself, and give this to the layer.
#[derive(Clone, Debug)]
pub struct Durable {
    shared: Arc<Shared>,
    warnings: Arc<[Warning]>,
    writer: Arc<Writer>,
}

impl Durable {
    /// Takes over what a directory holds, and starts to write there. The limiter must not have
    /// decided yet; tokens may be registered before or after.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing was written.
    pub fn start(
        limiter: Arc<Concurrent>,
        directory: Directory,
        options: Options,
        key: HashKey,
        clock: SharedClock,
    ) -> Result<Self, StartError> {
        let found = directory.load(&key);
        let warnings = directory.warnings();
        Self::begin(limiter, (found, warnings), directory, options, key, clock)
    }

    /// The same with a storage of another kind, and what was found there.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub fn start_with(
        limiter: Arc<Concurrent>,
        found: Found,
        storage: impl Storage,
        options: Options,
        key: HashKey,
        clock: SharedClock,
    ) -> Result<Self, StartError> {
        Self::begin(limiter, (found, Vec::new()), storage, options, key, clock)
    }

    fn begin(
        limiter: Arc<Concurrent>,
        (found, mut warnings): (Found, Vec<Warning>),
        mut storage: impl Storage,
        options: Options,
        key: HashKey,
        clock: SharedClock,
    ) -> Result<Self, StartError> {
        let now = clock.now().map_err(StartError::Clock)?;
        if let Some(flaw) = found.flaws().iter().find(|flaw| flaw.is_foreign()) {
            return Err(StartError::Foreign(flaw.clone()));
        }
        let (_, users) = limiter.capacity();
        let mut state = State::new(users);
        match found {
            Found::Nothing => {}
            Found::Whole { image, flaws } => {
                let image = Image::verify(&image, &key).map_err(StartError::Restore)?;
                let restored = limiter
                    .take_over(&image, options.off_time, now)
                    .map_err(StartError::Restore)?;
                state.number = restored.number;
                let calendar = &image.header().calendar;
                state.stored_day = Some((calendar.day, calendar.refills));
                warnings.extend(flaws.into_iter().map(|flaw| Warning::Older {
                    flaw,
                    number: restored.number,
                    permits: options.reserve.ahead.get(),
                }));
            }
            Found::Broken { flaws } => {
                let refuses = options.on_lost_state == OnLostState::Refuse;
                if refuses {
                    limiter.lose_counts();
                }
                warnings.extend(
                    flaws
                        .into_iter()
                        .map(|flaw| Warning::Lost { flaw, refuses }),
                );
            }
        }
        let lost = limiter.calendar().is_lost();
        state.due = lost;
        let shared = Arc::new(Shared {
            limiter,
            options,
            key,
            clock,
            lost: AtomicBool::new(lost),
            state: Mutex::new(state),
            work: Condvar::new(),
        });
        let writing = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("limiter-persist".to_owned())
            .spawn(move || writer::run(&writing, &mut storage))
            .map_err(StartError::Thread)?;
        Ok(Self {
            writer: Arc::new(Writer {
                shared: Arc::clone(&shared),
                thread: Mutex::new(Some(thread)),
            }),
            warnings: warnings.into(),
            shared,
        })
    }

    /// What was wrong with what was found.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The limiter.
    #[must_use]
    pub fn limiter(&self) -> &Arc<Concurrent> {
        &self.shared.limiter
    }

    /// How the writes went.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.lock().counts
    }

    /// How things stand with the writes. *O*(users), under the lock that admissions take.
    #[must_use]
    pub fn health(&self) -> Health {
        let limiter = &self.shared.limiter;
        let refills = limiter.calendar().refills();
        let state = self.shared.lock();
        Health {
            counts: state.counts,
            stored_at: state.stored_at,
            error: state.error.clone(),
            reserved_permits: state.unused(refills, |place| limiter.day_at(place)),
            unprotected_permits: state.unprotected,
        }
    }

    /// Has an image written soon, in the background: for what makes no write due by itself, such as
    /// a block that began or was lifted.
    pub fn save(&self) {
        self.shared.lock().due = true;
        self.shared.work.notify_one();
    }

    /// Decides a request, and blocks the thread while its permits are being stored.
    pub fn check(&self, request: &Request, now: Now) -> Decision {
        match self.decide(request, None, now) {
            Step::Done(decision) => decision,
            Step::Awaits(mut waiting) => {
                let waker = Waker::from(Arc::new(Unpark(thread::current())));
                let mut context = Context::from_waker(&waker);
                loop {
                    match Pin::new(&mut waiting).poll(&mut context) {
                        Poll::Ready(decision) => return decision,
                        Poll::Pending => thread::park(),
                    }
                }
            }
        }
    }

    /// Writes a last image, with exact counts, and ends the writer: a restart from it costs nobody
    /// a permit. From now on what counts daily is refused `store_failed`. Blocks until the image is
    /// stored; the last clone does the same when it is dropped.
    ///
    /// # Errors
    ///
    /// The system's word if the image could not be stored: then what was reserved is lost. The
    /// second call does nothing.
    pub fn close(&self) -> io::Result<()> {
        self.writer.close()
    }
}

impl DecideAsync for Durable {
    type Decided = Decision;
    type Deciding = Waiting;
    type GivingBack = Never<()>;

    fn decide(&self, request: &Request, _: Option<&[u8]>, now: Now) -> Step<Decision, Waiting> {
        let shared = &self.shared;
        if shared.lost.load(Ordering::Relaxed)
            && let Some(decision) = shared.refuse_lost(request, now)
        {
            return Step::Done(decision);
        }
        let decision = shared.limiter.check(request, now);
        let Some(claim) = Claim::of(&decision, &shared.limiter) else {
            return Step::Done(decision);
        };
        let mut state = shared.lock();
        if state.covers(&claim) {
            if state.is_low(&claim, shared.limiter.policy(), &shared.options) {
                state.due = true;
                shared.work.notify_one();
            }
            return Step::Done(decision);
        }
        let mut waiting = Waiting {
            shared: Arc::clone(shared),
            claim,
            asked: 0,
            request: *request,
            held: Some((decision, now)),
            counted: false,
        };
        if state.closed {
            drop(state);
            return Step::Done(waiting.give_up());
        }
        waiting.asked = state.ask(&claim);
        shared.work.notify_one();
        if state.waiting >= shared.options.most_waiting {
            state.counts.turned_away += 1;
            drop(state);
            return Step::Done(waiting.give_up());
        }
        state.waiting += 1;
        drop(state);
        waiting.counted = true;
        Step::Awaits(waiting)
    }

    fn refuse(&self, request: &Request, outage: Outage) -> Decision {
        self.shared.limiter.refuse_for(request, outage)
    }

    fn give_back(&self, decided: Decision, now: Now) -> Step<(), Never<()>> {
        self.shared.limiter.give_back(decided, now)
    }

    fn current_policy(&self) -> Policy {
        *self.shared.limiter.policy()
    }
}

/// What the limiter's clones, its waiting requests and its writer share.
pub(super) struct Shared {
    pub(super) limiter: Arc<Concurrent>,
    pub(super) options: Options,
    pub(super) key: HashKey,
    pub(super) clock: SharedClock,
    /// Whether the counts may be lost still.
    lost: AtomicBool,
    state: Mutex<State>,
    pub(super) work: Condvar,
}

impl Shared {
    /// A panic while it is held leaves nothing half-changed.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wait_for_work<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.work
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// R5: refuses what counts daily while the counts are lost.
    fn refuse_lost(&self, request: &Request, now: Now) -> Option<Decision> {
        let decision = self.limiter.refuse_lost(request, now);
        let calendar = self.limiter.calendar();
        self.lost.store(calendar.is_lost(), Ordering::Relaxed);
        let mut state = self.lock();
        if decision.is_some() && state.stored_day != Some((calendar.day(), calendar.refills())) {
            // An adoption must not be lost with the next crash, or this would never end.
            state.due = true;
            self.work.notify_one();
        }
        decision
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// The writer's thread, ended with the last clone.
#[derive(Debug)]
struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<io::Result<()>>>>,
}

impl Writer {
    fn close(&self) -> io::Result<()> {
        self.shared.lock().closing = true;
        self.shared.work.notify_one();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        match thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the writer has panicked")),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.close();
    }
}

struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
