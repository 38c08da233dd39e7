//! The right to send one request, now.

use super::shared::Inner;
use limiter_core::Now;
use limiter_pacer::{ResponseInfo, Ticket};
use std::fmt;
use std::sync::Arc;

/// The right to send one request, now; pass its response to [`Permit::on_response`].
///
/// Dropped before [`Permit::sending`], it cancels its reservation. Dropped after that, its request
/// counts as one without a response, and holds its permits until it is certain to be lost.
#[must_use = "send, and hand the answer back"]
pub struct Permit {
    inner: Arc<Inner>,
    ticket: Option<Ticket>,
    sending: bool,
    /// The last reading of the clock.
    at: Now,
}

impl Permit {
    pub(super) const fn new(inner: Arc<Inner>, ticket: Ticket, at: Now) -> Self {
        Self {
            inner,
            ticket: Some(ticket),
            sending: false,
            at,
        }
    }

    /// Reports that the request is sent now.
    pub fn sending(&mut self) {
        self.read_clock();
        if let Some(ticket) = &self.ticket {
            self.inner.pacer().on_sent(ticket, self.at);
        }
        self.sending = true;
    }

    /// Reports that the request was not sent after all, for example without a connection.
    pub fn not_sent(mut self) {
        self.sending = false;
    }

    /// Reports the response. `read` receives the moment of the response.
    pub fn on_response(mut self, read: impl FnOnce(Now) -> ResponseInfo) -> ResponseInfo {
        self.read_clock();
        let now = self.at;
        let answer = read(now);
        if let Some(ticket) = self.ticket.take() {
            let mut pacer = self.inner.pacer();
            pacer.on_response(ticket, &answer, now);
            super::observe::on_response(&answer, &pacer.status(), pacer.denial(now));
        }
        self.inner.wake();
        answer
    }

    /// The present; a clock that cannot be read stands still, so the response still counts.
    fn read_clock(&mut self) {
        if let Ok(now) = self.inner.clock.now() {
            self.at = now;
        }
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
