//! A request that waits for the disk.

use super::durable::Shared;
use super::state::Claim;
use limiter_core::{Decision, Now, OnFailedWrite, Outage, Request};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A decision that is handed out once what it charged is stored. Dropped before that, it gives the
/// charge back. Polled again after it was ready, it answers `store_failed`: there is nothing left to
/// hand out.
#[derive(Debug)]
pub struct Waiting {
    pub(super) shared: Arc<Shared>,
    pub(super) claim: Claim,
    /// Writes that had begun when it asked for one.
    pub(super) asked: u64,
    pub(super) request: Request,
    /// The decision and its moment; `None` once that is handed out or given back.
    pub(super) held: Option<(Decision, Now)>,
    /// Whether it is among those who wait.
    pub(super) counted: bool,
}

impl Waiting {
    /// Gives the charge back and refuses.
    pub(super) fn give_up(mut self) -> Decision {
        self.refuse()
    }

    fn refuse(&mut self) -> Decision {
        self.give_back();
        let limiter = &self.shared.limiter;
        limiter.refuse_for(&self.request, Outage::StoreFailed)
    }

    /// Gives the charge back unless it is handed out.
    fn give_back(&mut self) {
        if let Some((decision, now)) = self.held.take()
            && let Some(receipt) = decision.into_receipt()
        {
            self.shared.limiter.refund(receipt, now);
        }
    }
}

impl Future for Waiting {
    type Output = Decision;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Decision> {
        if self.held.is_none() {
            return Poll::Ready(Outage::StoreFailed.decide(&self.request));
        }
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        if state.covers(&self.claim)
            && let Some((decision, _)) = self.held.take()
        {
            return Poll::Ready(decision);
        }
        let refuses = shared.options.reserve.on_failed_write == OnFailedWrite::Refuse;
        if state.closed || (refuses && state.failed > self.asked) {
            drop(state);
            return Poll::Ready(self.refuse());
        }
        if state.ended > self.asked {
            // The write that was asked for has ended, and what it was for is of another day now.
            self.asked = state.ask(&self.claim);
            shared.work.notify_one();
        }
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
