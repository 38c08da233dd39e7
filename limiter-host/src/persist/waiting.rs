//! A request that waits for the disk.

use super::durable::Shared;
use super::state::Claim;
use limiter_core::{Decision, Now, OnFailedWrite, Outage, Request};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A decision that is handed out once what it charged is stored. Dropped before that, it gives the
/// charge back.
#[derive(Debug)]
pub struct Waiting {
    pub(super) shared: Arc<Shared>,
    /// Writes that had failed before.
    pub(super) failures: u64,
    pub(super) claim: Claim,
    /// The decision, and what it was made of; `None` once it is handed out.
    pub(super) held: Option<(Decision, Request, Now)>,
    /// Whether it is among those who wait.
    pub(super) counted: bool,
}

impl Waiting {
    /// Gives the charge back and refuses.
    pub(super) fn give_up(mut self) -> Decision {
        self.refuse()
    }

    fn refuse(&mut self) -> Decision {
        match self.give_back() {
            Some(request) => self
                .shared
                .limiter
                .refuse_for(&request, Outage::StoreFailed),
            // Never: a future is not polled again after it is ready.
            None => Decision::EXEMPT,
        }
    }

    /// Gives the charge back unless it is handed out; says which request's it was.
    fn give_back(&mut self) -> Option<Request> {
        let (decision, request, now) = self.held.take()?;
        if let Some(receipt) = decision.into_receipt() {
            self.shared.limiter.refund(receipt, now);
        }
        Some(request)
    }
}

impl Future for Waiting {
    type Output = Decision;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Decision> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        if state.covers(&self.claim) {
            drop(state);
            let handed_out = self.held.take();
            return match handed_out {
                Some((decision, ..)) => Poll::Ready(decision),
                None => Poll::Pending,
            };
        }
        let refuses = shared.options.reserve.on_failed_write == OnFailedWrite::Refuse;
        if state.closed || (refuses && state.counts.failed > self.failures) {
            drop(state);
            return Poll::Ready(self.refuse());
        }
        state.ask(&self.claim);
        shared.work.notify_one();
        state.wakers.push(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.counted {
            self.shared.lock().waiting -= 1;
        }
        self.give_back();
    }
}
