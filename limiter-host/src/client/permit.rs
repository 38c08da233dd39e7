//! The right to send one request, now.

use super::shared::Inner;
use limiter_core::pacer::{Answer, Ticket};
use limiter_core::{Instant, Now};
use std::fmt;
use std::sync::Arc;

/// The right to send one request, now; its answer goes back with [`Permit::answered`].
///
/// Dropped before [`Permit::sending`], it gives its reservation back. Dropped after that, its
/// request counts as one without an answer, and holds its permits until it is certain to be lost.
#[must_use = "send, and hand the answer back"]
pub struct Permit {
    inner: Arc<Inner>,
    ticket: Option<Ticket>,
    sending: bool,
}

impl Permit {
    pub(super) const fn new(inner: Arc<Inner>, ticket: Ticket) -> Self {
        Self {
            inner,
            ticket: Some(ticket),
            sending: false,
        }
    }

    /// The request goes out now.
    pub fn sending(&mut self) {
        if let (Some(ticket), Ok(now)) = (&self.ticket, self.inner.clock.now()) {
            self.inner.pacer().sent(ticket, now);
        }
        self.sending = true;
    }

    /// The request did not go out after all, as when no connection could be made.
    pub fn not_sent(mut self) {
        self.sending = false;
    }

    /// The answer came. `read` gets the moment, to read it by.
    pub fn answered(mut self, read: impl FnOnce(Now) -> Answer) -> Answer {
        let now = self.inner.clock.now();
        // An answer that cannot be dated is heeded as of the clock's origin: the pacer follows
        // time that goes backwards.
        let now = now.unwrap_or(Now::new(Instant::ZERO, None));
        let answer = read(now);
        if let Some(ticket) = self.ticket.take() {
            let mut pacer = self.inner.pacer();
            pacer.answered(ticket, &answer, now);
            super::observe::answered(&answer, &pacer.status(), pacer.denial(now));
        }
        self.inner.wake();
        answer
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else {
            return;
        };
        if !self.sending {
            self.inner.pacer().cancel(ticket);
            self.inner.wake();
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("ticket", &self.ticket)
            .field("sending", &self.sending)
            .finish_non_exhaustive()
    }
}
